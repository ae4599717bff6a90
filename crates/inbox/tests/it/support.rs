//! A small inbox, records that can be told apart, and a disk that can be made to fail.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use hoplog_inbox::{
    Account, Config, Delivered, Disk, Entry, Inbox, OpenError, Reader, RealDisk, SegmentFile,
    Totals,
};
use hoplog_model::Position;
use tempfile::TempDir;

pub(crate) const SEGMENT_HEADER: u32 = 64;

/// Linux's error numbers.
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EMFILE: i32 = 24;

pub(crate) fn small() -> Config {
    Config {
        segment_bytes: 2048,
        max_bytes: 1 << 20,
        ..Config::default()
    }
}

/// Record `n` with a payload of `size` bytes that hardly compress and that depend on `n`.
pub(crate) fn entry(n: u64, size: usize) -> Entry {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let payload: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    Entry {
        receiver: (n % 2) as u8,
        received_at: 1_000 + n,
        accepted: (n % 7) as u32 + 1,
        rejected: (n % 3) as u32,
        payload: Bytes::from(payload),
        extra: None,
    }
}

pub(crate) fn plus(totals: Totals, entry: &Entry) -> Totals {
    totals.plus(entry.receiver, entry.accepted, entry.rejected)
}

/// Which records these are, by their receive times, after a check of their contents.
pub(crate) fn number(record: &Delivered) -> u64 {
    let n = record.entry.received_at - 1_000;
    let expected = entry(n, record.entry.payload.len());
    assert_eq!(
        record.entry.payload, expected.payload,
        "payload of record {n}"
    );
    assert_eq!(record.entry.receiver, expected.receiver);
    assert_eq!(record.entry.accepted, expected.accepted);
    assert_eq!(record.entry.rejected, expected.rejected);
    n
}

pub(crate) fn open(folder: &Path, config: Config) -> (Inbox, Reader) {
    Inbox::open(folder, config, Position::default(), Account::default()).unwrap()
}

pub(crate) fn try_open(folder: &Path, from: Position) -> Result<(Inbox, Reader), OpenError> {
    Inbox::open(folder, small(), from, Account::default())
}

/// All records that there are now.
pub(crate) fn drain(reader: &mut Reader) -> Vec<Arc<Delivered>> {
    std::iter::from_fn(|| reader.try_next()).collect()
}

pub(crate) fn numbers(records: &[Arc<Delivered>]) -> Vec<u64> {
    records.iter().map(|record| number(record)).collect()
}

/// The segment files, oldest first.
pub(crate) fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    files
}

pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    segment_files(folder)
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum()
}

/// The segment files as they are now, elsewhere: what a killed process leaves.
pub(crate) fn copy(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for path in segment_files(folder) {
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Appends records `range` of `size` bytes one by one.
pub(crate) async fn append(
    inbox: &Inbox,
    range: std::ops::Range<u64>,
    size: usize,
) -> Vec<Position> {
    let mut positions = Vec::new();
    for n in range {
        positions.push(inbox.append(entry(n, size)).await.unwrap());
    }
    positions
}

// === FaultyDisk ===

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Bytes that still fit on the disk.
    pub(crate) room: Option<u64>,
    pub(crate) write_error: Option<i32>,
    pub(crate) sync_errors: Vec<i32>,
    pub(crate) create_error: Option<i32>,
    /// A write takes at most so many bytes.
    pub(crate) short: Option<usize>,
    /// Syncs wait.
    pub(crate) hold: bool,
    pub(crate) syncs: u64,
    pub(crate) writes: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    shared: Arc<(Mutex<Faults>, Condvar)>,
}

impl FaultyDisk {
    pub(crate) fn open(&self, folder: &Path, config: Config) -> (Inbox, Reader) {
        let (from, account) = (Position::default(), Account::default());
        Inbox::open_on(Arc::new(self.clone()), folder, config, from, account).unwrap()
    }

    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        let result = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        result
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        if let Some(error) = self.set(|faults| faults.create_error) {
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            file: RealDisk.create(path)?,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn SegmentFile>,
}

impl SegmentFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let length = self.disk.set(|faults| {
            faults.writes += 1;
            if let Some(error) = faults.write_error {
                return Err(io::Error::from_raw_os_error(error));
            }
            let room = faults.room.map_or(usize::MAX, |room| room as usize);
            if room == 0 {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            let length = bytes
                .len()
                .min(room)
                .min(faults.short.unwrap_or(usize::MAX));
            faults.room = faults.room.map(|room| room - length as u64);
            Ok(length)
        })?;
        self.file.write_at(&bytes[..length], offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        let (lock, changed) = &*self.disk.shared;
        let mut faults = lock.lock().unwrap();
        faults.syncs += 1;
        while faults.hold {
            faults = changed.wait(faults).unwrap();
        }
        if faults.sync_errors.is_empty() {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(faults.sync_errors.remove(0)))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}
