//! The binary `hoplog`.

use clap::Parser;
use std::process::ExitCode;

mod check;
mod cli;
mod client;
mod compose;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod lifecycle;
mod pipeline;
mod serve;

/// The way of a span is many small allocations on one thread that are freed on another: with the
/// system's allocator a tenth of the CPU time, and memory that grows over its bound.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = config::Config::load(&cli).and_then(|config| {
        serve::log_to_stderr(&config, cli.is_demo())?;
        cli.run(config)
    });
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("hoplog: {why:#}");
            ExitCode::FAILURE
        }
    }
}
