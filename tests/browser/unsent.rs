//! What was not sent when the page went: it is kept with the draft, sent once, and if it is old, offered.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Key, Page};
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, draft, say, wait_for_phase, words};

/// The network of the WebSockets, but not of the pages, is down while `test.down` is stored.
const NETWORK: &str = "localStorage.setItem('wsloop.name', 'Ada');
    const Real = WebSocket; window.WebSocket = class extends Real {
        constructor(url, protocol) { super(localStorage.getItem('test.down') ? 'ws://127.0.0.1:1/' : url, protocol); } };";

const STATES: &str = "JSON.stringify([...document.querySelectorAll('.mine')].map((line) => \
    [line.querySelector('.text').textContent, line.dataset.state ?? 'sent']))";

fn open(page: &Page, server: &Wsloop) {
    page.before_load(NETWORK);
    page.navigate(&server.http_url("/tea"));
}

fn go_down(page: &Page) {
    page.evaluate(
        "localStorage.setItem('test.down', '1');
         import('/assets/whole.js').then(({ connection }) => connection.socket.close(3000)).then(() => 0)",
    );
    wait_for_phase(page, "waiting");
}

fn come_up(page: &Page) {
    page.evaluate("localStorage.removeItem('test.down'); dispatchEvent(new Event('online')); 0");
    wait_for_phase(page, "connected");
}

fn wait_for_states(page: &Page, wanted: &Value) {
    page.wait_for(&format!("{STATES} === JSON.stringify({wanted})"), SOON);
}

/// What the room has heard.
fn said(server: &Wsloop) -> Vec<String> {
    let mut client = JsonClient::join(server, "/tea?name=Reader");
    client.send(&json!({ "type": "history" }));
    let history = client.read_type("history");
    let messages = history["messages"].as_array().expect("a list");
    messages.iter().map(|said| said["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn what_was_not_sent_and_the_draft_outlive_the_page() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    open(&page, &server);
    wait_for_phase(&page, "connected");
    go_down(&page);
    say(&page, "one");
    say(&page, "two");
    page.type_text("half a thought");
    page.reload();
    wait_for_states(&page, &json!([["one", "sending"], ["two", "sending"]]));
    assert_eq!(draft(&page), "half a thought");
    page.reload();
    wait_for_states(&page, &json!([["one", "sending"], ["two", "sending"]]));
    come_up(&page);
    wait_for_states(&page, &json!([["one", "sent"], ["two", "sent"]]));
    assert_eq!(said(&server), ["one", "two"], "once, in their order");
    // What was sent is not kept; the draft is.
    page.reload();
    wait_for_phase(&page, "connected");
    wait_for_states(&page, &json!([["one", "sent"], ["two", "sent"]]));
    assert_eq!(draft(&page), "half a thought");
    page.evaluate("document.querySelector('#message').value = ''; 0");
    say(&page, "three");
    wait_for_states(&page, &json!([["one", "sent"], ["two", "sent"], ["three", "sent"]]));
    page.reload();
    wait_for_states(&page, &json!([["one", "sent"], ["two", "sent"], ["three", "sent"]]));
    assert_eq!(draft(&page), "");
    assert_eq!(said(&server), ["one", "two", "three"]);
}

/// The server has heard it, and the page has gone before it knew.
#[test]
fn what_has_arrived_is_not_said_twice_after_a_reload() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    open(&page, &server);
    wait_for_phase(&page, "connected");
    page.evaluate(
        "const parse = JSON.parse; JSON.parse = (text, ...rest) => {
            const event = parse(text, ...rest);
            return event.type === 'ack' ? { type: 'lost' } : event; }; 0",
    );
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    say(&page, "once");
    bo.read_until_text("once");
    page.reload();
    wait_for_states(&page, &json!([["once", "sent"]]));
    say(&page, "and on");
    bo.read_until_text("and on");
    assert_eq!(bo.texts(), ["once", "and on"]);
    wait_for_states(&page, &json!([["once", "sent"], ["and on", "sent"]]));
}

#[test]
fn a_tab_takes_over_from_one_that_has_gone_and_from_no_other() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let first = browser.blank_page();
    open(&first, &server);
    wait_for_phase(&first, "connected");
    go_down(&first);
    say(&first, "of the first tab");
    let second = first.tab_in_front();
    open(&second, &server);
    wait_for_phase(&second, "waiting");
    wait_for_states(&second, &json!([]));
    // The page says that it goes, and is brought back.
    first.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })); 0");
    second.reload();
    wait_for_states(&second, &json!([["of the first tab", "sending"]]));
    come_up(&second);
    wait_for_states(&second, &json!([["of the first tab", "sent"]]));
    first.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })); 0");
    wait_for_phase(&first, "connected");
    first.wait_for("document.querySelectorAll('.mine[data-state=sent]').length === 1", SOON);
    assert_eq!(said(&server), ["of the first tab"], "both have said it with one ref");
}

