//! Stores of earlier schemas. `schemas/` holds one of each, as the hoplog of its day wrote it, and what it
//! answered: `N.sqlite.tar.zst`, `N.postgres.sql.zst`, `N.txt`. A store's tests open each of them with the code of
//! today and compare. Schema N is the one whose last migration has the number N.
//!
//! When there is a new migration: `cargo xtask fixtures` makes the three files of its schema, to be committed
//! with it; `cargo xtask tidy` misses them. Those of earlier schemas stay as they are.

use super::build::{Span, content, part, span_id, trace, trace_v7};
use super::{NOW, books, read, search, write};
use crate::{
    HopExpr, HopTest, Outcome, Part, Range, RequestExpr, RequestTest, Search, Sort, StatsQuery,
    Store, TextMatch, ValueMatch,
};
use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_model::{Position, SpanKind, SpanStatus, TraceId, UnixNanos};
use hoplog_otlp::SpanHead;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use twox_hash::XxHash3_64;

/// Requests that are written one by one: enough that changes of roll-ups go into the tables.
const ONE_BY_ONE: u64 = 70;
/// Requests of the day before: from this number on.
const YESTERDAY: u64 = 101;
/// A request that takes more than one row.
const LARGE: u64 = 301;
/// Of its spans.
const LARGE_SPANS: u64 = 6;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// The number of today's schema: that of the last migration.
///
/// # Panics
/// If the migrations are not there.
pub fn newest() -> u32 {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    let files = std::fs::read_dir(migrations).expect("the migrations are there");
    let number = |name: &str| name.split('_').next()?.parse().ok();
    files
        .filter_map(|file| number(&file.ok()?.file_name().to_string_lossy()))
        .max()
        .expect("there is one")
}

/// A file of a schema, unpacked: `sqlite.tar`, `postgres.sql`.
///
/// # Panics
/// If it is not there.
pub fn fixture(schema: u32, name: &str) -> Vec<u8> {
    let path = folder().join(format!("{schema}.{name}.zst"));
    let packed = std::fs::File::open(&path);
    let packed = packed.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    zstd::decode_all(packed).expect("it is whole")
}

/// What the store of this schema answered when it was made.
///
/// # Panics
/// If the file is not there.
pub fn recorded(schema: u32) -> String {
    let path = folder().join(format!("{schema}.txt"));
    let text = std::fs::read_to_string(&path);
    text.unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Keeps a file of today's schema and what the store answered, unless they are there.
///
/// # Panics
/// If they cannot be written, or another store of this schema answered otherwise.
pub fn keep(name: &str, file: &[u8], answered: &str) {
    let schema = newest();
    let path = folder().join(format!("{schema}.{name}.zst"));
    std::fs::create_dir_all(folder()).expect("the folder can be made");
    if !path.exists() {
        let packed = zstd::encode_all(file, 22).expect("memory is enough");
        std::fs::write(&path, packed).expect("it can be written");
    }
    let text = folder().join(format!("{schema}.txt"));
    if !text.exists() {
        std::fs::write(&text, answered).expect("it can be written");
    }
    assert_eq!(recorded(schema), answered);
}

fn request(n: u64, at: UnixNanos) -> Part {
    let of = |span: Span, service: &str, step: u64| {
        span.service(service)
            .at(
                at + n * MINUTE + step * 1_000_000,
                (9 - step) * (n + 1) * 1_000,
            )
            .with("order.id", i64::try_from(n).expect("small"))
            .with("user", format!("user {}", n % 7).as_str())
    };
    let bank = of(Span::child(2, 1), "bank", 2)
        .name("POST /pay")
        .with("ratio", f64::from(u32::try_from(n).expect("small")) / 4.0)
        .with("is.new", n.is_multiple_of(2));
    let bank = if n.is_multiple_of(7) {
        bank.failed("no money")
            .exception("OutOfFunds", "no more than 3 left")
    } else {
        bank
    };
    let spans = [
        of(Span::root(1), "shop", 1)
            .name(["GET /orders", "POST /orders"][usize::from(n.is_multiple_of(3))])
            .with(
                "http.response.status_code",
                200 + i64::from(n.is_multiple_of(7)) * 300,
            ),
        bank,
        of(Span::child(3, 2), "bank", 3)
            .kind(SpanKind::Client)
            .name("INSERT")
            .resource("host.name", "bank-1"),
    ];
    received(part(trace(n), &spans), n, at + n * MINUTE)
}

fn received(part: Part, n: u64, at: UnixNanos) -> Part {
    Part {
        upto: Position {
            segment: 1,
            offset: u32::try_from(n).expect("small"),
        },
        received_at: at,
        ..part
    }
}

/// Text that cannot be packed, the same every time.
fn noise(bytes: usize) -> String {
    let mut state: u64 = 88_172_645_463_325_252;
    let letters = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).expect("below 90"))
    });
    letters.collect()
}

