//! What is fuzzed, and what must hold of it. The ordinary tests replay the corpora through the same
//! functions (`tests/corpora/main.rs`).

mod broker;
mod forms;
#[path = "../../support/frames.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with all other tests")]
mod frames;
#[path = "../../support/handshake.rs"]
#[allow(dead_code, unreachable_pub, reason = "the same")]
mod handshake;
#[path = "../../support/limits.rs"]
#[allow(dead_code, unreachable_pub, reason = "the same")]
mod limits;
#[path = "../../support/memory.rs"]
#[allow(dead_code, unreachable_pub, reason = "the same")]
mod memory;
mod reference;
mod server;

use wsloop::clock::Time;
use wsloop::http::{HeadScanner, Request};
use wsloop::websocket::{self, CloseFrame, Decoder, Inflater, Item, Kind, ProtocolError};

/// A whole server and its clients.
pub(crate) fn server(bytes: &[u8]) {
    server::run(bytes);
}

/// The same, whose channels are kept by a broker that answers later.
pub(crate) fn broker(bytes: &[u8]) {
    server::run_with_broker(bytes);
}

/// What is said in a form.
pub(crate) fn forms(bytes: &[u8]) {
    forms::run(bytes);
}

const LIMITS: websocket::MessageLimits =
    websocket::MessageLimits { message_bytes_max: 1000, fragments_max: 8 };

/// A request head: its end does not depend on the pieces that it comes in, and what is found is parsed
/// or refused.
pub(crate) fn head(bytes: &[u8]) {
    let scan = |piece_bytes: usize| {
        let mut scanner = HeadScanner::default();
        let mut before = 0;
        for piece in bytes.chunks(piece_bytes) {
            match scanner.scan(piece) {
                Ok(Some(end)) => return Ok(Some(before + end)),
                Ok(None) => before += piece.len(),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(None)
    };
    let whole = scan(usize::MAX);
    for piece_bytes in [1, 2, 7, 128] {
        assert_eq!(scan(piece_bytes), whole, "in pieces of {piece_bytes}");
    }
    if let Ok(Some(end)) = whole
        && let Ok(request) = Request::parse(&bytes[..end])
    {
        assert!(request.path.starts_with('/'));
        assert!(request.host.is_some() || !request.is_http_1_1);
    }
}

/// Frames of a client: the first byte says whether compression was agreed on, the second how the rest
/// is split. Every split gives what a naive decoder makes of the whole.
pub(crate) fn frames(bytes: &[u8]) {
    let [flags, piece_bytes, rest @ ..] = bytes else { return };
    let compression = flags & 1 != 0;
    let wanted = reference::decode(rest, &LIMITS, compression);
    for piece_bytes in [usize::MAX, usize::from(*piece_bytes).max(1), 1] {
        let items = decode(rest.chunks(piece_bytes), &LIMITS, compression);
        assert_eq!(items.map_err(|(items, error)| (items, error.close_code().as_u16())), wanted);
    }
}

/// The items of pieces, shown; and before the error if there was one.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &websocket::MessageLimits,
    compression: bool,
) -> Result<Vec<String>, (Vec<String>, ProtocolError)> {
    let mut decoder = Decoder::default();
    let mut inflater = Inflater::default();
    let mut items = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let inflater = compression.then_some(&mut inflater);
            match decoder.decode(Time::default(), limits, inflater, &mut input) {
                Ok(None) => break,
                Ok(Some(item)) => items.push(format!("{item:?}")),
                Err(error) => return Err((items, error)),
            }
        }
        assert!(input.is_empty(), "all input is used");
    }
    Ok(items)
}

