//! The connection as the page shows it: lost and found again, left and joined, and how long it waits.

use std::time::Duration;

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::{Client, without_time};
use crate::support::json::JsonClient;
use crate::support::server::{Wsloop, own_port};
use crate::{SOON, assert_no_errors, draft, focused, join, said, say, wait_for_line, wait_for_phase, words};

/// Keeps every phase that the page goes through.
const WATCH_PHASES: &str = "window.phases = [];
    new MutationObserver(() => phases.push(document.querySelector('#status').dataset.phase))
        .observe(document.querySelector('#status'), { attributeFilter: ['data-phase'] })";

/// Takes the place of the network and of the clock: time passes as fast as the timers can be called, a socket opens
/// and closes as `window.fates` says, time stops at the attempt after the last, and `window.attempts` keeps when each was made.
const FAKE_WORLD: &str = "
    let clock = 1000;
    let stopped = false;
    const later = setTimeout.bind(window);
    performance.now = () => clock;
    window.setTimeout = (call, pause, ...rest) =>
        later(() => { if (!stopped) { clock += pause; call(...rest); } }, window.standstill ? 600_000 : 0);
    window.attempts = [];
    window.fetch = () => Promise.reject(new TypeError('no network'));
    window.WebSocket = class extends EventTarget {
        static OPEN = 1;
        readyState = 0;
        constructor() {
            super();
            window.attempts.push(clock);
            const fate = window.fates.shift();
            stopped = fate === undefined;
            if (!stopped) { queueMicrotask(() => this.meet(fate)); }
        }
        meet({ open, lasts, code, reason }) {
            if (open) { this.dispatchEvent(new Event('open')); clock += lasts; }
            const close = new Event('close');
            this.dispatchEvent(Object.assign(close, { code, reason }));
        }
        close() {}
        send() {}
    };";

#[test]
fn the_page_comes_back_by_itself_when_the_server_does() {
    let port = own_port().to_string();
    let mut server = Wsloop::start(&["--port", &port]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/garden", "Ada");
    say(&page, "before the restart");
    page.wait_for("document.querySelector('.mine')?.dataset.state === 'sent'", SOON);
    page.evaluate(&format!("{WATCH_PHASES}; 0"));

    server.signal("TERM");
    assert_eq!(server.wait_exit(SOON), Some(0));
    wait_for_phase(&page, "waiting");
    page.wait_for("document.querySelector('#log .note')?.textContent.startsWith('Connection lost')", SOON);
    assert!(words(&page, "log").contains("the server is restarting"), "the close code is told in words");
    page.wait_for(
        "/^reconnecting in [0-9]+ s$/.test(document.querySelector('#countdown').textContent)",
        SOON,
    );
    for text in ["written meanwhile", "and this"] {
        say(&page, text);
    }
    assert_eq!(draft(&page), "");
    assert_eq!(
        page.evaluate("[...document.querySelectorAll('.mine')].map((line) => line.dataset.state)"),
        json!(["sent", "sending", "sending"])
    );

    let server = Wsloop::start(&["--port", &port]);
    // Somebody is quicker: its message has the number that another one on the page had before.
    let mut quick = JsonClient::join(&server, "/garden?name=Quick");
    quick.say("first of the new count");
    quick.settle();
    page.evaluate("dispatchEvent(new Event('online')); 0");
    wait_for_phase(&page, "connected");
    page.wait_for("document.querySelector('#log').textContent.includes('first of the new count')", SOON);
    page.wait_for("document.querySelectorAll('.mine[data-state=sent]').length === 3", SOON);
    let mut client = JsonClient::join(&server, "/garden?name=Bo");
    client.send(&json!({ "type": "history" }));
    let history = client.read_type("history");
    let texts: Vec<&str> = history["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|said| said["text"].as_str())
        .collect();
    // The page may have been the quicker one after all.
    let own: Vec<&str> = texts.into_iter().filter(|text| !text.starts_with("first")).collect();
    assert_eq!(own, ["written meanwhile", "and this"], "sent once, in their order");
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 3);
    let shown: Vec<String> =
        said(&page).iter().map(|line| line.rsplit_once(" say: ").expect("a line").1.to_owned()).collect();
    assert_eq!(shown[0], "before the restart", "what was there stays above");
    client.say("welcome back");
    wait_for_line(&page, "Bo say: welcome back");

    let phases = page.evaluate("[...new Set(phases)]");
    assert_eq!(phases, json!(["waiting", "connecting", "connected"]));
    let other = page.console_errors().into_iter().filter(|error| !error.contains("net::ERR_CONNECTION_"));
    assert_eq!(other.collect::<Vec<_>>(), Vec::<String>::new());
}

/// A device that says that it is offline may be wrong, as with a server on the same machine: the server is asked.
#[test]
fn a_device_that_is_offline_is_not_called_connected() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    page.evaluate(&format!("{WATCH_PHASES}; 0"));
    let doubted =
        page.evaluate("dispatchEvent(new Event('offline')), document.querySelector('#status').textContent");
    assert!(doubted.as_str().is_some_and(|words| words.contains("is offline")), "{doubted}");
    page.wait_for("document.querySelector('#status').textContent === 'Connected as Ada'", SOON);
    assert_eq!(page.evaluate("phases.includes('waiting')"), false, "the connection is as it was");

    server.signal("STOP");
    let waited = page.evaluate(
        "new Promise((done) => { const start = performance.now();
            new MutationObserver(() => done(performance.now() - start))
                .observe(document.querySelector('#status'), { attributeFilter: ['data-phase'] });
            dispatchEvent(new Event('offline')); })",
    );
    wait_for_phase(&page, "waiting");
    assert!(waited.as_f64().is_some_and(|waited| waited < 5000.0), "sooner than in silence: {waited}");
    server.signal("CONT");
    wait_for_phase(&page, "connected");
}

