//! Real senders: OpenTelemetry SDKs of Python and JavaScript, one process calling another. Each
//! request is one row with the right tree, whatever way its spans came.

use crate::support::{Hoplog, PATIENCE, QUICK, Span, named_by};
use anyhow::{Context, Result, ensure};
use hoplog_model::TraceId;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Which SDK, and how it exports.
#[derive(Debug, Clone, Copy)]
enum Sdk {
    PythonHttp,
    PythonGrpc,
    NodeJson,
    NodeProto,
}
use Sdk::{NodeJson, NodeProto, PythonGrpc, PythonHttp};

/// Orders that the callers ask for; the last does not exist.
const ORDERS: [&str; 4] = ["1", "2", "3", "missing"];

impl Sdk {
    /// `service.name` of a process in this role.
    fn service(self, role: &str) -> String {
        let language = match self {
            PythonHttp | PythonGrpc => "python",
            NodeJson | NodeProto => "node",
        };
        format!("{language}-{role}")
    }

    /// A process in this role that exports to `hoplog`.
    fn command(self, role: &str, hoplog: &Hoplog) -> Result<Command> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (program, script): (PathBuf, PathBuf) = match self {
            PythonHttp | PythonGrpc => {
                (named_by("HOPLOG_TEST_PYTHON")?, here.join("python/app.py"))
            }
            NodeJson | NodeProto => ("node".into(), here.join("node/app.mjs")),
        };
        let (export, otlp) = match self {
            PythonHttp => ("http", hoplog.server.otlp_http),
            PythonGrpc => ("grpc", hoplog.server.otlp_grpc),
            NodeJson => ("json", hoplog.server.otlp_http),
            NodeProto => ("proto", hoplog.server.otlp_http),
        };
        let mut command = Command::new(program);
        command.arg(script).arg(role);
        command
            .env("EXPORT", export)
            .env("OTLP", format!("http://{otlp}"));
        command.env(
            "HOPLOG_TEST_NODE_MODULES",
            named_by("HOPLOG_TEST_NODE_MODULES")?,
        );
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
}

/// Starts the called service; its address.
async fn start(sdk: Sdk, hoplog: &Hoplog) -> Result<(Child, String)> {
    let mut child = sdk.command("server", hoplog)?.spawn()?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let mut lines = BufReader::new(output).lines();
    let port = timeout(PATIENCE, lines.next_line())
        .await
        .context("it prints no port")??;
    let port = port.context("it ended before it was ready")?;
    Ok((child, format!("http://127.0.0.1:{}", port.trim())))
}

/// Sends all orders from one process to another; the requests' trace ids, once both have ended.
async fn run(caller: Sdk, called: Sdk, hoplog: &Hoplog) -> Result<Vec<TraceId>> {
    let (mut server, address) = start(called, hoplog).await?;
    let mut client = caller.command("client", hoplog)?;
    client
        .env("SERVER", address)
        .env("ORDERS", ORDERS.join(","));
    let done = timeout(PATIENCE, client.output())
        .await
        .context("the caller does not end")??;
    ensure!(done.status.success(), "the caller: {}", done.status);
    drop(server.stdin.take());
    let ended = timeout(PATIENCE, server.wait())
        .await
        .context("the service does not end")??;
    ensure!(ended.success(), "the service: {ended}");
    let ids = String::from_utf8(done.stdout)?;
    Ok(ids.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// The span of this name, which must hang under that parent.
fn under<'a>(spans: &'a [Span], name: &str, parent: &str) -> Result<&'a Span> {
    let found = spans.iter().find(|span| span.name == name);
    let found = found.with_context(|| format!("no span {name} in {spans:?}"))?;
    ensure!(
        found.parent == parent,
        "{name} does not hang under {parent}: {spans:?}"
    );
    Ok(found)
}

/// The row and the tree of one order.
async fn check(
    hoplog: &Hoplog,
    trace_id: TraceId,
    order: &str,
    [client, server]: &[String; 2],
) -> Result<()> {
    let row = hoplog.request_with(trace_id, 4).await?;
    let failed = order == "missing";
    let counts = ["span_count", "hop_count", "service_count"].map(|count| row[count].as_u64());
    ensure!(counts == [Some(4), Some(2), Some(2)], "{row}");
    ensure!(
        row["service"] == client.as_str() && row["interface"] == "POST /checkout",
        "{row}"
    );
    ensure!(row["error_count"] == if failed { 2 } else { 0 }, "{row}");
    ensure!(row["first_error"].is_object() == failed, "{row}");
    if failed {
        let error = &row["first_error"];
        ensure!(
            error["service"] == server.as_str() && error["name"] == "load order",
            "{row}"
        );
        ensure!(error["message"] == "there is no such order", "{row}");
    }

    let spans = hoplog.spans(trace_id).await?;
    ensure!(spans.len() == 4, "{spans:?}");
    let root = under(&spans, "POST /checkout", "")?;
    let call = under(&spans, "GET", &root.id)?;
    let hop = under(&spans, "GET /orders/{id}", &call.id)?;
    let work = under(&spans, "load order", &hop.id)?;
    let services = [root, call, hop, work].map(|span| span.service.as_str());
    ensure!(services == [client, client, server, server], "{services:?}");
    ensure!(
        [root, call, hop, work].map(|span| span.kind) == [2, 3, 2, 1],
        "{spans:?}"
    );
    ensure!(
        [hop.status, work.status] == [if failed { 2 } else { 0 }; 2],
        "{spans:?}"
    );

    let hop = format!("service:{server} span:\"load order\" order.id:{order}");
    let hits = hoplog.search(&format!("entry:{client} {{{hop}}}")).await?;
    ensure!(
        hits.len() == 1 && hits[0]["trace_id"] == trace_id.to_string(),
        "{hits:?}"
    );
    Ok(())
}

async fn each_request_is_one_row(caller: Sdk, called: Sdk) -> Result<()> {
    let hoplog = Hoplog::start(QUICK).await?;
    let ids = run(caller, called, &hoplog).await?;
    ensure!(ids.len() == ORDERS.len(), "{ids:?}");
    let services = [caller.service("client"), called.service("server")];
    for state in ["acknowledged", "written"] {
        for (id, order) in ids.iter().zip(ORDERS) {
            check(&hoplog, *id, order, &services)
                .await
                .with_context(|| state)?;
        }
        ensure!(
            hoplog.search("").await?.len() == ORDERS.len(),
            "{state}: more rows than requests"
        );
        hoplog.settled_books().await?;
    }
    let books = hoplog.books().await?;
    ensure!(
        books["stored"] == 4 * ORDERS.len() && books["rejected"] == 0,
        "{books}"
    );
    let report = hoplog.stop().await?.check().await?;
    ensure!(report["rows"] == ORDERS.len(), "{report}");
    Ok(())
}

#[tokio::test]
async fn python_over_http_and_over_grpc() -> Result<()> {
    each_request_is_one_row(PythonHttp, PythonGrpc).await
}

#[tokio::test]
async fn javascript_in_json_and_in_protobuf() -> Result<()> {
    each_request_is_one_row(NodeJson, NodeProto).await
}

#[tokio::test]
async fn python_calls_javascript() -> Result<()> {
    each_request_is_one_row(PythonGrpc, NodeJson).await
}

#[tokio::test]
async fn javascript_calls_python() -> Result<()> {
    each_request_is_one_row(NodeProto, PythonHttp).await
}
