//! Everything known of one span.

use crate::chrome::{Link, named};
use crate::colour::slot;
use crate::format;
use crate::i18n::Messages;
use crate::pages::home::term;
use crate::pages::service::kind_text;
use crate::reader::Reader;
use crate::url::Href;
use crate::waterfall::Drawing;
use hoplog_model::UnixNanos;
use hoplog_query::insight::Node;

/// Longest value printed, in characters; the download has the rest.
const LONGEST: usize = 16_384;
/// From this many characters on a value has a row of its own.
const LONG: usize = 80;
/// Most attributes, events and event attributes printed.
const MOST: usize = 200;
/// Lines of a stack trace that are shown unfolded.
const STACK: usize = 6;

/// The panel, ready to print.
#[derive(Debug)]
pub(super) struct PanelView {
    pub(super) slot: u8,
    pub(super) service: String,
    pub(super) kind: &'static str,
    pub(super) failed: bool,
    pub(super) name: String,
    pub(super) error: Option<ErrorBox>,
    pub(super) facts: Vec<Fact>,
    pub(super) groups: Vec<Group>,
    pub(super) events: Vec<EventView>,
    pub(super) links: Vec<Link>,
}

/// Why the span failed.
#[derive(Debug)]
pub(super) struct ErrorBox {
    pub(super) kind: String,
    pub(super) message: String,
    /// The span below that it comes from, where this one says nothing itself.
    pub(super) from: Option<String>,
    pub(super) stack: String,
    /// The stack is short enough to be shown at once.
    pub(super) open: bool,
}

/// A figure.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) warn: bool,
}

/// Keys and values under a title.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) count: String,
    pub(super) folded: bool,
    pub(super) rows: Vec<Row>,
    pub(super) dropped: String,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) href: String,
    pub(super) note: String,
    pub(super) long: bool,
}

/// Something that happened during the span.
#[derive(Debug)]
pub(super) struct EventView {
    pub(super) at: String,
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
}

impl PanelView {
    /// Of the span at `place`.
    pub(super) fn new(
        drawing: &Drawing<'_>,
        place: usize,
        usual: Option<u64>,
        reader: &Reader,
    ) -> Option<Self> {
        let t = reader.t();
        let node = &drawing.insight.tree.nodes[place];
        let span = drawing.request.spans.get(node.index)?;
        let view = span.view();
        let links = view.links().filter_map(|link| {
            let id = link.trace_id?.to_string();
            let mut href = Href::path(&["requests", &id]);
            if let Some(span) = link.span_id {
                href = href.with("span", span.to_string());
            }
            Some(Link::new(href, t.text(t.link_to, &[("id", id.into())])))
        });
        let own = view
            .attributes()
            .map(|(key, value)| (key.into_owned(), value.text().into_owned()));
        let own = pairs(own, t, true);
        let resource = span.group.attributes();
        let resource = resource.map(|(key, value)| (key.into_owned(), value.text().into_owned()));
        let resource = pairs(resource, t, true);
        Some(Self {
            slot: slot(&node.service),
            service: named(&node.service, t).into(),
            kind: kind_text(node.kind, t),
            failed: node.failed(),
            name: named(&node.name, t).into(),
            error: error(drawing, place, t),
            facts: facts(drawing, place, usual, t),
            groups: vec![
                group(t.attributes, own, false, view.dropped_attributes(), t),
                group(t.resource, resource, true, 0, t),
                group(t.identity, identity(drawing, node, reader), true, 0, t),
            ],
            events: events(drawing, node, t),
            links: links.take(MOST).collect(),
        })
    }
}

fn group(
    title: &'static str,
    rows: Vec<Row>,
    folded: bool,
    dropped: u32,
    t: &'static Messages,
) -> Group {
    let left_out = format::count(u64::from(dropped));
    let dropped = match dropped {
        0 => String::new(),
        _ => t.text(t.dropped_attributes, &[("n", left_out.into())]),
    };
    Group {
        title,
        count: format::count(rows.len() as u64),
        folded,
        rows,
        dropped,
    }
}

