//! Who is here: told one by one in a small room; in a large one counted, and listed by pages for who looks.

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, focused, join, wait_for_line, wait_for_phase, wait_for_words, words};

/// The names in the list of people.
const NAMES: &str = "[...document.querySelectorAll('#people-list li')].map((item) => item.textContent)";

/// Clients with these numbers in their names.
fn crowd(server: &Wsloop, numbers: std::ops::RangeInclusive<u32>) -> Vec<JsonClient> {
    numbers.map(|number| JsonClient::join(server, &format!("/tea?name=visitor{number}"))).collect()
}

/// Waits until the list is that of these visitors, in their order, and then the page's own.
fn wait_for_list(page: &Page, numbers: impl IntoIterator<Item = u32>, others: &[&str]) {
    let names = numbers.into_iter().map(|number| format!("visitor{number}"));
    let wanted: Vec<String> = names.chain(others.iter().map(|&name| name.to_owned())).collect();
    page.wait_for(&format!("JSON.stringify({NAMES}) === JSON.stringify({})", json!(wanted)), SOON);
}

#[test]
fn a_large_room_says_how_many_there_are_and_lists_them_by_pages() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut clients = crowd(&server, 1..=150);
    // The room itself has no order of numbers: the last one takes the place of who leaves.
    clients.remove(9).break_off();
    let page = join(&browser, &server, "/tea", "Ada");
    wait_for_words(&page, "people", "150 here");
    page.click("people");
    let first = || (1..=9).chain(11..=101);
    wait_for_list(&page, first(), &[]);
    assert_eq!(words(&page, "people-more"), "100 of 150 are shown");
    page.click("people-load");
    wait_for_list(&page, first().chain(102..=150), &["Ada (you)"]);
    assert_eq!(words(&page, "people-more"), "");
    assert_eq!(page.evaluate("document.querySelector('#people-load').hidden"), true);
    assert_eq!(focused(&page), "people-close", "the focus is not lost with the button");

    // The next look begins at the beginning, as it is then.
    page.press(Key::Escape);
    clients.remove(0).break_off();
    wait_for_words(&page, "people", "149 here");
    page.click("people");
    wait_for_list(&page, (2..=9).chain(11..=102), &[]);
    assert_eq!(words(&page, "people-more"), "100 of 149 are shown");
    assert_no_errors(&page);
}

#[test]
fn a_list_that_is_looked_at_follows_who_comes_and_goes() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut clients = crowd(&server, 1..=99);
    let page = join(&browser, &server, "/tea", "Ada");
    page.click("people");
    wait_for_list(&page, 1..=99, &["Ada (you)"]);
    assert_eq!(page.evaluate("document.querySelector('#people-load').hidden"), true);
    // The room becomes a large one.
    clients.extend(crowd(&server, 100..=149));
    wait_for_words(&page, "people", "150 here");
    wait_for_words(&page, "people-more", "100 of 150 are shown");
    page.click("people-load");
    page.wait_for(&format!("{NAMES}.length === 150"), SOON);
    clients[2].break_off();
    clients[140].break_off();
    clients.extend(crowd(&server, 150..=151));
    clients[5].send(&json!({ "type": "name", "name": "<b>Bob</b>" }));
    let all = "visitor2 visitor4 visitor5 <b>Bob</b> visitor7";
    page.wait_for(&format!("{NAMES}.join(' ').includes({})", json!(all)), SOON);
    page.wait_for(&format!("{NAMES}.length === 150 && {NAMES}[149] === 'visitor151'"), SOON);
    wait_for_words(&page, "people", "150 here");
    assert_eq!(page.evaluate(&format!("new Set({NAMES}).size")), 150, "none twice");
    assert_eq!(page.evaluate(&format!("{NAMES}.includes('visitor141')")), false);
    assert_eq!(page.evaluate(&format!("{NAMES}[98]")), "Ada (you)");

    // And a small one again, where each is told.
    clients.drain(50..);
    wait_for_words(&page, "people", "50 here");
    clients.extend(crowd(&server, 200..=200));
    let small = [1, 2, 4, 5].into_iter().map(|number| format!("visitor{number}"));
    let small: Vec<String> = small
        .chain(["<b>Bob</b>".to_owned()])
        .chain((7..=50).map(|number| format!("visitor{number}")))
        .collect();
    let wanted = json!([small, vec!["Ada (you)".to_owned(), "visitor200".to_owned()]].concat());
    page.wait_for(&format!("JSON.stringify({NAMES}) === JSON.stringify({wanted})"), SOON);
    page.click("people-close");
    wait_for_line(&page, "visitor200 joined");
    assert_no_errors(&page);
}

