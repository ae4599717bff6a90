//! Bad input and bad surroundings: each has its documented answer, and nothing else is lost.

pub(crate) mod disk;
mod start;
mod wire;
