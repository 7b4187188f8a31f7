//! Where the reader is: undisturbed among older lines, led to what is new after an absence, told where the room begins.

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, join, said, wait_for_line, wait_for_phase, words};

/// Where a line is seen, by the end of its text.
fn place_of(page: &Page, end: &str) -> f64 {
    let place = page.evaluate(&format!(
        "[...document.querySelectorAll('.say')].find((line) => line.textContent.endsWith('{end}'))?.getBoundingClientRect().top"
    ));
    place.as_f64().unwrap_or_else(|| panic!("{end} is not on the page"))
}

/// The mark of what is new, and the line below it, are in view.
const IS_AT_MARK: &str = "(() => { const [mark, log] = ['first-new', 'log'].map((id) => document.getElementById(id)?.getBoundingClientRect());
    return mark !== undefined && mark.top >= log.top - 1 && mark.bottom < log.bottom; })()";

/// The welcome stands below what was said before it.
const LAST_IS_THERE: &str =
    "[...document.querySelectorAll('.say')].at(-1)?.textContent.endsWith('unread 69')";

fn below_mark(page: &Page) -> String {
    page.text("document.querySelector('#first-new').nextElementSibling.textContent")
}

#[test]
fn who_reads_older_lines_is_not_moved_by_thousands_of_newer_ones() {
    let server = Wsloop::start(&["--ping-interval", "0"]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=Bo");
    let page = join(&browser, &server, "/", "Ada");
    for number in 0..100 {
        client.send_text(&format!("older {number}"));
    }
    wait_for_line(&page, "older 99");
    page.evaluate("document.querySelector('#log').scrollTop = 400");
    page.wait_for("import('/assets/whole.js').then(({ log }) => !log.pinned)", SOON);
    let before = place_of(&page, "older 20");
    for number in 0..2200 {
        client.send_text(&format!("newer {number}"));
    }
    wait_for_line(&page, "newer 2199");
    assert!((place_of(&page, "older 20") - before).abs() < 2.0, "the reader is where it was");
    assert_eq!(said(&page).len(), 2300);
    assert_eq!(words(&page, "newer"), "2200 new messages");
    // At the bottom the page becomes short again, and what has left it can be loaded.
    page.click("newer");
    client.send_text("the last");
    wait_for_line(&page, "the last");
    page.wait_for("document.querySelectorAll('#log > *').length <= 2000", SOON);
    assert_no_errors(&page);
}

#[test]
fn after_an_absence_there_is_a_way_to_the_first_unread_message() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    client.send_text("seen");
    wait_for_line(&page, "seen");
    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    for number in 0..60 {
        client.send_text(&format!("unseen {number}"));
    }
    wait_for_line(&page, "unseen 59");
    front.close();
    page.focus_always(true);
    page.wait_for("!document.querySelector('#unread').hidden", SOON);
    page.click("unread");
    page.wait_for(IS_AT_MARK, SOON);
    page.wait_for("document.querySelector('#unread').hidden", SOON);
    assert!(below_mark(&page).ends_with("unseen 0"));
    // Few new ones are in view at once: there is nowhere to go.
    client.send_text("later");
    page.evaluate("document.querySelector('#log').scrollTop = 1e9");
    wait_for_line(&page, "later");
    assert_eq!(page.evaluate("document.querySelector('#unread').hidden"), true);
    assert_no_errors(&page);
}

#[test]
fn the_place_in_each_room_is_kept_for_the_next_visit() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    bo.say("read");
    wait_for_line(&page, "read");
    page.navigate(&server.http_url("/garden"));
    wait_for_phase(&page, "connected");
    for number in 0..70 {
        bo.say(&format!("unread {number}"));
    }
    bo.settle();
    page.navigate(&server.http_url("/tea"));
    page.wait_for(LAST_IS_THERE, SOON);
    page.wait_for("!document.querySelector('#unread').hidden", SOON);
    assert_eq!(words(&page, "unread"), "First of 70 unread messages");
    assert_eq!(said(&page).len(), 50, "the first unread one is not loaded yet");
    page.click("unread");
    page.wait_for(IS_AT_MARK, SOON);
    assert!(below_mark(&page).ends_with(" say: unread 0"), "{}", below_mark(&page));
    assert!(said(&page)[0].ends_with(" say: read"));
    page.wait_for("document.querySelector('#unread').hidden", SOON);
    // All of it is read: the next visit begins at the end.
    page.evaluate("document.querySelector('#log').scrollTop = 1e9");
    page.wait_for("import('/assets/whole.js').then(({ log }) => log.pinned)", SOON);
    page.navigate(&server.http_url("/tea"));
    page.wait_for(LAST_IS_THERE, SOON);
    assert_eq!(
        page.evaluate("[document.querySelector('#unread').hidden, document.querySelector('#first-new')]"),
        serde_json::json!([true, null])
    );
    assert_no_errors(&page);
}

#[test]
fn the_page_says_where_what_is_kept_begins() {
    let server = Wsloop::start(&["--history", "20"]);
    let browser = Browser::launch();
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    (0..30).for_each(|number| bo.say(&format!("line {number}")));
    bo.settle();
    let page = join(&browser, &server, "/tea", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    page.wait_for("document.querySelector('#beginning') !== null", SOON);
    assert_eq!(
        words(&page, "beginning"),
        "This is the beginning of what is kept. This room keeps its last 20 messages."
    );
    assert_eq!(page.evaluate("document.querySelector('#log').firstElementChild.id"), "beginning");
    assert!(said(&page)[0].ends_with("line 10"));

    let mut bo = JsonClient::join(&server, "/new?name=Bo");
    bo.say("first");
    bo.settle();
    let page = join(&browser, &server, "/new", "Ada");
    page.wait_for(
        "document.querySelector('#beginning')?.textContent === 'This is the beginning of this room.'",
        SOON,
    );
    // A room without a word has no beginning to tell of.
    let page = join(&browser, &server, "/empty", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    assert_eq!(page.evaluate("document.querySelector('#beginning')"), serde_json::Value::Null);
    assert_no_errors(&page);
}
