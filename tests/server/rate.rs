//! `--rate`: who speaks too fast is heard no faster, loses nothing, and is closed if it never stops.

use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::raw::{PATIENCE, RawClient, frame};
use crate::support::server::Wsloop;

const TEXT: u8 = 0x81;

#[test]
fn who_speaks_too_fast_is_held_back_and_loses_nothing() {
    // Three and a half seconds' worth, in which the other one must have been heard.
    const MESSAGES: u32 = 100;
    let server = Wsloop::start(&["--rate", "20:10"]);
    let mut listener = Client::connect(&server, "/broadcast/t");
    let mut fast = RawClient::upgrade(&server, "/broadcast/t?self=0");
    let all: Vec<u8> = (0..MESSAGES).flat_map(|number| frame(TEXT, number.to_string().as_bytes())).collect();
    let mut polite = Client::connect(&server, "/broadcast/t?self=0");
    let started = Instant::now();
    fast.send(&all);
    polite.send_text("polite");
    let (mut next, mut has_heard_polite) = (0, None);
    while next < MESSAGES {
        match listener.read_text().as_str() {
            "polite" => has_heard_polite = Some(next),
            text => {
                assert_eq!(text, next.to_string());
                next += 1;
            }
        }
    }
    // Ten at once, up to 18 that one read of 128 bytes brought with them, and the others at 20 a second.
    let least = Duration::from_millis(u64::from(MESSAGES - 10 - 18) * 50);
    assert!(
        started.elapsed() >= least,
        "{:?} for {MESSAGES} messages, {least:?} at least",
        started.elapsed()
    );
    assert!(has_heard_polite.is_some_and(|before| before < MESSAGES), "the others do not wait for it");
    fast.expect_frame(TEXT, b"polite");
    fast.expect_quiet("it is there still");
}

#[test]
fn who_never_stops_is_closed() {
    let server = Wsloop::start(&["--rate", "10:10", "--ping-interval", "0"]);
    let mut listener = Client::connect(&server, "/broadcast/t");
    let mut flood = RawClient::upgrade(&server, "/broadcast/t?self=0");
    let some = frame(TEXT, b"again and again").repeat(50);
    let started = Instant::now();
    let mut count = 0;
    while !flood.has_received() {
        assert!(started.elapsed() < PATIENCE * 3, "it goes on for ever");
        // The server reads what it wants to; the rest waits in the sockets.
        if count < 20 {
            flood.send(&some);
            count += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, reason) = flood.read_frame().close();
    assert_eq!(code, 1008);
    assert!(reason.contains("--rate"), "{reason:?}");
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(9), "{took:?}");
    // What was heard before is about what the rate allows in that time, the burst, and one read with it.
    let mut heard = 0;
    while listener.read_within(Duration::from_millis(300)).is_some() {
        heard += 1;
    }
    assert!((60..=60 + 10 * took.as_secs()).contains(&heard), "{heard} messages heard in {took:?}");
}
