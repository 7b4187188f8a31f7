//! The chat page in headless Chromium, against the built server: what somebody at the page sees and does.

#[path = "../support/mod.rs"]
mod support;

mod axe;
mod changes;
mod client;
mod commands;
mod connection;
mod dashboard;
mod figures;
mod find;
mod hostile;
mod looks;
mod names;
mod people;
mod permalink;
mod place;
mod rail;
mod reading;
mod refusals;
mod room;
mod screens;
mod talking;
mod texts;
mod unsent;
mod writing;

use std::time::Duration;

use serde_json::json;
use support::browser::{Browser, Key, Page};
use support::server::Wsloop;

/// How long anything on the page may take on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

/// A page of a visitor who has chosen this name before, connected.
fn join(browser: &Browser, server: &Wsloop, path: &str, name: &str) -> Page {
    let page = browser.page_named(&server.http_url(path), name);
    wait_for_phase(&page, "connected");
    page
}

/// Waits until the page says that it is in this phase of its connection.
fn wait_for_phase(page: &Page, phase: &str) {
    page.wait_for(&format!("document.querySelector('#status').dataset.phase === '{phase}'"), SOON);
}

/// Waits until the last line shown ends like this.
fn wait_for_line(page: &Page, end: &str) {
    page.wait_for(
        &format!("[...document.querySelectorAll('#log .line')].at(-1)?.textContent.endsWith({})", json!(end)),
        SOON,
    );
}

/// All lines that the page shows, as they came.
fn lines(page: &Page) -> Vec<String> {
    let shown = page.evaluate("[...document.querySelectorAll('#log .line')].map((line) => line.textContent)");
    let shown = shown.as_array().expect("map gives an array");
    shown.iter().map(|line| line.as_str().expect("textContent is a string").to_string()).collect()
}

/// A text as the lines of a room show it: in one.
fn one_line(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.split(['\n', '\u{b}', '\u{c}', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .collect::<Vec<_>>()
        .join(" ⏎ ")
}

/// The lines that somebody said; without joins and leaves.
fn said(page: &Page) -> Vec<String> {
    lines(page).into_iter().filter(|line| line.contains(" say: ") && !line.ends_with(" Logout")).collect()
}

/// Writes `text` into the box and presses Enter, as a person would.
fn say(page: &Page, text: &str) {
    page.click("message");
    page.type_text(text);
    page.press(Key::Enter);
}

/// Waits until the element with this id says this.
fn wait_for_words(page: &Page, id: &str, wanted: &str) {
    page.wait_for(&format!("document.getElementById('{id}').textContent === {}", json!(wanted)), SOON);
}

/// What is in the message box.
fn draft(page: &Page) -> String {
    page.text("document.querySelector('#message').value")
}

/// What the element with this id says.
fn words(page: &Page, id: &str) -> String {
    page.text(&format!("document.getElementById('{id}').textContent"))
}

/// The id of the element that has the focus.
fn focused(page: &Page) -> String {
    page.text("document.activeElement?.id ?? ''")
}

fn assert_no_errors(page: &Page) {
    let errors = page.console_errors();
    assert!(errors.is_empty(), "the page has errors: {errors:#?}");
}

/// Text as a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
