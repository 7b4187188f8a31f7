//! Reads what a server sends, naively and strictly, and shares no code with the server. Whatever
//! RFC 6455 or the promises of this server forbid is a panic.

use std::fmt;

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Opened,
    /// An answer that is no WebSocket: its status and body.
    Answered(u16, Vec<u8>),
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed(Option<u16>, String),
}

/// A text or binary message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) is_text: bool,
    pub(crate) payload: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { is_text, payload } = self;
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
        write!(formatter, "{} {shown:?} ({} bytes)", if *is_text { "text" } else { "binary" }, payload.len())
    }
}

/// One client's view of the bytes.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    bytes: Vec<u8>,
    used: usize,
    stage: Stage,
    /// The server has agreed to permessage-deflate.
    compression: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Body {
        status: u16,
        length: usize,
    },
    Frames,
    Over,
}

impl Judge {
    /// Takes bytes as they come, and says what became whole with them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.bytes.extend_from_slice(bytes);
        let mut heard = Vec::new();
        while let Some(one) = self.next() {
            heard.push(one);
        }
        self.bytes.drain(..self.used);
        self.used = 0;
        heard
    }

    /// Nothing more will come: nothing may be left unfinished.
    pub(crate) fn assert_whole(&self, client: usize) {
        let length = self.bytes.len();
        assert!(
            length == 0,
            "client {client}, {:?}: ends {length} bytes into a frame: {:x?}",
            self.stage,
            &self.bytes[..length.min(16)]
        );
        assert!(
            !matches!(self.stage, Stage::Body { .. }),
            "client {client}: a response ends inside its body"
        );
    }

    fn next(&mut self) -> Option<Heard> {
        let rest = &self.bytes[self.used..];
        match self.stage {
            Stage::Over => {
                assert!(rest.is_empty(), "bytes behind the end: {rest:x?}");
                None
            }
            Stage::Head => self.head(),
            Stage::Body { status, length } => {
                assert!(rest.len() <= length, "a body longer than its Content-Length");
                if rest.len() < length {
                    return None;
                }
                let body = rest.to_vec();
                self.used += length;
                self.stage = Stage::Over;
                Some(Heard::Answered(status, body))
            }
            Stage::Frames => self.frame(),
        }
    }

    fn head(&mut self) -> Option<Heard> {
        let rest = &self.bytes[self.used..];
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(rest[..end].to_vec()).expect("a head is ASCII");
        self.used += end;
        let status: u16 = head[9..12].parse().expect("a status of three digits");
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        if status == 101 {
            // The key that the clients send is the sample of RFC 6455 §1.3.
            assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
            self.stage = Stage::Frames;
            self.compression = head.contains(
                "\r\nSec-WebSocket-Extensions: permessage-deflate; \
                server_no_context_takeover; client_no_context_takeover",
            );
            return Some(Heard::Opened);
        }
        let length = head.split_once("\r\nContent-Length: ").expect("a length").1;
        let length = length.split("\r\n").next().expect("a line").parse().expect("a number");
        self.stage = Stage::Body { status, length };
        self.next()
    }

    fn frame(&mut self) -> Option<Heard> {
        let rest = &self.bytes[self.used..];
        let (&first, &second) = (rest.first()?, rest.get(1)?);
        let is_compressed = first & 0x40 != 0;
        assert!(!is_compressed || self.compression, "§5.2: no compression was agreed: {first:#x}");
        assert_eq!(first & 0x30, 0, "§5.2: no reserved bit was agreed: {first:#x}");
        assert_eq!(first & 0x80, 0x80, "one message is one frame: {first:#x}");
        assert_eq!(second & 0x80, 0, "§5.1: a server does not mask: {second:#x}");
        let opcode = first & 0x0F;
        let (start, length) = match second {
            0..=125 => (2, usize::from(second)),
            126 => (4, number(rest.get(2..4)?)),
            _ => (10, number(rest.get(2..10)?)),
        };
        let least = match start {
            2 => 0,
            4 => 126,
            _ => 65_536,
        };
        assert!(length >= least, "§5.2: the shortest length: {length}");
        assert!(opcode < 8 || length <= 125, "§5.5: a control frame of {length} bytes");
        assert!(opcode < 8 || !is_compressed, "RFC 7692 §6.1: a control frame is not compressed");
        let mut payload = rest.get(start..start + length)?.to_vec();
        self.used += start + length;
        if is_compressed {
            payload = inflated(payload);
        }
        Some(match opcode {
            1 => {
                assert!(std::str::from_utf8(&payload).is_ok(), "§8.1: {payload:x?}");
                Heard::Message(Message { is_text: true, payload })
            }
            2 => Heard::Message(Message { is_text: false, payload }),
            8 => {
                self.stage = Stage::Over;
                closed(&payload)
            }
            9 => Heard::Ping(payload),
            10 => Heard::Pong(payload),
            _ => panic!("§5.2: opcode {opcode}"),
        })
    }
}

/// A message is inflated on its own: the server keeps no context.
fn inflated(mut packed: Vec<u8>) -> Vec<u8> {
    packed.extend([0, 0, 0xFF, 0xFF]);
    let mut out = Vec::with_capacity(1 << 17);
    let mut stream = flate2::Decompress::new(false);
    stream.decompress_vec(&packed, &mut out, flate2::FlushDecompress::Sync).expect("RFC 7692 §7.2.2");
    assert!(out.len() > packed.len() - 4, "what does not become shorter is not compressed");
    out
}

fn closed(payload: &[u8]) -> Heard {
    if payload.is_empty() {
        return Heard::Closed(None, String::new());
    }
    assert!(payload.len() >= 2, "§5.5.1: a close frame of one byte");
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    let reason = String::from_utf8(payload[2..].to_vec()).expect("§5.5.1: the reason is UTF-8");
    assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "§7.4: {code} {reason}");
    Heard::Closed(Some(code), reason)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}
