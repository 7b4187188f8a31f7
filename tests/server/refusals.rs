//! Requests that are refused: with which status, in which words, in time, and with one line in the log.

use std::time::Instant;

use crate::support::client::Client;
use crate::support::http::{Request, exchange, get, refusal};
use crate::support::raw::{self, PATIENCE, RawClient};
use crate::support::server::{Wsloop, wait_until};

/// The fixed limits of a request head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 100;

#[test]
fn what_is_no_http_is_refused() {
    let server = Wsloop::start(&[]);
    let host = format!("Host: {}\r\n", server.address());
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    let cases: Vec<Vec<u8>> = vec![
        tls_hello.to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"\xff\xfe\xfd\r\n\r\n".to_vec(),
        format!("GET / HTTP/1.1\n{host}\n\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}X: y\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}\n").into_bytes(),
        format!("GET / HTTP/1.1\n{host}\r\n").into_bytes(),
        format!("GET /\r\n{host}\r\n").into_bytes(),
        format!("GET  / HTTP/1.1\r\n{host}\r\n").into_bytes(),
        format!("GET / HTTP/2.0\r\n{host}\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost : {}\r\n\r\n", server.address()).into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}no colon\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\n{host}: no name\r\n\r\n").into_bytes(),
        format!("GET /\x1b[2J HTTP/1.1\r\n{host}\r\n").into_bytes(),
        format!("GET no-slash HTTP/1.1\r\n{host}\r\n").into_bytes(),
    ];
    for case in cases {
        refusal(&server, &case, 400);
    }
}

