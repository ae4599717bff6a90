//! Rows as they lie in `requests` and `parts`.

use crate::db::{Connection, column};
use crate::sql::{self, Args, Statement};
use hoplog_model::{Flags, RowId};
use hoplog_store::StoreError;
use hoplog_store::tables::{Stored, check32_of, trace_id};
use hoplog_store::walk::PackedRow;
use sqlx::sqlite::SqliteRow;

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
    let check = check32_of(column(row, 6)?)?;
    Ok((
        Stored {
            own_bytes,
            packed,
            part_count: column(row, 5)?,
        },
        check,
    ))
}

/// Reads the row's parts, if any, and verifies the whole.
pub(crate) async fn complete(
    connection: &mut Connection,
    stored: Stored,
    check: u32,
) -> Result<Stored, StoreError> {
    let mut parts = Vec::new();
    if stored.part_count > 0 {
        let id = stored.packed.trace_id.as_bytes().as_slice();
        let args = Args::new().with(id).with(stored.part_count);
        parts = connection.all(&sql::READ_PARTS, args).await?;
    }
    let frames: Result<Vec<&[u8]>, StoreError> = parts.iter().map(|row| column(row, 0)).collect();
    stored.complete(frames?, check)
}
