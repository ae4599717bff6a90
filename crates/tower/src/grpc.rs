//! gRPC over HTTP/2: which requests are, and what their status means for a span.

use http::{HeaderMap, HeaderValue, header};

/// Whether the content type is that of gRPC. gRPC-Web is not: its trailers are part of the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    match value.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

/// The names of the codes 0 to 16.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How a call ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    /// The code's name; `UNKNOWN` for what is no code.
    pub(crate) name: &'static str,
    /// For people; empty if the server sent none.
    pub(crate) message: String,
}

impl Status {
    /// For a call that ended without saying how.
    pub(crate) fn missing() -> Self {
        Self {
            name: NAMES[2],
            message: String::new(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.name == NAMES[0]
    }

    /// Codes that are the server's fault rather than the caller's.
    pub(crate) fn is_server_error(&self) -> bool {
        matches!(
            self.name,
            "UNKNOWN"
                | "DEADLINE_EXCEEDED"
                | "UNIMPLEMENTED"
                | "INTERNAL"
                | "UNAVAILABLE"
                | "DATA_LOSS"
        )
    }
}

/// The status in a response's trailers, or in its headers where there is nothing else to say.
pub(crate) fn status(headers: &HeaderMap) -> Option<Status> {
    let code = headers.get("grpc-status")?;
    let index = code
        .to_str()
        .ok()
        .and_then(|code| code.parse::<usize>().ok());
    let name = index
        .and_then(|index| NAMES.get(index))
        .copied()
        .unwrap_or(NAMES[2]);
    let message = headers
        .get("grpc-message")
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    Some(Status {
        name,
        message: percent_decode(message),
    })
}

/// Decodes `%41` to `A`; leaves alone what is not well formed.
pub(crate) fn percent_decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_grpc(&headers(&[("content-type", value)])),
                expected,
                "{value}"
            );
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn statuses_have_names_and_readable_messages() {
        let status_of = |lines: &[_]| status(&headers(lines)).unwrap();
        assert!(status_of(&[("grpc-status", "0")]).is_ok());
        let declined = status_of(&[
            ("grpc-status", "9"),
            ("grpc-message", "50%25 off%2C gone%2"),
        ]);
        assert_eq!(declined.name, "FAILED_PRECONDITION");
        assert_eq!(declined.message, "50% off, gone%2");
        assert!(!declined.is_server_error());
        for strange in ["17", "-1", "", "x"] {
            let name = status_of(&[("grpc-status", strange)]).name;
            assert_eq!(name, "UNKNOWN", "{strange}");
        }
        assert_eq!(status(&HeaderMap::new()), None);
    }
}
