//! Watching: matching requests as they come in.

use super::search::{MAX_LIMIT, Understood};
use super::{Answers, Window};
use crate::QueryError;
use futures_util::{Stream, StreamExt, stream};
use hoplog_model::times::MINUTE;
use hoplog_model::{Summary, TraceId, UnixNanos};
use hoplog_store::{Bounds, Search, Sort};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::watch;

/// How long after its start a request may come to match and still be seen: twice the time for
/// which a request stays open.
const LOOK_BACK: u64 = 2 * MINUTE;
/// Least time between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Time a look may take, in nanoseconds.
const LOOK_TIME: u64 = 500_000_000;

/// A request that a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// As it was when it first matched.
    pub request: Summary,
    /// More than 1,000 matched within the last two minutes, or the query takes too long: some
    /// may have been passed over.
    pub skipped: bool,
}

/// One watch under way.
struct Watch {
    answers: Answers,
    query: Understood,
    since: UnixNanos,
    /// Those already shown, with their start.
    seen: HashMap<TraceId, UnixNanos>,
    ready: VecDeque<Watched>,
    commits: watch::Receiver<u64>,
    looked: bool,
}

impl Answers {
    /// The requests that start from now on and match the query, oldest first, each once. Ends when
    /// the pipeline does, or after an error.
    ///
    /// # Errors
    /// The query is not understood.
    pub async fn watch(
        &self,
        query: &str,
    ) -> Result<impl Stream<Item = Result<Watched, QueryError>> + Send + use<>, QueryError> {
        let watch = Watch {
            query: self.understand(query).await?,
            since: self.now(),
            answers: self.clone(),
            seen: HashMap::new(),
            ready: VecDeque::new(),
            commits: self.pipeline.commits(),
            looked: false,
        };
        let items = stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(item)) => Some((Ok(item), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(items.boxed())
    }
}

impl Watch {
    /// The next request; none when there will be no more.
    async fn next(&mut self) -> Result<Option<Watched>, QueryError> {
        while self.ready.is_empty() {
            if self.looked {
                tokio::time::sleep(PAUSE).await;
                if self.commits.changed().await.is_err() {
                    return Ok(None);
                }
            }
            self.commits.mark_unchanged();
            self.looked = true;
            self.look().await?;
        }
        Ok(self.ready.pop_front())
    }

    async fn look(&mut self) -> Result<(), QueryError> {
        let now = self.answers.now();
        let from = self.since.max(now.saturating_sub(LOOK_BACK));
        // A sender's clock may run ahead of this one.
        let window = Window {
            from,
            to: now.saturating_add(MINUTE),
        };
        let search = Search {
            expr: self.query.expr(),
            from: window.from,
            to: window.to,
            sort: Sort::Newest,
            limit: MAX_LIMIT,
            after: None,
            bounds: Bounds {
                time: LOOK_TIME,
                ..Bounds::default()
            },
        };
        let page = self.answers.reader.search(&search).await?;
        self.seen.retain(|_, started_at| *started_at >= from);
        let skipped = page.next.is_some();
        for request in page.hits.into_iter().rev() {
            if self
                .seen
                .insert(request.trace_id, request.started_at)
                .is_none()
            {
                self.ready.push_back(Watched { request, skipped });
            }
        }
        Ok(())
    }
}
