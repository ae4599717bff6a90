//! What comes between two steps of upkeep.

use super::*;
use crate::{Config, db};
use hoplog_model::times::{DAY, MINUTE};
use hoplog_store::conformance::build::{Span, part, trace};
use hoplog_store::conformance::{NOW, books, clock, write};
use hoplog_store::retention::{Bytes, Keep};
use hoplog_store::{Maintenance, StatsQuery, TraceReader};
use hoplog_testkit::postgres::Database;

const WHY: Why = Why {
    reason: Reason::Outcome,
    now: NOW,
};

async fn open(database: &Database, keep: Keep) -> PostgresStore {
    let config = Config {
        keep,
        ..Config::default()
    };
    let store = PostgresStore::open(&database.url(), config, clock()).await;
    store.unwrap()
}

async fn write_one(store: &PostgresStore, n: u64, at: UnixNanos) {
    let one = part(trace(n), &[Span::root(1).at(at + n, 5)]);
    write(
        store,
        vec![hoplog_store::Part {
            received_at: at,
            ..one
        }],
    )
    .await;
}

fn all() -> StatsQuery {
    StatsQuery {
        to: 2 * NOW,
        ..StatsQuery::default()
    }
}

async fn counted(store: &PostgresStore) -> u64 {
    let stats = store.stats(&all()).await.unwrap();
    stats.iter().map(|row| row.count).sum()
}

async fn is_clean(store: &PostgresStore) {
    let report = store.check(&|_, _| ()).await.unwrap();
    assert_eq!(report.differences, []);
    assert_eq!(report.books, books(store).await);
}

/// Upkeep knows the partition as it was before the last batch, and opens its tables.
#[tokio::test]
async fn a_batch_between_reading_the_partitions_and_opening_their_tables_counts_once() {
    const BATCHES: u64 = 70;
    let database = Database::new().unwrap();
    let store = open(&database, Keep::forever()).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    for n in 1..=BATCHES {
        write_one(&store, n, NOW).await;
    }
    let read = store.shared.partitions(&mut connection).await.unwrap();
    write_one(&store, BATCHES + 1, NOW).await;
    let thinned = store.shared.thin(&mut connection, &read[0], Past::ALL, WHY);
    assert_eq!(thinned.await.unwrap(), None);
    assert_eq!(counted(&store).await, BATCHES + 1);

    let read = store.shared.partitions(&mut connection).await.unwrap();
    write_one(&store, BATCHES + 2, NOW).await;
    let merged = store.shared.merge_group(&mut connection, &read[0]);
    merged.await.unwrap();
    assert_eq!(counted(&store).await, BATCHES + 2);
    is_clean(&store).await;
}

/// A question asked before changes went from the log into the tables still finds them in what it sees.
#[tokio::test]
async fn changes_that_went_into_the_tables_meanwhile_are_not_missed() {
    let database = Database::new().unwrap();
    let store = open(&database, Keep::forever()).await;
    let shared = &store.shared;
    let mut asking = db::connect(&shared.options).await.unwrap();
    let mut connection = db::connect(&shared.options).await.unwrap();
    for n in 1..=10 {
        write_one(&store, n, NOW).await;
    }
    let read = shared.partitions(&mut connection).await.unwrap();
    crate::tables::begin_snapshot(&mut asking).await.unwrap();
    shared.partitions(&mut asking).await.unwrap();
    for n in 11..=70 {
        write_one(&store, n, NOW).await;
    }
    let thinned = shared.thin(&mut connection, &read[0], Past::ALL, WHY);
    assert_eq!(thinned.await.unwrap(), None);
    let sums = shared.sums_of_snapshot(&mut asking, &all()).await.unwrap();
    assert_eq!(sums.iter().map(|row| row.count).sum::<u64>(), 10);
    assert_eq!(counted(&store).await, 70);
}

