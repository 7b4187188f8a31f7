//! Naive decoders: each looks at the whole again and again, in the plainest way that RFC 6455 and
//! RFC 7692 can be written down. Slow, and written without a look at those that they judge.

use flate2::{Decompress, FlushDecompress, Status};
use wsloop::websocket::{CloseFrame, Item, Kind, MessageLimits};

/// What there is of a frame at the start of some bytes.
struct Frame {
    first: u8,
    payload: Vec<u8>,
    is_whole: bool,
    bytes: usize,
}

/// The items in the bytes, shown; and before the close code if something is wrong.
pub(super) fn decode(
    mut bytes: &[u8],
    limits: &MessageLimits,
    compression: bool,
) -> Result<Vec<String>, (Vec<String>, u16)> {
    let mut items = Vec::new();
    // The first byte of the message that is open, the payloads of its frames, and their number.
    let mut open: Option<(u8, Vec<u8>, u32)> = None;
    loop {
        let frame = match frame_at(bytes, open.as_ref(), limits, compression) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(items),
            Err(code) => return Err((items, code)),
        };
        bytes = &bytes[frame.bytes..];
        let is_control = frame.first & 0x08 != 0;
        let ended = if is_control {
            frame.is_whole.then(|| control(frame.first, &frame.payload))
        } else {
            let (_, message, frames) = open.get_or_insert((frame.first, Vec::new(), 0));
            message.extend_from_slice(&frame.payload);
            *frames += 1;
            let is_final = frame.is_whole && frame.first & 0x80 != 0;
            let (first, message, _) = open.as_ref().expect("just opened");
            let ended = message_so_far(*first, message, is_final, limits);
            if is_final {
                open = None;
            }
            ended
        };
        match ended {
            Some(Ok(item)) => items.push(item),
            Some(Err(code)) => return Err((items, code)),
            None => {}
        }
    }
}

/// RFC 6455 §5.2: the frame at the start of the bytes, or the part of it that is there.
fn frame_at(
    bytes: &[u8],
    open: Option<&(u8, Vec<u8>, u32)>,
    limits: &MessageLimits,
    compression: bool,
) -> Result<Option<Frame>, u16> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let opcode = first & 0x0F;
    let rsv1_allowed = compression && (opcode == 1 || opcode == 2);
    let reserved = if rsv1_allowed { 0x30 } else { 0x70 };
    if first & reserved != 0 || ![0, 1, 2, 8, 9, 10].contains(&opcode) || opcode > 7 && first & 0x80 == 0 {
        return Err(1002);
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 || opcode > 7 && second & 0x7F > 125 {
        return Err(1002);
    }
    let (extended, least) = match second & 0x7F {
        126 => (2, 126),
        127 => (8, 65_536),
        _ => (0, 0),
    };
    if extended == 8 && bytes.get(2).is_some_and(|&top| top > 127) {
        return Err(1002);
    }
    let Some(length) = bytes.get(2..2 + extended) else { return Ok(None) };
    let mut payload_bytes = if extended == 0 { u64::from(second & 0x7F) } else { 0 };
    for &byte in length {
        payload_bytes = payload_bytes * 256 + u64::from(byte);
    }
    if payload_bytes < least {
        return Err(1002);
    }
    let Some(mask) = bytes.get(2 + extended..6 + extended) else { return Ok(None) };
    if opcode <= 7 {
        if (opcode == 0) != open.is_some() {
            return Err(1002);
        }
        let (message_first, received, frames) =
            open.map_or((first, 0, 0), |(first, message, frames)| (*first, message.len() as u64, *frames));
        if frames == limits.fragments_max {
            return Err(1008);
        }
        // What deflate cannot shorten it makes a little longer, so that much is let in.
        let most = limits.message_bytes_max as u64;
        let most = if message_first & 0x40 == 0 { most } else { most + most / 8 + 64 };
        if received + payload_bytes > most {
            return Err(1009);
        }
    }
    let there: Vec<u8> = bytes[6 + extended..]
        .iter()
        .take(usize::try_from(payload_bytes).unwrap_or(usize::MAX))
        .zip(mask.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect();
    let is_whole = there.len() as u64 == payload_bytes;
    Ok(Some(Frame { first, is_whole, bytes: 6 + extended + there.len(), payload: there }))
}

fn control(first: u8, payload: &[u8]) -> Result<String, u16> {
    Ok(match first & 0x0F {
        9 => format!("{:?}", Item::Ping(payload)),
        10 => format!("{:?}", Item::Pong(payload)),
        _ => {
            close(payload)?;
            let frame = CloseFrame::parse(payload).map_err(|error| error.close_code().as_u16());
            format!("{:?}", Item::Close(frame.expect("nothing is wrong with it")))
        }
    })
}

/// RFC 6455 §7.4 and the IANA registry of close codes: the code and the reason.
pub(super) fn close(payload: &[u8]) -> Result<Option<(u16, &str)>, u16> {
    if payload.is_empty() {
        return Ok(None);
    }
    if payload.len() == 1 {
        return Err(1002);
    }
    let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
    let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    if !registered.contains(&code) && !(3000..5000).contains(&code) {
        return Err(1002);
    }
    let reason = std::str::from_utf8(&payload[2..]).map_err(|_| 1007_u16)?;
    Ok(Some((code, reason)))
}

/// What is known of a message of which these bytes have come: nothing yet, an item, or a close code.
fn message_so_far(
    first: u8,
    bytes: &[u8],
    is_final: bool,
    limits: &MessageLimits,
) -> Option<Result<String, u16>> {
    let is_text = first & 0x0F == 1;
    let is_compressed = first & 0x40 != 0;
    if !is_final {
        let error = std::str::from_utf8(bytes).err().filter(|_| is_text && !is_compressed);
        return error.and_then(|error| error.error_len()).map(|_| Err(1007));
    }
    let inflated = if is_compressed { inflate(bytes, limits.message_bytes_max) } else { Ok(bytes.to_vec()) };
    Some(match inflated {
        Ok(payload) if is_text && std::str::from_utf8(&payload).is_err() => Err(1007),
        Ok(payload) => {
            let kind = if is_text { Kind::Text } else { Kind::Binary };
            Ok(format!("{:?}", Item::Message { kind, payload: &payload }))
        }
        Err(code) => Err(code),
    })
}

/// RFC 7692 §7.2.2, with room for all that could come out.
fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, u16> {
    let mut message = Vec::new();
    let mut stream = Decompress::new(false);
    for part in [payload, &[0x00, 0x00, 0xFF, 0xFF]] {
        let mut rest = part;
        // A message may consist of several streams, but not of ever so many.
        for number in 1.. {
            if number > 16 {
                return Err(1007);
            }
            let mut out = Vec::with_capacity(rest.len() * 1040 + 70_000);
            let before = stream.total_in();
            let status = stream.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            rest = &rest[usize::try_from(stream.total_in() - before).expect("short")..];
            message.extend_from_slice(&out);
            if message.len() > bytes_max {
                return Err(1009);
            }
            if status.map_err(|_| 1007_u16)? == Status::StreamEnd {
                stream = Decompress::new(false);
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(message)
}
