//! Names of services, interfaces and operations.

use std::sync::LazyLock;

/// Services and what each is about.
pub(super) const SERVICES: [(&str, &str); 30] = [
    ("gateway", "sessions"),
    ("storefront", "pages"),
    ("catalog", "products"),
    ("search", "queries"),
    ("cart", "carts"),
    ("checkout", "orders"),
    ("payments", "payments"),
    ("fraud", "scores"),
    ("ledger", "entries"),
    ("invoices", "invoices"),
    ("tax", "rates"),
    ("pricing", "prices"),
    ("promotions", "coupons"),
    ("inventory", "stock"),
    ("warehouse", "picks"),
    ("shipping", "parcels"),
    ("tracking", "events"),
    ("returns", "returns"),
    ("accounts", "customers"),
    ("auth", "tokens"),
    ("profiles", "profiles"),
    ("loyalty", "points"),
    ("reviews", "reviews"),
    ("recommendations", "items"),
    ("notifications", "messages"),
    ("email", "mails"),
    ("media", "images"),
    ("analytics", "facts"),
    ("audit", "records"),
    ("support", "tickets"),
];

/// Interfaces of each service.
pub(super) const INTERFACES: usize = 6;

/// The interface that takes messages from a queue.
pub(super) const CONSUMER: usize = 5;

/// HTTP method and path (after the noun) of the other interfaces.
pub(super) const METHODS: [(&str, &str); CONSUMER] = [
    ("GET", "/{id}"),
    ("GET", ""),
    ("POST", ""),
    ("PUT", "/{id}"),
    ("DELETE", "/{id}"),
];

/// Statements: operation and text around the table's name.
pub(super) const STATEMENTS: [(&str, &str, &str); 4] = [
    ("SELECT", "SELECT id, state, total FROM ", " WHERE id = $1"),
    ("SELECT", "SELECT * FROM ", " WHERE owner = $1 LIMIT 50"),
    ("INSERT", "INSERT INTO ", " (id, state) VALUES ($1, $2)"),
    ("UPDATE", "UPDATE ", " SET state = $2 WHERE id = $1"),
];

/// Work inside a service.
pub(super) const STEPS: [&str; 6] = [
    "validate",
    "authorize",
    "render",
    "price_lines",
    "cache.get",
    "serialize",
];

/// Exceptions: type and message.
pub(super) const EXCEPTIONS: [(&str, &str); 5] = [
    ("TimeoutError", "no answer within 2000 ms"),
    (
        "ConnectionRefused",
        "connect to 10.4.0.17:5432: connection refused",
    ),
    ("InvalidState", "order is already shipped"),
    (
        "ConstraintViolation",
        "duplicate key value violates unique constraint",
    ),
    (
        "NullPointer",
        "index out of bounds: the len is 3 but the index is 3",
    ),
];

/// Names put together once.
#[derive(Debug)]
pub(super) struct Table {
    interfaces: Vec<String>,
    steps: Vec<String>,
}

impl Table {
    /// The span name of an interface, e.g. `GET /orders/{id}`.
    pub(super) fn interface(&self, service: usize, interface: usize) -> &str {
        &self.interfaces[service * INTERFACES + interface]
    }

    /// The name of a database call.
    pub(super) fn statement(&self, service: usize, statement: usize) -> &str {
        &self.steps[service * STATEMENTS.len() + statement]
    }
}

/// The names.
pub(super) fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| {
        let interface = |noun: &str, interface| match METHODS.get(interface) {
            Some((method, path)) => format!("{method} /{noun}{path}"),
            None => format!("process {noun}"),
        };
        let mut table = Table {
            interfaces: Vec::new(),
            steps: Vec::new(),
        };
        for (_, noun) in SERVICES {
            table
                .interfaces
                .extend((0..INTERFACES).map(|i| interface(noun, i)));
            table
                .steps
                .extend(STATEMENTS.map(|(operation, ..)| format!("{operation} {noun}")));
        }
        table
    });
    &TABLE
}
