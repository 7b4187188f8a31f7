//! Attacks by work that is made, not read: small requests with large answers, small messages that inflate.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alone;
use crate::support::attacker::{Attacker, Manner, fill_history};
use crate::support::cost::{MEMORY_KIB_MAX, Meter, TRIES, are_of_time, limit_address_space};
use crate::support::frames::compressed;
use crate::support::http::Request;
use crate::support::limits::MESSAGE_BYTES_MAX;
use crate::support::raw::{BINARY, PATIENCE, RawClient, TEXT, frame};
use crate::support::server::Wsloop;
use crate::support::witness::Watch;

/// A machine with so little is found.
const ADDRESS_SPACE: u64 = 4 << 30;

/// With its header 24 bytes.
const HISTORY: &[u8] = br#"{"type":"history"}"#;

/// Takes six bytes for one in JSON.
const CONTROL: u8 = 1;

/// Runs an attack on a server with default options: nobody may wait long for it, no turn may be long, memory stays
/// within the formula, and the server lives.
fn check(prepare: impl Fn(&Wsloop), attack: impl Fn(&Wsloop)) {
    let _alone = alone();
    let mut problems = String::new();
    for _ in 0..TRIES {
        problems = check_once(&prepare, &attack);
        if problems.is_empty() || !are_of_time(&problems) {
            break;
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

fn check_once(prepare: impl Fn(&Wsloop), attack: impl Fn(&Wsloop)) -> String {
    let server = Wsloop::start(&[]);
    limit_address_space(&server, ADDRESS_SPACE);
    prepare(&server);
    let watch = Watch::start(&server);
    watch.observe(Duration::from_millis(200));
    let meter = Meter::start(&server);
    attack(&server);
    assert!(server.is_running(), "it has ended");
    let watched = watch.take();
    let cost = meter.read(&server);
    let problems = [watched.under_a_flood(&cost), cost.problems(MEMORY_KIB_MAX)].concat();
    watch.finish();
    problems.join("; ")
}

fn fill(server: &Wsloop) {
    fill_history(server, "/full", &[CONTROL; MESSAGE_BYTES_MAX], 4);
}

const MEMBER: Manner<'_> =
    Manner { path: "/full", protocol: Some("wsloop.json"), is_compressed: false, reads: true };

/// A message that makes the next read as large as any: reads grow from 128 bytes eightfold to 64 KiB. So what follows
/// it is read at once.
fn primer() -> Vec<u8> {
    let padding = "x".repeat(9_300);
    frame(TEXT, format!(r#"{{"type":"ping","padding":"{padding}"}}"#).as_bytes())
}

/// Sends them in one packet, and goes on for as long as it takes to answer them, or to give up.
fn requests_in_one_packet(count: usize) {
    for reads in [true, false] {
        let attack = |server: &Wsloop| {
            let mut attacker = Attacker::connect(server, Manner { reads, ..MEMBER });
            // It may be cut before it has said all.
            let _ = attacker.send(&[primer(), frame(TEXT, HISTORY).repeat(count)].concat(), PATIENCE);
            if reads {
                attacker.settle(Duration::from_secs(3));
            } else {
                std::thread::sleep(Duration::from_secs(2));
            }
        };
        check(fill, attack);
    }
}

#[test]
fn six_hundred_requests_for_history_in_one_packet() {
    requests_in_one_packet(600);
}

#[test]
fn as_many_requests_for_history_as_fit_in_64_kib() {
    requests_in_one_packet(2_700);
}

/// Sends so many messages every 50 ms, if the server takes them, for three seconds.
fn stream(attacker: &mut Attacker, message: &[u8], count: usize) {
    const PAUSE: Duration = Duration::from_millis(50);
    let some = message.repeat(count);
    let started = Instant::now();
    for number in 1..=60 {
        if attacker.send(&some, Duration::from_secs(3)).is_err() || started.elapsed() > Duration::from_secs(4)
        {
            return;
        }
        std::thread::sleep((PAUSE * number).saturating_sub(started.elapsed()));
    }
}

#[test]
fn a_small_stream_of_requests_for_history_compressed() {
    // 13 KB a second.
    check(fill, |server| {
        let mut attacker = Attacker::connect(server, Manner { is_compressed: true, ..MEMBER });
        stream(&mut attacker, &frame(TEXT, HISTORY), 27);
    });
}

#[test]
fn a_small_stream_of_messages_that_inflate_to_the_limit() {
    let bomb = compressed(BINARY, &[0; MESSAGE_BYTES_MAX]);
    assert!(bomb.len() < 100, "{} bytes", bomb.len());
    for (per_second, reads) in [(15_000, true), (15_000, false)] {
        // 1.3 MB a second.
        check(
            |_| (),
            |server| {
                let manner = Manner { is_compressed: true, reads, ..Manner::at("/echo") };
                let mut attacker = Attacker::connect(server, manner);
                stream(&mut attacker, &bomb, per_second / 20);
            },
        );
    }
}

/// One member reads through a window of 4 KiB.
fn narrow(server: &Wsloop, path: &str) -> RawClient {
    let mut client = RawClient::connect_narrow(server, 4096);
    client.send(&Request::upgrade(server, path).add("Sec-WebSocket-Protocol", "wsloop.json").bytes());
    client.expect_upgraded();
    client
}

/// Reads events up to one of this type; a close on the way is a panic.
fn read_type(client: &mut RawClient, kind: &str) -> Value {
    loop {
        let heard = client.read_frame();
        assert_eq!(heard.first, TEXT, "{:?}", heard.close());
        let event: Value = serde_json::from_str(heard.text()).expect("JSON");
        if event["type"] == kind {
            return event;
        }
    }
}

/// A message that is permitted, in a room whose queues are permitted, reaches a member however its form spells it.
#[test]
fn a_permitted_message_fits_a_permitted_queue() {
    let _alone = alone();
    let server = Wsloop::start(&["--max-queue", "128K"]);
    let text = String::from_utf8(vec![CONTROL; MESSAGE_BYTES_MAX]).expect("ASCII");
    let mut member = narrow(&server, "/tea?name=narrow");
    let welcome = read_type(&mut member, "welcome");
    let mut speaker = RawClient::join(&server, "/tea?name=speaker");
    speaker.send(&frame(TEXT, text.as_bytes()));
    assert_eq!(read_type(&mut member, "say")["text"], text, "384 KiB as JSON");
    for _ in 0..2 {
        speaker.send(&frame(TEXT, text.as_bytes()));
        assert_eq!(read_type(&mut member, "say")["text"], text);
    }
    member.send(&frame(TEXT, HISTORY));
    let history = read_type(&mut member, "history");
    let messages = history["messages"].as_array().expect("a list");
    assert_eq!(messages.last().expect("some")["text"], text);
    drop(member);
    let epoch = welcome["epoch"].as_str().expect("an epoch");
    let mut back = narrow(&server, &format!("/tea?name=narrow&since=0&epoch={epoch}"));
    let welcome = read_type(&mut back, "welcome");
    assert_eq!(welcome["recovered"], true, "{welcome}");
    for seq in 1..=3 {
        let said = read_type(&mut back, "say");
        assert_eq!((said["seq"].as_u64(), said["text"].as_str() == Some(&text)), (Some(seq), true));
    }
}
