//! The operators' page: figures and plots that move with what happens, and that say so when nothing is known.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::http::{Request, get, refusal};
use crate::support::json::JsonClient;
use crate::support::raw::{BINARY, PATIENCE, RawClient, frame};
use crate::support::server::{Wsloop, own_port, wait_until};
use crate::{SOON, assert_no_errors, words};

const PLOTS: u64 = 10;

/// A figure at the top of the page.
fn figure(page: &Page, name: &str) -> String {
    page.text(&format!(
        "[...document.querySelectorAll('#figures div')].find((box) => box.firstChild.textContent === {})?.lastChild.textContent ?? ''",
        json!(name)
    ))
}

#[test]
fn the_dashboard_moves_with_what_happens() {
    let server = Wsloop::start(&["--max-queue", "1M"]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/dashboard"));
    page.set_viewport(1280, 1000, false);
    page.wait_for("document.querySelector('#status').dataset.state === 'serving'", SOON);
    assert_eq!(page.evaluate("document.querySelectorAll('.plot canvas').length"), PLOTS);
    let drawn = "(() => { const canvas = document.querySelectorAll('.plot canvas')[2];
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0; for (let index = 3; index < pixels.length; index += 4) { sum += pixels[index] > 0; } return sum; })()";
    assert!(page.evaluate(drawn).as_u64() > Some(100), "axes and grid are drawn");

    // A room that talks, a laggard, a refusal.
    let mut client = JsonClient::join(&server, "/tea?name=%3Ci%3EAda");
    let sleeper = RawClient::upgrade(&server, "/broadcast/flood");
    let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
    refusal(&server, &Request::plain(&server, "GET", "/echo").bytes(), 426);
    for number in 0..40 {
        client.say(&format!("secret {number}"));
        sender.send(&frame(BINARY, &vec![7; 20_000]));
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_until("something waits for the sleeper", PATIENCE, || {
        (0..20).for_each(|_| sender.send(&frame(BINARY, &vec![7; 30_000])));
        get(&server, "/stats").text().contains("\"queued_messages\"")
    });
    client.settle();
    page.wait_for("document.querySelector('#laggards td') !== null || document.querySelector('#reasons').textContent.includes('queue full')", SOON);
    page.wait_for("document.querySelector('#reasons').textContent.includes('upgrade')", SOON);
    assert_eq!(figure(&page, "Refused"), "1");
    assert_eq!(figure(&page, "Rooms"), "2");
    assert!(page.text("document.querySelector('#rooms').textContent").contains("topic "));
    for secret in ["secret", "Ada", "tea", "flood"] {
        assert!(
            !page.text("document.body.textContent").contains(secret),
            "{secret} is nobody's business here"
        );
    }
    if let Some(file) = std::env::var_os("WSLOOP_DASHBOARD_SCREENSHOT") {
        std::thread::sleep(Duration::from_secs(20));
        page.screenshot(Path::new(&file));
    }
    page.set_viewport(320, 568, true);
    assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "it fits a phone");
    for scheme in ["light", "dark"] {
        page.emulate_media("prefers-color-scheme", scheme);
        assert_eq!(page.evaluate("document.querySelectorAll('.plot canvas').length"), PLOTS, "{scheme}");
    }
    assert_no_errors(&page);
    drop((sleeper, server));
    page.wait_for("document.querySelector('#status').dataset.state === 'lost'", SOON);
    assert!(words(&page, "status").starts_with("no report since"));
}

fn wait_for_state(page: &Page, state: &str) {
    page.wait_for(&format!("document.querySelector('#status').dataset.state === '{state}'"), SOON);
}

fn open(browser: &Browser, server: &Wsloop) -> Page {
    let page = browser.page(&server.http_url("/dashboard"));
    page.set_viewport(1280, 1000, false);
    wait_for_state(&page, "serving");
    page
}

/// What a plot is called by a screen reader, which says how many gaps it has.
fn name_of_plot(page: &Page, index: usize) -> String {
    page.text(&format!("document.querySelectorAll('.plot canvas')[{index}].getAttribute('aria-label')"))
}

