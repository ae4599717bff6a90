//! Which of the two media types of spans a client would rather have.

use http::{HeaderMap, header};

/// OTLP/JSON.
pub(super) const JSON: &str = "application/json";
/// OTLP/protobuf.
pub(super) const PROTOBUF: &str = "application/x-protobuf";

/// Protobuf if the client prefers it, else JSON.
pub(super) fn otlp(headers: &HeaderMap) -> &'static str {
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let (mut json, mut protobuf) = (0.0, 0.0);
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality: f64 = quality.map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
        match name.as_str() {
            JSON => json = quality,
            PROTOBUF | "application/protobuf" => protobuf = quality,
            _ => {}
        }
    }
    if protobuf > json { PROTOBUF } else { JSON }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_unless_protobuf_is_preferred() {
        for (accept, wanted) in [
            ("", JSON),
            ("*/*", JSON),
            ("application/json", JSON),
            ("application/x-protobuf", PROTOBUF),
            ("Application/Protobuf, */*;q=0.1", PROTOBUF),
            ("application/x-protobuf;q=0.5, application/json", JSON),
            (
                "application/json;q=0.2, application/x-protobuf; q=0.3",
                PROTOBUF,
            ),
            ("application/x-protobuf;q=x", JSON),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(otlp(&headers), wanted, "{accept}");
        }
    }
}
