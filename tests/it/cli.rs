//! The commands beside `serve`: ask a running hoplog, print the configuration, check a folder.

use crate::support::{Home, Hoplog, PATIENCE, QUICK, hoplog as run, recently};
use anyhow::{Context, Result, ensure};
use hoplog_model::SpanKind::{Client, Server};
use hoplog_testkit::process::binary;
use hoplog_testkit::spans::{Trace, batch, trace};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;
use tokio::time::timeout;

fn order(name: &str, ms: u64) -> Trace {
    trace(name)
        .base(recently())
        .span("root")
        .service("gateway")
        .kind(Server)
        .name("POST /orders")
        .ms(ms)
        .attr("http.response.status_code", 201_i64)
        .span("call")
        .child_of("root")
        .service("gateway")
        .kind(Client)
        .name("charge")
        .start_ms(2)
        .ms(ms / 2)
        .span("pay")
        .child_of("call")
        .service("payments")
        .kind(Server)
        .name("Payments/Charge")
        .start_ms(3)
        .ms(ms / 4)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(done: &Output) -> Result<String> {
    ensure!(
        done.status.success(),
        "{}: {}",
        done.status,
        text(&done.stderr)
    );
    Ok(text(&done.stdout))
}

fn failed(done: &Output) -> Result<String> {
    ensure!(
        !done.status.success(),
        "it ended well: {}",
        text(&done.stdout)
    );
    Ok(text(&done.stderr))
}

#[tokio::test]
async fn search_and_get_ask_a_running_hoplog() -> Result<()> {
    let hoplog = Hoplog::start("").await?;
    let requests = [
        order("quick", 20),
        order("slow", 900).error("declined"),
        order("usual", 40),
    ];
    hoplog.send(batch(&requests)).await?;
    let ids = requests
        .each_ref()
        .map(|request| request.trace_id().to_string());
    let server = hoplog.url("");
    let ask = async |words: &[&str]| run(&[words, &["--server", &server]].concat()).await;

    let found = succeeded(&ask(&["search", "entry:gateway", "duration:>500ms"]).await?)?;
    ensure!(
        found.lines().count() == 1 && found.contains(&ids[1]),
        "{found}"
    );
    ensure!(
        found.contains("900 ms") && found.contains("gateway POST /orders"),
        "{found}"
    );
    let slowest = succeeded(&ask(&["search", "--slowest", "-n", "2", "--json"]).await?)?;
    let slowest = slowest.lines().map(serde_json::from_str);
    let slowest: Vec<Value> = slowest.collect::<Result<_, _>>()?;
    let order: Vec<_> = slowest.iter().map(|request| &request["trace_id"]).collect();
    ensure!(order == [&ids[1], &ids[2]], "{order:?}");

    let tree = succeeded(&ask(&["get", &ids[0]]).await?)?;
    let lines: Vec<&str> = tree.lines().collect();
    ensure!(lines.len() == 4 && lines[0].contains(&ids[0]), "{tree}");
    ensure!(lines[1].starts_with("gateway POST /orders"), "{tree}");
    ensure!(
        lines[3].starts_with("    payments Payments/Charge"),
        "{tree}"
    );
    let otlp = succeeded(&ask(&["get", &ids[0], "--otlp"]).await?)?;
    let otlp: Value = serde_json::from_str(&otlp)?;
    ensure!(
        otlp["resourceSpans"]
            .as_array()
            .is_some_and(|list| !list.is_empty()),
        "{otlp}"
    );

    let nowhere = failed(&ask(&["get", &"7".repeat(32)]).await?)?;
    ensure!(nowhere.contains("no request 7777"), "{nowhere}");
    let unclear = failed(&ask(&["search", "duration:>soon"]).await?)?;
    ensure!(unclear.contains("400"), "{unclear}");
    let calls = [
        "search",
        "-kind:consumer",
        "entry:gateway",
        "-duration:>500ms",
    ];
    let quick = succeeded(&ask(&calls).await?)?;
    ensure!(quick.lines().count() == 2, "{quick}");
    let bare = server.trim_start_matches("http://");
    let found = succeeded(&run(&["search", "entry:gateway", "--server", bare]).await?)?;
    ensure!(found.lines().count() == 3, "{found}");
    let none = ask(&["search", "entry:nobody"]).await?;
    ensure!(succeeded(&none)?.is_empty());
    let said = text(&none.stderr);
    ensure!(
        said.contains("no request matches in the last hour (20"),
        "{said}"
    );
    let away = run(&["search", "x", "--server", "http://127.0.0.1:1"]).await?;
    ensure!(failed(&away)?.contains("no hoplog answers at http://127.0.0.1:1"));
    Ok(())
}

/// `hoplog config` with these flags and variables.
async fn config(home: &Home, flags: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command
        .arg("config")
        .arg("--config")
        .arg(home.folder().join("hoplog.toml"));
    command.args(flags).envs(variables.iter().copied());
    Ok(timeout(PATIENCE, command.output()).await??)
}

#[tokio::test]
async fn flags_win_over_variables_and_these_over_the_file() -> Result<()> {
    let home = Home::new(
        "data = \"from-file\"\nhosts = [\"from-file\"]\n[assemble]\nquiet_seconds = 9\nage_seconds_max = 99\n",
    )?;
    let variables = [
        ("HOPLOG_DATA", "from-variable"),
        ("HOPLOG_LOG", "error"),
        ("HOPLOG_ASSEMBLE__QUIET_SECONDS", "3"),
    ];
    let shown = succeeded(&config(&home, &["--data", "from-flag"], &variables).await?)?;
    for line in [
        "data = \"from-flag\"",
        "log = \"error\"",
        "hosts = [\"from-file\"]",
        "quiet_seconds = 3",
        "age_seconds_max = 99",
    ] {
        ensure!(
            shown.lines().any(|shown| shown == line),
            "no {line} in\n{shown}"
        );
    }
    // What is printed can be used as a file, and means the same.
    std::fs::write(home.folder().join("hoplog.toml"), &shown)?;
    ensure!(succeeded(&config(&home, &[], &[]).await?)? == shown);

    let unknown = failed(&config(&home, &[], &[("HOPLOG_QUIET", "3")]).await?)?;
    ensure!(
        unknown.contains("HOPLOG_QUIET") && unknown.contains("unknown field"),
        "{unknown}"
    );
    let shown = failed(&config(&home, &[], &[("HOPLOG_HTTP", "everywhere")]).await?)?;
    ensure!(shown.contains("HOPLOG_HTTP"), "{shown}");
    std::fs::write(home.folder().join("hoplog.toml"), "[assemble]\nquite = 3\n")?;
    let unknown = failed(&config(&home, &[], &[]).await?)?;
    ensure!(
        unknown.contains("hoplog.toml") && unknown.contains("`quite`"),
        "{unknown}"
    );
    std::fs::write(home.folder().join("hoplog.toml"), "")?;
    let zero = failed(&config(&home, &[], &[("HOPLOG_STORE__RETAIN_DAYS", "0")]).await?)?;
    ensure!(
        zero.contains("store.retain_days = 0: the least is 1"),
        "{zero}"
    );
    Ok(())
}

#[tokio::test]
async fn the_demo_once_keeps_what_it_sent_where_it_was_told() -> Result<()> {
    let home = Home::new("")?;
    let data = home.data().display().to_string();
    let words = ["demo", "--once", "--requests", "5", "--data", &data];
    let done = succeeded(&run(&words).await?)?;
    ensure!(done.starts_with("5 requests sent"), "{done}");
    ensure!(home.check().await?["rows"] == 5, "they are not in {data}");
    let again = failed(&run(&words).await?)?;
    ensure!(again.contains("not empty"), "{again}");
    Ok(())
}

/// The partition files.
fn partitions(home: &Home) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(home.data().join("partitions"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "db") {
            files.push(path);
        }
    }
    Ok(files)
}