/// The widest gap in the line of deliveries, in pixels: nothing is drawn over it. None without a line.
fn widest_gap(page: &Page) -> Option<u64> {
    let widest = page.evaluate(
        "(() => { const canvas = document.querySelectorAll('.plot canvas')[3];
            const swatch = getComputedStyle(document.querySelector('.swatch.line-0')).backgroundColor;
            const wanted = swatch.match(/[0-9]+/g).map(Number);
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const isDrawn = (x) => { for (let y = 0; y < canvas.height; y++) {
                const at = (y * canvas.width + x) * 4;
                if (wanted.every((value, index) => Math.abs(data[at + index] - value) < 40) && data[at + 3] > 200) { return true; }
            } return false; };
            const drawn = Array.from({ length: canvas.width }, (_, x) => x).filter(isDrawn);
            return drawn.length < 20 ? null : drawn.reduce((most, x, index) => Math.max(most, index > 0 ? x - drawn[index - 1] - 1 : 0), 0); })()",
    );
    widest.as_u64()
}

#[test]
fn a_full_server_shows_its_dashboard_and_its_verdict_changes_with_the_reason() {
    let server = Wsloop::start(&["--max-clients", "4"]);
    let mut clients: Vec<RawClient> = (0..4).map(|_| RawClient::upgrade(&server, "/echo")).collect();
    let browser = Browser::launch();
    let page = open(&browser, &server);
    let full = "places in use: 100 % of --max-clients (ill from 100 %)";
    page.wait_for(&format!("document.querySelector('#why').textContent.includes('{full}')"), SOON);
    assert_eq!(page.text("document.querySelector('#verdict').dataset.health"), "ill");
    assert_eq!(words(&page, "health"), "ill");
    assert_eq!(page.text("document.title"), "ill · wsloop");
    assert!(figure(&page, "Connections").ends_with(" / 4"), "{}", figure(&page, "Connections"));
    assert_eq!(figure(&page, "Ledger"), "balanced");
    assert!(figure(&page, "CPU").contains('%') && figure(&page, "Idle").contains('%'));
    assert!(
        figure(&page, "Waiting").ends_with("/ 256 MiB")
            && figure(&page, "Largest queue").ends_with("/ 1 MiB")
    );
    page.wait_for("document.querySelector('#events').textContent.includes('verdict: ill')", SOON);
    assert!(words(&page, "events").contains("state: started"));
    clients.truncate(1);
    page.wait_for("!document.querySelector('#why').textContent.includes('--max-clients')", SOON);
    page.wait_for("document.querySelectorAll('#events tbody tr').length >= 3", SOON);
    assert_no_errors(&page);
}

#[test]
fn a_503_and_an_outage_are_shown_as_such_with_since_when_and_old_figures_are_dimmed() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = open(&browser, &server);
    let dimmed = "getComputedStyle(document.querySelector('#figures')).opacity < 1";
    assert_eq!(page.evaluate(dimmed), false);
    // No descriptor is left for who asks.
    let limit = |files: usize| {
        let status = Command::new("prlimit")
            .args(["--pid", &server.pid().to_string(), &format!("--nofile={files}:4096")])
            .status()
            .expect("util-linux is on every machine");
        assert!(status.success());
    };
    let is_taken = |number: &usize| Path::new(&format!("/proc/{}/fd/{number}", server.pid())).exists();
    wait_until("who asks is refused", SOON, || {
        limit((0..).find(|number| !is_taken(number)).expect("some are free"));
        page.text("document.querySelector('#status').dataset.state") == "refused"
    });
    let status = words(&page, "status");
    assert!(status.starts_with("refused since ") && status.contains("503 Service Unavailable"), "{status}");
    assert!(status.contains("the figures are of "), "{status}");
    assert_eq!(page.evaluate(dimmed), true);
    assert_eq!(words(&page, "health"), "unknown");
    limit(1024);
    wait_for_state(&page, "serving");
    assert_eq!(page.evaluate(dimmed), false);
    page.wait_for("document.querySelector('#reasons').textContent.includes('descriptors')", SOON);
    page.wait_for("document.querySelector('#why').textContent.includes('without a place')", SOON);
    drop(server);
    wait_for_state(&page, "lost");
    let status = words(&page, "status");
    let time = status.strip_prefix("no report since ").and_then(|rest| rest.get(..8)).expect("a time");
    assert!(time.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 {
        byte == b':'
    } else {
        byte.is_ascii_digit()
    }));
    assert_eq!(page.evaluate(dimmed), true);
}

