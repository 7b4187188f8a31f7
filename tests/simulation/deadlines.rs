//! Every deadline, to the millisecond: one before it nothing has happened, at it all is done. The
//! server is woken when it asked for it and at no other time.

use crate::bench::Bench;
use crate::judge::Heard;
use crate::speech;

/// A WebSocket that was opened at this time.
const OPENED_AT: u64 = 1_000;

fn opened(target: &str) -> (Bench, usize) {
    let mut bench = Bench::new();
    bench.driver.advance_to(OPENED_AT);
    let client = bench.open(target);
    (bench, client)
}

/// Until `time` less a millisecond the client hears nothing and keeps its place; at `time` it hears
/// this.
fn check_at(bench: &mut Bench, client: usize, time: u64, wanted: &[Heard]) {
    bench.driver.advance_to(time - 1);
    assert_eq!(bench.hear(client), [], "before {time}");
    assert!(!bench.is_shut(client) && !bench.is_dropped(client), "before {time}");
    bench.driver.advance_to(time);
    assert_eq!(bench.hear(client), wanted, "at {time}");
}

/// Until `time` less a millisecond the server holds the connection; at `time` it does not.
fn check_dropped_at(bench: &mut Bench, client: usize, time: u64) {
    bench.driver.advance_to(time - 1);
    assert!(!bench.is_dropped(client), "before {time}");
    bench.driver.advance_to(time);
    assert!(bench.is_dropped(client), "at {time}");
}

fn closed(code: u16, reason: &str) -> Heard {
    Heard::Closed(Some(code), reason.to_owned())
}

#[test]
fn a_handshake_may_take_ten_seconds_and_bytes_do_not_extend_them() {
    for sends in [false, true] {
        let mut bench = Bench::new();
        bench.driver.advance_to(OPENED_AT);
        let client = bench.connect();
        bench.driver.settle();
        if sends {
            for (count, byte) in b"GET / HTTP/1.1\r\nHost: ".iter().enumerate() {
                bench.driver.advance_to(OPENED_AT + 400 * (count as u64 + 1));
                bench.send(client, &[*byte]);
            }
        }
        bench.driver.advance_to(OPENED_AT + 9_999);
        assert_eq!(bench.hear(client), []);
        bench.driver.advance_to(OPENED_AT + 10_000);
        let heard = bench.hear(client);
        assert!(matches!(heard[..], [Heard::Answered(408, _)]), "{heard:?}");
        assert!(bench.is_dropped(client), "no time is given to hang up");
    }
}

#[test]
fn a_whole_request_at_the_last_moment_is_answered() {
    let mut bench = Bench::new();
    let client = bench.connect();
    bench.driver.advance_to(9_999);
    bench.send(client, &speech::handshake("/echo"));
    assert_eq!(bench.hear(client), [Heard::Opened]);
    bench.driver.advance_to(15_000);
    assert_eq!(bench.hear(client), [], "the deadline of the handshake is over");
}

#[test]
fn a_ping_comes_every_twenty_seconds() {
    let (mut bench, client) = opened("/echo");
    let mut ping_at = OPENED_AT + 20_000;
    for _ in 0..5 {
        check_at(&mut bench, client, ping_at, &[Heard::Ping(ping_at.to_be_bytes().to_vec())]);
        // The answer takes its time; the next ping is counted from it.
        bench.driver.advance_to(ping_at + 3_000);
        bench.send_frame(client, 0x8A, b"any payload will do");
        ping_at += 23_000;
    }
}

