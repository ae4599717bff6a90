//! Cursors, and the deletion of what all have passed.

use hoplog_inbox::{ASSEMBLE, Account, Config, Inbox, Totals};
use hoplog_model::Position;
use tempfile::TempDir;

use crate::support::{append, drain, entry, numbers, open, segment_files, small};

fn lossless(totals: Totals) -> Account {
    let lost = Totals::default();
    Account { totals, lost }
}

/// Guarantees: a segment goes when every cursor has passed all of it, not before; the newest never
/// goes; each reader gets every record.
#[tokio::test]
async fn a_segment_goes_when_all_cursors_have_passed_it() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut assembler) = open(folder.path(), small());
    let mut alert = inbox.reader("alert", Position::default()).unwrap();
    append(&inbox, 0..50, 100).await;
    let ours = drain(&mut assembler);
    assert_eq!(numbers(&ours), numbers(&drain(&mut alert)));
    assert_eq!(inbox.stats().memory_bytes, 0);
    let files = segment_files(folder.path()).len();
    assert!(files > 4);
    let end = ours.last().unwrap().next;

    inbox.release(ASSEMBLE, end);
    assert_eq!(segment_files(folder.path()).len(), files);
    let in_third = ours
        .iter()
        .find(|record| record.position.segment == 3)
        .unwrap();
    inbox.release("alert", in_third.position);
    assert_eq!(segment_files(folder.path()).len(), files - 2);
    assert_eq!(inbox.totals_at(in_third.position), in_third.before);
    inbox.release("nobody", end);
    inbox.release("alert", Position::default());
    assert_eq!(segment_files(folder.path()).len(), files - 2);
    inbox.release("alert", end);
    assert_eq!(segment_files(folder.path()).len(), 1);
    let stats = inbox.stats();
    assert_eq!((stats.segments, stats.totals), (1, inbox.totals_at(end)));

    append(&inbox, 50..51, 10).await;
    assert_eq!(numbers(&drain(&mut assembler)), [50]);
    assert_eq!(numbers(&drain(&mut alert)), [50]);
    inbox.close().await;
}

/// Guarantees: an inbox that is closed with nothing left to read keeps no record; totals and
/// positions go on from there.
#[tokio::test]
async fn a_closed_inbox_keeps_nothing_that_all_have_passed() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    append(&inbox, 0..50, 100).await;
    let end = drain(&mut reader).last().unwrap().next;
    let totals = inbox.totals_at(end);
    inbox.release(ASSEMBLE, end);
    drop(reader);
    inbox.close().await;
    let bytes: u64 = segment_files(folder.path())
        .iter()
        .map(|file| std::fs::metadata(file).unwrap().len())
        .sum();
    assert!(bytes < 100, "{bytes} bytes: more than a header");

    let (inbox, mut reader) = Inbox::open(folder.path(), small(), end, lossless(totals)).unwrap();
    assert_eq!(inbox.stats().totals, totals);
    assert!(reader.try_next().is_none());
    append(&inbox, 50..51, 10).await;
    let later = drain(&mut reader);
    assert_eq!(numbers(&later), [50]);
    assert!(later[0].position > end);
    assert_eq!(later[0].before, totals);
    assert_eq!(inbox.stats().corrupt_records, 0);
    inbox.close().await;
}

/// Guarantees: one slow reader takes nothing from a fast one, and finds all itself.
#[tokio::test]
async fn readers_do_not_depend_on_each_other() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut fast) = open(
        folder.path(),
        Config {
            memory_bytes: 4096,
            ..small()
        },
    );
    let mut slow = inbox.reader("alert", Position::default()).unwrap();
    for n in 0..60 {
        append(&inbox, n..n + 1, 300).await;
        assert_eq!(numbers(&drain(&mut fast)), [n]);
    }
    assert!(inbox.backlog_bytes() > 15_000);
    assert_eq!(numbers(&drain(&mut slow)), (0..60).collect::<Vec<_>>());
    assert_eq!(inbox.backlog_bytes(), 0);
    append(&inbox, 60..61, 300).await;
    drop(slow);
    assert_eq!(numbers(&drain(&mut fast)), [60]);
    assert_eq!(inbox.stats().memory_bytes, 0);
    inbox.close().await;
}

/// Scenario: the inbox is opened and closed many times with nothing in between.
/// Guarantees: files do not pile up once the checkpoint has passed them.
#[tokio::test]
async fn restarts_leave_one_file() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    inbox.append(entry(0, 10)).await.unwrap();
    let end = reader.next().await.unwrap().next;
    let totals = inbox.totals_at(end);
    inbox.close().await;
    for _ in 0..5 {
        let (inbox, mut reader) =
            Inbox::open(folder.path(), small(), end, lossless(totals)).unwrap();
        assert!(reader.is_caught_up());
        assert!(reader.try_next().is_none());
        assert_eq!(segment_files(folder.path()).len(), 1);
        assert_eq!(inbox.stats().totals, totals);
        inbox.close().await;
    }
}
