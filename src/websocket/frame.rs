//! The frame header of RFC 6455 §5.2.

use super::ProtocolError;
use super::message::Kind;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
/// Two bytes, eight of length, four of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// What a frame is for (RFC 6455 §11.8). The reserved ones have no name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// A message, or the first fragment of one.
    Data(Kind),
    /// The closing handshake.
    Close,
    /// Are you there?
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Reads the low four bits of a frame's first byte.
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Data(Kind::Text),
            0x2 => Opcode::Data(Kind::Binary),
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Data(Kind::Text) => 0x1,
            Opcode::Data(Kind::Binary) => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    /// Close, ping and pong may stand between the fragments of a message (RFC 6455 §5.4).
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The header of a frame that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this frame is the last of its message.
    pub is_final: bool,
    /// Whether the message that begins here is compressed: RSV1 (RFC 7692 §6).
    pub is_compressed: bool,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The key that the payload is masked with.
    pub mask: [u8; 4],
    /// How many bytes of payload follow.
    pub payload_bytes: u64,
}

impl FrameHeader {
    /// Reads a header from the start of `bytes`, and says how long it is. `None`: more bytes are
    /// needed, and so far none is wrong.
    ///
    /// # Errors
    /// Each rule is checked as soon as its byte is there. RSV1 is allowed on the first frame of a
    /// message if compression was agreed on.
    pub fn parse(bytes: &[u8], compression: bool) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(ProtocolError::ReservedOpcode);
        let is_compressed = first & 0x40 != 0;
        let may_be_compressed = compression && matches!(opcode, Ok(Opcode::Data(_)));
        if first & 0x30 != 0 || is_compressed && !may_be_compressed {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = opcode?;
        let is_final = first & 0x80 != 0;
        if opcode.is_control() && !is_final {
            return Err(ProtocolError::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(ProtocolError::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_PAYLOAD_BYTES_MAX {
            return Err(ProtocolError::LongControl);
        }
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(extended) = bytes.get(2..2 + length_bytes) else {
            // The most significant bit must be 0, and it is the first to arrive.
            let top_bit_set = length_bytes == 8 && bytes.get(2).is_some_and(|&top| top & 0x80 != 0);
            return if top_bit_set { Err(ProtocolError::LengthTopBit) } else { Ok(None) };
        };
        let payload_bytes = match length_bytes {
            0 => u64::from(short),
            _ => extended.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        if payload_bytes >> 63 != 0 {
            return Err(ProtocolError::LengthTopBit);
        }
        // RFC 6455 §5.2: the minimal number of bytes MUST be used.
        let minimal = match length_bytes {
            0 => 0,
            2 => 126,
            _ => 0x1_0000,
        };
        if payload_bytes < minimal {
            return Err(ProtocolError::LengthNotMinimal);
        }
        let Some(mask) = bytes.get(2 + length_bytes..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(None);
        };
        Ok(Some((
            FrameHeader { is_final, is_compressed, opcode, mask: *mask, payload_bytes },
            6 + length_bytes,
        )))
    }
}

/// Appends the header of a whole, unmasked frame: what a server sends (RFC 6455 §5.1).
pub(super) fn encode_header(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    push_header(0x80 | opcode.bits(), payload_bytes, out);
}

/// Appends the header of a whole, unmasked frame with this first byte.
pub(super) fn push_header(first: u8, payload_bytes: usize, out: &mut Vec<u8>) {
    if let Ok(short @ 0..=125) = u8::try_from(payload_bytes) {
        out.extend_from_slice(&[first, short]);
    } else if let Ok(medium) = u16::try_from(payload_bytes) {
        out.extend_from_slice(&[first, 126]);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.extend_from_slice(&[first, 127]);
        out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
}

/// The length of the header of a frame of our own of so many bytes in all. It is the shortest that says the length of
/// the payload (RFC 6455 §5.2) and has no mask, so none of its bytes has to be read.
pub(super) fn own_header_bytes(frame_bytes: usize) -> usize {
    match frame_bytes {
        0..=127 => 2,
        128..=65_539 => 4,
        _ => 10,
    }
}

/// The lengths of header and payload of the frame that starts with these bytes, as a peer reads them: the judge of
/// what batches know of their frames.
#[cfg(test)]
pub(super) fn own_frame(bytes: &[u8]) -> (usize, usize) {
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte))
    };
    match bytes[1] {
        126 => (4, number(2..4)),
        127 => (10, number(2..10)),
        short => (2, usize::from(short)),
    }
}

/// The same: whether the frame that starts with this byte is a message.
#[cfg(test)]
pub(super) fn is_message(first: u8) -> bool {
    first & 0x08 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn header(start: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        FrameHeader::parse(&[start, &MASK].concat(), false)
    }

    #[test]
    fn the_three_lengths_and_their_boundaries() {
        for (start, payload_bytes) in [
            ([0x82, 0x80].as_slice(), 0),
            (&[0x82, 0xFD], 125),
            (&[0x82, 0xFE, 0, 126], 126),
            (&[0x82, 0xFE, 0xFF, 0xFF], 65_535),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            (&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], u64::MAX >> 1),
        ] {
            let opcode = Opcode::Data(Kind::Binary);
            let wanted =
                FrameHeader { is_final: true, is_compressed: false, opcode, mask: MASK, payload_bytes };
            assert_eq!(header(start), Ok(Some((wanted, start.len() + 4))));
            let whole = [start, &MASK].concat();
            for cut in 0..whole.len() {
                assert_eq!(FrameHeader::parse(&whole[..cut], true), Ok(None), "the first {cut} of {whole:?}");
            }
        }
    }

    #[test]
    fn each_violation_is_seen_at_its_first_byte() {
        for (bytes, wanted) in [
            ([0xC1].as_slice(), ProtocolError::ReservedBits),
            (&[0xA1], ProtocolError::ReservedBits),
            (&[0x91], ProtocolError::ReservedBits),
            (&[0x83], ProtocolError::ReservedOpcode),
            (&[0x8B], ProtocolError::ReservedOpcode),
            (&[0x09], ProtocolError::FragmentedControl),
            (&[0x81, 0x00], ProtocolError::Unmasked),
            (&[0x89, 0xFE], ProtocolError::LongControl),
            (&[0x88, 0xFF], ProtocolError::LongControl),
            (&[0x81, 0xFE, 0, 125], ProtocolError::LengthNotMinimal),
            (&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], ProtocolError::LengthNotMinimal),
            (&[0x81, 0xFF, 0x80], ProtocolError::LengthTopBit),
        ] {
            assert_eq!(FrameHeader::parse(bytes, false), Err(wanted), "{bytes:?}");
            assert_eq!(
                FrameHeader::parse(&bytes[..bytes.len() - 1], false),
                Ok(None),
                "one byte less of {bytes:?}"
            );
        }
    }

