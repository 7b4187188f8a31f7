//! A server that is there and does not let one in: the page says why, and waits as long as it is asked to.

use serde_json::json;

use crate::support::browser::{Browser, Key};
use crate::support::client::Client;
use crate::support::http::{Request, exchange};
use crate::support::json::JsonClient;
use crate::support::server::{Wsloop, wait_until};
use crate::{SOON, draft, join, say, wait_for_phase, words};

/// One place, which somebody else takes while the page is not connected.
fn page_that_is_refused(arguments: &[&str], wanted: &str) {
    let server = Wsloop::start(arguments);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    page.click("disconnect");
    wait_for_phase(&page, "disconnected");
    // The server may not know yet that the page has gone.
    let request = Request::plain(&server, "GET", "/healthz").bytes();
    wait_until("there is a place", SOON, || exchange(&server, &request).status == 200);
    let other = Client::join(&server, "/tea?name=Bo");
    page.click("connect");
    page.wait_for(
        &format!("document.querySelector('#status').textContent.startsWith({})", json!(wanted)),
        SOON,
    );
    // The server asks for ten seconds; the first pause of the page's own is one at most.
    page.wait_for("Number(/[0-9]+/.exec(document.querySelector('#countdown').textContent)?.[0]) > 5", SOON);
    drop(other);
    page.evaluate("dispatchEvent(new Event('online')); 0");
    wait_for_phase(&page, "connected");
}

#[test]
fn a_full_server_is_called_full() {
    page_that_is_refused(&["--max-clients", "1"], "The server is full");
}

#[test]
fn too_many_connections_of_one_address_are_called_so() {
    page_that_is_refused(&["--max-per-ip", "1"], "Too many connections come from your network");
}

#[test]
fn a_server_that_answers_but_lets_no_websocket_through_is_told_apart_from_a_dead_one() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada'); const Real = WebSocket;
         window.WebSocket = class extends Real { constructor() { super('ws://127.0.0.1:1/'); } };",
    );
    page.navigate(&server.http_url("/tea"));
    page.wait_for(
        "document.querySelector('#status').textContent.startsWith('The server answers, but')",
        SOON,
    );
    drop(server);
    page.evaluate("dispatchEvent(new Event('online')); 0");
    page.wait_for("document.querySelector('#status').textContent === 'No connection to the server'", SOON);
}

#[test]
fn a_message_over_the_limit_says_so_in_its_line_and_can_be_edited() {
    let server = Wsloop::start(&["--max-message", "1K"]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    let long = "long ".repeat(300);
    say(&page, &long);
    page.wait_for("document.querySelector('#hint').textContent.startsWith('This is too long by')", SOON);
    assert_eq!(draft(&page), long);
    // A page that was told another limit finds out when it is closed; what else was on its way is said.
    page.evaluate(
        "import('/assets/whole.js').then(({ connection }) => {
            const { send } = connection;
            connection.limits.message = 65536;
            const held = [];
            connection.send = (object) => held.push(object);
            window.letGo = () => { connection.send = send; held.forEach((object) => connection.send(object)); }; })",
    );
    page.press(Key::Enter);
    say(&page, "short");
    page.evaluate("letGo()");
    page.wait_for("document.querySelector('.mine[data-state=failed]') !== null", SOON);
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelector('.mine[data-state=sent]')?.textContent.endsWith('short')", SOON);
    assert!(words(&page, "log").contains("Not sent: it is too long"));
    let buttons = "[...document.querySelectorAll('.remedies button')].map((button) => button.textContent)";
    assert_eq!(page.evaluate(buttons), json!(["Edit", "Discard"]));
    assert_eq!(draft(&page), "");
    page.evaluate("document.querySelector('.remedies button').click()");
    assert_eq!(draft(&page), long);
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 1);
}

/// Written before the first welcome said what the limit is.
#[test]
fn what_was_written_before_the_limit_was_known_is_judged_by_it() {
    let server = Wsloop::start(&["--max-message", "1K"]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    page.evaluate(
        "import('/assets/whole.js').then(({ composer }) => composer.send('long '.repeat(300))).then(() => 0)",
    );
    page.type_text("Ada");
    page.press(Key::Enter);
    page.wait_for("document.querySelector('.mine[data-state=failed]') !== null", SOON);
    wait_for_phase(&page, "connected");
    let mut other = JsonClient::join(&server, "/?name=Bo");
    other.send(&json!({ "type": "history" }));
    assert_eq!(other.read_type("history")["messages"], json!([]));
}
