//! `cargo xtask bench`.

use clap::Parser;
use hoplog_tests::bench::{Options, run};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&options))
}
