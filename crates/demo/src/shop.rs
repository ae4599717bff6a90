//! The shop: starts its services, and ends them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::orders::store::Store;
use crate::service::{Service, listen, telemetry};
use crate::traffic::{self, Sent};
use crate::{gateway, inventory, notifications, orders, payments, worker};

pub(crate) const GATEWAY: &str = "gateway";
pub(crate) const ORDERS: &str = "orders";
pub(crate) const PAYMENTS: &str = "payments";
pub(crate) const INVENTORY: &str = "inventory";
pub(crate) const WORKER: &str = "worker";
pub(crate) const NOTIFICATIONS: &str = "notifications";

/// What the shop needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the services send their spans: OTLP over gRPC, as a URL.
    pub otlp_endpoint: String,
    /// Requests a second. Must be above 0.
    pub rate_per_s: f64,
    /// How many requests are sent; without limit if none.
    pub requests: Option<u64>,
    /// The same seed gives the same requests in the same order.
    pub seed: u64,
    /// A folder for the shop's SQLite file; a temporary one if none.
    pub data_dir: Option<PathBuf>,
    /// How long ended spans wait for others before they are sent.
    pub batch_delay: Duration,
}

impl Options {
    /// 10 requests a second without end, spans sent every second.
    pub fn new(otlp_endpoint: impl Into<String>) -> Self {
        Self {
            otlp_endpoint: otlp_endpoint.into(),
            rate_per_s: 10.0,
            requests: None,
            seed: 1,
            data_dir: None,
            batch_delay: Duration::from_secs(1),
        }
    }
}

/// The running shop. [`Shop::shutdown`] ends it properly; dropped, its services stop without waiting.
#[derive(Debug)]
pub struct Shop {
    options: Options,
    gateway: SocketAddr,
    /// In the order in which they are stopped: none before those that call it.
    services: Vec<Service>,
    /// Connections of `orders`; those of the worker are its own.
    store: Store,
    /// Goes last.
    _folder: Option<TempDir>,
}

impl Shop {
    /// Starts all services. They are ready when this returns. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// If the options make no sense, the data folder cannot be written, or there is no free port.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let rate = options.rate_per_s;
        // Below one request a day, or above what a clock can tell apart, there is no interval.
        ensure!(
            (1e-5..=1e6).contains(&rate),
            "a rate of {rate} requests a second is no rate"
        );
        let (file, folder) = shop_file(&options).context("the shop's data folder")?;
        let store = Store::open(&file).await.context("the shop's database")?;
        store.prepare().await.context("the shop's database")?;
        let worker_store = Store::open(&file).await.context("the shop's database")?;
        let shipments = Arc::new(Notify::new());

        let (inventory_listener, inventory_at) = listen().await?;
        let (payments_listener, payments_at) = listen().await?;
        let (notifications_listener, notifications_at) = listen().await?;
        let (orders_listener, orders_at) = listen().await?;
        let (gateway_listener, gateway_at) = listen().await?;

        let own = telemetry(GATEWAY, &options)?;
        let router = gateway::router(&own, inventory_at, orders_at);
        let gateway = Service::http(GATEWAY, own, gateway_listener, router);

        let own = telemetry(ORDERS, &options)?;
        let shared = Arc::clone(&shipments);
        let router = orders::router(&own, store.clone(), inventory_at, payments_at, shared)?;
        let orders = Service::http(ORDERS, own, orders_listener, router);

        let own = telemetry(WORKER, &options)?;
        let worker = worker::start(WORKER, own, worker_store, notifications_at, shipments);

        let own = telemetry(NOTIFICATIONS, &options)?;
        let router = notifications::router(&own);
        let notifications = Service::http(NOTIFICATIONS, own, notifications_listener, router);

        let own = telemetry(PAYMENTS, &options)?;
        let payments = payments::start(PAYMENTS, own, payments_listener);

        let own = telemetry(INVENTORY, &options)?;
        let router = inventory::router(&own);
        let inventory = Service::http(INVENTORY, own, inventory_listener, router);

        let services = vec![gateway, orders, worker, notifications, payments, inventory];
        Ok(Self {
            options,
            gateway: gateway_at,
            services,
            store,
            _folder: folder,
        })
    }

    /// Where customers find it.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Sends requests at the steady rate until `stop` resolves, or until there were as many as the options
    /// ask for, and waits for the answers. Returns what was answered, in the order of the answers; without a
    /// limit on their number, the latest 10,000.
    ///
    /// Shipments go on after the answer: a trace has all of its hops once [`Shop::shutdown`] is done.
    pub async fn drive(&self, stop: impl Future<Output = ()>) -> Vec<Sent> {
        traffic::drive(self.gateway, &self.options, stop).await
    }

    /// Lets every service finish what it has begun, the worker its queue, and sends out all spans.
    ///
    /// # Errors
    /// If a service failed or did not stop, or spans did not reach the collector. All are stopped anyhow.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let mut first_error = None;
        for service in self.services {
            if let Err(error) = service.stop().await {
                tracing::warn!("{error:#}");
                first_error.get_or_insert(error);
            }
        }
        self.store.close().await;
        first_error.map_or(Ok(()), Err)
    }
}

/// The SQLite file, and the folder around it if it is a temporary one.
fn shop_file(options: &Options) -> std::io::Result<(PathBuf, Option<TempDir>)> {
    if let Some(folder) = &options.data_dir {
        std::fs::create_dir_all(folder)?;
        return Ok((folder.join("shop.sqlite"), None));
    }
    let folder = tempfile::tempdir()?;
    Ok((folder.path().join("shop.sqlite"), Some(folder)))
}
