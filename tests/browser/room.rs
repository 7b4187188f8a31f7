//! A room over time: who is here, what is acknowledged, what was said before, gaps, days, links, notices.

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{
    SOON, assert_no_errors, join, lines, said, say, wait_for_line, wait_for_phase, wait_for_words, words,
};

const STATES: &str = "[...document.querySelectorAll('.mine')].map((line) => line.dataset.state)";

/// What the page shows of people, after a click on their number.
fn people(page: &Page) -> Vec<String> {
    let shown =
        page.evaluate("[...document.querySelectorAll('#people-list li')].map((item) => item.textContent)");
    shown.as_array().expect("a list").iter().map(|name| name.as_str().expect("text").to_owned()).collect()
}

#[test]
fn one_sees_who_is_here_and_what_they_are_called() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    let _line = Client::join(&server, "/tea?name=Cy");
    wait_for_line(&page, "Cy joined");
    wait_for_words(&page, "people", "3 here");
    page.click("people");
    assert_eq!(page.evaluate("document.querySelector('#people-dialog').open"), true);
    assert_eq!(people(&page), ["Ada (you)", "Bo", "Cy"]);
    bo.send(&json!({ "type": "name", "name": "<b>Bob</b>" }));
    page.wait_for("document.querySelector('#people-list').textContent.includes('<b>Bob</b>')", SOON);
    page.click("people-close");
    drop(bo);
    wait_for_line(&page, "<b>Bob</b> left");
    wait_for_words(&page, "people", "2 here");
    assert_eq!(people(&page), ["Ada (you)", "Cy"]);
    // A second tab of the same browser is the same person, and nobody's arrival. Only who clicks may open one.
    page.click("message");
    page.evaluate(&format!("window.other = open({}); 0", json!(server.http_url("/tea"))));
    page.wait_for("other.document?.querySelector('#status')?.dataset.phase === 'connected'", SOON);
    page.wait_for("other.document.querySelector('#people').textContent === '2 here'", SOON);
    say(&page, "from the first tab");
    page.wait_for("other.document.querySelector('.mine')?.textContent.endsWith('from the first tab')", SOON);
    assert!(!lines(&page).iter().any(|line| line == "Ada joined"));
    assert_no_errors(&page);
}

#[test]
fn one_sees_what_is_sent_and_what_is_not() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    // What is said waits for its acknowledgement, which comes.
    page.evaluate("window.states = []; new MutationObserver(() => states.push(document.querySelector('.mine')?.dataset.state))
        .observe(document.querySelector('#log'), { childList: true, subtree: true, attributes: true }); 0");
    say(&page, "hello");
    page.wait_for("document.querySelector('.mine')?.dataset.state === 'sent'", SOON);
    assert_eq!(page.evaluate("states.find((state) => state !== undefined && state !== null)"), "sending");
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 1);
    assert!(page.text("getComputedStyle(document.querySelector('.mine'), '::after').content").contains('✓'));
    assert_eq!(said(&page).len(), 1);
    // The round trip is measured.
    page.wait_for("/^[0-9]+ ms$/.test(document.querySelector('#rtt').textContent)", SOON);
    // A server that refuses it: it is marked, and can be sent anew.
    page.evaluate("const parse = JSON.parse; window.refuse = true; JSON.parse = (text, ...rest) => {
        const event = parse(text, ...rest);
        return window.refuse && event.type === 'ack' ? { type: 'error', code: 'rate', text: 'too fast', ref: event.ref } : event; }; 0");
    say(&page, "refused");
    page.wait_for("document.querySelector('.mine[data-state=failed]') !== null", SOON);
    assert!(words(&page, "hint").contains("Not sent: you send faster than this server allows"));
    page.evaluate("window.refuse = false; document.querySelector('.remedies button').click(); 0");
    page.wait_for("document.querySelector('.mine[data-state=failed]') === null", SOON);
    wait_for_line(&page, "refused");
    assert_no_errors(&page);
}

