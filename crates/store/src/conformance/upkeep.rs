//! Retention, recovery, checks.

use super::build::{Span, content, part, trace};
use super::{KEEP, NOW, all_pages, books, found, read, search, write};
use crate::tables::ROWS_LEAST;
use crate::{Checkpoint, Outcome, Part, RequestExpr, StatsQuery, Store};
use hoplog_model::times::{DAY, HOUR, MINUTE};
use hoplog_model::{Flags, Position, TraceId, UnixNanos};

fn position(offset: u32) -> Position {
    Position { segment: 1, offset }
}

fn day_of(n: u64) -> UnixNanos {
    NOW - n * DAY
}

/// Ten requests, the n-th n days ago, each received when it happened.
async fn ten_days(store: &dyn Store) {
    for n in 0..10 {
        let spans = [
            Span::root(1).at(day_of(n), 5),
            Span::child(2, 1).at(day_of(n), 3),
        ];
        let part = Part {
            received_at: day_of(n),
            ..part(trace(n + 1), &spans)
        };
        write(store, vec![part]).await;
    }
}

/// `retain` drops what is past its age with its roll-ups, and nothing else; the books stay.
pub async fn retention_drops_old_days_and_keeps_the_books(store: &dyn Store) {
    ten_days(store).await;
    let before = books(store).await;
    // A day is kept for KEEP after its end, so today and the last seven days are.
    assert_eq!(store.retain(NOW).await.expect("old days can be dropped"), 2);
    let kept: Vec<TraceId> = (1..=8).map(trace).collect();
    assert_eq!(found(store, &search(RequestExpr::everything())).await, kept);
    assert!(
        store
            .get(&trace(9))
            .await
            .expect("the store can be read")
            .is_none()
    );
    assert_eq!(read(store, trace(8)).await.spans.len(), 2);
    let query = StatsQuery {
        to: 2 * NOW,
        ..StatsQuery::default()
    };
    let stats = store.stats(&query).await.expect("the store can be read");
    assert_eq!(stats.iter().map(|row| row.count).sum::<u64>(), 16);
    assert_eq!(books(store).await, before);
    assert_eq!(store.retain(NOW).await.expect("there is nothing to do"), 0);
    let health = store.health().await.expect("the store can be read");
    assert_eq!((health.rows, health.dropped_rows), (8, 2));
    // What comes late for a day that is gone is a row again.
    let late = Part {
        received_at: day_of(9),
        ..part(trace(10), &[Span::child(3, 1).at(day_of(9), 1)])
    };
    write(store, vec![late]).await;
    assert_eq!(read(store, trace(10)).await.spans.len(), 1);
    assert_eq!(
        store
            .retain(NOW + KEEP + 2 * DAY)
            .await
            .expect("all can be dropped"),
        9
    );
    assert!(
        found(store, &search(RequestExpr::everything()))
            .await
            .is_empty()
    );
    assert_eq!(books(store).await.stored, before.stored + 1);
}

/// What a start needs: the checkpoint, and for requests written from beyond it how far they were taken.
pub async fn recovery_knows_what_lies_beyond_the_checkpoint(store: &dyn Store) {
    let empty = store.recovery().await.expect("the store can be read");
    assert_eq!(empty.checkpoint, Checkpoint::default());
    assert!(empty.upto.is_empty());
    let outcomes = [
        Outcome::Keep,
        Outcome::CountOnly,
        Outcome::Drop,
        Outcome::Keep,
    ];
    for (outcome, n) in outcomes.into_iter().zip(1..) {
        let upto = position(100 * n);
        let part = Part {
            upto,
            outcome,
            ..part(trace(u64::from(n)), &[Span::root(1)])
        };
        write(store, vec![part]).await;
    }
    // The first request again, from further on; the last again, from before: the greatest counts.
    let again = |n, offset| Part {
        upto: position(offset),
        ..part(trace(n), &[Span::child(2, 1)])
    };
    write(store, vec![again(1, 450), again(4, 350)]).await;
    let checkpoint = Checkpoint {
        position: position(300),
        inbox_totals: b"totals".to_vec(),
    };
    let done = store
        .checkpoint(checkpoint.clone())
        .await
        .expect("a checkpoint can be made");
    assert!(done, "nobody reads, so nothing is in the way");
    let recovery = store.recovery().await.expect("the store can be read");
    assert_eq!(recovery.checkpoint, checkpoint);
    assert_eq!(recovery.books, books(store).await);
    let beyond = |n| {
        recovery
            .upto
            .get(&trace(n))
            .copied()
            .filter(|upto| *upto >= position(300))
    };
    let expected = [
        Some(position(450)),
        None,
        Some(position(300)),
        Some(position(400)),
    ];
    assert_eq!([1, 2, 3, 4].map(beyond), expected);
}

