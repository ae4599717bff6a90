//! `payments`: takes money, over gRPC. The bank behind it is slow now and then, and does not always answer.

pub(crate) mod proto;

use hoplog_tower::{Operation, Telemetry};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::service::{Service, takes};
use proto::{ChargeReply, ChargeRequest, Payments, PaymentsServer};

/// A card that works.
pub(crate) const CARD_GOOD: &str = "4242424242424242";
/// A card that the bank declines.
pub(crate) const CARD_DECLINED: &str = "4000000000000002";
/// A card whose bank does not answer in time.
pub(crate) const CARD_TIMEOUT: &str = "4000000000000069";
/// A card whose bank takes its time.
pub(crate) const CARD_SLOW: &str = "4000000000000077";

/// How long the bank may take.
const BANK_LIMIT_MS: u64 = 900;

pub(crate) fn start(name: &'static str, telemetry: Telemetry, listener: TcpListener) -> Service {
    let layer = telemetry.server_layer();
    Service::spawn(name, telemetry, |stop| async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .layer(layer)
            .add_service(PaymentsServer(Desk))
            .serve_with_incoming_shutdown(incoming, async move { drop(stop.await) })
            .await?;
        Ok(())
    })
}

#[derive(Clone, Debug)]
struct Desk;

impl Payments for Desk {
    async fn charge(self, request: ChargeRequest) -> Result<ChargeReply, Status> {
        check_fraud(request.amount_cents).await;
        authorise(&request.card).await?;
        Ok(ChargeReply {
            authorization: format!("auth-{}", request.order_id),
        })
    }
}

#[tracing::instrument]
async fn check_fraud(amount_cents: u64) {
    takes(3).await;
    if amount_cents > 100_000 {
        tracing::warn!(amount_cents, "a large amount");
    }
}

async fn authorise(card: &str) -> Result<(), Status> {
    Operation::call("bank authorise")
        .attribute("server.address", "bank.example")
        .attribute("server.port", 443)
        .try_run(ask_bank(card))
        .await
        .map_err(|refusal| match refusal {
            Refusal::Declined => Status::failed_precondition("card declined"),
            Refusal::Timeout => Status::deadline_exceeded("bank did not answer"),
        })
}

#[derive(Debug)]
enum Refusal {
    Declined,
    Timeout,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Declined => f.write_str("card declined: insufficient funds"),
            Self::Timeout => write!(f, "no answer from bank.example within {BANK_LIMIT_MS} ms"),
        }
    }
}

async fn ask_bank(card: &str) -> Result<(), Refusal> {
    match card {
        CARD_DECLINED => {
            takes(9).await;
            Err(Refusal::Declined)
        }
        CARD_TIMEOUT => {
            takes(BANK_LIMIT_MS).await;
            Err(Refusal::Timeout)
        }
        CARD_SLOW => {
            takes(BANK_LIMIT_MS * 2 / 3).await;
            Ok(())
        }
        _ => {
            takes(12).await;
            Ok(())
        }
    }
}
