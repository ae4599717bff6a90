//! Takes credentials and signatures out of URLs before they become attributes.

use std::borrow::Cow;

/// What stands in place of a value.
const REDACTED: &str = "REDACTED";

/// Parameters whose values let somebody in, in lower case.
const SECRETS: [&str; 24] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "jwt",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "session",
    "sessionid",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// A query string with the values of secret parameters replaced.
pub(crate) fn query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => Cow::Owned(format!("{name}={REDACTED}")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

fn is_secret(pair: &str) -> bool {
    let Some((name, _)) = pair.split_once('=') else {
        return false;
    };
    // An escaped name is the same name to the server.
    let name = crate::grpc::percent_decode(name.as_bytes());
    SECRETS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

/// An absolute URL without user, password, secret parameters and fragment.
pub(crate) fn url(url: &str) -> String {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, Some(parameters)),
        None => (url, None),
    };
    let mut out = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://{REDACTED}:{REDACTED}@{host}{path}"),
                None => address.to_owned(),
            }
        }
        None => address.to_owned(),
    };
    if let Some(parameters) = parameters {
        out.push('?');
        out.push_str(&query(parameters));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_and_all_else_stays() {
        for (given, expected) in [
            ("a=1&b=2", "a=1&b=2"),
            ("a=1&Token=abc&b", "a=1&Token=REDACTED&b"),
            (
                "X-Goog-Signature=x=y&sig=",
                "X-Goog-Signature=REDACTED&sig=REDACTED",
            ),
            ("%74oken=abc", "%74oken=REDACTED"),
            ("tokens=3", "tokens=3"),
            ("", ""),
        ] {
            assert_eq!(query(given), expected);
        }
    }

    #[test]
    fn urls_lose_user_password_and_fragment() {
        for (given, expected) in [
            ("http://shop/a?x=1#part", "http://shop/a?x=1"),
            (
                "https://ann:pw@shop:8443/a?sig=1",
                "https://REDACTED:REDACTED@shop:8443/a?sig=REDACTED",
            ),
            ("http://shop", "http://shop"),
            ("http://ann@shop", "http://REDACTED:REDACTED@shop"),
            ("http://shop/@ann", "http://shop/@ann"),
            ("/only/a/path?token=1", "/only/a/path?token=REDACTED"),
        ] {
            assert_eq!(url(given), expected);
        }
    }
}
