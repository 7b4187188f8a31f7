//! RFC 6455 and RFC 7692, section by section: bytes in, bytes out, close code. Every row runs through a whole
//! `Server` with one client in memory, its bytes arriving in pieces of 1, 2, 3, 7, 127, 128, 129 and
//! all at once; the outcome must be the same.

mod closing;
mod compression;
mod fairness;
mod fragments;
mod frames;
mod handshake;
mod peer;
mod places;
mod refusals;
mod text;

use peer::{Peer, close_payload, split_frames};

/// The sizes of the pieces that the bytes arrive in: around the first read of 128 bytes too.
const PIECES: [usize; 8] = [1, 2, 3, 7, 127, 128, 129, usize::MAX];

/// The handshake of RFC 6455 §1.3, for `/echo`.
const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Its accept key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a conversation stands after the last byte of a row, which is the one that decides.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It goes on.
    Open,
    /// The server has closed with this code and a reason of its own.
    Fails(u16),
    /// The server has answered with a close frame of exactly this payload.
    Closed(&'static [u8]),
}

/// One row: what a client sends after its handshake on `/echo`, which frames come back before the
/// end, and the end itself.
struct Row {
    section: &'static str,
    what: String,
    sent: Vec<u8>,
    wanted: Vec<u8>,
    end: End,
}

fn row(section: &'static str, what: &str, sent: &[Vec<u8>], wanted: &[u8], end: End) -> Row {
    Row { section, what: what.to_owned(), sent: sent.concat(), wanted: wanted.to_vec(), end }
}

/// Runs a row in every size of pieces; where it ends the conversation, also with further frames
/// behind, which must be ignored (RFC 6455 §1.4).
fn check(row: &Row) {
    let ignored = [frame(0x81, b"ignored"), frame(0x89, b"ignored"), frame(0x88, b"\x03\xe8")].concat();
    for size in PIECES {
        check_in_pieces(row, size, b"");
        if !matches!(row.end, End::Open) {
            check_in_pieces(row, size, &ignored);
        }
    }
}

fn check_in_pieces(row: &Row, size: usize, behind: &[u8]) {
    let context = format!("{} {}, in pieces of {size}", row.section, row.what);
    let mut peer = Peer::connect();
    let all = [HANDSHAKE.as_bytes(), &row.sent, behind].concat();
    let deciding = all.len() - behind.len();
    for (index, piece) in all.chunks(size).enumerate() {
        let has_ended = !matches!(row.end, End::Open) && index * size >= deciding;
        assert_eq!(peer.has_ended(), has_ended, "{context}: ended before byte {}", index * size);
        peer.send(piece);
    }
    let frames = peer.frames();
    let (spoken, close) = split_frames(&frames);
    let (wanted, _) = split_frames(&row.wanted);
    assert_eq!(spoken, wanted, "{context}");
    match row.end {
        End::Open => assert!(close.is_none() && !peer.has_ended(), "{context}: {close:x?}"),
        End::Fails(code) => {
            let (found, reason) = close_payload(close.as_deref(), &context);
            assert_eq!(found, code, "{context}: {reason}");
            assert!(!reason.is_empty(), "{context}: the reason helps who debugs the client");
        }
        End::Closed(payload) => assert_eq!(close.as_deref(), Some(payload), "{context}"),
    }
    // RFC 6455 §7.1.1: after both close frames the server closes at once. A peer that broke a rule
    // has sent none, and may still be sending: the socket is closed after its end.
    let may_be_gone = matches!(row.end, End::Closed(_));
    assert!(!peer.is_gone() || may_be_gone, "{context}: the peer has not hung up yet");
    assert!(peer.is_gone() || !may_be_gone || !behind.is_empty(), "{context}: both have closed");
    peer.end();
    assert!(peer.is_gone(), "{context}: a peer that has hung up costs nothing");
}

/// A client's frame: its first byte, then the shortest length, the mask of RFC 6455 §5.7, and the
/// masked payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).expect("at most 125")),
        length @ 126..=0xFFFF => {
            bytes.push(0xFE);
            bytes.extend_from_slice(&u16::try_from(length).expect("two bytes").to_be_bytes());
        }
        length => {
            bytes.push(0xFF);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    bytes
}