/// Text in fragments: each byte of the first eight is the length of a fragment, the last one is the
/// rest. It fails at its first bad byte, and nowhere else.
pub(crate) fn utf8(bytes: &[u8]) {
    let Some((lengths, text)) = bytes.split_first_chunk::<8>() else { return };
    let limits = websocket::MessageLimits { message_bytes_max: text.len(), fragments_max: 9 };
    let mut rest = text;
    let mut sent = Vec::new();
    // Where the bytes of the text stand in what is sent.
    let mut places = Vec::new();
    for (index, length) in (0_u8..).zip(lengths.iter().map(|&length| usize::from(length)).chain([text.len()]))
    {
        let (fragment, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        let first = if index == 0 { 0x01 } else { 0x00 } | if index == 8 { 0x80 } else { 0x00 };
        let frame = frames::frame(first, fragment);
        places.extend((sent.len()..sent.len() + frame.len()).skip(frame.len() - fragment.len()));
        sent.extend_from_slice(&frame);
    }
    let wanted = Item::Message { kind: Kind::Text, payload: text };
    let (valid, bad) = match std::str::from_utf8(text) {
        Ok(_) => (true, None),
        Err(error) => (false, first_bad_byte(text, error).map(|index| places[index])),
    };
    for piece_bytes in [usize::MAX, 3, 1] {
        match decode(sent.chunks(piece_bytes), &limits, false) {
            Ok(items) => assert!(valid && items == [format!("{wanted:?}")], "{items:?}"),
            Err((items, error)) => {
                assert!(!valid && items.is_empty() && error == ProtocolError::InvalidUtf8, "{error:?}");
            }
        }
    }
    let Some(bad) = bad else { return };
    assert_eq!(decode([&sent[..bad]], &limits, false), Ok(Vec::new()), "nothing is wrong so far");
    assert!(decode([&sent[..=bad]], &limits, false).is_err(), "this byte is");
}

/// The first byte after which no text can follow; none if only the end is missing.
fn first_bad_byte(text: &[u8], error: std::str::Utf8Error) -> Option<usize> {
    error.error_len()?;
    let from = error.valid_up_to();
    (from..text.len()).find(|&index| {
        let error = std::str::from_utf8(&text[from..=index]).err();
        error.is_some_and(|error| error.error_len().is_some())
    })
}

/// A compressed message: the first two bytes are the limit, the third the size of the pieces that it
/// comes in. What it inflates to, and whether that is too much, does not depend on them.
pub(crate) fn inflate(bytes: &[u8]) {
    let [high, low, piece_bytes, payload @ ..] = bytes else { return };
    let message_bytes_max = usize::from(u16::from_be_bytes([*high, *low]));
    let limits = websocket::MessageLimits { message_bytes_max, fragments_max: 8 };
    let sent = frames::frame(0xC2, payload);
    let wanted = reference::decode(&sent, &limits, true);
    for piece_bytes in [usize::MAX, usize::from(*piece_bytes).max(1)] {
        let items = decode(sent.chunks(piece_bytes), &limits, true);
        assert_eq!(items.map_err(|(items, error)| (items, error.close_code().as_u16())), wanted);
    }
}

/// The payload of a close frame.
pub(crate) fn close(payload: &[u8]) {
    let wanted = reference::close(payload);
    let parsed = CloseFrame::parse(payload);
    match &parsed {
        Ok(frame) => {
            assert_eq!(wanted, Ok(frame.code.map(|code| (code.as_u16(), frame.reason.as_str()))));
            assert_eq!(frame.payload(), payload, "it is written as it was read");
            let code = frame.code.map(|code| code.as_u16().to_be_bytes());
            assert_eq!(frame.reply().payload(), code.as_ref().map_or(&[][..], |code| code), "the answer");
        }
        Err(error) => assert_eq!(wanted, Err(error.close_code().as_u16())),
    }
    let sent = frames::frame(0x88, payload);
    let wanted = match (payload.len(), parsed) {
        (126.., _) => Err((Vec::new(), ProtocolError::LongControl)),
        (_, Ok(frame)) => Ok(vec![format!("{:?}", Item::Close(frame))]),
        (_, Err(error)) => Err((Vec::new(), error)),
    };
    for piece_bytes in [usize::MAX, 1] {
        assert_eq!(decode(sent.chunks(piece_bytes), &LIMITS, false), wanted);
    }
}

/// `Sec-WebSocket-Extensions` and `Sec-WebSocket-Protocol`, in one line each.
pub(crate) fn offers(bytes: &[u8]) {
    let middle = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (extensions, protocols) = bytes.split_at(middle);
    let head = [
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            .as_slice(),
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: ",
        extensions,
        b"\r\nSec-WebSocket-Protocol: ",
        protocols.strip_prefix(b"\n").unwrap_or(b"chat"),
        b"\r\n\r\n",
    ]
    .concat();
    let Ok(request) = Request::parse(&head) else { return };
    if let Ok(acceptance) = websocket::handshake::accept(&request, &["chat"], true) {
        let agreement = acceptance.compression();
        assert!(agreement.is_none_or(|agreement| (8..=15).contains(&agreement.window_bits())));
        let response = String::from_utf8(acceptance.response().encode(None, true)).expect("ASCII");
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        assert_eq!(response.contains("permessage-deflate"), agreement.is_some(), "{response}");
    }
}
