//! The meaning of every test, on a small landscape.

use super::build::{Span, part, span_id, trace};
use super::{NOW, found, search, write};
use crate::{HopExpr, HopTest, Range, RequestExpr, RequestTest, Store, TextMatch, ValueMatch};
use hoplog_model::{SpanKind, SpanStatus, TraceId};

/// 1: a good order, 2: one that failed in payments, 3: a slow page, 4: a job without root, 5: a root
/// of another kind. In two batches, so that they lie in two segments.
async fn landscape(store: &dyn Store) {
    let order = vec![
        Span::root(11)
            .name("POST /orders")
            .service("gateway")
            .at(NOW - 5_000, 4_000)
            .with("http.response.status_code", 201)
            .with("http.request.method", "POST")
            .with("user.tier", "gold")
            .resource("host.name", "n1"),
        Span::child(12, 11)
            .name("place")
            .service("orders")
            .at(NOW - 4_500, 2_000)
            .with("cart.items", 3)
            .with("cart.total", 19.5)
            .with("coupon", "7"),
        Span::child(13, 12)
            .name("INSERT")
            .service("orders")
            .kind(SpanKind::Client)
            .at(NOW - 4_000, 500)
            .with("db.statement", "insert into Orders values (?)")
            .with("retry", true),
    ];
    let failed = vec![
        Span::root(21)
            .name("POST /orders")
            .service("gateway")
            .at(NOW - 4_000, 9_000)
            .with("http.status_code", 502)
            .with("user.tier", "silver")
            .resource("host.name", "n2")
            .failed(""),
        Span::child(22, 21)
            .name("pay")
            .service("payments")
            .at(NOW - 3_000, 9_000)
            .with("cart.items", 12)
            .failed("Declined by bank")
            .exception("CardError", "Karte abgelehnt: Größe"),
    ];
    let slow = vec![
        Span::root(31)
            .name("GET /catalogue/{id}")
            .service("gateway")
            .at(NOW - 3_000, 70_000)
            .status(SpanStatus::Ok)
            .with("http.response.status_code", 200),
        Span::child(32, 31)
            .name("render")
            .service("gateway")
            .kind(SpanKind::Internal)
            .at(NOW, 60_000),
        Span::child(33, 31)
            .name("render")
            .service("gateway")
            .kind(SpanKind::Internal)
            .at(NOW, 2_000),
    ];
    let job = vec![
        Span::child(41, 99)
            .name("ship")
            .service("worker")
            .kind(SpanKind::Consumer)
            .at(NOW - 2_000, 300)
            .with("messaging.system", "table"),
        Span::child(42, 41)
            .name("mail")
            .service("worker")
            .kind(SpanKind::Producer)
            .at(NOW - 1_900, 100),
    ];
    let cron = vec![
        Span::root(51)
            .name("sweep")
            .service("worker")
            .kind(SpanKind::Internal)
            .at(NOW - 1_000, 1)
            .with("cart.items", "12.0")
            .with("rpc.grpc.status_code", 0),
    ];
    write(store, vec![part(trace(2), &failed), part(trace(1), &order)]).await;
    write(
        store,
        vec![
            part(trace(3), &slow),
            part(trace(4), &job),
            part(trace(5), &cron),
        ],
    )
    .await;
}

/// That exactly these requests are found.
async fn expect(store: &dyn Store, expr: RequestExpr, expected: &[u64]) {
    let mut hits = found(store, &search(expr.clone())).await;
    hits.sort_unstable();
    let mut expected: Vec<TraceId> = expected.iter().map(|n| trace(*n)).collect();
    expected.sort_unstable();
    assert_eq!(hits, expected, "{expr:?}");
}

fn hop(test: HopTest) -> RequestExpr {
    RequestExpr::Hop(HopExpr::Is(test))
}

fn not(expr: RequestExpr) -> RequestExpr {
    RequestExpr::Not(Box::new(expr))
}

