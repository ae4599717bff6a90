//! OTLP on the wire: slicing without decoding, lenient JSON, span views, writing TracesData.
//!
//! An export request is cut into spans by [`slice()`] without turning attributes into objects;
//! [`SpanSet`] holds the spans of one request, raw, and [`SpanView`] reads a span where it lies.
//! Every reader here agrees with prost on what is well formed, with one difference: text that is
//! not UTF-8 is accepted, and read with replacement characters.

mod check;
mod error;
mod group;
mod head;
pub mod json;
mod limits;
mod reject;
mod schema;
mod set;
mod slice;
mod value;
mod view;
mod wire;
pub mod write;

pub use error::SliceError;
pub use group::{Group, SERVICE_BYTES_MAX};
pub use head::SpanHead;
pub use limits::Limits;
pub use reject::{Reason, Rejected};
pub use set::{Absorbed, Replaced, SpanRef, SpanSet};
pub use slice::{Sliced, SlicedSpan, slice};
pub use value::{List, Map, Value};
pub use view::{Attributes, EventView, LinkView, SpanView};
