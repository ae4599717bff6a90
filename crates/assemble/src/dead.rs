//! Parts the store refuses for good: kept as files a person can look at, and counted.

use hoplog_model::{Position, TraceId};
use hoplog_store::Part;
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The dead letter folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("dead letters in {folder}: {error}")]
pub struct DeadLettersError {
    folder: String,
    error: io::Error,
}

/// A folder with one file per refused part: `<trace id>-<position>-<spans>.otlp` holds an OTLP
/// `TracesData` message, the file beside it ending in `.txt` says why.
#[derive(Debug)]
pub struct DeadLetters {
    folder: PathBuf,
    spans: u64,
    upto: FxHashMap<TraceId, Position>,
}

impl DeadLetters {
    /// Opens the folder and counts what lies in it. The folder is made when it is first needed.
    pub fn open(folder: &Path) -> Result<Self, DeadLettersError> {
        let mut letters = Self {
            folder: folder.to_owned(),
            spans: 0,
            upto: FxHashMap::default(),
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(letters),
            entries => entries.map_err(|error| letters.error(error))?,
        };
        for entry in entries {
            let name = entry.map_err(|error| letters.error(error))?.file_name();
            if let Some((trace_id, upto, spans)) = name.to_str().and_then(parse_name) {
                letters.count(trace_id, upto, spans);
            }
        }
        Ok(letters)
    }

    /// Spans in the folder.
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// The last inbox position of each request in the folder: a replay must not take these again.
    pub fn upto(&self) -> &FxHashMap<TraceId, Position> {
        &self.upto
    }

    /// Puts a part aside, durably, before it counts as done.
    pub(crate) fn put(&mut self, part: &Part, why: &str) -> Result<(), DeadLettersError> {
        self.write(part, why).map_err(|error| self.error(error))?;
        self.count(part.trace_id, part.upto, part.spans.len() as u64);
        Ok(())
    }

    fn write(&self, part: &Part, why: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let stem = format!(
            "{}-{:x}-{}",
            part.trace_id,
            part.upto.to_u64(),
            part.spans.len()
        );
        let mut traces = Vec::new();
        part.spans.write_traces(&mut traces);
        for (ending, content) in [("txt", why.as_bytes()), ("otlp", &traces)] {
            let mut file = File::create(self.folder.join(format!("{stem}.{ending}")))?;
            file.write_all(content)?;
            file.sync_all()?;
        }
        File::open(&self.folder)?.sync_all()
    }

    fn count(&mut self, trace_id: TraceId, upto: Position, spans: u64) {
        self.spans += spans;
        let last = self.upto.entry(trace_id).or_insert(upto);
        *last = upto.max(*last);
    }

    fn error(&self, error: io::Error) -> DeadLettersError {
        DeadLettersError {
            folder: self.folder.display().to_string(),
            error,
        }
    }
}

fn parse_name(name: &str) -> Option<(TraceId, Position, u64)> {
    let mut parts = name.strip_suffix(".otlp")?.split('-');
    let trace_id = parts.next()?.parse().ok()?;
    let upto = Position::from_u64(u64::from_str_radix(parts.next()?, 16).ok()?);
    Some((trace_id, upto, parts.next()?.parse().ok()?))
}
