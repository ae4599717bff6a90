//! Why there is no page, and the page that says so.

use crate::chrome::{Chrome, Link, Place};
use crate::i18n::Messages;
use crate::pages::error::ErrorPage;
use crate::range::BadRange;
use crate::reader::Reader;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use hoplog_query::{ErrorCode, QueryError};
use http::StatusCode;

/// What went wrong on the way to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no page at this address.
    NoPage,
    /// There is no request of this id.
    NoRequest(String),
    /// A pasted text with this id led nowhere.
    NothingAt(String),
    /// A pasted text holds no id.
    NoId(String),
    /// A part of the address makes no sense: its name.
    Address(&'static str),
    /// The question could not be answered.
    Query(QueryError),
    /// A template failed.
    Template,
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<BadRange> for Failure {
    fn from(bad: BadRange) -> Self {
        Self::Address(bad.0)
    }
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPage | Self::NoRequest(_) | Self::NothingAt(_) => StatusCode::NOT_FOUND,
            Self::NoId(_) | Self::Address(_) => StatusCode::BAD_REQUEST,
            Self::Query(error) => error.code.http(),
            Self::Template => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Title, text, and what only a machine said.
    fn words(&self, t: &'static Messages) -> (String, String, String) {
        let plain = |title: &str, text: &str| (title.to_owned(), text.to_owned(), String::new());
        match self {
            Self::NoPage => plain(t.not_found_title, t.not_found_text),
            Self::NoRequest(id) => {
                let text = t.text(t.request_not_found_text, &[("id", id.as_str().into())]);
                plain(t.request_not_found, &text)
            }
            Self::NothingAt(id) => plain(
                t.go_title,
                &t.text(t.go_text, &[("id", id.as_str().into())]),
            ),
            Self::NoId(_) => plain(t.go_none_title, t.go_none_text),
            Self::Address(name) => (
                t.bad_request_title.into(),
                t.bad_request_text.into(),
                (*name).into(),
            ),
            Self::Query(error) => {
                let (title, text) = match error.code {
                    ErrorCode::InvalidArgument => (t.bad_request_title, t.bad_request_text),
                    ErrorCode::NotFound => (t.not_found_title, t.not_found_text),
                    ErrorCode::Unavailable => (t.unavailable_title, t.unavailable_text),
                    ErrorCode::Internal => (t.broken_title, t.broken_text),
                };
                (title.into(), text.into(), error.to_string())
            }
            Self::Template => plain(t.broken_title, t.broken_text),
        }
    }

    /// The page that says so, in the reader's language.
    pub(crate) fn page(&self, reader: &Reader) -> ErrorPage {
        let t = reader.t();
        let (title, text, detail) = self.words(t);
        let mut links = vec![Link::new("/", t.home), Link::new("/requests", t.requests)];
        match self {
            Self::NoId(pasted) => {
                let quoted = format!("\"{}\"", pasted.replace(['\\', '"'], " "));
                let href = crate::url::Href::path(&["requests"]).with("q", quoted);
                links.insert(0, Link::new(href, t.go_search));
            }
            Self::Query(error) if error.code == ErrorCode::Unavailable => {
                links.insert(0, Link::new(reader.here.as_str(), t.try_again));
            }
            _ => {}
        }
        let mut c = Chrome::new(reader, Place::Elsewhere, title.as_str(), None);
        c.fresh = None;
        ErrorPage {
            c,
            status: self.status().as_u16(),
            title,
            text,
            detail,
            links,
        }
    }

    /// The answer, with its status; what is our own fault is also logged.
    pub(crate) fn response(&self, reader: &Reader) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(page = reader.here, failure = ?self, "no page");
        }
        match self.page(reader).render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The page, or the one that says why there is none.
pub(crate) fn respond<T: Template>(reader: &Reader, page: Result<T, Failure>) -> Response {
    respond_with(StatusCode::OK, reader, page)
}

/// As [`respond`], with a status of its own.
pub(crate) fn respond_with<T: Template>(
    status: StatusCode,
    reader: &Reader,
    page: Result<T, Failure>,
) -> Response {
    match page.and_then(|page| page.render().map_err(|_| Failure::Template)) {
        Ok(html) => (status, Html(html)).into_response(),
        Err(failure) => failure.response(reader),
    }
}
