//! OTLP/JSON: read leniently, written by the book.

mod decode;
mod encode;
mod number;
mod scalar;

pub use decode::{JsonError, Repairs, decode};
pub use encode::encode;
