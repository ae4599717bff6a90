//! Every page over the sample shop, in both languages: its markup as a snapshot, and what must be
//! true of the markup of any page.

#[path = "../samples/world.rs"]
mod world;

#[path = "support/html.rs"]
mod html;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use std::io::Read;
use tower::ServiceExt;

const FAILING: &str = "/requests/4bf92f3577b34da6a3ce929d0e0e4736";
/// Spans of the sample's large request where its size does not matter.
const FEW: usize = 700;

/// Every page that has a snapshot: its name, its address, its status.
const PAGES: [(&str, &str, u16); 24] = [
    ("home", "/", 200),
    ("home_by_rate", "/?sort=rate&t=15m", 200),
    ("home_quiet", "/?from=2026-11-20&to=2026-11-21", 200),
    ("requests", "/requests", 200),
    (
        "requests_slowest",
        "/requests?q=service:payments%20duration:%3E100ms&sort=-duration",
        200,
    ),
    (
        "requests_wrong",
        "/requests?q=service:paymnts%20duration:%3E1sec%20status:eror",
        400,
    ),
    (
        "requests_filtered",
        "/requests?q=service:payments%20code:418",
        200,
    ),
    ("requests_nothing", "/requests?t=1s", 200),
    ("requests_form", "/requests?q=user.id:*&rows=3", 200),
    ("request", FAILING, 200),
    (
        "request_picked",
        "/requests/4bf92f3577b34da6a3ce929d0e0e4736?fold=path&t0=400&t1=1200",
        200,
    ),
    ("request_repeats", "/requests/{n1}", 200),
    ("request_orphans", "/requests/{orphans}", 200),
    ("request_rootless", "/requests/{rootless}", 200),
    ("request_open", "/requests/{open}", 200),
    ("request_linked", "/requests/{linked}", 200),
    (
        "request_missing",
        "/requests/00000000000000000000000000000001",
        404,
    ),
    ("service", "/services/payments", 200),
    ("service_unknown", "/services/nobody", 200),
    (
        "interface",
        "/services/payments/payments.Payments%2FCharge?t=15m",
        200,
    ),
    ("queries", "/queries?t=15m", 200),
    ("queries_of_service", "/queries?service=nobody", 200),
    ("pipeline", "/pipeline", 200),
    ("settings", "/settings", 200),
];

/// Pages of a hoplog that has never received anything, and pages without data.
const EMPTY: [(&str, &str, u16); 4] = [
    ("empty_home", "/", 200),
    ("empty_requests", "/requests", 200),
    ("empty_pipeline", "/pipeline", 200),
    ("no_such_page", "/nowhere", 404),
];

/// The address with `{name}` replaced by the id of the sample request of that name.
fn address(path: &str) -> String {
    match (path.split_once('{'), path.split_once('}')) {
        (Some((before, rest)), Some((_, after))) => {
            let name = rest.split('}').next().expect("split gives one");
            format!("{before}{}{after}", hoplog_testkit::spans::trace_id(name))
        }
        _ => path.into(),
    }
}

async fn ask(
    router: &Router,
    path: &str,
    headers: &[(header::HeaderName, &str)],
) -> Response<Body> {
    let mut request = Request::builder()
        .uri(path)
        .header(header::HOST, "127.0.0.1:7717");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("a sound request");
    router
        .clone()
        .oneshot(request)
        .await
        .expect("the router answers everything")
}

async fn text(response: Response<Body>) -> String {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    String::from_utf8(bytes.to_vec()).expect("pages are text")
}

async fn page(router: &Router, path: &str, lang: &str, status: u16) -> String {
    let response = ask(router, path, &[(header::ACCEPT_LANGUAGE, lang)]).await;
    assert_eq!(response.status(), status, "{path}");
    text(response).await
}

async fn shop(large: usize) -> Router {
    hoplog_web::router(world::shop(large).await, world::config())
}

fn empty() -> Router {
    hoplog_web::router(world::empty(), world::config())
}

/// A snapshot a person can read: an element a line, without the hashes of static files.
fn readable(page: &str) -> String {
    let assets = hoplog_web::assets();
    let page = [&assets.css, &assets.js, &assets.icon]
        .iter()
        .fold(page.to_owned(), |page, address| {
            page.replace(address.as_str(), "/static/…")
        });
    let (before, sprite) = page
        .split_once("<svg class=\"defs\"")
        .unwrap_or((&page, ""));
    let after = sprite.split_once("</svg>").map_or("", |(_, after)| after);
    format!("{before}{after}").replace("><", ">\n<")
}