/// Half a megabyte a span: each is packed by itself, but all of them together in a fixture.
fn large() -> Part {
    let noise = noise(14 << 10).repeat(40);
    let spans: Vec<Span> = (1..=LARGE_SPANS)
        .map(|n| {
            let span = if n == 1 {
                Span::root(1)
            } else {
                Span::child(n, 1)
            };
            span.service("files")
                .at(NOW - HOUR, n)
                .with("noise", noise.as_str())
        })
        .collect();
    received(part(trace(LARGE), &spans), LARGE, NOW)
}

/// Rows of every kind, of two days.
pub async fn fill(store: &dyn Store) {
    for n in 0..5 {
        write(store, vec![request(YESTERDAY + n, NOW - DAY - 8 * HOUR)]).await;
    }
    for n in 1..=ONE_BY_ONE {
        write(store, vec![request(n, NOW - 2 * HOUR)]).await;
    }
    let out = |n, outcome| Part {
        outcome,
        ..request(n, NOW - 2 * HOUR)
    };
    write(
        store,
        vec![out(80, Outcome::CountOnly), out(81, Outcome::Drop)],
    )
    .await;
    write(store, vec![large()]).await;
    let odd = Span::root(1)
        .service("사무실 \"a\\b'")
        .name("zero\0byte")
        .with("k\0ey", "v\0alue");
    let long_ago = Span::root(1).service("shop").at(NOW - 300 * DAY, 5);
    let v7 = Span::child(2, 1).service("shop").status(SpanStatus::Ok);
    let parts = vec![
        received(part(trace(302), &[odd]), 302, NOW),
        received(part(trace(303), &[long_ago]), 303, NOW),
        received(part(trace_v7(NOW - HOUR, 4), &[v7]), 304, NOW),
    ];
    write(store, parts).await;
    let pinned = store.pin(trace(303), true, NOW).await;
    assert!(pinned.expect("a request can be kept"));
    later_parts(store, 400).await;
}

/// The state that a killed process leaves: some batches after everything else was tidied.
pub async fn fill_some_more(store: &dyn Store) {
    for n in 90..93 {
        write(store, vec![request(n, NOW - 2 * HOUR)]).await;
    }
}

/// Parts of requests that have rows: one of today, one of yesterday, the large one.
async fn later_parts(store: &dyn Store, n: u64) {
    let later = |of: u64| {
        let span = Span::child(n, 1)
            .service("mail")
            .at(NOW - HOUR, 7)
            .name("send");
        let late = Part {
            duplicates: 1,
            capped: 2,
            ..part(trace(of), &[span])
        };
        received(late, n, NOW)
    };
    write(store, [1, YESTERDAY, LARGE].map(later).to_vec()).await;
}

fn hop(test: HopTest) -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(test))
}

fn attribute(key: &str, value: ValueMatch) -> RequestExpr {
    hop(HopTest::Attribute {
        keys: vec![key.to_owned()],
        value,
    })
}

fn questions() -> Vec<(&'static str, Search)> {
    let is = |text: &str| TextMatch::Is(text.to_owned());
    let number = |least, greatest| ValueMatch::Number {
        range: Range { least, greatest },
        least_open: false,
        greatest_open: false,
    };
    let from = |least| Range {
        least: Some(least),
        greatest: None,
    };
    let everything = || search(RequestExpr::everything());
    let errors = RequestExpr::Is(RequestTest::Status(SpanStatus::Error));
    let mail = hop(HopTest::Service(is("mail")));
    let asked = vec![
        ("bank", hop(HopTest::Service(is("bank")))),
        ("mail or files", {
            let files = hop(HopTest::Service(is("files")));
            RequestExpr::Or(vec![mail.clone(), files])
        }),
        ("not mail", RequestExpr::Not(Box::new(mail))),
        ("name", hop(HopTest::Name(is("POST /orders")))),
        ("glob", hop(HopTest::Name(TextMatch::Glob("zero*".into())))),
        ("clients", hop(HopTest::Kind(SpanKind::Client))),
        ("user 3", attribute("user", ValueMatch::Text(is("user 3")))),
        ("nowhere", attribute("user", ValueMatch::Text(is("nobody")))),
        (
            "order 20 to 25",
            attribute("order.id", number(Some(20.0), Some(25.0))),
        ),
        ("ratio", attribute("ratio", number(Some(17.0), None))),
        ("is.new", attribute("is.new", ValueMatch::Text(is("true")))),
        ("host", attribute("host.name", ValueMatch::Present)),
        (
            "zero byte",
            attribute("k\0ey", ValueMatch::Text(is("v\0alue"))),
        ),
        ("exception", hop(HopTest::Exception(is("OutOfFunds")))),
        ("text", hop(HopTest::Text("no more than 3".to_owned()))),
        ("errors", errors),
        ("code 500", RequestExpr::Is(RequestTest::Code(is("500")))),
        ("many errors", RequestExpr::Is(RequestTest::Errors(from(1)))),
        ("spans", RequestExpr::Is(RequestTest::Spans(from(4)))),
        ("slow", hop(HopTest::Duration(from(500_000)))),
    ];
    let slowest = Search {
        sort: Sort::Slowest,
        ..everything()
    };
    let window = Search {
        from: NOW - DAY - 10 * HOUR,
        to: NOW - 2 * HOUR + 3 * MINUTE,
        ..everything()
    };
    let mut all = vec![
        ("everything", everything()),
        ("slowest", slowest),
        ("window", window),
    ];
    all.extend(asked.into_iter().map(|(name, expr)| (name, search(expr))));
    all
}

