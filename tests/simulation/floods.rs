//! Clients that ask for more than their part: they get their part, and nobody waits for them.

use wsloop::server::SlowPolicy;

use crate::bench::Bench;
use crate::judge::Heard;
use crate::speech;
use crate::support::limits::LIMITS;

/// What a flooder has under way at any time.
const FLOOD_BYTES: usize = 128 * 1024;

/// Lets a client say empty texts without a break from one time to another, in steps of some milliseconds, while
/// the server has one turn in each. Returns when the server gave it up.
fn flood(bench: &mut Bench, client: usize, from: u64, until: u64) -> Option<u64> {
    let frames =
        speech::frame(&mut crate::support::random::Random::new(3), 0x81, b"").repeat(FLOOD_BYTES / 6);
    for time in (from..until).step_by(10) {
        bench.driver.time = time;
        if bench.unread(client) < FLOOD_BYTES {
            bench.send_later(client, &frames);
        }
        bench.driver.network.borrow_mut().transfer();
        bench.driver.pass();
        if bench.is_dropped(client) {
            return Some(time);
        }
    }
    None
}

/// Who is ready to be read has one look for a deadline that has passed, and no more.
#[test]
fn a_reader_that_stalls_does_not_evade_its_deadline_by_flooding() {
    let mut bench = Bench::new();
    let client = bench.open("/");
    let talker = bench.open("/");
    bench.hear(client);
    bench.set_window(client, 100);
    bench.driver.advance_to(3_000);
    for _ in 0..3 {
        bench.send_frame(talker, 0x82, &[7; 101]);
    }
    bench.hear(talker);
    let dropped_at = flood(&mut bench, client, 3_000, 30_000);
    let heard = bench.hear(talker);
    assert!(
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::Message(message) if message.payload.ends_with(b"Logout"))),
        "the room was told: {heard:?}"
    );
    // Ten seconds without a byte, five for the end of a close; a look in between.
    assert!(dropped_at.is_some_and(|time| (18_000..18_100).contains(&time)), "{dropped_at:?}");
}

#[test]
fn who_was_told_to_go_does_not_stay_by_flooding() {
    for (first, payload) in [(0x81, b"quit".as_slice()), (0x83, b"")] {
        let mut bench = Bench::new();
        let client = bench.open("/");
        bench.driver.advance_to(3_000);
        bench.send_frame(client, first, payload);
        bench.hear(client);
        let dropped_at = flood(&mut bench, client, 3_000, 30_000);
        assert!(dropped_at.is_some_and(|time| time < 8_100), "{first:#x}: {dropped_at:?}");
    }
}

/// Whoever reads at least 4 KiB a second stays, however coarse the steps are in which its kernel says so.
#[test]
fn slow_readers_stay_at_every_rate_and_in_every_step() {
    for rate in [4, 10, 25, 50] {
        for step_seconds in [1, 8, 29] {
            let step = rate * 1024 * step_seconds;
            let mut limits = LIMITS;
            limits.slow = SlowPolicy::Skip;
            let mut bench = Bench::with_limits(limits);
            let client = bench.open("/broadcast");
            let talker = bench.open("/broadcast?self=0");
            // Its kernel takes a step at once, and then nothing until all of it is read.
            bench.set_window(client, step);
            for second in 1..=120_u64 {
                bench.driver.advance_to(second * 1_000);
                for _ in 0..70 {
                    bench.send_frame(talker, 0x82, &[7; 1_000]);
                }
                bench.hear(talker);
                if second % step_seconds as u64 == 0 {
                    let heard = bench.hear(client);
                    assert!(
                        !heard.iter().any(|heard| matches!(heard, Heard::Closed(..))),
                        "{rate} KiB/s in steps of {step_seconds} s: closed after {second} s"
                    );
                    if heard.iter().any(|heard| matches!(heard, Heard::Ping(_))) {
                        bench.send_frame(client, 0x8A, b"");
                    }
                }
            }
            assert!(!bench.is_dropped(client), "{rate} KiB/s in steps of {step_seconds} s");
        }
    }
}

