//! Chromium without a window, driven over its DevTools protocol: pages that people would sit at.
//!
//! One WebSocket goes to the browser; each page is a session on it. Every page is a visitor of its own, with a
//! storage of its own. Nothing here waits for a fixed time: conditions are polled until a deadline.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use super::key::Key;
use super::wire::{ANSWER_TIME_MAX, POLL_INTERVAL, Wire, program};

/// The first three keep it on this machine; the others let pages run at full speed though no one sees them.
const FLAGS: [&str; 18] = [
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
    "--window-size=1000,720",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-port=0",
];

/// A running browser, ended and cleaned up when dropped.
pub struct Browser {
    child: Child,
    profile: PathBuf,
    wire: Rc<Wire>,
}

/// One tab of a browser.
pub struct Page {
    wire: Rc<Wire>,
    session: String,
    target: String,
    context: String,
}

impl Browser {
    /// Starts Chromium. Without one the test fails: a test that is skipped proves nothing.
    pub fn launch() -> Browser {
        static LAUNCHES: AtomicU32 = AtomicU32::new(0);
        let number = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("wsloop-browser-{}-{number}", std::process::id()));
        fs::create_dir_all(&profile).expect("the folder for temporary files can be written");
        let log = File::create(profile.join("log.txt")).expect("the new folder can be written");
        let program = program("WSLOOP_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]);
        let mut child = Command::new(&program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        match wait_for_url(&profile) {
            Some(url) => Browser { child, wire: Rc::new(Wire::connect(&url)), profile },
            None => {
                let log = fs::read_to_string(profile.join("log.txt")).unwrap_or_default();
                end(&mut child, &profile);
                panic!("{} did not start within {ANSWER_TIME_MAX:?}; it says:\n{log}", program.display());
            }
        }
    }

    /// Opens `url` in a page of a new visitor and waits until it has loaded.
    pub fn page(&self, url: &str) -> Page {
        let page = self.blank_page();
        page.navigate(url);
        page
    }

    /// As `page`, for a visitor who has chosen `name` at a visit before.
    pub fn page_named(&self, url: &str, name: &str) -> Page {
        let page = self.blank_page();
        page.before_load(&format!("localStorage.setItem('wsloop.name', {});", json!(name)));
        page.navigate(url);
        page
    }

    /// A page that has not loaded anything yet, for `before_load`.
    pub fn blank_page(&self) -> Page {
        let context = self.wire.call("", "Target.createBrowserContext", json!({ "disposeOnDetach": true }));
        Page::open(&self.wire, text_of(&context, "browserContextId"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failure it may have gone already, and then nothing is left to close.
        let _ = self.wire.send("", "Browser.close", &json!({}));
        end(&mut self.child, &self.profile);
    }
}

impl Page {
    fn open(wire: &Rc<Wire>, context: String) -> Page {
        let blank = json!({ "url": "about:blank", "browserContextId": context });
        let target = text_of(&wire.call("", "Target.createTarget", blank), "targetId");
        let attach = json!({ "targetId": target, "flatten": true });
        let session = text_of(&wire.call("", "Target.attachToTarget", attach), "sessionId");
        let page = Page { wire: Rc::clone(wire), session, target, context };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.focus_always(true);
        page
    }

    /// Another tab of the same visitor in the same window, in front of this one.
    pub fn tab_in_front(&self) -> Page {
        let tab = Page::open(&self.wire, self.context.clone());
        self.wire.call("", "Target.activateTarget", json!({ "targetId": tab.target }));
        tab
    }

    /// Makes the page believe that it is in front and has the focus, whichever other page is.
    pub fn focus_always(&self, enabled: bool) {
        self.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": enabled }));
    }

    /// Runs `script` in every document before its own scripts.
    pub fn before_load(&self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    /// Goes to `url` and waits until it has loaded.
    pub fn navigate(&self, url: &str) {
        self.load(|| {
            let answer = self.call("Page.navigate", json!({ "url": url }));
            assert_eq!(answer.get("errorText"), None, "{url} cannot be loaded");
        });
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.load(|| {
            self.call("Page.reload", json!({}));
        });
    }

    /// Does what loads a page and waits until it has loaded.
    pub fn load(&self, cause: impl FnOnce()) {
        let before = self.wire.events(&self.session, "Page.loadEventFired").len();
        cause();
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        while self.wire.events(&self.session, "Page.loadEventFired").len() == before {
            assert!(Instant::now() < deadline, "no page has loaded within {ANSWER_TIME_MAX:?}");
            self.wire.read_once();
        }
    }

    /// Closes the tab, as a person would.
    pub fn close(self) {
        self.wire.call("", "Target.closeTarget", json!({ "targetId": self.target }));
    }

    /// The value of a JavaScript expression; panics when it throws.
    pub fn evaluate(&self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The value of an expression that is a string.
    pub fn text(&self, expression: &str) -> String {
        match self.evaluate(expression) {
            Value::String(text) => text,
            other => panic!("{expression} is no string but {other}"),
        }
    }

    /// Polls a JavaScript condition until it is true.
    pub fn wait_for(&self, condition: &str, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            // While a page loads there is nothing to evaluate in; that is no failure yet.
            let seen = self.try_evaluate(condition);
            if seen == Ok(Value::Bool(true)) {
                return;
            }
            if Instant::now() >= deadline {
                let shown = self.try_evaluate("document.body.innerText.slice(-2000)");
                panic!("not within {within:?}: {condition} (last: {seen:?}); the page shows {shown:?}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Enters text at the focus, as a paste or an input method does.
    pub fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Shows `text` at the focus as not yet decided, as an input method does.
    pub fn compose(&self, text: &str) {
        let end = text.encode_utf16().count();
        self.call(
            "Input.imeSetComposition",
            json!({ "text": text, "selectionStart": end, "selectionEnd": end }),
        );
    }

    /// Presses a key and lets it go.
    pub fn press(&self, key: Key) {
        let (name, text, code, modifiers) = key.described();
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [down, "keyUp"] {
            let event = json!({
                "type": kind, "key": name, "code": if name == " " { "Space" } else { name },
                "windowsVirtualKeyCode": code, "modifiers": modifiers,
                "text": if kind == "keyDown" { text } else { "" },
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Sets the size of the page's window; `mobile` as on a phone, with a touch screen.
    pub fn set_viewport(&self, width: u32, height: u32, mobile: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": mobile }));
    }

    /// Sets a media feature, such as `prefers-color-scheme`.
    pub fn emulate_media(&self, name: &str, value: &str) {
        self.call("Emulation.setEmulatedMedia", json!({ "features": [{ "name": name, "value": value }] }));
    }

    /// Makes the page's network one of this time there and back and of these thousand bits a second, both ways.
    pub fn emulate_network(&self, round_trip: Duration, kilobits: u32) {
        let bytes = kilobits * 1000 / 8;
        let latency = u32::try_from(round_trip.as_millis()).expect("a round trip takes seconds at most");
        let conditions = json!({
            "offline": false, "latency": latency, "downloadThroughput": bytes, "uploadThroughput": bytes,
        });
        self.call("Network.emulateNetworkConditions", conditions);
    }

    /// How many bytes its scripts hold, without what nobody holds any more.
    pub fn heap_bytes(&self) -> f64 {
        self.call("HeapProfiler.collectGarbage", json!({}));
        let usage = self.call("Runtime.getHeapUsage", json!({}));
        usage["usedSize"].as_f64().expect("a number of bytes")
    }

    /// Writes what the page looks like as a PNG.
    pub fn screenshot(&self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let image = STANDARD.decode(text_of(&answer, "data")).expect("the browser encodes images in Base64");
        fs::write(path, image)
            .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }

    /// Every error of the page so far: exceptions, failed requests, what its security policy forbade.
    pub fn console_errors(&self) -> Vec<String> {
        self.evaluate("1"); // Its answer comes after the events before it.
        let events = |method: &str| self.wire.events(&self.session, method).into_iter();
        events("Runtime.exceptionThrown")
            .chain(events("Log.entryAdded").filter(|entry| entry["entry"]["level"] == "error"))
            .chain(events("Runtime.consoleAPICalled").filter(|call| call["type"] == "error"))
            .map(|event| event.to_string())
            .collect()
    }

    /// The URLs of all requests and WebSocket connections of the page so far.
    pub fn requested_urls(&self) -> Vec<String> {
        self.evaluate("1");
        let events = |method: &str| self.wire.events(&self.session, method).into_iter();
        events("Network.requestWillBeSent")
            .map(|event| text_of(&event["request"], "url"))
            .chain(events("Network.webSocketCreated").map(|event| text_of(&event, "url")))
            .collect()
    }

    /// The web app manifest that the browser has found, its `url`, and the `errors` that it sees in it.
    pub fn app_manifest(&self) -> Value {
        self.call("Page.getAppManifest", json!({}))
    }

    /// What a screen reader finds: role, name and whether it can have the focus.
    pub fn accessible_nodes(&self) -> Vec<(String, String, bool)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("the tree is a list of nodes");
        let value = |node: &Value, field: &str| node[field]["value"].as_str().unwrap_or("").to_string();
        nodes
            .iter()
            .filter(|node| node["ignored"] == false)
            .map(|node| {
                let properties = node["properties"].as_array().map_or(&[][..], Vec::as_slice);
                let focusable = properties.iter().any(|property| property["name"] == "focusable");
                (value(node, "role"), value(node, "name"), focusable)
            })
            .collect()
    }

    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let arguments = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.wire.try_call(&self.session, "Runtime.evaluate", &arguments)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    #[allow(clippy::needless_pass_by_value)] // A json!() literal at each call reads better without a borrow.
    pub(super) fn call(&self, method: &str, arguments: Value) -> Value {
        self.wire.call(&self.session, method, arguments)
    }
}

fn text_of(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        other => panic!("{field} should be a string and is {other} in {value}"),
    }
}

/// The browser writes the port that it chose, and a path, into a file of its profile.
fn wait_for_url(profile: &Path) -> Option<String> {
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    while Instant::now() < deadline {
        let written = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = written.split_once('\n').filter(|(_, path)| path.starts_with('/')) {
            return Some(format!("ws://127.0.0.1:{port}{}", path.trim_end()));
        }
        thread::sleep(POLL_INTERVAL);
    }
    None
}

/// Waits for a browser that was asked to close, ends it when it does not, and removes what it wrote.
pub fn end(child: &mut Child, profile: &Path) {
    let deadline = Instant::now() + Duration::from_secs(3);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
    }
    let _ = child.kill();
    let _ = child.wait();
    // Its other processes end a moment later and may still write.
    while profile.exists() && fs::remove_dir_all(profile).is_err() && Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
    }
}