/// Decisions of the last hour are told after a start, older ones are not.
pub async fn decisions_are_remembered_for_an_hour(store: &dyn Store) {
    let decided = |n, received_at, outcome| Part {
        received_at,
        outcome,
        ..part(trace(n), &[Span::root(1).at(received_at, 5)])
    };
    let parts = vec![
        decided(1, NOW - 2 * HOUR, Outcome::Drop),
        decided(2, NOW - 59 * MINUTE, Outcome::Drop),
        decided(3, NOW, Outcome::CountOnly),
        decided(4, NOW, Outcome::Keep),
    ];
    write(store, parts).await;
    let decisions = store
        .recovery()
        .await
        .expect("the store can be read")
        .decisions;
    let of = |n| {
        decisions
            .get(&trace(n))
            .map(|decision| (decision.outcome, decision.at))
    };
    let expected = [
        None,
        Some((Outcome::Drop, NOW - 59 * MINUTE)),
        Some((Outcome::CountOnly, NOW)),
        None,
    ];
    assert_eq!([1, 2, 3, 4].map(of), expected);
}

/// Rows of several days, merged, replaced, counted only.
async fn a_bit_of_everything(store: &dyn Store) {
    for round in 0_u64..3 {
        let parts = (1..=20).map(|n| {
            let start = NOW - n % 4 * DAY;
            let spans = [
                Span::root(1)
                    .at(start, 100 + round)
                    .with("round", round.cast_signed())
                    .resource("host", "h"),
                Span::child(10 + round, 1)
                    .at(start + 5, 7)
                    .failed("no")
                    .exception("E", "no"),
            ];
            let outcome = if n % 10 == 0 {
                Outcome::CountOnly
            } else {
                Outcome::Keep
            };
            Part {
                outcome,
                received_at: start,
                ..part(trace(n), &spans)
            }
        });
        write(store, parts.collect()).await;
    }
}

/// `check` reads everything, tells how far it is, and finds nothing.
pub async fn a_check_of_a_good_store_finds_nothing(store: &dyn Store) {
    a_bit_of_everything(store).await;
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |done, all| {
        told.lock()
            .expect("no panic while locked")
            .push((done, all));
    };
    let report = store.check(&progress).await.expect("the store can be read");
    assert_eq!(report.differences, []);
    assert_eq!((report.rows, report.spans), (18, 18 * 4));
    assert_eq!(report.books, books(store).await);
    assert_eq!(
        told.lock().expect("no panic while locked").last(),
        Some(&(18, 18))
    );
}

/// `health` counts rows by partition, oldest first.
pub async fn health_counts_the_rows(store: &dyn Store) {
    a_bit_of_everything(store).await;
    let health = store.health().await.expect("the store can be read");
    assert_eq!(health.rows, 18);
    assert_eq!(
        health.partitions.iter().map(|part| part.rows).sum::<u64>(),
        18
    );
    assert!(
        health
            .partitions
            .windows(2)
            .all(|pair| pair[0].from < pair[1].from)
    );
    assert!(health.bytes > 0);
}

/// Rows packed before and after training are read alike.
pub async fn training_changes_no_answer(store: &dyn Store) {
    ten_days(store).await;
    let before = read(store, trace(1)).await;
    store
        .train()
        .await
        .expect("training is possible or not, but no error");
    let after = read(store, trace(1)).await;
    assert_eq!(after.summary, before.summary);
    assert_eq!(content(&after.spans), content(&before.spans));
    write(store, vec![part(trace(11), &[Span::root(1).name("after")])]).await;
    assert_eq!(read(store, trace(11)).await.summary.interface.name, "after");
}

/// Requests enough to learn a dictionary from, and a few that are large or in parts.
async fn many(store: &dyn Store) {
    let request = |n: u64| {
        let spans: Vec<Span> = (1..=4)
            .map(|id| {
                Span::root(id)
                    .service(
                        ["shop", "bank", "mail"][usize::try_from((n + id) % 3).expect("small")],
                    )
                    .name(&format!("a step of the {id} kind"))
                    .at(NOW - n * 1_000, id * 1_000 + n)
                    .with("order.number", n.cast_signed())
                    .with("customer.of.many", format!("customer {}", n % 7).as_str())
            })
            .collect();
        part(trace(n), &spans)
    };
    let numbers: Vec<u64> = (1..=ROWS_LEAST).collect();
    for numbers in numbers.chunks(500) {
        write(store, numbers.iter().copied().map(request).collect()).await;
    }
    let noise = |n: u64| {
        format!(
            "{:032x}",
            u128::from(n).wrapping_pow(9).wrapping_mul(n.into())
        )
    };
    let large: Vec<Span> = (1..=3_000)
        .map(|n| Span::root(n).with("noise", (noise(n) + &noise(n + 7_919)).as_str()))
        .collect();
    write(store, vec![part(trace(ROWS_LEAST + 1), &large)]).await;
    write(
        store,
        vec![part(trace(3), &[Span::child(9, 1).name("late")])],
    )
    .await;
}

