//! Damage on disk costs what it hit, and the books say so for good.

use crate::support::{Home, Hoplog, QUICK, recently};
use anyhow::{Context, Result, ensure};
use hoplog_testkit::spans::trace;
use std::path::{Path, PathBuf};

/// Nothing is written, and nothing is recorded as written, while a test runs.
const SLOW: &str = "[assemble]\nquiet_seconds = 600\ncheckpoint_seconds = 600\n";
/// What a record in a segment file begins with.
const MARKER: &[u8] = b"hREC";

#[tokio::test]
async fn a_damaged_inbox_record_stays_in_the_books() -> Result<()> {
    let hoplog = Hoplog::start(SLOW).await?;
    let base = recently();
    let requests = ["a", "b", "c"].map(|name| trace(name).base(base).span("1").span("2"));
    for request in &requests {
        hoplog.send(request.bytes()).await?;
    }
    let home = hoplog.kill().await?;
    damage_second_record(home.data())?;
    // One that never ran on the folder must say the same as one that did.
    let report = home.check().await?;
    ensure!(report["books"]["lost"] == 2, "{report}");

    home.configure(QUICK)?;
    let home = settles_with_loss(home).await?;
    let home = settles_with_loss(home).await?;
    let report = home.check().await?;
    ensure!(report["books"]["lost"] == 2, "{report}");
    ensure!(report["rows"] == 2, "{report}");
    Ok(())
}

async fn settles_with_loss(home: Home) -> Result<Home> {
    let hoplog = home.start().await?;
    let books = hoplog.settled_books().await?;
    ensure!(books["stored"] == 4 && books["lost"] == 2, "{books}");
    ensure!(books["received"] == 6, "{books}");
    hoplog.stop().await
}

/// Records are exports here: the second of the oldest file that has any.
fn damage_second_record(data: &Path) -> Result<()> {
    let (path, mut bytes) = records(&data.join("inbox"))?;
    let begins = bytes.windows(MARKER.len());
    let mut places = begins.enumerate().filter(|(_, bytes)| *bytes == MARKER);
    let (second, _) = places.nth(1).context("there is no second record")?;
    bytes[second] ^= 1;
    Ok(std::fs::write(path, bytes)?)
}

fn records(inbox: &Path) -> Result<(PathBuf, Vec<u8>)> {
    for file in std::fs::read_dir(inbox)? {
        let path = file?.path();
        let bytes = std::fs::read(&path)?;
        if bytes.windows(MARKER.len()).any(|bytes| bytes == MARKER) {
            return Ok((path, bytes));
        }
    }
    anyhow::bail!("no file in {} has a record", inbox.display())
}