/// What is in a store that [`fill`] has filled, as text: one line a request, a question, a figure.
pub async fn answers(store: &dyn Store) -> String {
    let mut out = String::new();
    for (name, asked) in questions() {
        let hits = super::found(store, &asked).await;
        let hits: Vec<String> = hits.iter().map(short).collect();
        put(&mut out, &format!("{name}: {}", hits.join(" ")));
    }
    let mut all = super::found(store, &search(RequestExpr::everything())).await;
    all.sort_unstable();
    let pinned = store.pinned(&all).await.expect("the store can be read");
    for id in all {
        let found = read(store, id).await;
        put(&mut out, &line(&id, &found));
        // Schemas before the third know of none.
        if pinned.contains(&id) {
            put(&mut out, &format!("{} is kept by hand", short(&id)));
        }
    }
    let query = StatsQuery {
        to: NOW + DAY,
        step: Some(HOUR),
        ..StatsQuery::default()
    };
    for row in store.stats(&query).await.expect("the store can be read") {
        let interface = &row.interface;
        let mut sketch = Vec::new();
        row.sketch.encode(&mut sketch);
        let what = format!(
            "stats {:?} {} {:?} {}: {} {} {} {:016x}",
            interface.service,
            interface.kind.to_wire(),
            interface.name,
            row.at,
            row.count,
            row.errors,
            row.sum,
            digest(&sketch)
        );
        put(&mut out, &what);
    }
    let interfaces = store.interfaces(0, NOW + DAY, 1_000).await;
    for interface in interfaces.expect("the store can be read") {
        let (service, name) = (interface.service, interface.name);
        put(&mut out, &format!("interface {service:?} {name:?}"));
    }
    let keys = store.keys(1_000).await.expect("the store can be read");
    put(&mut out, &format!("keys {keys:?}"));
    let books = books(store).await;
    let totals = (books.stored, books.duplicate, books.left_out);
    put(&mut out, &format!("books {totals:?}"));
    out
}

fn put(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("a string takes everything");
}

/// The number behind [`trace`], and the beginning.
fn short(id: &TraceId) -> String {
    let bytes = id.as_bytes();
    format!(
        "{:02x}{:02x}.{:02x}{:02x}",
        bytes[0], bytes[1], bytes[14], bytes[15]
    )
}

fn line(id: &TraceId, found: &crate::StoredRequest) -> String {
    let summary = &found.summary;
    let mut spans = Vec::new();
    for (head, [resource, scope], raw) in content(&found.spans) {
        let SpanHead { start, end, .. } = head;
        spans.extend_from_slice(&start.to_be_bytes());
        spans.extend_from_slice(&end.to_be_bytes());
        spans.extend([&resource[..], &scope[..], &raw[..]].concat());
    }
    let counts = [
        summary.span_count,
        summary.hop_count,
        summary.service_count,
        summary.error_count,
        summary.capped_spans,
        summary.flags.0,
    ];
    let first_error = summary.first_error.as_ref();
    format!(
        "{} {} {} {} {:?} {:?} {:?} {:?} {counts:?} {:?} {:016x}",
        short(id),
        summary.started_at,
        summary.duration,
        summary.extent,
        summary.interface.service,
        summary.interface.name,
        summary.status,
        summary.code,
        first_error.map(|error| &error.message),
        digest(&spans)
    )
}

fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Goes on with a store that [`fill`] once filled: new requests, parts of those that are there, and a check.
///
/// # Panics
/// If anything is not as it must be.
pub async fn go_on(store: &dyn Store) {
    is_clean(store).await;
    let before = books(store).await;
    let spans_before = read(store, trace(LARGE)).await.spans.len();
    later_parts(store, 500).await;
    for n in 501..505 {
        write(store, vec![request(n, NOW - 12 * HOUR)]).await;
    }
    let after = books(store).await;
    assert_eq!(after.stored, before.stored + 3 + 4 * 3);
    assert_eq!(after.duplicate, before.duplicate + 3);
    for n in [1, YESTERDAY, LARGE] {
        let found = read(store, trace(n)).await;
        let is_there = |id| {
            found
                .spans
                .iter()
                .any(|span| span.head.span_id == span_id(id))
        };
        assert!(is_there(500) && is_there(400) && is_there(1), "request {n}");
    }
    assert_eq!(
        read(store, trace(LARGE)).await.spans.len(),
        spans_before + 1
    );
    for n in 501..505 {
        let asked = attribute("order.id", ValueMatch::Text(TextMatch::Is(n.to_string())));
        assert_eq!(super::found(store, &search(asked)).await, [trace(n)]);
    }
    is_clean(store).await;
}

/// That a check finds nothing wrong.
///
/// # Panics
/// If it does.
pub async fn is_clean(store: &dyn Store) {
    let report = store.check(&|_, _| ()).await;
    assert_eq!(report.expect("the store can be read").differences, []);
}
