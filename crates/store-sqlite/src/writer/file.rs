//! One partition file and what its writer knows by heart.

use crate::config::Config;
use crate::db::{self, Connection, column};
use crate::merge;
use crate::partition::{Figures, Partition, read_interfaces};
use crate::rollups;
use crate::sql::{self, Args, Bulk};
use crate::upgrade::writing;
use hoplog_model::UnixNanos;
use hoplog_store::pack::Dictionary;
use hoplog_store::segment::Segment;
use hoplog_store::tables::{KEYS_MAX, Names, Pending, Prepared, encode};
use hoplog_store::walk::PartitionBounds;
use hoplog_store::{Books, StoreError};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// A file open for writing. After an error it is dropped, which rolls back, and opened again: what it
/// knows by heart is then what the file holds.
#[derive(Debug)]
pub(super) struct PartitionFile {
    pub(super) partition: Arc<Partition>,
    pub(super) connection: Connection,
    /// Taken while a batch is prepared.
    pub(super) names: Names,
    /// Ids of the dictionaries that the file holds.
    pub(super) dictionaries: FxHashSet<u32>,
    /// Bytes of the log at which it is emptied by force.
    log_bytes_max: u64,
    log_bytes_step: u64,
}

impl PartitionFile {
    /// Opens the file; a new one gets its tables.
    pub(super) async fn open(
        partition: &Arc<Partition>,
        config: &Config,
    ) -> Result<Self, StoreError> {
        let mut connection = Connection::open(&partition.path, writing(config)).await?;
        connection.migrate(db::PARTITION).await?;
        // Whoever wrote before may have been given up half way, and nobody knows of which half.
        connection.begin().await?;
        partition.load(&mut connection).await?;
        connection.commit().await?;
        let interfaces = read_interfaces(&mut connection, 0).await?;
        let limit = i64::try_from(KEYS_MAX).expect("small");
        let keys = connection
            .all(&sql::READ_KEYS, Args::new().with(limit))
            .await?;
        let keys: Result<Vec<String>, _> = keys.iter().map(|row| column(row, 0)).collect();
        let mut dictionaries = FxHashSet::default();
        for row in connection.all(&sql::READ_DICTIONARIES, Args::new()).await? {
            dictionaries.insert(dictionary_id(column(&row, 0)?)?);
        }
        let log_bytes_step =
            u64::from(config.wal_pages).saturating_mul(u64::from(db::PAGE_BYTES)) * 3;
        Ok(Self {
            partition: Arc::clone(partition),
            connection,
            names: Names::new(interfaces, keys?),
            dictionaries,
            log_bytes_max: log_bytes_step,
            log_bytes_step,
        })
    }

    /// Writes a prepared batch in one transaction.
    pub(super) async fn write(
        &mut self,
        number: i64,
        prepared: Prepared,
        inserts: Vec<Bulk>,
        now: UnixNanos,
    ) -> Result<(), StoreError> {
        let figures = grown(self.partition.figures(), number, &prepared);
        let mut packing = self.partition.packing();
        packing.apply(&prepared.repacked);
        let search = prepared.search.as_ref();
        let max_extent = search.map_or(0, |search| search.segment.max_extent);
        let connection = &mut self.connection;
        connection.begin().await?;
        if !prepared.replaced_rows.is_empty() {
            let rows = sql::json(prepared.replaced_rows);
            connection
                .execute(&sql::DELETE_ROWS, Args::new().with(rows))
                .await?;
        }
        if let Some(dictionary) = &prepared.dictionary
            && !self.dictionaries.contains(&dictionary.id())
        {
            insert_dictionary(connection, dictionary, None, now).await?;
        }
        for rows in inserts {
            connection.insert(rows).await?;
        }
        if let Some(search) = prepared.search {
            connection
                .execute(&sql::INSERT_SEGMENT, segment_args(number, search.segment))
                .await?;
        }
        let args = Args::new().with(number).with(sql::bits(prepared.upto_max));
        connection
            .execute(&sql::INSERT_UPTO, args.with(prepared.upto))
            .await?;
        if !prepared.rollups.is_empty() {
            let args = Args::new().with(number).with(encode(&prepared.rollups));
            connection.execute(&sql::INSERT_ROLLUP_LOG, args).await?;
        }
        let written = prepared.written;
        let gained = [
            written.stored,
            written.duplicate,
            written.left_out,
            prepared.rows_gained,
        ];
        let args = gained
            .into_iter()
            .fold(Args::new(), |args, more| args.with(sql::bits(more)));
        connection
            .execute(
                &sql::ADD_BOOKS,
                args.with(prepared.packed_bytes)
                    .with(packing.encode())
                    .with(sql::ordered(max_extent)),
            )
            .await?;
        connection.commit().await?;
        self.dictionaries
            .extend(prepared.dictionary.map(|dictionary| dictionary.id()));
        self.names = prepared.names;
        self.partition.set_figures(figures);
        self.partition.set_packing(packing);
        self.partition.pending().add(prepared.rollups);
        Ok(())
    }

    /// What need not be done with every batch: see [`PartitionFile::put_rollups`] and
    /// [`PartitionFile::bound_log`].
    pub(super) async fn tidy(&mut self) -> Result<(), StoreError> {
        if self.partition.pending().is_due() {
            self.put_rollups().await?;
        }
        self.bound_log().await
    }

