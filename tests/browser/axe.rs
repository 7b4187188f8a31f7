//! What axe-core, other people's judge of accessibility, finds wrong with the page: nothing, in every state of it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::Client;
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, join, say, wait_for_line, wait_for_phase};

/// Windows: a telephone, a tablet, a desk, and a desk that is magnified fourfold.
const WINDOWS: [(u32, u32, bool); 4] =
    [(390, 844, true), (820, 1180, true), (1280, 800, false), (320, 256, false)];

/// What axe-core finds once nothing moves, each as its rule and the element.
const JUDGE: &str = "document.getAnimations().forEach((one) => one.finish());
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`)))";

#[test]
fn nothing_is_wrong_in_any_state() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let first = browser.page(&server.http_url("/garden"));
    first.wait_for("!document.querySelector('#alone').hidden", SOON);
    judge(&first, "first visit, alone");
    say(&first, "hello");
    judge(&first, "asked for a name");

    let page = join(&browser, &server, "/tea", "Ada");
    let mut client = Client::join(&server, "/tea?name=Bo");
    for number in 0..30 {
        client.send_text(&format!("line {number} at https://example.com/{number}"));
    }
    wait_for_line(&page, "example.com/29");
    say(&page, "my own");
    page.wait_for("document.querySelector('.mine')?.dataset.state === 'sent'", SOON);
    judge(&page, "a room that talks");
    judge_changes(&page, &server);
    page.evaluate(
        "document.querySelector('#log').scrollTop = 0; document.querySelector('#newer').hidden = false; 0",
    );
    judge(&page, "reading older lines");
    page.evaluate("document.querySelector('#menu').click()");
    judge(&page, "the menu");
    page.evaluate("document.querySelector('#menu').click()");
    page.evaluate("document.querySelector('#rooms-dialog').showModal()");
    judge(&page, "rooms");
    page.evaluate("document.querySelector('#rooms-dialog').close(); document.querySelector('#people-dialog').showModal()");
    judge(&page, "people");
    page.evaluate("document.querySelector('#people-dialog').close()");
    page.evaluate(
        "(() => { const parse = JSON.parse; JSON.parse = (text, ...rest) => { const event = parse(text, ...rest);
            return event.type === 'ack' ? { type: 'error', code: 'rate', text: 'too fast', ref: event.ref } : event; }; })()",
    );
    say(&page, "refused");
    page.wait_for("document.querySelector('.mine[data-state=failed]') !== null", SOON);
    judge(&page, "a message that failed");
    drop(server);
    wait_for_phase(&page, "waiting");
    judge(&page, "the server is away");
}

/// What is done with messages, and what they look like then.
fn judge_changes(page: &Page, server: &Wsloop) {
    let mut client = JsonClient::join(server, "/tea?name=Di");
    for change in [
        json!({ "type": "react", "seq": 31, "emoji": "👍" }),
        json!({ "type": "react", "seq": 30, "emoji": "🎉" }),
        json!({ "type": "say", "text": "an answer", "re": 31 }),
        json!({ "type": "say", "text": "oops" }),
        json!({ "type": "edit", "seq": 34, "text": "an edited answer" }),
        json!({ "type": "delete", "seq": 35 }),
        json!({ "type": "typing" }),
    ] {
        client.send(&change);
    }
    page.wait_for("document.querySelector('#writing').textContent !== ''", SOON);
    page.evaluate("document.querySelector('.reaction').click()");
    page.wait_for("document.querySelector('.reaction[aria-pressed=true]') !== null", SOON);
    judge(page, "messages that were changed");
    page.evaluate("document.querySelector('#log').focus()");
    for key in [Key::End, Key::Up, Key::Up, Key::Enter] {
        page.press(key);
    }
    assert_eq!(page.text("document.activeElement.closest('.say').dataset.seq"), "31");
    assert_eq!(page.evaluate("document.querySelectorAll('#actions > :not([hidden])').length"), 6);
    judge(page, "the bar at a message of one's own");
    page.press(Key::Right);
    page.press(Key::Enter);
    judge(page, "an edit that is written");
    page.press(Key::Escape);
    page.press(Key::Escape);
}

/// In light and in dark, in every window.
fn judge(page: &Page, state: &str) {
    if page.evaluate("'axe' in window") == false {
        page.evaluate(&format!("{}; 0", axe()));
    }
    for scheme in ["light", "dark"] {
        page.emulate_media("prefers-color-scheme", scheme);
        for (width, height, is_phone) in WINDOWS {
            page.set_viewport(width, height, is_phone);
            page.wait_for(&format!("innerWidth === {width}"), SOON);
            let found = page.evaluate(JUDGE);
            let found: Vec<&str> =
                found.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            assert!(found.is_empty(), "{state}, {scheme}, {width} × {height}:\n{}", found.join("\n\n"));
        }
    }
    page.set_viewport(1280, 800, false);
}

/// Where `tests/differential/install` puts it: beside what cargo builds.
fn axe() -> String {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_wsloop"));
    let target = binary.ancestors().nth(2).expect("target/PROFILE/wsloop");
    let file = target.join("differential/node/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file)
        .unwrap_or_else(|_| panic!("{} is missing; run: bash tests/differential/install", file.display()))
}
