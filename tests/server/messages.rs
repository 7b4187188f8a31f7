//! `/echo` and `/broadcast`: bytes in are bytes out.

use crate::support::client::Client;
use crate::support::raw::{
    BINARY, BINARY_START, CONTINUATION, CONTINUATION_END, PING, PONG, RawClient, TEXT, TEXT_START, frame,
};
use crate::support::server::Wsloop;

/// Lengths on both sides of each boundary of the length forms; the last is the default limit.
const LENGTHS: [usize; 10] = [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536];

#[test]
fn echo_gives_back_both_kinds_in_every_length_form() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    for length in LENGTHS {
        let letters: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        client.send(&frame(TEXT, &letters));
        // The reader of frames refuses a length form that is longer than needed.
        client.expect_frame(TEXT, &letters);
        let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
        client.send(&frame(BINARY, &bytes));
        client.expect_frame(BINARY, &bytes);
    }
}

#[test]
fn echo_is_not_changed_by_what_the_chat_understands() {
    let server = Wsloop::start(&[]);
    let mut client = Client::connect(&server, "/echo");
    for text in ["", "quit", "你好", "\u{feff}\0\u{10ffff}"] {
        client.send_text(text);
        assert_eq!(client.read_text(), text);
    }
}

#[test]
fn fragments_come_back_as_one_message_with_a_ping_answered_in_between() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    // Both cuts are within a character: UTF-8 is checked across fragments.
    let text = "你好，世界".as_bytes();
    client.send(&frame(TEXT_START, &text[..1]));
    client.send(&frame(PING, b"between"));
    client.expect_frame(PONG, b"between");
    client.send(&frame(CONTINUATION, &text[1..8]));
    client.send(&frame(CONTINUATION, b""));
    client.expect_quiet("not whole yet");
    client.send(&frame(CONTINUATION_END, &text[8..]));
    client.expect_frame(TEXT, text);

    client.send(&frame(BINARY_START, b""));
    client.send(&frame(CONTINUATION_END, b""));
    client.expect_frame(BINARY, b"");
}

#[test]
fn a_message_of_many_fragments_is_one_message() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let mut bytes = frame(BINARY_START, b"0");
    for _ in 1..9_999 {
        bytes.extend(frame(CONTINUATION, b"-"));
    }
    bytes.extend(frame(CONTINUATION_END, b"9"));
    client.send(&bytes);
    let got = client.read_frame();
    assert_eq!((got.first, got.payload.len()), (BINARY, 10_000));
}

#[test]
fn messages_of_one_segment_come_back_one_by_one() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    let texts: Vec<String> = (0..500).map(|number| format!("message {number}")).collect();
    let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect();
    client.send(&bytes);
    for text in &texts {
        client.expect_frame(TEXT, text.as_bytes());
    }
}

#[test]
fn broadcast_reaches_everybody_on_the_topic_and_nobody_else() {
    let server = Wsloop::start(&[]);
    // Whoever has the answer to the upgrade is on the topic: no wait before the first message.
    let mut plain = Client::connect(&server, "/broadcast");
    let mut blue = Client::connect(&server, "/broadcast/%E8%93%9D");
    let mut red = Client::connect(&server, "/broadcast/red");
    let mut red_too = Client::connect(&server, "/broadcast/red");
    let mut room = Client::join(&server, "/red");
    red.send_text("seen by red");
    for client in [&mut red, &mut red_too] {
        assert_eq!(client.read_text(), "seen by red");
    }
    red_too.send_binary(&[0, 255, 128]);
    for client in [&mut red, &mut red_too] {
        assert_eq!(client.read_binary(), [0, 255, 128]);
    }
    for client in [&mut plain, &mut blue] {
        client.send_text("mark");
        assert_eq!(client.read_text(), "mark");
    }
    room.send_text("mark");
    assert!(room.read_text().ends_with(" say: mark"));
}

#[test]
fn broadcast_adds_and_drops_nothing() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::connect(&server, "/broadcast");
    let mut sender = Client::connect(&server, "/broadcast");
    for length in LENGTHS {
        let text = "x".repeat(length);
        sender.send_text(&text);
        sender.send_binary(text.as_bytes());
        for client in [&mut listener, &mut sender] {
            assert_eq!(client.read_text(), text);
            assert_eq!(client.read_binary(), text.as_bytes());
        }
    }
    sender.send_text("quit");
    assert_eq!(listener.read_text(), "quit");
    assert_eq!(sender.read_text(), "quit");
}

#[test]
fn without_self_a_sender_gets_the_others_messages_only() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::connect(&server, "/broadcast/t");
    let mut sender = RawClient::upgrade(&server, "/broadcast/t?self=0");
    // Own frames before, between and after the others', also several in one turn.
    for round in 0..20 {
        let mut bytes = Vec::new();
        for part in 0..3 {
            bytes.extend(frame(TEXT, format!("own {round} {part}").as_bytes()));
        }
        sender.send(&bytes);
        let text = format!("other {round}");
        listener.send_text(&text);
        sender.expect_frame(TEXT, text.as_bytes());
        let mut got: Vec<String> = (0..4).map(|_| listener.read_text()).collect();
        assert!(got.contains(&text));
        got.retain(|line| *line != text);
        let own: Vec<String> = (0..3).map(|part| format!("own {round} {part}")).collect();
        assert_eq!(got, own, "in the order they were sent");
    }
    sender.expect_quiet("nothing of its own");
}

#[test]
fn one_message_is_one_message_however_many_a_turn() {
    let server = Wsloop::start(&[]);
    let mut listener = RawClient::upgrade(&server, "/broadcast");
    let mut sender = RawClient::upgrade(&server, "/broadcast");
    let mut bytes = Vec::new();
    for number in 0u16..1000 {
        let first = if number % 2 == 0 { TEXT } else { BINARY };
        let payload = format!("{number}").repeat(usize::from(number % 40));
        bytes.extend(frame(first, payload.as_bytes()));
    }
    sender.send(&bytes);
    for number in 0u16..1000 {
        let first = if number % 2 == 0 { TEXT } else { BINARY };
        let payload = format!("{number}").repeat(usize::from(number % 40));
        listener.expect_frame(first, payload.as_bytes());
        sender.expect_frame(first, payload.as_bytes());
    }
}