#[test]
fn a_client_that_speaks_is_pinged_too_and_whatever_it_says_shows_that_it_is_there() {
    let (mut bench, client) = opened("/echo");
    bench.driver.advance_to(OPENED_AT + 19_000);
    bench.send_frame(client, 0x82, b"x");
    assert_eq!(bench.hear(client).len(), 1);
    bench.driver.advance_to(OPENED_AT + 20_000);
    assert!(matches!(bench.hear(client)[..], [Heard::Ping(_)]));
    bench.driver.advance_to(OPENED_AT + 44_999);
    bench.send_frame(client, 0x82, b"no pong");
    assert_eq!(bench.hear(client).len(), 1);
    check_at(
        &mut bench,
        client,
        OPENED_AT + 64_999,
        &[Heard::Ping((OPENED_AT + 64_999).to_be_bytes().to_vec())],
    );
}

#[test]
fn a_client_is_dead_twenty_five_seconds_after_an_unanswered_ping() {
    let (mut bench, client) = opened("/");
    let witness = bench.open("/");
    bench.hear(client);
    bench.driver.advance_to(OPENED_AT + 20_000);
    assert!(matches!(bench.hear(client)[..], [Heard::Ping(_)]));
    bench.hear(witness);
    bench.send_frame(witness, 0x8A, b"");
    check_at(&mut bench, client, OPENED_AT + 45_000, &[closed(1008, "no answer to a ping")]);
    let heard = bench.hear(witness);
    assert!(
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::Message(message) if message.payload.ends_with(b"Logout"))),
        "the room hears of it at once: {heard:?}"
    );
}

#[test]
fn who_vanishes_is_gone_without_a_word() {
    let (mut bench, client) = opened("/echo");
    bench.vanish(client);
    bench.driver.advance_to(OPENED_AT + 44_999);
    assert_eq!(bench.driver.server.client_count(), 1);
    bench.driver.advance_to(OPENED_AT + 45_000 + 5_000);
    assert_eq!(bench.driver.server.client_count(), 0);
}

#[test]
fn a_message_may_take_ten_seconds_from_its_first_byte_to_its_last() {
    let whole = speech::frame(&mut crate::support::random::Random::new(1), 0x81, b"a long message");
    for fragments in [false, true] {
        let (mut bench, client) = opened("/echo");
        bench.driver.advance_to(5_000);
        if fragments {
            bench.send_frame(client, 0x01, b"a");
        } else {
            bench.send(client, &whole[..1]);
        }
        for (step, byte) in whole[1..10].iter().enumerate() {
            bench.driver.advance_to(6_000 + 1_000 * step as u64);
            if fragments {
                bench.send_frame(client, 0x00, b"b");
            } else {
                bench.send(client, &[*byte]);
            }
        }
        bench.driver.advance_to(14_999);
        assert_eq!(bench.hear(client), [], "fragments: {fragments}");
        bench.driver.advance_to(15_000);
        assert!(
            matches!(&bench.hear(client)[..], [Heard::Closed(Some(1008), reason)] if !reason.is_empty()),
            "fragments: {fragments}"
        );
    }
}

#[test]
fn messages_that_follow_each_other_have_ten_seconds_each() {
    let (mut bench, client) = opened("/echo");
    let frame = speech::frame(&mut crate::support::random::Random::new(1), 0x82, b"x");
    bench.send(client, &frame[..3]);
    for round in 1..5 {
        // The rest of one message and the start of the next, together.
        bench.driver.advance_to(OPENED_AT + 9_999 * round);
        let heard = bench.hear(client);
        assert!(heard.iter().all(|heard| matches!(heard, Heard::Ping(_))), "{heard:?}");
        bench.send(client, &[&frame[3..], &frame[..3]].concat());
        assert_eq!(bench.hear(client).len(), 1, "round {round}");
    }
    let begun = bench.driver.time;
    bench.driver.advance_to(begun + 9_999);
    assert!(bench.hear(client).iter().all(|heard| matches!(heard, Heard::Ping(_))));
    bench.driver.advance_to(begun + 10_000);
    assert!(matches!(bench.hear(client)[..], [Heard::Closed(Some(1008), _)]));
}

