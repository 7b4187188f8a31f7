//! Firefox without a window, driven over WebDriver BiDi, which it speaks itself: nothing stands between.
//!
//! As `support/browser.rs` is for Chromium, with what the walk needs. Every page is a visitor of its own. Nothing here
//! waits for a fixed time: conditions are polled until a deadline.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::browser::end;
use crate::support::wire::{ANSWER_TIME_MAX, POLL_INTERVAL, Wire, program};

/// It asks nobody for anything: no proxy, no updates, no reports. The rest it sees to itself while it is driven.
const PREFERENCES: &str = "user_pref('network.proxy.type', 0);
user_pref('app.normandy.enabled', false);
user_pref('app.update.disabledForTesting', true);
user_pref('browser.shell.checkDefaultBrowser', false);
user_pref('browser.aboutwelcome.enabled', false);
user_pref('browser.newtabpage.enabled', false);
user_pref('datareporting.policy.dataSubmissionEnabled', false);
user_pref('network.captive-portal-service.enabled', false);
user_pref('network.connectivity-service.enabled', false);
user_pref('services.settings.server', 'data:,nowhere');
user_pref('toolkit.telemetry.enabled', false);
";

/// What the log of a page does not have by itself: files that do not come, and what the security policy forbids.
const TELL_ERRORS: &str = "() => {
    addEventListener('error', ({ target }) => target?.localName && console.error('not loaded:', target.outerHTML), true);
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
        console.error('forbidden:', violatedDirective, blockedURI));
}";

/// Enter, as WebDriver writes keys that are no characters.
pub(crate) const ENTER: char = '\u{E007}';
/// Up.
pub(crate) const UP: char = '\u{E013}';
/// Down.
pub(crate) const DOWN: char = '\u{E015}';
/// To the last.
pub(crate) const END: char = '\u{E010}';
/// Leaves what is open.
pub(crate) const ESCAPE: char = '\u{E00C}';
/// To the next control.
pub(crate) const TAB: char = '\u{E004}';
/// Held for what is pressed while it is.
const SHIFT: char = '\u{E008}';

/// A running browser, ended and cleaned up when dropped.
pub(crate) struct Firefox {
    child: Child,
    profile: PathBuf,
    wire: Rc<Wire>,
}

/// One tab.
pub(crate) struct Page {
    wire: Rc<Wire>,
    context: String,
    visitor: String,
}

impl Firefox {
    /// Starts Firefox. Without one the test fails: a test that is skipped proves nothing.
    pub(crate) fn launch() -> Firefox {
        static LAUNCHES: AtomicU32 = AtomicU32::new(0);
        let number = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("wsloop-firefox-{}-{number}", std::process::id()));
        fs::create_dir_all(&profile).expect("the folder for temporary files can be written");
        fs::write(profile.join("user.js"), PREFERENCES).expect("the new folder can be written");
        let log = File::create(profile.join("log.txt")).expect("the new folder can be written");
        let program = program("WSLOOP_FIREFOX", &["firefox-esr", "firefox"]);
        let mut child = Command::new(&program)
            .args(["--headless", "--no-remote", "--remote-debugging-port=0", "--profile"])
            .arg(&profile)
            .arg("about:blank")
            .env("HOME", &profile)
            .env("MOZ_CRASHREPORTER_DISABLE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let Some(port) = wait_for_port(&profile) else {
            let log = fs::read_to_string(profile.join("log.txt")).unwrap_or_default();
            end(&mut child, &profile);
            panic!("{} did not start within {ANSWER_TIME_MAX:?}; it says:\n{log}", program.display());
        };
        let wire = Rc::new(Wire::connect(&format!("ws://127.0.0.1:{port}/session")));
        wire.call("", "session.new", json!({ "capabilities": {} }));
        wire.call("", "session.subscribe", json!({ "events": ["log.entryAdded"] }));
        wire.call("", "script.addPreloadScript", json!({ "functionDeclaration": TELL_ERRORS }));
        Firefox { child, profile, wire }
    }

    /// Opens `url` in a page of a new visitor and waits until it has loaded.
    pub(crate) fn page(&self, url: &str) -> Page {
        let visitor = self.wire.call("", "browser.createUserContext", json!({}))["userContext"].clone();
        let page = Page::open(&self.wire, text_of(&visitor));
        page.navigate(url);
        page
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // After a failure it may have gone already, and then nothing is left to close.
        let _ = self.wire.send("", "browser.close", &json!({}));
        end(&mut self.child, &self.profile);
    }
}

impl Page {
    fn open(wire: &Rc<Wire>, visitor: String) -> Page {
        let tab = json!({ "type": "tab", "userContext": visitor });
        let context = text_of(&wire.call("", "browsingContext.create", tab)["context"]);
        Page { wire: Rc::clone(wire), context, visitor }
    }