/// A reader that takes nothing at all is cut, and not only after all these minutes.
#[test]
fn who_takes_nothing_is_cut_when_a_slow_reader_would_have_read_it() {
    // What its kernel takes, and for how many seconds it may take no more.
    for (window, seconds) in [(2_000, 10), (65_536, 26), (500_000, 40)] {
        let mut limits = LIMITS;
        limits.slow = SlowPolicy::Skip;
        let mut bench = Bench::with_limits(limits);
        let client = bench.open("/broadcast");
        let talker = bench.open("/broadcast?self=0");
        bench.set_window(client, window);
        bench.driver.advance_to(1_000);
        for _ in 0..1_000 {
            bench.send_frame(talker, 0x82, &[7; 1_000]);
        }
        bench.hear(talker);
        bench.driver.advance_to(1_000 + seconds * 1_000 - 1);
        assert_eq!(bench.driver.server.client_count(), 2, "{window} bytes");
        bench.driver.advance_to(1_000 + (seconds + 5) * 1_000);
        assert!(bench.is_dropped(client), "{window} bytes: cut, and five seconds for the close");
    }
}

/// A few bytes that inflate to 64 KiB: a client that sends many of them in one packet is read on within that very
/// packet, and others in between.
#[test]
fn a_packet_of_expensive_messages_is_dealt_with_over_many_turns() {
    const MESSAGES: usize = 90;
    let mut bench = Bench::new();
    let client = bench.connect();
    bench.send(client, &speech::offer("/echo", Some(None)));
    assert_eq!(bench.hear(client), [Heard::Opened]);
    let other = bench.open("/echo");
    let mut random = crate::support::random::Random::new(3);
    let bomb = speech::frame(&mut random, 0xC2, &speech::deflated(&vec![0; 64 * 1024]));
    assert!(bomb.len() * MESSAGES < 128 * 1024, "{} bytes", bomb.len());
    // Harmless ones first: the server reads from this client in large pieces now.
    for _ in 0..4 {
        bench.send_frame(client, 0x82, &vec![7; 60_000]);
        assert_eq!(bench.hear(client).len(), 1);
    }
    bench.send_later(client, &bomb.repeat(MESSAGES));
    bench.driver.network.borrow_mut().transfer();
    let mut turns = 0;
    let mut answered_after = None;
    while bench.driver.pass() {
        turns += 1;
        if turns == 3 {
            bench.send_frame_later(other, 0x82, b"me too");
            bench.driver.network.borrow_mut().transfer();
        }
        if answered_after.is_none() && bench.waiting(other) > 0 {
            answered_after = Some(turns);
        }
        assert!(bench.driver.server.unfinished_bytes() <= 64 * 1024, "what is read ahead is bounded");
    }
    assert_eq!(bench.hear(client).len(), MESSAGES, "each is answered once");
    // 64 KiB inflated and deflated cost half a millisecond; a turn is four of them.
    assert!(turns >= MESSAGES / 8, "{turns} turns");
    assert_eq!(answered_after, Some(4), "in the turn in which it is read");
    assert_eq!(bench.driver.server.unfinished_bytes(), 0);
}

/// Unfinished messages of all together have a budget: who waits with the most for longest goes first.
#[test]
fn unfinished_messages_together_have_a_budget() {
    const MESSAGE: usize = 16 << 20;
    let mut limits = LIMITS;
    limits.connection.websocket.message_bytes_max = MESSAGE;
    let mut bench = Bench::with_limits(limits);
    let mut random = crate::support::random::Random::new(3);
    let whole = speech::frame(&mut random, 0x82, &vec![7; MESSAGE]);
    let clients: Vec<usize> = (0..6).map(|_| bench.open("/echo")).collect();
    let honest = bench.open("/echo");
    for (number, &client) in clients.iter().enumerate() {
        bench.driver.advance_to(1_000 + number as u64);
        bench.send(client, &whole[..whole.len() - 1 - number]);
        assert!(bench.driver.server.unfinished_bytes() <= 4 * MESSAGE, "it is dealt with at once");
    }
    bench.send_frame(honest, 0x82, b"mine is whole");
    assert_eq!(bench.hear(honest).len(), 1);
    let closed: Vec<bool> = clients
        .iter()
        .map(|&client| matches!(bench.hear(client).last(), Some(Heard::Closed(Some(1013), _))))
        .collect();
    assert!(closed[0] && !closed[5], "the oldest, not the newest: {closed:?}");
}
