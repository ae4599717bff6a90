//! `orders`: takes orders, keeps them in SQLite, and puts shipments into the worker's queue.

pub(crate) mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hoplog_tower::{ClientService, Telemetry, TracedClient, record_error};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;

use crate::failure::{Failure, success};
use crate::inventory::Reservation;
use crate::payments::proto::{ChargeRequest, PaymentsClient};
use crate::service::takes;
use store::Store;

/// How long `inventory` may take.
const INVENTORY_LIMIT: Duration = Duration::from_secs(5);

/// An order as a customer places it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Wish {
    pub(crate) customer: String,
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    pub(crate) card: String,
}

#[derive(Clone, Debug)]
struct Orders {
    store: Store,
    http: TracedClient,
    /// Base URL.
    inventory: Arc<str>,
    payments: PaymentsClient<ClientService<Channel>>,
    /// Wakes the worker.
    shipments: Arc<Notify>,
}

pub(crate) fn router(
    telemetry: &Telemetry,
    store: Store,
    inventory: SocketAddr,
    payments: SocketAddr,
    shipments: Arc<Notify>,
) -> anyhow::Result<Router> {
    let channel = Endpoint::try_from(format!("http://{payments}"))?.connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(
            telemetry
                .client_layer()
                .server(payments.ip().to_string(), payments.port()),
        )
        .service(channel);
    let orders = Orders {
        store,
        http: telemetry.http_client(reqwest::Client::new()),
        inventory: format!("http://{inventory}").into(),
        payments: PaymentsClient::new(channel),
        shipments,
    };
    Ok(Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(show))
        .route("/customers/{customer}/orders", get(list))
        .with_state(orders)
        .layer(telemetry.server_layer().exclude("/health")))
}

async fn place(
    State(orders): State<Orders>,
    Json(wish): Json<Wish>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let amount_cents = price(&wish).await;
    let id = orders.store.insert_order(&wish.customer).await?;
    orders
        .store
        .insert_item(id, &wish.sku, wish.quantity)
        .await?;
    if let Err(failure) = orders.reserve(id, &wish).await {
        orders.store.set_status(id, "rejected").await?;
        return Err(failure);
    }
    if let Err(failure) = orders.charge(id, amount_cents, wish.card).await {
        orders.release(id).await?;
        orders.store.set_status(id, "unpaid").await?;
        return Err(failure);
    }
    orders.store.set_status(id, "paid").await?;
    orders.store.enqueue_shipment(id).await?;
    orders.shipments.notify_one();
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

#[tracing::instrument(skip_all, fields(quantity = wish.quantity))]
async fn price(wish: &Wish) -> u64 {
    takes(1).await;
    u64::from(wish.quantity) * 1_290
}

async fn show(State(orders): State<Orders>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    let Some(order) = orders.store.order(id).await? else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "no_such_order"));
    };
    let items = orders.store.items_of(id).await?;
    Ok(Json(json!({ "order": order, "items": items })))
}

/// The page that everybody writes once: one query for the orders, then one for each of them.
async fn list(
    State(orders): State<Orders>,
    Path(customer): Path<String>,
) -> Result<Json<Vec<Value>>, Failure> {
    let mut page = Vec::new();
    for order in orders.store.orders_of(&customer).await? {
        let items = orders.store.items_of(order.0).await?;
        page.push(json!({ "order": order, "items": items }));
    }
    Ok(Json(page))
}

impl Orders {
    async fn reserve(&self, order_id: i64, wish: &Wish) -> Result<(), Failure> {
        let wish = Reservation {
            order_id,
            sku: wish.sku.clone(),
            quantity: wish.quantity,
        };
        let url = format!("{}/reservations", self.inventory);
        let call = self
            .http
            .post(url)
            .template("/reservations")
            .timeout(INVENTORY_LIMIT);
        let answer = call
            .json(&wish)
            .send()
            .await
            .map_err(|error| Failure::unreachable(&error))?;
        if answer.status().is_server_error() {
            return Err(Failure::new(StatusCode::BAD_GATEWAY, "inventory"));
        }
        success(answer).await?;
        Ok(())
    }

    async fn release(&self, order_id: i64) -> Result<(), Failure> {
        let url = format!("{}/reservations/{order_id}", self.inventory);
        let call = self.http.delete(url).template("/reservations/{order_id}");
        let answer = call.timeout(INVENTORY_LIMIT).send().await;
        success(answer.map_err(|error| Failure::unreachable(&error))?).await?;
        Ok(())
    }

    async fn charge(&self, order_id: i64, amount_cents: u64, card: String) -> Result<(), Failure> {
        let request = ChargeRequest {
            order_id,
            amount_cents,
            card,
        };
        let Err(status) = self.payments.charge(request).await else {
            return Ok(());
        };
        Err(match status.code() {
            // Handled: the customer takes another card.
            Code::FailedPrecondition => Failure::new(StatusCode::PAYMENT_REQUIRED, "declined"),
            Code::DeadlineExceeded => {
                record_error(&status);
                Failure::new(StatusCode::GATEWAY_TIMEOUT, "bank_timeout")
            }
            _ => {
                record_error(&status);
                Failure::new(StatusCode::BAD_GATEWAY, "payments")
            }
        })
    }
}
