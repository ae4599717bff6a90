//! The checked-in gRPC code is what its contract in `proto/` makes.

use anyhow::{Context, Result, ensure};
use prost::Message;
use std::path::{Path, PathBuf};

const GENERATED: [&str; 2] = ["hoplog.v1.rs", "hoplog.v1.bin"];

/// `UPDATE_PROTO=1` writes it instead.
#[test]
fn generated_code_is_fresh() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("tests/ has a parent")?;
    let fresh = tempfile::tempdir()?;
    generate(&root.join("proto"), fresh.path())?;
    let checked_in: PathBuf = root.join("crates/query/src/gen");
    for name in GENERATED {
        let made = std::fs::read(fresh.path().join(name))?;
        let path = checked_in.join(name);
        if std::env::var_os("UPDATE_PROTO").is_some() {
            std::fs::write(&path, made)?;
            continue;
        }
        let found = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let command = "UPDATE_PROTO=1 cargo test -p hoplog-tests --test it generated_code";
        ensure!(
            found == made,
            "{} is stale: run `{command}`",
            path.display()
        );
    }
    Ok(())
}

fn generate(proto: &Path, into: &Path) -> Result<()> {
    let set = protox::compile(["hoplog/v1/query.proto"], [proto])?;
    std::fs::write(into.join("hoplog.v1.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .build_transport(false)
        .out_dir(into)
        .compile_fds(set)?;
    Ok(())
}
