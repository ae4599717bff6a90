//! `inventory`: what is in stock, and reservations of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use hoplog_tower::{Operation, Telemetry};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::service::takes;

/// Always sold out.
pub(crate) const SOLD_OUT: &str = "vase-blue";
/// Its books are wrong: reserving it fails.
pub(crate) const BROKEN: &str = "clock-brass";
/// What can be bought.
pub(crate) const SKUS: [&str; 6] = [
    "tea-green",
    "tea-black",
    "cup-oak",
    "kettle-steel",
    "tray-bamboo",
    "lamp-paper",
];
/// Below this a product is ordered anew; the supplier is quick.
const RESTOCK_BELOW: u32 = 20;
const RESTOCK_TO: u32 = 200;

/// One product on the shelf.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stock {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    pub(crate) price_cents: u64,
}

/// What is held back for an order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Reservation {
    pub(crate) order_id: i64,
    pub(crate) sku: String,
    pub(crate) quantity: u32,
}

#[derive(Debug, Default)]
struct Shelves {
    stock: BTreeMap<String, Stock>,
    reserved: HashMap<i64, Reservation>,
}

type Shared = Arc<Mutex<Shelves>>;

pub(crate) fn router(telemetry: &Telemetry) -> Router {
    let mut shelves = Shelves::default();
    for (sku, price_cents) in SKUS
        .into_iter()
        .chain([SOLD_OUT, BROKEN])
        .zip((350..).step_by(415))
    {
        let quantity = if sku == SOLD_OUT { 0 } else { RESTOCK_TO };
        let stock = Stock {
            sku: sku.to_owned(),
            quantity,
            price_cents,
        };
        shelves.stock.insert(sku.to_owned(), stock);
    }
    Router::new()
        .route("/stock", get(list))
        .route("/stock/{sku}", get(show))
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}", delete(release))
        .with_state(Arc::new(Mutex::new(shelves)))
        .layer(telemetry.server_layer().exclude("/health"))
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    name: String,
}

async fn list(State(shelves): State<Shared>, Query(filter): Query<Filter>) -> Json<Vec<Stock>> {
    takes(2).await;
    let shelves = lock(&shelves);
    let found = shelves
        .stock
        .values()
        .filter(|stock| stock.sku.contains(&filter.name));
    Json(found.cloned().collect())
}

async fn show(
    State(shelves): State<Shared>,
    Path(sku): Path<String>,
) -> Result<Json<Stock>, Failure> {
    takes(1).await;
    let stock = lock(&shelves).stock.get(&sku).cloned();
    stock
        .map(Json)
        .ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, "no_such_product"))
}

async fn reserve(
    State(shelves): State<Shared>,
    Json(wish): Json<Reservation>,
) -> Result<StatusCode, Failure> {
    Operation::step("check_ledger")
        .try_run(check_ledger(&wish.sku))
        .await?;
    let mut shelves = lock(&shelves);
    let Some(stock) = shelves.stock.get_mut(&wish.sku) else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "no_such_product"));
    };
    if stock.quantity < wish.quantity {
        tracing::warn!(sku = wish.sku, left = stock.quantity, "out of stock");
        return Err(Failure::new(StatusCode::CONFLICT, "out_of_stock"));
    }
    stock.quantity -= wish.quantity;
    if stock.quantity < RESTOCK_BELOW {
        stock.quantity = RESTOCK_TO;
    }
    shelves.reserved.insert(wish.order_id, wish);
    Ok(StatusCode::CREATED)
}

/// The books say something else than the shelves.
#[derive(Debug)]
struct LedgerMismatch {
    sku: String,
}

impl fmt::Display for LedgerMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sku } = self;
        write!(f, "stock of {sku} is -3, expected {RESTOCK_TO}")
    }
}

impl From<LedgerMismatch> for Failure {
    fn from(_: LedgerMismatch) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ledger")
    }
}

async fn check_ledger(sku: &str) -> Result<(), LedgerMismatch> {
    takes(2).await;
    if sku == BROKEN {
        let sku = sku.to_owned();
        return Err(LedgerMismatch { sku });
    }
    Ok(())
}

async fn release(State(shelves): State<Shared>, Path(order_id): Path<i64>) -> StatusCode {
    takes(1).await;
    let mut shelves = lock(&shelves);
    let Some(reservation) = shelves.reserved.remove(&order_id) else {
        return StatusCode::NOT_FOUND;
    };
    if let Some(stock) = shelves.stock.get_mut(&reservation.sku) {
        stock.quantity += reservation.quantity;
    }
    StatusCode::NO_CONTENT
}

/// A handler that panicked leaves the shelves as they are: whole, as each change is one step.
fn lock(shelves: &Shared) -> MutexGuard<'_, Shelves> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}