#[test]
fn the_closing_handshake_that_we_began_has_five_seconds() {
    let (mut bench, client) = opened("/");
    bench.driver.advance_to(2_000);
    bench.send_frame(client, 0x81, b"quit");
    assert_eq!(bench.hear(client).last(), Some(&closed(1000, "")));
    assert!(!bench.is_shut(client), "the close frame of the client is awaited");
    check_dropped_at(&mut bench, client, 2_000 + 5_000);
}

#[test]
fn the_end_of_a_client_that_broke_a_rule_is_awaited_for_five_seconds() {
    let (mut bench, client) = opened("/echo");
    bench.driver.advance_to(2_000);
    bench.send_frame(client, 0x83, b"");
    assert!(matches!(bench.hear(client)[..], [Heard::Closed(Some(1002), _)]));
    assert!(bench.is_shut(client));
    check_dropped_at(&mut bench, client, 2_000 + 5_000);
}

#[test]
fn after_both_close_frames_nothing_is_awaited() {
    for sent in [0x88, 0x81] {
        let (mut bench, client) = opened("/");
        bench.hear(client);
        bench.send_frame(client, sent, if sent == 0x88 { b"" } else { b"quit" });
        assert!(matches!(bench.hear(client).last(), Some(Heard::Closed(..))));
        if sent == 0x81 {
            assert!(!bench.is_dropped(client));
            bench.send_frame(client, 0x88, b"\x03\xe8");
        }
        assert!(bench.is_dropped(client), "RFC 6455 §7.1.1: the server closes first, and at once");
    }
}

#[test]
fn bytes_do_not_extend_the_wait_for_an_end() {
    let (mut bench, client) = opened("/");
    bench.driver.advance_to(2_000);
    bench.send_frame(client, 0x81, b"quit");
    for step in 1..5 {
        bench.driver.advance_to(2_000 + 1_200 * step);
        bench.send_frame(client, 0x89, b"still here");
    }
    check_dropped_at(&mut bench, client, 2_000 + 5_000);
}

/// A client in a room with a socket that takes so many bytes, all of which are taken.
fn stalled(window: usize) -> (Bench, usize, usize) {
    let mut bench = Bench::new();
    let client = bench.open("/broadcast");
    let talker = bench.open("/broadcast?self=0");
    bench.set_window(client, window);
    bench.driver.advance_to(3_000);
    (bench, client, talker)
}

#[test]
fn who_takes_no_byte_for_ten_seconds_is_cut_and_told_how_far_behind_he_is() {
    // With and without a frame that has begun to leave: both get the five seconds of a close.
    for (window, messages, bytes) in [(104, 2, 206), (103, 2, 206), (150, 2, 206)] {
        let (mut bench, client, talker) = stalled(window);
        for _ in 0..3 {
            bench.send_frame(talker, 0x82, &[7; 101]);
        }
        bench.driver.advance_to(12_999);
        assert_eq!(bench.driver.server.client_count(), 2);
        assert_eq!(bench.waiting(client), window, "the socket is full");
        bench.driver.advance_to(13_000);
        bench.driver.advance_to(17_999);
        assert!(!bench.is_dropped(client), "window {window}: the close frame has five seconds to leave");
        bench.set_window(client, 10_000);
        bench.driver.settle();
        let heard = bench.hear(client);
        let Some(Heard::Closed(Some(1013), reason)) = heard.last() else { panic!("{window}: {heard:?}") };
        let behind = if window > 103 { messages - usize::from(window > 103) } else { messages };
        let wanted = format!("{behind} messages, {} bytes behind", bytes / messages * behind);
        assert!(reason.ends_with(&wanted), "window {window}: {reason}, not {wanted}");
        assert_eq!(heard.len() - 1 + behind, 3, "window {window}: what is not counted was sent");
    }
}

