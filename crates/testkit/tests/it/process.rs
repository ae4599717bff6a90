//! Servers: here a shell script stands for one.

use hoplog_testkit::process::{Server, ServerOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Options that start `script` as the server.
fn script(folder: &Path, script: &str) -> ServerOptions {
    let path = folder.join("server");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    ServerOptions {
        binary: Some(path),
        ..ServerOptions::new(folder.join("data"))
    }
}

const READY: &str = "echo starting; echo http=127.0.0.1:1; echo otlp-grpc=127.0.0.1:2\n\
                     echo otlp-http=127.0.0.1:3";

#[tokio::test]
async fn a_server_is_started_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("trap 'echo stopping >&2; exit 3' TERM\n{READY}\nwhile :; do :; done");
    let server = Server::start(&script(folder.path(), &body)).await.unwrap();
    let ports = [server.http, server.otlp_grpc, server.otlp_http].map(|address| address.port());
    assert_eq!(ports, [1, 2, 3]);
    assert!(server.peak_rss_bytes().unwrap() > 0);
    assert!(server.cpu_seconds().unwrap() >= 0.0);
    let ended = server.stop(Duration::from_secs(30)).await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(
        std::fs::read_to_string(folder.path().join("data.log")).unwrap(),
        "stopping\n"
    );
}

#[tokio::test]
async fn a_killed_server_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("trap '' TERM\n{READY}\nwhile :; do :; done");
    let server = Server::start(&script(folder.path(), &body)).await.unwrap();
    let process = format!("/proc/{}", server.pid());
    assert!(Path::new(&process).exists());
    server.kill().await.unwrap();
    assert!(!Path::new(&process).exists());
}

#[tokio::test]
async fn a_server_that_ends_early_shows_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = script(folder.path(), "echo 'port in use' >&2; exit 1");
    let error = Server::start(&options).await.unwrap_err();
    assert!(format!("{error:#}").contains("port in use"), "{error:#}");
}
