//! Every statement in a store of a million and of ten million spans: its plan, and the pages it reads.
//!
//! What the store does is explained by the server itself while it runs: `auto_explain` says the plan that was used,
//! `pg_stat_statements` counts the buffers, also those of columns that lie beside their row, which an EXPLAIN does not
//! read.

use super::tests::{Plans, compare as compare_plans, judge, plans, run};
use super::{ALL, Args};
use crate::partition::Partition;
use crate::repack::{exchange, read_lines};
use crate::source::Source;
use crate::tables::{PartitionTables, begin_snapshot, end_snapshot};
use crate::writer::insert_dictionary;
use crate::{Config, PostgresStore, db, sql};
use hoplog_model::times::DAY;
use hoplog_store::conformance::volume::beside::{self, WARM, Waits};
use hoplog_store::conformance::volume::ledger::{Ledger, Run, compare, table};
use hoplog_store::conformance::volume::{Filler, SLICE_SPANS, SLICES, questions};
use hoplog_store::conformance::{NOW, clock};
use hoplog_store::filter::merged::group_of;
use hoplog_store::retention::{Age, Keep};
use hoplog_store::tables::{Smaller, Tables};
use hoplog_store::walk::SegmentSource;
use hoplog_store::{Maintenance, SpanWriter};
use hoplog_testkit::postgres::Postgres;
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Statistics are made by the test, when it says so. What survives a crash is not asked here.
const SETTINGS: [(&str, &str); 11] = [
    ("autovacuum", "off"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "4GB"),
    ("shared_buffers", "256MB"),
    (
        "shared_preload_libraries",
        "auto_explain,pg_stat_statements",
    ),
    ("pg_stat_statements.max", "10000"),
    ("auto_explain.log_format", "json"),
    // Off until a store is asked.
    ("auto_explain.log_min_duration", "-1"),
];
const DATABASE: &str = "volume";
/// How often a question is asked. The least of its pages count: the others hold what a session looks up of a table
/// when it first sees it.
const ROUNDS: u64 = 4;

/// A server, and how much of its log was read.
struct Volume {
    server: Postgres,
    filler: Filler,
    logged: usize,
}

impl Volume {
    fn new() -> Self {
        let server = Postgres::start_with(&SETTINGS).unwrap();
        server.create_database(DATABASE).unwrap();
        let extension = "CREATE EXTENSION pg_stat_statements";
        server.psql(DATABASE, extension).unwrap();
        Self {
            server,
            filler: Filler::default(),
            logged: 0,
        }
    }

    async fn open(&self) -> PostgresStore {
        let url = self.server.url(DATABASE);
        let store = PostgresStore::open(&url, Config::default(), clock()).await;
        store.unwrap()
    }

    /// Fills the store up.
    async fn fill(&mut self, slices: Range<u64>) {
        let begun = Instant::now();
        let spans = slices.end * SLICE_SPANS / 1_000_000;
        let store = self.open().await;
        self.filler.fill(&store, slices).await;
        store.close().await.unwrap();
        println!("{spans} million spans, after {:?}", begun.elapsed());
    }

    /// Statements that were run since the last call, and the pages they took. Each used the plan it is meant to.
    fn runs(&mut self) -> Vec<Run> {
        let explained = self.explained();
        let counted = self.server.psql(DATABASE, COUNTED).unwrap();
        let counted = counted.lines().filter_map(counted_run);
        let runs: Vec<Run> = counted.collect();
        let names = runs.iter().map(|run| run.statement.clone());
        assert_eq!(names.collect::<BTreeSet<_>>(), explained);
        runs
    }

    /// Judges what was explained since the last call; the names of the statements.
    fn explained(&mut self) -> BTreeSet<String> {
        let (log, logged) = self.server.log_after(self.logged).unwrap();
        self.logged = logged;
        let mut lines = log.lines().peekable();
        let mut names = BTreeSet::new();
        while let Some(line) = lines.next() {
            if !line.ends_with(" plan:") {
                continue;
            }
            let mut json = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
                json.push_str(line);
            }
            names.extend(explained_statement(&serde_json::from_str(&json).unwrap()));
        }
        names
    }

    /// Takes down what everything costs in the store.
    async fn ask(&mut self, spans: u64) -> Ledger {
        self.explain(0);
        // What was run till now was not explained.
        self.explained();
        self.server.psql(DATABASE, COUNTED).unwrap();
        let mut ledger = Ledger::default();
        let begun = Instant::now();
        let store = self.open().await;
        store.recovery().await.unwrap();
        println!("{spans} million spans, opened in {:?}", begun.elapsed());
        ledger.note("Open", String::new(), self.runs());
        for (question, n) in questions::ALL.into_iter().zip(1..) {
            let mut least: Option<(u64, String, Vec<Run>)> = None;
            for round in 0..ROUNDS {
                let number = (spans * 100 + n) * ROUNDS + round;
                let answer = question.ask(&store, &mut self.filler, number).await;
                let runs = self.runs();
                let pages = runs.iter().map(|run| run.pages).sum();
                if least.as_ref().is_none_or(|(least, ..)| pages < *least) {
                    least = Some((pages, answer, runs));
                }
            }
            let (_, answer, runs) = least.expect("it was asked");
            ledger.note(&format!("{question:?}"), answer, runs);
        }
        check_a_segment(&store).await;
        ledger.note("Check", String::new(), self.runs());
        look_for_a_batch(&store).await;
        ledger.note("Doubt", String::new(), self.runs());
        exchange_a_segment(&store, spans).await;
        ledger.note("Exchange", String::new(), self.runs());
        store.close().await.unwrap();
        self.explain(-1);
        println!(
            "{spans} million spans, all asked after {:?}",
            begun.elapsed()
        );
        ledger
    }

    /// Whether new sessions explain what takes so many milliseconds.
    fn explain(&self, milliseconds: i32) {
        let set =
            format!("ALTER DATABASE {DATABASE} SET auto_explain.log_min_duration = {milliseconds}");
        self.server.psql("postgres", &set).unwrap();
    }
}