#[test]
fn an_outage_and_a_restart_are_a_gap() {
    let port = own_port().to_string();
    let server = Wsloop::start(&["--port", &port]);
    let browser = Browser::launch();
    let page = open(&browser, &server);
    page.wait_for(
        "Number.parseInt([...document.querySelectorAll('#figures dd')].at(-1).textContent) >= 5",
        SOON,
    );
    assert!(name_of_plot(&page, 3).contains("No gaps"), "{}", name_of_plot(&page, 3));
    wait_until("the line is drawn, without a gap", SOON, || widest_gap(&page).is_some_and(|gap| gap <= 2));
    drop(server);
    wait_for_state(&page, "lost");
    page.wait_for("document.querySelectorAll('.legend b')[2].textContent === '–'", SOON);
    let again = Wsloop::start(&["--port", &port]);
    wait_for_state(&page, "serving");
    page.wait_for(
        "document.querySelectorAll('.plot canvas')[3].getAttribute('aria-label').includes('1 gap')",
        SOON,
    );
    page.wait_for(
        "Number.parseInt([...document.querySelectorAll('#figures dd')].at(-1).textContent) >= 3",
        SOON,
    );
    assert!(name_of_plot(&page, 3).contains("1 gap"), "{}", name_of_plot(&page, 3));
    wait_until("the gap is drawn", SOON, || widest_gap(&page) >= Some(8));
    drop(again);
}

#[test]
fn who_comes_later_sees_what_was_before_and_plots_have_names_legends_and_tables() {
    let server = Wsloop::start(&[]);
    let wait_for_samples = |count: usize| {
        wait_until("the hour has so many samples", SOON, || {
            let history = get(&server, "/stats/history");
            let history: serde_json::Value = serde_json::from_str(history.text()).expect("JSON");
            history["time_ms"].as_array().map(Vec::len) >= Some(count)
        });
    };
    let mut client = JsonClient::join(&server, "/tea?name=Ada");
    // What was before the first sample is no rate.
    wait_for_samples(2);
    for number in 0..50 {
        client.say(&format!("secret {number}"));
    }
    client.settle();
    wait_for_samples(4);
    let browser = Browser::launch();
    let page = open(&browser, &server);
    page.wait_for(
        "document.querySelectorAll('.plot canvas')[3].getAttribute('aria-label').includes('at most')",
        SOON,
    );
    // Fifty in five seconds, long ago.
    let name = name_of_plot(&page, 3);
    let most = name.split("now, ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    assert!(
        name.starts_with("Deliveries a second. delivered: ")
            && most.parse::<u64>().is_ok_and(|most| most >= 2),
        "{name}"
    );
    let images =
        page.accessible_nodes().into_iter().filter(|(role, name, _)| role == "image" && name.contains(". "));
    assert_eq!(images.count() as u64, PLOTS);
    let legends =
        page.text("[...document.querySelectorAll('.legend')].map((legend) => legend.textContent).join('|')");
    assert!(legends.contains("CPU ") && legends.contains('%') && !legends.contains("--"), "{legends}");
    page.evaluate("document.querySelector('.plot details').open = true");
    page.wait_for(
        "/[0-9]{2}:[0-9]{2}/.test(document.querySelector('.plot tbody td')?.textContent ?? '')",
        SOON,
    );
    assert!(page.text("document.querySelector('.plot tbody td:nth-child(2)').textContent").contains('%'));
    assert_no_errors(&page);
}

/// The page, when what it asks for goes through `answer`, a function of the path and of a promise of the answer.
fn open_told(browser: &Browser, server: &Wsloop, answer: &str) -> Page {
    let page = browser.blank_page();
    page.before_load(&format!(
        "const answer = {answer};
        const real = window.fetch;
        window.fetch = (path, options) => answer(path, () => real(path, options));"
    ));
    page.navigate(&server.http_url("/dashboard"));
    page.set_viewport(1280, 1000, false);
    page
}

