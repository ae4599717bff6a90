//! Every answer hoplog gives about its data, whoever asks: pages, API, gRPC, commands.

mod cursor;
mod figures;
mod kept;
mod known;
mod pipeline;
mod plan_change;
mod queries;
mod search;
mod shapes;
mod watching;

pub use pipeline::{BooksAnswer, Pipeline, PipelineReport, ReasonCount, ReceiverLine};
pub use plan_change::{Day, PlanChange, plan_change};
pub use queries::{
    CallingRequest, MAX_STATEMENTS, QueriesInput, QueryFigures, QueryList, Run, SAMPLE,
};
pub use search::{DEFAULT_LIMIT, MAX_LIMIT};
pub use shapes::{
    Figures, InterfaceCourse, InterfaceFigures, Latency, LatencyInput, RequestList, SKETCH_ERROR,
    SPARKLINE_POINTS, SearchInput, ServiceCourse, ServiceFigures, ServiceSeries, Step, Window,
};
pub use watching::Watched;

use crate::QueryError;
use crate::lang::find_id;
use hoplog_model::times::{DAY, HOUR};
use hoplog_model::{Clock, TraceId, UnixNanos};
use hoplog_store::{
    Bounds, HopExpr, HopTest, Maintenance, Pins, RequestExpr, Search, Sort, StoreHealth,
    StoredRequest, TraceReader,
};
use known::KnownCache;
use std::sync::Arc;
use tokio::sync::watch;

/// Time asked for when a question names none, in nanoseconds.
const DEFAULT_WINDOW: u64 = HOUR;

/// Answers questions. Cheap to clone; clones share the cache of suggestions.
#[derive(Debug, Clone)]
pub struct Answers {
    reader: Arc<dyn TraceReader>,
    maintenance: Arc<dyn Maintenance>,
    pins: Arc<dyn Pins>,
    pipeline: Arc<dyn Pipeline>,
    clock: Arc<dyn Clock>,
    known: Arc<KnownCache>,
}

impl Answers {
    /// Answers from `reader` (which should join the open requests), `maintenance` and `pipeline`. What is kept by
    /// hand goes to `pins`.
    pub fn new(
        reader: Arc<dyn TraceReader>,
        (maintenance, pins): (Arc<dyn Maintenance>, Arc<dyn Pins>),
        pipeline: Arc<dyn Pipeline>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            reader,
            maintenance,
            pins,
            pipeline,
            clock,
            known: Arc::default(),
        }
    }

    /// The present, as every answer sees it.
    pub fn now(&self) -> UnixNanos {
        self.clock.now()
    }

    /// The time meant by two ends of which either may be missing: up to now, and an hour of it.
    ///
    /// # Errors
    /// `from` is not before `to`.
    pub fn window(
        &self,
        from: Option<UnixNanos>,
        to: Option<UnixNanos>,
    ) -> Result<Window, QueryError> {
        let to = to.unwrap_or_else(|| self.now());
        let from = from.unwrap_or(to.saturating_sub(DEFAULT_WINDOW));
        if from < to {
            Ok(Window { from, to })
        } else {
            Err(QueryError::invalid(
                "from",
                "the time ends before it starts: from must be less than to",
            ))
        }
    }

    /// A request with all its spans; none if there is none of that id.
    pub async fn request(&self, trace_id: &TraceId) -> Result<Option<StoredRequest>, QueryError> {
        let mut found = self.reader.get(trace_id).await?;
        if let Some(request) = &mut found {
            self.mark_kept(std::slice::from_mut(&mut request.summary))
                .await?;
        }
        Ok(found)
    }

    /// The request that a pasted text points at: by a trace id, a `traceparent`, a URL or log line
    /// with one, or a span's id. None if the text holds no id, or nothing has that id.
    pub async fn find(&self, pasted: &str) -> Result<Option<TraceId>, QueryError> {
        let Some(ids) = find_id(pasted) else {
            return Ok(None);
        };
        if let Some(trace_id) = ids.trace
            && self.reader.get(&trace_id).await?.is_some()
        {
            return Ok(Some(trace_id));
        }
        let Some(span_id) = ids.span else {
            return Ok(None);
        };
        let search = Search {
            expr: RequestExpr::Hop(HopExpr::Is(HopTest::SpanId(span_id))),
            from: 0,
            to: self.now().saturating_add(DAY),
            sort: Sort::Newest,
            limit: 1,
            after: None,
            bounds: Bounds::default(),
        };
        let page = self.reader.search(&search).await?;
        Ok(page.hits.first().map(|hit| hit.trace_id))
    }

    /// Where every span received went.
    pub fn books(&self) -> BooksAnswer {
        self.pipeline.books()
    }

    /// The state of the way in.
    pub fn pipeline(&self) -> PipelineReport {
        self.pipeline.report()
    }

    /// Ok when hoplog takes exports and everything acknowledged can be read; else why not.
    pub fn ready(&self) -> Result<(), String> {
        self.pipeline.ready()
    }

    /// Changes whenever there may be something new to read.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.pipeline.commits()
    }

    /// Figures of the store.
    pub async fn health(&self) -> Result<StoreHealth, QueryError> {
        Ok(self.maintenance.health().await?)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
