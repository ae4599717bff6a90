//! Rows as they lie in `requests` and `parts`.

use crate::db::{self, column};
use crate::sql::{self, Args, Statement};
use hoplog_model::{Flags, RowId};
use hoplog_store::StoreError;
use hoplog_store::tables::{Stored, check32_of, trace_id};
use hoplog_store::walk::PackedRow;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

/// Every row that `statement` finds, whole. It selects `row_id, trace_id, started_at, flags,
/// capped_spans, part_count, check32, spans`.
pub(crate) async fn read(
    connection: &mut PgConnection,
    day: i64,
    statement: &Statement,
    args: Args,
) -> Result<Vec<Stored>, StoreError> {
    let found = db::all(connection, statement.of(day), args).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let (stored, check) = of(&row)?;
        rows.push(complete(connection, day, stored, check).await?);
    }
    Ok(rows)
}

/// The row without its parts, and its check.
pub(crate) fn of(row: &PgRow) -> Result<(Stored, u32), StoreError> {
    let id = RowId(column(row, 0)?);
    let number = |value: i64, what: &str| -> Result<u32, StoreError> {
        let at = || format!("requests row {} {what}", id.0);
        u32::try_from(value).map_err(|why| StoreError::corrupt(at(), why))
    };
    let packed = PackedRow {
        row: id,
        trace_id: trace_id(column(row, 1)?)?,
        started_at: column::<i64>(row, 2)?.cast_unsigned(),
        flags: Flags(column::<i32>(row, 3)?.cast_unsigned()),
        capped_spans: number(column(row, 4)?, "capped_spans")?,
        frames: column(row, 7)?,
    };
    let check = check32_of(column::<i32>(row, 6)?.into())?;
    let stored = Stored {
        own_bytes: packed.frames.len(),
        packed,
        part_count: column::<i32>(row, 5)?.into(),
    };
    Ok((stored, check))
}

/// Reads the row's parts, if any, and verifies the whole.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    day: i64,
    stored: Stored,
    check: u32,
) -> Result<Stored, StoreError> {
    let mut parts = Vec::new();
    if stored.part_count > 0 {
        let id = stored.packed.trace_id.as_bytes().as_slice();
        let args = Args::new().with(id).with(stored.part_count);
        parts = db::all(connection, sql::READ_PARTS.of(day), args).await?;
    }
    let frames: Result<Vec<&[u8]>, StoreError> = parts.iter().map(|row| column(row, 0)).collect();
    stored.complete(frames?, check)
}