#[test]
fn a_first_line_that_cannot_be_http_is_refused_without_waiting_for_its_end() {
    // A TLS client waits for an answer after its hello: it never sends an empty line.
    let server = Wsloop::start(&["--handshake-timeout", "5m"]);
    let started = Instant::now();
    refusal(&server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
    refusal(&server, b"GET / HTTP/1.1\nHost: x\n", 400);
    assert!(started.elapsed() < PATIENCE * 2, "not by the handshake timeout");
}

#[test]
fn a_request_with_a_body_is_refused() {
    let server = Wsloop::start(&[]);
    for request in [Request::plain(&server, "GET", "/"), Request::upgrade(&server, "/echo")] {
        for (name, value, body) in [
            ("Content-Length", "5", "hello"),
            ("Content-Length", "5", ""),
            ("Content-Length", "x", ""),
            ("Content-Length", "+0", ""),
            ("Content-Length", "-1", ""),
            ("Transfer-Encoding", "chunked", "0\r\n\r\n"),
            ("Transfer-Encoding", "identity", ""),
            ("transfer-encoding", "", ""),
        ] {
            let mut bytes = request.clone().add(name, value).bytes();
            bytes.extend(body.as_bytes());
            refusal(&server, &bytes, 400);
        }
        let twice = request.add("Content-Length", "0").add("Content-Length", "5");
        refusal(&server, &twice.bytes(), 400);
    }
    // Either objection is right here; what matters is that the body is not taken for a request.
    let mut post = Request::plain(&server, "POST", "/").add("Content-Length", "60").bytes();
    post.extend(Request::plain(&server, "GET", "/healthz").bytes());
    let status = exchange(&server, &post).status;
    assert!(matches!(status, 400 | 405), "{status}");
}

#[test]
fn an_upgrade_needs_one_good_key() {
    let server = Wsloop::start(&[]);
    let upgrade = || Request::upgrade(&server, "/echo");
    let missing = refusal(&server, &upgrade().without("Sec-WebSocket-Key").bytes(), 400);
    assert!(
        missing.text().contains("Sec-WebSocket-Key"),
        "the refusal names what is missing: {:?}",
        missing.text()
    );
    for key in [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",    // without its padding
        "dGhlIHNhbXBsZSBub25j",      // 15 bytes
        "dGhlIHNhbXBsZSBub25jZSE=",  // 17 bytes
        "dGhlIHNhbXBsZSBub25jZQ= =", // a space within
        "dGhlIHNhbXBsZSBub25jZ!==",  // a character of no base64
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        let request = upgrade().set("Sec-WebSocket-Key", key);
        refusal(&server, &request.bytes(), 400);
    }
    let twice = upgrade().add("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    refusal(&server, &twice.bytes(), 400);
}

#[test]
fn an_upgrade_is_asked_for_in_any_case_and_among_other_tokens() {
    let server = Wsloop::start(&[]);
    for (upgrade, connection) in [
        ("websocket", "Upgrade"),
        ("WebSocket", "upgrade"),
        ("WEBSOCKET", "keep-alive, Upgrade"),
        ("websocket", "Upgrade,keep-alive"),
        ("h2c, websocket", "upgrade , x"),
    ] {
        let request =
            Request::upgrade(&server, "/echo").set("Upgrade", upgrade).set("Connection", connection);
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        client.expect_upgraded();
    }
}

#[test]
fn what_asks_for_an_upgrade_in_part_is_not_upgraded() {
    let server = Wsloop::start(&[]);
    let upgrade = || Request::upgrade(&server, "/echo");
    for request in [
        upgrade().without("Upgrade"),
        upgrade().without("Connection"),
        upgrade().set("Connection", "keep-alive"),
        upgrade().set("Connection", "notupgrade"),
        upgrade().set("Upgrade", "websockets"),
        upgrade().set("Upgrade", "h2c"),
        upgrade().without("Sec-WebSocket-Version"),
        upgrade().line("HEAD /echo HTTP/1.1"),
        upgrade().line("POST /echo HTTP/1.1"),
    ] {
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        let head = client.read_head();
        assert!(matches!(head.status, 400 | 405 | 426), "{} to {request:?}", head.status);
    }
    // RFC 6455 §4.2.1: HTTP/1.1 or higher.
    refusal(&server, &upgrade().line("GET /echo HTTP/1.0").bytes(), 400);
}

#[test]
fn a_request_names_its_host_once() {
    let server = Wsloop::start(&[]);
    for request in [Request::plain(&server, "GET", "/"), Request::upgrade(&server, "/echo")] {
        refusal(&server, &request.clone().without("Host").bytes(), 400);
        let twice = request.add("Host", "127.0.0.1");
        refusal(&server, &twice.bytes(), 400);
    }
}

#[test]
fn only_a_host_of_this_machine_is_served() {
    let server = Wsloop::start(&["--allow-host", "chat.example", "--allow-host", "other.example"]);
    let port = server.port();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .expect("the kernel knows the machine's name")
        .trim()
        .to_string();
    for host in [
        "127.0.0.1".into(),
        format!("127.0.0.1:{port}"),
        "192.0.2.7:80".into(),
        format!("[::1]:{port}"),
        "[::1]".into(),
        "localhost".into(),
        format!("LocalHost:{port}"),
        machine.clone(),
        format!("{}:{port}", machine.to_ascii_uppercase()),
        "chat.example".into(),
        "Chat.Example:443".into(),
        "other.example".into(),
    ] {
        let plain = Request::plain(&server, "GET", "/").set("Host", &host);
        let mut client = RawClient::connect(&server);
        client.send(&plain.bytes());
        assert_eq!(client.read_head().status, 200, "{host}");
        let upgrade = Request::upgrade(&server, "/echo").set("Host", &host);
        let mut client = RawClient::connect(&server);
        client.send(&upgrade.bytes());
        client.expect_upgraded();
    }
    for host in [
        "evil.test".into(),
        format!("evil.test:{port}"),
        "localhost.evil.test".into(),
        "127.0.0.1.evil.test".into(),
        "xlocalhost".into(),
        "sub.chat.example".into(),
        "chat.example.evil.test".into(),
        "evilchat.example".into(),
        "1.2.3".into(),
        format!("{machine}.evil.test"),
    ] {
        for request in [
            Request::plain(&server, "GET", "/"),
            Request::plain(&server, "GET", "/healthz"),
            Request::upgrade(&server, "/echo"),
        ] {
            let refused = refusal(&server, &request.set("Host", &host).bytes(), 421);
            assert!(refused.text().contains("--allow-host"), "{refused:?}");
        }
    }
    for host in ["", "a b", "127.0.0.1:x", "127.0.0.1:99999", "[::1", "user@127.0.0.1"] {
        let request = Request::plain(&server, "GET", "/").set("Host", host);
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        let status = client.read_response(false).status;
        assert!(matches!(status, 400 | 421), "{host:?}: {status}");
    }
}

#[test]
fn only_a_page_of_the_same_origin_may_connect() {
    let server = Wsloop::start(&[
        "--allow-host",
        "chat.example",
        "--origin",
        "https://app.example",
        "--origin",
        "http://dev.example:3000",
    ]);
    let port = server.port();
    let own = format!("127.0.0.1:{port}");
    let local = format!("localhost:{port}");
    for (host, origin) in [
        (&*own, format!("http://{own}")),
        (&local, format!("http://{local}")),
        (&local, format!("http://LOCALHOST:{port}")),
        ("localhost", "http://localhost".into()),
        ("localhost:80", "http://localhost".into()),
        ("localhost", "http://localhost:80".into()),
        ("[::1]:99", "http://[::1]:99".into()),
        // Behind a proxy that speaks TLS: neither side names the scheme's own port.
        ("chat.example", "https://chat.example".into()),
        (&own, "https://app.example".into()),
        (&own, "http://dev.example:3000".into()),
    ] {
        let request = Request::upgrade(&server, "/echo").set("Host", host).add("Origin", &origin);
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        let status = client.read_head().status;
        assert_eq!(status, 101, "{origin} on {host}");
    }
    for (host, origin) in [
        (&*own, "http://evil.test".into()),
        (&own, "http://127.0.0.1".into()),
        (&own, "http://127.0.0.1:1".into()),
        (&own, format!("http://{local}")),
        (&own, format!("http://{own}0")),
        (&own, format!("http://{own}.evil.test")),
        (&own, format!("http://{own}@evil.test")),
        (&own, format!("http://evil.test/{own}")),
        (&own, format!("http://evil.test?{own}")),
        (&own, format!("http://x.{own}")),
        (&own, "null".into()),
        (&own, String::new()),
        (&own, own.clone()),
        (&own, "file://".into()),
        (&own, "http://app.example".into()),
        (&own, "https://app.example:8443".into()),
        (&own, "https://app.example.evil.test".into()),
        (&own, "http://dev.example".into()),
        (&own, "https://xapp.example".into()),
    ] {
        let request = Request::upgrade(&server, "/echo").set("Host", host).add("Origin", &origin);
        let refused = refusal(&server, &request.bytes(), 403);
        assert!(refused.text().contains("--origin"), "{refused:?}");
    }
}

#[test]
fn a_head_may_be_8_kibibytes_long() {
    let server = Wsloop::start(&[]);
    let filled = |size: usize| -> Vec<u8> {
        let request = Request::plain(&server, "GET", "/healthz");
        let bare = request.clone().add("X", "").bytes().len();
        request.add("X", &"x".repeat(size - bare)).bytes()
    };
    let mut client = RawClient::connect(&server);
    client.send(&filled(HEAD_BYTES_MAX));
    assert_eq!(client.read_response(false).status, 200);
    refusal(&server, &filled(HEAD_BYTES_MAX + 1), 431);
    // Refused at the limit, however much more is said to come and wherever the length is.
    refusal(&server, &vec![b'G'; 100_000], 431);
    let long_path = format!("/{}", "x".repeat(HEAD_BYTES_MAX));
    refusal(&server, &Request::plain(&server, "GET", &long_path).bytes(), 431);
    let endless = Request::plain(&server, "GET", "/").add("X", &"x".repeat(1_000_000));
    refusal(&server, &endless.bytes(), 431);
}

#[test]
fn a_head_may_have_100_headers() {
    let server = Wsloop::start(&[]);
    let with = |count: usize| -> Vec<u8> {
        let mut request = Request::plain(&server, "GET", "/healthz");
        for number in request.header_count()..count {
            request = request.add(&format!("X-{number}"), "y");
        }
        request.bytes()
    };
    for count in [HEADERS_MAX - 1, HEADERS_MAX] {
        let mut client = RawClient::connect(&server);
        client.send(&with(count));
        assert_eq!(client.read_response(false).status, 200, "{count} headers");
    }
    for count in [HEADERS_MAX + 1, 500, 2000] {
        refusal(&server, &with(count), 431);
    }
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let server = Wsloop::start(&["--max-clients", "2"]);
    let first = Client::join(&server, "/");
    let mut second = Client::join(&server, "/");
    let response = refusal(&server, &Request::upgrade(&server, "/").bytes(), 503);
    let seconds = response.header("Retry-After").and_then(|s| s.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{response:?}");
    second.send_text("unharmed");
    assert!(second.read_text().ends_with(" say: unharmed"));
    drop(first);
    assert!(second.read_text().ends_with(" Logout"));
    wait_until("the place that became free is given away", PATIENCE, || {
        let mut client = RawClient::connect(&server);
        let is_asked = client.try_send(&Request::upgrade(&server, "/").bytes()).is_ok();
        is_asked && client.read_to_head_or_end().starts_with(b"HTTP/1.1 101 ")
    });
}

#[test]
fn an_address_may_have_so_many_connections() {
    let server = Wsloop::start(&["--max-per-ip", "2"]);
    let first = Client::join(&server, "/");
    let mut second = Client::join(&server, "/");
    let sockets = server.open_sockets();
    for _ in 0..20 {
        // Who was told before must have been seen to go.
        wait_until("nobody else is there", PATIENCE, || server.open_sockets() <= sockets);
        let response = refusal(&server, &Request::upgrade(&server, "/").bytes(), 429);
        assert_eq!(response.header("Retry-After"), Some("10"));
    }
    // Pages and probes have an allowance of their own, beside those who have not asked yet.
    let mut open: Vec<RawClient> = (0..31).map(|_| RawClient::connect(&server)).collect();
    let mut files = 0;
    wait_until("all are accepted", PATIENCE, || {
        let before = std::mem::replace(&mut files, server.open_files());
        before == files && files > 33
    });
    for path in ["/", "/assets/chat.js", "/healthz", "/stats"] {
        assert_eq!(get(&server, path).status, 200, "{path}");
        wait_until("it is counted no more", PATIENCE, || server.open_files() == files);
    }
    open.push(RawClient::connect(&server));
    // Who is told counts until it has gone; further ones are not even told.
    let mut more: Vec<RawClient> = (0..50).map(|_| RawClient::connect(&server)).collect();
    let told = more.iter_mut().map(RawClient::read_to_head_or_end);
    assert_eq!(told.filter(|head| head.starts_with(b"HTTP/1.1 429 ")).count(), 8);
    assert_eq!(server.open_files(), files + 9, "the others are gone");
    second.send_text("unharmed");
    assert!(second.read_text().ends_with(" say: unharmed"));
    drop((first, open, more));
    assert!(second.read_text().ends_with(" Logout"));
    wait_until("the place that became free is given away", PATIENCE, || {
        let mut client = RawClient::connect(&server);
        let is_asked = client.try_send(&Request::upgrade(&server, "/").bytes()).is_ok();
        is_asked && client.read_to_head_or_end().starts_with(b"HTTP/1.1 101 ")
    });
}

#[test]
fn each_refusal_is_one_printable_line_of_the_log() {
    let server = Wsloop::start(&[]);
    let host = server.address();
    let long = "x".repeat(3000);
    let cases: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"GET /\x1b[2J\x1b]0;owned\x07 HTTP/1.1\r\n\r\n".to_vec(),
        format!("GET /%1B%5B31m%0Afaked HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        format!("GET /a\u{202e}b HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        format!("GET /{long}/x HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        "GET / HTTP/1.1\r\nHost: \u{202e}evil.test\u{1b}\u{9b}31m\r\n\r\n".into(),
        b"GET / HTTP/1.1\r\nHost: evil.test\xff\xfe\r\n\r\n".to_vec(),
        Request::upgrade(&server, "/echo").add("Origin", "http://evil\u{202e}\u{85}\u{2028}.test").bytes(),
        Request::upgrade(&server, "/?name=a%0A%1B%5B31mb").bytes(),
        Request::plain(&server, "BREW", "/").bytes(),
    ];
    // The lines of the start come before the first refusal; from there on they can be counted.
    refusal(&server, &Request::plain(&server, "GET", "/no/such").bytes(), 404);
    server.wait_for_log(PATIENCE, |log| log.contains("/no/such"));
    for case in &cases {
        let before = server.log().lines().count();
        let mut client = RawClient::connect(&server);
        client.send(case);
        let status = client.read_response(false).status;
        client.expect_end();
        let log = server.wait_for_log(PATIENCE, |log| log.lines().count() > before);
        let lines: Vec<&str> = log.split('\n').skip(before).collect();
        assert_eq!(lines.len(), 2, "one line, ended, for {case:?}: {lines:?}");
        let line = lines[0];
        let port = client.local_address().port().to_string();
        assert!(line.contains(&port), "{line:?} says who it was: {port}");
        assert!(line.contains(&status.to_string()), "{line:?} has the status {status}");
        assert!(line.len() < 600, "{} bytes is long: {line:?}", line.len());
        assert!(line.chars().all(is_printable), "{line:?} to {case:?}");
    }
    assert_eq!(get(&server, "/healthz").status, 200);
}

#[test]
fn a_failed_upgrade_takes_no_frames() {
    let server = Wsloop::start(&[]);
    let mut bytes = Request::upgrade(&server, "/echo").set("Sec-WebSocket-Version", "8").bytes();
    bytes.extend(raw::frame(raw::TEXT, b"hello?"));
    refusal(&server, &bytes, 426);
}

/// What may appear in a log: no control, no line or paragraph separator, no direction, no invisible.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[test]
fn a_refusal_names_the_request_however_it_is_cut() {
    let server = Wsloop::start(&[]);
    for (number, cut) in [3, 20, 30].into_iter().enumerate() {
        let request = format!("HEAD /cut-{number} HTTP/1.1\r\nHost: x\r\nno colon\nX: y\r\n\r\n");
        let (first, second) = request.as_bytes().split_at(cut);
        let mut client = RawClient::connect(&server);
        client.send(first);
        // A round trip of another one: the first piece has been read alone.
        get(&server, "/healthz");
        client.send(second);
        assert_eq!(client.read_response(true).status, 400);
        client.expect_end();
        server.wait_for_log(PATIENCE, |log| log.contains(&format!("HEAD /cut-{number} HTTP/1.1")));
    }
}
