//! From bytes to messages and control frames, whatever the chunks they come in.
//!
//! A frame that lies whole in the read buffer is unmasked where it lies and handed out from there:
//! no copy, no allocation. Everything else goes through [`Partial`], which exists only meanwhile.

use super::close::{CloseFrame, ProtocolError};
use super::deflate::Inflater;
use super::frame::{FrameHeader, HEADER_BYTES_MAX, Opcode};
use super::mask;
use super::message::{Assembly, Kind};
use crate::clock::Time;

/// What one message may cost.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimits {
    /// The payloads of all its frames, in bytes.
    pub message_bytes_max: usize,
    /// Its frames, empty ones included.
    pub fragments_max: u32,
}

/// What a peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole message; text is UTF-8.
    Message {
        /// Text or binary.
        kind: Kind,
        /// The unmasked payload.
        payload: &'a [u8],
    },
    /// Asks for a pong with the same payload.
    Ping(&'a [u8]),
    /// Answers a ping, or comes unasked (RFC 6455 §5.5.3).
    Pong(&'a [u8]),
    /// The peer begins or answers the closing handshake.
    Close(CloseFrame),
}

/// Decodes one peer's frames. Eight bytes while nothing is unfinished.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// What a chunk has left unfinished: a header, a payload, a fragmented message.
#[derive(Debug)]
struct Partial {
    since: Time,
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    frame: Option<Frame>,
    control: Vec<u8>,
    message: Option<Assembly>,
    /// The item in here was handed out; it goes with the next call.
    handed_out: Option<Opcode>,
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: FrameHeader,
    received: u64,
}

/// What became of some input in [`Decoder::advance`].
enum Step {
    NeedMore,
    FrameDone,
    Finished(Opcode),
}

impl Decoder {
    /// Takes the next item off the front of `input`; `None` once all input is used. Call it until
    /// then: what was handed out is kept until the next call. With an `inflater` messages may be
    /// compressed.
    ///
    /// # Errors
    /// At the first byte that breaks a rule. The decoder must not be used afterwards.
    pub fn decode<'item, 'input: 'item>(
        &'item mut self,
        now: Time,
        limits: &MessageLimits,
        inflater: Option<&'item mut Inflater>,
        input: &mut &'input mut [u8],
    ) -> Result<Option<Item<'item>>, ProtocolError> {
        self.drop_handed_out();
        let compression = inflater.is_some();
        loop {
            if self.partial.is_none() {
                if let Some((header, payload)) = take_whole_frame(limits, compression, input)? {
                    match header.opcode {
                        Opcode::Data(kind) if header.is_final => {
                            let inflater = inflater.filter(|_| header.is_compressed);
                            return message_item(limits, kind, payload, inflater).map(Some);
                        }
                        Opcode::Data(_) => self.begin_message(now, header, payload)?,
                        opcode => return control_item(opcode, payload).map(Some),
                    }
                    continue;
                }
                if input.is_empty() {
                    return Ok(None);
                }
                self.partial = Some(Box::new(Partial::new(now)));
            }
            let partial = self.partial.as_mut().expect("made above, or there before");
            match partial.advance(limits, compression, input)? {
                Step::NeedMore => return Ok(None),
                Step::FrameDone => {}
                Step::Finished(opcode) => {
                    partial.handed_out = Some(opcode);
                    break;
                }
            }
        }
        self.partial.as_ref().expect("an item was just finished in it").item(limits, inflater).map(Some)
    }

    /// Since when something unfinished waits for its rest, and how much of a message is there.
    pub fn unfinished(&self) -> Option<(Time, usize)> {
        let partial = self.partial.as_ref()?;
        Some((partial.since, partial.message.as_ref().map_or(0, |message| message.bytes.len())))
    }

    /// Memory of what is unfinished.
    pub fn unfinished_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, |message| message.bytes.capacity());
            size_of::<Partial>() + partial.control.capacity() + message
        })
    }

    /// Keeps a first fragment that lies whole in the input.
    fn begin_message(&mut self, now: Time, header: FrameHeader, payload: &[u8]) -> Result<(), ProtocolError> {
        let mut partial = Partial::new(now);
        let message = partial.begin_frame(header).expect("a data frame begins a message");
        message.append(payload)?;
        self.partial = Some(Box::new(partial));
        Ok(())
    }

    fn drop_handed_out(&mut self) {
        let Some(partial) = &mut self.partial else { return };
        match partial.handed_out.take() {
            None => {}
            Some(opcode) if opcode.is_control() && partial.message.is_some() => partial.control.clear(),
            Some(_) => self.partial = None,
        }
    }
}