    #[test]
    fn rsv1_marks_the_first_frame_of_a_compressed_message_and_nothing_else() {
        for (first, allowed) in [
            (0xC1, true),
            (0x42, true),
            (0xC0, false),
            (0xC9, false),
            (0xC8, false),
            (0xE1, false),
            (0xC3, false),
        ] {
            let parsed = FrameHeader::parse(&[first, 0x80, 0, 0, 0, 0], true);
            let wanted = if allowed { Ok(true) } else { Err(ProtocolError::ReservedBits) };
            assert_eq!(parsed.map(|header| header.expect("whole").0.is_compressed), wanted, "{first:x}");
        }
    }

    #[test]
    fn what_is_encoded_has_the_shortest_header_and_is_measured_again() {
        for (payload_bytes, header_bytes) in
            [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 20, 10)]
        {
            let mut out = Vec::new();
            encode_header(Opcode::Data(Kind::Text), payload_bytes, &mut out);
            assert_eq!(out.len(), header_bytes, "{payload_bytes}");
            assert_eq!(own_frame(&out), (header_bytes, payload_bytes));
            assert_eq!(own_header_bytes(header_bytes + payload_bytes), header_bytes, "{payload_bytes}");
        }
        let mut pong = Vec::new();
        encode_header(Opcode::Pong, 3, &mut pong);
        assert_eq!((pong.as_slice(), own_frame(&pong)), ([0x8A, 3].as_slice(), (2, 3)));
        assert_eq!(
            [0x81, 0x82, 0xC1, 0x8A, 0x89, 0x88].map(is_message),
            [true, true, true, false, false, false]
        );
    }
}
