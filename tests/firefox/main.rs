//! The chat page in headless Firefox, against the built server: the walk of a visitor, in a second engine. What a page
//! does in detail is told in `browser`; here is what another engine may do otherwise.

#[path = "../support/mod.rs"]
mod support;

mod browser;

use std::time::Duration;

use browser::{DOWN, END, ENTER, ESCAPE, Firefox, Page, TAB, UP};
use serde_json::json;
use support::client::{Client, without_time};
use support::json::JsonClient;
use support::server::{Wsloop, own_port};

/// How long anything on the page may take on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

const OWN_TEXTS: &str = "[...document.querySelectorAll('.mine .text')].map((text) => text.textContent)";

/// Comes to `path` for the first time, and answers what one is asked who writes.
fn come(firefox: &Firefox, url: &str, name: &str) -> Page {
    let page = firefox.page(url);
    wait_for_phase(&page, "connected");
    page.click("#message");
    page.press(&format!("hello from {name}{ENTER}"));
    page.wait_for("document.querySelector('#name-dialog').open", SOON);
    page.press(&format!("{name}{ENTER}"));
    wait_for_line(&page, &format!("{name} say: hello from {name}"));
    page.wait_for("document.querySelector('.mine').dataset.state === 'sent'", SOON);
    page
}

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

fn wait_for_value(page: &Page, expression: &str, wanted: &serde_json::Value) {
    page.wait_for(&format!("JSON.stringify({expression}) === JSON.stringify({wanted})"), SOON);
}

fn assert_no_errors(page: &Page) {
    let errors = page.errors();
    assert!(errors.is_empty(), "the page has errors: {errors:#?}");
}

#[test]
fn who_writes_is_asked_for_a_name_and_hears_and_is_heard() {
    let server = Wsloop::start(&[]);
    let firefox = Firefox::launch();
    let mut bo = Client::join(&server, "/tea?name=Bo");
    let page = firefox.page(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    page.click("#message");
    page.press("one");
    page.press_with_shift(ENTER);
    page.press(&format!("**two**{ENTER}"));
    page.wait_for("document.querySelector('#name-dialog').open", SOON);
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 0, "nothing is said before");
    page.press(&format!("Ada{ENTER}"));
    assert_eq!(without_time(&bo.read_said()), "Ada say: one ⏎ **two**");
    page.wait_for("document.querySelector('.mine strong')?.textContent === 'two'", SOON);
    page.wait_for("document.querySelector('.mine').dataset.state === 'sent'", SOON);

    bo.send_text("hello <b>Ada</b>");
    wait_for_line(&page, "Bo say: hello <b>Ada</b>");
    assert_eq!(page.text("document.title"), "tea · wsloop");
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    for number in 1..=3 {
        bo.send_text(&format!("line {number}"));
    }
    wait_for_line(&page, "line 3");
    page.wait_for("document.title === '(3) tea · wsloop'", SOON);
    page.come_to_front();
    page.wait_for("!document.hidden && document.title === 'tea · wsloop'", SOON);
    assert_no_errors(&front);
    assert_no_errors(&page);
}

/// From where one writes to the last message, by these keys to another one, and opens what can be done with it.
fn open_actions(page: &Page, keys: &str) {
    let is_there = json!(true);
    for _ in 0..4 {
        if page.evaluate("document.activeElement.closest('#log') !== null") != is_there {
            page.press_with_shift(TAB);
        }
    }
    assert_eq!(page.evaluate("document.activeElement.closest('#log') !== null"), is_there, "few stops away");
    page.press(&format!("{END}{keys}{ENTER}"));
    page.wait_for("document.activeElement.dataset.action === 'answer'", SOON);
}

