//! What is asked of a store of any size, and written to it: each takes the same pages whatever lies beside what it
//! is about.

use super::{DAYS, Filler, Request, WIDTH, day, halves, operation, rare, service, write_batch};
use crate::conformance::build::{Span, part, trace};
use crate::conformance::search as everything;
use crate::filter::merged::SEGMENTS;
use crate::{
    HopExpr, HopTest, Part, Range, RequestExpr, RequestTest, Search, Sort, StatsQuery, Store,
    TextMatch, ValueMatch,
};
use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_model::{SpanKind, SpanStatus, TraceId, UnixNanos};
use std::sync::Arc;

/// Something that readers, the assembler or upkeep do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// A request by its id, of the oldest day.
    Request,
    /// A request that is not there.
    NoRequest,
    /// A request whose id tells the time.
    TimeOrderedRequest,
    /// A request that lies in `parts`, after it has grown.
    LargeRequest,
    /// Which of a hundred requests have rows.
    Stored,
    /// The newest 20 requests of a service that has many.
    Service,
    /// Of one that few requests come by.
    SeldomService,
    /// Of an interface.
    Interface,
    /// Of an interface, that took a second or more.
    SlowInterface,
    /// The slowest 20 of all.
    Slowest,
    /// The newest 20 that failed.
    Failed,
    /// Two pages of ten minutes long ago.
    Minutes,
    /// A value that one request has, in its hour.
    RareInItsHour,
    /// The same, and nobody knows when.
    Rare,
    /// A value that no request has.
    Nowhere,
    /// Sums of ten minutes by minute.
    SumsByMinute,
    /// Of one service.
    SumsByMinuteOfService,
    /// Sums of two hours.
    SumsByHour,
    /// Of one service.
    SumsByHourOfService,
    /// The names of some interfaces.
    Interfaces,
    /// Some attribute keys.
    Keys,
    /// Totals.
    Books,
    /// Figures.
    Health,
    /// 64 batches of new requests; their roll-ups go into the tables.
    NewRequests,
    /// Later parts of requests that have rows.
    LaterParts,
    /// A checkpoint.
    Checkpoint,
    /// A partition comes, a request of it is kept by hand, the others go; it is let go, and retention takes all of it.
    Retention,
    /// Learning a dictionary.
    Training,
    /// Twice as many batches as are merged, and merging.
    Merging,
    /// Packing a segment's rows anew.
    Packing,
}

/// All of them, those that write last.
pub const ALL: [Question; 30] = [
    // First, so that the smaller store has something merged, too.
    Question::Merging,
    Question::Request,
    Question::NoRequest,
    Question::TimeOrderedRequest,
    Question::Stored,
    Question::Service,
    Question::SeldomService,
    Question::Interface,
    Question::SlowInterface,
    Question::Slowest,
    Question::Failed,
    Question::Minutes,
    Question::RareInItsHour,
    Question::Rare,
    Question::Nowhere,
    Question::SumsByMinute,
    Question::SumsByMinuteOfService,
    Question::SumsByHour,
    Question::SumsByHourOfService,
    Question::Interfaces,
    Question::Keys,
    Question::Books,
    Question::Health,
    Question::NewRequests,
    Question::LaterParts,
    Question::LargeRequest,
    Question::Checkpoint,
    Question::Retention,
    Question::Training,
    Question::Packing,
];

impl Question {
    /// By how much its pages may grow while the store grows tenfold.
    pub fn growth(self) -> u64 {
        match self {
            // A slice of the merged filters of every 128 segments is asked, of single ones at most 127.
            Self::Rare | Self::Nowhere => 10,
            // A group is of batches of any size.
            Self::Merging => 4,
            _ => 2,
        }
    }

    /// In how many partitions it may look for rows at most.
    pub fn partitions(self) -> usize {
        match self {
            // The one that the time says, and the one after it.
            Self::TimeOrderedRequest => 2,
            Self::Minutes | Self::RareInItsHour => 1,
            _ => usize::MAX,
        }
    }

