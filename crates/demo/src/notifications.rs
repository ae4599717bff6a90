//! `notifications`: tells customers what became of their orders.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hoplog_tower::{Operation, Telemetry};
use serde::{Deserialize, Serialize};

use crate::service::takes;

/// A letter to a customer.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Email {
    pub(crate) customer: String,
    pub(crate) subject: String,
}

pub(crate) fn router(telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/emails", post(send))
        .layer(telemetry.server_layer().exclude("/health"))
}

async fn send(Json(email): Json<Email>) -> StatusCode {
    let text = render(&email).await;
    // A mail server is no HTTP client's business: a span by hand.
    Operation::call("smtp deliver")
        .attribute("server.address", "mail.example")
        .attribute("server.port", 587)
        .attribute(
            "messaging.message.body.size",
            i64::try_from(text.len()).unwrap_or(i64::MAX),
        )
        .run(takes(6))
        .await;
    StatusCode::ACCEPTED
}

#[tracing::instrument(skip_all)]
async fn render(email: &Email) -> String {
    takes(1).await;
    format!("Dear {}, {}", email.customer, email.subject)
}
