//! The tables spread over a cluster by the Citus extension. The statements stay as they are: each asks its
//! table as if all of it were here.

use crate::db::{self, SCHEMA_LOCK};
use crate::error;
use hoplog_store::StoreError;
use sqlx::PgConnection;

/// A table and the column by which its rows are spread; a table of the same rank lies with the one named last.
/// Every unique index of a table holds this column: Citus asks for it.
pub(crate) const SPREAD: [(&str, &str, &str); 13] = [
    ("requests", "trace_id", "none"),
    ("parts", "trace_id", "requests"),
    ("segments", "segment", "none"),
    ("records", "segment", "segments"),
    ("filters", "segment", "segments"),
    ("rollup_log", "segment", "segments"),
    ("merged_keys", "grp", "none"),
    ("merged", "grp", "merged_keys"),
    ("outlines", "grp", "merged_keys"),
    // Names are partitioned by day, and what is partitioned cannot be on every node.
    ("interfaces", "id", "none"),
    ("rollup_minute", "interface", "interfaces"),
    ("rollup_hour", "interface", "interfaces"),
    ("keys", "key", "none"),
];
/// On every node. What is neither here nor above stays on the coordinator: a line a partition or a collector.
pub(crate) const EVERYWHERE: [&str; 1] = ["dictionaries"];

/// Spreads every table that is not yet. Can be repeated after a crash anywhere. Nobody may write meanwhile.
pub(crate) async fn distribute(connection: &mut PgConnection) -> Result<(), StoreError> {
    is_installed(connection).await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *connection)
        .await
        .map_err(|why| error::database("lock the schema", &why))?;
    for (table, column, beside) in SPREAD {
        if !is_distributed(connection, table).await? {
            let text = format!(
                "SELECT create_distributed_table('hoplog.{table}', '{column}', colocate_with => '{}')",
                if beside == "none" {
                    beside.to_owned()
                } else {
                    format!("hoplog.{beside}")
                }
            );
            db::raw(connection, "distribute a table", text).await?;
        }
    }
    for table in EVERYWHERE {
        if !is_distributed(connection, table).await? {
            let text = format!("SELECT create_reference_table('hoplog.{table}')");
            db::raw(connection, "distribute a table", text).await?;
        }
    }
    Ok(())
}

async fn is_installed(connection: &mut PgConnection) -> Result<(), StoreError> {
    let there = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus'),
                        EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citus')";
    let (is_there, is_available): (bool, bool) = sqlx::query_as(there)
        .fetch_one(connection)
        .await
        .map_err(|why| error::database("look for Citus", &why))?;
    let missing = match (is_there, is_available) {
        (true, _) => return Ok(()),
        (false, true) => "run CREATE EXTENSION citus in it, and add its nodes",
        (false, false) => "it is not installed on this server",
    };
    Err(StoreError::Unavailable(format!(
        "the tables cannot be distributed: the database has no Citus extension; {missing}"
    )))
}

/// Whether Citus has spread this table of ours.
pub(crate) async fn is_distributed(
    connection: &mut PgConnection,
    table: &str,
) -> Result<bool, StoreError> {
    let has_citus = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL";
    let has_citus: bool = sqlx::query_scalar(has_citus)
        .fetch_one(&mut *connection)
        .await
        .map_err(|why| error::database("look for Citus", &why))?;
    if !has_citus {
        return Ok(false);
    }
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('hoplog.' || $1))",
    )
    .bind(table)
    .fetch_one(connection)
    .await
    .map_err(|why| error::database("look for a distributed table", &why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::TABLES;
    use hoplog_testkit::postgres::Database;

    #[test]
    fn every_partitioned_table_is_spread() {
        let mut spread = SPREAD.map(|(table, ..)| table);
        let mut tables = TABLES;
        spread.sort_unstable();
        tables.sort_unstable();
        assert_eq!(spread, tables);
    }

    #[tokio::test]
    async fn every_unique_index_holds_what_its_table_is_spread_by() {
        let database = Database::new().unwrap();
        let options = db::options(&database.url()).unwrap();
        let mut connection = db::connect(&options).await.unwrap();
        db::migrate(&mut connection).await.unwrap();
        for (table, column, _) in SPREAD {
            let sql = format!(
                "SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM pg_attribute
                     WHERE attrelid = indrelid AND attname = '{column}' AND attnum = ANY (indkey)))
                 FROM pg_index WHERE indrelid = 'hoplog.{table}'::regclass AND indisunique"
            );
            assert_eq!(database.psql(&sql).unwrap(), "1|1", "{table}");
        }
    }

    #[tokio::test]
    async fn a_server_without_citus_is_told_so() {
        let database = Database::new().unwrap();
        let options = db::options(&database.url()).unwrap();
        let mut connection = db::connect(&options).await.unwrap();
        let refused = distribute(&mut connection).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("no Citus extension")),
            "{refused:?}"
        );
    }
}
