//! The pages in a real Chromium: with and without JavaScript, light and dark, wide and narrow.

mod axe;
mod driver;
mod shop;

use crate::support::Hoplog;
use anyhow::{Context, Result, ensure};
use driver::{Browser, Driver, NARROW, Scripts, Theme, WIDE};
use fantoccini::Locator::Css;
use shop::Shop;

/// Requests on a page of the search.
const PAGE: usize = 50;

/// The heading, the rows and the width of the search page.
async fn look_at_requests(browser: &Browser, hoplog: &Hoplog) -> Result<()> {
    browser.open(&hoplog.url("/requests")).await?;
    ensure!(
        !browser.text("main h1").await?.is_empty(),
        "the page has no heading"
    );
    let rows = browser.count("table.req tbody tr:not(.day)").await?;
    ensure!(rows == PAGE, "{rows} rows");
    browser.fits().await
}

/// The heading, the rows and the width of a request's page.
async fn look_at_request(browser: &Browser, hoplog: &Hoplog, shop: &Shop) -> Result<()> {
    browser
        .open(&hoplog.url(&format!("/requests/{}", shop.failed)))
        .await?;
    let heading = browser.text("main h1").await?;
    ensure!(heading.contains("/orders/{id}"), "{heading}");
    let rows = browser.count(".wf .wr").await?;
    ensure!(rows == shop::HOPS, "{rows} rows in the waterfall");
    let story = browser.text("section.find").await?;
    ensure!(
        story.contains("payments"),
        "no word of where it failed: {story}"
    );
    browser.fits().await
}

/// The page of a request of 20,000 spans.
async fn look_at_large(browser: &Browser, hoplog: &Hoplog, shop: &Shop) -> Result<()> {
    browser
        .open(&hoplog.url(&format!("/requests/{}", shop.large)))
        .await?;
    ensure!(
        browser.text("main").await?.contains("20,000"),
        "it does not say how many spans"
    );
    // Steps alike are one row that can be unfolded.
    let rows = browser.count(".wf .wr").await?;
    ensure!((2..1_000).contains(&rows), "{rows} rows in the waterfall");
    browser.fits().await
}

/// Types a query, opens a request from the list, and a span from its waterfall.
async fn find_and_open(browser: &Browser, hoplog: &Hoplog) -> Result<()> {
    browser.open(&hoplog.url("/requests")).await?;
    browser
        .client
        .find(Css("#q"))
        .await?
        .send_keys("status:error")
        .await?;
    browser.click("form.qwrap button.pri").await?;
    browser.wait_for("status%3Aerror").await?;
    let rows = browser.count("table.req tbody tr:not(.day)").await?;
    let failed = browser.count("table.req tbody .pill.e").await?;
    ensure!(
        rows == shop::FAILED && failed >= rows,
        "{rows} rows, {failed} of them failed"
    );

    browser.click("table.req tbody a.row").await?;
    browser.wait_for("/requests/").await?;
    ensure!(browser.count(".wf .wr").await? == shop::HOPS);
    let last = browser.client.find_all(Css(".wf .wr a.s")).await?;
    last.last()
        .context("no link in the waterfall")?
        .click()
        .await?;
    browser.wait_for("span=").await?;
    let panel = browser.text("#span").await?;
    ensure!(
        panel.contains("payments") && panel.contains("card_declined"),
        "{panel}"
    );
    ensure!(
        browser.count(".wf .wr[aria-selected=true]").await? == 1,
        "no row is selected"
    );
    Ok(())
}

/// The switches in the top bar.
async fn switch(browser: &Browser, hoplog: &Hoplog) -> Result<()> {
    browser.open(&hoplog.url("/pipeline")).await?;
    browser.dress(Theme::Light, WIDE).await?;
    ensure!(!browser.is_dark().await?, "it is dark in the light");
    browser.click("form[data-theme-toggle] button").await?;
    browser.wait_for_find("html[data-theme=dark]").await?;
    ensure!(browser.is_dark().await?, "it is light in the dark");
    browser.click("button[name=lang]").await?;
    browser
        .wait_for_find("html[lang=ko][data-theme=dark]")
        .await?;
    browser.click("button[name=lang]").await?;
    browser.wait_for_find("html[lang=en]").await?;
    Ok(())
}

async fn the_pages_work(scripts: Scripts) -> Result<()> {
    let hoplog = Hoplog::start(shop::CONFIG).await?;
    let shop = Shop::open(&hoplog).await?;
    let driver = Driver::start().await?;
    let browser = driver.browser(scripts).await?;
    for theme in [Theme::Light, Theme::Dark] {
        for width in [WIDE, NARROW] {
            let how = format!("{scripts:?}, {theme:?}, {width} wide");
            browser.dress(theme, width).await?;
            look_at_requests(&browser, &hoplog)
                .await
                .with_context(|| how.clone())?;
            ensure!(
                browser.is_dark().await? == (theme == Theme::Dark),
                "{how}: wrong light"
            );
            look_at_request(&browser, &hoplog, &shop)
                .await
                .with_context(|| how.clone())?;
            look_at_large(&browser, &hoplog, &shop)
                .await
                .with_context(|| how)?;
        }
    }
    let zone = browser.client.get_named_cookie("zone").await;
    ensure!(
        zone.is_ok() == (scripts == Scripts::On),
        "scripts are not {scripts:?}"
    );
    browser.dress(Theme::Light, WIDE).await?;
    find_and_open(&browser, &hoplog).await?;
    browser.dress(Theme::Light, NARROW).await?;
    find_and_open(&browser, &hoplog).await.context("narrow")?;
    switch(&browser, &hoplog).await?;
    browser.close().await
}

#[tokio::test]
async fn the_pages_work_with_javascript() -> Result<()> {
    the_pages_work(Scripts::On).await
}

#[tokio::test]
async fn the_pages_work_without_javascript() -> Result<()> {
    the_pages_work(Scripts::Off).await
}

/// Bytes of a page as a browser gets it.
async fn transferred(url: &str) -> Result<usize> {
    let asked = reqwest::Client::new()
        .get(url)
        .header("accept-encoding", "gzip");
    let answer = asked.send().await?.error_for_status()?;
    let encoding = answer.headers().get("content-encoding").cloned();
    ensure!(
        encoding.is_some_and(|encoding| encoding == "gzip"),
        "{url}: not packed"
    );
    Ok(answer.bytes().await?.len())
}

#[tokio::test]
async fn a_request_of_20_000_spans_comes_in_60_kilobytes() -> Result<()> {
    let hoplog = Hoplog::start(shop::CONFIG).await?;
    let shop = Shop::open(&hoplog).await?;
    // As it opens, with nothing folded, and with everything folded.
    for fold in ["", "?fold=none", "?fold=all"] {
        let path = format!("/requests/{}{fold}", shop.large);
        let bytes = transferred(&hoplog.url(&path)).await?;
        ensure!(bytes < 60_000, "{path}: {bytes} bytes");
    }
    Ok(())
}
