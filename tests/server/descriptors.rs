//! A server that has run out of descriptors: it says so, does not spin, and goes on when there are some.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::http::Request;
use crate::support::raw::{PATIENCE, RawClient};
use crate::support::server::{Wsloop, wait_until};

/// Lowers the limit under the feet of a server that counted on more.
fn limit_open_files(server: &Wsloop, count: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--nofile={count}:{count}")])
        .status()
        .expect("util-linux is on every machine");
    assert!(status.success());
}

fn cpu_ticks(server: &Wsloop) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_ascii_whitespace().collect();
    [11, 12].iter().map(|&index: &usize| fields[index].parse::<u64>().expect("a count")).sum()
}

#[test]
fn without_descriptors_clients_are_told_and_served_again_when_there_are_some() {
    const DIALERS: usize = 400;
    const OPEN: usize = 100;
    let mut server = Wsloop::start(&["--handshake-timeout", "60s"]);
    limit_open_files(&server, server.open_files() + OPEN);
    let mut clients: Vec<RawClient> = (0..DIALERS).map(|_| RawClient::connect(&server)).collect();
    let request = Request::upgrade(&server, "/echo").bytes();
    let mut served = Vec::new();
    let mut refused = 0;
    for mut client in clients.drain(..) {
        // Who was turned away may find the socket closed while it still asks.
        if client.try_send(&request).is_err() {
            refused += 1;
            continue;
        }
        let response = client.read_to_head_or_end();
        if response.starts_with(b"HTTP/1.1 101 ") {
            served.push(client);
        } else {
            assert!(response.is_empty() || response.starts_with(b"HTTP/1.1 503 "), "{response:x?}");
            refused += 1;
        }
    }
    assert_eq!(served.len() + refused, DIALERS);
    // The limit is one of numbers, and one below it may be free.
    assert!(served.len().abs_diff(OPEN) <= 1, "{} served", served.len());
    // It waits for the next client, and does nothing meanwhile.
    let mut late = RawClient::connect(&server);
    assert!(late.read_to_head_or_end().starts_with(b"HTTP/1.1 503 "), "told before it has asked");
    // Time that it had a processor, not time that passed: others may have it meanwhile.
    let (before, started) = (cpu_ticks(&server), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let ticks = cpu_ticks(&server) - before;
    let milliseconds = u128::from(ticks) * 10;
    assert!(milliseconds * 20 <= started.elapsed().as_millis(), "{milliseconds} ms: at most a twentieth");
    let log = server.wait_for_log(PATIENCE, |log| log.contains("cannot take a client"));
    assert_eq!(log.matches("cannot take a client").count(), 1, "{log}");
    assert!(log.contains("Too many open files"), "{log}");

    // One goes, another comes.
    drop(served.pop());
    wait_until("a client is served again", PATIENCE, || {
        let mut client = RawClient::connect(&server);
        let is_served =
            client.try_send(&request).is_ok() && client.read_to_head_or_end().starts_with(b"HTTP/1.1 101 ");
        if is_served {
            served.push(client);
        }
        is_served
    });
    served.iter_mut().for_each(|client| client.expect_quiet("who was served is served on"));
    server.signal("TERM");
    drop(served);
    assert_eq!(server.wait_exit(Duration::from_secs(20)), Some(0));
}
