//! The one writer: takes what is queued, writes it, syncs once, answers all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use hoplog_model::Position;

use crate::disk::SegmentFile;
use crate::entry::Totals;
use crate::format::{RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentLineer, segment_path};
use crate::recover::Mark;
use crate::shared::{Durable, Failure, Pending, Shared, Work};

/// The writer keeps its buffer up to this size, in bytes.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: Box<dyn SegmentFile>,
    number: u32,
}

/// How far the log goes: behind a synced record, or (while encoding) behind one to be written.
#[derive(Debug, Clone, Copy)]
struct End {
    offset: u32,
    sequence: u64,
    totals: Totals,
}

/// Runs on a thread of its own.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    next_number: u32,
    /// Of what is durable.
    end: End,
    buffer: Vec<u8>,
    /// Held for as long as anything may be written.
    _lock: File,
}

/// Tells the others when the writer stops, a panic included: nobody may wait for it then.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.finish(std::thread::panicking());
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, next_number: u32, mark: Mark, lock: File) -> Writer {
        let Mark { sequence, totals } = mark;
        let end = End {
            offset: SEGMENT_HEADER,
            sequence,
            totals,
        };
        Writer {
            shared,
            active: None,
            next_number,
            end,
            buffer: Vec::new(),
            _lock: lock,
        }
    }

    pub(crate) fn run(mut self) {
        let _farewell = Farewell(self.shared.clone());
        while let Some(work) = self.shared.take_work() {
            match work {
                Work::Group(group) => self.commit(group),
                Work::Rotate => {
                    if let Err(failure) = self.rotate() {
                        self.shared.fail([], &failure);
                    }
                }
            }
        }
        // A store at rest keeps no spans twice: the last segment goes too when all have passed it.
        if self.shared.lock().is_passed()
            && let Err(failure) = self.rotate()
        {
            tracing::warn!(
                ?failure,
                "the last inbox segment stays until the next start"
            );
        }
    }

    fn commit(&mut self, mut group: VecDeque<Pending>) {
        while let Some(first) = group.front() {
            let written = match self.make_room(first.disk_bytes()) {
                Ok(()) => self.write_batch(&mut group),
                Err(failure) => Err((Vec::new(), failure)),
            };
            if let Err((batch, failure)) = written {
                self.shared.fail(batch.into_iter().chain(group), &failure);
                return;
            }
        }
    }

    /// Writes, syncs and publishes as many records as the segment takes.
    fn write_batch(
        &mut self,
        group: &mut VecDeque<Pending>,
    ) -> Result<(), (Vec<Pending>, Failure)> {
        let (batch, end) = self.encode(group);
        if let Err(failure) = self.persist() {
            return Err((
                batch.into_iter().map(|durable| durable.pending).collect(),
                failure,
            ));
        }
        self.end = end;
        self.shared.publish(batch, end.offset);
        Ok(())
    }

    /// Moves records into the buffer: at least one, and as many as the segment takes.
    fn encode(&mut self, group: &mut VecDeque<Pending>) -> (Vec<Durable>, End) {
        let segment = self.active.as_ref().map_or(0, |active| active.number);
        let mut batch = Vec::with_capacity(group.len());
        let mut end = self.end;
        self.buffer.clear();
        while let Some(first) = group.front() {
            if !batch.is_empty() && !self.fits(end.offset, first.disk_bytes()) {
                break;
            }
            let Some(pending) = group.pop_front() else {
                break;
            };
            let header = header_of(&pending, &end);
            self.buffer.extend_from_slice(&header.encode(segment));
            self.buffer.extend_from_slice(&pending.packed.bytes);
            let position = Position {
                segment,
                offset: end.offset,
            };
            let (before, sequence) = (end.totals, end.sequence);
            end = End {
                offset: end.offset + RECORD_HEADER + header.stored,
                sequence: sequence + 1,
                totals: header.after(),
            };
            let next = Position {
                segment,
                offset: end.offset,
            };
            batch.push(Durable {
                pending,
                position,
                next,
                before,
                sequence,
            });
        }
        (batch, end)
    }

    fn fits(&self, offset: u32, bytes: u64) -> bool {
        u64::from(offset) + bytes <= u64::from(self.shared.config.segment_bytes)
    }

    /// Makes sure that there is a segment which takes a record of `bytes`.
    fn make_room(&mut self, bytes: u64) -> Result<(), Failure> {
        let empty = self.end.offset == SEGMENT_HEADER;
        if self.active.is_some() && (empty || self.fits(self.end.offset, bytes)) {
            return Ok(());
        }
        self.rotate()
    }

    /// Begins a new segment: its file, its header and its name in the folder are durable when this
    /// returns. The one before is complete and will not be written again.
    pub(crate) fn rotate(&mut self) -> Result<(), Failure> {
        self.active = None;
        let number = self.next_number;
        let path = segment_path(&self.shared.folder, number);
        let refused = |error: io::Error| {
            Failure::Full(format!("cannot create {}: {error}", path.display()).into())
        };
        // Nothing has been written yet, so whatever is wrong here may pass.
        let mut file = self.shared.disk.create(&path).map_err(refused)?;
        let End {
            sequence, totals, ..
        } = self.end;
        let header = SegmentLineer {
            segment: number,
            first_sequence: sequence,
            start: totals,
        };
        write_all(&mut *file, &header.encode(), 0).map_err(|error| failure(&path, &error))?;
        file.sync().map_err(|error| failure(&path, &error))?;
        let folder = &self.shared.folder;
        self.shared
            .disk
            .sync_folder(folder)
            .map_err(|error| failure(folder, &error))?;
        self.shared.lock().stats.syncs += 1;
        self.active = Some(Active { file, number });
        self.next_number = number + 1;
        self.end.offset = SEGMENT_HEADER;
        self.shared.begin_segment(number, sequence, totals);
        Ok(())
    }

    /// Writes the buffer behind the durable end and syncs. When the disk is full the file is cut
    /// back to that end.
    fn persist(&mut self) -> Result<(), Failure> {
        let Some(active) = &mut self.active else {
            return Err(Failure::Fence("no segment is open".into()));
        };
        let path = segment_path(&self.shared.folder, active.number);
        let offset = u64::from(self.end.offset);
        let written = write_all(&mut *active.file, &self.buffer, offset)
            .and_then(|()| active.file.sync())
            .map_err(|error| failure(&path, &error));
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        if let Err(Failure::Full(why)) = written {
            // Synced, or a power cut could bring back records that nobody was told of, and that
            // the totals in the next segment's header do not count.
            let cut = active
                .file
                .truncate(offset)
                .and_then(|()| active.file.sync());
            cut.map_err(|error| fence(&path, &error))?;
            // A segment with records is left for good: then it can be deleted once it has been
            // passed, which makes room.
            if self.end.offset > SEGMENT_HEADER {
                self.active = None;
            }
            return Err(Failure::Full(why));
        }
        written?;
        self.shared.lock().stats.syncs += 1;
        Ok(())
    }
}

fn header_of(pending: &Pending, end: &End) -> RecordHeader {
    let Pending { entry, packed, .. } = pending;
    RecordHeader {
        // Both are at most MAX_PAYLOAD_BYTES: append has seen to it.
        stored: packed.bytes.len() as u32,
        length: entry.payload.len() as u32,
        payload_crc: packed.crc,
        sequence: end.sequence,
        received_at: entry.received_at,
        accepted: entry.accepted,
        rejected: entry.rejected,
        receiver: entry.receiver,
        compressed: packed.compressed,
        before: end.totals,
    }
}

fn write_all(file: &mut dyn SegmentFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A full disk (or quota) heals; after any other error it is not known what is on disk.
fn failure(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::Full(format!("{}: {error}", path.display()).into())
        }
        _ => fence(path, error),
    }
}

fn fence(path: &Path, error: &io::Error) -> Failure {
    Failure::Fence(format!("cannot write {}: {error}", path.display()).into())
}
