//! What is left after a crash, byte by byte.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoplog_inbox::{Account, Delivered, Inbox, Totals};
use hoplog_model::Position;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{
    SEGMENT_HEADER, append, copy, drain, entry, number, numbers, open, plus, segment_files, small,
    try_open,
};

/// A folder with `count` records in several segments, and where each of them ends.
async fn filled(count: u64, size: usize) -> (TempDir, Vec<Position>) {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    append(&inbox, 0..count, size).await;
    let ends = drain(&mut reader)
        .iter()
        .map(|record| record.next)
        .collect();
    inbox.close().await;
    (folder, ends)
}

/// The newest file that has records.
fn newest(folder: &Path) -> PathBuf {
    let mut files = segment_files(folder);
    files.retain(|path| fs::metadata(path).unwrap().len() > u64::from(SEGMENT_HEADER));
    files.pop().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// Scenario: the newest file ends at any byte of its last records.
/// Guarantees: exactly the records that are whole come back, the rest is cut off, what is appended
/// next comes back as well, and no position is used twice.
#[tokio::test]
async fn a_file_cut_anywhere_gives_every_whole_record() {
    let (folder, ends) = filled(20, 60).await;
    let last = *ends.last().unwrap();
    let len = fs::metadata(newest(folder.path())).unwrap().len();
    assert_eq!(u64::from(last.offset), len);
    for cut in (len.saturating_sub(300))..=len {
        let crashed = copy(folder.path());
        let file = OpenOptions::new()
            .write(true)
            .open(newest(crashed.path()))
            .unwrap();
        file.set_len(cut).unwrap();
        let whole = ends
            .iter()
            .filter(|end| end.segment < last.segment || u64::from(end.offset) <= cut);
        let whole: Vec<Position> = whole.copied().collect();

        let (inbox, mut reader) = open(crashed.path(), small());
        let records = drain(&mut reader);
        assert!(reader.is_caught_up());
        assert_eq!(
            numbers(&records),
            (0..whole.len() as u64).collect::<Vec<_>>(),
            "cut {cut}"
        );
        assert_eq!(records.iter().map(|r| r.next).collect::<Vec<_>>(), whole);
        let stats = inbox.stats();
        assert_eq!(stats.corrupt_records, 0);
        let end = whole.last().filter(|end| end.segment == last.segment);
        let kept = end.map_or(SEGMENT_HEADER, |end| end.offset);
        assert_eq!(stats.truncated_bytes, cut - u64::from(kept), "cut {cut}");

        let again = inbox.append(entry(99, 10)).await.unwrap();
        assert!(again.segment > last.segment);
        assert_eq!(numbers(&drain(&mut reader)), [99]);
        inbox.close().await;
    }
}

/// Scenario: the crash came while the newest file was made.
/// Guarantees: it counts as nothing, its number is not used again, nothing else is touched.
#[tokio::test]
async fn a_segment_header_cut_anywhere_holds_nothing() {
    let (folder, _) = filled(5, 20).await;
    for cut in 0..=SEGMENT_HEADER {
        let crashed = copy(folder.path());
        let header = fs::read(newest(crashed.path())).unwrap();
        let husk = crashed.path().join("0000000077.seg");
        fs::write(&husk, &header[..cut as usize]).unwrap();
        let (inbox, mut reader) = open(crashed.path(), small());
        assert_eq!(numbers(&drain(&mut reader)), [0, 1, 2, 3, 4]);
        assert_eq!(inbox.append(entry(5, 20)).await.unwrap().segment, 78);
        let record = reader.next().await.unwrap();
        assert_eq!(number(&record), 5);
        assert_eq!(record.sequence, 5);
        let before = (0..5).fold(Totals::default(), |sum, n| plus(sum, &entry(n, 0)));
        assert_eq!(record.before, before);
        assert_eq!(reader.lost(), Totals::default());
        inbox.release(hoplog_inbox::ASSEMBLE, record.next);
        assert_eq!(segment_files(crashed.path()).len(), 1);
        inbox.close().await;
    }
}

/// Scenario: after a crash the file has grown by bytes that are no new record: zeros, noise,
/// records of another segment, records of its own past.
/// Guarantees: none of it is handed out, and it is cut off.
#[tokio::test]
async fn stale_bytes_are_never_a_record() {
    let (folder, _) = filled(16, 60).await;
    let files = segment_files(folder.path());
    assert!(files.len() > 1);
    let records = |path: &Path| fs::read(path).unwrap()[SEGMENT_HEADER as usize..].to_vec();
    let tails = [
        vec![0; 700],
        entry(5, 700).payload.to_vec(),
        records(&files[0]),
        records(&newest(folder.path())),
        b"hREC".repeat(100),
    ];
    for (i, tail) in tails.iter().enumerate() {
        let crashed = copy(folder.path());
        let mut file = OpenOptions::new()
            .append(true)
            .open(newest(crashed.path()))
            .unwrap();
        file.write_all(tail).unwrap();
        let (inbox, mut reader) = open(crashed.path(), small());
        assert_eq!(
            numbers(&drain(&mut reader)),
            (0..16).collect::<Vec<_>>(),
            "tail {i}"
        );
        assert_eq!(inbox.stats().truncated_bytes, tail.len() as u64);
        assert_eq!(inbox.stats().corrupt_records, 0);
        inbox.close().await;
    }
}

/// Scenario: the checkpoint is between two records.
/// Guarantees: reading begins there, older files go, the figures still count everything.
#[tokio::test]
async fn reading_begins_at_the_checkpoint() {
    let (folder, ends) = filled(40, 60).await;
    for upto in [0, 1, 7, 20, 38, 39] {
        let crashed = copy(folder.path());
        let totals = (0..=upto).fold(Totals::default(), |sum, n| plus(sum, &entry(n, 0)));
        let from = ends[upto as usize];
        let lost = Totals::default();
        let (inbox, mut reader) =
            Inbox::open(crashed.path(), small(), from, Account { totals, lost }).unwrap();
        let oldest = segment_files(crashed.path()).remove(0);
        assert!(oldest >= crashed.path().join(format!("{:010}.seg", from.segment)));
        assert_eq!(reader.is_caught_up(), upto == 39);
        assert_eq!(
            numbers(&drain(&mut reader)),
            (upto + 1..40).collect::<Vec<_>>()
        );
        assert!(reader.is_caught_up());
        assert_eq!(reader.lost(), Totals::default());
        let all = (0..40).fold(Totals::default(), |sum, n| plus(sum, &entry(n, 0)));
        assert_eq!(inbox.stats().totals, all);
        assert_eq!(inbox.totals_at(from), totals);
        inbox.close().await;
    }
}

/// Scenario: a whole file in the middle is gone.
/// Guarantees: all other records come back, and the loss is counted to the span.
#[tokio::test]
async fn a_missing_file_is_counted() {
    let (folder, ends) = filled(40, 60).await;
    let gone = segment_files(folder.path()).remove(1);
    fs::remove_file(&gone).unwrap();
    let missing: Vec<u64> = (0..40).filter(|n| ends[*n as usize].segment == 2).collect();
    let (inbox, mut reader) = try_open(folder.path(), Position::default()).unwrap();
    let left: Vec<u64> = (0..40).filter(|n| !missing.contains(n)).collect();
    assert_eq!(numbers(&drain(&mut reader)), left);
    let lost = missing
        .iter()
        .fold(Totals::default(), |sum, n| plus(sum, &entry(*n, 0)));
    assert_eq!(reader.lost(), lost);
    let stats = inbox.stats();
    assert_eq!(
        (stats.corrupt_records, stats.lost),
        (missing.len() as u64, lost)
    );
    inbox.close().await;
}

/// Makes the record at `position` unreadable.
fn damage(folder: &Path, position: Position) {
    let path = folder.join(format!("{:010}.seg", position.segment));
    let mut bytes = fs::read(&path).unwrap();
    bytes[position.offset as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
}

/// Scenario: records are damaged, in the middle of files, at their ends, at their beginnings. They
/// are read, and what is counted at some place is recorded; the next process begins there.
/// Guarantees: it ends with the same account, whichever place it was.
#[tokio::test]
async fn a_loss_is_counted_once_wherever_reading_begins() {
    let folder = TempDir::new().unwrap();
    let (inbox, mut reader) = open(folder.path(), small());
    append(&inbox, 0..40, 200).await;
    let records = drain(&mut reader);
    inbox.close().await;
    let begins = |segment: u32| {
        let in_it = |record: &Arc<Delivered>| record.position.segment == segment;
        records.iter().position(in_it).unwrap()
    };
    let damaged = [2, 4, 5, begins(2) - 1, begins(3), begins(4) - 1, begins(4)];
    for n in damaged {
        damage(folder.path(), records[n].position);
    }
    let sum = |sum, n: u64| plus(sum, &entry(n, 0));
    let lost = damaged
        .iter()
        .fold(Totals::default(), |so_far, n| sum(so_far, *n as u64));
    let all = Account {
        totals: (0..40).fold(Totals::default(), sum),
        lost,
    };

    let (inbox, mut reader) = open(folder.path(), small());
    let read = drain(&mut reader);
    assert_eq!(read.len(), 40 - damaged.len());
    assert_eq!(reader.account_at(reader.position()), all);
    let places = read
        .iter()
        .flat_map(|record| [record.position, record.next]);
    let places: Vec<_> = places.map(|at| (at, reader.account_at(at))).collect();
    inbox.close().await;
    for (from, account) in places {
        let again = copy(folder.path());
        let (inbox, mut reader) = Inbox::open(again.path(), small(), from, account).unwrap();
        assert_eq!(inbox.stats().lost, account.lost);
        drain(&mut reader);
        assert_eq!(reader.account_at(reader.position()), all, "from {from}");
        assert_eq!((inbox.stats().lost, reader.lost()), (lost, lost));
        inbox.close().await;
    }
}

/// Scenario: the last record of a file that has an empty successor is damaged.
/// Guarantees: the loss is known before another record follows, and counted once when one does,
/// and after a restart.
#[tokio::test]
async fn a_loss_at_the_end_is_known_at_once() {
    let (folder, ends) = filled(10, 60).await;
    // Begins the successor.
    open(folder.path(), small()).0.close().await;
    damage(folder.path(), ends[8]);
    let lost = plus(Totals::default(), &entry(9, 0));

    let (inbox, mut reader) = open(folder.path(), small());
    assert_eq!(numbers(&drain(&mut reader)), (0..9).collect::<Vec<_>>());
    assert_eq!((reader.lost(), inbox.stats().lost), (lost, lost));
    let account = reader.account_at(reader.position());
    assert_eq!(account.lost, Totals::default(), "to be found again");
    inbox.close().await;

    let (inbox, mut reader) = Inbox::open(folder.path(), small(), ends[8], account).unwrap();
    assert!(reader.try_next().is_none());
    assert_eq!((reader.lost(), inbox.stats().lost), (lost, lost));
    append(&inbox, 10..11, 60).await;
    assert_eq!(numbers(&drain(&mut reader)), [10]);
    assert_eq!((reader.lost(), inbox.stats().lost), (lost, lost));
    let totals = inbox.stats().totals;
    assert_eq!(
        reader.account_at(reader.position()),
        Account { totals, lost }
    );
    assert_eq!(inbox.stats().corrupt_records, 1);
    inbox.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Scenario: one bit of one file is flipped.
    /// Guarantees: every other record comes back in order, the damaged one never does; damage in
    /// the middle is counted, with the spans it cost.
    #[test]
    fn a_flipped_bit_costs_one_record(
        place in any::<proptest::sample::Index>(),
        byte in any::<proptest::sample::Index>(),
        bit in 0..8_u32,
        sizes in proptest::collection::vec(0..400_usize, 1..24),
    ) {
        runtime().block_on(async {
            let folder = TempDir::new().unwrap();
            let (inbox, mut reader) = open(folder.path(), small());
            for (n, size) in sizes.iter().enumerate() {
                inbox.append(entry(n as u64, *size)).await.unwrap();
            }
            let records = drain(&mut reader);
            inbox.close().await;

            let files = segment_files(folder.path());
            let path = place.get(&files);
            let mut bytes = fs::read(path).unwrap();
            let at = byte.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(path, bytes).unwrap();
            let segment: u32 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let flipped = Position { segment, offset: at as u32 };
            let hit = records.iter().position(|r| r.position <= flipped && flipped < r.next);

            let (inbox, mut reader) = open(folder.path(), small());
            let found = numbers(&drain(&mut reader));
            let all = 0..records.len() as u64;
            let expected: Vec<u64> = all.filter(|n| hit != Some(*n as usize)).collect();
            assert_eq!(found, expected);
            assert!(reader.is_caught_up());
            let stats = inbox.stats();
            let is_last = hit.is_some_and(|hit| hit + 1 == records.len());
            let in_middle = hit.filter(|_| !is_last);
            assert_eq!(stats.corrupt_records, u64::from(in_middle.is_some()));
            assert_eq!(stats.truncated_bytes > 0, is_last);
            if let Some(hit) = in_middle {
                let lost = plus(Totals::default(), &records[hit].entry);
                assert_eq!((stats.lost, reader.lost()), (lost, lost));
            }
            // What comes next is unharmed.
            let sum = inbox.stats().totals;
            inbox.append(entry(77, 30)).await.unwrap();
            let next = reader.next().await.unwrap();
            assert_eq!((number(&next), next.before), (77, sum));
            inbox.close().await;
        });
    }
}