/// What the server has counted, and from now on counts anew.
const COUNTED: &str = "
    SELECT json_build_object('text', query, 'runs', calls,
        'pages', shared_blks_hit + shared_blks_read)
    FROM pg_stat_statements;
    SELECT FROM pg_stat_statements_reset();
";

/// The statement that was explained; none if it is not of [`ALL`], as all are that read what is stored.
fn explained_statement(explained: &Value) -> Option<String> {
    let (text, place) = without_partition(explained["Query Text"].as_str()?);
    let statement = ALL.iter().find(|one| one.text.trim() == text.trim())?;
    let wrong = judge(statement, &explained["Plan"], &place);
    assert!(
        wrong.is_empty(),
        "{}: {wrong:?}\n{explained:#}",
        statement.name
    );
    Some(statement.name.to_owned())
}

/// From a line of [`COUNTED`].
fn counted_run(line: &str) -> Option<Run> {
    let counted: Value = serde_json::from_str(line).ok()?;
    let (text, place) = without_partition(counted["text"].as_str()?);
    let statement = ALL.iter().find(|one| is_text_of(&text, one.text))?;
    Some(Run {
        statement: statement.name.to_owned(),
        place,
        runs: counted["runs"].as_u64()?,
        pages: counted["pages"].as_u64()?,
    })
}

/// Whether a text is that of a statement, where the server has put parameters in place of constants.
fn is_text_of(text: &str, statement: &str) -> bool {
    let words = text.split_whitespace().zip(statement.split_whitespace());
    let same = text.split_whitespace().count() == statement.split_whitespace().count();
    same && words
        .into_iter()
        .all(|(word, own)| word == own || word.contains('$'))
}

/// The text as it stands in its file, and the ending of the partition's tables.
fn without_partition(text: &str) -> (String, String) {
    let is_name = |name: &str| {
        let mut bytes = name.bytes().enumerate();
        bytes.all(|(at, byte)| match at {
            8 => byte == b't',
            _ => byte.is_ascii_digit(),
        })
    };
    let mut names = text.match_indices('_').filter_map(|(at, _)| {
        let rest = text.get(at + 1..)?;
        rest.get(..15).filter(|name| is_name(name))?;
        // A partition that took another one's place has a number, too.
        let number = rest.get(15..)?.strip_prefix('_');
        let digits = number.map_or(0, |number| {
            let digits = number.bytes().take_while(u8::is_ascii_digit);
            digits.count()
        });
        rest.get(..15 + digits + usize::from(digits > 0))
    });
    match names.next() {
        Some(name) => (text.replace(&format!("_{name}"), "_X"), name.to_owned()),
        None => (text.to_owned(), String::new()),
    }
}

/// What a check reads of one segment; it goes through all of them.
async fn check_a_segment(store: &PostgresStore) {
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let partitions = store.shared.partitions(&mut connection).await.unwrap();
    begin_snapshot(&mut connection).await.unwrap();
    let partition = partitions.last().unwrap();
    let tables = PartitionTables::open(&store.shared, &mut connection, partition);
    let mut tables = tables.await.unwrap();
    let segments = tables.since(1, 1).await.unwrap();
    let segment = segments[0].segment;
    assert!(tables.whole_rows(segment).await.unwrap().len() > 300);
    assert!(
        !tables
            .records(segment..segment + 1)
            .await
            .unwrap()
            .is_empty()
    );
    let merged = tables.merged(group_of(segment)).await.unwrap();
    assert!(!merged.is_empty());
    let single = tables.filters(segment..segment + 1).await.unwrap();
    assert_eq!(single, []);
    // What a search asks when rows moved meanwhile.
    let source = Source {
        partition: partition.clone(),
        shared: Arc::clone(&store.shared),
    };
    assert_eq!(source.since(segment, 3).await.unwrap().len(), 3);
    end_snapshot(&mut connection).await.unwrap();
}