    /// Does it and says what came of it: the same in a store of any size. `round` is another number each time
    /// that a store is asked.
    ///
    /// # Panics
    /// If the store does not answer.
    pub async fn ask(self, store: &dyn Store, filler: &mut Filler, round: u64) -> String {
        match self {
            Self::Request => get(store, Request::new(0, 0, 1_000).trace_id).await,
            Self::NoRequest => get(store, trace(u64::MAX)).await,
            Self::TimeOrderedRequest => {
                get(store, Request::new(0, 0, super::TIME_ORDERED).trace_id).await
            }
            Self::Stored => {
                let ids: Vec<_> = (0..100)
                    .map(|n| Request::new(0, DAYS - 1, n).trace_id)
                    .collect();
                let stored = store.stored(&ids).await;
                stored.expect("the store can be read").len().to_string()
            }
            Self::Interfaces => {
                let all = store.interfaces(0, UnixNanos::MAX, 10).await;
                all.expect("the store can be read").len().to_string()
            }
            Self::Keys => {
                let keys = store.keys(3).await;
                keys.expect("the store can be read").join(" ")
            }
            Self::Books => {
                let books = store.books().await.expect("the store can be read");
                (books.stored > 0).to_string()
            }
            Self::Health => {
                let health = store.health().await.expect("the store can be read");
                health.partitions.len().to_string()
            }
            Self::NewRequests
            | Self::LaterParts
            | Self::LargeRequest
            | Self::Checkpoint
            | Self::Retention
            | Self::Training
            | Self::Merging
            | Self::Packing => self.change(store, filler, round).await,
            Self::SumsByMinute
            | Self::SumsByMinuteOfService
            | Self::SumsByHour
            | Self::SumsByHourOfService => self.sums(store).await,
            _ => self.search(store).await,
        }
    }

    async fn search(self, store: &dyn Store) -> String {
        let search = self.query();
        let page = store.search(&search).await.expect("the store can be read");
        assert!(page.complete, "{self:?}: {page:?}");
        let mut hits = page.hits.len();
        if self == Self::Minutes {
            let after = page.next;
            let next = store.search(&Search { after, ..search }).await;
            hits += next.expect("the store can be read").hits.len();
        }
        format!("{hits} requests")
    }

    fn query(self) -> Search {
        let newest = |expr| Search {
            limit: 20,
            ..everything(expr)
        };
        let hop = |tests: Vec<HopTest>| {
            let tests = tests.into_iter().map(HopExpr::Is).collect();
            newest(RequestExpr::Hop(HopExpr::And(tests)))
        };
        let of_service = |name: String| HopTest::Service(TextMatch::Is(name));
        let operation = || HopTest::Name(TextMatch::Is(operation(0)));
        let customer = |id: String| HopTest::Attribute {
            keys: vec!["customer.id".to_owned()],
            value: ValueMatch::Text(TextMatch::Is(id)),
        };
        match self {
            Self::Service => hop(vec![of_service(service(1))]),
            Self::SeldomService => hop(vec![of_service("seldom".to_owned())]),
            Self::Interface => hop(vec![
                of_service(service(0)),
                HopTest::Kind(SpanKind::Server),
                operation(),
            ]),
            Self::SlowInterface => {
                let range = Range {
                    least: Some(1_000_000_000),
                    greatest: None,
                };
                hop(vec![
                    of_service(service(0)),
                    operation(),
                    HopTest::Duration(range),
                ])
            }
            Self::Slowest => Search {
                sort: Sort::Slowest,
                ..newest(RequestExpr::everything())
            },
            Self::Failed => newest(RequestExpr::Is(RequestTest::Status(SpanStatus::Error))),
            Self::Minutes => Search {
                from: day(1) + 20 * MINUTE,
                to: day(1) + 30 * MINUTE,
                ..newest(RequestExpr::everything())
            },
            Self::RareInItsHour => {
                let middle = day(1) + WIDTH / 2;
                Search {
                    from: middle - HOUR / 2,
                    to: middle + HOUR / 2,
                    ..hop(vec![customer(rare(0, 1))])
                }
            }
            Self::Rare => hop(vec![customer(rare(0, 1))]),
            _ => hop(vec![customer("nobody".to_owned())]),
        }
    }

    async fn sums(self, store: &dyn Store) -> String {
        let (service, step, length) = match self {
            Self::SumsByMinute => (None, Some(MINUTE), 10 * MINUTE),
            Self::SumsByMinuteOfService => (Some("seldom"), Some(MINUTE), 10 * MINUTE),
            Self::SumsByHour => (None, None, 2 * HOUR),
            _ => (Some("seldom"), None, 2 * HOUR),
        };
        let query = StatsQuery {
            from: day(1),
            to: day(1) + length,
            step,
            service: service.map(str::to_owned),
            ..StatsQuery::default()
        };
        let rows = store.stats(&query).await.expect("the store can be read");
        let spans: u64 = rows.iter().map(|row| row.count).sum();
        format!("{spans} spans in {} rows", rows.len())
    }

