//! What the server may hold for a client that does not read, how many calls it makes for those who
//! do, and what it tells in large rooms.

use crate::bench::Bench;
use crate::judge::Heard;
use crate::speech;
use crate::support::limits::LIMITS;

fn messages(heard: &[Heard]) -> Vec<String> {
    heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Message(message) => Some(String::from_utf8_lossy(&message.payload).into_owned()),
            _ => None,
        })
        .collect()
}

/// 1,002 bytes a message and a queue of 10,000: with a full socket ten messages are over it.
#[test]
fn who_does_not_read_is_cut_when_the_queue_is_over_its_limit_and_nobody_else_is() {
    let mut limits = LIMITS;
    limits.connection.outbox_bytes_max = 10_000;
    let mut bench = Bench::with_limits(limits);
    let sleeper = bench.open("/broadcast");
    let witness = bench.open("/broadcast");
    let talker = bench.open("/broadcast");
    bench.set_window(sleeper, 3_000);
    for count in 1..=30 {
        bench.send_frame(talker, 0x82, &[b'x'; 998]);
        // Each is 1,002 bytes with its header; 3,000 are in the socket, so the thirteenth is over.
        let is_cut = count * 1_002 - 3_000 > 10_000;
        assert_eq!(is_cut, count >= 13);
        assert_eq!(messages(&bench.hear(witness)).len(), 1, "message {count}");
        assert_eq!(messages(&bench.hear(talker)).len(), 1, "message {count}");
    }
    assert_eq!(bench.waiting(sleeper), 3_000);
    bench.set_window(sleeper, 1 << 20);
    bench.driver.settle();
    let heard = bench.hear(sleeper);
    // The third had begun to leave, and is finished; ten of the thirteen were thrown away.
    assert_eq!(messages(&heard).len(), 3);
    let Some(Heard::Closed(Some(1013), reason)) = heard.last() else { panic!("{heard:?}") };
    assert_eq!(reason, "too slow; 10 messages, 10020 bytes behind");
    assert_eq!(bench.driver.server.client_count(), 3, "its answer is awaited");
    bench.send_frame(sleeper, 0x88, b"\x03\xf5");
    assert_eq!(bench.driver.server.client_count(), 2);
}

/// A cut is found out while writing, when the turn has nothing more to say. The others hear of it all
/// the same, though nothing else happens.
#[test]
fn a_leave_that_is_found_out_while_writing_is_told_at_once() {
    let mut limits = LIMITS;
    limits.connection.outbox_bytes_max = 500;
    let mut bench = Bench::with_limits(limits);
    let sleeper = bench.open("/");
    let witness = bench.open("/");
    bench.set_window(sleeper, 1);
    for _ in 0..3 {
        bench.send_frame(witness, 0x82, &[b'x'; 240]);
    }
    let heard = messages(&bench.hear(witness));
    assert_eq!(heard.len(), 4, "its own messages, with the leave: {heard:?}");
    assert!(heard[2].ends_with("say: 10.1.0.0 Logout"), "{heard:?}");
}

/// A queue exactly as long as the limit is allowed. Each batch counts 40 bytes more than it has.
#[test]
fn the_limit_of_the_queue_itself_is_allowed() {
    for (bytes, is_cut) in [(500, false), (501, true)] {
        let mut limits = LIMITS;
        limits.connection.outbox_bytes_max = 1_080;
        let mut bench = Bench::with_limits(limits);
        let sleeper = bench.open("/broadcast");
        let talker = bench.open("/broadcast?self=0");
        bench.set_window(sleeper, 8);
        bench.send_frame(talker, 0x82, &[b'x'; 6]);
        assert_eq!(bench.waiting(sleeper), 8);
        for length in [500, bytes] {
            bench.send_frame(talker, 0x82, &vec![b'y'; length - 4]);
        }
        bench.set_window(sleeper, 1 << 20);
        bench.driver.settle();
        let heard = bench.hear(sleeper);
        assert_eq!(messages(&heard).len(), if is_cut { 1 } else { 3 }, "{bytes} bytes: {heard:?}");
        assert_eq!(matches!(heard.last(), Some(Heard::Closed(Some(1013), _))), is_cut, "{bytes} bytes");
    }
}

