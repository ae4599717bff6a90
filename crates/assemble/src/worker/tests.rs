//! What the worker does when the store, or the disk, does not do as it should.

mod rig;

use super::*;
use hoplog_inbox::Account;
use hoplog_store::OpenRequests;
use hoplog_testkit::spans::{Trace, trace};
use rig::{Fault, Rig};
use std::fs;

/// A request of two spans.
fn request(name: &str) -> Trace {
    trace(name).span("root").span("step").child_of("root")
}

fn ids(requests: &[Trace]) -> Vec<hoplog_model::TraceId> {
    let mut ids: Vec<_> = requests.iter().map(Trace::trace_id).collect();
    ids.sort_unstable();
    ids
}

fn three() -> [Trace; 3] {
    ["a", "b", "c"].map(request)
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_store_does_not_take_is_tried_again_and_written_once() {
    let rig = Rig::new();
    rig.store.fail_writes(&[Fault::Away; 3]);
    let stats = rig
        .run(async |view| {
            view.receive(&three()).await;
            view.until(7).await;
            let stats = view.stats();
            assert!(stats.trouble.is_some(), "{stats:?}");
            assert_eq!((stats.open_requests, stats.open_spans), (3, 6));
            let open = view.open.get(&request("b").trace_id()).unwrap();
            assert_eq!(open.spans.len(), 2, "what is not stored yet can be read");
            view.until(20).await;
            assert_eq!(view.stats().trouble, None);
        })
        .await;
    assert_eq!(rig.store.tried(), vec![ids(&three()); 4]);
    assert_eq!(rig.store.taken(), [ids(&three())]);
    assert_eq!((stats.books.stored, stats.books.duplicate), (6, 0));
    assert_eq!(rig.store.books().await, stats.books);
    assert_eq!((stats.batches, stats.open_requests), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn tries_are_apart_by_the_time_a_batch_waits() {
    let rig = Rig::new();
    rig.store.set_down(true);
    rig.run(async |view| {
        view.receive(&three()).await;
        view.until(60).await;
        let tries = rig.store.tried().len();
        assert!((20..=30).contains(&tries), "{tries} tries in a minute");
        rig.store.set_down(false);
    })
    .await;
    assert_eq!(rig.store.books().await.stored, 6);
}

#[tokio::test(start_paused = true)]
async fn of_a_refused_batch_only_the_guilty_request_goes_to_the_dead_letters() {
    let rig = Rig::new();
    let guilty = request("b");
    rig.store.refuse(&guilty);
    let stats = rig
        .run(async |view| {
            view.receive(&three()).await;
            view.until(10).await;
        })
        .await;
    assert_eq!(stats.dead_lettered, 2);
    assert_eq!((stats.books.stored, stats.books.duplicate), (4, 0));
    assert_eq!(rig.store.books().await, stats.books);
    let mut taken = rig.store.taken().concat();
    taken.sort_unstable();
    assert_eq!(taken, ids(&["a", "c"].map(request)), "each alone, once");
    assert_eq!(
        stats.trouble, None,
        "one request's fault is not the store's"
    );

    let letters = DeadLetters::open(&rig.dead()).unwrap();
    assert_eq!(letters.spans(), 2);
    assert_eq!(
        letters.upto().keys().collect::<Vec<_>>(),
        [&guilty.trace_id()]
    );
}

#[tokio::test(start_paused = true)]
async fn trouble_amid_a_refused_batch_writes_nothing_twice() {
    let rig = Rig::new();
    rig.store.refuse(&request("b"));
    // The batch is refused before the script is asked, so this is the second request alone.
    rig.store
        .fail_writes(&[Fault::Slow(Duration::ZERO), Fault::Away, Fault::Away]);
    let stats = rig
        .run(async |view| {
            view.receive(&["a", "b", "c", "d"].map(request)).await;
            view.until(20).await;
        })
        .await;
    let mut taken = rig.store.taken().concat();
    taken.sort_unstable();
    assert_eq!(taken, ids(&["a", "c", "d"].map(request)));
    assert_eq!((stats.books.stored, stats.books.duplicate), (6, 0));
    assert_eq!(stats.dead_lettered, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_written_is_tried_again() {
    let rig = Rig::new();
    let guilty = request("b");
    rig.store.refuse(&guilty);
    let running = rig.start().await;
    // A file where the folder has to be.
    fs::write(rig.dead(), "in the way").unwrap();
    let stats = running
        .run(async |view| {
            let first = view.receive(std::slice::from_ref(&guilty)).await;
            view.receive(&["a", "c"].map(request)).await;
            view.until(30).await;
            let stats = view.stats();
            assert_eq!(stats.dead_lettered, 0);
            let why = stats.trouble.unwrap();
            assert!(why.contains("dead letters"), "{why}");
            assert!(view.open.get(&guilty.trace_id()).is_some());
            let passed = rig.store.recorded().iter().any(|at| *at > first);
            assert!(!passed, "its spans are in the inbox only");

            fs::remove_file(rig.dead()).unwrap();
            view.until(40).await;
            assert_eq!(view.stats().trouble, None);
        })
        .await;
    assert_eq!((stats.dead_lettered, stats.open_requests), (2, 0));
    assert_eq!((stats.books.stored, stats.books.duplicate), (4, 0));
    assert_eq!(DeadLetters::open(&rig.dead()).unwrap().spans(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_not_written_again_after_a_start() {
    let mut rig = Rig::new();
    // Never a checkpoint, so that the next start reads all of the inbox.
    rig.store.fail_checkpoints(&[Fault::NotYet; 100]);
    rig.config.checkpoint_seconds = 1;
    rig.store.refuse(&request("b"));
    let running = rig.start().await;
    let received = async |view: &rig::View| {
        view.receive(&three()).await;
        view.until(10).await;
    };
    running.run(received).await;
    let before = rig.store.tried().len();
    let stats = rig.run(async |view| view.until(10).await).await;
    assert_eq!(rig.store.tried().len(), before, "nothing is left to write");
    assert_eq!((stats.replayed_spans, stats.dead_lettered), (6, 2));
    assert_eq!(stats.books.stored, 4);
}

#[tokio::test(start_paused = true)]
async fn no_checkpoint_passes_a_span_that_is_open() {
    let rig = Rig::new();
    rig.run(async |view| {
        view.receive(&[request("before")]).await;
        view.until(10).await;
        let first = view.receive(&[request("long")]).await;
        view.receive(&[request("short")]).await;
        for n in 1..=5 {
            view.until(10 + 4 * n).await;
            view.receive(&[trace("long").span(&format!("late {n}"))])
                .await;
        }
        assert_eq!(rig.store.spans(&request("short")).await, 2);
        assert_eq!(rig.store.spans(&request("long")).await, 0);
        assert_eq!(rig.store.recorded().last(), Some(&first), "no further");
        view.until(45).await;
        assert_eq!(rig.store.spans(&request("long")).await, 7);
        assert!(rig.store.recorded().last() > Some(&first));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_checkpoint_passes_a_span_that_waits_for_the_store() {
    let rig = Rig::new();
    rig.store.fail_writes(&[Fault::Away; 8]);
    rig.run(async |view| {
        let first = view.receive(&[request("a")]).await;
        let last = view.receive(&[request("b")]).await;
        view.until(18).await;
        assert_eq!(rig.store.taken(), Vec::<Vec<_>>::new());
        let recorded = rig.store.recorded();
        assert!(recorded.iter().all(|at| *at <= first), "{recorded:?}");
        view.until(38).await;
        assert_eq!(rig.store.taken().len(), 1);
        assert!(rig.store.recorded().last() > Some(&last));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_could_not_be_made_is_made_later() {
    let rig = Rig::new();
    rig.store.fail_checkpoints(&[Fault::NotYet, Fault::Away]);
    rig.run(async |view| {
        let only = view.receive(&[request("a")]).await;
        view.until(11).await;
        assert_eq!(rig.store.taken().len(), 1);
        assert!(rig.store.recorded().is_empty(), "two tries");
        assert!(view.stats().trouble.is_some(), "the second failed");
        view.until(16).await;
        assert!(rig.store.recorded().last() > Some(&only));
        // Without another batch that would say that the store is there.
        assert_eq!(view.stats().trouble, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_does_not_end_trouble_with_writing() {
    let rig = Rig::new();
    rig.run(async |view| {
        view.receive(&[request("a")]).await;
        view.until(2).await;
        let second = view.receive(&[request("b")]).await;
        view.until(7).await;
        assert_eq!(rig.store.taken().len(), 1);
        rig.store.fail_writes(&[Fault::Away; 5]);
        view.until(12).await;
        assert_eq!(rig.store.recorded().last(), Some(&second), "`a` is behind");
        assert!(view.stats().trouble.is_some(), "`b` is not taken");
        view.until(30).await;
        assert_eq!(rig.store.taken().len(), 2);
        assert_eq!(view.stats().trouble, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_is_open_and_records_it() {
    let rig = Rig::new();
    let stats = rig
        .run(async |view| {
            view.receive(&three()).await;
            view.until(1).await;
            assert_eq!(view.stats().open_requests, 3);
            // The worker has not seen this one when it is told to stop.
            view.receive(&[request("last")]).await;
        })
        .await;
    assert_eq!((stats.books.stored, stats.open_requests), (8, 0));
    let recovery = rig.store.recovery().await.unwrap();
    let account: Account = serde_json::from_slice(&recovery.checkpoint.inbox_totals).unwrap();
    assert_eq!((account.totals.accepted(), account.lost.accepted()), (8, 0));

    let stats = rig.run(async |_| {}).await;
    assert_eq!((stats.replayed_spans, stats.books.stored), (0, 8));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_batch_that_is_being_written() {
    let rig = Rig::new();
    rig.store
        .fail_writes(&[Fault::Slow(Duration::from_secs(3))]);
    let stats = rig
        .run(async |view| {
            view.receive(&three()).await;
            view.until(7).await;
            assert_eq!((rig.store.tried().len(), rig.store.taken().len()), (1, 0));
        })
        .await;
    assert_eq!(rig.store.tried(), rig.store.taken());
    assert_eq!((stats.books.stored, stats.books.duplicate), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_take_at_a_stop_is_read_again_once() {
    let mut rig = Rig::new();
    rig.config.checkpoint_seconds = 3_600;
    let stats = rig
        .run(async |view| {
            view.receive(&[trace("done").span("1"), trace("long").span("1")])
                .await;
            view.until(4).await;
            view.receive(&[trace("long").span("2")]).await;
            view.until(8).await;
            assert_eq!(rig.store.taken(), [vec![trace("done").trace_id()]]);
            rig.store.set_down(true);
        })
        .await;
    assert_eq!((stats.books.stored, stats.open_spans), (1, 2));
    assert!(rig.store.recorded().is_empty(), "nothing may be forgotten");

    rig.store.set_down(false);
    let stats = rig.run(async |_| {}).await;
    assert_eq!(stats.replayed_spans, 1, "the one that the store has");
    assert_eq!((stats.books.stored, stats.books.duplicate), (3, 0));
    assert_eq!(rig.store.spans(&trace("long")).await, 2);
    assert_eq!(rig.store.spans(&trace("done")).await, 1);

    let stats = rig.run(async |_| {}).await;
    assert_eq!((stats.replayed_spans, stats.books.stored), (0, 3));
}

/// A request of 40 KiB.
fn large(name: &str) -> Trace {
    trace(name).span("root").attr("text", "x".repeat(40 << 10))
}

async fn receive_large(view: &rig::View, numbers: std::ops::Range<u32>) {
    for n in numbers {
        view.receive(&[large(&format!("request {n}"))]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_while_the_store_takes_nothing() {
    let mut rig = Rig::new();
    rig.config.memory_bytes = 256 << 10;
    rig.store
        .fail_writes(&[Fault::Slow(Duration::from_secs(10)); 2]);
    let stats = rig
        .run(async |view| {
            let check = |written| {
                assert_eq!(rig.store.taken().len(), written);
                let held = view.open.stats().open_bytes;
                assert!(held < 512 << 10, "{held} bytes");
            };
            receive_large(view, 0..10).await;
            view.until(5).await;
            check(0);
            // All of these wait when the first batch is through.
            receive_large(view, 10..30).await;
            view.until(15).await;
            check(1);
            rig.store.set_down(true);
            view.until(40).await;
            check(2);
            rig.store.set_down(false);
            view.until(60).await;
        })
        .await;
    assert_eq!((stats.books.stored, stats.books.duplicate), (30, 0));
    assert!(rig.store.taken().iter().all(|batch| batch.len() <= 4));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_has_no_memory_for_all_writes_as_it_reads() {
    let mut rig = Rig::new();
    rig.store.set_down(true);
    let stats = rig.run(async |view| receive_large(view, 0..20).await).await;
    assert_eq!((stats.books.stored, stats.open_spans), (0, 20));

    rig.store.set_down(false);
    rig.store.fail_writes(&[Fault::Away; 3]);
    rig.config.memory_bytes = 256 << 10;
    let stats = rig
        .run(async |view| {
            assert!(view.stats().books.stored > 0, "some while it was read");
            let held = view.stats().open_bytes;
            assert!(held < 512 << 10, "{held} bytes");
        })
        .await;
    assert_eq!((stats.books.stored, stats.books.duplicate), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_to_damage_is_in_the_books_of_every_start() {
    let rig = Rig::new();
    rig.store.set_down(true);
    let mut damaged = Position::default();
    rig.run(async |view| {
        view.receive(&[request("a")]).await;
        damaged = view.receive(&[request("b")]).await;
        view.receive(&[request("c")]).await;
    })
    .await;
    rig.damage(damaged);
    rig.store.set_down(false);
    let stats = rig
        .run(async |view| {
            assert_eq!((view.lost(), view.stats().open_spans), (2, 4));
            view.until(10).await;
            assert!(rig.store.recorded().last() > Some(&damaged));
        })
        .await;
    assert_eq!((stats.books.stored, stats.lost_but_stored), (4, 0));
    for _ in 0..2 {
        let running = rig.start().await;
        let stats = running.run(async |view| assert_eq!(view.lost(), 2)).await;
        assert_eq!((stats.books.stored, stats.replayed_spans), (4, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_had_before_the_damage_is_not_lost() {
    let mut rig = Rig::new();
    rig.config.checkpoint_seconds = 3_600;
    let mut damaged = Position::default();
    rig.run(async |view| {
        view.receive(&[request("a")]).await;
        damaged = view.receive(&[request("b")]).await;
        view.until(10).await;
        assert_eq!(view.stats().books.stored, 4);
        rig.store.set_down(true);
        view.receive(&[request("c")]).await;
    })
    .await;
    rig.damage(damaged);
    rig.store.set_down(false);
    for replayed in [2, 0, 0] {
        let running = rig.start().await;
        let stats = running.run(async |view| assert_eq!(view.lost(), 2)).await;
        assert_eq!((stats.books.stored, stats.lost_but_stored), (6, 2));
        assert_eq!(stats.replayed_spans, replayed);
    }
}
