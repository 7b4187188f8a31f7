//! What axe-core, other people's judge of accessibility, finds wrong with the page: nothing, in every state of it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
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