    /// Another tab of the same visitor in the same window, in front of this one.
    pub(crate) fn tab_in_front(&self) -> Page {
        let tab = Page::open(&self.wire, self.visitor.clone());
        tab.come_to_front();
        tab
    }

    /// Puts this tab before the others.
    pub(crate) fn come_to_front(&self) {
        self.wire.call("", "browsingContext.activate", json!({ "context": self.context }));
    }

    /// Goes to `url` and waits until it has loaded.
    pub(crate) fn navigate(&self, url: &str) {
        let place = json!({ "context": self.context, "url": url, "wait": "complete" });
        self.wire.call("", "browsingContext.navigate", place);
    }

    /// Loads the page again and waits until it has loaded.
    pub(crate) fn reload(&self) {
        self.wire.call("", "browsingContext.reload", json!({ "context": self.context, "wait": "complete" }));
    }

    /// The value of a JavaScript expression; panics when it throws.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The value of an expression that is a string.
    pub(crate) fn text(&self, expression: &str) -> String {
        text_of(&self.evaluate(expression))
    }

    /// Polls a JavaScript condition until it is true.
    pub(crate) fn wait_for(&self, condition: &str, within: Duration) {
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

    /// Presses these keys, one after the other, at what has the focus.
    pub(crate) fn press(&self, keys: &str) {
        let events = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| key_event(kind, key)));
        self.press_events(&events.collect::<Vec<_>>());
    }

    /// Presses a key while Shift is held.
    pub(crate) fn press_with_shift(&self, key: char) {
        let held = [("keyDown", SHIFT), ("keyDown", key), ("keyUp", key), ("keyUp", SHIFT)];
        self.press_events(&held.map(|(kind, key)| key_event(kind, key)));
    }

    fn press_events(&self, events: &[Value]) {
        self.act(json!({ "type": "key", "id": "keyboard", "actions": events }));
    }

    /// Moves the mouse to the middle of what this selector finds first, which must be in view.
    pub(crate) fn point(&self, selector: &str) {
        self.use_mouse(selector, &[]);
    }

    /// Presses the mouse button there.
    pub(crate) fn click(&self, selector: &str) {
        let button = |kind: &str| json!({ "type": kind, "button": 0 });
        self.use_mouse(selector, &[button("pointerDown"), button("pointerUp")]);
    }

    fn use_mouse(&self, selector: &str, then: &[Value]) {
        let place = self.evaluate(&format!(
            "(() => {{ const found = document.querySelector({});
                const box = found?.getBoundingClientRect();
                const [x, y] = [box?.x + box?.width / 2, box?.y + box?.height / 2].map(Math.round);
                const hit = box && document.elementFromPoint(x, y);
                return hit && (found.contains(hit) || hit.contains(found)) ? [x, y] : null; }})()",
            json!(selector)
        ));
        assert!(place.is_array(), "{selector} is not there to be pointed at");
        let mut events =
            vec![json!({ "type": "pointerMove", "x": place[0], "y": place[1], "origin": "viewport" })];
        events.extend_from_slice(then);
        self.act(json!({ "type": "pointer", "id": "mouse", "actions": events }));
    }

    #[allow(clippy::needless_pass_by_value)] // A json!() literal at each call reads better without a borrow.
    fn act(&self, source: Value) {
        self.wire.call("", "input.performActions", json!({ "context": self.context, "actions": [source] }));
    }

    /// Every error of the page so far: exceptions, files that did not come, what its security policy forbade.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.evaluate("1"); // Its answer comes after the events before it.
        let entries = self.wire.events("", "log.entryAdded").into_iter();
        entries
            .filter(|entry| entry["source"]["context"] == json!(self.context) && entry["level"] == "error")
            .map(|entry| entry.to_string())
            .collect()
    }

    /// As JSON, which has all that a test asks for.
    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let expression =
            format!("Promise.resolve({expression}).then((value) => JSON.stringify(value) ?? 'null')");
        let asked = json!({
            "expression": expression, "target": { "context": self.context }, "awaitPromise": true,
        });
        let answer = self.wire.try_call("", "script.evaluate", &asked)?;
        match answer["result"]["value"].as_str() {
            Some(text) => Ok(serde_json::from_str(text).expect("JSON.stringify writes JSON")),
            None => Err(answer["exceptionDetails"]["text"].to_string()),
        }
    }
}

fn key_event(kind: &str, key: char) -> Value {
    json!({ "type": kind, "value": key })
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("this should be a string: {value}")).to_owned()
}

/// The browser writes the port that it chose into a file of its profile.
fn wait_for_port(profile: &Path) -> Option<u16> {
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    while Instant::now() < deadline {
        let written = fs::read(profile.join("WebDriverBiDiServer.json")).unwrap_or_default();
        let server: Option<Value> = serde_json::from_slice(&written).ok();
        if let Some(port) = server.and_then(|server| server["ws_port"].as_u64()) {
            return u16::try_from(port).ok();
        }
        thread::sleep(POLL_INTERVAL);
    }
    None
}