/// Attributes as rows, by key; each value may link to the requests that share it.
fn pairs(
    attributes: impl Iterator<Item = (String, String)>,
    t: &'static Messages,
    linked: bool,
) -> Vec<Row> {
    let rows = attributes
        .take(MOST)
        .map(|(key, value)| row(&key, &value, t, linked));
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

fn row(key: &str, value: &str, t: &'static Messages, linked: bool) -> Row {
    let chars = value.chars().count();
    let cut = chars > LONGEST;
    let args = [
        ("shown", format::count(LONGEST as u64).into()),
        ("size", format::count(chars as u64).into()),
    ];
    let findable = linked && chars <= 256 && !key.is_empty() && key.contains('.');
    Row {
        key: key.into(),
        value: if cut {
            value.chars().take(LONGEST).collect()
        } else {
            value.into()
        },
        href: if findable {
            Href::path(&["requests"]).with("q", term(key, value)).into()
        } else {
            String::new()
        },
        note: if cut {
            t.text(t.value_cut, &args)
        } else {
            String::new()
        },
        long: chars > LONG || value.contains('\n'),
    }
}

fn plain(key: &str, value: impl Into<String>) -> Row {
    Row {
        key: key.into(),
        value: value.into(),
        href: String::new(),
        note: String::new(),
        long: false,
    }
}

fn facts(
    drawing: &Drawing<'_>,
    place: usize,
    usual: Option<u64>,
    t: &'static Messages,
) -> Vec<Fact> {
    let node = &drawing.insight.tree.nodes[place];
    let start = node
        .shown_start()
        .saturating_sub(drawing.insight.tree.extent().0);
    let duration = |nanos| format::duration(nanos).plain();
    let fact = |label, value| Fact {
        label,
        value,
        warn: false,
    };
    let mut facts = vec![
        fact(
            t.fact_starts,
            if start == 0 {
                "0".into()
            } else {
                format!("+{}", duration(start))
            },
        ),
        fact(t.fact_lasts, duration(node.duration())),
        fact(t.fact_own, duration(node.own)),
    ];
    let whole = drawing.request.summary.duration.max(1);
    facts.push(fact(
        t.fact_share,
        format::share(node.duration(), whole).plain(),
    ));
    if let Ok(path) = &drawing.insight.path {
        let on_path = path.share_of(|segment| segment.place == place);
        facts.push(fact(t.fact_path, duration(on_path)));
    }
    if let Some(usual) = usual {
        let ratio = format::ratio(node.duration(), usual);
        facts.push(fact(t.fact_usual, duration(usual)));
        facts.push(Fact {
            label: t.fact_times,
            value: format::times(ratio),
            warn: ratio >= 2.0,
        });
    }
    facts
}

/// Type, message and stack of a failed span; where it says nothing, those of the failure below.
fn error(drawing: &Drawing<'_>, place: usize, t: &'static Messages) -> Option<ErrorBox> {
    let nodes = &drawing.insight.tree.nodes;
    let node = nodes.get(place).filter(|node| node.failed())?;
    if let Some(found) = own_error(drawing, node) {
        return Some(found);
    }
    let end = place + 1 + usize::try_from(node.below).unwrap_or(0);
    let below = (place + 1..end).find(|at| nodes[*at].is_origin())?;
    let mut found =
        own_error(drawing, &nodes[below]).unwrap_or_else(|| boxed(t.failed, t.error_plain, ""));
    let (service, name) = (
        named(&nodes[below].service, t),
        named(&nodes[below].name, t),
    );
    let args = [("service", service.into()), ("name", name.into())];
    found.from = Some(t.text(t.error_from_below, &args));
    Some(found)
}

fn own_error(drawing: &Drawing<'_>, node: &Node) -> Option<ErrorBox> {
    let span = drawing.request.spans.get(node.index)?;
    let view = span.view();
    let exception = view
        .events()
        .filter(|event| event.name == "exception")
        .last();
    let of_event = |key: &str| {
        let value = exception
            .as_ref()
            .and_then(|event| event.attributes().get(key));
        value
            .map(|value| value.text().into_owned())
            .unwrap_or_default()
    };
    let mut kind = of_event("exception.type");
    if kind.is_empty() {
        let value = view.attributes().get("error.type");
        kind = value
            .map(|value| value.text().into_owned())
            .unwrap_or_default();
    }
    let mut message = of_event("exception.message");
    if message.is_empty() {
        message = view.status_message().into_owned();
    }
    let stack = of_event("exception.stacktrace");
    let said = !(kind.is_empty() && message.is_empty() && stack.is_empty());
    said.then(|| boxed(&kind, &message, &stack))
}

fn boxed(kind: &str, message: &str, stack: &str) -> ErrorBox {
    let (kind, message) = if kind.is_empty() {
        (message, "")
    } else {
        (kind, message)
    };
    ErrorBox {
        kind: kind.into(),
        message: message.into(),
        from: None,
        stack: stack.chars().take(LONGEST).collect(),
        open: stack.lines().count() <= STACK,
    }
}

fn identity(drawing: &Drawing<'_>, node: &Node, reader: &Reader) -> Vec<Row> {
    let t = reader.t();
    let Some(span) = drawing.request.spans.get(node.index) else {
        return Vec::new();
    };
    let time = |at: UnixNanos| hoplog_model::times::rfc3339(at);
    let mut rows = vec![plain(t.span_id, node.span_id.to_string())];
    if let Some(parent) = span.head.parent {
        let at = drawing.insight.tree.place(&parent);
        let href = at.map(|place| drawing.pick(place)).unwrap_or_default();
        rows.push(Row {
            href,
            ..plain(t.parent_id, parent.to_string())
        });
    }
    rows.push(plain(t.started, time(node.start)));
    rows.push(plain(t.ended, time(node.end)));
    let scope = format!("{} {}", span.group.scope_name(), span.group.scope_version());
    if !scope.trim().is_empty() {
        rows.push(plain(t.scope, scope.trim()));
    }
    let state = span.view().trace_state();
    if !state.is_empty() {
        rows.push(plain(t.trace_state, state));
    }
    rows
}

fn events(drawing: &Drawing<'_>, node: &Node, t: &'static Messages) -> Vec<EventView> {
    let Some(span) = drawing.request.spans.get(node.index) else {
        return Vec::new();
    };
    let start = drawing.insight.tree.extent().0;
    let events = span.view().events().take(MOST).map(|event| {
        let at = event.time.saturating_add(node.shift).saturating_sub(start);
        let pairs_of = event
            .attributes()
            .map(|(key, value)| (key.into_owned(), value.text().into_owned()));
        // The stack stands in the box above.
        let rows = pairs(
            pairs_of.filter(|(key, _)| key != "exception.stacktrace"),
            t,
            false,
        );
        let name = named(&event.name, t).into();
        EventView {
            at: format!("+{}", format::duration(at).plain()),
            name,
            rows,
        }
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;

    #[test]
    fn values_link_to_their_search_and_long_ones_are_cut() {
        let t = Lang::En.messages();
        let short = row("user.id", "a b", t, true);
        assert_eq!(short.href, "/requests?q=user.id:%22a%20b%22");
        let long = row("body", &"x".repeat(LONGEST + 1), t, true);
        assert_eq!(long.value.len(), LONGEST);
        assert_eq!(long.note, "first 16,384 of 16,385");
        assert!(long.long && long.href.is_empty());
    }
}