fn is(text: &str) -> TextMatch {
    TextMatch::Is(text.to_owned())
}

fn glob(text: &str) -> TextMatch {
    TextMatch::Glob(text.to_owned())
}

fn contains(text: &str) -> TextMatch {
    TextMatch::Contains(text.to_owned())
}

fn from(least: u64) -> Range<u64> {
    Range {
        least: Some(least),
        greatest: None,
    }
}

fn to(greatest: u64) -> Range<u64> {
    Range {
        least: None,
        greatest: Some(greatest),
    }
}

fn attribute(key: &str, value: ValueMatch) -> HopTest {
    HopTest::Attribute {
        keys: vec![key.to_owned()],
        value,
    }
}

fn number(least: Option<f64>, greatest: Option<f64>, is_open: bool) -> ValueMatch {
    let range = Range { least, greatest };
    ValueMatch::Number {
        range,
        least_open: is_open,
        greatest_open: is_open,
    }
}

/// The empty list of conditions is fulfilled by all, and its negation by none.
pub async fn everything_matches_the_empty_expression(store: &dyn Store) {
    landscape(store).await;
    expect(store, RequestExpr::everything(), &[1, 2, 3, 4, 5]).await;
    expect(store, not(RequestExpr::everything()), &[]).await;
    expect(store, RequestExpr::Or(Vec::new()), &[]).await;
}

/// `HopTest::Service`: of any span, not only the root.
pub async fn services_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Service(is("payments"))), &[2]).await;
    expect(store, hop(HopTest::Service(is("gateway"))), &[1, 2, 3]).await;
    expect(store, hop(HopTest::Service(is("Gateway"))), &[]).await;
    expect(store, hop(HopTest::Service(glob("*er*"))), &[1, 4, 5]).await;
    expect(store, hop(HopTest::Service(contains("PAY"))), &[2]).await;
}

/// `HopTest::Name`.
pub async fn span_names_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Name(is("render"))), &[3]).await;
    expect(store, hop(HopTest::Name(glob("POST /*"))), &[1, 2]).await;
    expect(store, hop(HopTest::Name(glob("pla?e"))), &[1]).await;
    expect(store, hop(HopTest::Name(contains("insert"))), &[1]).await;
}

/// `HopTest::Kind`.
pub async fn kinds_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Kind(SpanKind::Client)), &[1]).await;
    expect(store, hop(HopTest::Kind(SpanKind::Internal)), &[3, 5]).await;
    expect(store, hop(HopTest::Kind(SpanKind::Producer)), &[4]).await;
}

/// `HopTest::Status`.
pub async fn span_statuses_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Status(SpanStatus::Error)), &[2]).await;
    expect(store, hop(HopTest::Status(SpanStatus::Ok)), &[3]).await;
    expect(
        store,
        hop(HopTest::Status(SpanStatus::Unset)),
        &[1, 3, 4, 5],
    )
    .await;
}

/// `HopTest::Duration`: both ends inclusive.
pub async fn span_durations_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Duration(from(60_000))), &[3]).await;
    expect(store, hop(HopTest::Duration(from(70_001))), &[]).await;
    expect(store, hop(HopTest::Duration(to(1))), &[5]).await;
    let within = Range {
        least: Some(8_000),
        greatest: Some(9_000),
    };
    expect(store, hop(HopTest::Duration(within)), &[2]).await;
}

/// `HopTest::SelfTime`: less what children cover, each instant once, and only within the span.
pub async fn own_times_are_found(store: &dyn Store) {
    landscape(store).await;
    // The page: 70 us from -3, children from 0: one of 60 us, one inside it.
    let exactly = |own| {
        HopTest::SelfTime(Range {
            least: Some(own),
            greatest: Some(own),
        })
    };
    let page = |own| {
        let name = HopExpr::Is(HopTest::Name(contains("catalogue")));
        RequestExpr::Hop(HopExpr::And(vec![name, HopExpr::Is(exactly(own))]))
    };
    expect(store, page(10_000), &[3]).await;
    expect(store, page(70_000), &[]).await;
    expect(store, hop(exactly(1_500)), &[1]).await;
    // The payment outlasts its caller: only what lies within the caller counts.
    expect(store, hop(exactly(1_000)), &[2]).await;
    expect(store, hop(HopTest::SelfTime(from(60_000))), &[3]).await;
}

