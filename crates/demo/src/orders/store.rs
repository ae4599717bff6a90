//! The shop's SQLite file: orders, their items, and the queue of shipments.

use std::path::Path;
use std::time::Duration;

use crate::service::takes;
use hoplog_tower::{Operation, context};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// Customers with a history, `customer-1` and on.
pub(crate) const CUSTOMERS: u32 = 20;
/// Orders in each history, and on each page of them.
pub(crate) const ORDERS_PER_PAGE: u32 = 12;
/// The queue table's name.
pub(crate) const SHIPMENTS: &str = "shipments";

/// Milliseconds there and back to a database across the network.
const ROUND_TRIP: u64 = 5;

const SYSTEM: &str = "sqlite";

const CREATE: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, status TEXT NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer, id)",
    "CREATE TABLE IF NOT EXISTS order_items (order_id INTEGER NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, \
     PRIMARY KEY (order_id, sku)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS shipments (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, context TEXT NOT NULL) STRICT",
];
const INSERT_ORDER: &str = "INSERT INTO orders (customer, status) VALUES (?, ?) RETURNING id";
const INSERT_ITEM: &str = "INSERT INTO order_items (order_id, sku, quantity) VALUES (?, ?, ?)";
const INSERT_SHIPMENT: &str = "INSERT INTO shipments (order_id, context) VALUES (?, ?)";
const UPDATE_ORDER: &str = "UPDATE orders SET status = ? WHERE id = ?";
const SELECT_ORDER: &str = "SELECT id, customer, status FROM orders WHERE id = ?";
const SELECT_ORDERS: &str =
    "SELECT id, customer, status FROM orders WHERE customer = ? ORDER BY id DESC LIMIT ?";
const SELECT_ITEMS: &str = "SELECT sku, quantity FROM order_items WHERE order_id = ?";
const SELECT_SHIPMENT: &str = "SELECT id, order_id, context FROM shipments ORDER BY id LIMIT 1";
const DELETE_SHIPMENT: &str = "DELETE FROM shipments WHERE id = ?";
const COUNT_ORDERS: &str = "SELECT count(*) FROM (SELECT 1 FROM orders LIMIT 1)";

/// An order: id, customer, status.
pub(crate) type Order = (i64, String, String);
/// An item: product, quantity.
pub(crate) type Item = (String, i64);
/// A shipment to be made: id, order, the sender's trace context.
pub(crate) type Shipment = (i64, i64, String);

/// One service's connections to the file.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the file, makes it if need be, and fills it with histories for the customers.
    pub(crate) async fn open(file: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Makes the tables and fills them with histories, unless that was done before.
    pub(crate) async fn prepare(&self) -> sqlx::Result<()> {
        for statement in CREATE {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        if sqlx::query_scalar::<_, i64>(COUNT_ORDERS)
            .fetch_one(&self.pool)
            .await?
            > 0
        {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        for n in 0..CUSTOMERS * ORDERS_PER_PAGE {
            let customer = format!("customer-{}", n % CUSTOMERS + 1);
            let id: i64 = sqlx::query_scalar(INSERT_ORDER)
                .bind(customer)
                .bind("delivered")
                .fetch_one(&mut *transaction)
                .await?;
            let sku = crate::inventory::SKUS[n as usize % crate::inventory::SKUS.len()];
            let item = sqlx::query(INSERT_ITEM).bind(id).bind(sku).bind(1 + n % 3);
            item.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    pub(crate) async fn insert_order(&self, customer: &str) -> sqlx::Result<i64> {
        let query = sqlx::query_scalar(INSERT_ORDER).bind(customer).bind("new");
        Operation::query(SYSTEM, "INSERT orders", INSERT_ORDER)
            .try_run(query.fetch_one(&self.pool))
            .await
    }

    pub(crate) async fn insert_item(
        &self,
        order: i64,
        sku: &str,
        quantity: u32,
    ) -> sqlx::Result<()> {
        let query = sqlx::query(INSERT_ITEM)
            .bind(order)
            .bind(sku)
            .bind(quantity);
        Operation::query(SYSTEM, "INSERT order_items", INSERT_ITEM)
            .try_run(query.execute(&self.pool))
            .await?;
        Ok(())
    }

    pub(crate) async fn set_status(&self, order: i64, status: &str) -> sqlx::Result<()> {
        let query = sqlx::query(UPDATE_ORDER).bind(status).bind(order);
        Operation::query(SYSTEM, "UPDATE orders", UPDATE_ORDER)
            .try_run(query.execute(&self.pool))
            .await?;
        Ok(())
    }

    pub(crate) async fn order(&self, id: i64) -> sqlx::Result<Option<Order>> {
        let query = sqlx::query_as(SELECT_ORDER).bind(id);
        Operation::query(SYSTEM, "SELECT orders", SELECT_ORDER)
            .try_run(query.fetch_optional(&self.pool))
            .await
    }

    /// The newest orders of a customer, one page of them.
    pub(crate) async fn orders_of(&self, customer: &str) -> sqlx::Result<Vec<Order>> {
        let query = sqlx::query_as(SELECT_ORDERS)
            .bind(customer)
            .bind(ORDERS_PER_PAGE);
        Operation::query(SYSTEM, "SELECT orders", SELECT_ORDERS)
            .try_run(query.fetch_all(&self.pool))
            .await
    }

    /// Takes as long as over a network: on a file, many small queries cost next to nothing.
    pub(crate) async fn items_of(&self, order: i64) -> sqlx::Result<Vec<Item>> {
        let query = sqlx::query_as(SELECT_ITEMS).bind(order);
        let asked = async {
            takes(ROUND_TRIP).await;
            query.fetch_all(&self.pool).await
        };
        Operation::query(SYSTEM, "SELECT order_items", SELECT_ITEMS)
            .try_run(asked)
            .await
    }

    /// Puts a shipment into the queue, with the trace context that the worker goes on with.
    pub(crate) async fn enqueue_shipment(&self, order: i64) -> sqlx::Result<()> {
        Operation::send(SYSTEM, SHIPMENTS)
            .try_run(async {
                let sender = serde_json::to_string(&context::inject())
                    .expect("pairs of text are always JSON");
                let query = sqlx::query(INSERT_SHIPMENT).bind(order).bind(sender);
                Operation::query(SYSTEM, "INSERT shipments", INSERT_SHIPMENT)
                    .try_run(query.execute(&self.pool))
                    .await
            })
            .await?;
        Ok(())
    }

    /// The oldest shipment in the queue. Asking is no part of any request, so it is not recorded.
    pub(crate) async fn next_shipment(&self) -> sqlx::Result<Option<Shipment>> {
        sqlx::query_as(SELECT_SHIPMENT)
            .fetch_optional(&self.pool)
            .await
    }

    pub(crate) async fn delete_shipment(&self, id: i64) -> sqlx::Result<()> {
        let query = sqlx::query(DELETE_SHIPMENT).bind(id);
        Operation::query(SYSTEM, "DELETE shipments", DELETE_SHIPMENT)
            .try_run(query.execute(&self.pool))
            .await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
