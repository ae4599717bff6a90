//! Tests across crates, the benchmark and the soak run. Shared by the binaries.

pub mod bench;
pub mod load;
pub mod soak;
pub mod yardstick;
