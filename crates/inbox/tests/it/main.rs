//! The inbox over real files: crashes, faults, bounds, cursors.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod crash;
mod cursors;
mod faults;
mod memory;
mod model;
mod refusals;
mod support;
