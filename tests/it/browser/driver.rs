//! chromedriver and its browsers.

use crate::support::{PATIENCE, eventually};
use anyhow::{Context, Result, bail, ensure};
use fantoccini::Locator::Css;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A desktop's width, in CSS pixels.
pub(super) const WIDE: u32 = 1440;
/// A telephone's.
pub(super) const NARROW: u32 = 390;

/// How long chromedriver may take to end its browsers.
const SHUT_DOWN_WITHIN: Duration = Duration::from_secs(10);

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
    On,
    Off,
}

/// What the system prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Light,
    Dark,
}

/// A chromedriver on a port of its own. Dropped, it ends with its browsers.
pub(super) struct Driver {
    _child: Child,
    port: u16,
    profiles: TempDir,
    drain: JoinHandle<()>,
}

impl Driver {
    pub(super) async fn start() -> Result<Self> {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .context("chromedriver: run `cargo xtask test`")?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let port = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return Ok(port.trim_end_matches('.').parse()?);
                }
            }
            bail!("it ended before it was ready")
        });
        let port = port.await.context("chromedriver does not get ready")??;
        // A full pipe would stop it.
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profiles = tempfile::Builder::new()
            .prefix("hoplog-browser-")
            .tempdir()?;
        Ok(Self {
            _child: child,
            port,
            profiles,
            drain,
        })
    }

    /// A browser that has never been used.
    pub(super) async fn browser(&self, scripts: Scripts) -> Result<Browser> {
        let profile = tempfile::Builder::new().tempdir_in(&self.profiles)?.keep();
        let folder = format!("--user-data-dir={}", profile.display());
        let mut arguments = vec![folder.as_str()];
        arguments.extend([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
        ]);
        let blocked = json!({"profile.managed_default_content_settings.javascript": 2});
        let preferences = if scripts == Scripts::Off {
            blocked
        } else {
            json!({})
        };
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities: Capabilities = serde_json::from_value(wanted)?;
        let url = format!("http://127.0.0.1:{}", self.port);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&url).await?;
        let id = client.session_id().await?.context("a session has an id")?;
        let session = format!("{url}/session/{id}");
        Ok(Browser {
            client,
            session,
            http: reqwest::Client::new(),
        })
    }

    fn shut_down(&self) -> std::io::Result<()> {
        let mut driver = TcpStream::connect(("127.0.0.1", self.port))?;
        driver.set_read_timeout(Some(SHUT_DOWN_WITHIN))?;
        driver.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        // It answers, and closes when it ends.
        driver.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked to, it ends its browsers; killed, it would leave them to themselves.
        drop(self.shut_down());
        self.drain.abort();
    }
}

/// A browser with one window.
pub(super) struct Browser {
    pub(super) client: Client,
    session: String,
    http: reqwest::Client,
}

impl Browser {
    /// A command of chromedriver that is not in the WebDriver standard.
    async fn command(&self, path: &str, body: &Value) -> Result<Value> {
        let asked = self
            .http
            .post(format!("{}/{path}", self.session))
            .json(body);
        let answer: Value = asked.send().await?.json().await?;
        ensure!(answer["value"]["error"].is_null(), "{path}: {answer}");
        Ok(answer["value"].clone())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": parameters});
        self.command("goog/cdp/execute", &body).await
    }

    /// From the next page on the window is as wide, and the system prefers that theme.
    pub(super) async fn dress(&self, theme: Theme, width: u32) -> Result<()> {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let value = if theme == Theme::Dark {
            "dark"
        } else {
            "light"
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features)
            .await?;
        Ok(())
    }

    /// Opens a page; nothing may have been blocked or gone wrong in it.
    pub(super) async fn open(&self, url: &str) -> Result<()> {
        self.client.goto(url).await?;
        self.is_clean().await.with_context(|| url.to_owned())
    }

    /// The browser has nothing to complain of since the last look: no violated policy, no script
    /// that failed, nothing that could not be loaded.
    async fn is_clean(&self) -> Result<()> {
        let log = self.command("se/log", &json!({"type": "browser"})).await?;
        let lines = log.as_array().context("the log is a list")?;
        let bad: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "SEVERE")
            .collect();
        ensure!(bad.is_empty(), "the browser says {bad:?}");
        Ok(())
    }

    /// What the element shows.
    pub(super) async fn text(&self, selector: &str) -> Result<String> {
        let found = self.client.find(Css(selector)).await;
        // The text as it stands: WebDriver's leaves out what is hidden from the eye.
        let element = found.with_context(|| selector.to_owned())?;
        let text = element.prop("textContent").await?.unwrap_or_default();
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// How many elements there are.
    pub(super) async fn count(&self, selector: &str) -> Result<usize> {
        Ok(self.client.find_all(Css(selector)).await?.len())
    }

    /// Clicks as a person would.
    pub(super) async fn click(&self, selector: &str) -> Result<()> {
        let element = self.client.find(Css(selector)).await;
        element
            .with_context(|| selector.to_owned())?
            .click()
            .await?;
        Ok(())
    }

    /// Waits for a page whose address has this in it.
    pub(super) async fn wait_for(&self, part: &str) -> Result<()> {
        eventually(format!("a page with {part} in its address"), async || {
            let url = self.client.current_url().await?;
            Ok(url.as_str().contains(part).then_some(()))
        })
        .await?;
        self.is_clean().await
    }

    /// Waits for an element.
    pub(super) async fn wait_for_find(&self, selector: &str) -> Result<()> {
        eventually(format!("{selector} on the page"), async || {
            Ok((self.count(selector).await? > 0).then_some(()))
        })
        .await?;
        self.is_clean().await
    }

    /// Nothing on the page is wider than the window.
    pub(super) async fn fits(&self) -> Result<()> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await?;
        let content = size["cssContentSize"]["width"]
            .as_u64()
            .context("no content size")?;
        let window = size["cssLayoutViewport"]["clientWidth"]
            .as_u64()
            .context("no viewport")?;
        ensure!(
            content <= window,
            "{content} pixels wide in a window of {window}"
        );
        Ok(())
    }

    /// Whether the page is light on dark.
    pub(super) async fn is_dark(&self) -> Result<bool> {
        let script = "return getComputedStyle(document.body).backgroundColor";
        let colour = self.client.execute(script, Vec::new()).await?;
        let text = colour.as_str().context("no colour")?;
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        let parts: Vec<f64> = numbers.filter_map(|part| part.parse().ok()).collect();
        ensure!(parts.len() >= 3, "{text}");
        Ok(parts[..3].iter().sum::<f64>() < 384.0)
    }

    /// Ends it in order; its log must be clean.
    pub(super) async fn close(self) -> Result<()> {
        self.is_clean().await?;
        Ok(self.client.close().await?)
    }
}
