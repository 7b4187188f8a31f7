//! Frames that break RFC 6455, the close handshake, and bytes in any portions.

use std::thread;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::raw::{
    self, BINARY, BINARY_START, CLOSE, CONTINUATION, CONTINUATION_END, PING, PONG, RawClient, TEXT,
    TEXT_START, frame, header,
};
use crate::support::server::Wsloop;

/// What a peer sends and the close code that it gets.
type Case = (&'static str, Vec<u8>, u16);

#[test]
fn frames_that_break_the_protocol_are_answered_with_1002() {
    let mut cases: Vec<Case> = vec![
        ("§5.1 text without a mask", vec![TEXT, 2, b'h', b'i'], 1002),
        ("§5.1 empty text without a mask", vec![TEXT, 0], 1002),
        ("§5.1 close without a mask", vec![CLOSE, 2, 3, 232], 1002),
        ("§5.5 ping of 126 bytes", frame(PING, &[0; 126]), 1002),
        ("§5.5 close of 126 bytes", frame(CLOSE, &[3; 126]), 1002),
        ("§5.5 ping in fragments", frame(0x09, b""), 1002),
        ("§5.5 close in fragments", frame(0x08, &[3, 232]), 1002),
        ("§5.4 continuation of nothing", frame(CONTINUATION_END, b"x"), 1002),
        ("§5.4 fragment of nothing", frame(CONTINUATION, b"x"), 1002),
        ("§5.4 text within a message", [frame(TEXT_START, b"a"), frame(TEXT, b"b")].concat(), 1002),
        (
            "§5.4 a second start within a message",
            [frame(BINARY_START, b"a"), frame(BINARY_START, b"b")].concat(),
            1002,
        ),
        ("§5.2 125 in the 16-bit form", [&[BINARY, 0xfe, 0, 125, 1, 2, 3, 4][..], &[0; 125]].concat(), 1002),
        ("§5.2 65535 in the 64-bit form", vec![BINARY, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4], 1002),
        ("§5.2 the highest bit of a length", vec![BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
    ];
    for (name, bit) in [("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10)] {
        cases.push((name, frame(TEXT | bit, b"x"), 1002));
        cases.push((name, frame(PING | bit, b"x"), 1002));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(("§5.2 reserved opcode", frame(0x80 | opcode, b"x"), 1002));
    }
    check(&cases);
}

#[test]
fn close_frames_that_break_the_protocol_are_answered_with_1002_or_1007() {
    let mut cases: Vec<Case> = vec![
        ("§5.5.1 a code of one byte", frame(CLOSE, &[3]), 1002),
        ("§5.5.1 a reason of no UTF-8", frame(CLOSE, &[3, 232, 0xff]), 1007),
        ("§5.5.1 a reason cut within a character", frame(CLOSE, &[3, 232, 0xe4, 0xbd]), 1007),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        cases.push(("§7.4 a code that is not for the wire", raw::close(code, ""), 1002));
    }
    check(&cases);
}

#[test]
fn text_of_no_utf8_is_answered_with_1007_at_the_first_bad_byte() {
    let cut = |prefix: &[u8], length: u64| [&header(TEXT, length)[..], &masked(prefix)].concat();
    check(&[
        ("a byte that never occurs", frame(TEXT, b"a\xff"), 1007),
        ("a continuation byte alone", frame(TEXT, b"\x80"), 1007),
        ("an overlong slash", frame(TEXT, b"\xc0\xaf"), 1007),
        ("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("above U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
        ("cut at the end", frame(TEXT, "好".as_bytes().split_at(2).0), 1007),
        (
            "cut at the end of the last fragment",
            [frame(TEXT_START, b"\xe5"), frame(CONTINUATION_END, b"\xa5")].concat(),
            1007,
        ),
        // The rest of these messages never comes: the answer does not wait for it.
        ("in a fragment that is not the last", frame(TEXT_START, b"\xff"), 1007),
        ("in the first bytes of a frame", cut(b"\xff", 60_000), 1007),
        ("a surrogate's second byte in the first bytes", cut(b"\xed\xa0", 60_000), 1007),
    ]);
}

#[test]
fn a_message_over_the_limit_is_answered_with_1009_before_it_comes() {
    let half = vec![0; 40_000];
    check(&[
        ("one frame", header(BINARY, 65_537), 1009),
        ("the greatest length", header(BINARY, i64::MAX as u64), 1009),
        (
            "the sum of its fragments",
            [frame(BINARY_START, &half), header(CONTINUATION_END, 25_537)].concat(),
            1009,
        ),
    ]);
    let server = Wsloop::start(&["--max-message", "1K"]);
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(BINARY, &[0; 1024]));
    client.expect_frame(BINARY, &[0; 1024]);
    client.send(&header(BINARY, 1025));
    let reason = client.expect_close(1009);
    assert!(reason.contains("--max-message"), "{reason:?} says which limit it is");
}

#[test]
fn a_flood_of_fragments_is_cut() {
    let server = Wsloop::start(&["--max-fragments", "100"]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let exactly: Vec<u8> = std::iter::once(frame(BINARY_START, b""))
        .chain(std::iter::repeat_n(frame(CONTINUATION, b""), 98))
        .chain([frame(CONTINUATION_END, b"")])
        .flatten()
        .collect();
    client.send(&exactly);
    client.expect_frame(BINARY, b"");
    let mut bytes = frame(BINARY_START, b"");
    bytes.extend(frame(CONTINUATION, b"").repeat(100));
    client.send(&bytes);
    let reason = client.expect_close(1008);
    assert!(reason.contains("--max-fragments"), "{reason:?} says which limit it is");
}

#[test]
fn a_flood_of_control_frames_is_cut() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    // Some may come after the server has closed.
    let _ = client.try_send(&frame(PONG, b"").repeat(1000));
    assert!(!client.expect_close(1008).is_empty());
    // As many as are allowed in a second do no harm.
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(PONG, b"").repeat(150));
    client.expect_quiet("still here");
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = Wsloop::start(&[]);
    for code in [1000, 1001, 1003, 1007, 1008, 1011, 1014, 3000, 4999] {
        let mut client = RawClient::upgrade(&server, "/echo");
        client.send(&raw::close(code, "see you 再见"));
        assert_eq!(client.read_frame().close().0, code);
        // RFC 6455 §7.1.1: the server is the first to end the TCP connection.
        client.expect_end();
    }
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(CLOSE, b""));
    let code = client.read_frame().close().0;
    assert!(matches!(code, 1000 | 1005), "{code} to a close without a code");
    client.expect_end();
}

#[test]
fn messages_before_a_close_are_answered_and_those_after_it_ignored() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let mut bytes = frame(TEXT, b"before");
    bytes.extend(raw::close(1000, ""));
    bytes.extend(frame(TEXT, b"after"));
    bytes.extend(frame(PING, b"after"));
    client.send(&bytes);
    client.expect_frame(TEXT, b"before");
    assert_eq!(client.read_frame().close().0, 1000);
    client.expect_end();
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    for length in [0, 1, 124, 125] {
        client.send(&frame(PING, &vec![b'p'; length]));
        client.expect_frame(PONG, &vec![b'p'; length]);
    }
    client.send(&frame(PONG, b"nobody asked"));
    client.expect_quiet("after an unasked pong");
}

#[test]
fn frames_in_the_segment_of_the_request_are_answered() {
    let server = Wsloop::start(&[]);
    let bytes = request_and_frames(&server);
    let mut client = RawClient::connect(&server);
    client.send(&bytes);
    expect_the_frames(&mut client);
}

#[test]
fn a_client_that_sends_byte_by_byte_is_served() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::connect(&server);
    for byte in request_and_frames(&server) {
        client.send(&[byte]);
    }
    expect_the_frames(&mut client);
}