/// `HopTest::Attribute` by presence and text; numbers and booleans by their canonical text.
pub async fn attribute_texts_are_found(store: &dyn Store) {
    landscape(store).await;
    let text = |key, text| hop(attribute(key, ValueMatch::Text(text)));
    expect(
        store,
        hop(attribute("user.tier", ValueMatch::Present)),
        &[1, 2],
    )
    .await;
    expect(store, text("user.tier", is("gold")), &[1]).await;
    expect(store, text("user.tier", is("Gold")), &[]).await;
    expect(store, text("user.tier", glob("*l*")), &[1, 2]).await;
    expect(store, text("user.tier", contains("SIL")), &[2]).await;
    expect(store, text("cart.items", is("3")), &[1]).await;
    expect(store, text("cart.items", is("12")), &[2]).await;
    expect(store, text("cart.total", is("19.5")), &[1]).await;
    expect(store, text("retry", is("true")), &[1]).await;
    let either = HopTest::Attribute {
        keys: vec![
            "http.response.status_code".to_owned(),
            "http.status_code".to_owned(),
        ],
        value: ValueMatch::Present,
    };
    expect(store, hop(either), &[1, 2, 3]).await;
}

/// `ValueMatch::Number`: numbers, and text that reads as one.
pub async fn attribute_numbers_are_found(store: &dyn Store) {
    landscape(store).await;
    let items = |value| hop(attribute("cart.items", value));
    expect(store, items(number(Some(3.0), None, false)), &[1, 2, 5]).await;
    expect(store, items(number(Some(3.0), None, true)), &[2, 5]).await;
    expect(store, items(number(None, Some(12.0), true)), &[1]).await;
    expect(store, items(number(Some(12.0), Some(12.0), false)), &[2, 5]).await;
    expect(store, items(number(Some(13.0), None, false)), &[]).await;
    expect(
        store,
        hop(attribute(
            "cart.total",
            number(Some(19.4), Some(19.6), false),
        )),
        &[1],
    )
    .await;
    expect(
        store,
        hop(attribute("coupon", number(Some(7.0), None, false))),
        &[1],
    )
    .await;
    expect(
        store,
        hop(attribute("user.tier", number(None, None, false))),
        &[],
    )
    .await;
}

/// `HopTest::Attribute` looks at the span and at its resource.
pub async fn resource_attributes_are_found(store: &dyn Store) {
    landscape(store).await;
    let text = |key, text| hop(attribute(key, ValueMatch::Text(text)));
    expect(store, text("host.name", is("n1")), &[1]).await;
    expect(store, text("host.name", glob("n?")), &[1, 2]).await;
    expect(store, text("service.name", is("payments")), &[2]).await;
}

/// `HopTest::Exception`: type or message.
pub async fn exceptions_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::Exception(is("CardError"))), &[2]).await;
    expect(store, hop(HopTest::Exception(contains("ABGELEHNT"))), &[2]).await;
    expect(store, hop(HopTest::Exception(glob("Karte*"))), &[2]).await;
    expect(store, hop(HopTest::Exception(is("Declined by bank"))), &[]).await;
}

/// `HopTest::Text`: names, status messages, values, exceptions, ignoring case in any language.
pub async fn texts_are_found_wherever_they_stand(store: &dyn Store) {
    landscape(store).await;
    let text = |text: &str| hop(HopTest::Text(text.to_owned()));
    expect(store, text("CATALOGUE"), &[3]).await;
    expect(store, text("declined BY"), &[2]).await;
    expect(store, text("INTO orders"), &[1]).await;
    expect(store, text("carderror"), &[2]).await;
    expect(store, text("GRÖSSE"), &[]).await;
    expect(store, text("GRÖßE"), &[2]).await;
    expect(store, text("silver"), &[2]).await;
}

