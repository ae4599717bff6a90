//! One rule of the slicer a test.

use hoplog_model::{SpanKind, SpanStatus};
use hoplog_otlp::{Limits, Reason, SliceError, Sliced, slice, write};

const TRACE: [u8; 16] = [7; 16];
const SPAN: [u8; 8] = [9; 8];

fn field(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::bytes(&mut out, tag, content);
    out
}

/// A span with valid ids and these further fields.
fn span(more: &[u8]) -> Vec<u8> {
    [&field(1, &TRACE), &field(2, &SPAN), more].concat()
}

/// A request of one scope with these spans.
fn request(spans: &[Vec<u8>]) -> Vec<u8> {
    let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    field(1, &field(2, &spans))
}

fn cut(bytes: Vec<u8>) -> Result<Sliced, SliceError> {
    slice(bytes.into(), &Limits::default())
}

#[test]
fn nothing_is_a_request_without_spans() {
    let sliced = cut(Vec::new()).unwrap();
    assert!(sliced.spans.is_empty() && sliced.rejected.message().is_none());
}

#[test]
fn a_span_without_more_than_ids_has_defaults() {
    let sliced = cut(request(&[span(&[])])).unwrap();
    let head = sliced.spans[0].head;
    assert_eq!(sliced.spans[0].trace_id.as_bytes(), &TRACE);
    assert_eq!(
        (head.kind, head.status),
        (SpanKind::Internal, SpanStatus::Unset)
    );
    assert_eq!(
        (head.parent, head.start, head.end, head.duration()),
        (None, 0, 0, 0)
    );
    assert_eq!(sliced.raw(&sliced.spans[0]), span(&[]));
}

#[test]
fn bad_ids_reject_their_span_alone() {
    let with = |trace: &[u8], id: &[u8], parent: &[u8]| {
        [field(1, trace), field(2, id), field(4, parent)].concat()
    };
    let sliced = cut(request(&[
        with(&TRACE, &SPAN, &[1; 8]),
        with(&[0; 16], &SPAN, &[]),
        with(&[7; 8], &SPAN, &[]),
        with(&TRACE, &[0; 8], &[]),
        with(&TRACE, &[], &[]),
        with(&TRACE, &SPAN, &[1; 7]),
        with(&TRACE, &SPAN, &[0; 8]),
        span(&[]),
    ]))
    .unwrap();
    let counts = Reason::ALL.map(|reason| sliced.rejected.count(reason));
    assert_eq!(counts, [2, 2, 1, 0, 0, 0]);
    assert_eq!(sliced.spans.len(), 3);
    assert_eq!(sliced.spans[1].head.parent, None, "all zeros is no parent");
    assert_eq!(
        sliced.rejected.message().unwrap(),
        "5 of 8 spans rejected: trace_id is not 16 bytes or is all zeros (2); span_id is not 8 \
         bytes or is all zeros (2); parent_span_id is neither empty nor 8 bytes (1)"
    );
}

#[test]
fn spans_without_any_id_are_called_logs_or_metrics() {
    let metric = [field(1, b"requests"), field(2, b"how many there were")].concat();
    let sliced = cut(request(&[metric.clone(), metric])).unwrap();
    let message = sliced.rejected.message().unwrap();
    assert!(message.contains("looks like logs or metrics"), "{message}");
    let log_record = [9, 1, 2, 3, 4, 5, 6, 7, 8].to_vec();
    let error = cut(request(&[log_record])).unwrap_err().to_string();
    assert!(
        error.contains("logs and metrics have paths of their own"),
        "{error}"
    );
}

#[test]
fn the_last_scalar_wins_and_submessages_join() {
    let status = |content: &[u8]| field(15, content);
    let sliced = cut(request(&[span(
        &[
            &[0x30, 2, 0x30, 3],
            &status(&[0x18, 2])[..],
            &status(&field(2, b"why"))[..],
            &field(5, b"first"),
            &field(5, b"second"),
        ]
        .concat(),
    )]))
    .unwrap();
    assert_eq!(sliced.spans[0].head.kind, SpanKind::Client);
    assert_eq!(
        sliced.spans[0].head.status,
        SpanStatus::Error,
        "the second piece left it"
    );
    let view = hoplog_otlp::SpanView(sliced.raw(&sliced.spans[0]));
    assert_eq!(
        (view.name().as_ref(), view.status_message().as_ref()),
        ("second", "why")
    );
}

#[test]
fn a_resource_may_follow_its_spans_and_come_in_pieces() {
    let mut name = Vec::new();
    write::string_attribute(&mut name, 1, "service.name", "shop");
    let mut more = Vec::new();
    write::int_attribute(&mut more, 1, "process.pid", -3);
    let scope_spans = field(2, &field(2, &span(&[])));
    let body = [
        scope_spans,
        field(1, &more),
        field(3, b"url"),
        field(1, &name),
    ]
    .concat();
    let sliced = cut(field(1, &body)).unwrap();
    let group = &sliced.groups[sliced.spans[0].group as usize];
    assert_eq!(&*group.service, "shop");
    assert_eq!(group.attribute("process.pid").unwrap().text(), "-3");
    assert_eq!(&group.resource_schema[..], b"url");
}