/// As the server tells a page that could not keep up; and a connection that is found again while one looks.
#[test]
fn a_gap_or_a_new_connection_has_the_list_loaded_anew() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut clients = crowd(&server, 1..=120);
    let page = join(&browser, &server, "/tea", "Ada");
    wait_for_line(&page, "121 here"); // The last that the server tells by itself.
    page.click("people");
    wait_for_list(&page, 1..=100, &[]);
    let with_connection = |script: &str| {
        page.evaluate(&format!(
            "import('/assets/whole.js').then(({{ connection }}) => {{
                const gap = () => connection.receive(JSON.stringify({{ type: 'gap', first: 4, last: 9, count: 7,
                    members: [{{ id: 'c9999', name: 'Eve' }}], more: true }}));
                {script} }})"
        ));
    };
    with_connection("gap();");
    wait_for_list(&page, 1..=100, &[]);
    wait_for_words(&page, "people-more", "100 of 121 are shown");
    // Who comes while an answer is due may not be in it: what is asked for is asked for again, once.
    with_connection(
        "const send = connection.send;
         window.asked = 0;
         connection.send = (object) => { window.asked += object.type === 'members'; send.call(connection, object); };
         gap(); gap(); gap();",
    );
    page.wait_for("window.asked === 2", SOON);
    wait_for_list(&page, 1..=100, &[]);
    assert_eq!(page.evaluate("window.asked"), 2);
    // Who is not loaded is not in the list for being called something else.
    with_connection(
        "connection.receive(JSON.stringify({ type: 'name', id: 'c9999', name: 'Eva', was: 'Eve' }));",
    );
    wait_for_line(&page, "Eve is now Eva");
    wait_for_list(&page, 1..=100, &[]);
    // An answer that is due is lost with its connection.
    clients[0].break_off();
    with_connection(
        "const send = connection.send;
         connection.send = () => {};
         gap();
         connection.send = send;
         connection.closed(3000, '');
         dispatchEvent(new Event('online'));",
    );
    wait_for_list(&page, 2..=101, &[]);
    wait_for_words(&page, "people-more", "100 of 120 are shown");
    assert_no_errors(&page);
}

/// A page that is loaded anew leaves and joins for the room, and for nobody who reads.
#[test]
fn a_reload_is_no_coming_and_going() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let other = join(&browser, &server, "/tea", "Bo");
    let dora = JsonClient::join(&server, "/tea?name=Dora");
    wait_for_line(&page, "Bo and Dora joined");
    other.reload();
    wait_for_phase(&other, "connected");
    wait_for_words(&page, "people", "3 here");
    // That Dora leaves is told in its time; by then Bo's would have been.
    drop(dora);
    wait_for_line(&page, "Dora left");
    assert!(!words(&page, "log").contains("Bo left"), "{}", words(&page, "log"));
    other.close();
    wait_for_line(&page, "Dora and Bo left");
    assert_no_errors(&page);
}

#[test]
fn a_crowd_that_joins_is_one_line() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let _crowd = crowd(&server, 1..=90);
    wait_for_line(&page, "visitor1, visitor2 and 88 others joined");
    assert_eq!(page.evaluate("document.querySelectorAll('#log .event').length"), 2);
    assert_no_errors(&page);
}