/// What was thrown away is a gap, and nothing may come behind a gap: neither what is said in the
/// very turn of the cut, nor the word of another who is cut in it.
#[test]
fn who_is_cut_hears_nothing_of_the_turn_that_cuts_him() {
    let mut bench = Bench::new();
    let client = bench.open("/");
    let other = bench.open("/");
    let talker = bench.open("/");
    bench.hear(client);
    bench.set_window(client, 100);
    bench.set_window(other, 100);
    bench.driver.advance_to(3_000);
    for _ in 0..2 {
        bench.send_frame(talker, 0x82, &[7; 101]);
    }
    bench.driver.advance_to(12_999);
    bench.driver.time = 13_000;
    bench.send_frame(talker, 0x81, b"in the turn of the cut");
    bench.set_window(client, 10_000);
    bench.driver.settle();
    let heard = bench.hear(client);
    assert!(
        matches!(&heard[..], [Heard::Message(_), Heard::Closed(Some(1013), _)]),
        "the one that had begun to leave, then the end: {heard:?}"
    );
}

#[test]
fn who_takes_a_byte_now_and_then_is_not_cut() {
    let (mut bench, client, talker) = stalled(100);
    for _ in 0..3 {
        bench.send_frame(talker, 0x82, &[7; 101]);
    }
    for step in 1..8_u64 {
        bench.driver.advance_to(3_000 + step * 9_999);
        bench.set_window(client, 100 + usize::try_from(step).expect("small"));
        bench.driver.settle();
        bench.send_frame(client, 0x8A, b"");
        bench.send_frame(talker, 0x8A, b"");
        assert_eq!(bench.driver.server.client_count(), 2, "step {step}");
    }
    let last = bench.driver.time;
    bench.driver.advance_to(last + 9_999);
    bench.set_window(client, 10_000);
    bench.driver.settle();
    let heard = bench.hear(client);
    let messages = heard.iter().filter(|heard| matches!(heard, Heard::Message(_))).count();
    assert_eq!(messages, 3, "{heard:?}");
}

#[test]
fn a_drain_ends_at_once_when_all_have_answered_and_else_at_its_timeout() {
    for answers in [true, false] {
        let (mut bench, client) = opened("/");
        let silent = bench.connect();
        bench.driver.settle();
        bench.hear(client);
        bench.driver.advance_to(2_000);
        bench.driver.stop();
        bench.driver.settle();
        assert!(matches!(bench.hear(client)[..], [Heard::Closed(Some(1012), _)]));
        assert!(!bench.driver.is_drained());
        bench.end(silent);
        if answers {
            bench.send_frame(client, 0x88, b"\x03\xe9");
            assert!(bench.driver.is_drained());
            assert_eq!(bench.driver.server.client_count(), 0);
        } else {
            // It has got its close frame, so it has the five seconds of any closing handshake.
            bench.driver.advance_to(2_000 + 4_999);
            assert!(!bench.driver.is_drained());
            bench.driver.advance_to(2_000 + 5_000);
            assert!(bench.driver.is_drained());
        }
        assert_eq!(bench.driver.server.channel_count(), 0);
    }
}

/// What is queued may take until the drain timeout to leave.
#[test]
fn a_drain_waits_for_who_still_reads_until_its_timeout() {
    let (mut bench, client) = opened("/broadcast");
    bench.set_window(client, 1);
    bench.send_frame(client, 0x82, &[b'x'; 300]);
    bench.driver.advance_to(2_000);
    bench.driver.stop();
    bench.driver.advance_to(2_000 + 7_999);
    assert!(!bench.driver.is_drained());
    bench.driver.advance_to(2_000 + 8_000);
    assert!(bench.driver.is_drained());
}

#[test]
fn pings_can_be_turned_off() {
    let mut limits = crate::support::limits::LIMITS;
    limits.connection.ping_interval = std::time::Duration::ZERO;
    let mut bench = Bench::with_limits(limits);
    let client = bench.open("/echo");
    bench.driver.advance_to(3_600_000);
    assert_eq!(bench.hear(client), []);
    assert_eq!(bench.driver.server.client_count(), 1);
}
