//! Folders that earlier hoplogs wrote.

use super::support::{clock, copy, open};
use hoplog_store::conformance::upgrade::{
    answers, fill, fill_some_more, fixture, go_on, is_clean, keep, newest, recorded,
};
use hoplog_store::{Maintenance, StoreError};
use hoplog_store_sqlite::SqliteStore;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TAR: &str = "sqlite.tar";

/// What a process that was killed left behind, of this schema.
fn unpacked(schema: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    let tar = tar.args(["-xf", "-", "-C"]).arg(dir.path());
    let mut tar = tar.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = tar.stdin.take().unwrap();
    input.write_all(&fixture(schema, TAR)).unwrap();
    drop(input);
    assert!(tar.wait().unwrap().success());
    dir
}

fn packed(dir: &Path) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--mtime=@0"]);
    tar.args(["--exclude=reserve", "--exclude=*-shm", "-cf", "-", "-C"]);
    let done = tar.arg(dir).arg(".").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    done.stdout
}

#[tokio::test]
async fn every_earlier_schema_is_brought_up_to_date_and_goes_on() {
    for schema in 1..=newest() {
        let dir = unpacked(schema);
        let store = open(dir.path()).await;
        assert_eq!(answers(&store).await, recorded(schema), "schema {schema}");
        is_clean(&store).await;
        store.close().await.unwrap();
        let store = open(dir.path()).await;
        go_on(&store).await;
        store.close().await.unwrap();
        let stopped = SqliteStore::open_read_only(dir.path(), clock()).await;
        is_clean(&stopped.unwrap()).await;
    }
}

#[tokio::test]
async fn a_stopped_folder_of_an_earlier_schema_is_left_as_it_is() {
    for schema in 1..newest() {
        let dir = unpacked(schema);
        let before = packed(dir.path());
        let refused = SqliteStore::open_read_only(dir.path(), clock()).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("hoplog migrate")),
            "{refused:?}"
        );
        drop(refused);
        assert_eq!(packed(dir.path()), before);
    }
}

/// `cargo xtask fixtures` runs it.
#[tokio::test]
#[ignore = "makes the fixture of a new schema"]
async fn make_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store).await;
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    fill_some_more(&store).await;
    let answered = answers(&store).await;
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), killed.path());
    keep(TAR, &packed(killed.path()), &answered);
}