impl Partial {
    fn new(since: Time) -> Partial {
        Partial {
            since,
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            control: Vec::new(),
            message: None,
            handed_out: None,
        }
    }

    /// Uses some input: the rest of a header, then what there is of its payload.
    fn advance(
        &mut self,
        limits: &MessageLimits,
        compression: bool,
        input: &mut &mut [u8],
    ) -> Result<Step, ProtocolError> {
        let mut frame = match self.frame {
            Some(frame) => frame,
            None => match self.take_header(compression, input)? {
                None => return Ok(Step::NeedMore),
                Some(header) => {
                    check_header(limits, header, self.message.as_ref())?;
                    self.begin_frame(header);
                    Frame { header, received: 0 }
                }
            },
        };
        let missing = frame.header.payload_bytes - frame.received;
        let length = usize::try_from(missing).unwrap_or(usize::MAX).min(input.len());
        let (piece, rest) = std::mem::take(input).split_at_mut(length);
        *input = rest;
        mask::apply(frame.header.mask, frame.received, piece);
        let opcode = frame.header.opcode;
        if opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else {
            self.message.as_mut().expect("begun with the frame").append(piece)?;
        }
        frame.received += length as u64;
        if frame.received < frame.header.payload_bytes {
            self.frame = Some(frame);
            return Ok(Step::NeedMore);
        }
        self.frame = None;
        if opcode.is_control() {
            Ok(Step::Finished(opcode))
        } else if frame.header.is_final {
            self.message.as_ref().expect("begun with the frame").finish()?;
            Ok(Step::Finished(opcode))
        } else {
            Ok(Step::FrameDone)
        }
    }

    /// Collects a header byte by byte, so that a wrong one fails where it stands.
    fn take_header(
        &mut self,
        compression: bool,
        input: &mut &mut [u8],
    ) -> Result<Option<FrameHeader>, ProtocolError> {
        while let Some((&mut byte, rest)) = std::mem::take(input).split_first_mut() {
            *input = rest;
            self.header[self.header_bytes] = byte;
            self.header_bytes += 1;
            if let Some((header, length)) =
                FrameHeader::parse(&self.header[..self.header_bytes], compression)?
            {
                assert_eq!(length, self.header_bytes, "a header ends at its last byte");
                self.header_bytes = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Counts a frame to its message; the message, unless it is a control frame.
    fn begin_frame(&mut self, header: FrameHeader) -> Option<&mut Assembly> {
        if let Opcode::Data(kind) = header.opcode {
            self.message = Some(Assembly::new(kind, header.is_compressed));
        }
        let message = self.message.as_mut().filter(|_| !header.opcode.is_control())?;
        message.frames += 1;
        Some(message)
    }

    /// The item that `handed_out` names.
    fn item<'a>(
        &'a self,
        limits: &MessageLimits,
        inflater: Option<&'a mut Inflater>,
    ) -> Result<Item<'a>, ProtocolError> {
        match (self.handed_out, &self.message) {
            (Some(opcode), _) if opcode.is_control() => control_item(opcode, &self.control),
            (Some(_), Some(message)) if message.is_compressed => {
                message_item(limits, message.kind, &message.bytes, inflater)
            }
            // Its text was checked as it came.
            (Some(_), Some(message)) => Ok(Item::Message { kind: message.kind, payload: &message.bytes }),
            _ => unreachable!("a data frame has begun a message"),
        }
    }
}

/// A message whose payload lies in one piece, inflated if there is an inflater.
fn message_item<'a>(
    limits: &MessageLimits,
    kind: Kind,
    payload: &'a [u8],
    inflater: Option<&'a mut Inflater>,
) -> Result<Item<'a>, ProtocolError> {
    let payload = match inflater {
        Some(inflater) => inflater.inflate(payload, limits.message_bytes_max)?,
        None => payload,
    };
    if kind == Kind::Text && simdutf8::basic::from_utf8(payload).is_err() {
        return Err(ProtocolError::InvalidUtf8);
    }
    Ok(Item::Message { kind, payload })
}

