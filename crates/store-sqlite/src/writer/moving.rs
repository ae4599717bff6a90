//! A file that rows move to when their partition is thinned. Nobody else knows it until it is whole.

use super::file::PartitionFile;
use super::{inserts, layout};
use crate::config::Config;
use crate::db::{self, Connection, column};
use crate::error;
use crate::partition::{Figures, Partition, read_interfaces};
use crate::shared::Shared;
use crate::sql::{self, Args, Bulk};
use async_trait::async_trait;
use hoplog_model::Position;
use hoplog_store::filter::merged::group_of;
use hoplog_store::tables::{
    Cell, Fresh, KEYS_MAX, Kept, Moving, Names, NewPartition, Pending, Rollup, Stored, move_rows,
    trace_id,
};
use hoplog_store::{Books, Outcome, StoreError};
use std::path::Path;
use std::sync::Arc;

/// KiB of page cache: rows are appended, and this is beside the writer's own.
const CACHE_KIB: u32 = 4_096;

/// The file, open for writing.
pub(crate) struct NewFile<'a> {
    file: PartitionFile,
    shared: &'a Shared,
    /// What rows come from, and its newest segment when they began to.
    old: (&'a Partition, i64),
}

impl<'a> NewFile<'a> {
    /// Makes the file with what `old`, read through `connection`, holds beside rows and roll-ups: names, positions
    /// from `position` on, decisions. Segments go on where the old one's end.
    pub(crate) async fn make(
        shared: &'a Shared,
        (old, connection): (&'a Partition, &mut Connection),
        partition: &Arc<Partition>,
        position: Position,
    ) -> Result<Self, StoreError> {
        let config = Config {
            writer_cache_kib: CACHE_KIB,
            ..shared.config.clone()
        };
        let mut file = PartitionFile::open(partition, &config).await?;
        let args = Args::new()
            .with(sql::ordered(partition.from))
            .with(sql::ordered(partition.to));
        file.connection.begin().await?;
        file.connection.execute(&sql::INSERT_META, args).await?;
        copy_upto(connection, &mut file.connection, position).await?;
        copy_decisions(connection, &mut file.connection).await?;
        file.names = copy_names(connection, &mut file.connection).await?;
        let newest = old.figures().newest;
        // There is nothing to merge in groups before.
        let group = group_of(newest + 1);
        let args = Args::new().with(group).with(group);
        file.connection.execute(&sql::UPDATE_MERGING, args).await?;
        file.connection.commit().await?;
        partition.set_merged(group..group);
        partition.set_figures(Figures {
            newest,
            ..Figures::default()
        });
        let old = (old, newest);
        Ok(Self { file, shared, old })
    }

    /// Adds the books of what no row holds, empties the log, and makes all of it survive a power cut.
    pub(crate) async fn finish(mut self, books: Books) -> Result<(), StoreError> {
        let Books {
            duplicate,
            left_out,
            ..
        } = books;
        let args = [0, duplicate, left_out, 0]
            .into_iter()
            .fold(Args::new(), |args, more| args.with(sql::bits(more)));
        let partition = Arc::clone(&self.file.partition);
        let args = args
            .with(0_i64)
            .with(partition.packing().encode())
            .with(0_i64);
        self.file.connection.execute(&sql::ADD_BOOKS, args).await?;
        let mut figures = partition.figures();
        figures.books.duplicate += duplicate;
        figures.books.left_out += left_out;
        partition.set_figures(figures);
        *partition.pending() = Pending::default();
        self.file.connection.close().await?;
        let synced = tokio::task::spawn_blocking(move || sync(&partition.path));
        synced.await.map_err(|why| error::task(&why))?
    }

    /// Closes it; the files are of no use.
    pub(crate) async fn give_up(self) {
        drop(self.file.connection.close().await);
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let file = std::fs::File::open(path).map_err(|why| error::file(path, "open", &why))?;
    file.sync_all()
        .map_err(|why| error::file(path, "sync", &why))?;
    db::sync_log(path)?;
    path.parent().map_or(Ok(()), db::sync_folder)
}

#[async_trait]
impl NewPartition for NewFile<'_> {
    async fn write(&mut self, rows: Vec<Stored>) -> Result<Kept, StoreError> {
        let (old, newest) = self.old;
        if old.figures().newest != newest {
            let what = format!("partition {} was written to meanwhile", old.name);
            return Err(StoreError::Busy(what));
        }
        let number = self.file.partition.figures().newest + 1;
        let moving = Moving {
            rows,
            names: std::mem::take(&mut self.file.names),
            dictionaries: Arc::clone(&self.shared.dictionaries),
        };
        let prepared = tokio::task::spawn_blocking(move || {
            let mut prepared = move_rows(moving, layout::order)?;
            let inserts = inserts::inserts(&mut prepared, number);
            Ok::<_, StoreError>((prepared, inserts))
        });
        let (mut prepared, inserts) = prepared.await.map_err(|why| error::task(&why))??;
        let kept = Kept {
            spans: prepared.written.stored,
            rollups: std::mem::take(&mut prepared.rollups),
        };
        let now = self.shared.clock.now();
        self.file.write(number, prepared, inserts, now).await?;
        Ok(kept)
    }

    async fn rollups(
        &mut self,
        table: Rollup,
        cells: Vec<((i64, i64), Cell)>,
    ) -> Result<(), StoreError> {
        let insert = match table {
            Rollup::Minutes => &sql::MINUTES,
            Rollup::Hours => &sql::HOURS,
        };
        let rows = crate::rollups::bulk(insert, cells);
        self.file.connection.begin().await?;
        self.file.connection.insert(rows).await?;
        self.file.connection.commit().await
    }
}

async fn copy_names(from: &mut Connection, to: &mut Connection) -> Result<Names, StoreError> {
    let interfaces = read_interfaces(from, 0).await?;
    let limit = i64::try_from(KEYS_MAX).expect("small");
    let rows = from.all(&sql::READ_KEYS, Args::new().with(limit)).await?;
    let keys: Result<Vec<String>, _> = rows.iter().map(|row| column(row, 0)).collect();
    let fresh = Fresh {
        interfaces: interfaces.clone(),
        keys: keys?,
    };
    let names = Names::new(interfaces, fresh.keys.clone());
    for rows in inserts::names(fresh) {
        to.insert(rows).await?;
    }
    Ok(names)
}

/// Their segments have other numbers, before those of rows; nothing goes by these.
async fn copy_upto(
    from: &mut Connection,
    to: &mut Connection,
    position: Position,
) -> Result<(), StoreError> {
    let args = Args::new().with(sql::bits(position.to_u64()));
    for (row, n) in from.all(&sql::READ_UPTO, args).await?.iter().zip(1_i64..) {
        let requests: Vec<u8> = column(row, 0)?;
        let greatest = requests
            .chunks_exact(24)
            .filter_map(|one| one[16..].try_into().ok())
            .map(u64::from_be_bytes)
            .max();
        let args = Args::new()
            .with(n)
            .with(sql::bits(greatest.unwrap_or_default()));
        to.execute(&sql::INSERT_UPTO, args.with(requests)).await?;
    }
    Ok(())
}

async fn copy_decisions(from: &mut Connection, to: &mut Connection) -> Result<(), StoreError> {
    let rows = from
        .all(&sql::READ_DECISIONS, Args::new().with(0_i64))
        .await?;
    let mut decisions = Vec::with_capacity(rows.len());
    for row in &rows {
        let outcome = match column::<&str>(row, 1)? {
            "drop" => Outcome::Drop,
            _ => Outcome::CountOnly,
        };
        decisions.push((
            trace_id(column(row, 0)?)?,
            outcome,
            sql::lower(column(row, 2)?),
        ));
    }
    let rows: Bulk = inserts::decisions(decisions);
    to.insert(rows).await
}
