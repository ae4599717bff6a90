//! Roll-ups as rows of tables.

use crate::db::{Connection, column};
use crate::sql::{self, Args, Bulk, Insert, Statement};
use hoplog_model::Sketch;
use hoplog_store::StoreError;
use hoplog_store::tables::{Cell, Deltas, Pending, changed, decode, hours};
use sqlx::sqlite::SqliteRow;

/// Changes that are in `rollup_log` and not in the tables.
pub(crate) async fn read_pending(connection: &mut Connection) -> Result<Pending, StoreError> {
    let mut pending = Pending::default();
    for row in connection.all(&sql::READ_ROLLUP_LOG, Args::new()).await? {
        let deltas = decode(column(&row, 1)?);
        let at = || {
            format!(
                "rollup_log segment {}",
                column::<i64>(&row, 0).unwrap_or(-1)
            )
        };
        pending.add(deltas.map_err(|why| StoreError::corrupt(at(), why))?);
    }
    Ok(pending)
}

/// From `at, interface, count, errors, sum, left_out, sketch`.
pub(crate) fn cell(row: &SqliteRow) -> Result<((i64, i64), Cell), StoreError> {
    let key = (column(row, 0)?, column(row, 1)?);
    let sketch = Sketch::decode(column(row, 6)?).map_err(|why| {
        StoreError::corrupt(
            format!("roll-up {}, interface {}: sketch", key.0, key.1),
            why,
        )
    })?;
    let cell = Cell {
        count: column(row, 2)?,
        errors: column(row, 3)?,
        sum: column(row, 4)?,
        left_out: column(row, 5)?,
        sketch,
    };
    Ok((key, cell))
}

/// Puts changes of minutes into both tables.
pub(crate) async fn put(connection: &mut Connection, minutes: &Deltas) -> Result<(), StoreError> {
    let table = Table {
        find: &sql::FIND_MINUTES,
        insert: &sql::MINUTES,
    };
    table.put(connection, minutes).await?;
    let table = Table {
        find: &sql::FIND_HOURS,
        insert: &sql::HOURS,
    };
    table.put(connection, &hours(minutes)).await
}

struct Table {
    find: &'static Statement,
    insert: &'static Insert,
}

impl Table {
    async fn put(&self, connection: &mut Connection, deltas: &Deltas) -> Result<(), StoreError> {
        let wanted = Args::new().with(sql::json_pairs(deltas.keys().copied()));
        let found = connection.all(self.find, wanted).await?;
        let cells: Result<Vec<_>, StoreError> = found.iter().map(cell).collect();
        let rows = bulk(self.insert, changed(cells?, deltas));
        connection.insert(rows).await
    }
}

/// Roll-ups as rows of one of the tables.
pub(crate) fn bulk(insert: &'static Insert, cells: Vec<((i64, i64), Cell)>) -> Bulk {
    let mut rows = Bulk::new(insert, cells.len());
    for (key, cell) in cells {
        let mut sketch = Vec::new();
        cell.sketch.encode(&mut sketch);
        rows.value(key.0)
            .value(key.1)
            .value(cell.count)
            .value(cell.errors)
            .value(cell.sum);
        rows.value(cell.left_out).value(sketch);
    }
    rows
}