/// A database file of a stopped hoplog.
pub(crate) async fn database(file: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnectOptions::new().filename(file).connect().await?)
}

/// A stopped hoplog with ten orders.
async fn stopped() -> Result<Home> {
    let hoplog = Hoplog::start(QUICK).await?;
    let orders: Vec<Trace> = (0..10).map(|n| order(&format!("order-{n}"), 20)).collect();
    hoplog.send(batch(&orders)).await?;
    hoplog.settled_books().await?;
    hoplog.stop().await
}

#[tokio::test]
async fn a_healthy_folder_is_ok() -> Result<()> {
    let home = stopped().await?;
    let report = home.check().await?;
    ensure!(report["rows"] == 10 && report["spans"] == 30, "{report}");
    ensure!(
        report["differences"].as_array().is_some_and(Vec::is_empty),
        "{report}"
    );
    ensure!(report["books"]["stored"] == 30, "{report}");
    // Looking changes nothing.
    ensure!(home.check().await? == report);

    let hoplog = home.start().await?;
    ensure!(hoplog.search("entry:gateway").await?.len() == 10);
    Ok(())
}

#[tokio::test]
async fn a_running_folder_and_a_missing_one_are_not_checked() -> Result<()> {
    let home = Home::new("")?;
    let missing = failed(&home.run("check", &[]).await?)?;
    ensure!(missing.contains("there is no data folder"), "{missing}");
    let data = home.data().display().to_string();
    let hoplog = home.start().await?;
    let running = failed(&run(&["check", "--data", &data]).await?)?;
    ensure!(
        running.contains("another process uses this data folder"),
        "{running}"
    );
    drop(hoplog);
    Ok(())
}

