//! What keeps a hoplog from starting is said on stderr, and it ends with a failure.

use super::disk::SmallDisk;
use crate::cli::database;
use crate::support::{Home, Hoplog, QUICK, recently};
use anyhow::{Context, Result, ensure};
use hoplog_model::SpanKind::Server;
use hoplog_testkit::spans::trace;
use sqlx::Connection;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// That all of these words are in what was said.
fn says(said: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(said.contains(word), "no {word:?} in: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for flag in ["--http", "--otlp-grpc", "--otlp-http"] {
        let said = Home::new("")?.refused(&[flag, &address]).await?;
        says(&said, &["cannot listen on", &address, flag, "in use"])?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_others_reach_without_their_word_for_it() -> Result<()> {
    for flag in ["--http", "--otlp-grpc", "--otlp-http"] {
        let said = Home::new("")?.refused(&[flag, "0.0.0.0:0"]).await?;
        says(
            &said,
            &["0.0.0.0:0 is not a loopback address", "--insecure"],
        )?;
    }
    // With their word for it, it starts.
    Hoplog::start("insecure = true\n").await?.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_data_folder_that_cannot_be() -> Result<()> {
    let home = Home::new("")?;
    std::fs::write(home.data(), "a file in its place")?;
    let said = home.refused(&[]).await?;
    says(
        &said,
        &[
            "cannot make the data folder",
            &home.data().display().to_string(),
        ],
    )?;

    let nowhere = PathBuf::from("/proc/hoplog/data");
    let home = Home::with_data(TempDir::new()?, nowhere, "")?;
    says(
        &home.refused(&[]).await?,
        &["cannot make the data folder /proc/hoplog/data"],
    )
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written() -> Result<()> {
    let disk = SmallDisk::mount()?;
    disk.make_read_only()?;
    let home = disk.home("")?;
    says(
        &home.refused(&[]).await?,
        &[&home.data().display().to_string()],
    )
}

#[tokio::test]
async fn a_data_folder_that_another_hoplog_uses() -> Result<()> {
    let first = Hoplog::start("").await?;
    let second = Home::with_data(TempDir::new()?, first.data().to_owned(), "")?;
    says(&second.refused(&[]).await?, &["another process"])?;
    // The first has not noticed.
    first.books().await?;
    first.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_setting_that_nobody_knows() -> Result<()> {
    let said = Home::new("[assemble]\nquite_seconds = 3\n")?
        .refused(&[])
        .await?;
    says(&said, &["quite_seconds"])?;
    let said = Home::new("not toml")?.refused(&[]).await?;
    says(&said, &["hoplog.toml"])
}

/// A stopped hoplog with one request, and the first file of one of its folders.
async fn stopped(folder: &str, ending: &str) -> Result<(Home, PathBuf)> {
    let hoplog = Hoplog::start(QUICK).await?;
    hoplog
        .send(
            trace("old")
                .base(recently())
                .span("root")
                .kind(Server)
                .bytes(),
        )
        .await?;
    hoplog.settled_books().await?;
    let home = hoplog.stop().await?;
    let found = first_file(&home.data().join(folder), ending)?;
    Ok((home, found))
}

fn first_file(folder: &Path, ending: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            return Ok(path);
        }
    }
    anyhow::bail!("no .{ending} file in {}", folder.display())
}

/// The folder of a newer hoplog is refused by the server and by the check, and not touched.
async fn is_from_the_future(home: &Home, file: &Path) -> Result<()> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .context("its name")?;
    let before = std::fs::read(file)?;
    says(&home.refused(&[]).await?, &[name, "newer"])?;
    let checked = home.run("check", &[]).await?;
    ensure!(!checked.status.success(), "it was found good");
    ensure!(std::fs::read(file)? == before, "{name} was changed");
    Ok(())
}

#[tokio::test]
async fn a_database_from_the_future() -> Result<()> {
    for folder in ["", "partitions"] {
        let (home, file) = stopped(folder, "db").await?;
        let mut future = database(&file).await?;
        sqlx::raw_sql("PRAGMA user_version = 99")
            .execute(&mut future)
            .await?;
        // So that it lies in the file itself.
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut future)
            .await?;
        future.close().await?;
        is_from_the_future(&home, &file).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_inbox_from_the_future() -> Result<()> {
    let (home, file) = stopped("inbox", "seg").await?;
    let mut bytes = std::fs::read(&file)?;
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, bytes)?;
    is_from_the_future(&home, &file).await
}
