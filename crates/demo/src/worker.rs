//! `worker`: takes shipments from the queue table, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use hoplog_tower::{Operation, Telemetry, TracedClient};
use tokio::sync::Notify;

use crate::notifications::Email;
use crate::orders::store::{SHIPMENTS, Store};
use crate::service::{Service, takes};

pub(crate) fn start(
    name: &'static str,
    telemetry: Telemetry,
    store: Store,
    notifications: SocketAddr,
    shipments: Arc<Notify>,
) -> Service {
    let worker = Worker {
        store,
        http: telemetry.http_client(reqwest::Client::new()),
        emails: format!("http://{notifications}/emails"),
        telemetry: telemetry.clone(),
    };
    Service::spawn(name, telemetry, |mut stop| async move {
        loop {
            worker.drain().await?;
            tokio::select! {
                () = shipments.notified() => {}
                _ = &mut stop => break,
            }
        }
        // What was put in before the word to stop came is still to be done.
        worker.drain().await?;
        worker.store.close().await;
        Ok(())
    })
}

struct Worker {
    store: Store,
    http: TracedClient,
    emails: String,
    telemetry: Telemetry,
}

impl Worker {
    /// Works until the queue is empty.
    async fn drain(&self) -> anyhow::Result<()> {
        while let Some((id, order, context)) = self.store.next_shipment().await? {
            // A context that is no JSON belongs to no trace; the shipment goes out all the same.
            let sender: Vec<(String, String)> = serde_json::from_str(&context).unwrap_or_default();
            let shipped = Operation::process("sqlite", SHIPMENTS, sender)
                .of(&self.telemetry)
                .try_run(self.ship(id, order))
                .await;
            if let Err(error) = shipped {
                // Left in the queue it would hold up all that come after it.
                tracing::warn!("shipment {id} failed: {error:#}");
                self.store.delete_shipment(id).await?;
            }
        }
        Ok(())
    }

    async fn ship(&self, id: i64, order: i64) -> anyhow::Result<()> {
        let customer = self
            .store
            .order(order)
            .await?
            .map(|(_, customer, _)| customer);
        pack(order).await;
        self.store.set_status(order, "shipped").await?;
        if let Some(customer) = customer {
            let email = Email {
                customer,
                subject: format!("order {order} is on its way"),
            };
            let call = self
                .http
                .post(&self.emails)
                .template("/emails")
                .json(&email);
            call.send().await?.error_for_status()?;
        }
        self.store.delete_shipment(id).await?;
        Ok(())
    }
}

#[tracing::instrument]
async fn pack(order: i64) {
    takes(4).await;
}
