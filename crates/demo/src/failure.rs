//! What a service answers when it cannot do what it was asked.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: String,
}

impl Failure {
    /// `code` is for programs: a few lower-case words.
    pub(crate) fn new(status: StatusCode, code: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
        }
    }

    /// Another service could not be reached, or did not speak as agreed. Noted as an exception.
    pub(crate) fn unreachable(error: &reqwest::Error) -> Self {
        hoplog_tower::record_error(error);
        Self::new(StatusCode::BAD_GATEWAY, "unreachable")
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        hoplog_tower::record_error(&error);
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "database")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "code": self.code }))).into_response()
    }
}

/// The answer itself if it is a success, else a failure of the same status and code.
pub(crate) async fn success(response: reqwest::Response) -> Result<reqwest::Response, Failure> {
    #[derive(serde::Deserialize)]
    struct Body {
        code: String,
    }
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let code = response
        .json()
        .await
        .map_or_else(|_| "unknown".to_owned(), |body: Body| body.code);
    Err(Failure::new(status, code))
}
