//! Attacks by frames.

use std::thread;
use std::time::Duration;

use crate::Scenario;
use crate::support::cost::{forget_peak, stats};
use crate::support::frames::deflated;
use crate::support::http::Request;
use crate::support::limits;
use crate::support::raw::{self, BINARY, BINARY_START, CONTINUATION, PATIENCE, PING, PONG, RawClient, frame};
use crate::support::server::{Wsloop, wait_until};

const MESSAGE_BYTES_MAX: u64 = limits::MESSAGE_BYTES_MAX as u64;

/// The first bytes of a frame, up to its payload, and how RFC 6455 §5 wants them to be taken: the close
/// code, or nothing as long as the payload may come.
fn header(opcode: u8, is_masked: bool, form: u8, length: u64) -> (Vec<u8>, Option<u16>) {
    let mask_bit = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode, mask_bit | form];
    match form {
        126 => bytes.extend_from_slice(&length.to_be_bytes()[6..]),
        127 => bytes.extend_from_slice(&length.to_be_bytes()),
        _ => {}
    }
    if is_masked {
        bytes.extend_from_slice(&[1, 2, 3, 4]);
    }
    let is_minimal = match form {
        126 => length > 125,
        127 => length > 0xFFFF && length < 1 << 63,
        _ => true,
    };
    let is_control = opcode >= 8;
    let wanted = match opcode {
        3..=7 | 11.. => Some(1002),
        // The first frame continues nothing.
        0 => Some(1002),
        _ if !is_masked || !is_minimal || is_control && form > 125 => Some(1002),
        _ if !is_control && length > MESSAGE_BYTES_MAX => Some(1009),
        _ => None,
    };
    (bytes, wanted)
}

#[test]
fn every_length_with_every_opcode_masked_or_not() {
    let lengths = [0, 1, 125].map(|length: u8| (length, u64::from(length)));
    let medium = [0, 125, 126, 127, 0x7FFF, 0x8000, 0xFFFF].map(|length| (126, length));
    let long = [
        0,
        125,
        0xFFFF,
        MESSAGE_BYTES_MAX,
        MESSAGE_BYTES_MAX + 1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ]
    .map(|length| (127, length));
    Scenario::start(&[]).attack(|server| {
        for opcode in 0..16 {
            for (form, length) in lengths.into_iter().chain(medium).chain(long) {
                for is_masked in [true, false] {
                    expect_header(server, opcode, is_masked, form, length);
                }
            }
        }
    });
}

fn expect_header(server: &Wsloop, opcode: u8, is_masked: bool, form: u8, length: u64) {
    let (bytes, wanted) = header(opcode, is_masked, form, length);
    let mut client = RawClient::upgrade(server, "/echo");
    client.send(&bytes);
    let context = format!("{bytes:x?}");
    if let Some(code) = wanted {
        // Refused without a byte of its payload.
        let (found, reason) = client.read_frame().close();
        assert_eq!(found, code, "{context}: {reason}");
        return;
    }
    // Masked with 1, 2, 3, 4, these are zeros; as a close frame they are no valid code.
    let plain = vec![0; usize::try_from(length).expect("at most the limit")];
    let payload: Vec<u8> =
        plain.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    client.send(&payload);
    match opcode {
        1 | 2 => client.expect_frame(0x80 | opcode, &plain),
        9 => client.expect_frame(PONG, &plain),
        10 => client.expect_quiet("a pong is not answered"),
        _ => {
            let code = client.read_frame().close().0;
            assert_eq!(code, if length == 0 { 1005 } else { 1002 }, "{context}");
        }
    }
}

#[test]
fn ten_thousand_claims_take_no_memory() {
    const CLIENTS: usize = 10_000;
    const SLACK_KIB: u64 = 512;
    Scenario::start(&[]).attack(|server| {
        let mut clients: Vec<RawClient> = (0..CLIENTS).map(|_| RawClient::upgrade(server, "/echo")).collect();
        let idle = server.memory_kib("VmRSS");
        let mut claim = raw::header(BINARY, MESSAGE_BYTES_MAX);
        claim.push(0);
        clients.iter_mut().for_each(|client| client.send(&claim));
        clients.iter_mut().rev().take(1).for_each(|client| client.send(&[0]));
        RawClient::upgrade(server, "/echo").expect_quiet("all claims were read");
        let grown = server.memory_kib("VmRSS").saturating_sub(idle);
        // A byte of each was received; the state of an unfinished message is some 300 bytes.
        let allowed = CLIENTS as u64 * 400 / 1024 + SLACK_KIB;
        assert!(grown < allowed, "{grown} KiB more for {CLIENTS} bytes, {allowed} are allowed");
    });
}

