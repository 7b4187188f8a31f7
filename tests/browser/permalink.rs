//! The way to a message, `/tea#121`: it is found however old it is, and what is not there is said to be so.

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, join, wait_for_words, words};

const NOT_KEPT: &str = "This message is not kept any more, or is none.";

/// The message is marked, and in view.
fn wait_for_marked(page: &Page, seq: u64) {
    page.wait_for(
        &format!(
            "(() => {{ const line = document.querySelector('.pointed')?.getBoundingClientRect();
                const log = document.querySelector('#log').getBoundingClientRect();
                return line !== undefined && line.top >= log.top && line.bottom <= log.bottom
                    && document.querySelector('.pointed').dataset.seq === '{seq}'; }})()"
        ),
        SOON,
    );
}

#[test]
fn an_old_message_is_found_page_by_page() {
    let server = Wsloop::start(&["--history", "1000"]);
    let browser = Browser::launch();
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    for number in 1..=330 {
        bo.say(&format!("line {number}"));
    }
    bo.settle();
    let page = join(&browser, &server, "/tea#7", "Ada");
    wait_for_marked(&page, 7);
    assert_eq!(page.text("document.querySelector('.pointed .text').textContent"), "line 7");
    page.evaluate("location.hash = '#320'");
    wait_for_marked(&page, 320);
    assert_eq!(words(&page, "hint"), "");
    // Neither a number that is none yet, nor that of what is no message.
    page.evaluate("location.hash = '#5000'");
    wait_for_words(&page, "hint", NOT_KEPT);
    bo.send(&json!({ "type": "react", "seq": 330, "emoji": "👍" }));
    bo.say("the last");
    page.wait_for("document.querySelector('[data-seq=\"332\"]') !== null", SOON);
    page.evaluate("document.querySelector('#hint').textContent = ''; location.hash = '#331'; 0");
    wait_for_words(&page, "hint", NOT_KEPT);
    // What is no number is nobody's.
    page.evaluate("document.querySelector('#hint').textContent = ''; location.hash = '#composer'; location.hash = '#-1'; 0");
    page.evaluate("location.hash = '#12'");
    wait_for_marked(&page, 12);
    assert_eq!(words(&page, "hint"), "");
    assert_no_errors(&page);
}

#[test]
fn what_is_not_kept_any_more_is_said_to_be_so() {
    let server = Wsloop::start(&["--history", "60"]);
    let browser = Browser::launch();
    let empty = join(&browser, &server, "/quiet#3", "Ada");
    wait_for_words(&empty, "hint", NOT_KEPT);
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    for number in 1..=100 {
        bo.say(&format!("line {number}"));
    }
    bo.settle();
    let page = join(&browser, &server, "/tea#9", "Ada");
    wait_for_words(&page, "hint", NOT_KEPT);
    assert_eq!(
        page.evaluate("document.querySelectorAll('.say').length"),
        60,
        "all that is kept was looked through"
    );
    assert_eq!(page.evaluate("document.querySelector('.pointed') === null"), true);
    assert_no_errors(&page);
}
