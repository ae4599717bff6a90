//! Requests kept by hand: the one thing that is written here.

use super::Answers;
use crate::QueryError;
use hoplog_model::{Flags, Summary, TraceId};

impl Answers {
    /// Keeps a request whatever its age, or leaves it to its age again. It need not be known yet: its spans may still
    /// be on their way. True if that changes anything.
    ///
    /// # Errors
    /// So many are kept already that there is no room for one more, or the store cannot be written.
    pub async fn keep(&self, trace_id: TraceId, is_kept: bool) -> Result<bool, QueryError> {
        Ok(self.pins.pin(trace_id, is_kept, self.now()).await?)
    }

    /// Flags those that are kept by hand.
    pub(super) async fn mark_kept(&self, summaries: &mut [Summary]) -> Result<(), QueryError> {
        let ids: Vec<TraceId> = summaries.iter().map(|one| one.trace_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let kept = self.pins.pinned(&ids).await?;
        for summary in summaries {
            if kept.contains(&summary.trace_id) {
                summary.flags = summary.flags.with(Flags::KEPT);
            }
        }
        Ok(())
    }
}
