//! A log that nobody can write to, or nobody reads: no client notices.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::{Request, Response};
use crate::support::raw::{PATIENCE, RawClient, TEXT, close, frame};
use crate::support::server::{Wsloop, command, wait_until};

/// What a client may wait for an answer, on a machine that does other things too; it was for ever.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// What main waits for the log at the exit, and as much again for a busy machine.
const EXIT_MAX: Duration = Duration::from_secs(4);

/// A server whose standard error is the test's own affair.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// One that writes its log to this file.
    fn with_log(file: File) -> Server {
        let port = free_port();
        let child = start(&["--port", &port.to_string()], file.into());
        let server = Server { child, address: (Ipv4Addr::LOCALHOST, port).into() };
        wait_until("it listens", PATIENCE, || std::net::TcpStream::connect(server.address).is_ok());
        server
    }

    /// One whose log is a pipe of which only the first line has been read.
    fn with_pipe(args: &[&str]) -> (Server, ChildStderr) {
        let mut child = start(&[args, &["--port", "0"]].concat(), Stdio::piped());
        // Not a byte more than the line is read.
        let mut log = BufReader::with_capacity(1, child.stderr.take().expect("it was piped"));
        let mut first = String::new();
        log.read_line(&mut first).expect("text");
        let url = first.split_once("open http://").unwrap_or_else(|| panic!("{first:?}")).1;
        let address = url.trim_end_matches(['/', '\n']).parse().expect("an address");
        (Server { child, address }, log.into_inner())
    }

    fn exchange(&self, request: &str) -> Response {
        let mut client = RawClient::connect_at(self.address);
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.send(request.as_bytes());
        client.read_response(false)
    }

    /// Lines that the server says it has left out, for this reason.
    fn lines_dropped(&self, reason: &str) -> u64 {
        let stats: Value = serde_json::from_str(self.exchange("GET /stats").text()).expect("JSON");
        let count = stats["log_lines_dropped"][reason].as_u64().expect("a number");
        let metrics = self.exchange("GET /metrics");
        let name = format!("wsloop_log_lines_dropped_total{{reason=\"{reason}\"}} ");
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(&name)).expect("a metric");
        assert!(line.parse::<f64>().is_ok_and(|metric| metric >= count as f64), "{line}, and {count} before");
        count
    }

    /// Stops it and returns its exit code, and how long that took.
    fn stop(mut self) -> (Option<i32>, Duration) {
        let kill = ["-c", "kill -s TERM \"$1\"", "sh", &self.child.id().to_string()].map(str::to_owned);
        assert!(Command::new("sh").args(kill).status().expect("a shell").success());
        let started = Instant::now();
        let mut code = None;
        wait_until("it ends", PATIENCE, || {
            code = self.child.try_wait().expect("ours").map(|status| status.code());
            code.is_some()
        });
        (code.flatten(), started.elapsed())
    }
}

fn start(args: &[&str], log: Stdio) -> Child {
    let mut command = command(args, &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it can be started")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Asks for so much that would be logged, while a witness talks; returns the longest that it waited.
fn make_noise(server: &Server, requests: usize, request: &str) -> Duration {
    let mut witness = RawClient::upgrade_at(server.address, "/echo");
    let mut longest = Duration::ZERO;
    for _ in 0..requests {
        let started = Instant::now();
        server.exchange(request);
        witness.send(&frame(TEXT, b"still here"));
        witness.expect_frame(TEXT, b"still here");
        longest = longest.max(started.elapsed());
    }
    witness.send(&close(1000, ""));
    witness.expect_close(1000);
    longest
}

/// Of the longest kind that is logged.
fn refused_request() -> String {
    format!("GET /no/{}", "x".repeat(300))
}

#[test]
fn a_full_disk_ends_nothing() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    let server = Server::with_log(full());
    let longest = make_noise(&server, 300, &refused_request());
    assert!(longest < WAIT_MAX, "{longest:?}");
    assert!(server.lines_dropped("write_failed") >= 200, "the burst that is logged");
    assert!(server.lines_dropped("withheld") > 0, "and the rest");
    assert_eq!(server.stop().0, Some(0));

    // Neither does it hide that there is no start.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let status = start(&["--port", &port], full().into()).wait().expect("it ends");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let (server, log) = Server::with_pipe(&[]);
    drop(log);
    let longest = make_noise(&server, 300, &refused_request());
    assert!(longest < WAIT_MAX, "{longest:?}");
    assert!(server.lines_dropped("write_failed") >= 200);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_reader_that_stands_still_holds_nobody_up_and_is_told_what_it_missed() {
    // Two lines a request: many times what a pipe and the queue hold.
    let (server, log) = Server::with_pipe(&["--log-level", "debug"]);
    let longest = make_noise(&server, 3_000, "GET /healthz");
    assert!(longest < WAIT_MAX, "{longest:?}");
    assert!(server.lines_dropped("queue_full") > 100);

    // It goes on: first what has waited, then the word of what is missing, then what is new.
    let mut lines = BufReader::new(log).lines().map(|line| line.expect("text"));
    let missing = lines.find_map(|line| {
        let (before, why) = line.split_once(" lines were left out here: ")?;
        assert_eq!(why, "stderr was read too slowly");
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    server.exchange("GET /something/new");
    let new = lines.find(|line| line.contains("/something/new")).expect("it is logged");
    assert!(new.contains("refused with 404"), "{new}");
    assert_eq!(missing, Some(server.lines_dropped("queue_full")));
    // Its last words are read too.
    let reader = std::thread::spawn(move || lines.filter(|line| line.contains("stopped: ")).count());
    assert_eq!(server.stop().0, Some(0));
    assert_eq!(reader.join().expect("it reads to the end"), 1);
}

#[test]
fn a_reader_that_stands_still_does_not_hold_up_the_exit() {
    let (server, log) = Server::with_pipe(&["--log-level", "debug"]);
    make_noise(&server, 700, "GET /healthz");
    let (code, took) = server.stop();
    assert_eq!(code, Some(0));
    assert!((Duration::from_millis(900)..EXIT_MAX).contains(&took), "{took:?}");
    drop(log);
}

#[test]
fn no_key_gets_into_the_log() {
    let server = Wsloop::start(&["--log-level", "debug"]);
    let secret = "s3cret".repeat(6);
    for query in ["xkey=&key=S", "k%65y=S", "key=S&key=S", "name=%&key=S", "key=S%20S", "key=short&k%65%79=S"]
    {
        let path = format!("/tea?{}", query.replace('S', &secret));
        let mut client = RawClient::connect(&server);
        client.send(&Request::upgrade(&server, &path).bytes());
        let _ = client.read_head();
        let mut client = RawClient::connect(&server);
        client.send(format!("GET http://{}{path}\r\n\r\n", server.address()).as_bytes());
        assert_eq!(client.read_response(false).status, 400);
    }
    let log = server.wait_for_log(PATIENCE, |log| log.matches("k%65%79=…").count() == 2);
    assert!(!log.contains("s3cret"), "{log}");
    assert!(log.contains("connected: GET /tea?xkey=&key=… HTTP/1.1"), "{log}");
}