#[test]
fn reports_go_on_when_the_history_cannot_be_had_and_it_is_asked_for_less_and_less_often() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = open_told(
        &browser,
        &server,
        "(path, ask) => {
            window.asked ??= { reports: 0, histories: 0, isRefused: true, states: new Set() };
            asked.states.add(document.querySelector('#status').dataset.state);
            asked[path === '/stats' ? 'reports' : 'histories'] += 1;
            return path === '/stats' || !asked.isRefused ? ask() : Promise.resolve(new Response('not now', { status: 503 }));
        }",
    );
    page.wait_for("window.asked?.reports >= 7", SOON);
    assert_eq!(page.evaluate("[...asked.states].join(' ')"), "waiting serving");
    assert_eq!(page.text("document.body.dataset.stale"), "no");
    let histories = page.evaluate("asked.histories").as_u64();
    assert!((2..=4).contains(&histories.expect("a number")), "{histories:?} of the history");
    // As soon as it can be had, it is not asked for any more.
    page.evaluate("asked.isRefused = false");
    page.wait_for(&format!("asked.histories > {}", histories.expect("a number")), SOON);
    page.evaluate("asked.reports = 0");
    let after = page.evaluate("asked.histories");
    page.wait_for("asked.reports >= 3", SOON);
    assert_eq!(page.evaluate("asked.histories"), after);
}

#[test]
fn figures_are_coloured_by_the_verdict_and_the_last_minute_is_the_servers() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = open_told(
        &browser,
        &server,
        "async (path, ask) => {
            if (path !== '/stats') { return ask(); }
            const report = await (await ask()).json();
            return new Response(JSON.stringify({ ...report,
                rejected: { full: 900, upgrade: 20 }, refusals_last_minute: { full: 40, upgrade: 0 },
                closed: { 1000: 3 }, closes_last_minute: undefined, clients: 99, clients_max: 100,
                verdict: { state: 'ill', reasons: [{ what: 'buffered', state: 'ill', text: 'b' },
                    { what: 'cpu', state: 'strained', text: 'c' }, { what: 'shed', state: 'strained', text: 's' }] } }));
        }",
    );
    wait_for_state(&page, "serving");
    let rows = page.text("[...document.querySelectorAll('#reasons tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent).join(' ')).join('; ')");
    assert_eq!(rows, "refused full 40 900; refused upgrade 0 20; closed 1000 – 3");
    let looks = |name: &str| {
        let boxes = "[...document.querySelectorAll('#figures div')]";
        let found = format!("{boxes}.find((box) => box.firstChild.textContent === {})", json!(name));
        page.text(&format!("{found}.dataset.health + ' ' + getComputedStyle({found}.lastChild).color"))
    };
    let [waiting, cpu, connections] = ["Waiting", "CPU", "Connections"].map(looks);
    assert!(waiting.starts_with("ill rgb") && cpu.starts_with("strained rgb"), "{waiting}, {cpu}");
    assert!(
        connections.starts_with("well rgb"),
        "that much of a limit is no reason by itself: {connections}"
    );
    let colours: BTreeSet<_> =
        [&waiting, &cpu, &connections].map(|look| look.split_once(' ')).into_iter().collect();
    assert_eq!(colours.len(), 3, "{colours:?}");
    // Nobody has been pinged.
    assert_eq!(name_of_plot(&page, 6), "Ping to pong. p99: nothing yet. No gaps.");
    assert_no_errors(&page);
}

#[test]
fn operators_with_an_address_of_their_own_see_who_and_where() {
    let server = Wsloop::start(&["--admin", "127.0.0.1:0", "--max-queue", "64M", "--max-buffered", "128M"]);
    let log = server.wait_for_log(PATIENCE, |log| log.contains("operators: open "));
    let url = log.split_once("operators: open ").expect("a line").1.split(' ').next().expect("a URL");
    let sleeper = RawClient::upgrade(&server, "/broadcast/flood");
    let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
    let browser = Browser::launch();
    let page = browser.page(url);
    wait_for_state(&page, "serving");
    let is_shown = "['#laggards', '#talkers'].every((table) => {
        const text = document.querySelector(table + ' tbody').textContent;
        return text.includes('127.0.0.1:') && text.includes('topic flood'); })";
    wait_until("both stand out", SOON, || {
        (0..5).for_each(|_| sender.send(&frame(BINARY, &vec![7; 20_000])));
        page.evaluate(is_shown) == true
    });
    assert!(words(&page, "rooms").contains("topic flood"));
    drop(sleeper);
}
