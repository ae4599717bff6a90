//! What services ask their databases: by fingerprint, from roll-ups; and what a few of the newest
//! requests with each say of it.

use super::figures::{Sum, stats_query};
use super::plan_change::{Day, PlanChange, plan_change};
use super::{Answers, Figures, Window};
use crate::QueryError;
use crate::insight;
use futures_util::stream::{self, StreamExt};
use hoplog_model::times::{DAY, SECOND};
use hoplog_model::{Interface, SpanKind, Summary, TraceId, UnixNanos};
use hoplog_otlp::SpanSet;
use hoplog_store::segment::OTHER;
use hoplog_store::{
    Bounds, HopExpr, HopTest, RequestExpr, Search, Sort, StatRow, StatsQuery, TextMatch, statement,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Statements listed when the question does not say.
const DEFAULT_STATEMENTS: usize = 50;
/// Most statements listed.
pub const MAX_STATEMENTS: usize = 200;
/// Requests that are looked into for each statement: the newest with it.
pub const SAMPLE: usize = 10;
/// Requests opened for one list at most, those of the first statements first.
const OPENED_MAX: usize = 400;
/// Searches at a time.
const AT_ONCE: usize = 4;
/// What one of these searches may read, in bytes, and the time it may take, in nanoseconds.
const BOUNDS: Bounds = Bounds {
    bytes: 16 << 20,
    time: SECOND / 10,
};
/// Days of figures that tell whether a plan has changed: a week and the week before it.
const DAYS: u64 = 14;

/// Which statements are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueriesInput {
    /// Only those this service sends.
    pub service: Option<String>,
    /// First instant; without it an hour before `to`.
    pub from: Option<UnixNanos>,
    /// First instant no longer asked for; without it now.
    pub to: Option<UnixNanos>,
    /// Most statements, 1 to [`MAX_STATEMENTS`]; without it 50.
    pub limit: Option<usize>,
}

/// Statements, those that took most time in all first.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryList {
    /// The time meant.
    pub window: Window,
    /// The first of them.
    pub queries: Vec<QueryFigures>,
    /// How many there are.
    pub count: usize,
    /// Nanoseconds that all of them took together.
    pub total_ns: u64,
}

/// A statement's line.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryFigures {
    /// What its calls have in common; `(other)` stands for those that a partition had no room for.
    pub fingerprint: String,
    /// The text of its newest call without literals, where the fingerprint is a summary.
    pub text: Option<String>,
    /// Calls, errors, rate and durations.
    pub figures: Figures,
    /// Nanoseconds that its calls took together.
    pub total_ns: u64,
    /// Of the time that all statements took together, 0 to 1.
    pub share: f64,
    /// Who sends it and how often, most first.
    pub services: Vec<(String, u64)>,
    /// The newest requests with it, at most [`SAMPLE`].
    pub requests: Vec<CallingRequest>,
    /// Whether the newest could be looked for within the budget.
    pub complete: bool,
    /// Since when it takes longer though it is called as often.
    pub changed: Option<PlanChange>,
}

/// A request that sends a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct CallingRequest {
    /// Its line.
    pub request: Summary,
    /// How often it sends the statement.
    pub calls: u64,
    /// The longest run of equal calls one after the other under one parent: N+1.
    pub run: Option<Run>,
}

/// Equal calls one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many, at least five.
    pub calls: usize,
    /// Nanoseconds they took together, at least 50 ms.
    pub total_ns: u64,
}

impl QueryFigures {
    /// Whether this is no statement but all those that a partition had no room for.
    pub fn is_other(&self) -> bool {
        self.fingerprint == OTHER
    }

    /// Calls a request, on average over the requests looked into; none if there are none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people; counts stay below 2^53"
    )]
    pub fn calls_per_request(&self) -> Option<f64> {
        let calls: u64 = self.requests.iter().map(|one| one.calls).sum();
        let requests = self.requests.len();
        (requests > 0).then(|| calls as f64 / requests as f64)
    }

    /// The request with the longest run of it (N+1), by time, and that run.
    pub fn run(&self) -> Option<(&CallingRequest, Run)> {
        let runs = self.requests.iter().filter_map(|one| Some((one, one.run?)));
        runs.max_by_key(|(_, run)| run.total_ns)
    }
}

/// A statement's spans, by who sent them.
#[derive(Debug, Default)]
struct Statement {
    sum: Sum,
    total: u64,
    services: BTreeMap<String, u64>,
}

impl Statement {
    fn add(&mut self, row: &StatRow) {
        self.sum.add(row);
        self.total = self.total.saturating_add(row.sum);
        let service = row.interface.service.clone();
        *self.services.entry(service).or_default() += row.count;
    }
}

