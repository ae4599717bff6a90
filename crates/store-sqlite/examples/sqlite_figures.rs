//! What rows cost: writes a part of the benchmark's corpus and prints CPU time by thread and bytes by
//! table, per span. `cargo run --release -p hoplog-store-sqlite --example sqlite_figures -- [SPANS]
//! [BATCHES]`: after so many batches a dictionary is trained; what came before is packed anew at the end.

use hoplog_model::{Clock, Position, SystemClock, TraceId};
use hoplog_otlp::{Limits, SpanSet, slice};
use hoplog_store::{Checkpoint, Maintenance, Outcome, Part, SpanWriter, TraceReader, WriteBatch};
use hoplog_store_sqlite::{Config, SqliteStore};
use hoplog_testkit::corpus::{Corpus, CorpusOptions};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let spans = std::env::args()
        .nth(1)
        .map_or(Ok(200_000), |spans| spans.parse())?;
    let train_at = std::env::args()
        .nth(2)
        .map_or(Ok(10), |batches| batches.parse())?;
    let dir = tempfile::tempdir()?;
    let keep = std::env::var("KEEP").is_ok();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open(dir.path(), Config::default(), Arc::clone(&clock)).await?;
    let parts = parts(spans, clock.now())?;
    let requests = parts.len();
    let before = cpu();
    let mut written = 0;
    for (index, batch) in parts.chunks(512).enumerate() {
        let batch = WriteBatch {
            parts: batch.to_vec(),
        };
        written += store.write(batch).await?.stored;
        if index == train_at {
            println!("trained: {}", store.train().await?);
        }
        if index % 30 == 29 {
            let position = Position {
                segment: 1,
                offset: u32::try_from(index * 512)?,
            };
            store
                .checkpoint(Checkpoint {
                    position,
                    inbox_totals: Vec::new(),
                })
                .await?;
        }
    }
    println!("{requests} requests, {written} spans");
    for (thread, ms) in cpu() {
        let ms = ms - before.get(&thread).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let each = ms as f64 * 1_000.0 / written as f64;
        println!("{each:8.3} us a span  {thread}");
    }
    let begun = clock.now();
    for part in parts.iter().step_by(requests / 200 + 1) {
        store
            .get(&part.trace_id)
            .await?
            .ok_or("a request is missing")?;
    }
    println!("by id: {} us each", (clock.now() - begun) / 1_000 / 200);
    let before = cpu();
    let mut packed = (0, 0, 0);
    loop {
        let step = store.repack().await?;
        packed = (packed.0 + step.rows, packed.1 + step.saved, packed.2 + 1);
        if !step.more {
            break;
        }
    }
    let spent: u64 = cpu()
        .into_iter()
        .map(|(thread, ms)| ms - before.get(&thread).copied().unwrap_or_default())
        .sum();
    println!(
        "packed anew: {} rows, {} bytes saved, {} steps, {spent} ms of CPU",
        packed.0, packed.1, packed.2
    );
    println!("{:?}", store.health().await?.packing);
    store.close().await?;
    for entry in std::fs::read_dir(dir.path().join("partitions"))? {
        tables(&entry?.path(), written).await?;
    }
    if keep {
        println!("{}", dir.keep().display());
    }
    Ok(())
}

/// Every request of a corpus, in the order in which they are complete.
fn parts(spans: u64, now: u64) -> Result<Vec<Arc<Part>>, Box<dyn Error>> {
    let options = CorpusOptions {
        spans,
        start_at: now,
        ..CorpusOptions::default()
    };
    let mut open: HashMap<TraceId, (usize, SpanSet)> = HashMap::new();
    for (at, batch) in Corpus::new(options).batches().enumerate() {
        let sliced = slice(batch.bytes, &Limits::default())?;
        for span in &sliced.spans {
            let (last, set) = open.entry(span.trace_id).or_default();
            *last = at;
            let raw = &sliced.bytes[span.start as usize..span.end as usize];
            set.push(&sliced.groups[span.group as usize], span.head, raw);
        }
    }
    let mut open: Vec<_> = open.into_iter().collect();
    open.sort_by_key(|(_, (last, _))| *last);
    let part = |(index, (trace_id, (_, spans))): (usize, (TraceId, (usize, SpanSet)))| {
        let upto = Position {
            segment: 1,
            offset: u32::try_from(index)?,
        };
        let outcome = Outcome::Keep;
        Ok(Arc::new(Part {
            trace_id,
            spans,
            upto,
            received_at: now,
            outcome,
            duplicates: 0,
            capped: 0,
        }))
    };
    open.into_iter().enumerate().map(part).collect()
}

/// CPU time of every thread so far, in ms.
fn cpu() -> HashMap<String, u64> {
    let mut all = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
        let name = name.split_once('(').unwrap_or_default().1;
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .flat_map(str::parse::<u64>)
            .sum();
        *all.entry(name.to_owned()).or_default() += ticks * 10;
    }
    all
}

async fn tables(path: &Path, spans: u64) -> Result<(), Box<dyn Error>> {
    use sqlx::{Connection, Row};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
    let sql = "SELECT name, sum(pgsize), sum(payload) FROM dbstat GROUP BY name ORDER BY 2 DESC";
    println!(
        "{}: {} bytes",
        path.display(),
        std::fs::metadata(path)?.len()
    );
    for row in sqlx::query(sql).fetch_all(&mut connection).await? {
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let each = |column: usize| row.get::<i64, _>(column) as f64 / spans as f64;
        println!(
            "{:8.2} B a span ({:.2} used)  {}",
            each(1),
            each(2),
            row.get::<String, _>(0)
        );
    }
    let free = sqlx::query("PRAGMA freelist_count")
        .fetch_one(&mut connection)
        .await?;
    println!("free pages: {}", free.get::<i64, _>(0));
    Ok(())
}
