//! RFC 6455 §4.1 and §4.2: opening handshakes that are accepted.

use super::{HANDSHAKE, PIECES, Peer, SAMPLE_ACCEPT, frame};

/// The lines of the response to a request that arrives in pieces of every size.
fn accepted(what: &str, request: &str) -> Vec<String> {
    let mut responses: Vec<Vec<u8>> = PIECES
        .iter()
        .map(|size| {
            let mut peer = Peer::connect();
            let bytes = request.as_bytes();
            for (index, piece) in bytes.chunks(*size).enumerate() {
                assert!(peer.taken().is_empty(), "{what}: an answer before byte {}", index * size);
                peer.send(piece);
            }
            assert!(!peer.is_shut(), "{what}");
            peer.taken()
        })
        .collect();
    responses.dedup();
    assert_eq!(responses.len(), 1, "{what}: the answer depends on the pieces");
    let text = String::from_utf8(responses.remove(0)).expect("a response is ASCII");
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{what}: {text}");
    assert!(text.ends_with("\r\n\r\n"), "{what}: {text}");
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

fn with_line(line: &str) -> String {
    HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let mut found = lines.iter().filter_map(|line| {
        line.split_once(": ").filter(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    });
    let value = found.next();
    assert_eq!(found.next(), None, "{name} stands once");
    value
}

/// §4.2.2: what the response must say, and must not.
#[test]
fn the_sample_handshake() {
    let lines = accepted("§1.3", HANDSHAKE);
    assert!(value(&lines, "Upgrade").expect("§4.2.2").eq_ignore_ascii_case("websocket"));
    assert!(value(&lines, "Connection").expect("§4.2.2").eq_ignore_ascii_case("upgrade"));
    assert_eq!(value(&lines, "Sec-WebSocket-Accept"), Some(SAMPLE_ACCEPT), "§1.3");
    for absent in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Content-Length"] {
        assert_eq!(value(&lines, absent), None, "{absent}: nothing of it was asked for");
    }
}

/// §4.1, §4.2.1: what clients may vary.
#[test]
fn handshakes_that_differ_and_are_right() {
    for (section, what, request) in [
        ("§4.2.1", "names of headers in any case", HANDSHAKE.replace("Upgrade:", "uPGRADE:")),
        ("§4.2.1", "the value of Upgrade in any case", HANDSHAKE.replace("websocket", "WebSocket")),
        ("§4.2.1", "Upgrade as a list", HANDSHAKE.replace(": websocket", ": h2c, websocket")),
        ("§4.2.1", "Connection as a list", HANDSHAKE.replace(": Upgrade", ": keep-alive, Upgrade")),
        ("§4.2.1", "Connection in any case", HANDSHAKE.replace(": Upgrade", ": upgrade")),
        ("§4.1", "a full URI as the target", HANDSHAKE.replace("/echo", "ws://127.0.0.1/echo")),
        ("§4.1", "a query", HANDSHAKE.replace("/echo", "/echo?token=x%20y")),
        ("§4.1", "a host with its port", HANDSHAKE.replace("127.0.0.1", "127.0.0.1:8080")),
        ("§4.1", "a host that is an IPv6 address", HANDSHAKE.replace("127.0.0.1", "[::1]:8080")),
        ("§4.1", "cookies and headers unknown", with_line("Cookie: a=b\r\nX-Unknown: \u{e9}")),
        ("§4.1", "the server's own origin", with_line("Origin: http://127.0.0.1")),
        ("§4.1", "an origin that is listed", with_line("Origin: https://friend.example")),
        (
            "§9.1",
            "extensions offered that nobody knows",
            with_line("Sec-WebSocket-Extensions: x-webkit-deflate-frame, foo; bar=\"baz\""),
        ),
        ("RFC 9112 §5.1", "no space behind the colon", HANDSHAKE.replace(": ", ":")),
        ("RFC 9112 §2.2", "an empty line before the request", format!("\r\n{HANDSHAKE}")),
    ] {
        let lines = accepted(&format!("{section} {what}"), &request);
        assert_eq!(value(&lines, "Sec-WebSocket-Accept"), Some(SAMPLE_ACCEPT), "{section} {what}");
        assert_eq!(value(&lines, "Sec-WebSocket-Extensions"), None, "{section} {what}");
    }
}

/// §4.2.1: the order of the headers has no meaning.
#[test]
fn headers_in_any_order() {
    let (line, fields) = HANDSHAKE.trim_end().split_once("\r\n").expect("a request line");
    let mut fields: Vec<&str> = fields.split("\r\n").collect();
    for _ in 0..fields.len() {
        fields.rotate_left(1);
        let request = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n"));
        assert_eq!(
            value(&accepted("§4.2.1", &request), "Sec-WebSocket-Accept"),
            Some(SAMPLE_ACCEPT),
            "{request}"
        );
    }
}

/// §4.2.2: the server names one subprotocol of the client's list, or none.
#[test]
fn subprotocols() {
    for (offered, chosen) in [
        ("chat, superchat", Some("chat")),
        ("superchat,chat", Some("chat")),
        ("superchat", None),
        ("CHAT", None),
    ] {
        let lines = accepted(offered, &with_line(&format!("Sec-WebSocket-Protocol: {offered}")));
        assert_eq!(value(&lines, "Sec-WebSocket-Protocol"), chosen, "{offered}");
    }
    let apart = with_line("Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Protocol: chat");
    assert_eq!(value(&accepted("two lines", &apart), "Sec-WebSocket-Protocol"), Some("chat"));
}

/// §4.1: a client may not send before it has the answer, but the bytes of one that does, or whose
/// bytes a proxy has joined, are lost nowhere.
#[test]
fn frames_in_the_segment_of_the_handshake_at_every_split() {
    let frames = [frame(0x81, b"one"), frame(0x82, &[0xFF; 130]), frame(0x81, b"three")].concat();
    let all = [HANDSHAKE.as_bytes(), &frames].concat();
    let wanted = [b"\x81\x03one\x82\x7e\x00\x82".as_slice(), &[0xFF; 130], b"\x81\x05three"].concat();
    for split in 0..=all.len() {
        let mut peer = Peer::connect();
        for piece in [&all[..split], &all[split..]] {
            if !piece.is_empty() {
                peer.send(piece);
            }
        }
        assert_eq!(peer.frames(), wanted, "split at {split}");
    }
}
