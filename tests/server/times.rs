//! Deadlines, seen from the outside. Those without an option are waited for in one test, side by side.

use std::thread;
use std::time::{Duration, Instant};

use super::stats::stats;
use crate::support::client::{Client, without_time};
use crate::support::http::Request;
use crate::support::raw::{CONTINUATION, PATIENCE, PING, PONG, RawClient, TEXT, TEXT_START, frame};
use crate::support::server::{Wsloop, wait_until};

#[test]
fn the_time_for_the_request_is_not_extended_by_its_bytes() {
    let server = Wsloop::start(&["--handshake-timeout", "1s"]);
    let mut silent = RawClient::connect(&server);
    let mut dribbling = RawClient::connect(&server);
    let started = Instant::now();
    let head = Request::upgrade(&server, "/echo").bytes();
    let mut sent = head.iter();
    wait_until("the dribbling client is cut", PATIENCE, || {
        thread::sleep(Duration::from_millis(20));
        assert!(sent.len() > 1, "the head must not become whole");
        let byte = sent.next().expect("more than one is left");
        dribbling.try_send(&[*byte]).is_err() || started.elapsed() > Duration::from_millis(1500)
    });
    assert_eq!(dribbling.read_response(false).status, 408);
    dribbling.expect_end();
    let silent_end = silent.read_to_end();
    assert!(
        silent_end.is_empty() || silent_end.starts_with(b"HTTP/1.1 408 "),
        "{:?}",
        String::from_utf8_lossy(&silent_end)
    );
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?} is before the time");
    assert!(took < Duration::from_secs(8), "{took:?} is long after it, nearer to the ten of the default");
    // Whoever is upgraded has all the time in the world.
    let mut client = Client::connect(&server, "/echo");
    thread::sleep(Duration::from_millis(1200));
    client.send_text("still here");
    assert_eq!(client.read_text(), "still here");
}

#[test]
fn an_unanswered_ping_ends_the_connection_and_an_answered_one_keeps_it() {
    let server = Wsloop::start(&["--ping-interval", "1s", "--pong-timeout", "3s"]);
    let mut mute = RawClient::upgrade(&server, "/echo");
    let mut answering = RawClient::upgrade(&server, "/echo");
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(mute.read_frame().first, PING);
            let took = started.elapsed();
            assert!(took >= Duration::from_millis(800), "the ping came after {took:?}");
            assert!(took < Duration::from_secs(5), "the ping came after {took:?}");
            let reason = mute.expect_close(1008);
            assert!(reason.contains("ping"), "{reason:?}");
            let took = started.elapsed();
            assert!(took >= Duration::from_millis(3800), "the end came after {took:?}");
            assert!(took < Duration::from_secs(12), "the end came after {took:?}");
        });
        scope.spawn(|| {
            let mut pings = 0;
            while started.elapsed() < Duration::from_millis(5500) {
                if let Some(got) = answering.next_frame(PATIENCE) {
                    assert_eq!(got.first, PING, "{got:?}");
                    answering.send(&frame(PONG, &got.payload));
                    pings += 1;
                } else {
                    panic!("the connection ended although each ping was answered");
                }
            }
            // Each comes a second after the answer to the one before.
            assert!((2..=6).contains(&pings), "{pings} pings in five and a half seconds");
            answering.expect_quiet("still here");
        });
    });
}

#[test]
fn a_server_that_stood_still_loses_nobody() {
    let server =
        Wsloop::start(&["--handshake-timeout", "2s", "--ping-interval", "500ms", "--pong-timeout", "2s"]);
    let mut client = RawClient::upgrade(&server, "/echo");
    server.signal("STOP");
    client.send(&frame(TEXT, b"sent meanwhile"));
    let mut late = RawClient::connect(&server);
    late.send(&Request::upgrade(&server, "/echo").bytes());
    // All its deadlines pass while it stands still; what came meanwhile has to be read before they count.
    thread::sleep(Duration::from_secs(5));
    server.signal("CONT");
    late.expect_upgraded();
    let started = Instant::now();
    let mut echoed = false;
    while started.elapsed() < Duration::from_millis(1500) {
        let got = client.read_frame();
        match got.first {
            PING => client.send(&frame(PONG, &got.payload)),
            TEXT => echoed = got.text() == "sent meanwhile",
            _ => panic!("{got:?}"),
        }
    }
    assert!(echoed, "what was sent meanwhile is answered");
}

#[test]
fn the_times_without_an_option() {
    thread::scope(|scope| {
        scope.spawn(|| unanswered_close_ends_after_five_seconds(false));
        scope.spawn(|| unanswered_close_ends_after_five_seconds(true));
        scope.spawn(a_message_has_ten_seconds_to_become_whole);
        scope.spawn(a_write_without_progress_ends_after_ten_seconds_and_those_of_a_slow_reader);
    });
}

/// Whatever else the peer sends does not count as its answer and does not extend the time.
fn unanswered_close_ends_after_five_seconds(talks: bool) {
    let server = Wsloop::start(&[]);
    let sockets = server.open_sockets();
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(PING | 0x40, b""));
    assert_eq!(client.read_frame().close().0, 1002);
    let started = Instant::now();
    // The server ends its own direction at once; when it is done with the client only its sockets tell.
    wait_until("the server is done with it", PATIENCE, || {
        if talks {
            thread::sleep(Duration::from_millis(50));
            let _ = client.try_send(&frame(TEXT, b"and another thing"));
        }
        server.open_sockets() <= sockets
    });
    client.expect_end();
    assert_between(started, 4..9, "the end of who never answers a close");
}

/// Its fragments may come as steadily as they like.
fn a_message_has_ten_seconds_to_become_whole() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let started = Instant::now();
    client.send(&frame(TEXT_START, b"to be "));
    while started.elapsed() < Duration::from_secs(16) {
        if client.try_send(&frame(CONTINUATION, b"continued ")).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(250));
        if client.has_received() {
            break;
        }
    }
    let reason = client.expect_close(1008);
    assert!(reason.contains(' '), "{reason:?}");
    assert_between(started, 9..16, "the end of a message that never becomes whole");
}

/// Its queue has room for all that it does not read, so that only the time can end it: ten seconds, and thirty in
/// which a reader of 4 KiB a second reads what its kernel has taken.
fn a_write_without_progress_ends_after_ten_seconds_and_those_of_a_slow_reader() {
    let server = Wsloop::start(&["--max-queue", "64M"]);
    let _sleeper = RawClient::join(&server, "/?name=sleeper");
    let mut witness = Client::join(&server, "/?name=witness");
    let text = "x".repeat(60_000);
    // Once something waits for it, the kernel on both sides is full.
    wait_until("something waits for the sleeper", PATIENCE, || {
        witness.send_text(&text);
        assert!(witness.read_said().ends_with(&text));
        stats(&server)["laggards"][0]["queued_messages"].as_u64() >= Some(10)
    });
    let started = Instant::now();
    let farewell = witness.read_within(PATIENCE * 2).map(|message| message.to_string());
    let farewell = farewell.expect("who makes no progress is cut");
    assert_eq!(without_time(&farewell), "sleeper say: sleeper Logout");
    // The last progress was somewhat before the last message.
    assert_between(started, 37..46, "the end of who never reads");
}

fn assert_between(started: Instant, seconds: std::ops::Range<u64>, what: &str) {
    let took = started.elapsed();
    assert!(seconds.contains(&took.as_secs()), "{what} came after {took:?}");
}
