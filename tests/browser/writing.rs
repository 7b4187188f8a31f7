//! Who is writing at the moment.

use serde_json::json;

use crate::support::browser::{Browser, Key};
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{assert_no_errors, join, say, wait_for_words, words};

#[test]
fn others_are_seen_to_write_until_they_say_it_or_leave_or_stop() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let mut others: Vec<JsonClient> =
        ["Bo", "Cy", "Di", "Ed"].map(|name| JsonClient::join(&server, &format!("/tea?name={name}"))).into();
    let names = [
        "Bo is writing…",
        "Bo, Cy are writing…",
        "Bo, Cy, Di are writing…",
        "Bo, Cy, Di and 1 more are writing…",
    ];
    for (other, wanted) in others.iter_mut().zip(names) {
        other.send(&json!({ "type": "typing" }));
        wait_for_words(&page, "writing", wanted);
    }
    others[1].say("I have said it");
    wait_for_words(&page, "writing", "Bo, Di, Ed are writing…");
    others.remove(2);
    wait_for_words(&page, "writing", "Bo, Ed are writing…");
    // Nobody hears of oneself; and what nobody says any more ends by itself.
    wait_for_words(&page, "writing", "");
    page.type_text("a");
    others[0].read_type("typing");
    assert_eq!(words(&page, "writing"), "");
    assert_no_errors(&page);
}

#[test]
fn commands_are_nobodys_business() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    say(&page, "/me waves");
    loop {
        let heard = bo.read();
        assert_ne!(heard["type"], "typing");
        if heard["type"] == "say" {
            assert_eq!(heard["text"], "_waves_");
            break;
        }
    }
    page.type_text("//");
    assert_eq!(bo.read_type("typing")["id"], "c1", "two slashes are a text");
    page.press(Key::Enter);
    assert_no_errors(&page);
}