/// What a commit without an answer leads to, a look at all collectors, and a dictionary that is there already.
async fn look_for_a_batch(store: &PostgresStore) {
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let args = Args::new()
        .with("hoplog")
        .with(1_i64)
        .with(1_i64)
        .with(1_i64);
    let found = db::all(&mut connection, &sql::FIND_UPTO, args)
        .await
        .unwrap();
    assert!(found.is_empty());
    assert_eq!(store.checkpoints().await.unwrap().len(), 1);
    let dictionary = store.shared.dictionaries.current().unwrap();
    let added = insert_dictionary(&mut connection, &dictionary, None, NOW).await;
    added.unwrap();
}

/// Frames put in the place of others: whether those of a segment would be smaller is another matter. Of a segment that
/// was not touched before.
async fn exchange_a_segment(store: &PostgresStore, spans: u64) {
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let partitions = store.shared.partitions(&mut connection).await.unwrap();
    let day = partitions[0].day();
    let segment = 10 + spans.cast_signed();
    let lines = read_lines(&mut connection, day, segment).await.unwrap();
    let count = lines.len();
    assert!(count > 300, "{count} rows");
    let same = lines.into_iter().map(|line| Smaller {
        row: line.row,
        was: line.check,
        dictionary: 0,
        frames: line.frames,
        check: line.check,
        saved: 0,
    });
    let exchanged = exchange(&mut connection, day, same.collect()).await;
    assert_eq!(exchanged.unwrap().len(), count);
}

/// Plans of the oldest and the newest partition of the history.
async fn all_plans(connection: &mut PgConnection, partitions: &[Partition]) -> [Plans; 2] {
    let first = plans(connection, &partitions[0]).await;
    let last = plans(connection, partitions.last().unwrap()).await;
    [first, last]
}

fn compare_all(now: &[Plans; 2], before: &[Plans; 2]) {
    for (now, before) in now.iter().zip(before) {
        compare_plans(now, before);
    }
}

/// A day goes, then of the next one what is past its age, beside a writer and a reader. Says how long it takes and what
/// the others wait at most, before and meanwhile; on how many processors that is measured the figures depend too much
/// for a verdict.
async fn retain_beside_others(url: &str) {
    let rest_goes = Keep {
        errors: Age::Forever,
        ..Keep::all(2 * DAY)
    };
    for (what, keep) in [
        ("the oldest day", Keep::all(3 * DAY)),
        ("what is no error of the next", rest_goes),
    ] {
        let config = Config {
            keep,
            ..Config::default()
        };
        let store = PostgresStore::open(url, config, clock()).await;
        let store = Arc::new(store.unwrap());
        let waits: [Arc<Waits>; 2] = Default::default();
        let [writes, reads] = waits.clone();
        let writing = Arc::clone(&store);
        let writing = tokio::spawn(async move { beside::write(&*writing, &writes).await });
        let reading = Arc::clone(&store);
        let reading = tokio::spawn(async move { beside::read(&*reading, &reads).await });
        let is_over = || writing.is_finished() || reading.is_finished();
        while waits.iter().any(|waits| waits.calls() < WARM) && !is_over() {
            tokio::task::yield_now().await;
        }
        let before = waits.each_ref().map(|waits| waits.take());
        let began = Instant::now();
        let rows = store.retain(NOW).await.unwrap();
        println!("{rows} requests, {what}, went in {:?}", began.elapsed());
        for (who, waits, (_, before)) in [
            ("writer", &waits[0], before[0]),
            ("reader", &waits[1], before[1]),
        ] {
            let (calls, longest) = waits.take();
            println!("  the {who} waited {longest:?} at most in {calls} calls; {before:?} before");
            waits.stop();
        }
        writing.await.unwrap();
        reading.await.unwrap();
        assert!(rows > 0);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a release build: cargo xtask test runs it"]
async fn pages_read_do_not_grow_with_the_store() {
    let mut volume = Volume::new();
    volume.fill(0..1).await;
    // A session as the store's are.
    let store = volume.open().await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let partitions = store.shared.partitions(&mut connection).await.unwrap();
    store.close().await.unwrap();
    let say = |text: &str| text.to_owned();
    // Without statistics, then with true ones.
    let before = all_plans(&mut connection, &partitions).await;
    run(&mut connection, say("ANALYZE")).await;
    compare_all(&all_plans(&mut connection, &partitions).await, &before);
    let small = volume.ask(1).await;
    // With those of a tenth of the store, with true ones, with none.
    volume.fill(1..SLICES).await;
    compare_all(&all_plans(&mut connection, &partitions).await, &before);
    let full = volume.ask(10).await;
    run(&mut connection, say("ANALYZE")).await;
    compare_all(&all_plans(&mut connection, &partitions).await, &before);
    run(&mut connection, say("DELETE FROM pg_statistic")).await;
    compare_all(&all_plans(&mut connection, &partitions).await, &before);
    println!("{}", table(&small, &full));
    for ledger in [&small, &full] {
        let run = ledger.statements();
        let names = ALL.iter().map(|statement| statement.name);
        let missing: Vec<_> = names.filter(|name| !run.contains(name)).collect();
        assert_eq!(missing, [""; 0], "statements that no question runs");
    }
    assert_eq!(compare(&small, &full), [""; 0]);
    retain_beside_others(&volume.server.url(DATABASE)).await;
}
