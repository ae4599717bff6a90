//! `hoplog migrate`: a data folder, or a database, is brought to the schema of this hoplog.

use crate::config::Config;
use anyhow::{Context, Result, ensure};
use hoplog_model::{Clock, SystemClock};
use hoplog_store::Maintenance;
use hoplog_store_postgres::PostgresStore;
use hoplog_store_sqlite::SqliteStore;
use std::process::ExitCode;
use std::sync::Arc;

/// Does it and says so.
pub(crate) fn run(config: &Config, distribute: bool) -> Result<ExitCode> {
    ensure!(
        !distribute || config.database.is_some(),
        "--distribute needs --database: files are not spread over nodes"
    );
    crate::serve::runtime()?.block_on(migrate(config, distribute))?;
    println!("up to date");
    Ok(ExitCode::SUCCESS)
}

async fn migrate(config: &Config, distribute: bool) -> Result<()> {
    if let Some(url) = &config.database {
        let migrated = PostgresStore::migrate(url, distribute).await;
        return migrated.context("migrating the database");
    }
    let folder = &config.data;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = SqliteStore::open(folder, config.store.clone(), clock).await;
    let store = opened.with_context(|| format!("migrating {}", folder.display()))?;
    Ok(store.close().await?)
}
