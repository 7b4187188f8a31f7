//! Clients that others wrote, as judges: Python's `websockets`, Node's `ws`, the browser and tungstenite
//! send thousands of random messages of up to 1 MiB in random fragments, alone to an echo and all four
//! together on one topic, with and without permessage-deflate. What comes back is what was sent.
//!
//! `WSLOOP_DIFFERENTIAL_SEED` replays a run, `WSLOOP_DIFFERENTIAL_MESSAGES` makes it longer.

mod rust_client;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::browser::{Browser, Page};
use support::server::{Wsloop, own_port};

/// What the others ask for. zlib makes no window of 8 bits, so neither do they.
const VARIANTS: [&str; 10] = [
    "plain",
    "compressed",
    "no-takeover",
    "window-9",
    "window-10",
    "window-11",
    "window-12",
    "window-13",
    "window-14",
    "window-15",
];

/// How long the browser may take for all that it does; the other clients end themselves.
const TIME_MAX: Duration = Duration::from_secs(300);

const BROWSER_SCRIPT: &str = include_str!("browser.js");

#[test]
fn python_websockets_gets_back_what_it_sends() {
    expect_echo(python());
}

#[test]
fn node_ws_gets_back_what_it_sends() {
    expect_echo(node());
}

#[test]
fn the_browser_gets_back_what_it_sends() {
    let server = start();
    let browser = Browser::launch();
    let page = page(&browser, &server);
    let (seed, count) = (seed(), 6 * messages());
    page.evaluate(&format!("run(echo('{}', {seed}, {count}))", server.ws_url("/echo")));
    let outcome = outcome(&page, seed);
    assert_eq!(outcome["messages"], count, "seed {seed}");
}

#[test]
fn tungstenite_gets_back_what_it_sends() {
    let server = start();
    let (seed, count) = (seed(), 6 * messages());
    rust_client::echo(&server.ws_url("/echo"), seed, count);
    rust_client::refusals(&server.ws_url("/echo"));
}

/// The client that the server serves (`/assets/client.js`), in Node, with `ws` as its WebSocket.
#[test]
fn the_client_of_pages_talks_in_node() {
    let port = own_port().to_string();
    let mut server = Wsloop::start(&["--port", &port]);
    let mut command = Command::new("node");
    command.env("WSLOOP_WS", installed("node")).arg(script("room.mjs")).arg(server.http_url("/tea"));
    let mut process = Process::start(command);
    process.expect_line("said");
    server.signal("KILL");
    assert!(server.wait_exit(TIME_MAX).is_some());
    process.go();
    process.expect_line("waiting");
    let _server = Wsloop::start(&["--port", &port]);
    let outcome = process.outcome(0);
    assert_eq!(outcome["heard"], serde_json::json!(["one", "two", "one", "two", "meanwhile"]));
    assert_eq!(outcome["failed"], serde_json::json!(["too_long"]));
    assert_eq!(outcome["people"], serde_json::json!(["Ada", "Bo"]));
}