#[test]
fn the_cut_between_two_segments_may_be_anywhere() {
    let server = Wsloop::start(&[]);
    let bytes = request_and_frames(&server);
    for cut in 1..bytes.len() {
        let mut client = RawClient::connect(&server);
        client.send(&bytes[..cut]);
        // Lets the server see the first part alone, in most of the runs; each order is right.
        thread::sleep(Duration::from_millis(1));
        client.send(&bytes[cut..]);
        expect_the_frames(&mut client);
    }
}

#[test]
fn a_violation_harms_nobody_else() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/?name=witness");
    for round in 0..20 {
        let mut offender = RawClient::join(&server, "/?name=offender");
        assert_eq!(witness.read_text(), "Welcome offender !");
        let mut bytes = frame(TEXT, b"good");
        bytes.extend(frame(TEXT, b"bad \xff"));
        bytes.extend(frame(TEXT, b"never heard"));
        offender.send(&bytes);
        assert!(witness.read_text().ends_with(" offender say: good"));
        assert!(offender.read_frame().text().ends_with(" say: good"));
        offender.expect_close(1007);
        assert!(witness.read_text().ends_with(" offender say: offender Logout"));
        let text = format!("round {round}");
        witness.send_text(&text);
        assert!(witness.read_text().ends_with(&text));
    }
}

#[test]
fn a_violation_in_the_middle_keeps_what_came_before() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let mut bytes = frame(TEXT, b"one");
    bytes.extend(frame(TEXT, b"two"));
    bytes.extend(frame(0x83, b"three"));
    client.send(&bytes);
    client.expect_frame(TEXT, b"one");
    client.expect_frame(TEXT, b"two");
    client.expect_close(1002);
}

/// Each case on a connection of its own, with a reason in words; then the server is as it was.
fn check(cases: &[Case]) {
    let server = Wsloop::start(&[]);
    let mut witness = Client::connect(&server, "/echo");
    for (name, bytes, code) in cases {
        let mut client = RawClient::upgrade(&server, "/echo");
        client.send(bytes);
        let (got, reason) = client.read_frame().close();
        assert_eq!(got, *code, "{name}: {bytes:?}, reason {reason:?}");
        assert!(reason.contains(' '), "{name}: the reason is words: {reason:?}");
        let _ = client.try_send(&raw::close(got, ""));
        client.expect_end();
        witness.send_text(name);
        assert_eq!(witness.read_text(), *name);
    }
}

/// An upgrade request with three frames behind it, for `expect_the_frames`.
fn request_and_frames(server: &Wsloop) -> Vec<u8> {
    let mut bytes = Request::upgrade(server, "/echo").bytes();
    bytes.extend(frame(TEXT, "你好".as_bytes()));
    bytes.extend(frame(PING, b"p"));
    bytes.extend(frame(BINARY, &[7; 130]));
    bytes
}

fn expect_the_frames(client: &mut RawClient) {
    client.expect_upgraded();
    let mut got = [client.read_frame(), client.read_frame(), client.read_frame()];
    // A pong may overtake messages, which keep their order.
    got.sort_by_key(|frame| frame.first == PONG);
    assert_eq!((got[0].first, got[0].text()), (TEXT, "你好"));
    assert_eq!((got[1].first, &got[1].payload), (BINARY, &vec![7; 130]));
    assert_eq!((got[2].first, got[2].text()), (PONG, "p"));
}

/// The first bytes of a payload as `header` announces it.
fn masked(prefix: &[u8]) -> Vec<u8> {
    frame(BINARY, prefix).split_off(6)
}
