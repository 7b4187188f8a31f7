//! RFC 6455 §5.4 and §5.5: fragments, and control frames on their own and between them.

use super::End::{Fails, Open};
use super::{check, frame, row};

/// `TEXT` in the frames that its letters name, with control frames in between.
#[test]
fn fragments_are_joined_and_control_frames_may_stand_between_them() {
    let ping = || frame(0x89, b"p");
    let pong = || frame(0x8A, b"unasked");
    for (what, sent, wanted) in [
        ("two fragments", vec![frame(0x01, b"ab"), frame(0x80, b"cd")], b"\x81\x04abcd".as_slice()),
        (
            "four fragments of binary",
            vec![frame(0x02, b"a"), frame(0x00, b"b"), frame(0x00, b"c"), frame(0x80, b"\xff")],
            b"\x82\x04abc\xff",
        ),
        (
            "empty fragments around text",
            vec![frame(0x01, b""), frame(0x00, b"ab"), frame(0x00, b""), frame(0x80, b"")],
            b"\x81\x02ab",
        ),
        ("nothing but empty fragments", vec![frame(0x02, b""), frame(0x80, b"")], b"\x82\x00"),
        ("a ping in between", vec![frame(0x01, b"ab"), ping(), frame(0x80, b"cd")], b"\x8a\x01p\x81\x04abcd"),
        (
            "a ping and pongs in between",
            vec![frame(0x01, b"ab"), pong(), ping(), frame(0x00, b"cd"), pong(), frame(0x80, b"ef")],
            b"\x8a\x01p\x81\x06abcdef",
        ),
        (
            "two messages, each in fragments",
            vec![frame(0x01, b"a"), frame(0x80, b"b"), frame(0x02, b"c"), frame(0x80, b"d")],
            b"\x81\x02ab\x82\x02cd",
        ),
        (
            "fragments of 126 and of 127 bytes",
            vec![frame(0x02, &[1; 126]), frame(0x80, &[1; 127])],
            &[b"\x82\x7e\x00\xfd".as_slice(), &[1; 253]].concat(),
        ),
    ] {
        check(&row("§5.4", what, &sent, wanted, Open));
    }
}

#[test]
fn sequences_that_break_a_rule() {
    // The header of a frame with a payload that never comes: the header alone decides.
    let header = |first| vec![first, 0x81, 1, 2, 3, 4];
    for (what, sent) in [
        ("text inside a fragmented text", vec![frame(0x01, b"a"), header(0x81)]),
        ("text inside a fragmented binary", vec![frame(0x02, b"a"), header(0x81)]),
        ("a fragment that starts inside a message", vec![frame(0x01, b"a"), header(0x01)]),
        ("binary inside a message after a ping", vec![frame(0x01, b"a"), frame(0x8A, b""), header(0x82)]),
        ("a continuation behind the last one", vec![frame(0x02, b"a"), frame(0x00, b"b"), vec![0x88, 0x00]]),
        ("RSV1 on a continuation", vec![frame(0x01, b"a"), vec![0xC0]]),
        ("a continuation without a mask", vec![frame(0x01, b"a"), vec![0x80, 0x01]]),
    ] {
        check(&row("§5.4", what, &sent, b"", Fails(1002)));
    }
    let twice = [frame(0x01, b"a"), frame(0x80, b"b"), header(0x80)];
    check(&row("§5.4", "a continuation of a whole message", &twice, b"\x81\x02ab", Fails(1002)));
}

/// The limit here is 64 frames a message; empty ones count, control frames do not.
#[test]
fn a_message_may_come_in_so_many_frames_and_not_in_one_more() {
    let fragments = |count: usize| {
        let mut sent = vec![frame(0x01, b"x")];
        for index in 1..count {
            sent.push(frame(0x00, if index % 2 == 0 { b"x" } else { b"" }));
        }
        sent
    };
    let mut most = fragments(63);
    most.insert(30, frame(0x8A, b""));
    most.push(frame(0x80, b""));
    let wanted = [b"\x81\x20".as_slice(), &[b'x'; 32]].concat();
    check(&row("§10.4", "64 frames", &most, &wanted, Open));

    let mut too_many = fragments(64);
    too_many.push(vec![0x80, 0x80, 1, 2, 3, 4]);
    check(&row("§7.4.1", "a 65th frame, though it is the last", &too_many, b"", Fails(1008)));
}

#[test]
fn a_ping_is_answered_with_its_own_payload() {
    for payload in [b"".as_slice(), b"x", &[0xFF; 5], &[b'p'; 125]] {
        let length = u8::try_from(payload.len()).expect("at most 125");
        let wanted = [&[0x8A, length], payload].concat();
        check(&row("§5.5.2", &format!("a ping of {length} bytes"), &[frame(0x89, payload)], &wanted, Open));
    }
    let sent = [frame(0x81, b"a"), frame(0x89, b"p"), frame(0x81, b"b")];
    check(&row("§5.5.2", "a ping between messages", &sent, b"\x8a\x01p\x81\x01a\x81\x01b", Open));
}

/// A peer that reads gets an answer to each of its pings, in their order, also where they came
/// together (RFC 6455 §5.5.3 would allow the newest alone).
#[test]
fn each_ping_is_answered_in_its_turn() {
    let sent = [frame(0x89, b"one"), frame(0x89, b"two"), frame(0x81, b"text"), frame(0x89, b"three")];
    let wanted = b"\x8a\x03one\x8a\x03two\x8a\x05three\x81\x04text";
    check(&row("§5.5.2", "three pings", &sent, wanted, Open));
}

#[test]
fn a_pong_that_nobody_asked_for_is_not_answered() {
    for payload in [b"".as_slice(), b"x", &[b'p'; 125]] {
        let sent = [frame(0x8A, payload), frame(0x81, b"on"), frame(0x8A, payload)];
        check(&row("§5.5.3", "pongs", &sent, b"\x81\x02on", Open));
    }
}