#[test]
fn what_is_old_is_offered_and_not_sent() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.before_load(
        "if (!localStorage.getItem('wsloop.name')) {
            localStorage.setItem('wsloop.name', 'Ada');
            const at = Date.now() - 20 * 60_000;
            const entries = ['first', 'second', 'third'].map((text, index) => ({ ref: `x-${index}`, text, at }));
            localStorage.setItem('wsloop.unsent.gone', JSON.stringify({ room: 'tea', seen: 0, written: at, draft: '',
                entries: [...entries, { ref: 7 }, null] }));
            localStorage.setItem('wsloop.unsent.broken', '{');
            localStorage.setItem('wsloop.unsent.other', JSON.stringify({ room: 'garden', seen: 0, written: at, draft: 'x', entries }));
        }",
    );
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    let three = json!([["first", "failed"], ["second", "failed"], ["third", "failed"]]);
    wait_for_states(&page, &three);
    assert_eq!(draft(&page), "");
    // They stay until something is done about them.
    page.reload();
    wait_for_phase(&page, "connected");
    wait_for_states(&page, &three);
    let press = |line: usize, words: &str| {
        page.evaluate(&format!(
            "[...document.querySelectorAll('.mine')][{line}].querySelectorAll('button').forEach((button) =>
                button.textContent === '{words}' && button.click()); 0"
        ));
    };
    press(2, "Discard");
    press(1, "Edit");
    press(0, "Send again");
    wait_for_states(&page, &json!([["first", "sent"]]));
    assert_eq!(draft(&page), "second");
    assert_eq!(said(&server), ["first"]);
}

#[test]
fn a_storage_that_is_full_breaks_nothing_and_the_browser_asks_before_something_is_lost() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    open(&page, &server);
    wait_for_phase(&page, "connected");
    let asks = "(() => { const event = new Event('beforeunload', { cancelable: true });
        dispatchEvent(event); return event.defaultPrevented; })()";
    go_down(&page);
    say(&page, "kept");
    assert_eq!(page.evaluate(asks), false);
    page.evaluate(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; 0",
    );
    say(&page, "not kept");
    assert_eq!(page.evaluate(asks), true);
    come_up(&page);
    wait_for_states(&page, &json!([["kept", "sent"], ["not kept", "sent"]]));
    assert_eq!(page.evaluate(asks), false);
    assert_eq!(said(&server), ["kept", "not kept"]);
}

/// Answers the first message, by the bar that comes to it.
fn answer_first(page: &Page, text: &str) {
    page.wait_for("document.querySelector('[data-seq=\"1\"]') !== null", SOON);
    page.point_at("[data-seq=\"1\"]");
    page.click_on("#actions [data-action=answer]");
    page.type_text(text);
    page.press(Key::Enter);
}

#[test]
fn an_answer_is_one_after_the_page_and_none_after_the_room() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.say("who?");
    let page = browser.blank_page();
    open(&page, &server);
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelector('[data-seq=\"1\"]') !== null", SOON);
    go_down(&page);
    answer_first(&page, "I");
    page.reload();
    wait_for_states(&page, &json!([["I", "sending"]]));
    come_up(&page);
    bo.read_until_text("who?");
    let answer = bo.read_type("say");
    assert_eq!((&answer["text"], &answer["re"]), (&json!("I"), &json!(1)));

    // In a room that has begun anew the number is that of another message.
    wait_for_states(&page, &json!([["I", "sent"]]));
    go_down(&page);
    answer_first(&page, "and you");
    page.press(Key::Up);
    page.type_text(", too");
    page.press(Key::Enter);
    assert_eq!(words(&page, "hint"), "Not connected. It is done as soon as you are.");
    let asks = "(() => { const event = new Event('beforeunload', { cancelable: true });
        dispatchEvent(event); return event.defaultPrevented; })()";
    assert_eq!(page.evaluate(asks), true, "an edit is not stored");
    let port = server.port().to_string();
    drop((bo, server));
    let server = Wsloop::start(&["--port", &port]);
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.say("another message");
    bo.settle();
    come_up(&page);
    bo.read_until_text("and you");
    assert_eq!(bo.heard.last().expect("it was heard").get("re"), None);
    page.wait_for("document.querySelector('#message').value === 'I, too'", SOON);
    assert_eq!(words(&page, "hint"), "Not done: the message is not kept any more, or is deleted.");
}