    /// Puts pending changes of roll-ups into the tables. Questions that are being answered are waited for,
    /// as they add the ones to the others.
    pub(super) async fn put_rollups(&mut self) -> Result<(), StoreError> {
        if self.partition.pending().is_empty() {
            return Ok(());
        }
        // Only this writer adds to it.
        let deltas = self.partition.pending().deltas.clone();
        let connection = &mut self.connection;
        connection.begin().await?;
        rollups::put(connection, &deltas).await?;
        let newest = Args::new().with(self.partition.figures().newest);
        connection.execute(&sql::DELETE_ROLLUP_LOG, newest).await?;
        let _alone = self.partition.answering.write().await;
        connection.commit().await?;
        *self.partition.pending() = Pending::default();
        Ok(())
    }

    /// Merged filters take the place of single ones, in one transaction.
    pub(super) async fn put_merged(
        &mut self,
        from: i64,
        group: i64,
        rows: Vec<Bulk>,
    ) -> Result<(), StoreError> {
        let merged = from..group + 1;
        let connection = &mut self.connection;
        connection.begin().await?;
        if !rows.is_empty() {
            for rows in rows {
                connection.insert(rows).await?;
            }
            let (filters, pieces) = merge::single(group);
            connection.execute(&sql::DELETE_FILTERS, filters).await?;
            connection.execute(&sql::DELETE_AREA, pieces).await?;
        }
        let args = Args::new().with(merged.start).with(merged.end);
        connection.execute(&sql::UPDATE_MERGING, args).await?;
        connection.commit().await?;
        self.partition.set_merged(merged);
        self.partition.look_for_free_pages(connection).await?;
        self.bound_log().await
    }

    /// Shortens the file a little, see [`Connection::give_back`].
    pub(super) async fn give_back(&mut self) -> Result<(), StoreError> {
        self.connection.give_back().await?;
        self.partition
            .look_for_free_pages(&mut self.connection)
            .await?;
        self.bound_log().await
    }

    /// Puts a dictionary trained on this partition into it.
    pub(super) async fn add_dictionary(
        &mut self,
        dictionary: &Dictionary,
        density: f64,
        now: UnixNanos,
    ) -> Result<(), StoreError> {
        insert_dictionary(&mut self.connection, dictionary, Some(density), now).await?;
        self.dictionaries.insert(dictionary.id());
        Ok(())
    }

    /// Empties the log by force if readers have kept SQLite from doing so for long.
    async fn bound_log(&mut self) -> Result<(), StoreError> {
        let log = db::log_path(&self.partition.path);
        let bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
        if bytes < self.log_bytes_max {
            return Ok(());
        }
        self.log_bytes_max = if self.connection.empty_log().await? {
            self.log_bytes_step
        } else {
            tracing::warn!(partition = %self.partition.name, bytes, "a reader holds the log of a partition; it grows");
            bytes + self.log_bytes_step / 2
        };
        Ok(())
    }

    /// Forgets what lies before a checkpoint, and old decisions.
    pub(super) async fn forget(
        &mut self,
        position: u64,
        decided_before: UnixNanos,
    ) -> Result<(), StoreError> {
        let upto = Args::new().with(sql::bits(position));
        self.connection.execute(&sql::DELETE_UPTO, upto).await?;
        let decisions = Args::new().with(sql::ordered(decided_before));
        self.connection
            .execute(&sql::DELETE_DECISIONS, decisions)
            .await?;
        Ok(())
    }
}

/// An id as stored.
pub(crate) fn dictionary_id(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|why| StoreError::corrupt("dictionaries id", why))
}

pub(super) async fn insert_dictionary(
    connection: &mut Connection,
    dictionary: &Dictionary,
    density: Option<f64>,
    now: UnixNanos,
) -> Result<(), StoreError> {
    let args = Args::new()
        .with(i64::from(dictionary.id()))
        .with(sql::ordered(now));
    let args = args.with(density).with(dictionary.bytes().to_vec());
    connection
        .execute(&sql::INSERT_DICTIONARY, args)
        .await
        .map(drop)
}

fn segment_args(number: i64, segment: Segment) -> Args {
    Args::new()
        .with(number)
        .with(sql::ordered(segment.min_start))
        .with(sql::ordered(segment.max_start))
        .with(sql::ordered(segment.min_duration))
        .with(sql::ordered(segment.max_duration))
        .with(i64::from(segment.rows))
        .with(segment.heads)
        .with(sql::ordered(segment.max_extent))
}

/// The figures after a batch.
fn grown(before: Figures, number: i64, prepared: &Prepared) -> Figures {
    let mut figures = before;
    let written = prepared.written;
    figures.books.add(Books {
        stored: written.stored,
        duplicate: written.duplicate,
        left_out: written.left_out,
    });
    figures.rows += prepared.rows_gained;
    figures.packed_bytes = figures
        .packed_bytes
        .saturating_add_signed(prepared.packed_bytes);
    figures.newest = number;
    if let Some(segment) = prepared.search.as_ref().map(|search| &search.segment) {
        let bounds = figures.bounds.unwrap_or(PartitionBounds {
            min_start: u64::MAX,
            max_start: 0,
            max_duration: 0,
            max_extent: 0,
            newest: number,
        });
        figures.bounds = Some(PartitionBounds {
            min_start: bounds.min_start.min(segment.min_start),
            max_start: bounds.max_start.max(segment.max_start),
            max_duration: bounds.max_duration.max(segment.max_duration),
            max_extent: bounds.max_extent.max(segment.max_extent),
            newest: number,
        });
    }
    figures
}
