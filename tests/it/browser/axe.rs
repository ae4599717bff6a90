//! axe-core finds nothing serious on any page, in either language, light and dark.

use super::driver::{Browser, Driver, NARROW, Scripts, Theme, WIDE};
use super::shop::{self, Shop};
use crate::support::{Hoplog, named_by};
use anyhow::{Context, Result, ensure};
use fantoccini::Locator::Css;
use serde_json::Value;

const RUN: &str = "const done = arguments[0];
    const rules = {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']};
    scrollTo({top: 0, behavior: 'instant'}); // a bar at the top hides what is scrolled under it
    axe.run(document, rules).then(found => done(found.violations), why => done(String(why)));";

/// What axe finds serious or critical on the page that is open.
async fn violations(browser: &Browser, axe: &str) -> Result<Vec<String>> {
    browser.client.execute(axe, Vec::new()).await?;
    let found = browser.client.execute_async(RUN, Vec::new()).await?;
    let found = found.as_array().with_context(|| format!("axe: {found}"))?;
    let serious = found
        .iter()
        .filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
    Ok(serious.map(describe).collect())
}

fn describe(violation: &Value) -> String {
    let nodes = violation["nodes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let shown = nodes
        .iter()
        .take(3)
        .map(|node| format!("{} {}", node["target"], node["failureSummary"]));
    let shown: Vec<String> = shown.collect();
    format!(
        "{}: {} ({} elements)\n  {}",
        violation["id"],
        violation["help"],
        nodes.len(),
        shown.join("\n  ")
    )
}

/// The first link in a list of the page at `path`.
async fn first_link(browser: &Browser, hoplog: &Hoplog, path: &str, link: &str) -> Result<String> {
    browser.open(&hoplog.url(path)).await?;
    let element = browser
        .client
        .find(Css(link))
        .await
        .with_context(|| format!("{link} on {path}"))?;
    element
        .attr("href")
        .await?
        .context("a link leads somewhere")
}

/// Paths of every kind of page.
async fn pages(browser: &Browser, hoplog: &Hoplog, shop: &Shop) -> Result<Vec<String>> {
    let service = first_link(browser, hoplog, "/", "table.svc a.row").await?;
    let interface = first_link(browser, hoplog, &service, "table.ifs a.row").await?;
    let request = format!("/requests/{}", shop.failed);
    let span = first_link(browser, hoplog, &request, ".wf .wr a.s").await?;
    let fixed = [
        "/",
        "/requests",
        "/requests?q=status%3Aerrr",
        "/queries",
        "/pipeline",
        "/settings",
        "/nowhere",
    ];
    let mut pages = fixed.map(str::to_owned).to_vec();
    pages.extend([request, span, service, interface]);
    Ok(pages)
}

async fn nothing_serious(theme: Theme, lang: &'static str) -> Result<()> {
    let axe = named_by("HOPLOG_TEST_NODE_MODULES")?.join("axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&axe).with_context(|| axe.display().to_string())?;
    let hoplog = Hoplog::start(shop::CONFIG).await?;
    let shop = Shop::open(&hoplog).await?;
    let driver = Driver::start().await?;
    let browser = driver.browser(Scripts::On).await?;
    browser.dress(theme, WIDE).await?;
    let pages = pages(&browser, &hoplog, &shop).await?;
    if lang != "en" {
        browser.open(&hoplog.url("/settings")).await?;
        browser.click("button[name=lang]").await?;
        browser.wait_for_find(&format!("html[lang={lang}]")).await?;
    }
    let mut found = Vec::new();
    for width in [WIDE, NARROW] {
        browser.dress(theme, width).await?;
        for page in &pages {
            browser.client.goto(&hoplog.url(page)).await?;
            let is_translated = browser.count(&format!("html[lang={lang}]")).await? == 1;
            ensure!(is_translated, "{page} is not in {lang}");
            let serious = violations(&browser, &axe)
                .await
                .with_context(|| page.clone())?;
            found.extend(
                serious
                    .iter()
                    .map(|what| format!("{page}, {width} wide: {what}")),
            );
            if let Err(wide) = browser.fits().await {
                found.push(format!("{page}, {width} wide: {wide}"));
            }
        }
    }
    ensure!(found.is_empty(), "{lang}, {theme:?}:\n{}", found.join("\n"));
    Ok(browser.client.close().await?)
}

#[tokio::test]
async fn axe_finds_nothing_serious_in_english() -> Result<()> {
    nothing_serious(Theme::Light, "en").await
}

#[tokio::test]
async fn axe_finds_nothing_serious_in_korean() -> Result<()> {
    nothing_serious(Theme::Dark, "ko").await
}