/// What one request says of the statements it sends, by service and fingerprint.
#[derive(Debug, Default)]
struct Opened(HashMap<(String, String), Sent>);

#[derive(Debug, Default)]
struct Sent {
    calls: u64,
    /// Start and place of the latest call.
    latest: (UnixNanos, usize),
    /// What that call says, without literals.
    text: Option<String>,
    run: Option<Run>,
}

impl Opened {
    fn of(spans: &SpanSet) -> Self {
        let mut sent: HashMap<(String, String), Sent> = HashMap::new();
        for (place, span) in spans.iter().enumerate() {
            let Some(fingerprint) = statement::of(span) else {
                continue;
            };
            let service = span.group.service.as_ref().to_owned();
            let one = sent.entry((service, fingerprint)).or_default();
            one.calls += 1;
            one.latest = one.latest.max((span.head.start, place));
        }
        for ((_, fingerprint), one) in &mut sent {
            let text = spans.get(one.latest.1).and_then(statement::text);
            one.text = text.filter(|text| text != fingerprint);
        }
        for (service, repeat) in insight::repeated_statements(spans) {
            let run = Run {
                calls: repeat.calls.len(),
                total_ns: repeat.total,
            };
            if let Some(one) = sent.get_mut(&(service.as_ref().to_owned(), repeat.what))
                && one.run.is_none_or(|best| best.total_ns < run.total_ns)
            {
                one.run = Some(run);
            }
        }
        Self(sent)
    }

    /// What the request sends of a statement: from one service, or from all that send it.
    fn of_statement(&self, service: Option<&str>, fingerprint: &str) -> Sent {
        let mut all = Sent::default();
        for ((from, name), sent) in &self.0 {
            if name != fingerprint || service.is_some_and(|service| service != from) {
                continue;
            }
            all.calls += sent.calls;
            if all.text.is_none() || all.latest < sent.latest {
                (all.latest, all.text) = (sent.latest, sent.text.clone());
            }
            all.run = all
                .run
                .into_iter()
                .chain(sent.run)
                .max_by_key(|run| run.total_ns);
        }
        all
    }
}

impl Answers {
    /// What services asked their databases in a window, those that took most time in all first.
    ///
    /// # Errors
    /// The limit or the window make no sense, or the store cannot answer.
    pub async fn queries(&self, input: &QueriesInput) -> Result<QueryList, QueryError> {
        let limit = input.limit.unwrap_or(DEFAULT_STATEMENTS);
        if !(1..=MAX_STATEMENTS).contains(&limit) {
            let what = format!("a list has 1 to {MAX_STATEMENTS} statements");
            return Err(QueryError::invalid("limit", what));
        }
        let window = self.window(input.from, input.to)?;
        let query = StatsQuery {
            service: input.service.clone(),
            kind: Some(SpanKind::Statement),
            ..stats_query(window)
        };
        let mut statements: BTreeMap<String, Statement> = BTreeMap::new();
        for row in self.reader.stats(&query).await? {
            let name = row.interface.name.clone();
            statements.entry(name).or_default().add(&row);
        }
        let (count, total_ns) = (
            statements.len(),
            statements
                .values()
                .fold(0_u64, |total, one| total.saturating_add(one.total)),
        );
        let mut listed: Vec<(String, Statement)> = statements.into_iter().collect();
        listed.sort_by(|(a, one), (b, other)| (other.total, a).cmp(&(one.total, b)));
        listed.truncate(limit);
        let changes = self.plan_changes(&listed, window.to).await?;
        let samples = self
            .samples(input.service.as_deref(), &listed, window)
            .await?;
        let nanos = self.counted_nanos(window);
        let mut queries = Vec::with_capacity(listed.len());
        for ((fingerprint, one), sample) in listed.into_iter().zip(samples) {
            let mut services: Vec<(String, u64)> = one.services.into_iter().collect();
            services.sort_by(|(a, calls), (b, others)| (others, a).cmp(&(calls, b)));
            queries.push(QueryFigures {
                text: sample.text,
                figures: one.sum.figures(nanos),
                total_ns: one.total,
                share: share(one.total, total_ns),
                services,
                requests: sample.requests,
                complete: sample.complete,
                changed: changes.get(&fingerprint).copied(),
                fingerprint,
            });
        }
        Ok(QueryList {
            window,
            queries,
            count,
            total_ns,
        })
    }

