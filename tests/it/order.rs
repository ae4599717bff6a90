//! However the spans of a request arrive, its row is that of all at once.
//!
//! In process, with time as a parameter: generated requests go through the assembler into a store
//! in any order, split, doubled, unfinished first, late, and with crashes in between.

use anyhow::{Context, Result};
use bytes::Bytes;
use hoplog_assemble::{Assembler, Config, Record};
use hoplog_model::times::{HOUR, SECOND};
use hoplog_model::{Flags, Position, SpanKind, SpanStatus, Summary, UnixNanos};
use hoplog_otlp::{Limits, Sliced, slice};
use hoplog_store::Maintenance;
use hoplog_store::conformance::build::{Span, set, trace};
use hoplog_store::conformance::generated::{Answers, ask, request_expr, same};
use hoplog_store::conformance::{KEEP, NOW, clock};
use hoplog_store::memory::MemoryStore;
use hoplog_store::{Checkpoint, Recovery, RequestExpr, Store, WriteBatch};
use hoplog_store_sqlite::SqliteStore;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestRunner};
use std::sync::Arc;

/// Plans tried; each is a data folder.
const CASES: u32 = 48;
/// Spans a request has at most; some name a parent that never comes.
const SPANS: u64 = 6;
/// All that a request waits for has happened after this time, in seconds.
const LONG: u64 = 120;

/// What happens after a span was sent, before the next one.
#[derive(Debug, Clone, Copy)]
enum Gap {
    /// The next span is in the same export request.
    None,
    /// The next span is in another export request.
    Request,
    /// So many seconds pass, and what is due is written.
    Seconds(u64),
    /// The store notes how far the inbox has become rows.
    Checkpoint,
    /// The process dies and starts again.
    Crash,
}

/// A span as it is sent at some time.
#[derive(Debug, Clone, Copy)]
struct Copy {
    /// Copies are sent in the order of these.
    turn: u32,
    then: Gap,
    /// Before the span ended. Never the first copy.
    unfinished: bool,
}

/// Requests with the copies of each of their spans.
#[derive(Debug, Clone)]
struct Plan {
    requests: Vec<Vec<(Span, Vec<Copy>)>>,
    questions: Vec<RequestExpr>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let sent = (span(), vec(copy(), 1..4));
    let requests = vec(vec(sent, 1..=SPANS as usize), 1..4);
    (requests, vec(request_expr(), 4)).prop_map(|(mut requests, questions)| {
        for (span, copies) in requests.iter_mut().flat_map(|request| number(request)) {
            copies[0].unfinished = false;
            span.parent = span.parent.filter(|parent| *parent != span.id);
        }
        Plan {
            requests,
            questions,
        }
    })
}

/// Numbers the spans of a request.
fn number(request: &mut [(Span, Vec<Copy>)]) -> impl Iterator<Item = (&mut Span, &mut Vec<Copy>)> {
    request.iter_mut().zip(1..).map(|((span, copies), id)| {
        span.id = id;
        (span, copies)
    })
}

fn copy() -> impl Strategy<Value = Copy> {
    let gap = prop_oneof![
        4 => Just(Gap::None),
        3 => Just(Gap::Request),
        3 => (1_u64..70).prop_map(Gap::Seconds),
        1 => Just(Gap::Checkpoint),
        1 => Just(Gap::Crash),
    ];
    let unfinished = prop_oneof![3 => Just(false), 1 => Just(true)];
    (any::<u32>(), gap, unfinished).prop_map(|(turn, then, unfinished)| Copy {
        turn,
        then,
        unfinished,
    })
}

fn span() -> impl Strategy<Value = Span> {
    let place = (
        option::of(1..=SPANS + 1),
        0_u64..4,
        select(vec![2_u64, 900, 1_000_000]),
    );
    let what = (
        select(vec!["GET /", "pay", "INSERT"]),
        select(vec!["shop", "bank"]),
        select(SpanKind::ALL.to_vec()),
        select(vec![SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error]),
    );
    let more = (
        option::of(select(vec!["x", "Y", "7"])),
        option::of(select(vec!["E", "F"])),
    );
    (place, what, more).prop_map(|((parent, start, duration), what, (value, exception))| {
        let (name, service, kind, status) = what;
        let mut span = Span {
            parent,
            ..Span::root(1)
        };
        span = span.name(name).service(service).kind(kind).status(status);
        span = span.at(NOW - HOUR + start, duration);
        span = value.map_or(span.clone(), |value| span.with("k", value));
        exception.map_or(span.clone(), |kind| span.exception(kind, "it broke"))
    })
}

impl Plan {
    /// Every copy in the order sent: its bytes, and what happens then.
    fn sent(&self) -> Vec<(Vec<u8>, Gap)> {
        let mut all = Vec::new();
        for (request, n) in self.requests.iter().zip(1..) {
            for (span, copies) in request {
                all.extend(copies.iter().map(|copy| (copy.turn, n, copy, span)));
            }
        }
        // Stable: copies of the same turn keep the order of the plan.
        all.sort_by_key(|(turn, ..)| *turn);
        let bytes = |(_, n, copy, span): (u32, u64, &Copy, &Span)| {
            let bytes = if copy.unfinished {
                export(n, &unfinished(span))
            } else {
                export(n, span)
            };
            (bytes, copy.then)
        };
        all.into_iter().map(bytes).collect()
    }

    /// Each span once, ended, in one export request.
    fn at_once(&self) -> Vec<(Vec<u8>, Gap)> {
        let spans = self.requests.iter().zip(1..).flat_map(|(request, n)| {
            request
                .iter()
                .map(move |(span, _)| (export(n, span), Gap::None))
        });
        spans.collect()
    }
}