/// What happens whenever a row moves.
fn while_rows_move(database: &Database, happens: &str) {
    let text = format!(
        "CREATE OR REPLACE FUNCTION hoplog.moving() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN {happens}; RETURN NEW; END $$;
        CREATE OR REPLACE TRIGGER moving BEFORE INSERT ON hoplog.requests
            FOR EACH ROW EXECUTE FUNCTION hoplog.moving()"
    );
    database.psql(&text).unwrap();
}

/// By size, what is kept by hand goes only where it cannot be moved for want of room.
#[tokio::test]
async fn what_is_kept_by_hand_stays_if_it_cannot_be_moved_right_now() {
    let database = Database::new().unwrap();
    let tiny = Keep {
        bytes: Bytes::AtMost(1),
        ..Keep::forever()
    };
    let store = open(&database, tiny).await;
    for day in 0..3 {
        for n in 1..4 {
            write_one(&store, day * 10 + n, NOW - day * DAY).await;
        }
    }
    store.pin(trace(21), true, NOW).await.unwrap();
    let before = books(&store).await;
    let left = async || {
        let health = store.health().await.unwrap();
        (health.rows, health.pins, health.retained.size.pinned)
    };
    // Somebody keeps a request or lets one go.
    let click = "UPDATE hoplog.pin_state SET changes = changes + 1";
    while_rows_move(&database, click);
    assert_eq!(store.retain(NOW).await.unwrap(), 3);
    assert_eq!(left().await, (6, 1, 0));
    while_rows_move(&database, "RAISE 'no' USING ERRCODE = 'lock_not_available'");
    assert_eq!(store.retain(NOW + MINUTE).await.unwrap(), 0);
    while_rows_move(&database, "RAISE 'no' USING ERRCODE = 'internal_error'");
    assert_eq!(store.retain(NOW + 3 * MINUTE).await.unwrap(), 0);
    assert_eq!(left().await, (6, 1, 0));
    while_rows_move(&database, "RAISE 'no' USING ERRCODE = 'disk_full'");
    assert_eq!(store.retain(NOW + 13 * MINUTE).await.unwrap(), 3);
    assert_eq!(left().await, (3, 0, 1));
    assert_eq!(books(&store).await, before);
    is_clean(&store).await;
}

/// One partition that cannot be read keeps no other from going.
#[tokio::test]
async fn others_go_beside_one_that_cannot_be_read() {
    for keep in [
        Keep::all(DAY),
        Keep {
            bytes: Bytes::AtMost(1),
            ..Keep::forever()
        },
    ] {
        let database = Database::new().unwrap();
        let store = open(&database, keep).await;
        for day in [6, 5, 4, 0] {
            write_one(&store, day + 1, NOW - day * DAY).await;
        }
        store.pin(trace(1), true, NOW).await.unwrap();
        let mut connection = store.shared.connection().await.unwrap();
        let all = store.shared.partitions(&mut connection).await.unwrap();
        let table = format!("requests_{}", all[0].name);
        let rename = |from: &str, to: &str| {
            let text = format!("ALTER TABLE hoplog.{from} RENAME TO {to}");
            database.psql(&text).unwrap();
        };
        rename(&table, "away");
        assert_eq!(store.retain(NOW).await.unwrap(), 2);
        rename("away", &table);
        assert_eq!(store.retain(NOW).await.unwrap(), 1);
        is_clean(&store).await;
    }
}

/// A row of a request kept by hand may have come since nothing was found to stay.
#[tokio::test]
async fn what_was_written_to_meanwhile_is_not_dropped() {
    let database = Database::new().unwrap();
    let store = open(&database, Keep::forever()).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    store.pin(trace(2), true, NOW).await.unwrap();
    let state = pin_state(&mut connection).await.unwrap();
    write_one(&store, 1, NOW).await;
    let read = store.shared.partitions(&mut connection).await.unwrap();
    write_one(&store, 2, NOW).await;
    let gone = drop_whole(&mut connection, &read[0], (state, Vec::new()), WHY).await;
    assert_eq!(gone.unwrap(), 0);
    let health = store.health().await.unwrap();
    assert_eq!((health.rows, health.pins), (2, 1));
    let read = store.shared.partitions(&mut connection).await.unwrap();
    let gone = drop_whole(&mut connection, &read[0], (state, vec![trace(2)]), WHY).await;
    assert_eq!(gone.unwrap(), 2);
    is_clean(&store).await;
}

