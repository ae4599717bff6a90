//! Rows as they lie in `requests` and `parts`.

use crate::db::{Connection, column};
use crate::sql::{self, Args, Statement};
use hoplog_model::{Flags, RowId, TraceId};
use hoplog_store::StoreError;
use hoplog_store::pack::check32;
use hoplog_store::walk::PackedRow;
use sqlx::sqlite::SqliteRow;

/// A row, still packed.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The row with all its frames.
    pub(crate) packed: PackedRow,
    /// Bytes of those of its frames that stand in `requests`; the others are in `parts`.
    pub(crate) own_bytes: usize,
    /// How many rows of `parts` it has.
    pub(crate) part_count: i64,
}

/// A place in the database, for [`StoreError::Corrupt`].
pub(crate) fn place(row: RowId) -> String {
    format!("requests row {} spans", row.0)
}

/// Every row that `statement` finds, whole. It selects `row_id, trace_id, started_at, flags,
/// capped_spans, part_count, check32, spans`.
pub(crate) async fn read(
    connection: &mut Connection,
    statement: &Statement,
    args: Args,
) -> Result<Vec<Stored>, StoreError> {
    let found = connection.all(statement, args).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let (stored, check) = of(&row)?;
        rows.push(complete(connection, stored, check).await?);
    }
    Ok(rows)
}

fn of(row: &SqliteRow) -> Result<(Stored, u32), StoreError> {
    let id = RowId(column(row, 0)?);
    let number = |index, what: &str| -> Result<u32, StoreError> {
        let at = || format!("requests row {} {what}", id.0);
        u32::try_from(column::<i64>(row, index)?).map_err(|why| StoreError::corrupt(at(), why))
    };
    let frames: Vec<u8> = column(row, 7)?;
    let packed = PackedRow {
        row: id,
        trace_id: trace_id(column(row, 1)?)?,
        started_at: column::<i64>(row, 2)?.cast_unsigned(),
        flags: Flags(number(3, "flags")?),
        capped_spans: number(4, "capped_spans")?,
        frames,
    };
    let own_bytes = packed.frames.len();
    let check = check(column(row, 6)?)?;
    Ok((
        Stored {
            own_bytes,
            packed,
            part_count: column(row, 5)?,
        },
        check,
    ))
}

/// Reads the row's parts, if any, and verifies the whole. Parts are only ever added, so that those the row
/// counts are there unchanged even if the row was merged in between.
pub(crate) async fn complete(
    connection: &mut Connection,
    mut stored: Stored,
    check: u32,
) -> Result<Stored, StoreError> {
    let packed = &mut stored.packed;
    if stored.part_count > 0 {
        let id = packed.trace_id.as_bytes().as_slice();
        let args = Args::new().with(id).with(stored.part_count);
        for part in connection.all(&sql::READ_PARTS, args).await? {
            packed.frames.extend_from_slice(column(&part, 0)?);
        }
    }
    if check32(&packed.frames) == check {
        Ok(stored)
    } else {
        Err(StoreError::corrupt(
            place(packed.row),
            "the bytes do not match their check",
        ))
    }
}

/// A `check32` column: the 32 bits as a signed number.
pub(crate) fn check(stored: i64) -> Result<u32, StoreError> {
    let check = i32::try_from(stored).map_err(|why| StoreError::corrupt("a check32", why))?;
    Ok(check.cast_unsigned())
}

/// A trace id column.
pub(crate) fn trace_id(bytes: &[u8]) -> Result<TraceId, StoreError> {
    TraceId::from_slice(bytes).map_err(|why| StoreError::corrupt("a trace_id", why))
}
