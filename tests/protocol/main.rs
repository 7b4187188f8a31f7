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
mod reader;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod text;

use peer::{Peer, close_payload, split_frames};
use support::frames::frame;
use support::handshake::{HANDSHAKE, SAMPLE_ACCEPT};

/// The sizes of the pieces that the bytes arrive in: around the first read of 128 bytes too.
const PIECES: [usize; 8] = [1, 2, 3, 7, 127, 128, 129, usize::MAX];

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
