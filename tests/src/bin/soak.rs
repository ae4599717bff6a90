//! `cargo xtask soak`.

use clap::Parser;
use hoplog_tests::soak::{Options, run};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&options))
}
