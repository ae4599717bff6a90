//! A few requests in a card: the newest failures, the slowest.

use crate::chrome::{named, split_name};
use crate::colour::slot;
use crate::format::{self, Amount};
use crate::i18n::Messages;
use crate::reader::Reader;
use crate::url::Href;
use hoplog_model::{SpanStatus, Summary};

/// A card of requests.
#[derive(Debug, Clone)]
pub(crate) struct Examples {
    pub(crate) title: String,
    /// Where all of them are.
    pub(crate) all: String,
    pub(crate) rows: Vec<Example>,
    /// What to say where there are no rows.
    pub(crate) none: String,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) failed: bool,
    pub(crate) status: String,
    pub(crate) href: String,
    pub(crate) time: String,
    pub(crate) slot: u8,
    pub(crate) what: String,
    pub(crate) duration: Amount,
}

impl Example {
    /// A request's line; a failed one says what failed first.
    pub(crate) fn of(summary: &Summary, reader: &Reader) -> Self {
        let t = reader.t();
        let interface = &summary.interface;
        let what = match &summary.first_error {
            Some(error) if summary.status == SpanStatus::Error => {
                format!("{} {}", named(&error.service, t), error_text(error, t))
            }
            _ => format!(
                "{} {}",
                named(&interface.service, t),
                named(&interface.name, t)
            ),
        };
        let shown = match &summary.first_error {
            Some(error) if summary.status == SpanStatus::Error => &error.service,
            _ => &interface.service,
        };
        Self {
            failed: summary.status == SpanStatus::Error,
            status: status_text(summary, t),
            href: Href::path(&["requests", &summary.trace_id.to_string()]).into(),
            time: reader.zone.clock(summary.started_at),
            slot: slot(shown),
            what,
            duration: format::duration(summary.duration),
        }
    }
}

/// The code, else the status in words.
pub(crate) fn status_text(summary: &Summary, t: &'static Messages) -> String {
    match (&summary.code, summary.status) {
        (Some(code), _) => code.clone(),
        (None, SpanStatus::Error) => t.failed.into(),
        (None, _) => t.ok.into(),
    }
}

/// Type and message of an error, as far as they are there.
pub(crate) fn error_text(error: &hoplog_model::FirstError, t: &'static Messages) -> String {
    match (error.kind.as_str(), error.message.as_str()) {
        ("", "") => format!("{} · {}", error.name, t.error_plain),
        ("", message) => message.into(),
        (kind, "") => format!("{kind} · {}", error.name),
        (kind, message) => format!("{kind}: {message}"),
    }
}

/// An interface's name as method and path, ready to print.
pub(crate) fn name_parts(name: &str, t: &'static Messages) -> (String, String) {
    split_name(named(name, t))
}