/// Reference server B: a button closes the connection, and the page says when it is closed.
#[test]
fn disconnect_and_connect_do_what_they_say() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    assert_eq!(client.read_text(), "Welcome Ada !");

    page.click("disconnect");
    wait_for_phase(&page, "disconnected");
    assert_eq!(without_time(&client.read_text()), "Ada say: Ada Logout");
    assert_eq!(focused(&page), "connect", "the focus is not lost with the button");
    // The first pause would be at most a second.
    assert_eq!(client.read_within(Duration::from_millis(1500)), None, "it stays away");

    page.press(Key::Enter);
    wait_for_phase(&page, "connected");
    assert_eq!(client.read_text(), "Welcome Ada !");
    assert_eq!(focused(&page), "disconnect");
    assert_no_errors(&page);
}

/// In the JSON form there are no magic words: what is typed is said.
#[test]
fn quit_is_a_word_like_any_other() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    assert_eq!(client.read_text(), "Welcome Ada !");
    for text in ["quit", " quit "] {
        say(&page, text);
        assert_eq!(without_time(&client.read_text()), format!("Ada say: {text}"));
        wait_for_line(&page, &format!("Ada say: {text}"));
    }
    assert_eq!(client.read_within(Duration::from_millis(500)), None, "nobody has left");
    assert_eq!(words(&page, "status"), "Connected as Ada");
    assert_no_errors(&page);
}

/// Reference server C: a leave is announced to everybody, and ends the connection.
#[test]
fn leaving_by_the_button_is_announced_and_is_no_accident() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    assert_eq!(client.read_text(), "Welcome Ada !");
    wait_for_line(&page, "Welcome Ada !");
    page.click("disconnect");
    assert_eq!(without_time(&client.read_text()), "Ada say: Ada Logout");
    wait_for_phase(&page, "disconnected");
    assert_eq!(words(&page, "status"), "Disconnected");
    assert_eq!(words(&page, "countdown"), "");
    assert_eq!(client.read_within(Duration::from_millis(1500)), None, "it stays away");
    assert_eq!(words(&page, "log"), "Welcome Ada !", "nothing is said to be lost");
    page.click("connect");
    wait_for_phase(&page, "connected");
    assert_eq!(client.read_text(), "Welcome Ada !");
    assert_no_errors(&page);
}

/// Reference server C: the page says goodbye when it is closed.
#[test]
fn a_page_that_goes_leaves_at_once() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    assert_eq!(client.read_text(), "Welcome Ada !");
    page.navigate(&server.http_url("/elsewhere"));
    assert_eq!(without_time(&client.read_text()), "Ada say: Ada Logout");

    // Back again, whether the browser kept the page as it was or loads it anew.
    page.evaluate("history.back()");
    page.wait_for("location.pathname === '/'", SOON);
    assert_eq!(client.read_text(), "Welcome Ada !");
    wait_for_phase(&page, "connected");
    assert_no_errors(&page);
    page.close();
    assert_eq!(without_time(&client.read_text()), "Ada say: Ada Logout");
}

#[test]
fn pauses_grow_to_half_a_minute_and_start_again_after_a_connection_that_lasted() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let refused = json!({ "open": false, "code": 1006, "reason": "" });
    let lost = |lasts: u32| json!({ "open": true, "lasts": lasts, "code": 1006, "reason": "" });
    let mut fates = vec![refused; 7];
    fates.push(lost(100));
    fates.push(lost(5000));
    let longest = pauses(&browser, &server, 1.0, &fates);
    assert_eq!(longest, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 1000]);
    let shortest = pauses(&browser, &server, 0.0, &fates);
    assert_eq!(shortest, [300; 9], "never less than the floor");
}

