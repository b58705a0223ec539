//! A browser of one's own: a driver on a port that the kernel picks, and a profile that is gone afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stack::{Launch, Process, try_wait_for};
use tempfile::TempDir;
use thirtyfour::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;

/// Debian's packages of the browser, of its driver, and of a font that has Hangul.
const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-nanum"];

/// Headless, alone, and calling nobody.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
];

/// A page that takes longer to say what it should is wrong.
const APPEARS_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Sizes at which pages are looked at: a desk's and a phone's.
pub const WIDE: (u32, u32) = (1_280, 900);
pub const NARROW: (u32, u32) = (390, 844);

/// The browser's and its driver's programs.
#[derive(Clone)]
pub struct Programs {
    browser: PathBuf,
    driver: PathBuf,
}

/// What is needed, installed where it is missing; why not, where it cannot be.
pub fn programs() -> Result<Programs, String> {
    let program = |name: &str| stack::package_program(name, &PACKAGES).map_err(|error| format!("{error:#}"));
    Ok(Programs { browser: program("chromium")?, driver: program("chromedriver")? })
}

/// One browser. Fields end in this order.
pub struct Browser {
    driver: WebDriver,
    _process: Process,
    _folder: TempDir,
}

impl Browser {
    /// Opens one that prefers this language, "ko" or "en".
    pub async fn open(programs: &Programs, language: &str) -> Browser {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process =
            Launch::new(&programs.driver, folder.path().join("driver.log")).arg("--port=0").spawn().unwrap();
        let port = try_wait_for("the driver's port", APPEARS_MAX, || {
            assert!(process.is_running(), "{}", process.log());
            let log = process.log();
            let (_, rest) = log.split_once("started successfully on port ")?;
            rest.split_once(".\n").map(|(port, _)| port.to_owned())
        })
        .expect("the driver says its port");
        let mut wanted = DesiredCapabilities::chrome();
        for argument in ARGUMENTS {
            wanted.add_arg(argument).expect("an argument");
        }
        for argument in [
            format!("--user-data-dir={}", folder.path().join("profile").display()),
            format!("--lang={language}"),
            format!("--accept-lang={language}"),
            format!("--window-size={},{}", WIDE.0, WIDE.1),
        ] {
            wanted.add_arg(&argument).expect("an argument");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::Warning).expect("a log");
        wanted.set_binary(programs.browser.to_str().expect("a path of characters")).expect("the browser");
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.expect("a browser");
        Browser { driver, _process: process, _folder: folder }
    }

    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub async fn reload(&self) {
        self.driver.refresh().await.expect("a reload");
    }

    /// The first visible element of this selector, waited for.
    pub async fn find(&self, selector: &str) -> WebElement {
        self.look(By::Css(selector), selector).await
    }

    /// The first visible button or link with this text.
    pub async fn button(&self, text: &str) -> WebElement {
        let path = format!("//*[self::button or self::a][contains(normalize-space(.), '{text}')]");
        self.look(By::XPath(path), text).await
    }

    pub async fn click(&self, text: &str) {
        self.button(text).await.click().await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// The field whose label begins with this text.
    pub async fn field(&self, label: &str) -> WebElement {
        let path = format!("//label[starts-with(normalize-space(.), '{label}')]");
        let found = self.look(By::XPath(path.clone()), label).await;
        match found.attr("for").await.expect("an attribute") {
            Some(id) => self.find(&format!("#{id}")).await,
            None => {
                self.look(By::XPath(format!("{path}//*[self::input or self::select or self::textarea]")), label).await
            }
        }
    }

    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.expect("an empty field");
        field.send_keys(text).await.unwrap_or_else(|error| panic!("{label}: {error}"));
    }

    /// Waits until the page shows this text.
    pub async fn see(&self, text: &str) {
        let body = By::Tag("body");
        let what = format!("{text:?} on the page");
        let shown = stack::try_wait_for_async(&what, APPEARS_MAX, || async {
            let body = self.driver.find(body.clone()).await.ok()?;
            body.text().await.ok()?.contains(text).then_some(())
        });
        if let Err(late) = shown.await {
            panic!("{late:#}; it shows:\n{}", self.text().await);
        }
    }

    /// Waits until the page no longer shows this text.
    pub async fn see_gone(&self, text: &str) {
        stack::wait_for_async(&format!("{text:?} to be gone"), APPEARS_MAX, || async {
            (!self.text().await.contains(text)).then_some(())
        })
        .await;
    }

    /// All that is visible.
    pub async fn text(&self) -> String {
        let Ok(body) = self.driver.find(By::Tag("body")).await else { return String::new() };
        body.text().await.unwrap_or_default()
    }

    /// Runs a script's body in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> serde_json::Value {
        self.driver.execute(script, vec![]).await.expect("a script that ends").json().clone()
    }

    /// Runs a script that calls its last argument when it is done.
    pub async fn run_to_end(&self, script: &str) -> serde_json::Value {
        self.driver.execute_async(script, vec![]).await.expect("a script that ends").json().clone()
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: &str) {
        self.driver.active_element().await.expect("a focus").send_keys(key).await.expect("a key");
    }

    /// Goes on by the tabulator until what has the focus says this.
    pub async fn tab_to(&self, text: &str) {
        const TABULATOR: &str = "\u{e004}";
        const STOPS_MAX: usize = 60;
        for _ in 0..STOPS_MAX {
            self.press(TABULATOR).await;
            let said = self.run("return document.activeElement.textContent").await;
            if said.as_str().is_some_and(|said| said.contains(text)) {
                return;
            }
        }
        panic!(
            "{text:?} is not among the first {STOPS_MAX} stops of the keyboard; the page shows:\n{}",
            self.text().await
        );
    }

    /// What the browser said of the pages since it was last asked: errors in scripts, what could not be loaded, what the
    /// policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let said = self.driver.browser_log().await.expect("the browser's log");
        said.into_iter().map(|entry| entry.message).collect()
    }

    pub async fn resize(&self, (width, height): (u32, u32)) {
        self.driver.set_window_rect(0, 0, width, height).await.expect("another size");
    }

    /// Keeps a picture of the page, as it is in the window, in `target/screenshots`.
    pub async fn keep_picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let file = folder.join(format!("{name}.png"));
        self.driver.screenshot(&file).await.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Ends the session; the driver and the profile go with this value.
    pub async fn close(self) {
        self.driver.clone().quit().await.expect("an orderly end");
    }

    async fn look(&self, by: By, what: &str) -> WebElement {
        let query = self.driver.query(by).wait(APPEARS_MAX, LOOK_EVERY).and_displayed();
        match query.first().await {
            Ok(found) => found,
            Err(error) => panic!("{what}: {error}; the page shows:\n{}", self.text().await),
        }
    }
}