    async fn change(self, store: &dyn Store, filler: &mut Filler, round: u64) -> String {
        match self {
            Self::NewRequests => {
                for batch in 0..64 {
                    let parts = new_parts(filler, round * 1_000 + batch * 8, 8);
                    write_batch(store, parts).await;
                }
                String::new()
            }
            Self::LaterParts => {
                let parts = new_parts(filler, round * 1_000 + 600, 32);
                let (first, second): (Vec<_>, Vec<_>) = parts
                    .iter()
                    .map(|part| halves(part))
                    .map(|(first, second)| (Arc::new(first), Arc::new(second)))
                    .unzip();
                write_batch(store, first).await;
                write_batch(store, second).await;
                String::new()
            }
            Self::LargeRequest => {
                let id = Request::late(round * 1_000 + 700).trace_id;
                for part_number in 0..3 {
                    write_batch(store, vec![Arc::new(large_part(id, part_number))]).await;
                }
                get(store, id).await
            }
            Self::Checkpoint => {
                filler.checkpoint(store).await;
                String::new()
            }
            Self::Retention => {
                let kept = old_part(round * 1_000 + 800);
                let id = kept.trace_id;
                let mut dropped = Vec::new();
                pin(store, id, true).await;
                // First there is nothing to be taken out of it.
                for parts in [vec![kept], vec![old_part(round * 1_000 + 801)], Vec::new()] {
                    if parts.is_empty() {
                        pin(store, id, false).await;
                    } else {
                        write_batch(store, parts).await;
                    }
                    let gone = store.retain(crate::conformance::NOW).await;
                    dropped.push(gone.expect("the store can be written"));
                }
                format!("{dropped:?}")
            }
            Self::Merging => {
                for batch in 0..2 * SEGMENTS.unsigned_abs() {
                    let parts = new_parts(filler, round * 1_000 + batch, 1);
                    write_batch(store, parts).await;
                }
                assert!(merge_all(store).await > 0, "nothing was merged");
                while store.give_back().await.expect("space can be given back") {}
                String::new()
            }
            Self::Packing => {
                let step = store.repack().await;
                (step.expect("the store can be written").rows > 0).to_string()
            }
            _ => {
                // Whether it is any better is another matter.
                let trained = store.train().await;
                trained.expect("the store can be written");
                String::new()
            }
        }
    }
}

/// Merges what can be merged; how many groups.
pub(in crate::conformance) async fn merge_all(store: &dyn Store) -> usize {
    let mut groups = 0;
    while store.merge().await.expect("filters can be merged") {
        groups += 1;
    }
    groups
}

async fn get(store: &dyn Store, id: TraceId) -> String {
    let found = store.get(&id).await.expect("the store can be read");
    found.map_or("nothing".to_owned(), |found| {
        format!("{} spans", found.spans.len())
    })
}

/// Of a partition that is past every age.
fn old_part(number: u64) -> Arc<Part> {
    let start = day(0) - 20 * DAY;
    let span = Span::root(1).at(start, 1_000_000);
    Arc::new(Part {
        received_at: start,
        ..part(Request::late(number).trace_id, &[span])
    })
}

/// Keeps a request by hand, or lets it go, and asks whether it is kept.
async fn pin(store: &dyn Store, id: TraceId, is_kept: bool) {
    let changed = store.pin(id, is_kept, crate::conformance::NOW).await;
    assert!(changed.expect("the store can be written"));
    let pinned = store.pinned(&[id]).await.expect("the store can be read");
    assert_eq!(pinned.contains(&id), is_kept);
}

fn new_parts(filler: &mut Filler, first: u64, count: u64) -> Vec<Arc<Part>> {
    let upto = filler.next_position();
    let mut raw = Vec::new();
    let parts = (first..first + count)
        .map(|n| filler.shapes.part(&Request::late(n), upto, &mut raw))
        .map(Arc::new);
    parts.collect()
}

/// Spans that do not compress, more than are packed as one frame.
fn large_part(id: TraceId, part_number: u64) -> Part {
    let spans: Vec<Span> = (1..=30)
        .map(|n| {
            let n = part_number * 30 + n;
            let span = match n {
                1 => Span::root(1),
                _ => Span::child(n, 1),
            };
            let noise = crate::conformance::writing::noise(n, 4_000);
            span.at(day(DAYS - 1) + HOUR + n, 1_000)
                .with("noise", noise.as_str())
        })
        .collect();
    Part {
        received_at: day(DAYS - 1) + HOUR,
        ..part(id, &spans)
    }
}
