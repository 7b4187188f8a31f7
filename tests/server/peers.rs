//! Peers that vanish, reset, never read or never answer, and what the others notice: nothing.

use std::thread;
use std::time::Duration;

use super::stats::stats;
use crate::support::client::{Client, without_time};
use crate::support::http::{Request, get};
use crate::support::raw::{self, BINARY, CLOSE, PATIENCE, RawClient, TEXT, frame};
use crate::support::server::{Wsloop, wait_until};

#[test]
fn resets_are_noticed_by_nobody_else() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/?name=witness");
    let files_before = server.open_files();
    for round in 0..30 {
        let resetting = RawClient::upgrade(&server, "/?name=reset");
        assert_eq!(witness.read_text(), "Welcome reset !");
        // Its welcome waits unread.
        resetting.reset();
        assert_eq!(without_time(&witness.read_text()), "reset say: reset Logout");
        let text = format!("round {round}");
        witness.send_text(&text);
        assert_eq!(without_time(&witness.read_text()), format!("witness say: {text}"));
    }
    wait_until("the descriptors are free again", PATIENCE, || server.open_files() <= files_before);
}

#[test]
fn a_peer_may_vanish_at_any_moment() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/quiet");
    let files_before = server.open_files();
    let request = Request::upgrade(&server, "/noisy").bytes();
    let message = frame(TEXT, b"hello");
    let whole = [&request[..], &message, &message].concat();
    for length in (0..=whole.len()).step_by(7) {
        let mut client = RawClient::connect(&server);
        client.send(&whole[..length]);
        drop(client);
        let mut half_open = RawClient::connect(&server);
        half_open.send(&whole[..length]);
        half_open.end_sending();
        // An answer, refusal or nothing; but an end.
        half_open.read_to_end();
        witness.send_text("mark");
        assert!(witness.read_text().ends_with(" say: mark"));
    }
    wait_until("the descriptors are free again", PATIENCE, || server.open_files() <= files_before);
}

#[test]
fn who_never_reads_is_cut_with_how_far_behind_and_a_witness_gets_everything() {
    // Together far more than the kernel keeps for one connection.
    const MESSAGES: usize = 1500;
    const SIZE: usize = 16 * 1024;

    let server = Wsloop::start(&["--max-message", "16K", "--max-queue", "64K"]);
    let mut sleeper = RawClient::upgrade(&server, "/broadcast");
    let mut witness = Client::connect(&server, "/broadcast");
    let mut sender = Client::connect(&server, "/broadcast?self=0");
    for number in 0..MESSAGES {
        sender.send_binary(&numbered(number, SIZE));
        // One at a time: the witness is never behind, only the sleeper.
        assert_eq!(number_of(&witness.read_binary()), number);
        // From being cut it has five seconds to wake up.
        if number % 20 == 0 && stats(&server)["closed"]["1013"] == 1 {
            break;
        }
    }
    // Then it wakes up: a contiguous run of messages, and the reason for the end.
    let mut count = 0;
    let (code, reason) = loop {
        let got = sleeper.read_frame();
        if got.first == CLOSE {
            break got.close();
        }
        assert_eq!((got.first, number_of(&got.payload)), (BINARY, count));
        count += 1;
    };
    sleeper.expect_end();
    assert!(count > 0 && count < MESSAGES, "{count} messages arrived");
    assert_eq!(code, 1013, "{reason}");
    let numbers: Vec<u64> =
        reason.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    assert!(
        numbers.len() >= 2 && reason.contains("message") && reason.contains("byte"),
        "{reason:?} says how far behind in messages and bytes"
    );
    assert!(
        numbers.iter().any(|&bytes| (48 * 1024..=96 * 1024).contains(&bytes)),
        "{reason:?}: the queue of 64K was full"
    );
    assert!(
        numbers.iter().any(|&messages| (3..=6).contains(&messages)),
        "{reason:?}: that is about four messages"
    );
    server.wait_for_log(PATIENCE, |log| log.contains("1013"));
}

#[test]
fn a_chat_room_does_not_wait_for_who_never_reads() {
    let server = Wsloop::start(&["--max-queue", "128K"]);
    let _sleepers: Vec<RawClient> = (0..3).map(|_| RawClient::join(&server, "/")).collect();
    let mut witness = Client::join(&server, "/?name=witness");
    let text = "x".repeat(60_000);
    wait_until("three are cut", PATIENCE, || {
        for _ in 0..20 {
            witness.send_text(&text);
            assert!(witness.read_said().ends_with(&text));
        }
        stats(&server)["closed"]["1013"] == 3
    });
    // On the way, at their queue's limit and not at a time limit.
    let dropped = stats(&server)["dropped"].clone();
    assert!(dropped["queue_full"].as_u64() > Some(0) && dropped["stalled"] == 0, "{dropped}");
}

#[test]
fn a_slow_reader_that_keeps_up_gets_everything() {
    const MESSAGES: usize = 400;
    const SIZE: usize = 32 * 1024;

    let server = Wsloop::start(&["--max-queue", "16M"]);
    let mut slow = RawClient::upgrade(&server, "/broadcast");
    let mut sender = Client::connect(&server, "/broadcast?self=0");
    for number in 0..MESSAGES {
        sender.send_binary(&numbered(number, SIZE));
    }
    // Partial writes on the server's side all the way: no byte is lost or doubled at a seam.
    for number in 0..MESSAGES {
        slow.expect_frame(BINARY, &numbered(number, SIZE));
        if number % 40 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_claimed_length_takes_no_memory() {
    const CLIENTS: usize = 100;

    let server = Wsloop::start(&["--max-message", "4M", "--max-queue", "8M"]);
    let mut claiming: Vec<RawClient> = (0..CLIENTS).map(|_| RawClient::upgrade(&server, "/echo")).collect();
    let before = server.memory_kib("VmRSS");
    let mapped_before = server.memory_kib("VmSize");
    for client in &mut claiming {
        let mut bytes = raw::header(BINARY, 4 * 1024 * 1024);
        bytes.push(0);
        client.send(&bytes);
    }
    let mut fence = RawClient::upgrade(&server, "/echo");
    fence.expect_quiet("all claims were read");
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB resident for {CLIENTS} bytes received");
    let mapped = server.memory_kib("VmSize").saturating_sub(mapped_before);
    assert!(mapped < 64 * 1024, "{mapped} KiB reserved for {CLIENTS} bytes received");
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    // Leaves room for the other tests of this process.
    let count = open_files_max().saturating_sub(400).min(1000);
    assert!(count >= 500, "raise the limit of open files: ulimit -n 4096");
    let server = Wsloop::start(&[]);
    let mut clients: Vec<RawClient> = (0..count).map(|_| RawClient::connect(&server)).collect();
    let request = Request::upgrade(&server, "/echo").bytes();
    for client in &mut clients {
        client.send(&request);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect_upgraded();
        client.send(&frame(TEXT, format!("client {number}").as_bytes()));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect_frame(TEXT, format!("client {number}").as_bytes());
    }
    assert_eq!(get(&server, "/healthz").status, 200);
}

/// A message of that size which begins with its number and has it in every later byte too.
fn numbered(number: usize, size: usize) -> Vec<u8> {
    let mut bytes = vec![number.to_le_bytes()[0]; size];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number_of(message: &[u8]) -> usize {
    usize::from_be_bytes(message[..8].try_into().expect("eight bytes"))
}

/// The soft limit of open files of this process, which the server inherits.
fn open_files_max() -> usize {
    std::fs::read_to_string("/proc/self/limits")
        .expect("Linux tells the limits")
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(usize::MAX)
}
