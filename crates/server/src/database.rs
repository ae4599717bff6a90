//! Which store a configuration means: files in the data folder, or a PostgreSQL.

use crate::config::Config;
use anyhow::{Context, Result, ensure};
use hoplog_model::Clock;
use hoplog_store::Store;
use hoplog_store_postgres::PostgresStore;
use hoplog_store_sqlite::SqliteStore;
use std::path::Path;
use std::sync::Arc;

/// File of the data folder with the name under which its inbox is known in a database.
const COLLECTOR: &str = "collector";

/// Opens the store for writing.
pub(crate) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
    let folder = &config.data;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let clock = Arc::clone(clock);
    if let Some(url) = &config.database {
        let settings = postgres(config, collector(folder)?);
        let store = PostgresStore::open(url, settings, clock).await;
        return Ok(Arc::new(
            store.context("opening the store in the database")?,
        ));
    }
    let store = SqliteStore::open(folder, config.store.clone(), clock).await;
    Ok(Arc::new(store.with_context(|| {
        format!("opening the store in {}", folder.display())
    })?))
}

/// The store's settings, as far as they are not those of files.
fn postgres(config: &Config, writer: String) -> hoplog_store_postgres::Config {
    let store = &config.store;
    hoplog_store_postgres::Config {
        writer,
        partition_hours: store.partition_hours,
        keep: store.policy(),
        request_spans: store.request_spans,
        searches: store.searches,
        lookups: store.lookups,
    }
}

/// The name of the data folder's inbox; a new one gets one by chance.
fn collector(folder: &Path) -> Result<String> {
    let path = folder.join(COLLECTOR);
    let shown = path.display();
    let known = match std::fs::read_to_string(&path) {
        Ok(known) => known.trim().to_owned(),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            let name = format!("{:016x}", rand::random::<u64>());
            write_durably(&path, &name).with_context(|| format!("cannot write {shown}"))?;
            name
        }
        Err(why) => return Err(why).with_context(|| format!("cannot read {shown}")),
    };
    ensure!(
        !known.is_empty(),
        "{shown} is empty: it names this inbox in the database"
    );
    Ok(known)
}

/// Whole or not at all, and there after a power cut: a second name would be a second inbox.
fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, text)?;
    std::fs::File::open(&unfinished)?.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent()
        .map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

/// A URL without its password.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A password may hold an `@`, a host may not.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            let password = if login.contains(':') { ":***" } else { "" };
            format!("{user}{password}@{host}")
        }
        None => authority.to_owned(),
    };
    let hidden = |(name, value): (&str, &str)| match name {
        "password" | "sslpassword" => format!("{name}=***"),
        _ => format!("{name}={value}"),
    };
    let rest = match rest.split_once('?') {
        Some((path, query)) => {
            let pairs = query.split('&');
            let pairs: Vec<String> = pairs
                .map(|pair| pair.split_once('=').map_or(pair.to_owned(), hidden))
                .collect();
            format!("{path}?{}", pairs.join("&"))
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{authority}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (url, shown) in [
            ("postgres://host/db", "postgres://host/db"),
            ("postgres://me@host:5432/db", "postgres://me@host:5432/db"),
            (
                "postgres://me:s3@cr:et@host/db",
                "postgres://me:***@host/db",
            ),
            (
                "postgres://host/db?user=me&password=secret",
                "postgres://host/db?user=me&password=***",
            ),
            ("not a url", "not a url"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn an_inbox_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = collector(folder.path()).unwrap();
        assert_eq!(name.len(), 16);
        assert_eq!(collector(folder.path()).unwrap(), name);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(collector(other.path()).unwrap(), name);
    }
}
