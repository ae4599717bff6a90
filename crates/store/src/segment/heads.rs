//! What is known of every row of a segment without opening it.
//!
//! On disk: the least start, the distinct codes, then row by row its numbers as varints.

use super::codec::{Damaged, Reader};
use hoplog_model::{SpanStatus, Summary, UnixNanos};
use hoplog_otlp::write::varint;

/// Longest code in bytes that a head holds.
const CODE_BYTES_MAX: usize = 64;

/// The request's code, as far as heads hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It has none.
    Absent,
    /// An index into [`Heads::codes`].
    Known(usize),
    /// It has one that is too long to stand here.
    Long,
}

/// A row's numbers, as in its [`Summary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHead {
    /// Its place in the segment.
    pub ordinal: u16,
    /// When it started, in Unix nanoseconds.
    pub start: UnixNanos,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// Its outcome.
    pub status: SpanStatus,
    /// Spans.
    pub spans: u32,
    /// Hops.
    pub hops: u32,
    /// Spans with status error.
    pub errors: u32,
    /// Its code.
    pub code: Code,
}

/// All rows of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// By ordinal, ascending.
    pub rows: Vec<RowHead>,
    /// The codes that rows point at.
    pub codes: Vec<String>,
}

impl Heads {
    /// Adds a row. Rows may come in any order.
    pub(super) fn push(&mut self, ordinal: u16, summary: &Summary) {
        let code = match &summary.code {
            None => Code::Absent,
            Some(code) if code.len() > CODE_BYTES_MAX => Code::Long,
            Some(code) => Code::Known(self.code(code)),
        };
        self.rows.push(RowHead {
            ordinal,
            start: summary.started_at,
            duration: summary.duration,
            status: summary.status,
            spans: summary.span_count,
            hops: summary.hop_count,
            errors: summary.error_count,
            code,
        });
    }

    fn code(&mut self, code: &str) -> usize {
        let known = self.codes.iter().position(|known| known == code);
        known.unwrap_or_else(|| {
            self.codes.push(code.to_owned());
            self.codes.len() - 1
        })
    }

    /// The rows as bytes, in ordinal order.
    pub(super) fn encode(&mut self) -> Vec<u8> {
        self.rows.sort_unstable_by_key(|row| row.ordinal);
        let base = self
            .rows
            .iter()
            .map(|row| row.start)
            .min()
            .unwrap_or_default();
        let mut out = Vec::with_capacity(16 + 16 * self.rows.len());
        varint(&mut out, base);
        varint(&mut out, self.codes.len() as u64);
        for code in &self.codes {
            varint(&mut out, code.len() as u64);
            out.extend_from_slice(code.as_bytes());
        }
        let mut next = 0;
        for row in &self.rows {
            encode_row(row, row.ordinal - next, base, &mut out);
            next = row.ordinal + 1;
        }
        out
    }
}

fn encode_row(row: &RowHead, gap: u16, base: UnixNanos, out: &mut Vec<u8>) {
    let failed = u64::from(row.errors > 0);
    varint(
        out,
        u64::from(gap) << 3 | failed << 2 | u64::from(row.status.to_wire()),
    );
    varint(out, row.start - base);
    varint(out, row.duration);
    varint(out, u64::from(row.spans));
    varint(out, u64::from(row.hops));
    varint(
        out,
        match row.code {
            Code::Absent => 0,
            Code::Long => 1,
            Code::Known(index) => index as u64 + 2,
        },
    );
    if row.errors > 0 {
        varint(out, u64::from(row.errors));
    }
}

/// Reads [`super::Segment::heads`].
///
/// # Errors
/// [`Damaged`] if they are not what was written.
pub fn heads(bytes: &[u8]) -> Result<Heads, Damaged> {
    let mut reader = Reader(bytes);
    let base = reader.varint()?;
    let mut heads = Heads::default();
    for _ in 0..reader.number::<u16>()? {
        let len = reader.number()?;
        let code = std::str::from_utf8(reader.bytes(len)?);
        heads.codes.push(
            code.map_err(|_| Damaged("a code that is no text"))?
                .to_owned(),
        );
    }
    let mut next = 0;
    while !reader.is_empty() {
        let row = decode_row(&mut reader, next, base, heads.codes.len())?;
        next = row.ordinal + 1;
        heads.rows.push(row);
    }
    Ok(heads)
}

fn decode_row(
    reader: &mut Reader<'_>,
    next: u16,
    base: UnixNanos,
    codes: usize,
) -> Result<RowHead, Damaged> {
    let tag = reader.varint()?;
    let ordinal = u64::from(next) + (tag >> 3);
    let ordinal = u16::try_from(ordinal)
        .ok()
        .filter(|ordinal| usize::from(*ordinal) < 1_024);
    let offset = reader.varint()?;
    Ok(RowHead {
        ordinal: ordinal.ok_or(Damaged("a row that no segment has"))?,
        start: base
            .checked_add(offset)
            .ok_or(Damaged("a start beyond all time"))?,
        duration: reader.varint()?,
        status: SpanStatus::from_wire(tag & 3),
        spans: reader.number()?,
        hops: reader.number()?,
        code: match reader.number::<usize>()? {
            0 => Code::Absent,
            1 => Code::Long,
            index if index - 2 < codes => Code::Known(index - 2),
            _ => return Err(Damaged("a code that is not listed")),
        },
        errors: if tag & 4 == 0 { 0 } else { reader.number()? },
    })
}