    /// Those of the statements that take longer than in the week before, as seen at an instant.
    async fn plan_changes(
        &self,
        listed: &[(String, Statement)],
        at: UnixNanos,
    ) -> Result<HashMap<String, PlanChange>, QueryError> {
        let at = at.min(self.now());
        let today = at - at % DAY;
        let from = today.saturating_sub(DAYS * DAY);
        let interfaces = listed.iter().flat_map(|(name, one)| {
            one.services.keys().map(|service| Interface {
                service: service.clone(),
                kind: SpanKind::Statement,
                name: name.clone(),
            })
        });
        let query = StatsQuery {
            from,
            to: at,
            step: Some(DAY),
            kind: Some(SpanKind::Statement),
            only: Some(interfaces.collect()),
            ..StatsQuery::default()
        };
        let days: Vec<Day> = (from..=today)
            .step_by(usize::try_from(DAY).unwrap_or(usize::MAX))
            .map(|day| Day {
                at: day,
                passed: DAY.min(at - day),
                ..Day::default()
            })
            .collect();
        let mut by_name: HashMap<String, Vec<Day>> = HashMap::new();
        for row in self.reader.stats(&query).await? {
            let days = by_name
                .entry(row.interface.name)
                .or_insert_with(|| days.clone());
            if let Some(day) = days.iter_mut().find(|day| day.at == row.at) {
                day.durations.merge(&row.sketch);
            }
        }
        let changed = |(name, days): (String, Vec<Day>)| Some((name, plan_change(&days)?));
        Ok(by_name.into_iter().filter_map(changed).collect())
    }

    /// The newest requests with each of the statements.
    async fn samples(
        &self,
        service: Option<&str>,
        listed: &[(String, Statement)],
        window: Window,
    ) -> Result<Vec<Sample>, QueryError> {
        let searches: Vec<_> = listed
            .iter()
            .map(|(name, _)| self.newest(service, name, window))
            .collect();
        let found: Vec<_> = stream::iter(searches).buffered(AT_ONCE).collect().await;
        let found: Vec<(Vec<Summary>, bool)> = found.into_iter().collect::<Result<_, _>>()?;
        // A request is of use for each statement that it sends.
        let (mut ids, mut wanted) = (BTreeSet::new(), Vec::new());
        for summary in found.iter().flat_map(|(hits, _)| hits) {
            if wanted.len() < OPENED_MAX && ids.insert(summary.trace_id) {
                wanted.push(summary.trace_id);
            }
        }
        let open = |id: TraceId| async move {
            let request = self.reader.get(&id).await?;
            Ok::<_, QueryError>((id, request.map(|request| Opened::of(&request.spans))))
        };
        let opened: Vec<_> = wanted.into_iter().map(open).collect();
        let opened: Vec<_> = stream::iter(opened).buffered(AT_ONCE).collect().await;
        let mut by_id: HashMap<TraceId, Opened> = HashMap::new();
        for one in opened {
            let (id, opened) = one?;
            by_id.extend(opened.map(|opened| (id, opened)));
        }
        let sample = |((hits, complete), (name, _)): ((Vec<Summary>, bool), &(String, _))| {
            let mut sample = Sample {
                complete,
                ..Sample::default()
            };
            for request in hits {
                let Some(opened) = by_id.get(&request.trace_id) else {
                    sample.complete = false;
                    continue;
                };
                let Sent {
                    calls, text, run, ..
                } = opened.of_statement(service, name);
                sample.text = sample.text.or(text);
                sample.requests.push(CallingRequest {
                    request,
                    calls,
                    run,
                });
            }
            sample
        };
        Ok(found.into_iter().zip(listed).map(sample).collect())
    }

    /// The newest requests with a statement, and whether the budget was enough to find them.
    async fn newest(
        &self,
        service: Option<&str>,
        name: &str,
        window: Window,
    ) -> Result<(Vec<Summary>, bool), QueryError> {
        if name == OTHER {
            // Of many names, none of them known.
            return Ok((Vec::new(), true));
        }
        let is = |text: &str| TextMatch::Is(text.to_owned());
        let mut tests = vec![HopExpr::Is(HopTest::Statement(is(name)))];
        tests.extend(service.map(|service| HopExpr::Is(HopTest::Service(is(service)))));
        let search = Search {
            expr: RequestExpr::Hop(HopExpr::And(tests)),
            from: window.from,
            to: window.to,
            sort: Sort::Newest,
            limit: SAMPLE,
            after: None,
            bounds: BOUNDS,
        };
        let page = self.reader.search(&search).await?;
        Ok((page.hits, page.complete))
    }
}

/// What requests say of a statement.
#[derive(Debug, Default)]
struct Sample {
    text: Option<String>,
    requests: Vec<CallingRequest>,
    complete: bool,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; a week of nanoseconds is below 2^53"
)]
fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests;
