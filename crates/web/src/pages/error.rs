//! What is shown in place of a page.

use crate::chrome::{Chrome, Link};
use crate::failure::Failure;
use crate::reader::Reader;
use askama::Template;
use axum::response::Response;

/// Says what went wrong and where to go.
#[derive(Debug, Template)]
#[template(path = "pages/error.html")]
pub(crate) struct ErrorPage {
    pub(crate) c: Chrome,
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) text: String,
    /// What only a machine said; empty for nothing.
    pub(crate) detail: String,
    pub(crate) links: Vec<Link>,
}

/// Any address that is none of ours.
pub(crate) async fn not_found(reader: Reader) -> Response {
    Failure::NoPage.response(&reader)
}