/// `HopTest::SpanId`.
pub async fn span_ids_are_found(store: &dyn Store) {
    landscape(store).await;
    expect(store, hop(HopTest::SpanId(span_id(22))), &[2]).await;
    expect(store, hop(HopTest::SpanId(span_id(99))), &[]).await;
}

/// Everything in one `{ }` is of one and the same span; two `{ }` may be of two.
pub async fn tests_in_braces_are_of_one_span(store: &dyn Store) {
    landscape(store).await;
    let service = |name: &str| HopExpr::Is(HopTest::Service(is(name)));
    let failed = || HopExpr::Is(HopTest::Status(SpanStatus::Error));
    let unset = || HopExpr::Is(HopTest::Status(SpanStatus::Unset));
    let both = |a, b| RequestExpr::Hop(HopExpr::And(vec![a, b]));
    expect(store, both(service("payments"), failed()), &[2]).await;
    expect(store, both(service("orders"), failed()), &[]).await;
    expect(store, both(service("gateway"), unset()), &[1, 3]).await;
    expect(store, both(service("gateway"), service("orders")), &[]).await;
    let apart = vec![
        RequestExpr::Hop(service("gateway")),
        RequestExpr::Hop(service("orders")),
    ];
    expect(store, RequestExpr::And(apart), &[1]).await;
    let either = HopExpr::Or(vec![service("worker"), service("payments")]);
    expect(store, RequestExpr::Hop(either), &[2, 4, 5]).await;
}

/// `-service:x` is no span of x; `{-service:x}` is some span not of x.
pub async fn not_some_span_is_not_some_span_not(store: &dyn Store) {
    landscape(store).await;
    let gateway = || HopExpr::Is(HopTest::Service(is("gateway")));
    expect(store, not(RequestExpr::Hop(gateway())), &[4, 5]).await;
    let elsewhere = HopExpr::Not(Box::new(gateway()));
    expect(store, RequestExpr::Hop(elsewhere.clone()), &[1, 2, 4, 5]).await;
    expect(store, not(RequestExpr::Hop(elsewhere)), &[3]).await;
    let tier = attribute("user.tier", ValueMatch::Text(is("gold")));
    expect(store, not(hop(tier)), &[2, 3, 4, 5]).await;
    let both = RequestExpr::And(vec![
        hop(HopTest::Service(is("gateway"))),
        not(hop(HopTest::Kind(SpanKind::Internal))),
    ]);
    expect(store, both, &[1, 2]).await;
}

/// `RequestTest`s that speak of the request as a whole.
pub async fn request_words_are_of_the_whole_request(store: &dyn Store) {
    landscape(store).await;
    let is_so = RequestExpr::Is;
    expect(store, is_so(RequestTest::Trace(trace(3))), &[3]).await;
    expect(store, is_so(RequestTest::Trace(trace(77))), &[]).await;
    expect(store, is_so(RequestTest::Entry(is("gateway"))), &[1, 2, 3]).await;
    expect(store, is_so(RequestTest::Entry(is("payments"))), &[]).await;
    expect(store, is_so(RequestTest::Entry(glob("work*"))), &[4, 5]).await;
    expect(store, is_so(RequestTest::Name(is("POST /orders"))), &[1, 2]).await;
    expect(store, is_so(RequestTest::Name(is("ship"))), &[4]).await;
    expect(store, is_so(RequestTest::Name(is("mail"))), &[]).await;
    expect(store, is_so(RequestTest::Status(SpanStatus::Error)), &[2]).await;
    expect(
        store,
        is_so(RequestTest::Status(SpanStatus::Unset)),
        &[1, 4, 5],
    )
    .await;
    expect(store, is_so(RequestTest::Duration(from(9_000))), &[2, 3]).await;
    // Without root, the extent.
    expect(store, is_so(RequestTest::Duration(to(300))), &[4, 5]).await;
    expect(
        store,
        not(is_so(RequestTest::Duration(to(300)))),
        &[1, 2, 3],
    )
    .await;
}

