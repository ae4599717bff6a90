//! `gateway`: what customers talk to.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use hoplog_tower::{Telemetry, TracedClient, TracedRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, success};
use crate::orders::Wish;
use crate::service::takes;

/// Where the gateway tells a request's trace ID.
pub(crate) const TRACE_HEADER: &str = "x-trace-id";

#[derive(Clone, Debug)]
struct Gateway {
    http: TracedClient,
    /// Base URLs.
    inventory: Arc<str>,
    orders: Arc<str>,
}

pub(crate) fn router(telemetry: &Telemetry, inventory: SocketAddr, orders: SocketAddr) -> Router {
    let gateway = Gateway {
        http: telemetry.http_client(reqwest::Client::new()),
        inventory: format!("http://{inventory}").into(),
        orders: format!("http://{orders}").into(),
    };
    let layer = telemetry
        .server_layer()
        .exclude("/health")
        .trace_id_header(HeaderName::from_static(TRACE_HEADER));
    Router::new()
        .route("/health", get(|| async { "well" }))
        .route("/products", get(products))
        .route("/products/{sku}", get(product))
        .route("/search", get(search))
        .route("/cart/items", post(add_to_cart))
        .route("/checkout", post(checkout))
        .route("/account/orders", get(account))
        .route("/orders/{id}", get(order))
        .with_state(gateway)
        .layer(layer)
}

async fn products(State(gateway): State<Gateway>) -> Result<Json<Value>, Failure> {
    let stock = gateway
        .http
        .get(format!("{}/stock", gateway.inventory))
        .template("/stock");
    page(call(stock).await?).await
}

async fn product(
    State(gateway): State<Gateway>,
    Path(sku): Path<String>,
) -> Result<Json<Value>, Failure> {
    page(gateway.stock(&sku).await?).await
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn search(
    State(gateway): State<Gateway>,
    Query(search): Query<Search>,
) -> Result<Json<Value>, Failure> {
    // Only letters reach a product's name, so nothing needs escaping.
    let name: String = search.q.chars().filter(char::is_ascii_alphabetic).collect();
    let url = format!("{}/stock?name={name}", gateway.inventory);
    page(call(gateway.http.get(url).template("/stock")).await?).await
}

/// A product and how many of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CartItem {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
}

async fn add_to_cart(
    State(gateway): State<Gateway>,
    Json(item): Json<CartItem>,
) -> Result<(StatusCode, Json<CartItem>), Failure> {
    gateway.stock(&item.sku).await?;
    Ok((StatusCode::CREATED, Json(item)))
}

async fn checkout(
    State(gateway): State<Gateway>,
    Json(wish): Json<Wish>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let place = gateway
        .http
        .post(format!("{}/orders", gateway.orders))
        .template("/orders");
    let placed = call(place.json(&wish)).await?;
    Ok((StatusCode::CREATED, Json(placed)))
}

#[derive(Deserialize)]
struct Account {
    customer: u32,
}

async fn account(
    State(gateway): State<Gateway>,
    Query(account): Query<Account>,
) -> Result<Json<Value>, Failure> {
    let url = format!(
        "{}/customers/customer-{}/orders",
        gateway.orders, account.customer
    );
    page(
        call(
            gateway
                .http
                .get(url)
                .template("/customers/{customer}/orders"),
        )
        .await?,
    )
    .await
}

async fn order(
    State(gateway): State<Gateway>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Failure> {
    let url = format!("{}/orders/{id}", gateway.orders);
    page(call(gateway.http.get(url).template("/orders/{id}")).await?).await
}

impl Gateway {
    async fn stock(&self, sku: &str) -> Result<Value, Failure> {
        // A name that is no path segment is the name of no product.
        if !sku
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Failure::new(StatusCode::NOT_FOUND, "no_such_product"));
        }
        let url = format!("{}/stock/{sku}", self.inventory);
        call(self.http.get(url).template("/stock/{sku}")).await
    }
}

/// The JSON of a successful answer. What is none is passed on with its status.
async fn call(request: TracedRequest) -> Result<Value, Failure> {
    let answer = request
        .send()
        .await
        .map_err(|error| Failure::unreachable(&error))?;
    success(answer)
        .await?
        .json()
        .await
        .map_err(|error| Failure::unreachable(&error))
}

#[tracing::instrument(skip_all, name = "render page")]
async fn page(content: Value) -> Result<Json<Value>, Failure> {
    takes(2).await;
    Ok(Json(content))
}