#[tokio::test]
async fn every_page_is_as_its_snapshot_in_both_languages() {
    let (shop, empty) = (shop(FEW).await, empty());
    let pages = PAGES
        .iter()
        .map(|page| (&shop, page))
        .chain(EMPTY.iter().map(|page| (&empty, page)));
    for (router, (name, path, status)) in pages {
        for lang in ["en", "ko"] {
            let page = page(router, &address(path), lang, *status).await;
            insta::assert_snapshot!(format!("{name}.{lang}"), readable(&page));
        }
    }
}

#[tokio::test]
async fn every_page_is_sound_markup() {
    let (shop, empty) = (shop(FEW).await, empty());
    let pages = PAGES
        .iter()
        .map(|page| (&shop, page))
        .chain(EMPTY.iter().map(|page| (&empty, page)));
    for (router, (name, path, status)) in pages {
        for lang in ["en", "ko"] {
            let page = page(router, &address(path), lang, *status).await;
            let faults = html::faults(&page);
            assert!(faults.is_empty(), "{name}.{lang}: {faults:#?}");
            assert!(
                page.contains(&format!("<html lang=\"{lang}\"")),
                "{name}.{lang}"
            );
        }
    }
}

#[tokio::test]
async fn no_page_mixes_languages() {
    let (shop, empty) = (shop(FEW).await, empty());
    let pages = PAGES
        .iter()
        .map(|page| (&shop, page))
        .chain(EMPTY.iter().map(|page| (&empty, page)));
    let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
    // What services said themselves is in their language.
    let said = ["은행 응답 지연", "한국어"];
    for (router, (name, path, status)) in pages {
        let page = page(router, &address(path), "en", *status).await;
        let page = said.iter().fold(page, |page, said| page.replace(said, ""));
        assert!(!hangul(&page), "{name}.en");
    }
    // An English text of the catalogue in a Korean page is one that was not taken from it.
    let (en, ko) = (
        hoplog_web::i18n::Lang::En.messages(),
        hoplog_web::i18n::Lang::Ko.messages(),
    );
    let only_english: Vec<&str> = en
        .entries()
        .into_iter()
        .zip(ko.entries())
        .filter(|((_, en), (_, ko))| en != ko && en.contains(' ') && !en.contains(['{', '*', '`']))
        .map(|((_, en), _)| en)
        .collect();
    for (name, path, status) in PAGES {
        let page = page(&shop, &address(path), "ko", status).await;
        for text in &only_english {
            assert!(
                !page.contains(&format!(">{text}<")),
                "{name}.ko holds {text:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_its_own() {
    let router = shop(FEW).await;
    for path in [
        "/",
        "/requests",
        FAILING,
        "/nowhere",
        hoplog_web::assets().css.as_str(),
    ] {
        let response = ask(&router, path, &[]).await;
        assert_eq!(
            response.headers()[header::CONTENT_SECURITY_POLICY],
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(
            response.headers()[header::X_CONTENT_TYPE_OPTIONS],
            "nosniff",
            "{path}"
        );
    }
}

#[tokio::test]
async fn static_files_are_immutable_and_found_only_by_their_hash() {
    let router = empty();
    let assets = hoplog_web::assets();
    for path in [&assets.css, &assets.js, &assets.icon] {
        let response = ask(&router, path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let cached = &response.headers()[header::CACHE_CONTROL];
        assert_eq!(cached, "public, max-age=31536000, immutable");
    }
    assert_eq!(
        ask(&router, "/static/ui.css", &[]).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_refused() {
    let router = empty();
    let request = Request::builder()
        .uri("/")
        .header(header::HOST, "evil.example");
    let refused = router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let post = |origin: &'static str| {
        Request::builder()
            .method(Method::POST)
            .uri("/settings")
            .header(header::HOST, "localhost:7717")
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("theme=dark&back=%2Frequests"))
            .unwrap()
    };
    let refused = router
        .clone()
        .oneshot(post("http://evil.example"))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let taken = router
        .clone()
        .oneshot(post("http://localhost:7717"))
        .await
        .unwrap();
    assert_eq!(taken.status(), StatusCode::SEE_OTHER);
    assert_eq!(taken.headers()[header::LOCATION], "/requests");
    let cookie = "theme=dark; Path=/; SameSite=Lax; Max-Age=31536000";
    assert_eq!(taken.headers()[header::SET_COOKIE], cookie);
}

#[tokio::test]
async fn cookies_change_the_page() {
    let router = empty();
    let cookie = [(header::COOKIE, "theme=dark; lang=ko; keys=off; zone=+09:00")];
    let page = text(ask(&router, "/settings", &cookie).await).await;
    assert!(page.contains("<html lang=\"ko\" data-theme=\"dark\" data-keys=\"off\">"));
    assert!(page.contains("20:02:04 UTC+9"));
}

#[tokio::test]
async fn whatever_is_pasted_leads_to_its_request() {
    let router = shop(FEW).await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let span = hoplog_testkit::spans::span_id("bank-1");
    for (pasted, to) in [
        (id.to_owned(), FAILING.to_owned()),
        (
            format!("00-{id}-{span}-01"),
            format!("{FAILING}?span={span}"),
        ),
        (format!("GET%20/x%20trace_id={id}"), FAILING.to_owned()),
        (span.to_string(), format!("{FAILING}?span={span}")),
        ("payments".into(), "/services/payments".into()),
    ] {
        let response = ask(&router, &format!("/go?id={pasted}"), &[]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{pasted}");
        assert_eq!(response.headers()[header::LOCATION], to, "{pasted}");
    }
    assert_eq!(
        ask(&router, "/go?id=hello", &[]).await.status(),
        StatusCode::BAD_REQUEST
    );
    let unknown = "/go?id=00000000000000000000000000000009";
    assert_eq!(
        ask(&router, unknown, &[]).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn form_and_words_become_one_address() {
    let router = shop(FEW).await;
    for (asked, to) in [
        (
            "/requests?form=1&f.service=payments&f.status=error&f.min=100ms&q=",
            "/requests?q=service:payments%20status:error%20duration:100ms..",
        ),
        (
            "/requests?form=1&f.k1=bank.code&f.o1=not&f.v1=KB-04",
            "/requests?q=bank.code:%21%3DKB-04",
        ),
        (
            "/requests?form=1&f.service=a&add=1",
            "/requests?q=service:a&rows=2",
        ),
        (
            "/requests?q=status:error%20last:24h%20sort:-duration",
            "/requests?q=status:error&sort=-duration&t=1d",
        ),
    ] {
        let response = ask(&router, asked, &[]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{asked}");
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(location.replace("!", "%21"), to, "{asked}");
    }
}

#[tokio::test]
async fn words_on_start_and_end_are_the_time_that_is_searched() {
    let router = shop(FEW).await;
    for lang in ["en", "ko"] {
        for (q, any) in [
            ("started:2000-01-01..", true),
            ("started:..2000-01-01%20OR%20ended:2000-01-01..", true),
            ("started:..2000-01-01%20OR%20ended:..2001-01-01", false),
        ] {
            let page = page(&router, &format!("/requests?t=1m&q={q}"), lang, 200).await;
            assert_eq!(page.contains("class=\"row\" href=\""), any, "{q}");
        }
    }
}

#[tokio::test]
async fn pages_of_the_list_hold_every_request_once() {
    let router = shop(FEW).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut next = Some("/requests".to_owned());
    let mut pages = 0;
    while let Some(path) = next {
        let page = page(&router, &path, "en", 200).await;
        for row in page.split("class=\"row\" href=\"").skip(1) {
            let href = row.split('"').next().unwrap().to_owned();
            assert!(seen.insert(href.clone()), "{href} twice");
        }
        let link = page
            .split_once("rel=\"next\" href=\"")
            .map(|(_, rest)| rest);
        next = link.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
        pages += 1;
        assert!(pages < 20);
    }
    assert!(
        pages > 5 && seen.len() > 300,
        "{pages} pages of {} requests",
        seen.len()
    );
}

/// What goes over the wire for a page, compressed.
async fn compressed(router: &Router, path: &str) -> (usize, String) {
    let response = ask(router, path, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(
        response.headers()[header::CONTENT_ENCODING],
        "gzip",
        "{path}"
    );
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    let mut page = String::new();
    let mut gzip = flate2::read::MultiGzDecoder::new(&*bytes);
    gzip.read_to_string(&mut page).expect("gzip of a page");
    (bytes.len(), page)
}

#[tokio::test]
async fn pages_are_small_on_the_wire() {
    let router = shop(20_000).await;
    let assets = hoplog_web::assets();
    let (css, _) = compressed(&router, &assets.css).await;
    let (js, _) = compressed(&router, &assets.js).await;
    assert!(css < 10_000 && js < 6_000, "style {css}, script {js}");
    let many = address("/requests/{many}");
    let all = format!("{many}?fold=none");
    let late = format!("{many}?fold=none&at=12000");
    for path in [
        "/",
        "/requests",
        FAILING,
        "/services/payments",
        "/pipeline",
        "/queries",
        &many,
        &all,
        &late,
    ] {
        let (html, page) = compressed(&router, path).await;
        assert!(html < 40_000 && html + css + js < 60_000, "{path}: {html}");
        let rows = page.matches("<div class=\"wr ").count();
        assert!(rows <= 200, "{path}: {rows} rows");
    }
}

#[tokio::test]
async fn every_failure_of_a_large_request_is_one_link_away() {
    let router = shop(20_000).await;
    let many = address("/requests/{many}");
    let first = page(&router, &many, "en", 200).await;
    // The failures are in sight although thousands of spans are folded away.
    let outlined = first.matches("class=\"eo\"").count();
    assert_eq!(
        outlined,
        2 + 1,
        "two failures and the key below the waterfall"
    );
    let next = first
        .split_once("data-next-error")
        .unwrap()
        .0
        .rsplit_once("href=\"")
        .unwrap()
        .1;
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let path = next.split('#').next().unwrap();
    let second = page(&router, path, "en", 200).await;
    assert!(second.contains("aria-selected=\"true\""));
    // Unfolded, the window is the one that holds the selected span.
    let all = page(&router, &format!("{path}&fold=none"), "en", 200).await;
    assert!(all.contains("aria-selected=\"true\"") && all.contains("rows before"));
}

#[tokio::test]
async fn folding_by_hand_lives_in_the_address() {
    let router = shop(FEW).await;
    let open = page(&router, FAILING, "en", 200).await;
    let charge = hoplog_testkit::spans::span_id("reserve");
    let closed = page(&router, &format!("{FAILING}?close={charge}"), "en", 200).await;
    let rows = |page: &str| page.matches("<div class=\"wr ").count();
    assert_eq!(
        rows(&open) - rows(&closed),
        4,
        "three steps and one group below it"
    );
    let group = hoplog_testkit::spans::span_id("item-0");
    let opened = page(&router, &format!("{FAILING}?open={group}"), "en", 200).await;
    assert_eq!(rows(&opened) - rows(&open), 24);
}

/// What is between two texts of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let found = page
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    found.unwrap_or_else(|| panic!("no {before:?}")).0
}

/// As a browser does it that runs no script: the button posts what its form says, and the answer leads back.
#[tokio::test]
async fn a_request_is_kept_and_let_go_by_a_form() {
    let router = shop(FEW).await;
    for said in ["on", "off"] {
        let before = page(&router, FAILING, "en", 200).await;
        assert_eq!(before.contains("Kept by hand"), said == "off", "{before}");
        let post = "<form class=\"one\" method=\"post\" action=\"";
        let form = between(&before, &format!("{post}{FAILING}"), "</form>");
        let action = format!("{FAILING}{}", between(form, "", "\""));
        let button = between(form, "<button ", ">");
        let body = format!(
            "{}={}",
            between(button, "name=\"", "\""),
            between(button, "value=\"", "\"")
        );
        assert_eq!(body, format!("keep={said}"));
        let posted = |host: &str, body: String| {
            Request::builder()
                .method(Method::POST)
                .uri(&action)
                .header(header::HOST, "localhost:7717")
                .header(header::ORIGIN, format!("http://{host}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(body))
                .expect("a sound request")
        };
        let refused = router.clone().oneshot(posted("evil.example", body.clone()));
        assert_eq!(refused.await.unwrap().status(), StatusCode::FORBIDDEN);
        let empty = router
            .clone()
            .oneshot(posted("localhost:7717", String::new()));
        assert_eq!(empty.await.unwrap().status(), StatusCode::BAD_REQUEST);
        let done = router.clone().oneshot(posted("localhost:7717", body));
        let done = done.await.unwrap();
        assert_eq!(done.status(), StatusCode::SEE_OTHER);
        assert_eq!(done.headers()[header::LOCATION], FAILING);
    }
    assert!(
        !page(&router, FAILING, "en", 200)
            .await
            .contains("Kept by hand")
    );
}