/// A copy that was thrown away is made again later, and later still.
#[tokio::test]
async fn a_copy_thrown_away_is_put_off_for_longer_each_time() {
    let database = Database::new().unwrap();
    let store = open(&database, Keep::all(DAY)).await;
    for n in 1..3 {
        write_one(&store, n, NOW - 4 * DAY).await;
    }
    store.pin(trace(1), true, NOW).await.unwrap();
    // How often a row has moved.
    let copies = "CREATE SEQUENCE hoplog.copies";
    database.psql(copies).unwrap();
    let click = "PERFORM nextval('hoplog.copies');
        UPDATE hoplog.pin_state SET changes = changes + 1";
    while_rows_move(&database, click);
    for (minute, expected) in [(0, 1), (0, 1), (1, 2), (2, 2), (3, 3), (6, 3), (7, 4)] {
        assert_eq!(store.retain(NOW + minute * MINUTE).await.unwrap(), 0);
        let copies = database.psql("SELECT last_value FROM hoplog.copies");
        assert_eq!(copies.unwrap().trim(), expected.to_string(), "{minute}");
    }
    while_rows_move(&database, "NULL");
    assert_eq!(store.retain(NOW + 15 * MINUTE).await.unwrap(), 1);
    is_clean(&store).await;
}

/// Once a batch came, reading the rest of the partition is in vain.
#[tokio::test]
async fn moving_ends_when_a_batch_comes() {
    let database = Database::new().unwrap();
    let store = open(&database, Keep::forever()).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    write_one(&store, 1, NOW).await;
    let read = store.shared.partitions(&mut connection).await.unwrap();
    write_one(&store, 2, NOW).await;
    let pinned = FxHashSet::default();
    let stay = Stay {
        keep: &Keep::forever(),
        past: Past::ALL,
        pinned: &pinned,
    };
    let copied = store.shared.copy(&mut connection, &read[0], stay).await;
    assert!(matches!(copied.map(drop), Err(StoreError::Busy(_))));
}

/// Questions that come to a partition's tables when these are just gone ask again.
#[tokio::test]
async fn questions_beside_a_drop_are_answered() {
    let database = Database::new().unwrap();
    let store = open(&database, Keep::forever()).await;
    write_one(&store, 1, NOW - DAY).await;
    write_one(&store, 2, NOW).await;
    let mut connection = db::connect(&store.shared.options).await.unwrap();
    let all_of = store.shared.partitions(&mut connection).await.unwrap();
    let (day, name) = (all_of[1].day(), &all_of[1].name);
    let tables =
        ["requests", "interfaces", "keys", "rollup_log"].map(|table| format!("{table}_{name}"));
    let tables = tables.join(", ");
    let hold = format!(
        "BEGIN; LOCK TABLE {tables};
        UPDATE partitions SET state = 'dropped' WHERE from_nanos = {day}"
    );
    db::raw(&mut connection, "hold", hold).await.unwrap();
    let drop_them = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database =
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        while database.psql(waiting).unwrap().trim() != "4" {
            tokio::task::yield_now().await;
        }
        let gone = format!("DROP TABLE {tables}; COMMIT");
        db::raw(&mut connection, "drop", gone).await.unwrap();
    };
    let ids = [trace(1), trace(2)];
    let query = all();
    let (stored, stats, interfaces, keys, ()) = tokio::join!(
        store.stored(&ids),
        store.stats(&query),
        store.interfaces(0, 2 * NOW, 10),
        store.keys(10),
        drop_them
    );
    assert_eq!(stored.unwrap(), [trace(1)].into_iter().collect());
    assert_eq!(stats.unwrap().len(), 1);
    assert_eq!(interfaces.unwrap().len(), 1);
    assert_eq!(keys.unwrap(), ["service.name"]);
}
