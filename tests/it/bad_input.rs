//! Bad input and bad surroundings: each has its documented answer, and nothing else is lost.

mod disk;
mod start;
mod wire;
