//! Attacks by requests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::Scenario;
use crate::support::http::{Request, exchange};
use crate::support::raw::{BINARY, RawClient, header};
use crate::support::server::Wsloop;

/// The key of RFC 6455 §1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn headers_without_end() {
    const BYTES: usize = 20_000_000;
    /// The limit of a request head, which is enough to compare.
    const HEAD_BYTES: usize = 8 * 1024;
    Scenario::start(&[]).attack(|server| {
        // Beside it: as many bytes one at a time, as a message. The more expensive of two, since on a busy machine
        // many come together.
        let message_time = (0..2)
            .map(|_| {
                let before = cpu_time(server);
                let mut client = RawClient::upgrade(server, "/echo");
                client.send(&header(BINARY, HEAD_BYTES as u64));
                (0..HEAD_BYTES).for_each(|_| client.send(&[0]));
                assert_eq!(client.read_frame().payload.len(), HEAD_BYTES);
                cpu_time(server) - before
            })
            .max()
            .expect("two");

        for piece_bytes in [1_usize, 4096] {
            let before = cpu_time(server);
            let mut client = RawClient::connect(server);
            client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n", server.address()).as_bytes());
            let piece = b"X-Header: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(piece_bytes.div_ceil(32));
            let mut sent = 0;
            while sent < BYTES && !client.has_received() {
                let start = sent % piece.len();
                let end = (start + piece_bytes).min(piece.len());
                if client.try_send(&piece[start..end]).is_err() {
                    break;
                }
                sent += end - start;
            }
            assert_eq!(client.read_response(false).status, 431, "after {sent} bytes");
            let took = cpu_time(server) - before;
            // Bytes of the message may have come together, those of the head one by one: some microseconds each, and
            // more with cold caches. How many steps they are is counted by `effort::a_request_head_byte_by_byte`.
            let each = Duration::from_micros(25) * u32::try_from(HEAD_BYTES).expect("small");
            assert!(took < 4 * message_time + each, "{took:?}, not {message_time:?}");
        }
    });
}

