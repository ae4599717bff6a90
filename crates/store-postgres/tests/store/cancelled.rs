//! Callers that give up.

use hoplog_model::{Position, TraceId};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::upgrade::is_clean;
use hoplog_store::conformance::{NOW, clock, found, search};
use hoplog_store::{
    Checkpoint, HopExpr, HopTest, Maintenance, Part, RequestExpr, SpanWriter, StatsQuery,
    TextMatch, TraceReader, WriteBatch,
};
use hoplog_store_postgres::{Config, PostgresStore};
use hoplog_testkit::cut::cut_short;
use hoplog_testkit::postgres::Database;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Callers at the same time, and calls of each.
const CALLERS: u64 = 8;
const CALLS: u64 = 60;

fn request(n: u64) -> Part {
    let spans = [
        Span::root(1)
            .at(NOW - n, 5)
            .with("n", i64::try_from(n).unwrap()),
        Span::child(2, 1).at(NOW - n, 3).service("bank"),
    ];
    Part {
        upto: Position {
            segment: 1,
            offset: u32::try_from(n).unwrap(),
        },
        ..part(trace(n), &spans)
    }
}

/// Calls by one caller; those of its requests whose writing was answered.
async fn calls(store: Arc<PostgresStore>, caller: u64) -> Vec<TraceId> {
    let mut chance = StdRng::seed_from_u64(caller);
    let mut written = Vec::new();
    for n in 0..CALLS {
        let n = caller * 1_000 + n + 1;
        let polls = chance.random_range(1..12);
        match chance.random_range(0..9) {
            0..4 => {
                let parts = vec![Arc::new(request(n))];
                let done = cut_short(store.write(WriteBatch { parts }), polls).await;
                if let Some(done) = done {
                    done.unwrap();
                    written.push(trace(n));
                }
            }
            4 => drop(cut_short(store.get(&trace(n - 1)), polls).await),
            5 => {
                let bank = HopTest::Service(TextMatch::Is("bank".to_owned()));
                let asked = search(RequestExpr::Hop(HopExpr::Is(bank)));
                drop(cut_short(store.search(&asked), polls).await);
            }
            6 => {
                let all = StatsQuery {
                    to: 2 * NOW,
                    ..StatsQuery::default()
                };
                drop(cut_short(store.stats(&all), polls).await);
            }
            7 => {
                let checkpoint = Checkpoint::default();
                drop(cut_short(store.checkpoint(checkpoint), polls).await);
            }
            _ => drop(cut_short(store.retain(NOW), polls).await),
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_cut_short_by_the_hundred_leave_no_transaction_and_no_half_of_anything() {
    let database = Database::new().unwrap();
    let store = PostgresStore::open(&database.url(), Config::default(), clock()).await;
    let store = Arc::new(store.unwrap());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(calls(Arc::clone(&store), caller));
    }
    let written = callers.join_all().await.concat();
    let cut = (CALLERS * CALLS) as usize - written.len();
    assert!(written.len() > 10 && cut > 100, "{} written", written.len());
    assert_eq!(
        database.idle_in_transaction("hoplog.partitions").unwrap(),
        0
    );
    let all = found(store.as_ref(), &search(RequestExpr::everything())).await;
    for id in written {
        assert!(all.contains(&id), "{id} was answered and is not there");
    }
    is_clean(store.as_ref()).await;
    store.close().await.unwrap();
}
