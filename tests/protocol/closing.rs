//! RFC 6455 §5.5.1, §7.1 and §7.4: the closing handshake, from both sides.

use super::End::{Closed, Fails};
use super::{HANDSHAKE, PIECES, Peer, check, close_payload, frame, row, split_frames};

#[test]
fn a_close_frame_is_answered_with_its_code() {
    for (what, sent, payload) in [
        ("no code", frame(0x88, b""), b"".as_slice()),
        ("1000", frame(0x88, b"\x03\xe8"), b"\x03\xe8"),
        ("1001 and a reason", frame(0x88, b"\x03\xe9going away"), b"\x03\xe9"),
        (
            "a reason of many scripts",
            frame(0x88, &[b"\x0f\xa0".as_slice(), "你好".as_bytes()].concat()),
            b"\x0f\xa0",
        ),
        ("the longest reason", frame(0x88, &[b"\x03\xe8".as_slice(), &[b'r'; 123]].concat()), b"\x03\xe8"),
        ("4999", frame(0x88, b"\x13\x87"), b"\x13\x87"),
    ] {
        check(&row("§5.5.1", what, std::slice::from_ref(&sent), b"", Closed(payload)));
        let sent = [frame(0x81, b"before"), frame(0x89, b"p"), sent];
        check(&row("§5.5.1", what, &sent, b"\x8a\x01p\x81\x06before", Closed(payload)));
    }
}

#[test]
fn a_close_frame_ends_a_message_in_fragments() {
    let sent = [frame(0x01, b"never whole"), frame(0x88, b"\x03\xe8")];
    check(&row("§5.4", "a close frame between fragments", &sent, b"", Closed(b"\x03\xe8")));
}

#[test]
fn close_frames_that_break_a_rule() {
    for (section, what, payload, code) in [
        ("§5.5.1", "one byte", b"\x03".as_slice(), 1002),
        ("§8.1", "a reason that is not UTF-8", b"\x03\xe8\xff", 1007),
        ("§8.1", "a reason that ends inside a character", b"\x03\xe8ok\xe4\xbd", 1007),
        ("§7.4.1", "1005, which must not be sent", b"\x03\xed", 1002),
        ("§7.4.1", "1006, which must not be sent", b"\x03\xee", 1002),
        ("§7.4.1", "1015, which must not be sent", b"\x03\xf7", 1002),
    ] {
        check(&row(section, what, &[frame(0x88, payload)], b"", Fails(code)));
    }
}

/// Every code from 0 to 5000, and the largest: those that may be sent come back, the others are
/// violations (§7.4.2; 1012 to 1014 are in IANA's registry).
#[test]
fn the_table_of_codes() {
    for code in (0..=5000).chain([u16::MAX]) {
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        for size in [1, usize::MAX] {
            let mut peer = Peer::connect();
            peer.send(HANDSHAKE.as_bytes());
            for piece in frame(0x88, &code.to_be_bytes()).chunks(size) {
                peer.send(piece);
            }
            let (_, close) = split_frames(&peer.frames());
            let (answer, reason) = close_payload(close.as_deref(), &code.to_string());
            assert_eq!(answer, if may_be_sent { code } else { 1002 }, "{code}");
            assert_eq!(reason.is_empty(), may_be_sent, "{code}: {reason}");
            assert_eq!((peer.is_gone(), peer.is_shut()), (may_be_sent, !may_be_sent), "{code}");
        }
    }
}

/// §7.1.2: the server begins, in a room, because somebody said `quit`. What comes before the
/// client's close frame is read and not answered; at the close frame the server closes the connection.
#[test]
fn a_close_that_the_server_begins() {
    let handshake = HANDSHAKE.replace("/echo", "/");
    let behind =
        [frame(0x89, b"unanswered"), frame(0x81, b"unheard"), frame(0x01, b"a"), frame(0x80, b"b")].concat();
    let close = frame(0x88, b"\x03\xe8");
    let all = [frame(0x81, b"quit"), behind, close].concat();
    for size in PIECES {
        let mut peer = Peer::connect();
        peer.send(handshake.as_bytes());
        for (index, piece) in all.chunks(size).enumerate() {
            assert!(!peer.has_ended(), "in pieces of {size}: before byte {}", index * size);
            peer.send(piece);
        }
        let (messages, close) = split_frames(&peer.frames());
        let lines: Vec<String> =
            messages.iter().map(|frame| String::from_utf8_lossy(&frame[2..]).into()).collect();
        assert_eq!(
            lines,
            ["Welcome 192.0.2.7 !", "12:03:07 ('192.0.2.7', 4242) say: 192.0.2.7 Logout"],
            "in pieces of {size}"
        );
        assert_eq!(close.as_deref(), Some(b"\x03\xe8".as_slice()), "in pieces of {size}");
        assert!(peer.is_gone(), "in pieces of {size}: both have closed");
    }
}

/// After our close frame even a violation is an answer of a kind: it ends the wait.
#[test]
fn a_violation_ends_the_wait_for_a_close_frame() {
    let mut peer = Peer::connect();
    peer.send(HANDSHAKE.replace("/echo", "/").as_bytes());
    peer.send(&frame(0x81, b"quit"));
    assert!(!peer.has_ended());
    peer.send(b"\xff");
    assert!(peer.has_ended());
    let (_, close) = split_frames(&peer.frames());
    assert_eq!(close.as_deref(), Some(b"\x03\xe8".as_slice()), "no second close frame");
}

/// §7.1.4: the peer may hang up at any byte of the conversation, without a close frame.
#[test]
fn hanging_up_at_any_byte_costs_nothing() {
    let all = [HANDSHAKE.as_bytes(), &frame(0x01, b"abc"), &frame(0x89, b"p"), &frame(0x80, b"d")].concat();
    for length in 0..=all.len() {
        let mut peer = Peer::connect();
        if length > 0 {
            peer.send(&all[..length]);
        }
        peer.end();
        assert!(peer.is_gone(), "after {length} bytes");
    }
}
