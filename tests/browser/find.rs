//! Finding what was said in the room, in what is on the page and in what is kept beyond it.

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::Client;
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, draft, focused, join, words};

/// What the messages that are shown say.
fn found(page: &Page) -> Vec<String> {
    let shown = page.evaluate(
        "[...document.querySelectorAll('#log > *')].filter((line) => line.checkVisibility())
            .map((line) => line.querySelector('.text').textContent)",
    );
    let shown = shown.as_array().expect("map gives an array");
    shown.iter().map(|text| text.as_str().expect("textContent is a string").to_owned()).collect()
}

fn wait_for_found(page: &Page, wanted: &[&str], count: &str) {
    page.wait_for(&format!("document.querySelector('#find-count').textContent === {}", json!(count)), SOON);
    assert_eq!(found(page), wanted);
}

/// A room with 450 messages, of which a page loads the last hundred at first, and a page in it.
fn long_room(browser: &Browser, server: &Wsloop) -> (Page, JsonClient) {
    let mut bo = JsonClient::join(server, "/tea?name=Bo");
    for number in 1..=450 {
        let text = match number {
            3 => "Where is the Kettle?".to_owned(),
            200 => "the **kettle** is <b>gone</b>".to_owned(),
            449 => "a new kettle has come".to_owned(),
            _ => format!("line {number}"),
        };
        bo.send(&json!({ "type": "say", "text": text, "ref": number.to_string() }));
        bo.read_type("ack");
    }
    let page = join(browser, server, "/tea", "Ada");
    page.wait_for("document.querySelectorAll('#log .say').length > 0", SOON);
    (page, bo)
}

#[test]
fn what_is_kept_is_found_beyond_what_is_on_the_page() {
    let server = Wsloop::start(&["--history", "1000"]);
    let browser = Browser::launch();
    let (page, mut bo) = long_room(&browser, &server);
    page.press(Key::ControlF);
    assert_eq!(focused(&page), "find-words");
    page.type_text("KETTLE");
    let all = ["Where is the Kettle?", "the kettle is <b>gone</b>", "a new kettle has come"];
    wait_for_found(&page, &all, "3 of 450 messages, all that is kept");
    assert_eq!(page.evaluate("CSS.highlights.get('found').size"), 3, "the words are marked");

    // Who said it counts, all words count, and what comes meanwhile is looked at too.
    page.type_text(" bo gone");
    wait_for_found(&page, &[all[1]], "1 of 450 messages, all that is kept");
    bo.send(&json!({ "type": "say", "text": "nothing of that" }));
    wait_for_found(&page, &[all[1]], "1 of 451 messages, all that is kept");
    bo.send(&json!({ "type": "say", "text": "The kettle: gone!" }));
    wait_for_found(&page, &[all[1], "The kettle: gone!"], "2 of 452 messages, all that is kept");
    bo.send(&json!({ "type": "edit", "seq": 452, "text": "It is back" }));
    wait_for_found(&page, &[all[1]], "1 of 452 messages, all that is kept");
    bo.send(&json!({ "type": "delete", "seq": 200 }));
    wait_for_found(&page, &[], "0 of 452 messages, all that is kept");

    page.press(Key::Escape);
    assert_eq!((focused(&page).as_str(), found(&page).len() > 400), ("message", true), "all is shown again");
    assert_eq!(page.evaluate("document.querySelector('#find').checkVisibility()"), false);
    page.wait_for("(({ scrollTop, clientHeight, scrollHeight }) => scrollHeight - scrollTop - clientHeight < 2)(document.querySelector('#log'))", SOON);
    assert_no_errors(&page);
}

#[test]
fn a_found_message_is_shown_among_its_neighbours() {
    let server = Wsloop::start(&["--history", "1000"]);
    let browser = Browser::launch();
    let (page, _bo) = long_room(&browser, &server);
    page.click("message");
    page.type_text("half a thought");
    page.click("find-open");
    page.type_text("where kettle");
    wait_for_found(&page, &["Where is the Kettle?"], "1 of 450 messages, all that is kept");
    page.evaluate("document.querySelector('.found .text').id = 'hit'; 0");
    page.click("hit");
    page.wait_for("document.querySelector('[data-seq=\"3\"]').classList.contains('pointed')", SOON);
    let in_view = "(() => { const line = document.querySelector('[data-seq=\"3\"]').getBoundingClientRect();
        const log = document.querySelector('#log').getBoundingClientRect();
        return line.top >= log.top && line.bottom <= log.bottom; })()";
    page.wait_for(in_view, SOON);
    assert!(found(&page).iter().any(|text| text == "line 4"));
    assert_eq!((draft(&page).as_str(), words(&page, "find-count").as_str()), ("half a thought", ""));
    assert_no_errors(&page);
}

#[test]
fn what_is_looked_for_is_no_markup_and_an_empty_room_has_nothing() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    page.press(Key::ControlF);
    page.type_text("<img src=x onerror=pwned=1>");
    page.wait_for(
        "document.querySelector('#find-count').textContent === '0 of 0 messages, all that is kept'",
        SOON,
    );
    let mut bo = Client::join(&server, "/tea?name=Bo");
    bo.send_text("<img src=x onerror=pwned=1>");
    wait_for_found(&page, &["<img src=x onerror=pwned=1>"], "1 of 1 message, all that is kept");
    assert_eq!(page.evaluate("window.pwned === undefined"), true);
    page.click("find-close");
    assert_eq!(focused(&page), "message");
    assert_no_errors(&page);
}