#[test]
fn floods_of_fragments() {
    const GROWTH_KIB_MAX: u64 = 1024;
    Scenario::start(&[]).attack(|server| {
        for (payload, count) in [(b"x".as_slice(), 131_072), (b"", 1_000_000)] {
            let before = server.memory_kib("VmRSS");
            let mut client = RawClient::upgrade(server, "/echo");
            client.send(&frame(BINARY_START, payload));
            let some = frame(CONTINUATION, payload).repeat(1000);
            // The server ends it at its limit; what is sent later meets a closed socket.
            let sent = (0..count / 1000).take_while(|_| client.try_send(&some).is_ok()).count();
            let (code, reason) = client.read_frame().close();
            assert_eq!(code, 1008, "after {sent} thousand fragments: {reason}");
            assert!(reason.contains("--max-fragments"), "{reason:?} says which limit it is");
            let grown = server.memory_kib("VmRSS").saturating_sub(before);
            assert!(grown < GROWTH_KIB_MAX, "{grown} KiB for fragments of {} bytes", payload.len());
        }
    });
}

#[test]
fn a_reader_that_stops_has_one_pong_waiting() {
    const MESSAGES: usize = 800;
    const SIZE: usize = 60_000;
    // Together more than the kernel keeps for one connection, less than the queue.
    Scenario::start(&["--max-queue", "128M"]).attack(|server| {
        let mut stopped = RawClient::upgrade(server, "/broadcast/flood");
        let mut sender = RawClient::upgrade(server, "/broadcast/flood?self=0");
        for number in 0..MESSAGES {
            sender.send(&frame(BINARY, &vec![number.to_le_bytes()[0]; SIZE]));
        }
        sender.expect_quiet("all is said");
        wait_until_nothing_moves(server);
        for number in 0..150 {
            stopped.send(&frame(PING, format!("{number}").as_bytes()));
        }
        sender.expect_quiet("the pings are read");
        // It wakes up: every message is there, and of the pings the newest is answered.
        let (mut messages, mut pongs) = (0, Vec::new());
        while messages < MESSAGES || pongs.last().map(String::as_str) != Some("149") {
            let frame = stopped.next_frame(PATIENCE).expect("it is not cut");
            if frame.first == PONG {
                pongs.push(frame.text().to_owned());
                continue;
            }
            assert_eq!(frame.first, BINARY);
            assert!(frame.payload == vec![messages.to_le_bytes()[0]; SIZE], "message {messages}");
            messages += 1;
        }
        assert!(pongs.len() < 10, "pongs for {pongs:?}: the newest alone is due");
    });
}

/// The kernels on both sides are full.
fn wait_until_nothing_moves(server: &Wsloop) {
    let mut before = None;
    wait_until("nothing moves", PATIENCE, || {
        thread::sleep(Duration::from_millis(300));
        let now = stats(server)["queued_bytes"].as_u64();
        std::mem::replace(&mut before, now) == now
    });
}

#[test]
fn a_flood_of_pings_is_cut_and_its_pongs_do_not_pile_up() {
    Scenario::start(&[]).attack(|server| {
        let before = server.memory_kib("VmRSS");
        let mut client = RawClient::upgrade(server, "/echo");
        let pings = frame(PING, &[7; 125]).repeat(1000);
        while client.try_send(&pings).is_ok() && !client.has_received_close() {}
        let grown = server.memory_kib("VmRSS").saturating_sub(before);
        assert!(grown < 1024, "{grown} KiB for pings");
    });
}

#[test]
fn a_bomb_takes_no_memory() {
    const GROWTH_KIB_MAX: u64 = 1024;
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 66_000, "64 MiB in {} bytes", bomb.len());
    for options in [&[][..], &["--max-message", "16K"]] {
        Scenario::start(options).attack(|server| {
            let request =
                Request::upgrade(server, "/echo").add("Sec-WebSocket-Extensions", "permessage-deflate");
            let (first, second) = bomb.split_at(bomb.len() / 2);
            for frames in [
                frame(0xC2, &bomb),
                [frame(0x42, first), frame(0x80, second)].concat(),
                frame(0xC1, &bomb[..bomb.len() / 4]),
            ] {
                forget_peak(server);
                let before = server.memory_kib("VmHWM");
                let mut client = RawClient::connect(server);
                client.send(&request.bytes());
                client.expect_upgraded();
                // It may be refused by its length alone.
                let _ = client.try_send(&frames);
                assert_eq!(client.read_frame().close().0, 1009);
                let grown = server.memory_kib("VmHWM").saturating_sub(before);
                assert!(grown < GROWTH_KIB_MAX, "{grown} KiB at the peak, with {options:?}");
            }
        });
    }
}