/// Everything that can be asked of some requests.
async fn told(store: &dyn Store) -> (Vec<hoplog_model::Summary>, Vec<Vec<String>>) {
    let hits = all_pages(store, &search(RequestExpr::everything())).await;
    let mut spans = Vec::new();
    for n in [1, 2, 3, 1_000, ROWS_LEAST, ROWS_LEAST + 1] {
        let read = read(store, trace(n)).await;
        let mut said: Vec<_> = content(&read.spans)
            .into_iter()
            .map(|span| format!("{span:?}"))
            .collect();
        said.sort_unstable();
        spans.push(said);
    }
    (hits, spans)
}

/// Rows are packed anew with a better dictionary: fewer bytes, the same answers, and every check is clean.
pub async fn packing_anew_changes_no_answer(store: &dyn Store) {
    many(store).await;
    let before = told(store).await;
    let trained = store.train().await.expect("there is enough to learn from");
    let mut rows = 0;
    loop {
        let step = store.repack().await.expect("rows can be packed anew");
        rows += step.rows;
        if !step.more {
            break;
        }
    }
    assert!(rows >= ROWS_LEAST - 10 || !trained, "only {rows} rows");
    assert_eq!(told(store).await, before);
    let health = store.health().await.expect("the store can be read");
    assert_eq!(health.repacked_rows, rows);
    if trained {
        assert!(health.repacked_saved_bytes > 0);
        let current = health.packing.iter().find(|line| line.is_current);
        let current = current.expect("one is in use");
        assert!(current.rows >= rows, "{:?}", health.packing);
        assert!(current.density_trained.is_some());
        let counted: u64 = health.packing.iter().map(|line| line.rows).sum();
        assert_eq!(counted, ROWS_LEAST + 1);
    }
    // A later part finds its row as it is now.
    write(
        store,
        vec![part(trace(2), &[Span::child(9, 1).name("late")])],
    )
    .await;
    assert_eq!(read(store, trace(2)).await.spans.len(), 5);
    let report = store
        .check(&|_, _| ())
        .await
        .expect("the store can be read");
    assert_eq!(report.differences, []);
    let step = store.repack().await.expect("there is nothing to do");
    assert_eq!((step.rows, step.more), (0, false));
}

async fn is_clean(store: &dyn Store) {
    let report = store.check(&|_, _| ()).await;
    assert_eq!(report.expect("the store can be read").differences, []);
}

/// What is received while the clock is off by more than a day is filed by that clock and says so. Nothing is lost,
/// whatever the clock does between two parts of a request.
pub async fn a_clock_that_jumps_loses_nothing(store: &dyn Store) {
    let off = DAY + HOUR;
    let clock = [NOW, NOW + off, NOW + 1, NOW - off, NOW + 2];
    for (received_at, n) in clock.into_iter().zip(1..) {
        let of = |n, span| Part {
            received_at,
            ..part(trace(n), &[span])
        };
        write(store, vec![of(n, Span::root(1))]).await;
        write(store, vec![of(n, Span::child(2, 1))]).await;
    }
    // The last part comes when the clock is right again.
    for n in 1..=5 {
        write(store, vec![part(trace(n), &[Span::child(3, 1)])]).await;
    }
    for (received_at, n) in clock.into_iter().zip(1..) {
        let row = read(store, trace(n)).await;
        let is_off = received_at.abs_diff(NOW) > DAY;
        let is_clamped = row.summary.flags.contains(Flags::CLAMPED_TIME);
        assert_eq!((row.spans.len(), is_clamped), (3, is_off), "request {n}");
        let filed_at = if is_off { received_at } else { NOW };
        assert_eq!(row.summary.started_at, filed_at, "request {n}");
    }
    let all = search(RequestExpr::everything());
    assert_eq!(found(store, &all).await.len(), 5);
    assert_eq!(books(store).await.stored, 15);
    assert_eq!(store.retain(NOW + off).await.expect("nothing is old"), 0);
    is_clean(store).await;
}

/// Neither a span's clock nor ours can stand where there is no partition for it.
pub async fn times_at_the_ends_of_time_are_rows(store: &dyn Store) {
    let greatest = i64::MAX.cast_unsigned();
    let times = [0, 1, greatest, greatest + 1, u64::MAX];
    for (time, n) in times.into_iter().zip(1..) {
        let span = Span::root(1).at(time, 5);
        write(store, vec![part(trace(n), &[span])]).await;
        let received = Part {
            received_at: time,
            ..part(trace(10 + n), &[Span::root(1)])
        };
        write(store, vec![received]).await;
    }
    for n in (1..=5).flat_map(|n| [n, 10 + n]) {
        let row = read(store, trace(n)).await;
        assert_eq!(row.spans.len(), 1);
        assert!(
            row.summary.flags.contains(Flags::CLAMPED_TIME),
            "request {n}"
        );
        // Times are searched up to the year 2262.
        if row.summary.started_at < greatest {
            let by_id = RequestExpr::Is(crate::RequestTest::Trace(trace(n)));
            assert_eq!(found(store, &search(by_id)).await, [trace(n)]);
        }
    }
    is_clean(store).await;
    // Of the partitions of the distant past there is one, and it goes.
    assert_eq!(store.retain(NOW).await.expect("the past can be dropped"), 2);
    assert_eq!(books(store).await.stored, 10);
    is_clean(store).await;
}
