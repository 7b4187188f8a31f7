//! Frames as a client writes them, and as it reads those of a server: RFC 6455 §5 and RFC 7692, written down a second
//! time. Nothing of the server's is used, so that it cannot agree with itself.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// First bytes of frames: FIN and opcode.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// First bytes of fragments.
pub const TEXT_START: u8 = 0x01;
pub const BINARY_START: u8 = 0x02;
pub const CONTINUATION: u8 = 0x00;
pub const CONTINUATION_END: u8 = 0x80;
/// The bit of a compressed message (RFC 7692 §7.2.3.1).
pub const COMPRESSED: u8 = 0x40;

/// The mask of RFC 6455 §5.7.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A flush ends with an empty block, whose last bytes are left out (RFC 7692 §7.2.1).
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

// ---------------------------------------------------------------- what a client writes

/// A masked frame of the shortest length form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, payload, MASK)
}

/// The same, with a mask of the test's own.
pub fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = header_with(first, payload.len() as u64, mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The header alone of a masked frame that announces `length` bytes.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    header_with(first, length, MASK)
}

fn header_with(first: u8, length: u64, mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => bytes.push(0x80 | length),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes
}

/// A masked close frame.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A compressed message in one frame.
pub fn compressed(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first | COMPRESSED, &deflated(payload))
}

/// Bytes as a compressed message, as small as they become.
pub fn deflated(payload: &[u8]) -> Vec<u8> {
    deflated_with(Compression::best(), payload)
}

/// The same, with so much effort.
pub fn deflated_with(effort: Compression, payload: &[u8]) -> Vec<u8> {
    // What cannot be compressed becomes a little longer.
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 1024);
    let mut stream = Compress::new(effort, false);
    stream.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    assert_eq!(stream.total_in(), payload.len() as u64, "all of it");
    assert!(out.ends_with(&FLUSH_END), "a flush ends with an empty block");
    out.truncate(out.len() - FLUSH_END.len());
    out
}

// ---------------------------------------------------------------- what a client reads

/// A frame as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// Where a frame stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// FIN, RSV and opcode.
    pub first: u8,
    /// Where its payload starts and ends, whether or not all of it is there.
    pub start: usize,
    pub end: usize,
}

impl Frame {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payload is UTF-8")
    }

    /// The payload, inflated if it came compressed.
    pub fn message(&self) -> Vec<u8> {
        if self.first & COMPRESSED == 0 { self.payload.clone() } else { inflated(&self.payload) }
    }

    /// Code and reason of a close frame; 1005 stands for a frame without a code (RFC 6455 §7.4.1).
    pub fn close(&self) -> (u16, String) {
        assert_eq!(self.first, CLOSE, "a close frame is due, not {self:?}");
        close_payload(&self.payload)
    }
}

/// Code and reason of a close frame's payload, as `Frame::close` has them.
pub fn close_payload(payload: &[u8]) -> (u16, String) {
    match payload {
        [] => (1005, String::new()),
        [high, low, reason @ ..] => (
            u16::from_be_bytes([*high, *low]),
            String::from_utf8(reason.to_vec()).expect("RFC 6455 §5.5.1: the reason is UTF-8"),
        ),
        [_] => panic!("RFC 6455 §5.5.1: a close frame of one byte"),
    }
}

/// Where the first frame stands, once its header is there. A server's frame is a whole message, without a mask, in the
/// shortest of the three length forms, and has no reserved bit but that of compression.
pub fn span(bytes: &[u8]) -> Option<Span> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0x30, 0, "RFC 6455 §5.2: reserved bits in {first:#04x}");
    assert_eq!(first & 0x80, 0x80, "one message is one frame, not {first:#04x}");
    assert_eq!(second & 0x80, 0, "RFC 6455 §5.1: a server must not mask");
    let (start, length) = match second {
        126 => {
            let length = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            assert!(length >= 126, "RFC 6455 §5.2: the 16-bit form for {length}");
            (4, u64::from(length))
        }
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            assert!(length > 0xffff, "RFC 6455 §5.2: the 64-bit form for {length}");
            (10, length)
        }
        length => (2, u64::from(length)),
    };
    match first & 0x0f {
        1 | 2 => {}
        8..=10 => {
            assert!(length < 126, "RFC 6455 §5.5: a control frame of {length} bytes");
            assert_eq!(first & COMPRESSED, 0, "RFC 7692 §6.1: a control frame is not compressed");
        }
        opcode => panic!("RFC 6455 §5.2: opcode {opcode}"),
    }
    Some(Span { first, start, end: start + usize::try_from(length).expect("a frame fits in memory") })
}

/// The first frame and its length, once all of it is there.
pub fn next_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let Span { first, start, end } = span(bytes)?;
    let payload = bytes.get(start..end)?.to_vec();
    Some((Frame { first, payload }, end))
}

/// A compressed message, inflated on its own: the server keeps no context.
pub fn inflated(payload: &[u8]) -> Vec<u8> {
    let input = [payload, &FLUSH_END].concat();
    let mut out = Vec::with_capacity(1 << 18);
    let mut stream = Decompress::new(false);
    stream.decompress_vec(&input, &mut out, FlushDecompress::Sync).expect("RFC 7692 §7.2.2");
    assert_eq!(stream.total_in(), input.len() as u64, "all of it");
    out
}