#[test]
fn what_was_said_is_edited_answered_deleted_and_reacted_to() {
    let server = Wsloop::start(&[]);
    let firefox = Firefox::launch();
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    let page = come(&firefox, &server.http_url("/tea"), "Ada");

    // From the log: Enter opens what can be done, of which the first is to answer.
    bo.say("and to you");
    wait_for_line(&page, "and to you");
    open_actions(&page, "");
    page.press(&format!("{ENTER}thank you{ENTER}"));
    bo.read_until_text("thank you");
    page.wait_for("[...document.querySelectorAll('.mine[data-state=sent]')].length === 2", SOON);

    // From where one writes: the last text comes back, and what is sent takes its place.
    page.press(&format!("{UP}!{ENTER}"));
    assert_eq!(bo.read_type("edit")["text"], "thank you!");
    wait_for_value(&page, OWN_TEXTS, &json!(["hello from Ada", "thank you!"]));

    // An emoji is the first of the list; a click takes it back.
    open_actions(&page, &UP.to_string());
    page.press_with_shift(TAB);
    page.wait_for("document.activeElement.id === 'act-emoji'", SOON);
    page.press(&format!("{DOWN}{ENTER}"));
    assert_eq!(bo.read_type("react")["on"], true);
    page.wait_for("document.querySelector('.theirs .reaction')?.dataset.emoji === '👍'", SOON);
    page.press(&ESCAPE.to_string());
    page.wait_for(
        "document.querySelector('#actions').hidden && document.activeElement.matches('.theirs')",
        SOON,
    );
    page.click(".theirs .reaction");
    assert_eq!(bo.read_type("react")["on"], false);
    page.wait_for("document.querySelector('.theirs .reaction') === null", SOON);

    // By the mouse, and then by the key, since it is asked for twice.
    page.point(".mine .text");
    page.wait_for("document.querySelector('.mine #actions:not([hidden])') !== null", SOON);
    page.click("[data-action=delete]");
    page.wait_for("document.querySelector('[data-action=delete]').textContent === 'Really delete?'", SOON);
    // A second click that soon would be a double click, which is no second thought.
    page.press(&ENTER.to_string());
    bo.read_type("delete");
    page.wait_for("document.querySelector('.mine').dataset.deleted !== undefined", SOON);
    assert!(!page.text("document.querySelector('#log').textContent").contains("hello from Ada"));
    assert_no_errors(&page);
}

#[test]
fn a_draft_outlives_a_reload_and_other_rooms_are_one_click_away() {
    let server = Wsloop::start(&[]);
    let firefox = Firefox::launch();
    let page = come(&firefox, &server.http_url("/garden"), "Ada");
    page.press("half a thought");
    page.reload();
    wait_for_phase(&page, "connected");
    wait_for_value(&page, "document.querySelector('#message').value", &json!("half a thought"));
    wait_for_value(&page, OWN_TEXTS, &json!(["hello from Ada"]));

    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    let rooms = "[...document.querySelectorAll('#rail a')].map((link) => link.textContent)";
    wait_for_value(&page, rooms, &json!(["garden", "tea"]));
    assert_eq!(page.text("document.querySelector('#message').value"), "", "a draft is of its room");
    page.click("#rail a[href='/garden']");
    page.wait_for("document.readyState === 'complete' && location.pathname === '/garden'", SOON);
    wait_for_phase(&page, "connected");
    wait_for_value(&page, OWN_TEXTS, &json!(["hello from Ada"]));
    wait_for_value(&page, "document.querySelector('#message').value", &json!("half a thought"));
    page.click("#message");
    page.press(&format!("{TAB}{ENTER}"));
    wait_for_value(&page, OWN_TEXTS, &json!(["hello from Ada", "half a thought"]));
    assert_no_errors(&page);
}

#[test]
fn the_page_comes_back_by_itself_when_the_server_does() {
    let port = own_port().to_string();
    let mut server = Wsloop::start(&["--port", &port]);
    let firefox = Firefox::launch();
    let page = come(&firefox, &server.http_url("/tea"), "Ada");
    server.signal("TERM");
    assert_eq!(server.wait_exit(SOON), Some(0));
    wait_for_phase(&page, "waiting");
    // What is written down is shown in the next frame.
    page.wait_for("document.querySelector('#log').textContent.includes('the server is restarting')", SOON);
    page.press(&format!("written meanwhile{ENTER}"));
    page.wait_for("[...document.querySelectorAll('.mine')].at(-1).dataset.state === 'sending'", SOON);

    let server = Wsloop::start(&["--port", &port]);
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelectorAll('.mine[data-state=sent]').length === 2", SOON);
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.send(&json!({ "type": "history" }));
    let history = bo.read_type("history");
    let said: Vec<_> =
        history["messages"].as_array().expect("a list").iter().map(|said| &said["text"]).collect();
    assert_eq!(said, ["written meanwhile"], "once");
    bo.say("welcome back");
    wait_for_line(&page, "Bo say: welcome back");
    // That nobody answered while the server was away is no mistake of the page.
    let other = page.errors().into_iter().filter(|error| !error.contains("can’t establish a connection"));
    assert_eq!(other.collect::<Vec<_>>(), Vec::<String>::new());
}
