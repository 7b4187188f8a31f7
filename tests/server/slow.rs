//! Clients that read too slowly: closed or made to skip, as they or the server choose; what waits for all.

use serde_json::json;

use super::stats::stats;
use crate::support::client::without_time;
use crate::support::http::{Request, refusal};
use crate::support::raw::{BINARY, PATIENCE, PING, PONG, RawClient, TEXT, frame};
use crate::support::server::{Wsloop, wait_until};

/// So much of each message that some dozen fill what the kernel keeps.
const SIZE: usize = 30_000;

fn message(number: u32) -> Vec<u8> {
    let mut payload = format!("{number:08}").into_bytes();
    payload.resize(SIZE, b'x');
    payload
}

/// Says messages until the server has thrown some away for the reason, and then some more.
fn flood(server: &Wsloop, sender: &mut RawClient, first: u8, reason: &str) -> u32 {
    let mut sent = 0;
    let mut say = |count: u32| {
        for _ in 0..count {
            sender.send(&frame(first, &message(sent)));
            sent += 1;
        }
        // In a room the sender hears itself.
        sender.send(&frame(PING, b"all is said"));
        while sender.read_frame().first != PONG {}
    };
    wait_until("messages are thrown away", PATIENCE, || {
        say(20);
        stats(server)["dropped"][reason].as_u64() > Some(50)
    });
    say(3);
    sent
}

#[test]
fn who_skips_in_a_room_is_told_how_many_where_they_would_have_been() {
    let server = Wsloop::start(&["--max-queue", "1M"]);
    let mut sleeper = RawClient::join(&server, "/flood?name=sleeper&slow=skip");
    let mut sender = RawClient::join(&server, "/flood?name=sender&slow=skip");
    let sent = flood(&server, &mut sender, TEXT, "skipped");
    let dropped = stats(&server)["dropped"].clone();
    assert_eq!(dropped["queue_full"], 0);
    let (mut next, mut missing, mut notices) = (0, 0, 0);
    assert_eq!(sleeper.read_frame().text(), "Welcome sender !");
    while next < sent {
        let heard = sleeper.read_frame();
        let text = without_time(heard.text());
        if let Some(said) = text.strip_prefix("sender say: ") {
            assert_eq!(said.as_bytes(), message(next), "the next one");
            next += 1;
        } else {
            let (count, rest) = text.split_once(' ').expect("a number and words");
            assert!(rest.ends_with("skipped, since you read too slowly"), "{text:?}");
            let count: u32 = count.parse().expect("a number");
            next += count;
            missing += count;
            notices += 1;
        }
    }
    assert!(notices >= 1 && missing > 20, "{notices} notices, {missing} missing");
    sleeper.expect_quiet("nothing is behind the last");
    sender.send(&frame(TEXT, b"over"));
    assert_eq!(without_time(sleeper.read_frame().text()), "sender say: over");
    drop(sleeper);
    drop(sender);
    wait_until("all is forgotten", PATIENCE, || stats(&server)["buffered_bytes"] == 0);
}

#[test]
fn a_topic_is_skipped_without_a_word_and_counted() {
    let server = Wsloop::start(&["--max-queue", "1M", "--slow", "skip"]);
    let mut sleeper = RawClient::upgrade(&server, "/broadcast/flood");
    let mut strict = RawClient::upgrade(&server, "/broadcast/flood?slow=close");
    let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
    let sent = flood(&server, &mut sender, BINARY, "skipped");
    let mut heard = Vec::new();
    while heard.last() != Some(&(sent - 1)) {
        let frame = sleeper.read_frame();
        let number = std::str::from_utf8(&frame.payload[..8]).expect("digits").parse().expect("a number");
        assert_eq!(frame.payload, message(number), "whole, or not at all");
        heard.push(number);
    }
    assert!(heard.is_sorted_by(|one, other| one < other), "in order, none twice: {heard:?}");
    let now = stats(&server);
    let missing = u64::from(sent) - heard.len() as u64;
    assert_eq!(now["dropped"]["skipped"], missing);
    assert!(now["dropped"]["queue_full"].as_u64() > Some(0), "the other is cut: {now}");
    assert_eq!(now["closed"], json!({ "1013": 1 }));
    let reason = loop {
        let frame = strict.read_frame();
        if frame.first == 0x88 {
            break frame.close();
        }
    };
    assert!(reason.0 == 1013 && reason.1.contains(" messages, "), "{reason:?}");
    refusal(&server, &Request::upgrade(&server, "/broadcast?slow=never").bytes(), 400);
}

#[test]
fn what_waits_for_all_is_bounded_and_the_worst_pays_first() {
    let server = Wsloop::start(&["--max-queue", "4M", "--max-buffered", "8M"]);
    let mut light = RawClient::upgrade(&server, "/broadcast/light");
    let mut light_sender = RawClient::upgrade(&server, "/broadcast/light?self=0");
    let sleepers: Vec<RawClient> =
        (0..4).map(|number| RawClient::upgrade(&server, &format!("/broadcast/{number}"))).collect();
    let mut senders: Vec<RawClient> =
        (0..4).map(|number| RawClient::upgrade(&server, &format!("/broadcast/{number}?self=0"))).collect();
    let mut said = 0;
    let mut most = 0;
    wait_until("the budget is used up", PATIENCE, || {
        if said < 40 {
            light_sender.send(&frame(BINARY, &message(said)));
            said += 1;
        }
        for sender in &mut senders {
            (0..5).for_each(|number| sender.send(&frame(BINARY, &message(number))));
        }
        senders.iter_mut().for_each(|sender| sender.expect_quiet("all is said"));
        let now = stats(&server);
        most = most.max(now["buffered_bytes"].as_u64().expect("a number"));
        now["dropped"]["buffer_full"].as_u64() > Some(0)
    });
    assert!(most <= 8 << 20, "{most}");
    let now = stats(&server);
    assert_eq!(now["dropped"]["queue_full"], 0, "nobody alone was over its own limit: {now}");
    let gone = now["closed"]["1013"].as_u64().expect("some are closed");
    assert!((1..=3).contains(&gone), "no more than had to: {now}");
    (0..said).for_each(|number| light.expect_frame(BINARY, &message(number)));
    server.wait_for_log(PATIENCE, |log| log.contains("--max-buffered"));
    drop(sleepers);
}

/// The kernel keeps what is on its way to a client, and little that is not: without a bound it would be megabytes.
#[test]
fn what_the_kernel_keeps_for_a_client_is_bounded() {
    let waiting_after = |options: &[&str]| {
        let server = Wsloop::start(options);
        let _sleeper = RawClient::upgrade(&server, "/broadcast/flood");
        let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
        (0..300).for_each(|number| sender.send(&frame(BINARY, &message(number))));
        sender.expect_quiet("all is said");
        stats(&server)["queued_bytes"].as_u64().expect("a number")
    };
    let all = 300 * (SIZE as u64 + 4);
    let kept = |buffer: &str| all - waiting_after(&["--max-queue", "64M", "--send-buffer", buffer]);
    // The sleeper's own kernel takes some too, up to its receive buffer.
    for buffer in ["4K", "256K", "8M"] {
        let kept = kept(buffer);
        assert!((1..1 << 20).contains(&kept), "{kept} with {buffer}");
    }
}