/// `RequestTest::Code`: the root's HTTP or RPC status as text.
pub async fn codes_are_found(store: &dyn Store) {
    landscape(store).await;
    let code = |text| RequestExpr::Is(RequestTest::Code(text));
    expect(store, code(is("502")), &[2]).await;
    expect(store, code(glob("2??")), &[1, 3]).await;
    expect(store, code(is("0")), &[5]).await;
    expect(store, not(code(glob("*"))), &[4]).await;
}

/// `RequestTest::Hops`, `Spans`, `Errors`.
pub async fn counts_of_a_request_are_found(store: &dyn Store) {
    landscape(store).await;
    let is_so = RequestExpr::Is;
    expect(store, is_so(RequestTest::Hops(from(2))), &[1, 2]).await;
    expect(store, is_so(RequestTest::Hops(to(1))), &[3, 4, 5]).await;
    expect(store, is_so(RequestTest::Spans(from(3))), &[1, 3]).await;
    expect(store, is_so(RequestTest::Spans(to(1))), &[5]).await;
    expect(store, is_so(RequestTest::Errors(from(2))), &[2]).await;
    expect(store, is_so(RequestTest::Errors(to(0))), &[1, 3, 4, 5]).await;
}

/// `RequestTest::RootAttribute`: of the root or its resource, and of no other span.
pub async fn root_attributes_are_found(store: &dyn Store) {
    landscape(store).await;
    let root = |key: &str, value| {
        let keys = vec!["never.there".to_owned(), key.to_owned()];
        RequestExpr::Is(RequestTest::RootAttribute { keys, value })
    };
    expect(
        store,
        root("http.request.method", ValueMatch::Present),
        &[1],
    )
    .await;
    expect(store, root("cart.items", ValueMatch::Present), &[5]).await;
    expect(store, root("host.name", ValueMatch::Text(is("n2"))), &[2]).await;
    expect(
        store,
        root("service.name", ValueMatch::Text(is("worker"))),
        &[5],
    )
    .await;
    expect(
        store,
        root(
            "http.response.status_code",
            number(Some(201.0), None, false),
        ),
        &[1],
    )
    .await;
}

/// `RequestExpr::Or` over words of requests and of hops.
pub async fn alternatives_are_found(store: &dyn Store) {
    landscape(store).await;
    let any = RequestExpr::Or(vec![
        RequestExpr::Is(RequestTest::Status(SpanStatus::Error)),
        hop(HopTest::Kind(SpanKind::Producer)),
    ]);
    expect(store, any.clone(), &[2, 4]).await;
    expect(store, not(any.clone()), &[1, 3, 5]).await;
    let orders = RequestExpr::Is(RequestTest::Name(is("POST /orders")));
    expect(store, RequestExpr::And(vec![any, orders]), &[2]).await;
}

/// A value that no span has is in no answer, however it is asked for.
pub async fn a_value_that_is_nowhere_is_not_found(store: &dyn Store) {
    landscape(store).await;
    let nowhere = [
        attribute("user.tier", ValueMatch::Text(is("bronze"))),
        attribute("no.such.key", ValueMatch::Present),
        HopTest::Service(is("nobody")),
        HopTest::Name(is("nothing")),
        HopTest::Exception(is("NoError")),
        HopTest::Text("nothing like it".to_owned()),
        HopTest::SpanId(span_id(12_345)),
    ];
    for test in nowhere {
        expect(store, hop(test.clone()), &[]).await;
        expect(store, not(hop(test)), &[1, 2, 3, 4, 5]).await;
    }
}