#[test]
fn what_was_said_before_is_there_and_older_comes_on_scrolling() {
    let server = Wsloop::start(&["--history", "200"]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    for number in 0..200 {
        client.send_text(&format!("line {number}"));
        client.read_said();
    }
    let page = join(&browser, &server, "/tea", "Ada");
    page.wait_for("document.querySelectorAll('.say').length === 50", SOON);
    assert!(said(&page)[0].ends_with("Bo say: line 150"));
    let place = "(() => { const line = [...document.querySelectorAll('.say')].find((line) => line.textContent.endsWith('line 155'));
        return line.getBoundingClientRect().top; })()";
    page.evaluate("document.querySelector('#log').scrollTop = 50");
    let before = page.evaluate(place).as_f64().expect("a number");
    page.wait_for("document.querySelectorAll('.say').length === 100", SOON);
    let after = page.evaluate(place).as_f64().expect("a number");
    assert!((before - after).abs() < 2.0, "the reader keeps its place: {before} and {after}");
    for count in [150, 200] {
        page.evaluate("document.querySelector('#log').scrollTop = 10");
        page.wait_for(&format!("document.querySelectorAll('.say').length === {count}"), SOON);
    }
    let shown: Vec<String> =
        said(&page).iter().map(|line| line.split_once(' ').expect("a time").1.to_owned()).collect();
    let wanted: Vec<String> = (0..200).map(|number| format!("Bo say: line {number}")).collect();
    assert_eq!(shown, wanted, "all, in order, none twice");
    assert_eq!(page.evaluate("document.querySelectorAll('.day').length"), 1);
    client.send_text("and on");
    wait_for_line(&page, "Bo say: and on");
    assert_no_errors(&page);
}

#[test]
fn a_lost_connection_is_found_again_and_what_was_missed_is_there() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.say("before");
    wait_for_line(&page, "Bo say: before");
    // The network goes: the page notices when the server hangs up, and comes back by itself.
    page.evaluate("window.sockets = []; const Real = WebSocket; window.WebSocket = class extends Real {
        constructor(...arguments_) { if (window.isDown) { arguments_[0] = 'ws://127.0.0.1:1/'; } super(...arguments_); } }; 0");
    page.evaluate("window.isDown = true; import('/assets/whole.js').then(({ connection }) => connection.socket.close(3000)).then(() => 0)");
    wait_for_phase(&page, "waiting");
    say(&page, "said meanwhile by Ada");
    for number in 0..10 {
        bo.say(&format!("missed {number}"));
    }
    bo.settle();
    page.evaluate("window.isDown = false; dispatchEvent(new Event('online')); 0");
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelectorAll('.say').length === 12", SOON);
    page.wait_for("document.querySelector('.mine').dataset.state === 'sent'", SOON);
    let texts: Vec<String> =
        said(&page).iter().map(|line| line.rsplit_once(" say: ").expect("a line").1.to_owned()).collect();
    let missed = (0..10).map(|number| format!("missed {number}"));
    let wanted: Vec<String> = std::iter::once("before".to_owned())
        .chain(missed)
        .chain(["said meanwhile by Ada".to_owned()])
        .collect();
    assert_eq!(texts, wanted);
    let errors = page
        .console_errors()
        .into_iter()
        .filter(|error| !error.contains("ERR_") && !error.contains("WebSocket"));
    assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new());
}

/// A network that swallows everything tells nobody: the page finds out by itself.
#[test]
fn a_server_that_is_silent_is_found_out() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    page.wait_for("document.querySelector('#rtt').textContent !== ''", SOON);
    server.signal("STOP");
    // Somebody opens the laptop, or the tab.
    page.evaluate("dispatchEvent(new Event('online')); 0");
    say(&page, "said to nobody yet");
    wait_for_phase(&page, "waiting");
    server.signal("CONT");
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelector('.mine').dataset.state === 'sent'", SOON);
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 1);
    let mut other = JsonClient::join(&server, "/tea?name=Bo");
    other.send(&json!({ "type": "history" }));
    let history = other.read_type("history");
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1), "said once: {history}");
}

#[test]
fn addresses_can_be_clicked_and_nothing_else_can() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    for (text, links) in [
        ("see https://example.com/a?b=c#d.", vec!["https://example.com/a?b=c#d"]),
        ("(http://example.com) and https://例え.jp/道", vec!["http://example.com", "https://例え.jp/道"]),
        ("javascript:alert(1) data:text/html,x ftp://x.example //x.example", vec![]),
        ("https:// http://", vec![]),
        ("https://a.example\" onclick=\"x", vec!["https://a.example"]),
    ] {
        client.send_text(text);
        wait_for_line(&page, &format!("Bo say: {text}"));
        let found = page.evaluate("[...[...document.querySelectorAll('.say')].at(-1).querySelectorAll('a')].map((link) => link.textContent)");
        assert_eq!(found, json!(links), "{text}");
    }
    assert_no_errors(&page);
}

