//! Reading the messages by keyboard and by ear: one stop of the Tab key, arrows from message to message, and each new
//! line announced once.

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::Client;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, focused, join, said, say, wait_for_line, wait_for_phase};

/// The text of the message that has the focus.
fn at(page: &Page) -> String {
    page.text("document.activeElement.querySelector('.text')?.textContent ?? document.activeElement.id")
}

/// Everything that was put into the live regions since the page was loaded.
const KEEP_ANNOUNCEMENTS: &str = "window.announced = [];
    document.addEventListener('DOMContentLoaded', () => {
        for (const region of document.querySelectorAll('[aria-live=polite]')) {
            new MutationObserver((records) => records.forEach(({ addedNodes }) =>
                addedNodes.forEach((node) => announced.push(node.textContent))))
                .observe(region, { childList: true });
        }
        window.busy = [];
        const log = document.querySelector('#log');
        new MutationObserver(() => busy.push([log.ariaBusy, log.querySelectorAll('.say').length]))
            .observe(log, { attributeFilter: ['aria-busy'] });
    });";

#[test]
fn arrows_go_from_message_to_message_and_the_log_is_one_stop() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=Bo");
    let page = join(&browser, &server, "/", "Ada");
    for number in 0..60 {
        client.send_text(&format!("line {number} at https://example.com/{number}"));
    }
    wait_for_line(&page, "example.com/59");
    page.click("message");
    page.press(Key::ShiftTab);
    page.press(Key::ShiftTab);
    assert_eq!(focused(&page), "log", "sixty links are no stops");
    page.press(Key::Up);
    assert_eq!(at(&page), "line 59 at https://example.com/59", "the reading begins where one looks");
    for (key, number) in
        [(Key::Up, 58), (Key::Up, 57), (Key::Down, 58), (Key::Home, 0), (Key::Up, 0), (Key::Down, 1)]
    {
        page.press(key);
        assert_eq!(at(&page), format!("line {number} at https://example.com/{number}"));
    }
    // In its own message a link is a stop, the only one.
    page.press(Key::Tab);
    assert_eq!(page.text("document.activeElement.href"), "https://example.com/1");
    page.press(Key::Tab);
    assert_eq!(focused(&page), "rename");
    page.press(Key::ShiftTab);
    page.press(Key::ShiftTab);
    assert_eq!(at(&page), "line 1 at https://example.com/1", "and one comes back to where one was");
    assert_eq!(page.text("document.activeElement.getAttribute('role')"), "article");
    assert_eq!(page.text("document.activeElement.getAttribute('aria-label')"), said(&page)[1]);

    // New ones come, and the oldest go: the focus stays, and is not lost.
    client.send_text("newer");
    page.wait_for("document.querySelector('#newer').textContent === '1 new message'", SOON);
    assert_eq!(at(&page), "line 1 at https://example.com/1");
    page.press(Key::End);
    assert_eq!(at(&page), "newer");
    page.press(Key::Home);
    page.evaluate("document.activeElement.remove()");
    page.wait_for("document.activeElement.textContent.endsWith('example.com/1')", SOON);
    let stops = "document.querySelectorAll('#log [tabindex=\"0\"], #log a:not([tabindex]), #log[tabindex=\"0\"]').length";
    assert_eq!(page.evaluate(stops), 2, "the message and its link");
    assert_no_errors(&page);
}

#[test]
fn each_line_is_announced_once_and_history_is_not() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    for number in 0..30 {
        client.send_text(&format!("old {number}"));
        client.read_said();
    }
    let page = browser.blank_page();
    page.before_load("localStorage.setItem('wsloop.name', 'Ada');");
    page.before_load(KEEP_ANNOUNCEMENTS);
    page.navigate(&server.http_url("/tea"));
    page.wait_for("document.querySelectorAll('.say').length === 30", SOON);
    assert_eq!(page.text("document.querySelector('#log').ariaLive"), "off");
    assert_eq!(page.text("document.querySelector('#log').role"), "log");
    page.wait_for("document.querySelector('#log').ariaBusy === 'false'", SOON);
    let busy = page.evaluate("busy");
    assert!(
        busy.as_array().is_some_and(|all| all.contains(&json!(["false", 30]))),
        "it ends with the lines there: {busy}"
    );

    say(&page, "my own");
    page.wait_for("document.querySelector('.mine')?.dataset.state === 'sent'", SOON);
    client.send_text("an answer, at https://example.com");
    wait_for_line(&page, "example.com");
    page.wait_for("announced.length >= 3", SOON);
    assert_eq!(
        page.evaluate("announced"),
        json!(["Welcome Ada !", "Sent: my own", "Bo: an answer, at https://example.com"])
    );
    // Of many at once the number is told.
    page.evaluate(
        "import('/assets/whole.js').then(({ connection }) => { for (let seq = 1000; seq < 1040; seq += 1) {
            connection.receive(JSON.stringify({ type: 'say', seq, time: new Date().toISOString(),
                from: { id: 'c999', name: 'Eve' }, text: `flood ${seq}` })); } })",
    );
    wait_for_line(&page, "flood 1039");
    page.wait_for("announced.at(-1) === '40 new messages'", SOON);
    assert_eq!(page.evaluate("announced.length"), 4);
    assert_eq!(page.evaluate("document.querySelectorAll('#heard *').length <= 20"), true);
    wait_for_phase(&page, "connected");
    assert_no_errors(&page);
}
