//! Style, script and icon: in the binary, served under a name that holds their hash.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use std::sync::LazyLock;

const CSS: &[u8] = include_bytes!("../../../web/static/ui.css");
const JS: &[u8] = include_bytes!("../../../web/static/ui.js");
const ICON: &[u8] = include_bytes!("../../../web/static/icon.svg");

/// Addresses of the static files.
#[derive(Debug)]
pub struct Assets {
    /// The style sheet.
    pub css: String,
    /// The script.
    pub js: String,
    /// The icon.
    pub icon: String,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    css: address("ui", "css", CSS),
    js: address("ui", "js", JS),
    icon: address("icon", "svg", ICON),
});

fn address(stem: &str, ending: &str, bytes: &[u8]) -> String {
    format!(
        "/static/{stem}.{:016x}.{ending}",
        twox_hash::XxHash3_64::oneshot(bytes)
    )
}

/// Where this build's files are.
pub fn assets() -> &'static Assets {
    &ASSETS
}

/// Each file: its address, its type, its bytes.
pub(crate) fn files() -> [(&'static str, &'static str, &'static [u8]); 3] {
    let assets = assets();
    [
        (&assets.css, "text/css; charset=utf-8", CSS),
        (&assets.js, "text/javascript; charset=utf-8", JS),
        (&assets.icon, "image/svg+xml", ICON),
    ]
}

/// A static file by its hashed name; browsers may keep it for ever.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let wanted = format!("/static/{name}");
    match files()
        .into_iter()
        .find(|(address, _, _)| *address == wanted)
    {
        Some((_, kind, bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_need_nothing_from_elsewhere() {
        for (address, _, bytes) in files() {
            let text = std::str::from_utf8(bytes).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !text.contains("http://") && !text.contains("https://"),
                "{address}"
            );
            assert!(!text.contains("@import"), "{address}");
        }
        assert!(CSS.len() < 40_000 && JS.len() < 12_000, "they stay small");
    }
}
