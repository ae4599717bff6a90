//! What an earlier process left in the folder.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hoplog_model::Position;

use crate::entry::Totals;
use crate::error::OpenError;
use crate::format::{
    FORMAT, HeaderRead, SEGMENT_HEADER, SegmentLineer, segment_number, segment_path,
};
use crate::scan::{Step, Walk};
use crate::state::Segment;

/// The log as it was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) end: Mark,
    /// No position in this or a later segment has ever been used.
    pub(crate) next_number: u32,
    pub(crate) truncated_bytes: u64,
}

/// What is counted before a place in the log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    pub(crate) totals: Totals,
}

/// A segment file.
#[derive(Debug)]
struct Found {
    number: u32,
    path: PathBuf,
    len: u32,
    header: Option<SegmentLineer>,
}

/// What a scan over a segment file found.
#[derive(Debug, Default)]
struct Scan {
    /// Before the first readable record.
    first: Option<Mark>,
    /// Behind the last readable record.
    last: Option<Mark>,
    /// Where that ends.
    end: u32,
}

/// Keeps a second process out for as long as the file lives.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.map_err(OpenError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io {
            what: "lock",
            path,
            source,
        }),
    }
}

/// Reads the header of each segment, and all records of the newest; cuts off what a crash left
/// unfinished there. Deletes the segments that lie before `from`.
pub(crate) fn recover(
    folder: &Path,
    from: Position,
    totals_at: Totals,
) -> Result<Recovered, OpenError> {
    let numbers = segment_numbers(folder)?;
    let newest = numbers.last().copied().unwrap_or(0);
    if from.segment > newest {
        return Err(OpenError::Behind {
            path: folder.to_owned(),
            from,
            newest,
        });
    }
    let mut found = numbers
        .into_iter()
        .map(|n| Found::read(folder, n))
        .collect::<Result<Vec<_>, _>>()?;
    for file in found.extract_if(.., |file| file.number < from.segment) {
        fs::remove_file(&file.path).map_err(OpenError::io("delete", &file.path))?;
    }
    let mut log = Recovered {
        segments: VecDeque::new(),
        end: Mark {
            sequence: 0,
            totals: totals_at,
        },
        next_number: newest.saturating_add(1),
        truncated_bytes: 0,
    };
    // Behind it there may be files whose creation was cut short: nothing was ever in them.
    let written = found.iter().rposition(Found::was_begun);
    for (i, file) in found.iter().enumerate() {
        log.add(file, written == Some(i))?;
    }
    Ok(log)
}

// === impl Recovered ===

impl Recovered {
    fn add(&mut self, file: &Found, newest: bool) -> Result<(), OpenError> {
        let mut len = file.len;
        let mut scan = Scan::default();
        // Only the newest can have an unfinished end. A file without a readable header is scanned
        // as well: its records still say what they are.
        if newest || file.header.is_none() {
            scan = file.scan().map_err(OpenError::io("read", &file.path))?;
        }
        if newest {
            let end = scan.end.min(file.len);
            file.settle(end)
                .map_err(OpenError::io("repair", &file.path))?;
            self.truncated_bytes += u64::from(file.len - end);
            len = end;
        }
        let header = file.header.map(|header| Mark {
            sequence: header.first_sequence,
            totals: header.start,
        });
        let start = header.or(scan.first).unwrap_or(self.end);
        self.end = scan.last.unwrap_or(start);
        let base = self.segments.back().map_or(0, Segment::base_after);
        let Mark {
            sequence: first_sequence,
            totals: start,
        } = start;
        self.segments.push_back(Segment {
            number: file.number,
            len,
            first_sequence,
            start,
            base,
        });
        Ok(())
    }
}

// === impl Found ===

impl Found {
    fn read(folder: &Path, number: u32) -> Result<Found, OpenError> {
        let path = segment_path(folder, number);
        let (len, bytes) = Found::beginning(&path).map_err(OpenError::io("read", &path))?;
        let header = match SegmentLineer::decode(&bytes) {
            HeaderRead::Valid(header) if header.segment == number => Some(header),
            HeaderRead::Valid(_) | HeaderRead::Damaged => None,
            HeaderRead::Newer(found) => {
                return Err(OpenError::NewerFormat {
                    path,
                    found,
                    supported: FORMAT,
                });
            }
        };
        // No segment is written past what 32 bits address.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Ok(Found {
            number,
            path,
            len,
            header,
        })
    }

    fn beginning(path: &Path) -> io::Result<(u64, Vec<u8>)> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER as usize);
        file.take(u64::from(SEGMENT_HEADER))
            .read_to_end(&mut bytes)?;
        Ok((len, bytes))
    }

    /// Whether records may have been written to it: its header was durable before the first.
    fn was_begun(&self) -> bool {
        self.header.is_some() || self.len > SEGMENT_HEADER
    }

    fn scan(&self) -> io::Result<Scan> {
        let mut walk = Walk::open(&self.path, self.number)?;
        let mut scan = Scan {
            end: SEGMENT_HEADER,
            ..Scan::default()
        };
        let mut at = SEGMENT_HEADER;
        loop {
            match walk.step(at, self.len)? {
                Step::Record { header, end } => {
                    let before = Mark {
                        sequence: header.sequence,
                        totals: header.before,
                    };
                    scan.first.get_or_insert(before);
                    scan.last = Some(Mark {
                        sequence: header.sequence + 1,
                        totals: header.after(),
                    });
                    scan.end = end;
                    at = end;
                }
                Step::Gap { end } => at = end,
                Step::End => return Ok(scan),
            }
        }
    }

    /// Cuts the file to `end` and makes what is left durable: records that a killed process had
    /// written but not synced are about to be handed out.
    fn settle(&self, end: u32) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        if end < self.len {
            tracing::warn!(
                path = %self.path.display(),
                bytes = self.len - end,
                "cut off an unfinished write"
            );
            file.set_len(u64::from(end))?;
        }
        file.sync_all()
    }
}

fn segment_numbers(folder: &Path) -> Result<Vec<u32>, OpenError> {
    let list = || -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(folder)? {
            numbers.extend(file?.file_name().to_str().and_then(segment_number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    };
    list().map_err(OpenError::io("list", folder))
}
