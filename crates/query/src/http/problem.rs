//! Errors as `application/problem+json` (RFC 9457).

use crate::lang::{Issue, caret};
use crate::{ErrorCode, QueryError};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A problem on its way to the client.
#[derive(Debug)]
pub(super) struct Problem(Box<Content>);

#[derive(Debug, Serialize)]
struct Content {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What, and where.
    detail: String,
    /// The parameter or place it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issues: Vec<ProblemIssue>,
    /// The query, and under it a mark at every column that an issue names.
    #[serde(skip_serializing_if = "Option::is_none")]
    caret: Option<String>,
    /// The query with everything put right.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
}

/// One mistake in a query.
#[derive(Debug, Serialize)]
struct ProblemIssue {
    /// First column, from 1.
    column: usize,
    /// Columns.
    length: usize,
    message: String,
    /// The whole query with this put right.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl ProblemIssue {
    fn of(issue: &Issue) -> Self {
        Self {
            column: issue.at + 1,
            length: issue.len,
            message: issue.message(),
            fix: issue.fix.clone(),
        }
    }
}

fn kind(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "urn:hoplog:problem:invalid-argument",
        ErrorCode::NotFound => "urn:hoplog:problem:not-found",
        ErrorCode::Unavailable => "urn:hoplog:problem:unavailable",
        ErrorCode::Internal => "urn:hoplog:problem:internal",
    }
}

impl Problem {
    /// A problem that HTTP itself has a status for.
    pub(super) fn of_status(status: StatusCode, title: &'static str, detail: String) -> Self {
        let status = status.as_u16();
        let (issues, caret, fixed) = (Vec::new(), None, None);
        Self(Box::new(Content {
            kind: "about:blank",
            title,
            status,
            detail,
            at: None,
            issues,
            caret,
            fixed,
        }))
    }

    /// A problem of the search for `q`.
    pub(super) fn of_query(error: QueryError, q: &str) -> Self {
        let marked = (!error.issues.is_empty()).then(|| caret(q, &error.issues));
        let mut problem = Self::from(error);
        problem.0.caret = marked;
        problem
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self(Box::new(Content {
            kind: kind(error.code),
            title: error.code.title(),
            status: error.code.http().as_u16(),
            detail: error.to_string(),
            issues: error.issues.iter().map(ProblemIssue::of).collect(),
            at: error.at,
            caret: None,
            fixed: error.fixed,
        }))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(status = self.0.status, detail = %self.0.detail, "a question failed");
        }
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
