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

/// What the name of a file that is being written ends with.
const UNFINISHED: &str = ".part";

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
            let entry = entry.map_err(|error| letters.error(error))?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
                // A crash cut it short; its spans are still in the inbox.
                fs::remove_file(entry.path()).map_err(|error| letters.error(error))?;
            } else if let Some((trace_id, upto, spans)) = name.to_str().and_then(parse_name) {
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
            let path = self.folder.join(format!("{stem}.{ending}"));
            // Under its name only once it is whole: a start takes what bears the name for done.
            let unfinished = self.folder.join(format!("{stem}.{ending}{UNFINISHED}"));
            let mut file = File::create(&unfinished)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_store::Outcome;
    use hoplog_testkit::spans;

    fn part() -> Part {
        let request = spans::trace("t").span("a").span("b");
        Part {
            trace_id: request.trace_id(),
            spans: request.set(),
            upto: Position {
                segment: 3,
                offset: 70,
            },
            received_at: spans::BASE,
            outcome: Outcome::Keep,
            duplicates: 0,
            capped: 0,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_letter_is_counted_again_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let mut letters = DeadLetters::open(&path).unwrap();
        assert_eq!((letters.spans(), path.exists()), (0, false));
        letters.put(&part(), "the reason").unwrap();
        let again = DeadLetters::open(&path).unwrap();
        assert_eq!((letters.spans(), again.spans()), (2, 2));
        assert_eq!(again.upto()[&part().trace_id], part().upto);

        let names = names(&path);
        assert_eq!(names.len(), 2, "{names:?}");
        let otlp = fs::read(path.join(&names[0])).unwrap();
        let mut expected = Vec::new();
        part().spans.write_traces(&mut expected);
        assert_eq!(otlp, expected);
        let why = fs::read_to_string(path.join(&names[1])).unwrap();
        assert_eq!(why, "the reason");
    }

    #[test]
    fn a_letter_that_was_cut_short_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        DeadLetters::open(path)
            .unwrap()
            .put(&part(), "why")
            .unwrap();
        let whole = names(path).remove(0);
        fs::rename(path.join(&whole), path.join(format!("{whole}.part"))).unwrap();
        let letters = DeadLetters::open(path).unwrap();
        assert_eq!((letters.spans(), letters.upto().len()), (0, 0));
    }

    #[test]
    fn what_a_crash_cut_short_goes_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join("one.otlp.part");
        fs::write(&unfinished, b"half").unwrap();
        assert_eq!(DeadLetters::open(folder.path()).unwrap().spans(), 0);
        assert!(!unfinished.exists());
    }
}
