//! Reads what a server sends, naively and strictly, and shares no code with the server. Whatever
//! RFC 6455 or the promises of this server forbid is a panic.

use std::fmt;

use crate::support::frames::{BINARY, CLOSE, COMPRESSED, PING, TEXT, close_payload, next_frame};
use crate::support::handshake::{SAMPLE_ACCEPT, end_of_head};
use crate::support::http::Response;

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
        let end = end_of_head(rest)?;
        let head = std::str::from_utf8(&rest[..end - 4]).expect("a head is ASCII");
        let response = Response::parse_head(head);
        self.used += end;
        if response.status == 101 {
            assert_eq!(response.header("Sec-WebSocket-Accept"), Some(SAMPLE_ACCEPT), "{head}");
            let extensions = response.header("Sec-WebSocket-Extensions").unwrap_or_default();
            let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
            self.compression = extensions.contains(agreed);
            self.stage = Stage::Frames;
            return Some(Heard::Opened);
        }
        let length = response.header("Content-Length").expect("a length").parse().expect("a number");
        self.stage = Stage::Body { status: response.status, length };
        self.next()
    }

    fn frame(&mut self) -> Option<Heard> {
        let (frame, length) = next_frame(&self.bytes[self.used..])?;
        self.used += length;
        let is_compressed = frame.first & COMPRESSED != 0;
        assert!(!is_compressed || self.compression, "§5.2: no compression was agreed: {:#x}", frame.first);
        let payload = frame.message();
        assert!(
            !is_compressed || payload.len() > frame.payload.len(),
            "what does not become shorter is not compressed"
        );
        Some(match frame.first & !COMPRESSED {
            TEXT => {
                assert!(std::str::from_utf8(&payload).is_ok(), "§8.1: {payload:x?}");
                Heard::Message(Message { is_text: true, payload })
            }
            BINARY => Heard::Message(Message { is_text: false, payload }),
            CLOSE => {
                self.stage = Stage::Over;
                closed(&payload)
            }
            PING => Heard::Ping(payload),
            _ => Heard::Pong(payload),
        })
    }
}

fn closed(payload: &[u8]) -> Heard {
    if payload.is_empty() {
        return Heard::Closed(None, String::new());
    }
    let (code, reason) = close_payload(payload);
    assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "§7.4: {code} {reason}");
    Heard::Closed(Some(code), reason)
}