/// One frame alone is never too much, though it is longer than the limit; others behind it are.
#[test]
fn one_long_frame_may_wait_beside_a_full_queue() {
    for (rest, is_cut) in [(2, false), (4, true)] {
        let mut limits = LIMITS;
        limits.connection.outbox_bytes_max = 1_000;
        let mut bench = Bench::with_limits(limits);
        let sleeper = bench.open("/broadcast");
        let talker = bench.open("/broadcast?self=0");
        bench.set_window(sleeper, 10);
        bench.send_frame(talker, 0x82, &[b'x'; 5_000]);
        for _ in 0..rest {
            bench.send_frame(talker, 0x82, &[b'y'; 300]);
        }
        bench.set_window(sleeper, 1 << 20);
        bench.driver.settle();
        let heard = bench.hear(sleeper);
        assert_eq!(messages(&heard).len(), if is_cut { 1 } else { 3 }, "{rest} behind it");
        assert_eq!(matches!(heard.last(), Some(Heard::Closed(Some(1013), _))), is_cut, "{rest} behind it");
    }
}

/// The response of the handshake and the first line of the room leave together, and so does all
/// that a room says in a turn: one write a client and turn, and no read that finds nothing.
#[test]
fn one_write_a_client_and_turn_and_no_idle_read() {
    let mut bench = Bench::new();
    let before = bench.calls();
    let first = bench.open("/");
    assert_eq!(bench.calls().writes - before.writes, 1, "the response and the welcome");
    let members: Vec<usize> = std::iter::once(first).chain((0..19).map(|_| bench.open("/"))).collect();
    let deaf = bench.open("/broadcast?self=0");
    let echo = bench.open("/echo");

    let before = bench.calls();
    for round in 0..3 {
        for &member in &members {
            bench.send_frame_later(member, 0x81, format!("round {round} of {member}").as_bytes());
        }
    }
    bench.send_frame_later(echo, 0x82, &[7; 100]);
    bench.send_frame_later(echo, 0x89, b"a ping too");
    bench.send_frame_later(deaf, 0x82, b"to nobody");
    bench.driver.settle();
    let after = bench.calls();
    assert_eq!(after.writes - before.writes, members.len() + 1, "sixty messages, one write a member");
    assert_eq!(after.writes_a_turn_max, 1);
    assert_eq!(after.idle_reads, 0, "a short read has emptied the socket");
    let expected = messages(&bench.hear(first));
    assert_eq!(expected.len(), 19 + 60);
    for &member in &members[1..] {
        let heard = messages(&bench.hear(member));
        assert!(heard.ends_with(&expected[19..]), "the same sixty in the same order: {heard:?}");
    }
}

/// 128 bytes, then eight times more as long as reads are filled: a large message is not fetched in
/// crumbs.
#[test]
fn a_large_message_takes_few_reads() {
    let mut bench = Bench::new();
    let client = bench.open("/echo");
    let before = bench.calls().reads;
    bench.send_frame(client, 0x82, &[7; 60_000]);
    assert!(bench.calls().reads - before <= 5, "{} reads", bench.calls().reads - before);
    assert_eq!(messages(&bench.hear(client)).len(), 1);
}

/// One client sends without end; the others are served between its turns.
#[test]
fn a_flood_of_one_does_not_starve_the_others() {
    let mut bench = Bench::new();
    let flooder = bench.open("/echo");
    let other = bench.open("/echo");
    bench.set_window(flooder, 1 << 30);
    for _ in 0..20 {
        bench.send_frame_later(flooder, 0x82, &[7; 60_000]);
    }
    bench.send_frame_later(other, 0x82, b"me too");
    bench.driver.network.borrow_mut().transfer();
    assert!(bench.driver.pass());
    assert_eq!(bench.waiting(other), 8, "one turn is enough for who wants little");
    assert!(bench.waiting(flooder) < 330_000, "and who wants much gets a share of it");
    bench.driver.settle();
    assert_eq!(messages(&bench.hear(flooder)).len(), 20);
}

