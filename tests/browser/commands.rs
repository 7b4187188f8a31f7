//! What begins with a slash is done, or refused, and never said to everybody.

use crate::support::browser::{Browser, Key};
use crate::support::client::{Client, without_time};
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, draft, join, say, wait_for_line, wait_for_phase, words};

#[test]
fn commands_are_done_and_unknown_ones_stay_in_the_box() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    for unknown in ["/w bob secret", "/usr/bin", "/constructor", "/", "/ME x"] {
        say(&page, unknown);
        assert!(
            words(&page, "hint").starts_with("There is no command /"),
            "{unknown}: {}",
            words(&page, "hint")
        );
        assert_eq!(draft(&page), unknown);
        page.evaluate("document.querySelector('#message').value = ''");
    }
    for refused in ["/nick", "/nick  ", "/nick a\u{202e}b", "/me", "/me "] {
        say(&page, refused);
        assert_ne!(words(&page, "hint"), "", "{refused}");
        assert_eq!(draft(&page), refused);
        page.evaluate("document.querySelector('#message').value = ''");
    }
    say(&page, "//w is how one whispers elsewhere");
    assert_eq!(
        without_time(&client.read_said()),
        "Ada say: /w is how one whispers elsewhere",
        "nothing was said before"
    );
    say(&page, "/me waves\nwith both hands");
    assert_eq!(without_time(&client.read_said()), "Ada say: _waves ⏎ with both hands_");
    say(&page, "/help");
    page.wait_for("document.querySelector('#log .note')?.textContent.includes('/nick NAME')", SOON);
    say(&page, "/nick Ada Lovelace");
    wait_for_line(&page, "Ada is now Ada Lovelace");
    assert_eq!(page.text("localStorage.getItem('wsloop.name')"), "Ada Lovelace");
    say(&page, "/leave");
    wait_for_phase(&page, "disconnected");
    assert_eq!(draft(&page), "");
    page.type_text("/help");
    page.press(Key::Enter);
    page.wait_for("document.querySelectorAll('#log .note').length === 2", SOON);
    assert_eq!(without_time(&client.read_text()), "Ada Lovelace say: Ada Lovelace Logout");
    assert_no_errors(&page);
}
