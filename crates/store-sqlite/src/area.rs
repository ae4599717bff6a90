//! Where a segment's larger search records stand: one after the other, cut into pieces that fill pages.

use crate::db::{Connection, column};
use crate::sql::{self, Args, Bulk};
use hoplog_store::StoreError;
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;

/// Bytes of a piece: four of them, with what SQLite adds, fill a page of 8 KiB.
const PIECE: usize = 2_030;
/// Bytes up to which a search record stands by itself.
const SMALL: usize = 400;
/// Pieces that a segment's area can have: the first half is for records, the second for filters, which are merged later.
const PIECES: usize = 1 << 16;
/// Pieces of one half.
pub(crate) const HALF: usize = PIECES / 2;

/// Where bytes stand: `start`, `length` and `bytes` of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Right here.
    Here(Vec<u8>),
    /// In the segment's area.
    Area {
        /// From here on.
        start: usize,
        /// So many.
        length: usize,
    },
}

/// Half of the area of a segment being written.
#[derive(Debug)]
pub(crate) struct Area {
    first: usize,
    bytes: Vec<u8>,
}

impl Area {
    /// The half for records.
    pub(crate) fn of_records() -> Self {
        let (first, bytes) = (0, Vec::new());
        Self { first, bytes }
    }

    /// The half for filters.
    pub(crate) fn of_filters() -> Self {
        let (first, bytes) = (HALF, Vec::new());
        Self { first, bytes }
    }

    /// Puts bytes into it, if they are not small.
    pub(crate) fn put(&mut self, bytes: Vec<u8>) -> Place {
        let start = self.bytes.len();
        if bytes.len() <= SMALL || start + bytes.len() > PIECE * HALF {
            return Place::Here(bytes);
        }
        self.bytes.extend_from_slice(&bytes);
        Place::Area {
            start: self.first * PIECE + start,
            length: bytes.len(),
        }
    }

    /// The pieces as rows.
    pub(crate) fn into_rows(self, segment: i64) -> Bulk {
        let pieces = self.bytes.chunks(PIECE);
        let mut rows = Bulk::new(&sql::AREA, pieces.len());
        for (piece, n) in pieces.zip(self.first..) {
            rows.value(number(segment, n)).value(piece.to_vec());
        }
        rows
    }
}

/// The first piece of a segment's filters.
pub(crate) fn first_of_filters(segment: i64) -> i64 {
    number(segment, HALF)
}

fn number(segment: i64, piece: usize) -> i64 {
    segment << PIECES.trailing_zeros() | i64::try_from(piece).expect("below PIECES")
}

impl Place {
    /// Adds `start`, `length` and `bytes` to a row.
    pub(crate) fn add_to(self, row: &mut Bulk) {
        let signed = |number| i64::try_from(number).expect("a length");
        match self {
            Self::Here(bytes) => {
                row.value(None::<i64>)
                    .value(signed(bytes.len()))
                    .value(bytes);
            }
            Self::Area { start, length } => {
                row.value(signed(start))
                    .value(signed(length))
                    .value(None::<Vec<u8>>);
            }
        }
    }

    /// From the three columns, the first of which is `index`.
    pub(crate) fn read(row: &SqliteRow, index: usize) -> Result<Self, StoreError> {
        let Some(start) = column::<Option<i64>>(row, index)? else {
            return Ok(Self::Here(column(row, index + 2)?));
        };
        let end = PIECE * PIECES;
        let number = |number| usize::try_from(number).ok().filter(|number| *number <= end);
        let place = number(start).zip(number(column(row, index + 1)?));
        let (start, length) = place.ok_or_else(|| damaged("a place without bounds"))?;
        Ok(Self::Area { start, length })
    }

    fn pieces(&self) -> std::ops::Range<usize> {
        match self {
            Self::Here(_) => 0..0,
            Self::Area { start, length } => start / PIECE..(start + length).div_ceil(PIECE),
        }
    }
}

/// The bytes at each place, in order; `places` are segments and where in them.
pub(crate) async fn read(
    connection: &mut Connection,
    places: Vec<(i64, Place)>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let pieces = |(segment, place): &(i64, Place)| {
        let segment = *segment;
        place.pieces().map(move |piece| number(segment, piece))
    };
    let mut wanted: Vec<i64> = places.iter().flat_map(pieces).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found: FxHashMap<i64, SqliteRow> = FxHashMap::default();
    if !wanted.is_empty() {
        let rows = connection
            .all(&sql::READ_AREA, Args::new().with(sql::json(wanted)))
            .await?;
        for row in rows {
            found.insert(column(&row, 0)?, row);
        }
    }
    places
        .into_iter()
        .map(|(segment, place)| cut(&found, segment, place))
        .collect()
}

fn cut(
    found: &FxHashMap<i64, SqliteRow>,
    segment: i64,
    place: Place,
) -> Result<Vec<u8>, StoreError> {
    let pieces = place.pieces();
    let (start, length) = match place {
        Place::Here(bytes) => return Ok(bytes),
        Place::Area { start, length } => (start, length),
    };
    let mut bytes = Vec::with_capacity(pieces.len() * PIECE);
    for piece in pieces {
        let row = found
            .get(&number(segment, piece))
            .ok_or_else(|| damaged("a piece is missing"))?;
        bytes.extend_from_slice(column(row, 1)?);
    }
    let skipped = start % PIECE;
    if bytes.len() < skipped + length {
        return Err(damaged("a piece is too short"));
    }
    bytes.truncate(skipped + length);
    bytes.drain(..skipped);
    Ok(bytes)
}

fn damaged(what: &str) -> StoreError {
    StoreError::corrupt("area", what)
}