/// Damages a stopped folder; what the check then tells.
async fn damaged(harm: impl AsyncFnOnce(&mut SqliteConnection) -> Result<()>) -> Result<String> {
    let home = stopped().await?;
    let files = partitions(&home)?;
    ensure!(
        files.len() == 1,
        "the orders of one minute are in {files:?}"
    );
    let mut partition = database(&files[0]).await?;
    harm(&mut partition).await?;
    partition.close().await?;
    let done = home.run("check", &[]).await?;
    ensure!(!done.status.success(), "it was found good");
    let report: Value = serde_json::from_slice(&done.stdout)
        .with_context(|| format!("{} {}", text(&done.stdout), text(&done.stderr)))?;
    ensure!(report["ok"] == false && report["rows"] == 10, "{report}");
    Ok(report["differences"].to_string())
}

#[tokio::test]
async fn a_flipped_byte_in_a_row_is_reported_with_its_row() -> Result<()> {
    let told = damaged(async |partition| {
        let newest = "SELECT row_id, spans FROM requests ORDER BY row_id DESC LIMIT 1";
        let row = sqlx::query(newest).fetch_one(&mut *partition).await?;
        let (row_id, mut spans): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let middle = spans.len() / 2;
        spans[middle] ^= 1;
        let change = sqlx::query("UPDATE requests SET spans = ? WHERE row_id = ?");
        change.bind(spans).bind(row_id).execute(partition).await?;
        Ok(())
    })
    .await?;
    ensure!(told.contains("requests row"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_summary_that_is_not_that_of_the_spans_is_reported() -> Result<()> {
    let told = damaged(async |partition| {
        let change = "UPDATE requests SET duration = duration + 1 WHERE trace_id = ?";
        let id = trace("order-7").trace_id().as_bytes().to_vec();
        sqlx::query(change).bind(id).execute(partition).await?;
        Ok(())
    })
    .await?;
    ensure!(
        told.contains(&trace("order-7").trace_id().to_string()),
        "{told}"
    );
    ensure!(told.contains("not what the spans say"), "{told}");
    Ok(())
}

#[tokio::test]
async fn roll_ups_that_are_missing_are_reported() -> Result<()> {
    let told = damaged(async |partition| {
        let harm = "DELETE FROM rollup_minute; DELETE FROM rollup_log;";
        sqlx::raw_sql(harm).execute(partition).await?;
        Ok(())
    })
    .await?;
    ensure!(told.contains("rollup_minute"), "{told}");
    Ok(())
}

#[tokio::test]
async fn search_records_that_are_missing_are_reported() -> Result<()> {
    for (harm, what) in [
        ("DELETE FROM records", "records"),
        ("DELETE FROM filters", "filters"),
    ] {
        let told = damaged(async |partition| {
            sqlx::raw_sql(harm).execute(partition).await?;
            Ok(())
        })
        .await?;
        ensure!(told.contains(what), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn books_that_do_not_balance_are_reported() -> Result<()> {
    let told = damaged(async |partition| {
        sqlx::raw_sql("UPDATE books SET duplicate = duplicate + 1")
            .execute(partition)
            .await?;
        Ok(())
    })
    .await?;
    ensure!(told.contains("the books do not balance"), "{told}");
    Ok(())
}