/// Over a hundred members: a newcomer is told alone, the others get counts, once a second.
#[test]
fn a_room_of_more_than_a_hundred_hears_counts_and_keeps_one_order() {
    let mut bench = Bench::new();
    let first = bench.open("/");
    let others: Vec<usize> = (0..129).map(|_| bench.open("/")).collect();
    let welcomes = messages(&bench.hear(first));
    assert_eq!(welcomes.len(), 99, "besides its own, which came with the answer to the handshake");
    assert!(welcomes.iter().all(|line| line.starts_with("Welcome 10.1.0.")), "{welcomes:?}");
    bench.driver.advance_to(999);
    assert_eq!(messages(&bench.hear(first)), Vec::<String>::new());
    bench.driver.advance_to(1_000);
    let counts = messages(&bench.hear(first));
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(counts[0].ends_with(" 30 joined, 0 left, 130 here"), "{counts:?}");

    for &member in &others {
        bench.hear(member);
    }
    for &member in &others {
        bench.send_frame_later(member, 0x81, format!("c{member}m0;").as_bytes());
    }
    bench.driver.settle();
    let order = messages(&bench.hear(first));
    assert_eq!(order.len(), others.len());
    for &member in &others {
        assert_eq!(messages(&bench.hear(member)), order, "member {member}");
    }

    for &member in &others[..40] {
        bench.end(member);
    }
    assert_eq!(bench.driver.server.client_count(), 90);
    bench.driver.advance_to(10_000);
    let heard = messages(&bench.hear(first));
    let (counts, singly): (Vec<_>, Vec<_>) = heard.iter().partition(|line| line.ends_with(" here"));
    assert_eq!(counts.len(), 1, "{heard:?}");
    assert_eq!(singly.iter().filter(|line| line.ends_with(" Logout")).count(), singly.len());
    let counted: usize = counts[0]
        .split(" joined, ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a count")
        .parse()
        .expect("a number");
    assert_eq!(counted + singly.len(), 40, "each leave is told once, or counted: {heard:?}");
}

/// A slot is free only after the turn, and then its token is used again, by somebody else.
#[test]
fn a_token_is_used_again_by_somebody_who_hears_nothing_of_the_last() {
    let mut bench = Bench::new();
    let witness = bench.open("/");
    for round in 0..10 {
        let token = bench.driver.server.next_token();
        let client = bench.open("/");
        bench.send_frame_later(client, 0x81, b"last words");
        bench.driver.network.borrow_mut().transfer();
        bench.end(client);
        assert!(bench.is_dropped(client));
        assert_eq!(bench.driver.server.next_token(), token, "round {round}");
        let other = bench.open("/other");
        assert_eq!(messages(&bench.hear(other)), Vec::<String>::new());
        bench.send_frame_later(other, 0x88, b"");
        bench.end(other);
        let lines = messages(&bench.hear(witness));
        assert_eq!(lines.len(), 3, "a welcome, last words, a logout: {lines:?}");
    }
    assert_eq!(bench.driver.server.channel_count(), 1);
}

/// Full: 503 to the next, whose socket is kept only until it has read it; no client notices.
#[test]
fn a_full_server_refuses_and_serves_on() {
    let mut limits = LIMITS;
    limits.clients_max = 2;
    let mut bench = Bench::with_limits(limits);
    let inside = [bench.open("/"), bench.open("/")];
    let outsider = bench.connect();
    bench.send(outsider, &speech::handshake("/"));
    let heard = bench.hear(outsider);
    assert!(matches!(heard[..], [Heard::Answered(503, _)]), "{heard:?}");
    bench.send_frame(inside[0], 0x81, b"on");
    assert_eq!(messages(&bench.hear(inside[1])).len(), 1);
    // A crowd at the door: the last 32 may still ask, the others gave way, and all go in the end.
    let crowd: Vec<usize> = (0..100).map(|_| bench.connect()).collect();
    bench.driver.settle();
    assert!(bench.driver.server.client_count() <= 2 + 32);
    let told = crowd.iter().filter(|client| !bench.is_dropped(**client)).count();
    assert_eq!(told, 32);
    assert!(crowd[68..].iter().all(|client| !bench.is_dropped(*client)), "the oldest go first");
    let stats = b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let operator = bench.connect();
    bench.send(operator, stats);
    let heard = bench.hear(operator);
    assert!(matches!(heard[..], [Heard::Answered(200, _)]), "{heard:?}");
    bench.driver.advance_to(16_000);
    assert_eq!(bench.driver.server.client_count(), 2, "nobody waits at the door for ever");
}

/// Each of three has begun to take a message that nobody else needs. Who waits for most is given up first, and
/// nobody else if that is enough.
#[test]
fn no_more_are_given_up_than_the_budget_needs() {
    let mut limits = LIMITS;
    limits.buffered_bytes_max = 100_000;
    let mut bench = Bench::with_limits(limits);
    for (place, bytes) in [("a", 30_000), ("b", 31_000), ("c", 60_000)] {
        let sleeper = bench.open(&format!("/broadcast/{place}"));
        let talker = bench.open(&format!("/broadcast/{place}?self=0"));
        bench.set_window(sleeper, 100);
        bench.send_frame(talker, 0x82, &vec![b'x'; bytes]);
    }
    bench.driver.settle();
    assert_eq!(bench.driver.server.client_count(), 5, "one is gone");
    assert!(bench.driver.server.buffered_bytes() <= 100_000);
    let account = bench.driver.server.account();
    assert_eq!((account.queued, account.lost), (2, 1), "{account:?}");
}