/// The span as it would be sent half way.
fn unfinished(span: &Span) -> Span {
    let status = SpanStatus::Unset;
    Span {
        duration: span.duration / 2,
        status,
        exceptions: Vec::new(),
        ..span.clone()
    }
}

/// An export request; several in a row are one.
fn export(n: u64, span: &Span) -> Vec<u8> {
    let mut bytes = Vec::new();
    set(trace(n), std::slice::from_ref(span)).write_traces(&mut bytes);
    bytes
}

/// An assembler and its store, the inbox in memory.
struct Collector<'a> {
    store: &'a dyn Store,
    assembler: Assembler,
    now: UnixNanos,
    inbox: Vec<(Record, Sliced)>,
}

impl<'a> Collector<'a> {
    fn new(store: &'a dyn Store) -> Self {
        let assembler = Assembler::new(Config::default(), &Recovery::default());
        Self {
            store,
            assembler,
            now: NOW,
            inbox: Vec::new(),
        }
    }

    /// Takes everything that is sent; writes the rest at the end.
    async fn take(mut self, sent: Vec<(Vec<u8>, Gap)>) -> Result<()> {
        let mut request = Vec::new();
        for (span, then) in sent {
            request.extend(span);
            if !matches!(then, Gap::None) {
                self.push(std::mem::take(&mut request).into())?;
            }
            match then {
                Gap::None | Gap::Request => {}
                Gap::Seconds(seconds) => self.pass(seconds).await?,
                Gap::Checkpoint => self.checkpoint().await?,
                Gap::Crash => self.crash().await?,
            }
        }
        self.push(request.into())?;
        self.pass(LONG).await
    }

    fn push(&mut self, request: Bytes) -> Result<()> {
        let sliced = slice(request, &Limits::default())?;
        let n = u32::try_from(self.inbox.len())?;
        let [position, next] = [n, n + 1].map(|n| Position {
            segment: 1,
            offset: n * 100,
        });
        let record = Record {
            position,
            next,
            received_at: self.now,
        };
        self.assembler.push(self.now, record, &sliced);
        self.inbox.push((record, sliced));
        Ok(())
    }

    async fn pass(&mut self, seconds: u64) -> Result<()> {
        self.now += seconds * SECOND;
        let due = self.assembler.expire(self.now, usize::MAX, |_| false);
        let parts = due
            .into_iter()
            .map(|flushed| Arc::new(flushed.part))
            .collect();
        self.store.write(WriteBatch { parts }).await?;
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<()> {
        let position = self.assembler.low_water();
        self.store
            .checkpoint(Checkpoint {
                position,
                inbox_totals: Vec::new(),
            })
            .await?;
        Ok(())
    }

    async fn crash(&mut self) -> Result<()> {
        let recovery = self.store.recovery().await?;
        self.assembler = Assembler::new(Config::default(), &recovery);
        for (record, sliced) in &self.inbox {
            if record.position >= recovery.checkpoint.position {
                self.assembler.push(self.now, *record, sliced);
            }
        }
        self.assembler.replay_done();
        Ok(())
    }
}

/// What a reader says, without what tells how it came about.
fn logical(mut answers: Answers) -> Answers {
    let mask = |summary: &mut Summary| {
        summary.flags = summary
            .flags
            .without(Flags::LATE_PART.with(Flags::CONFLICT));
    };
    answers
        .requests
        .values_mut()
        .for_each(|(summary, _)| mask(summary));
    answers.hits.iter_mut().flatten().for_each(mask);
    answers
}

/// Takes the plan into an empty store and holds it against what the oracle says of all at once.
async fn try_on(store: &dyn Store, plan: &Plan, oracle: &Answers) -> Result<(), TestCaseError> {
    let sent = plan.sent();
    let copies = sent.len() as u64;
    let fail = |why: anyhow::Error| TestCaseError::fail(format!("{why:#}"));
    Collector::new(store).take(sent).await.map_err(fail)?;
    let answers = logical(ask(store, &plan.questions).await);
    same(&answers, oracle, &plan.questions)?;
    prop_assert_eq!(answers.books.stored, oracle.books.stored);
    prop_assert_eq!(answers.books.total(), copies, "{:?}", answers.books);
    let report = store.check(&|_, _| ()).await;
    let report = report.map_err(|why| TestCaseError::fail(why.to_string()))?;
    prop_assert_eq!(report.differences, vec![]);
    Ok(())
}

async fn holds(plan: &Plan) -> Result<(), TestCaseError> {
    let fail = |why: anyhow::Error| TestCaseError::fail(format!("{why:#}"));
    let all_at_once = MemoryStore::new(clock(), KEEP);
    Collector::new(&all_at_once)
        .take(plan.at_once())
        .await
        .map_err(fail)?;
    let oracle = logical(ask(&all_at_once, &plan.questions).await);

    try_on(&MemoryStore::new(clock(), KEEP), plan, &oracle).await?;

    let folder = tempfile::tempdir()?;
    let opened = SqliteStore::open(folder.path(), Default::default(), clock()).await;
    let store = opened.context("opening the store").map_err(fail)?;
    let tried = try_on(&store, plan, &oracle).await;
    store
        .close()
        .await
        .map_err(|why| TestCaseError::fail(why.to_string()))?;
    tried
}

#[test]
fn any_order_duplication_split_and_delay_gives_the_row_of_all_at_once() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cases = Cases {
        cases: CASES,
        failure_persistence: None,
        ..Cases::default()
    };
    let tried = TestRunner::new(cases).run(&plans(), |plan| runtime.block_on(holds(&plan)));
    tried.map_err(|why| anyhow::anyhow!("{why}"))
}
