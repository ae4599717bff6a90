//! A step that is given up anywhere is done or is not.

use crate::{Config, SqliteStore};
use hoplog_store::conformance::build::{Span, content, part, trace};
use hoplog_store::conformance::{NOW, clock, read, write};
use hoplog_store::pack::{Dictionary, train};
use hoplog_store::tables::Step;
use hoplog_store::{Maintenance, Part};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

fn request(n: u64) -> Part {
    let spans: Vec<Span> = (1..=4)
        .map(|id| {
            Span::root(id)
                .name(&format!("a step of many words, the {id} one"))
                .at(NOW - n, id * 100 + n)
                .with("a.key.of.some.length", format!("value {}", n % 11).as_str())
        })
        .collect();
    part(trace(n), &spans)
}

/// Three segments packed with the dictionary that ships, and another one in use.
async fn ready(dir: &std::path::Path) -> SqliteStore {
    let store = SqliteStore::open(dir, Config::default(), clock())
        .await
        .unwrap();
    for batch in 0..3 {
        write(&store, (1..=40).map(|n| request(batch * 40 + n)).collect()).await;
    }
    let samples = (1_000..1_400).map(|n| {
        let mut raw = Vec::new();
        request(n).spans.write_traces(&mut raw);
        raw
    });
    let dictionary = train(&samples.collect::<Vec<_>>(), 16 << 10).unwrap();
    let dictionary = Dictionary::new(dictionary).unwrap();
    let dictionaries = &store.shared.dictionaries;
    dictionaries.install(dictionary.bytes().to_vec()).unwrap();
    let partition = &store.shared.partitions()[0];
    let mut writer = store.writer().await.unwrap();
    writer
        .add_dictionary(partition, &dictionary, 5.0)
        .await
        .unwrap();
    drop(writer);
    assert!(dictionaries.choose(dictionary.id()));
    store
}

/// Polls a future so many times at most; none if it was not ready by then.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls >= times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn is_whole(store: &SqliteStore) {
    let report = store.check(&|_, _| ()).await.unwrap();
    assert_eq!(report.differences, []);
    for n in [1, 40, 41, 80, 120] {
        let now = read(store, trace(n)).await;
        assert_eq!(content(&now.spans), content(&request(n).spans), "{n}");
    }
}

#[tokio::test]
async fn a_step_given_up_anywhere_is_done_or_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = ready(dir.path()).await;
    let (mut polls, mut given_up, mut fresh) = (1, 0, 1_000);
    loop {
        let step = polled(store.repack(), polls).await;
        // The next batch finds out what became of it.
        fresh += 1;
        write(&store, vec![request(fresh)]).await;
        is_whole(&store).await;
        match step.map(Result::unwrap) {
            None => {
                given_up += 1;
                polls += 1;
            }
            Some(Step { more: false, .. }) => break,
            Some(_) => polls = 1,
        }
    }
    assert!(given_up > 10, "{given_up}");
    let packing = store.shared.partitions()[0].packing();
    let current = store.shared.dictionaries.current().unwrap().id();
    assert_eq!(packing.repacked, 120);
    assert_eq!(packing.rows.keys().copied().collect::<Vec<_>>(), [current]);
    store.close().await.unwrap();
    let again = SqliteStore::open(dir.path(), Config::default(), clock())
        .await
        .unwrap();
    is_whole(&again).await;
    assert_eq!(again.shared.partitions()[0].packing(), packing);
}

#[tokio::test]
async fn a_row_that_was_merged_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = ready(dir.path()).await;
    let partition = store.shared.partitions()[0].clone();
    let dictionary = store.shared.dictionaries.current().unwrap();
    let mut connection = store.connection(&partition).await.unwrap();
    let lines = super::read_lines(&mut connection, 1).await.unwrap();
    let smaller = store.smaller(lines, &dictionary).await.unwrap();
    assert_eq!(smaller.len(), 40);
    write(&store, vec![part(trace(7), &[Span::child(9, 1)])]).await;
    let mut writer = store.writer().await.unwrap();
    let step = writer
        .repack(&partition, (1..=1, &dictionary), smaller)
        .await;
    drop(writer);
    assert_eq!(step.unwrap().rows, 39);
    assert_eq!(read(&store, trace(7)).await.spans.len(), 5);
    is_whole(&store).await;
}
