//! Work, counted in steps: twice the bytes are twice the work, whatever they are and however they
//! come. A step is an instruction of the processor, counted by valgrind, so that neither the clock nor
//! the load of the machine has a say, and libraries are counted too.
//!
//! Each subject runs in a process of its own at three sizes. What the process costs beside the subject
//! falls out of the differences.

#[path = "../protocol/peer.rs"]
#[allow(dead_code, reason = "only its connection is needed here")]
mod peer;
#[path = "../support/mod.rs"]
mod support;

use std::io::{self, Write};
use std::process::Command;

use peer::Peer;
use support::frames::{deflated, frame};
use support::handshake::handshake;
use wsloop::server::ServerLimits;
use wsloop::{connection, websocket};

/// Wide enough for all subjects.
const LIMITS: ServerLimits = ServerLimits {
    connection: connection::ConnectionLimits {
        websocket: websocket::MessageLimits { message_bytes_max: 1 << 20, fragments_max: 1 << 20 },
        ..peer::LIMITS.connection
    },
    ..peer::LIMITS
};

/// Names the subject and its size to the process that is counted.
const VARIABLE: &str = "WSLOOP_EFFORT";

/// What is sent after the handshake, if it is sent at all, and in pieces of how many bytes.
struct Traffic {
    head: String,
    frames: Vec<u8>,
    piece_bytes: usize,
}

#[test]
fn reading_a_frame_byte_by_byte() {
    check("frame by bytes", 2_000);
}

#[test]
fn reading_text_byte_by_byte() {
    check("text by bytes", 2_000);
}

#[test]
fn reading_a_frame_in_first_reads() {
    check("frame by 128 bytes", 50_000);
}

#[test]
fn fragments_of_one_byte() {
    check("fragments", 4_000);
}

#[test]
fn fragments_of_one_byte_read_byte_by_byte() {
    check("fragments by bytes", 600);
}

#[test]
fn fragments_of_no_byte() {
    check("empty fragments", 4_000);
}

#[test]
fn messages_in_one_read() {
    check("messages", 4_000);
}

#[test]
fn a_compressed_message_byte_by_byte() {
    check("compressed by bytes", 2_000);
}

#[test]
fn a_message_that_inflates() {
    check("inflated", 100_000);
}

#[test]
fn a_request_head_byte_by_byte() {
    check("head by bytes", 1_900);
}

#[test]
fn headers() {
    check("headers", 22);
}

#[test]
fn offers_of_extensions() {
    check("offers", 150);
}

#[test]
fn subprotocols() {
    check("subprotocols", 250);
}

#[test]
#[ignore = "runs under valgrind, started by the others"]
fn subject() {
    let variable = std::env::var(VARIABLE).expect("set by the test that counts");
    let (name, size) = variable.rsplit_once(' ').expect("a name and a size");
    let traffic = traffic(name, size.parse().expect("a number"));
    let mut peer = Peer::connect_with(LIMITS);
    for piece in [traffic.head.as_bytes(), &traffic.frames].concat().chunks(traffic.piece_bytes) {
        peer.send(piece);
    }
    assert!(peer.taken().starts_with(b"HTTP/1.1 101 "), "the handshake is accepted");
    assert!(!peer.has_ended(), "nothing is refused");
}

fn traffic(name: &str, size: usize) -> Traffic {
    let whole = usize::MAX;
    let with_frames =
        |frames: Vec<u8>, piece_bytes| Traffic { head: handshake("/echo", &[]), frames, piece_bytes };
    let compressing = |payload: &[u8], piece_bytes| Traffic {
        head: handshake("/echo", &["Sec-WebSocket-Extensions: permessage-deflate"]),
        frames: frame(0xC2, payload),
        piece_bytes,
    };
    let fragments = |payload: &[u8]| {
        let middle = frame(0x00, payload).repeat(size);
        [frame(0x01, b""), middle, frame(0x80, b"")].concat()
    };
    let with_head = |lines: &[&str], piece_bytes| Traffic {
        head: handshake("/echo", lines),
        frames: Vec::new(),
        piece_bytes,
    };
    match name {
        "frame by bytes" => with_frames(frame(0x82, &vec![7; size]), 1),
        "text by bytes" => with_frames(frame(0x81, "né你\u{1F600}".repeat(size / 10).as_bytes()), 1),
        "frame by 128 bytes" => with_frames(frame(0x82, &vec![7; size]), 128),
        "fragments" => with_frames(fragments(b"x"), whole),
        "fragments by bytes" => with_frames(fragments(b"x"), 1),
        "empty fragments" => with_frames(fragments(b""), whole),
        "messages" => with_frames(frame(0x81, b"hello").repeat(size), whole),
        "compressed by bytes" => compressing(&deflated(&noise(size)), 1),
        "inflated" => compressing(&deflated(&vec![7; size]), whole),
        "head by bytes" => with_head(&[&format!("A: {}", "x".repeat(size))], 1),
        "headers" => with_head(&vec!["A: b"; size], whole),
        "offers" => with_head(&[&format!("Sec-WebSocket-Extensions: {}", list("a;b=1", size))], whole),
        "subprotocols" => with_head(&[&format!("Sec-WebSocket-Protocol: {}", list("chats", size))], whole),
        _ => panic!("no subject is called {name:?}"),
    }
}

/// Twice as much on top must cost twice as many steps on top; four times, were it quadratic.
fn check(name: &str, size: usize) {
    let [one, two, four] = [size, 2 * size, 4 * size].map(|size| steps(name, size));
    let (first, second) = (two - one, four - two);
    let ratio = second as f64 / first as f64;
    let shown = format!("{name}: {first} steps for {size} more, {second} for twice as many");
    writeln!(io::stderr(), "{shown}").expect("stderr is open");
    assert!((1.6..2.4).contains(&ratio), "{shown}");
}

/// The instructions of a process that runs the subject.
fn steps(name: &str, size: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("its own path"))
        .args(["--exact", "subject", "--ignored", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, format!("{name} {size}"))
        .output()
        .expect("valgrind starts; apt-get install valgrind");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {size}:\n{}\n{log}", String::from_utf8_lossy(&output.stdout));
    let line = log.lines().find(|line| line.contains("I   refs:")).unwrap_or_else(|| panic!("{log}"));
    let number = line.rsplit_once(':').expect("found by it").1.replace(',', "");
    number.trim().parse().unwrap_or_else(|_| panic!("{line}"))
}

fn list(element: &str, count: usize) -> String {
    vec![element; count].join(", ")
}

/// Bytes that cannot be compressed.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(size).collect()
}
