//! How fast the page is there over a slow network, how soon a key is seen while others talk, and what it holds after
//! ten thousand messages. These are figures to look at, not tests: `tests/README.md` says how to take them.

// Figures are for people to read.
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::Client;
use crate::support::server::Wsloop;
use crate::{SOON, join, wait_for_line, wait_for_phase};

const MESSAGES: u32 = 10_000;
const VISITS: usize = 5;
const KEYS: usize = 100;

/// A server with a room that remembers as much as one can.
fn with_history() -> (Wsloop, Client) {
    let server = Wsloop::start(&["--history", "10000", "--ping-interval", "0", "--max-queue", "64M"]);
    let mut client = Client::join(&server, "/tea?name=Bo");
    for number in 0..MESSAGES {
        client.send_text(&number.to_string());
        client.read_said();
    }
    (server, client)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mebibytes(page: &Page) -> f64 {
    page.heap_bytes() / 1_048_576.0
}

#[test]
#[ignore = "a figure"]
fn first_paint_and_connected_over_a_slow_network() {
    let (server, _client) = with_history();
    let browser = Browser::launch();
    let (mut paints, mut connected) = (Vec::new(), Vec::new());
    let mut files = 0;
    for _ in 0..VISITS {
        // A visitor of its own has a cache of its own, with nothing in it.
        let page = browser.blank_page();
        page.emulate_network(Duration::from_millis(300), 400);
        page.before_load(
            "new MutationObserver(() => {
                const phase = document.querySelector('#status')?.dataset.phase;
                window.connectedAt ??= phase === 'connected' ? performance.now() : undefined;
            }).observe(document, { subtree: true, childList: true, attributeFilter: ['data-phase'] });",
        );
        page.navigate(&server.http_url("/tea"));
        wait_for_phase(&page, "connected");
        paints.push(number(
            &page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime"),
        ));
        connected.push(number(&page.evaluate("connectedAt")));
        files = page.requested_urls().len();
    }
    println!(
        "300 ms there and back, 400 kbit/s, nothing cached, {files} requests, median of {VISITS} visits:"
    );
    println!("  first paint {:.0} ms, connected {:.0} ms", middle(paints), middle(connected));
    println!(
        "  an echo, its connection included, where each answer takes a second more: {:.0} ms",
        first_echo(&browser, &server)
    );
}

/// Whether the browser slows down WebSockets too.
fn first_echo(browser: &Browser, server: &Wsloop) -> f64 {
    let page = browser.blank_page();
    page.navigate(&server.http_url("/healthz"));
    page.emulate_network(Duration::from_secs(1), 400);
    number(&page.evaluate(
        "new Promise((done) => { const begun = performance.now(); const socket = new WebSocket('/echo');
            socket.onopen = () => socket.send('x');
            socket.onmessage = () => done(performance.now() - begun); })",
    ))
}

#[test]
#[ignore = "a figure"]
fn key_to_frame_while_others_talk() {
    let server = Wsloop::start(&["--ping-interval", "0", "--max-queue", "64M"]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    page.click("message");
    // From the key until the frame with it is drawn: a task of its own comes behind that.
    page.evaluate(
        "window.taken = []; const channel = new MessageChannel(); const begun = [];
         channel.port1.onmessage = () => taken.push(performance.now() - begun.shift());
         document.querySelector('#message').addEventListener('keydown', ({ timeStamp }) => {
            begun.push(timeStamp); requestAnimationFrame(() => channel.port2.postMessage(0)); }, true); 0",
    );
    println!("From a key to the frame that shows it, {KEYS} keys:");
    println!("  {} while nobody talks", taken(&page));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            for number in 0_u32.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                client.send_text(&format!("message {number} with some **words** in it, and a :smile:"));
                client.read_said();
                let due = begun + Duration::from_millis(10) * number;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        page.wait_for("document.querySelectorAll('.say').length > 1000", SOON);
        println!("  {} while 100 messages a second come", taken(&page));
        done.store(true, Ordering::Relaxed);
    });
}

/// Presses keys, and says how long each took to be seen.
fn taken(page: &Page) -> String {
    page.evaluate("taken.length = 0");
    for count in 1..=KEYS {
        page.press(Key::Space);
        page.wait_for(&format!("taken.length === {count}"), SOON);
    }
    let taken = page.evaluate("taken.sort((one, other) => one - other)");
    let at = |share: usize| number(&taken[(KEYS - 1) * share / 100]);
    format!("median {:.1} ms, 95 % within {:.1} ms, longest {:.1} ms", at(50), at(95), at(100))
}

#[test]
#[ignore = "a figure"]
fn heap_after_ten_thousand_messages() {
    let (server, mut client) = with_history();
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    page.wait_for("document.querySelectorAll('.say').length === 50", SOON);
    println!("JS heap: {:.1} MiB with 50 messages", mebibytes(&page));
    let begun = Instant::now();
    while page.evaluate("document.querySelector('#beginning') === null") == Value::Bool(true) {
        assert!(begun.elapsed() < 10 * SOON, "the beginning never comes");
        page.evaluate(
            "(async () => { const count = document.querySelectorAll('.say').length;
                document.querySelector('#log').scrollTop = 0;
                for (let tries = 0; tries < 100 && document.querySelectorAll('.say').length === count; tries += 1) {
                    await new Promise((done) => setTimeout(done, 5)); } })()",
        );
    }
    let shown = page.evaluate("document.querySelectorAll('.say').length");
    println!(
        "  {:.1} MiB after scrolling back through {shown} messages, in {:.1?}",
        mebibytes(&page),
        begun.elapsed()
    );

    let live = join(&browser, &server, "/live", "Ada");
    let mut talker = Client::join(&server, "/live?name=Bo");
    let begun = Instant::now();
    for number in 0..MESSAGES {
        talker.send_text(&format!("message {number}"));
        talker.read_said();
    }
    wait_for_line(&live, &format!("message {}", MESSAGES - 1));
    println!("  {:.1} MiB after {MESSAGES} live messages, in {:.1?}", mebibytes(&live), begun.elapsed());
    client.send_text("done");
}
