//! The fields of the language: what each speaks of, and the attributes behind it.

use std::fmt;

/// Whether a word speaks of the whole request or of one hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole request.
    Request,
    /// One hop.
    Hop,
}

/// What values a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Code,
    OneOf(&'static [&'static str]),
    Duration,
    Count,
    Time,
    TraceId,
    Attribute,
}

const STATUSES: &[&str] = &["ok", "error", "unset"];
const KINDS: &[&str] = &["server", "client", "producer", "consumer", "internal"];
const YES_NO: &[&str] = &["true", "false"];

macro_rules! words {
    ($($(#[$doc:meta])* $variant:ident $name:literal $scope:ident $type:expr;)*) => {
        /// A field with a name of its own; every other field is an attribute.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Word { $($(#[$doc])* $variant,)* }

        impl Word {
            /// Every word, in the order of the help text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in a query.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it speaks of outside braces.
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)* }
            }

            pub(super) fn value_type(self) -> Type {
                match self { $(Self::$variant => $type,)* }
            }
        }
    };
}

words! {
    /// The service at which the request came in.
    Entry "entry" Request Type::Text;
    /// The root's span name; in braces the hop's.
    Op "op" Request Type::Text;
    /// The root's HTTP or RPC method; in braces the hop's.
    Method "method" Request Type::Text;
    /// The root's HTTP route; in braces the hop's.
    Route "route" Request Type::Text;
    /// The root's HTTP or gRPC status code; in braces the hop's.
    Code "code" Request Type::Code;
    /// The request's outcome; in braces the hop's.
    Status "status" Request Type::OneOf(STATUSES);
    /// How long the request took; in braces the hop.
    Duration "duration" Request Type::Duration;
    /// When the request started.
    Started "started" Request Type::Time;
    /// When its last span ended.
    Ended "ended" Request Type::Time;
    /// Number of hops.
    Hops "hops" Request Type::Count;
    /// Number of spans.
    Spans "spans" Request Type::Count;
    /// Number of failed spans.
    Errors "errors" Request Type::Count;
    /// The request's trace id.
    Trace "trace" Request Type::TraceId;
    /// The id a caller gave the request in a header.
    Request "request" Request Type::Text;
    /// Whether a person keeps the request beyond its retention.
    Kept "kept" Request Type::OneOf(YES_NO);
    /// The hop's service.
    Service "service" Hop Type::Text;
    /// The hop's span name.
    Span "span" Hop Type::Text;
    /// The hop's span kind.
    Kind "kind" Hop Type::OneOf(KINDS);
    /// Type or message of an exception.
    Exception "exception" Hop Type::Text;
    /// The database: its system or its name.
    Db "db" Hop Type::Text;
    /// The statement.
    Sql "sql" Hop Type::Text;
    /// The statement's fingerprint, as the page of queries lists it.
    Statement "statement" Hop Type::Text;
    /// The topic or queue.
    Topic "topic" Hop Type::Text;
    /// The other side of the hop: service or address.
    Peer "peer" Hop Type::Text;
    /// The hop's own time: its duration less what its children cover.
    SelfTime "self" Hop Type::Duration;
    /// The service's version.
    Version "version" Hop Type::Text;
}

impl Word {
    /// The word of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.name() == name)
    }

    /// Whether the word may stand inside braces.
    pub fn in_hop(self) -> bool {
        self.scope() == Scope::Hop
            || matches!(
                self,
                Self::Duration | Self::Status | Self::Op | Self::Code | Self::Method | Self::Route
            )
    }

    /// The attributes a word stands for, current names first; empty if it is none.
    pub(super) fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Method => &["http.request.method", "http.method", "rpc.method"],
            Self::Route => &["http.route"],
            Self::Request => &[
                "http.request.header.x-request-id",
                "http.request.header.x_request_id",
                "request.id",
                "request_id",
                "http.request_id",
                "guid:x-request-id",
            ],
            Self::Db => &["db.system.name", "db.system", "db.namespace", "db.name"],
            Self::Sql => &["db.query.text", "db.statement", "db.query.summary"],
            Self::Topic => &["messaging.destination.name", "messaging.destination"],
            Self::Peer => &[
                "service.peer.name",
                "peer.service",
                "server.address",
                "net.peer.name",
                "network.peer.address",
                "net.peer.ip",
                "net.sock.peer.addr",
            ],
            Self::Version => &["service.version"],
            _ => &[],
        }
    }
}

/// Attributes that hold an HTTP status code.
pub(super) const HTTP_CODES: &[&str] = &["http.response.status_code", "http.status_code"];
/// Attributes that hold a gRPC status, by name or number.
pub(super) const RPC_CODES: &[&str] = &[
    "rpc.response.status_code",
    "rpc.status_code",
    "rpc.grpc.status_code",
];

/// Current attribute names with the older ones that mean exactly the same.
const OLDER: &[(&str, &[&str])] = &[
    ("http.request.method", &["http.method"]),
    ("http.response.status_code", &["http.status_code"]),
    ("url.full", &["http.url"]),
    ("url.scheme", &["http.scheme"]),
    ("user_agent.original", &["http.user_agent"]),
    ("client.address", &["http.client_ip"]),
    ("network.protocol.version", &["http.flavor"]),
    (
        "network.peer.address",
        &["net.peer.ip", "net.sock.peer.addr"],
    ),
    ("network.peer.port", &["net.sock.peer.port"]),
    ("rpc.system.name", &["rpc.system"]),
    (
        "rpc.response.status_code",
        &["rpc.status_code", "rpc.grpc.status_code"],
    ),
    (
        "rpc.status_code",
        &["rpc.response.status_code", "rpc.grpc.status_code"],
    ),
    ("db.system.name", &["db.system"]),
    ("db.namespace", &["db.name"]),
    ("db.query.text", &["db.statement"]),
    ("db.operation.name", &["db.operation"]),
    ("db.collection.name", &["db.sql.table"]),
    ("messaging.destination.name", &["messaging.destination"]),
    ("messaging.operation.type", &["messaging.operation"]),
    ("deployment.environment.name", &["deployment.environment"]),
];

/// An attribute's own name, then the older names of the same thing.
pub(super) fn with_older_names(name: &str) -> Vec<String> {
    let older = OLDER
        .iter()
        .find(|(current, _)| *current == name)
        .map_or(&[][..], |(_, old)| old);
    std::iter::once(name)
        .chain(older.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// One with a name of its own.
    Word(Word),
    /// An attribute of a span or its resource.
    Attribute(String),
}

impl Key {
    /// Its name in a query.
    pub fn name(&self) -> &str {
        match self {
            Self::Word(word) => word.name(),
            Self::Attribute(name) => name,
        }
    }

    /// What it speaks of outside braces.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Word(word) => word.scope(),
            Self::Attribute(_) => Scope::Hop,
        }
    }

    pub(super) fn value_type(&self) -> Type {
        match self {
            Self::Word(word) => word.value_type(),
            Self::Attribute(_) => Type::Attribute,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