#[test]
fn text_need_not_be_utf8() {
    let sliced = cut(request(&[span(&field(5, b"caf\xe9"))])).unwrap();
    let view = hoplog_otlp::SpanView(sliced.raw(&sliced.spans[0]));
    assert_eq!(view.name(), "caf\u{fffd}");
}

#[test]
fn malformed_says_where() {
    let mut bytes = request(&[span(&[0x31, 0, 0, 0, 0, 0, 0, 0, 0])]);
    let Err(SliceError::Malformed { offset, what }) = cut(bytes.clone()) else {
        panic!("field 6 is a varint");
    };
    assert!(what.contains("Span"), "{what}");
    assert!((bytes.len() - 9..bytes.len()).contains(&offset), "{offset}");
    bytes.truncate(10);
    assert!(matches!(
        cut(bytes),
        Err(SliceError::Malformed { offset: 0..4, .. })
    ));
}

#[test]
fn a_span_too_large_is_rejected_alone() {
    let limits = Limits {
        span_bytes: 100,
        ..Limits::default()
    };
    let large = span(&field(5, &[b'x'; 100]));
    let sliced = slice(request(&[large, span(&[])]).into(), &limits).unwrap();
    assert_eq!(sliced.rejected.count(Reason::SpanTooLarge), 1);
    assert_eq!(sliced.spans.len(), 1);
}

/// `levels` arrays in one another, as an `AnyValue`.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)))
}

#[test]
fn a_value_too_deep_is_rejected_and_beyond_prosts_limit_malformed() {
    let attribute = |levels| span(&field(9, &field(2, &nested(levels))));
    let sliced = cut(request(&[attribute(32), attribute(33), attribute(47)])).unwrap();
    assert_eq!(sliced.spans.len(), 1);
    assert_eq!(sliced.rejected.count(Reason::TooDeep), 2);
    assert!(matches!(
        cut(request(&[attribute(48)])),
        Err(SliceError::Malformed { .. })
    ));
    assert!(matches!(
        cut(request(&[attribute(10_000)])),
        Err(SliceError::Malformed { .. })
    ));
}

#[test]
fn a_bad_resource_or_scope_rejects_its_spans_alone() {
    let spans = field(2, &span(&[]));
    let deep = field(1, &field(2, &nested(40)));
    let deep_scope = field(3, &field(2, &nested(40)));
    let large = vec![b'x'; 65_537];
    let bytes = [
        field(1, &[field(2, &spans), field(1, &deep)].concat()),
        field(
            1,
            &field(2, &[&spans[..], &field(1, &field(1, &large))].concat()),
        ),
        field(
            1,
            &[
                field(2, &[&spans[..], &field(1, &deep_scope)].concat()),
                field(2, &spans),
            ]
            .concat(),
        ),
    ]
    .concat();
    let sliced = cut(bytes).unwrap();
    assert_eq!(sliced.rejected.count(Reason::TooDeep), 2);
    assert_eq!(sliced.rejected.count(Reason::GroupTooLarge), 1);
    assert_eq!(sliced.spans.len(), 1);
    assert_eq!((sliced.spans[0].group, sliced.groups.len()), (3, 4));
}

#[test]
fn floods_of_submessages_are_refused_by_count() {
    let flood = |tag: u8| [tag, 0].repeat(32 << 20);
    let smaller = |tag: u8| [tag, 0].repeat(2 << 20);
    let limits = Limits {
        message_bytes: 128 << 20,
        ..Limits::default()
    };
    let refused = |bytes: Vec<u8>| slice(bytes.into(), &limits).map(|sliced| sliced.spans.len());
    let spans = field(1, &field(2, &flood(0x12)));
    assert_eq!(
        refused(spans),
        Err(SliceError::TooManySpans { limit: 200_000 })
    );
    assert_eq!(
        refused(flood(0x0a)),
        Err(SliceError::TooManyGroups { limit: 20_000 })
    );
    let scopes = field(1, &flood(0x12));
    assert_eq!(
        refused(scopes),
        Err(SliceError::TooManyGroups { limit: 20_000 })
    );
    // Empty attributes cost nothing but their span; empty resources join to an empty one.
    assert_eq!(refused(request(&[span(&smaller(0x4a))])), Ok(0));
    assert_eq!(refused(field(1, &smaller(0x0a))), Ok(0));
    let large = vec![0; (64 << 20) + 1];
    assert_eq!(
        cut(large).unwrap_err(),
        SliceError::TooLarge { limit: 64 << 20 }
    );
}

#[test]
fn groups_are_equal_by_content() {
    let other = field(
        1,
        &[field(2, &field(2, &span(&[]))), field(3, b"v2")].concat(),
    );
    let bytes = [request(&[span(&[])]), request(&[span(&[])]), other].concat();
    let sliced = cut(bytes).unwrap();
    let [a, b, c] = &sliced.groups[..] else {
        panic!("three groups")
    };
    assert_eq!((a, a.fingerprint()), (b, b.fingerprint()));
    assert_ne!(a, c);
}
