//! The binary `hoplog`.

use std::process::ExitCode;

mod check;
mod cli;
mod client;
mod compose;
mod config;
mod database;
#[cfg(feature = "demo")]
mod demo;
mod lifecycle;
mod migrate;
mod pipeline;
mod repacking;
mod serve;

fn main() -> ExitCode {
    let cli = cli::Cli::read();
    let done = config::Config::load(&cli).and_then(|config| {
        serve::log_to_stderr(&config, cli.is_demo())?;
        cli.run(config)
    });
    match done {
        Ok(code) => code,
        Err(why) => {
            // What the TOML reader says ends with a line feed.
            eprintln!("hoplog: {}", format!("{why:#}").trim_end());
            ExitCode::FAILURE
        }
    }
}
