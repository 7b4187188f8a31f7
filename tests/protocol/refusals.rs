//! RFC 6455 §4.2.1, §4.2.2, §4.4: requests that are refused, with which status and which header.

use super::{HANDSHAKE, PIECES, Peer, frame};

/// Refused in every size of pieces, with the same bytes, and nothing behind the request answered.
fn check(section: &str, what: &str, request: &str, status: u16, header: &str) {
    let behind = [HANDSHAKE.as_bytes(), &frame(0x81, b"unheard"), &frame(0x88, b"")].concat();
    let mut answers = Vec::new();
    for size in PIECES {
        for behind in [b"".as_slice(), &behind] {
            let mut peer = Peer::connect();
            let all = [request.as_bytes(), behind].concat();
            for piece in all.chunks(size) {
                peer.send(piece);
            }
            let context = format!("{section} {what}, in pieces of {size}: {request:?}");
            assert!(peer.is_shut(), "{context}: no answer, or no end");
            assert!(!peer.is_gone(), "{context}: the answer must not be lost to a reset");
            answers.push(peer.taken());
            peer.end();
            assert!(peer.is_gone(), "{context}");
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{section} {what}: the answer depends on the pieces");
    let text = String::from_utf8(answers.remove(0)).expect("refusals are UTF-8");
    assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{section} {what}: {text}");
    assert!(text.contains(&format!("\r\n{header}")), "{section} {what} lacks {header}: {text}");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{section} {what}: {text}");
    assert!(head.contains("Content-Type: text/plain"), "{section} {what}: {text}");
    assert!(body.len() > 10, "{section} {what}: the body says what to do");
}

fn without(name: &str) -> String {
    let lines = HANDSHAKE.split_inclusive("\r\n").filter(|line| !line.starts_with(name));
    lines.collect()
}

fn with_line(line: &str) -> String {
    HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

#[test]
fn handshakes_that_lack_something() {
    for (section, what, request, status) in [
        ("§4.2.1", "no Host", without("Host"), 400),
        ("§4.2.1", "no Upgrade", without("Upgrade"), 426),
        ("§4.2.1", "no Connection", without("Connection"), 400),
        ("§4.2.1", "no key", without("Sec-WebSocket-Key"), 400),
        ("§4.2.1", "HTTP/1.0", HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("§4.2.1", "HTTP/2", HANDSHAKE.replace("HTTP/1.1", "HTTP/2.0"), 400),
        ("§4.2.1", "Connection: close", HANDSHAKE.replace(": Upgrade", ": close"), 400),
        ("§4.2.1", "Connection names another token", HANDSHAKE.replace(": Upgrade", ": Upgrades"), 400),
        (
            "§4.2.1",
            "a key of 15 bytes",
            HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            400,
        ),
        (
            "§4.2.1",
            "a key of 17 bytes",
            HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE="),
            400,
        ),
        ("§4.2.1", "a key that is not base64", HANDSHAKE.replace("dGhl", "d!hl"), 400),
        ("§4.2.1", "a key without its padding", HANDSHAKE.replace("ZQ==", "ZQ"), 400),
        ("§4.2.1", "an empty key", HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", ""), 400),
        ("§11.3.1", "two keys", with_line("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        ("§11.3.4", "a list that is none", with_line("Sec-WebSocket-Protocol: chat, , a b"), 400),
        ("§4.2.2", "a path with nothing there", HANDSHAKE.replace("/echo", "/a/b/c"), 404),
        ("§4.2.2", "a path with no WebSocket", HANDSHAKE.replace("/echo", "/healthz"), 400),
    ] {
        check(section, what, &request, status, "Connection: ");
    }
}

#[test]
fn refusals_that_carry_a_header() {
    let version = |value: &str| HANDSHAKE.replace("Version: 13", &format!("Version: {value}"));
    for (section, what, request, status, header) in [
        ("§4.4", "no version", without("Sec-WebSocket-Version"), 426, "Sec-WebSocket-Version: 13"),
        ("§4.4", "an older version", version("8"), 426, "Sec-WebSocket-Version: 13"),
        ("§4.4", "a newer version", version("14"), 426, "Sec-WebSocket-Version: 13"),
        ("§4.4", "a list of versions", version("13, 8"), 426, "Sec-WebSocket-Version: 13"),
        ("§4.4", "a version with a sign", version("+13"), 426, "Sec-WebSocket-Version: 13"),
        ("§4.2.1", "POST", HANDSHAKE.replace("GET", "POST"), 405, "Allow: GET"),
        ("§4.2.1", "get in small letters", HANDSHAKE.replace("GET", "get"), 405, "Allow: GET"),
        ("§4.2.1", "an old key and no Upgrade", without("Upgrade"), 426, "Upgrade: websocket"),
        (
            "RFC 9110 §7.8",
            "a plain GET of a WebSocket",
            "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
            426,
            "Upgrade: websocket",
        ),
        (
            "§10.2",
            "another site's origin",
            with_line("Origin: https://evil.example"),
            403,
            "Connection: close",
        ),
        ("§10.2", "a sandboxed page", with_line("Origin: null"), 403, "Connection: close"),
        (
            "§10.2",
            "the port of another server",
            with_line("Origin: http://127.0.0.1:81"),
            403,
            "Connection: close",
        ),
        (
            "§10.2",
            "another machine's name",
            HANDSHAKE.replace("127.0.0.1", "evil.example"),
            421,
            "Connection: close",
        ),
    ] {
        check(section, what, &request, status, header);
    }
}

/// RFC 9112: what is no request at all, or could be read in two ways. Each ends with the byte that
/// decides.
#[test]
fn requests_that_break_http() {
    let many = (0..101).map(|index| format!("X-{index}: y")).collect::<Vec<_>>().join("\r\n");
    for (section, what, request, status) in [
        ("§2.2", "a bare LF", "GET /echo HTTP/1.1\n".to_owned(), 400),
        ("§2.2", "a bare CR", "GET /echo HTTP/1.1\rH".to_owned(), 400),
        ("§2.2", "two empty lines", "\r\n\r".to_owned(), 400),
        ("§3", "a TLS hello", "\u{16}".to_owned(), 400),
        ("§3", "a NUL in the head", "GET /\0".to_owned(), 400),
        ("§3", "no target", "GET HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("§3.2", "two hosts", with_line("Host: 127.0.0.1"), 400),
        ("§3.2", "a host that is none", HANDSHAKE.replace("127.0.0.1", "a b"), 400),
        ("§3.2", "a fragment in the target", HANDSHAKE.replace("/echo", "/echo#x"), 400),
        ("§3.2.4", "an asterisk", HANDSHAKE.replace("/echo", "*"), 400),
        ("§5.1", "a space before the colon", HANDSHAKE.replace("Host:", "Host :"), 400),
        ("§5.2", "a folded line", with_line("X-Folded: a\r\n b"), 400),
        ("§6.1", "Transfer-Encoding", with_line("Transfer-Encoding: chunked"), 400),
        ("§6.2", "a body", with_line("Content-Length: 5"), 400),
        ("§6.2", "two lengths", with_line("Content-Length: 0\r\nContent-Length: 0"), 400),
        ("RFC 6585 §5", "101 more headers", with_line(&many), 431),
        ("RFC 6585 §5", "8 KiB and a byte", format!("GET /{}", "x".repeat(8 * 1024 - 4)), 431),
    ] {
        check(section, what, &request, status, "Connection: close");
    }
}