/// What the process has had of the processor.
fn cpu_time(server: &Wsloop) -> Duration {
    let path = format!("/proc/{}/schedstat", server.pid());
    let text = std::fs::read_to_string(path).expect("the process runs");
    let nanoseconds = text.split_whitespace().next().expect("three numbers");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

#[test]
fn five_thousand_dribblers() {
    const DRIBBLERS: usize = 5_000;
    let scenario = Scenario::start(&[]);
    let head = Request::upgrade(&scenario.server, "/echo").bytes();
    // One that nobody attacks: what a busy machine adds, it adds to both.
    let calm_server = Wsloop::start(&[]);
    let mut calm = round_trip(&calm_server);
    let mut rounds = 0;
    scenario.attack(|server| {
        // Once is enough; the second attack is a small one, for the comparison of what is left behind.
        let count = if rounds == 0 { DRIBBLERS } else { 10 };
        rounds += 1;
        let mut dribblers: Vec<(TcpStream, Instant)> = (0..count)
            .map(|_| {
                let stream = TcpStream::connect(server.address()).expect("there is room");
                stream.set_nonblocking(true).expect("a TCP socket takes it");
                (stream, Instant::now())
            })
            .collect();
        let mut times = Vec::new();
        let mut slowest = Duration::ZERO;
        for round in 0.. {
            assert!(round < 30, "{} are still there", dribblers.len());
            dribblers.retain_mut(|(stream, since)| {
                let is_there = stream.write(&head[round..=round]).is_ok() && !has_408(stream);
                if !is_there {
                    times.push(since.elapsed());
                }
                is_there
            });
            if dribblers.is_empty() {
                break;
            }
            slowest = slowest.max(round_trip(server));
            calm = calm.max(round_trip(&calm_server));
            // Two bytes a second; the end of each is seen at the next.
            thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(times.len(), count);
        let (first, last) = (times.iter().min().expect("some"), times.iter().max().expect("some"));
        // Seen up to half a second and a round late.
        assert!(
            *first >= Duration::from_secs(10) - Duration::from_millis(100),
            "one was gone after {first:?}"
        );
        assert!(*last < Duration::from_secs(15), "one was gone only after {last:?}");
        assert!(
            slowest < 3 * calm + Duration::from_millis(200),
            "a new client took {slowest:?}, not {calm:?}"
        );
    });
}

/// Whether the answer is there; that it is the right one is checked on the way.
fn has_408(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 1024];
    match stream.read(&mut answer) {
        Ok(length) => {
            assert!(answer[..length].starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
            true
        }
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// How long a new client takes from connecting to the echo of its first message.
fn round_trip(server: &Wsloop) -> Duration {
    let started = Instant::now();
    RawClient::upgrade(server, "/echo").expect_quiet("served");
    started.elapsed()
}

#[test]
fn sixty_requests_that_smuggle_or_pretend() {
    let scenario = Scenario::start(&[]);
    let requests = requests(&scenario.server);
    assert!(requests.len() >= 60, "{}", requests.len());
    scenario.attack(|server| {
        let second = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        for (request, status) in &requests {
            let context = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
            // One answer, and the end: `exchange` finds a second answer, or anything else behind the first.
            let response = exchange(server, &[request, second.as_bytes()].concat());
            assert_eq!(response.status, *status, "{context:?}: {response:?}");

            let mut client = RawClient::connect(server);
            let all_sent = request.iter().all(|byte| client.try_send(&[*byte]).is_ok());
            let _ = client.try_send(second.as_bytes());
            assert_eq!(client.read_response(false).status, *status, "{context:?} byte by byte, {all_sent}");
            let rest = client.read_to_end();
            assert!(rest.is_empty(), "{context:?} byte by byte: {:?}", String::from_utf8_lossy(&rest));
        }
    });
}

/// Bodies, announced in every way that two readers might read differently, and lines that are none.
const LINES: [&str; 29] = [
    "Content-Length: 5",
    "Content-Length: 0\r\nContent-Length: 0",
    "Content-Length: 0\r\nContent-Length: 44",
    "Content-Length: 0, 0",
    "Content-Length: +0",
    "Content-Length: -1",
    "Content-Length: 0x0",
    "Content-Length: 00",
    "Content-Length:",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "transfer-encoding: identity",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\r\n\tContent-Length: 5",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\0Transfer-Encoding: chunked",
    "Content_Length: 5\r\nNo colon here",
    ": no name",
    "X(y): z",
    "H\u{f6}st: x",
];

/// Requests, and the status of the one answer that each gets.
fn requests(server: &Wsloop) -> Vec<(Vec<u8>, u16)> {
    let host = server.address().to_string();
    let upgrade = upgrade_lines();
    let mut cases = Vec::new();
    for lines in LINES {
        cases.push((format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n\r\n"), 400));
        cases.push((format!("GET /echo HTTP/1.1\r\nHost: {host}\r\n{upgrade}{lines}\r\n\r\n"), 400));
    }
    cases.extend(half_upgrades(&host));
    cases.extend(other_protocols(&host));
    cases.into_iter().map(|(head, status)| (head.into_bytes(), status)).collect()
}

fn upgrade_lines() -> String {
    format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}")
}

/// Upgrades that are none.
fn half_upgrades(host: &str) -> Vec<(String, u16)> {
    let upgrade = upgrade_lines();
    [
        ("GET /echo HTTP/1.1", "Upgrade: websocket\r\n".to_owned() + KEY, 400),
        ("GET /echo HTTP/1.1", "Connection: Upgrade\r\n".to_owned() + KEY, 426),
        ("GET /echo HTTP/1.1", upgrade.replace("websocket", "h2c"), 426),
        ("GET /echo HTTP/1.1", upgrade.replace("13", "8"), 426),
        ("GET /echo HTTP/1.1", upgrade.replace(KEY, ""), 400),
        ("GET /echo HTTP/1.1", upgrade.clone() + KEY, 400),
        ("POST /echo HTTP/1.1", upgrade.clone(), 405),
        ("GET /healthz HTTP/1.1", upgrade.clone(), 400),
        ("GET /assets/chat.js HTTP/1.1", upgrade.clone(), 400),
    ]
    .map(|(line, lines, status)| (format!("{line}\r\nHost: {host}\r\n{lines}\r\n"), status))
    .into()
}

/// Request lines and headers that are none, and other protocols.
fn other_protocols(host: &str) -> Vec<(String, u16)> {
    vec![
        (format!("GET /healthz HTTP/1.1\nHost: {host}\n\n"), 400),
        (format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /healthz HTTP/1.1\r\nHost: {host}, other\r\n\r\n"), 400),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET http://evil.test/healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"), 421),
        (format!("GET  /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /healthz\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /healthz HTTP/1.2\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /healthz HTTP/1.1 \r\nHost: {host}\r\n\r\n"), 400),
        (format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        (format!("TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        ("EHLO example\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
    ]
}
