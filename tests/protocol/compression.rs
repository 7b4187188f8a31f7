//! RFC 7692: compressed messages, in both directions.

use super::{HANDSHAKE, PIECES, Peer, close_payload, frame, split_frames};
use crate::support::frames::{deflated, next_frame};

/// What a frame of the server's says, inflated on its own if it came compressed: no context is kept.
fn message(bytes: &[u8]) -> Vec<u8> {
    let (frame, length) = next_frame(bytes).expect("a whole frame");
    assert_eq!(length, bytes.len(), "and nothing behind it");
    frame.message()
}

/// How a conversation with compression ends.
enum Outcome<'a> {
    /// It goes on, after these messages came back.
    Echoes(&'a [&'a [u8]]),
    /// With this code.
    Fails(u16),
}

fn check(what: &str, offer: &str, sent: &[Vec<u8>], wanted: &Outcome<'_>) {
    let extension = format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n");
    let all = [HANDSHAKE.replace("\r\n\r\n", &extension).into_bytes(), sent.concat()].concat();
    for size in PIECES {
        let mut peer = Peer::connect();
        all.chunks(size).for_each(|piece| peer.send(piece));
        let (frames, close) = split_frames(&peer.frames());
        match wanted {
            Outcome::Echoes(messages) => {
                assert_eq!(close, None, "{what}, in pieces of {size}");
                let came: Vec<Vec<u8>> = frames.iter().map(|frame| message(frame)).collect();
                assert!(came == *messages, "{what}, in pieces of {size}: {} messages", came.len());
            }
            Outcome::Fails(code) => {
                let (found, reason) = close_payload(close.as_deref(), what);
                assert_eq!(found, *code, "{what}, in pieces of {size}: {reason}");
            }
        }
    }
}

const DEFLATE: &str = "permessage-deflate; client_max_window_bits";

#[test]
fn messages_in_one_frame_and_in_many() {
    let long = "so long that it is worth it, 你好. ".repeat(40).into_bytes();
    let (packed, short) = (deflated(&long), deflated(b"short"));
    let cut = packed.len() / 3;
    check(
        "§7.2.2",
        DEFLATE,
        &[
            frame(0xC1, &packed),
            frame(0xC2, &short),
            frame(0x81, b"plain"),
            // §6.1: RSV1 stands on the first fragment only; control frames are never compressed.
            frame(0x41, &packed[..cut]),
            frame(0x00, b""),
            frame(0x00, &packed[cut..cut + 1]),
            frame(0x80, &packed[cut + 1..]),
            frame(0xC1, &deflated(b"")),
            frame(0xC2, b"\x00"),
        ],
        &Outcome::Echoes(&[&long, b"short", b"plain", &long, b"", b""]),
    );
}

#[test]
fn the_examples_of_the_rfc() {
    check(
        "§7.2.3",
        DEFLATE,
        &[
            frame(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
            frame(0x41, b"\xf2\x48\xcd"),
            frame(0x80, b"\xc9\xc9\x07\x00"),
            frame(0xC1, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
            frame(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
            frame(0xC1, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        ],
        &Outcome::Echoes(&[b"Hello".as_slice(); 5]),
    );
}

#[test]
fn where_rsv1_must_not_be() {
    let packed = deflated(b"Hello");
    for (what, offer, sent) in [
        ("§6, nothing was agreed on", "foo", vec![frame(0xC1, &packed)]),
        (
            "§6, the offer was declined",
            "permessage-deflate; server_max_window_bits=7",
            vec![frame(0xC1, &packed)],
        ),
        ("§6.1, a continuation", DEFLATE, vec![frame(0x41, &packed), frame(0xC0, b"")]),
        ("§6.1, a continuation of a plain message", DEFLATE, vec![frame(0x01, b"x"), frame(0xC0, &packed)]),
        ("§6.1, a ping", DEFLATE, vec![frame(0xC9, &packed)]),
        ("§6.1, a close frame", DEFLATE, vec![frame(0xC8, b"")]),
        ("RSV2", DEFLATE, vec![frame(0xA1, b"x")]),
        ("RSV1 and RSV3", DEFLATE, vec![frame(0xD1, &packed)]),
    ] {
        check(what, offer, &sent, &Outcome::Fails(1002));
    }
}

#[test]
fn what_cannot_be_inflated_or_is_not_text_or_is_too_big() {
    for (what, sent, code) in [
        ("§7.2.2, no deflate stream", vec![frame(0xC1, b"\xff\xff\xff")], 1007),
        ("§7.2.2, in fragments", vec![frame(0x42, b"\xff"), frame(0x80, b"\xff\xff")], 1007),
        ("RFC 6455 §8.1, text", vec![frame(0xC1, &deflated(b"caf\xe9"))], 1007),
        ("RFC 6455 §8.1, in fragments", vec![frame(0x41, &deflated(b"\xe4\xbd")), frame(0x80, b"")], 1007),
        ("one byte over the limit", vec![frame(0xC2, &deflated(&[7; 65_537]))], 1009),
        ("a bomb", vec![frame(0xC2, &deflated(&vec![0; 8 << 20]))], 1009),
        ("a bomb in fragments", vec![frame(0x42, b""), frame(0x80, &deflated(&vec![0; 8 << 20]))], 1009),
    ] {
        check(what, DEFLATE, &sent, &Outcome::Fails(code));
    }
    let most = vec![7; 65_536];
    check("the limit itself", DEFLATE, &[frame(0xC2, &deflated(&most))], &Outcome::Echoes(&[&most]));
}

/// uWebSockets once wrote behind the end of a compressed frame: the next one must be untouched.
#[test]
fn two_compressed_frames_in_one_read_at_every_split() {
    let request = HANDSHAKE.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {DEFLATE}\r\n\r\n"));
    let texts = [b"the first of two, the first of two".as_slice(), b"the second of two, the second of two"];
    let both = texts.map(|text| frame(0xC1, &deflated(text))).concat();
    for split in 0..=both.len() {
        let mut peer = Peer::connect();
        peer.send(request.as_bytes());
        for piece in [&both[..split], &both[split..]].into_iter().filter(|piece| !piece.is_empty()) {
            peer.send(piece);
        }
        let (frames, _) = split_frames(&peer.frames());
        let came: Vec<Vec<u8>> = frames.iter().map(|frame| message(frame)).collect();
        assert_eq!(came, texts, "split at {split}");
    }
}

#[test]
fn what_is_worth_it_comes_back_compressed_within_the_window() {
    let long = b"again and ".repeat(200);
    for (offer, first) in [
        ("permessage-deflate", 0xC2),
        ("permessage-deflate; server_max_window_bits=9", 0xC2),
        // 2,000 bytes do not fit into a window of 256.
        ("permessage-deflate; server_max_window_bits=8", 0x82),
        ("foo", 0x82),
    ] {
        let request =
            HANDSHAKE.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"));
        let mut peer = Peer::connect();
        peer.send(request.as_bytes());
        peer.send(&frame(0x82, &long));
        peer.send(&frame(0x82, b"short"));
        let (frames, _) = split_frames(&peer.frames());
        assert_eq!([frames[0][0], frames[1][0]], [first, 0x82], "{offer}");
        assert_eq!(message(&frames[0]), long, "{offer}");
    }
}