/// Splits a frame off the front of the input and unmasks it, if all of it is there.
fn take_whole_frame<'a>(
    limits: &MessageLimits,
    compression: bool,
    input: &mut &'a mut [u8],
) -> Result<Option<(FrameHeader, &'a [u8])>, ProtocolError> {
    let Some((header, header_bytes)) = FrameHeader::parse(input, compression)? else { return Ok(None) };
    check_header(limits, header, None)?;
    let there = (input.len() - header_bytes) as u64;
    if header.payload_bytes > there {
        return Ok(None);
    }
    let payload_bytes = usize::try_from(header.payload_bytes).expect("no longer than the input");
    let (frame, rest) = std::mem::take(input).split_at_mut(header_bytes + payload_bytes);
    *input = rest;
    let payload = &mut frame[header_bytes..];
    mask::apply(header.mask, 0, payload);
    Ok(Some((header, payload)))
}

/// The rules that need to know what came before, and the limits: by what the header declares,
/// before a byte of payload is kept.
fn check_header(
    limits: &MessageLimits,
    header: FrameHeader,
    message: Option<&Assembly>,
) -> Result<(), ProtocolError> {
    match (header.opcode, message) {
        (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
        (Opcode::Data(_), Some(_)) => return Err(ProtocolError::ExpectedContinuation),
        (opcode, _) if opcode.is_control() => return Ok(()),
        _ => {}
    }
    let (frames, bytes) = message.map_or((0, 0), |message| (message.frames, message.bytes.len()));
    if frames >= limits.fragments_max {
        return Err(ProtocolError::TooManyFragments);
    }
    // Deflate makes what it cannot shorten a little longer; what comes out is measured again.
    let is_compressed = header.is_compressed || message.is_some_and(|message| message.is_compressed);
    let slack = if is_compressed { limits.message_bytes_max / 8 + 64 } else { 0 };
    let allowed = (limits.message_bytes_max + slack).saturating_sub(bytes) as u64;
    if header.payload_bytes > allowed { Err(ProtocolError::MessageTooBig) } else { Ok(()) }
}

fn control_item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, ProtocolError> {
    match opcode {
        Opcode::Ping => Ok(Item::Ping(payload)),
        Opcode::Pong => Ok(Item::Pong(payload)),
        Opcode::Close => CloseFrame::parse(payload).map(Item::Close),
        Opcode::Continuation | Opcode::Data(_) => unreachable!("only control frames come here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::CloseCode;

    const LIMITS: MessageLimits = MessageLimits { message_bytes_max: 300, fragments_max: 4 };
    const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

    /// A client's frame from its first byte and payload.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            short @ 0..=125 => out.push(0x80 | u8::try_from(short).expect("at most 125")),
            medium => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(medium).expect("short tests").to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    /// All items as text, then the error if there is one.
    fn decode(bytes: &[u8], chunk: usize) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in bytes.to_vec().chunks_mut(chunk) {
            let mut input = piece;
            loop {
                match decoder.decode(Time::default(), &LIMITS, None, &mut input) {
                    Ok(None) => break,
                    Ok(Some(item)) => out.push(format!("{item:?}")),
                    Err(error) => {
                        out.push(format!("{error:?}"));
                        return out;
                    }
                }
            }
            assert!(input.is_empty(), "all input is used");
        }
        out
    }

    fn check(frames: &[Vec<u8>], wanted: &[&str]) {
        let bytes = frames.concat();
        for chunk in [1, 2, 3, 7, 127, 128, 129, usize::MAX] {
            assert_eq!(decode(&bytes, chunk), wanted, "in chunks of {chunk}");
        }
    }

    #[test]
    fn messages_fragments_and_control_frames_between_them() {
        check(
            &[
                frame(0x81, b"one"),
                frame(0x01, b"t"),
                frame(0x89, b"p"),
                frame(0x00, b""),
                frame(0x8A, b""),
                frame(0x80, b"wo"),
                frame(0x82, &[7; 130]),
                frame(0x88, b"\x03\xe8bye"),
            ],
            &[
                r#"Message { kind: Text, payload: [111, 110, 101] }"#,
                "Ping([112])",
                "Pong([])",
                r#"Message { kind: Text, payload: [116, 119, 111] }"#,
                &format!("Message {{ kind: Binary, payload: {:?} }}", [7; 130]),
                &format!("Close({:?})", CloseFrame::new(CloseCode::NORMAL, "bye")),
            ],
        );
    }

    #[test]
    fn sequences_that_break_a_rule() {
        for (frames, wanted) in [
            (vec![frame(0x80, b"x")], "UnexpectedContinuation"),
            (vec![frame(0x01, b"x"), frame(0x81, b"y")], "ExpectedContinuation"),
            (vec![frame(0x81, b"\xFF")], "InvalidUtf8"),
            (vec![frame(0x01, b"\xE4"), frame(0x80, b"\xBD")], "InvalidUtf8"),
            (vec![frame(0x82, &[0; 301])], "MessageTooBig"),
            (vec![frame(0x02, &[0; 200]), frame(0x80, &[0; 101])], "MessageTooBig"),
            (vec![frame(0x88, b"\x03")], "ShortClose"),
            (vec![frame(0x88, b"\x03\xee")], "BadCloseCode"),
            (
                vec![
                    frame(0x02, b""),
                    frame(0x00, b""),
                    frame(0x00, b""),
                    frame(0x00, b""),
                    frame(0x80, b""),
                ],
                "TooManyFragments",
            ),
        ] {
            check(&frames, &[wanted]);
        }
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let wanted = format!("Message {{ kind: Binary, payload: {:?} }}", [0; 300]);
        check(&[frame(0x02, &[0; 200]), frame(0x80, &[0; 100])], &[&wanted]);
        check(&[frame(0x82, &[0; 300])], &[&wanted]);
        check(
            &[frame(0x02, b""), frame(0x00, b""), frame(0x00, b""), frame(0x80, b"")],
            &["Message { kind: Binary, payload: [] }"],
        );
    }

    #[test]
    fn too_big_is_said_at_the_header_and_bad_text_at_its_byte() {
        let mut decoder = Decoder::default();
        let mut header = frame(0x82, &[0; 301])[..8].to_vec();
        let result = decoder.decode(Time::default(), &LIMITS, None, &mut header.as_mut_slice());
        assert_eq!(result, Err(ProtocolError::MessageTooBig));

        let mut decoder = Decoder::default();
        let mut start = frame(0x81, b"ab\xFFcdef")[..9].to_vec();
        let result = decoder.decode(Time::default(), &LIMITS, None, &mut start.as_mut_slice());
        assert_eq!(result, Err(ProtocolError::InvalidUtf8));
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_unfinished() {
        let mut decoder = Decoder::default();
        let mut bytes = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
        let mut input = bytes.as_mut_slice();
        let start = Time::from_millis(7);
        assert!(matches!(decoder.decode(start, &LIMITS, None, &mut input), Ok(Some(_))));
        assert!(matches!(decoder.decode(start, &LIMITS, None, &mut input), Ok(None)));
        assert_eq!((decoder.unfinished(), decoder.unfinished_bytes()), (None, 0));
        let mut bytes = [0x81];
        assert!(matches!(decoder.decode(start, &LIMITS, None, &mut bytes.as_mut_slice()), Ok(None)));
        assert_eq!(decoder.unfinished().map(|(since, _)| since), Some(start));
        assert_eq!(size_of::<Decoder>(), 8);
    }
}