#[test]
fn a_server_that_names_a_pause_gets_at_least_that() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let draining = |reason: &str| json!([{ "open": true, "lasts": 9000, "code": 1012, "reason": reason }]);
    let fates = |reason: &str| draining(reason).as_array().cloned().expect("it is an array");
    assert_eq!(pauses(&browser, &server, 0.0, &fates("draining, retry-after-ms=7000")), [7300]);
    assert_eq!(pauses(&browser, &server, 1.0, &fates("retry-after-ms=7000")), [8000]);
    assert_eq!(pauses(&browser, &server, 1.0, &fates("draining")), [1000]);
    let absurd = fates("retry-after-ms=99999999999999999999");
    assert_eq!(pauses(&browser, &server, 0.0, &absurd), [600_300], "ten minutes are the most");
}

#[test]
fn each_close_code_is_told_in_words() {
    let cases = [
        (1001, "", "Connection lost: the server is shutting down"),
        (1002, "bad mask", "could not follow what this page sent."),
        (1003, "", "does not take this kind of message"),
        (1006, "", "Connection lost"),
        (1007, "", "text that it could not read"),
        (1008, "too many pings", "the server ended this connection."),
        (1008, "over the rate for 10 s", "you sent faster than this server allows"),
        (1009, "", "a message was too long"),
        (1011, "", "something went wrong in the server"),
        (1012, "", "the server is restarting"),
        (1013, "3 messages behind <b>", "could not keep up with the room."),
        (4999, "unheard of", "Connection lost"),
    ];
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    for (code, reason, words_wanted) in cases {
        let fates = [json!({ "open": true, "lasts": 0, "code": code, "reason": reason })];
        let page = fake_page(&browser, &server, 1.0, &fates);
        page.wait_for("document.querySelector('#log .note') !== null && attempts.length === 2", SOON);
        let note = words(&page, "log");
        assert!(note.contains(words_wanted), "{code}: {note:?}");
        page.close();
    }
    // A normal close (RFC 6455 §7.4.1) is no accident: nothing is told, and nothing is tried again.
    let left = [json!({ "open": true, "lasts": 0, "code": 1000, "reason": "" })];
    let page = fake_page(&browser, &server, 0.0, &left);
    wait_for_phase(&page, "disconnected");
    assert_eq!(words(&page, "log"), "");
    assert_eq!(page.evaluate("attempts.length"), 1);
}

#[test]
fn a_network_that_returns_ends_the_pause() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let refused = json!({ "open": false, "code": 1006, "reason": "" });
    let page = browser.blank_page();
    // Time stands still, so that nothing but the event can end the pause.
    page.before_load(&format!(
        "localStorage.setItem('wsloop.name', ''); window.standstill = true; {FAKE_WORLD} window.fates = {};",
        json!([refused])
    ));
    page.navigate(&server.http_url("/"));
    wait_for_phase(&page, "waiting");
    assert_eq!(words(&page, "status"), "No connection to the server");
    page.evaluate("dispatchEvent(new Event('online'))");
    wait_for_phase(&page, "connecting");
    assert_eq!(page.evaluate("attempts.length"), 2);
    // Again there is an attempt under way, which `online` does not disturb.
    page.evaluate("dispatchEvent(new Event('online'))");
    assert_eq!(page.evaluate("attempts.length"), 2);
}

/// The pauses in milliseconds before each attempt but the first, when chance always gives `chance`.
fn pauses(browser: &Browser, server: &Wsloop, chance: f64, fates: &[serde_json::Value]) -> Vec<i64> {
    let page = fake_page(browser, server, chance, fates);
    page.wait_for(&format!("attempts.length > {}", fates.len()), SOON);
    let times = page.evaluate("attempts");
    let times = times.as_array().expect("attempts is an array").iter();
    let times: Vec<f64> = times.map(|time| time.as_f64().expect("a time is a number")).collect();
    let lasted = fates.iter().map(|fate| fate["lasts"].as_f64().unwrap_or(0.0));
    times.windows(2).zip(lasted).map(|(pair, lasted)| whole(pair[1] - pair[0] - lasted)).collect()
}

fn whole(milliseconds: f64) -> i64 {
    format!("{milliseconds:.0}").parse().expect("a rounded number is whole")
}

fn fake_page(browser: &Browser, server: &Wsloop, chance: f64, fates: &[serde_json::Value]) -> Page {
    let page = browser.blank_page();
    page.before_load(&format!(
        "localStorage.setItem('wsloop.name', ''); Math.random = () => {chance}; {FAKE_WORLD} window.fates = {};",
        json!(fates)
    ));
    page.navigate(&server.http_url("/"));
    page
}
