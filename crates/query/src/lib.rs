//! Questions and answers: the search language, the gRPC service, the HTTP API.
//!
//! [`lang`] reads what a person types and lowers it to a store's search. [`Answers`] asks the
//! store and the pipeline; [`http_routes`] and [`grpc_routes`] speak for it on the wire, and the
//! web pages call it directly. Nothing here writes.

pub mod answers;
mod error;
mod grpc;
mod http;
pub mod insight;
pub mod lang;
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated code is as it is"
)]
pub mod proto;

pub use answers::Answers;
pub use error::{ErrorCode, QueryError};
pub use grpc::grpc_routes;
pub use hoplog_store::retention;
pub use hoplog_store::{Cost, DictionaryHealth, PartitionHealth, Sort, StoreHealth, StoredRequest};
pub use http::http_routes;
