//! What clients of the simulation send: requests and masked frames, built byte by byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::judge::Message;
use crate::support::frames::{deflated_with, masked};
use crate::support::handshake;
use crate::support::random::Random;

/// Bytes that break a rule, each behind whole messages, and the code they are closed with.
pub(crate) const VIOLATIONS: [(&[u8], u16); 10] = [
    (b"\x81\x05hello", 1002),
    (b"\xc1\x80\x01\x02\x03\x04", 1002),
    (b"\x83\x80\x01\x02\x03\x04", 1002),
    (b"\x09\x80\x01\x02\x03\x04", 1002),
    (b"\x80\x81\x01\x02\x03\x04z", 1002),
    (b"\x88\x81\x00\x00\x00\x00\x03", 1002),
    (b"\x89\xfe\x00\x7e", 1002),
    (b"\x81\xfe\x00\x05", 1002),
    (b"\x81\x83\x00\x00\x00\x00a\xffb", 1007),
    (b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\x01\x02\x03\x04", 1009),
];

const WORDS: [&str; 8] =
    ["hello", " ", "你好", "\u{e9}", "\u{1f600}", "<b>", "a longer run of words", "two\nlines"];

/// A handshake.
pub(crate) fn handshake(target: &str) -> Vec<u8> {
    handshake::handshake(target, &[]).into_bytes()
}

/// The same, offering permessage-deflate (RFC 7692).
pub(crate) fn offer(target: &str, compression: Option<Option<u8>>) -> Vec<u8> {
    let line = match compression {
        None => return handshake(target),
        Some(None) => "permessage-deflate; client_max_window_bits".to_owned(),
        Some(Some(bits)) => format!("permessage-deflate; server_max_window_bits={bits}"),
    };
    handshake::handshake(target, &[&format!("Sec-WebSocket-Extensions: {line}")]).into_bytes()
}

/// One frame, with a mask of its own.
pub(crate) fn frame(random: &mut Random, first: u8, payload: &[u8]) -> Vec<u8> {
    let [mask @ .., _, _, _, _] = random.next().to_be_bytes();
    masked(first, payload, mask)
}

/// The frames of a message: one, or fragments with pings and pongs in between. Pings are noted in
/// the order in which they are sent.
pub(crate) fn frames(
    random: &mut Random,
    message: &Message,
    compresses: bool,
    pings: &mut Vec<Vec<u8>>,
) -> Vec<u8> {
    let pieces = if random.chance(60) { 1 } else { random.between(2, 5) };
    let mut first = if message.is_text { 0x01 } else { 0x02 };
    let mut packed = message.payload.clone();
    if compresses {
        first |= 0x40;
        packed = deflated(&message.payload);
    }
    let mut rest = packed.as_slice();
    let mut bytes = Vec::new();
    for piece in 0..pieces {
        let is_last = piece + 1 == pieces;
        let length = if is_last { rest.len() } else { random.below(rest.len() + 1) };
        let (head, tail) = rest.split_at(length);
        rest = tail;
        bytes.extend(frame(random, if is_last { 0x80 | first } else { first }, head));
        first = 0x00;
        if random.chance(15) {
            let payload = format!("{:1$}", random.below(1_000_000), random.between(6, 125)).into_bytes();
            bytes.extend(frame(random, 0x89, &payload));
            pings.push(payload);
        } else if random.chance(10) {
            bytes.extend(frame(random, 0x8A, b"nobody asked"));
        }
    }
    bytes
}

pub(crate) fn deflated(payload: &[u8]) -> Vec<u8> {
    deflated_with(flate2::Compression::fast(), payload)
}

/// The `count`th message of a client: its first letters say so, the rest is chance.
pub(crate) fn message(random: &mut Random, client: usize, count: usize, typical_bytes: usize) -> Message {
    let is_text = random.chance(75);
    let wanted = match random.below(20) {
        0..14 => random.below(typical_bytes),
        14..18 => random.between(110, 140),
        _ => random.between(500, 3_000),
    };
    let mut payload = format!("c{client}m{count};").into_bytes();
    while payload.len() < wanted {
        if is_text {
            payload.extend_from_slice(random.pick(&WORDS).as_bytes());
        } else {
            payload.extend_from_slice(&random.next().to_be_bytes());
        }
    }
    Message { is_text, payload }
}

/// Whose message this is, and the how-manieth: from the bytes themselves, or behind `say: `.
pub(crate) fn author(payload: &[u8]) -> Option<(usize, usize)> {
    const SAY: &[u8] = b" say: ";
    let said = match payload.windows(SAY.len()).position(|window| window == SAY) {
        Some(place) if payload[0] != b'c' => &payload[place + SAY.len()..],
        _ => payload,
    };
    let end = said.iter().take(24).position(|byte| *byte == b';')?;
    let (client, count) = std::str::from_utf8(&said[..end]).ok()?.strip_prefix('c')?.split_once('m')?;
    Some((client.parse().ok()?, count.parse().ok()?))
}

/// The number in a line of the server's that says how many messages were skipped.
pub(crate) fn skipped(message: &Message) -> Option<usize> {
    if author(&message.payload).is_some() {
        return None;
    }
    let line =
        std::str::from_utf8(&message.payload).ok()?.strip_suffix(" skipped, since you read too slowly")?;
    let (count, rest) = line.get(9..)?.split_once(' ')?;
    assert!(["message was", "messages were"].contains(&rest), "{line:?}");
    count.parse().ok()
}

/// The same handshake, asking for the JSON form.
pub(crate) fn asking_for_json(mut request: Vec<u8>) -> Vec<u8> {
    request.truncate(request.len() - 2);
    request.extend_from_slice(b"Sec-WebSocket-Protocol: wsloop.json\r\n\r\n");
    request
}

/// What goes over the wire for a message in the JSON form; binary ones go as they are.
pub(crate) fn in_json(message: &Message) -> Message {
    if !message.is_text {
        return message.clone();
    }
    let text = std::str::from_utf8(&message.payload).expect("text");
    let payload = json!({ "type": "say", "text": text }).to_string().into_bytes();
    Message { is_text: true, payload }
}

/// The same, with a `ref`.
pub(crate) fn with_reference(message: &Message, reference: &str) -> Message {
    let mut object: Value = serde_json::from_slice(&message.payload).expect("an object");
    object["ref"] = reference.into();
    Message { is_text: true, payload: object.to_string().into_bytes() }
}

/// A `say` as the line that others hear, a `data` as the message that it was.
pub(crate) fn from_json(event: &Value) -> Message {
    if let Some(base64) = event["base64"].as_str() {
        return Message { is_text: false, payload: STANDARD.decode(base64).expect("base64") };
    }
    let part = |value: &Value| value.as_str().expect("text").to_owned();
    let (time, who, text) = (part(&event["time"]), part(&event["from"]["name"]), part(&event["text"]));
    // What breaks a line is shown in one.
    let text = text.replace('\n', " ⏎ ");
    Message { is_text: true, payload: format!("{} {who} say: {text}", &time[11..19]).into_bytes() }
}