#[test]
fn days_and_what_is_new_are_marked_and_gaps_are_told_where_they_are() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    client.send_text("one");
    wait_for_line(&page, "one");
    assert!(page.text("document.querySelector('.day').textContent").starts_with("Today, "));
    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    client.send_text("two");
    client.send_text("three");
    wait_for_line(&page, "three");
    front.close();
    page.focus_always(true);
    let order = "[...document.querySelectorAll('#log > *')].map((line) => line.id || line.querySelector('.text').textContent)";
    let shown = page.evaluate(order);
    assert_eq!(
        shown.as_array().expect("a list")[2..],
        [json!("one"), json!("first-new"), json!("two"), json!("three")]
    );
    // As the server would say it to a page that could not keep up.
    page.evaluate(
        "import('/assets/whole.js').then(({ connection }) => {
        connection.receive(JSON.stringify({ type: 'gap', first: 4, last: 9, count: 2 })); })",
    );
    page.wait_for("[...document.querySelectorAll('.note')].at(-1).textContent.startsWith('6 messages are missing here')", SOON);
    assert_eq!(page.evaluate(STATES), json!([]));
    assert_no_errors(&page);
}

#[test]
fn notices_are_shown_to_who_asks_for_them_and_looks_elsewhere() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada'); window.notices = [];
         window.Notification = class extends EventTarget {
            static permission = 'default';
            static requestPermission() { Notification.permission = 'granted'; return Promise.resolve('granted'); }
            constructor(title, { body }) { super(); notices.push(`${title}: ${body}`); }
         };",
    );
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    assert_eq!(page.text("document.querySelector('#notify').value"), "nothing", "nobody has allowed any");
    page.evaluate("const choice = document.querySelector('#notify'); choice.value = 'all'; choice.dispatchEvent(new Event('change')); 0");
    page.wait_for("localStorage.getItem('wsloop.notices') === 'all'", SOON);
    client.send_text("seen");
    wait_for_line(&page, "seen");
    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    client.send_text("unseen");
    wait_for_line(&page, "unseen");
    assert_eq!(page.evaluate("notices"), json!(["Bo in tea: unseen"]));
    front.close();
    page.focus_always(true);
    assert_no_errors(&page);
}

/// Browsers of telephones have the class and grant the permission, and throw.
#[test]
fn notices_that_cannot_be_shown_are_switched_off_and_lose_nothing() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada');
         window.Notification = class {
            static permission = 'granted';
            static requestPermission() { return Promise.resolve('granted'); }
            constructor() { throw new TypeError('Illegal constructor'); }
         };",
    );
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    page.evaluate("const choice = document.querySelector('#notify'); choice.value = 'all'; choice.dispatchEvent(new Event('change')); 0");
    page.wait_for("localStorage.getItem('wsloop.notices') === 'all'", SOON);
    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    client.send_text("unseen");
    client.send_text("unseen too");
    wait_for_line(&page, "unseen too");
    assert_eq!(words(&page, "hint"), "This browser cannot show notices of a page.");
    assert_eq!(page.text("document.querySelector('#notify').value"), "nothing");
    front.close();
    assert_no_errors(&page);
}

#[test]
fn rooms_of_before_are_one_click_away() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    page.navigate(&server.http_url("/%E5%A4%A7%E5%8E%85"));
    wait_for_phase(&page, "connected");
    page.navigate(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    page.click("rooms");
    let links = "[...document.querySelectorAll('#recent a')].map((link) => [link.textContent, link.getAttribute('href')])";
    assert_eq!(page.evaluate(links), json!([["大厅", "/%E5%A4%A7%E5%8E%85"], ["tea", "/tea"]]));
    page.load(|| {
        page.evaluate("document.querySelectorAll('#recent a')[1].click()");
    });
    wait_for_phase(&page, "connected");
    assert_eq!(words(&page, "room"), "tea");
    assert_no_errors(&page);
}
