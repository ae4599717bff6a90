//! Words of hoplog: ids, times, kinds, summaries, sketches, the clock.
//!
//! Nothing here does I/O. Names are OpenTelemetry's; a *request* is a trace, a *hop* is a span.

mod clock;
mod ids;
mod position;
mod sketch;
mod summary;
pub mod times;

pub use clock::{Clock, ManualClock, SystemClock};
pub use ids::{IdError, RowId, SpanId, TraceId};
pub use position::Position;
pub use sketch::{Sketch, SketchError};
pub use summary::{FirstError, Flags, Interface, SpanKind, SpanStatus, Summary};

/// Nanoseconds since the Unix epoch, UTC, as in OTLP's `start_time_unix_nano`.
pub type UnixNanos = u64;