#[test]
fn all_hear_the_same_in_the_same_order() {
    const CLIENTS: usize = 4;
    let server = start();
    let (url, seed, count) = (server.ws_url("/broadcast/cross"), seed(), messages() / 3);
    let total = (count * CLIENTS).to_string();
    let mut processes = [python(), node()].map(|mut command| {
        command.args(["cross", &url, &seed.to_string(), &count.to_string(), &total]);
        let mut process = Process::start(command);
        process.expect_line("ready");
        process
    });
    let browser = Browser::launch();
    let page = page(&browser, &server);
    page.evaluate(&format!("run(cross('{url}', {seed}, {count}, {total}))"));
    page.wait_for("isReady", TIME_MAX);
    let own = rust_client::Cross::connect(&url);

    let own = thread::spawn(move || own.run(seed, count, count * CLIENTS));
    page.evaluate("start()");
    processes.iter_mut().for_each(Process::go);
    let mut heard = vec![("tungstenite", own.join().expect("tungstenite hears all"))];
    heard.push(("the browser", outcome(&page, seed)));
    for (name, process) in ["websockets", "ws"].into_iter().zip(processes) {
        heard.push((name, process.outcome(seed)));
    }

    let (_, first) = &heard[0];
    assert_eq!(first["received"].as_array().map(Vec::len), Some(count * CLIENTS), "seed {seed}");
    for (name, client) in &heard {
        assert!(client["received"] == first["received"], "{name} heard another order, seed {seed}");
        let sent = client["sent"].as_array().expect("a list");
        assert_eq!(sent.len(), count, "{name}, seed {seed}");
        // Two clients may have said the same short thing; each of its own is there, in its order.
        let mut received = first["received"].as_array().expect("a list").iter();
        let is_there = sent.iter().all(|message| received.any(|heard| heard == message));
        assert!(is_there, "what {name} said is not all there in its order, seed {seed}");
    }
}

/// A server for messages of up to 1 MiB, which cuts nobody who is busy with checking.
fn start() -> Wsloop {
    Wsloop::start(&["--max-message", "1M", "--max-queue", "256M"])
}

/// Another one each time, unless it is given.
fn seed() -> u64 {
    number("WSLOOP_DIFFERENTIAL_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::from(now.subsec_nanos())
    })
}

/// Messages of each client and variant.
fn messages() -> usize {
    number("WSLOOP_DIFFERENTIAL_MESSAGES").map_or(300, |count| usize::try_from(count).expect("fits"))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Where `tests/differential/install` puts the clients: beside what cargo builds.
fn installed(path: &str) -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_wsloop"));
    let target = binary.ancestors().nth(2).expect("target/PROFILE/wsloop");
    let path = target.join("differential").join(path);
    assert!(path.exists(), "{} is missing; run: bash tests/differential/install", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(name)
}

fn python() -> Command {
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(script("client.py"));
    command
}

fn node() -> Command {
    let mut command = Command::new("node");
    command.env("WSLOOP_WS", installed("node")).arg(script("client.mjs"));
    command
}

fn expect_echo(mut command: Command) {
    let server = start();
    let (seed, count) = (seed(), messages());
    command.args(["echo", &server.ws_url("/echo"), &seed.to_string(), &count.to_string()]);
    command.args(VARIANTS);
    let outcome = Process::start(command).outcome(seed);
    assert_eq!(outcome["messages"], count * VARIANTS.len(), "seed {seed}");
}

/// A client that runs in a process of its own.
struct Process {
    child: Child,
    lines: BufReader<Box<dyn Read>>,
}

impl Process {
    fn start(mut command: Command) -> Process {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = BufReader::new(Box::new(child.stdout.take().expect("piped")) as Box<dyn Read>);
        Process { child, lines }
    }

    fn expect_line(&mut self, wanted: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output can be read");
        assert_eq!(line.trim_end(), wanted, "what it says on stderr is above");
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().expect("piped").write_all(b"go\n").expect("it is waiting");
    }

    /// The JSON of its last line; its end is waited for.
    fn outcome(mut self, seed: u64) -> Value {
        let mut output = String::new();
        self.lines.read_to_string(&mut output).expect("its output is UTF-8");
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "seed {seed}: what it says on stderr is above");
        serde_json::from_str(output.trim_end()).unwrap_or_else(|error| panic!("{error}: {output}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test has failed; then nobody needs it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of the server's own origin, with the script in it.
fn page(browser: &Browser, server: &Wsloop) -> Page {
    let page = browser.page(&server.http_url("/healthz"));
    page.evaluate(BROWSER_SCRIPT);
    page
}

fn outcome(page: &Page, seed: u64) -> Value {
    page.wait_for("outcome !== 'running'", TIME_MAX);
    let outcome = page.evaluate("outcome");
    assert!(outcome.is_object(), "seed {seed}: {outcome}");
    outcome
}
