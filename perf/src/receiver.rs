//! Frames from a server, as they come in pieces (RFC 6455 §5.2).

use flate2::{Decompress, FlushDecompress};

/// A frame header has ten bytes at most, since a server does not mask.
const HEADER_BYTES_MAX: usize = 10;

/// What a piece of input amounted to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A whole message. Its payload is there if the receiver keeps payloads; its length always is.
    Message { length: usize, payload: &'a [u8], is_text: bool },
    /// A ping, which wants a pong with this payload.
    Ping(&'a [u8]),
    /// A pong, with the payload of its ping.
    Pong(&'a [u8]),
    /// The server's close frame; 1005 if it has no code (RFC 6455 §7.1.5).
    Close(u16),
}

/// One connection's reading side.
#[derive(Debug)]
pub(crate) struct Receiver {
    header: [u8; HEADER_BYTES_MAX],
    header_length: usize,
    /// Bytes of the present frame's payload that are still to come.
    left: usize,
    /// The message so far, or the control frame so far.
    message: Vec<u8>,
    message_length: usize,
    control: Vec<u8>,
    first: u8,
    is_compressed: bool,
    is_text: bool,
    /// Whether payloads are kept for a look; else they are only counted.
    keeps: bool,
}

impl Receiver {
    pub(crate) fn new(keeps: bool) -> Receiver {
        Receiver {
            header: [0; HEADER_BYTES_MAX],
            header_length: 0,
            left: 0,
            message: Vec::new(),
            message_length: 0,
            control: Vec::new(),
            first: 0,
            is_compressed: false,
            is_text: false,
            keeps,
        }
    }

    /// Takes bytes, and hands out what they complete.
    ///
    /// # Errors
    /// If they are no frames that a server may send.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        inflater: &mut Inflater,
        mut each: impl FnMut(Incoming<'_>),
    ) -> Result<(), String> {
        while !input.is_empty() {
            if self.left == 0 {
                if !self.take_header(&mut input)? {
                    return Ok(());
                }
                self.begin_frame()?;
            }
            let taken = input.len().min(self.left);
            let (payload, rest) = input.split_at(taken);
            input = rest;
            self.left -= taken;
            if self.first & 0x08 != 0 {
                self.control.extend_from_slice(payload);
            } else {
                self.message_length += taken;
                if self.keeps {
                    self.message.extend_from_slice(payload);
                }
            }
            if self.left == 0 {
                self.end_frame(inflater, &mut each)?;
            }
        }
        Ok(())
    }

    /// Whether the header is whole now.
    fn take_header(&mut self, input: &mut &[u8]) -> Result<bool, String> {
        loop {
            let wanted = match (self.header_length, self.header[1]) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                (_, second) if second & 0x80 != 0 => return Err("the server masks its frames".to_owned()),
                _ => 2,
            };
            if self.header_length == wanted {
                return Ok(true);
            }
            let taken = input.len().min(wanted - self.header_length);
            if taken == 0 {
                return Ok(false);
            }
            let (bytes, rest) = input.split_at(taken);
            self.header[self.header_length..self.header_length + taken].copy_from_slice(bytes);
            self.header_length += taken;
            *input = rest;
        }
    }

    fn begin_frame(&mut self) -> Result<(), String> {
        self.header_length = 0;
        let [first, second, rest @ ..] = self.header;
        self.first = first;
        let length = match second {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => u64::from_be_bytes(rest),
            length => u64::from(length),
        };
        self.left = usize::try_from(length).map_err(|_| format!("a frame of {length} bytes"))?;
        match first & 0x0F {
            0 => {}
            1 | 2 => {
                self.message.clear();
                self.message_length = 0;
                self.is_text = first & 0x0F == 1;
                self.is_compressed = first & 0x40 != 0;
            }
            8..=10 => self.control.clear(),
            opcode => return Err(format!("a frame with opcode {opcode}")),
        }
        Ok(())
    }

    fn end_frame(
        &mut self,
        inflater: &mut Inflater,
        each: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), String> {
        match self.first & 0x0F {
            8 => each(Incoming::Close(match self.control[..] {
                [high, low, ..] => u16::from_be_bytes([high, low]),
                _ => 1005,
            })),
            9 => each(Incoming::Ping(&self.control)),
            10 => each(Incoming::Pong(&self.control)),
            _ if self.first & 0x80 == 0 => {}
            _ => {
                let is_text = self.is_text;
                if self.is_compressed && self.keeps {
                    let payload = inflater.inflate(&mut self.message)?;
                    each(Incoming::Message { length: payload.len(), payload, is_text });
                } else {
                    each(Incoming::Message { length: self.message_length, payload: &self.message, is_text });
                }
            }
        }
        Ok(())
    }
}

/// Inflates messages that each stand alone (RFC 7692 §7.1.1: no context takeover).
#[derive(Debug)]
pub(crate) struct Inflater {
    stream: Decompress,
    plain: Vec<u8>,
}

impl Inflater {
    pub(crate) fn new() -> Inflater {
        Inflater { stream: Decompress::new(false), plain: Vec::new() }
    }

    fn inflate(&mut self, message: &mut Vec<u8>) -> Result<&[u8], String> {
        message.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
        self.stream.reset(false);
        self.plain.clear();
        loop {
            let used = usize::try_from(self.stream.total_in()).expect("less than what is in memory");
            if used == message.len() {
                return Ok(&self.plain);
            }
            self.plain.reserve(message.len().max(1024) * 4);
            let before = self.plain.len();
            self.stream
                .decompress_vec(&message[used..], &mut self.plain, FlushDecompress::Sync)
                .map_err(|error| format!("a compressed message that cannot be inflated: {error}"))?;
            if self.plain.len() == before && usize::try_from(self.stream.total_in()).ok() == Some(used) {
                return Err("a compressed message that does not end".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn collect(bytes: &[u8], chunk: usize, keeps: bool) -> Result<Vec<String>, String> {
        let (mut receiver, mut inflater) = (Receiver::new(keeps), Inflater::new());
        let mut seen = Vec::new();
        for piece in bytes.chunks(chunk) {
            receiver.feed(piece, &mut inflater, |incoming| {
                seen.push(match incoming {
                    Incoming::Message { length, payload, is_text } => {
                        format!("{length} {} {is_text}", String::from_utf8_lossy(payload))
                    }
                    Incoming::Ping(payload) => format!("ping {}", payload.len()),
                    Incoming::Pong(payload) => format!("pong {}", payload.len()),
                    Incoming::Close(code) => format!("close {code}"),
                });
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn the_same_in_pieces_of_any_size() {
        let mut bytes = b"\x81\x02hi\x82\x7E\x00\x80".to_vec();
        bytes.extend([b'x'; 128]);
        bytes.extend(b"\x01\x01a\x89\x03abc\x00\x00\x80\x01b\x8A\x00\x82\x7F\0\0\0\0\0\0\0\x02yz\x88\x02\x03\xE8\x88\x00");
        let wanted = [
            "2 hi true".to_owned(),
            format!("128 {} false", "x".repeat(128)),
            "ping 3".to_owned(),
            "2 ab true".to_owned(),
            "pong 0".to_owned(),
            "2 yz false".to_owned(),
            "close 1000".to_owned(),
            "close 1005".to_owned(),
        ];
        for chunk in 1..=bytes.len() {
            assert_eq!(collect(&bytes, chunk, true).as_deref(), Ok(&wanted[..]), "in {chunk}s");
        }
        assert_eq!(collect(&bytes, 7, false).expect("frames")[0], "2  true", "counted only");
    }

    #[test]
    fn an_empty_message_counts() {
        for chunk in [1, 2, 4] {
            assert_eq!(collect(b"\x81\x00\x82\x00", chunk, true).expect("frames"), ["0  true", "0  false"]);
        }
    }

    #[test]
    fn compressed_messages_are_inflated() {
        let plain = b"say it again, ".repeat(500);
        let mut packed = Vec::with_capacity(10_000);
        Compress::new(Compression::fast(), false)
            .compress_vec(&plain, &mut packed, FlushCompress::Sync)
            .expect("there is room");
        packed.truncate(packed.len() - 4);
        let mut bytes = vec![0xC1, 126];
        bytes.extend(u16::try_from(packed.len()).expect("small").to_be_bytes());
        bytes.extend(packed);
        let wanted = [format!("7000 {} true", String::from_utf8_lossy(&plain))];
        assert_eq!(collect(&bytes, 9, true).as_deref(), Ok(&wanted[..]));
        assert!(collect(b"\xC1\x02\xFF\xFF", 9, true).is_err());
    }

    #[test]
    fn what_no_server_sends_is_said() {
        assert!(collect(b"\x81\x81aaaab", 9, true).expect_err("masked").contains("masks"));
        assert!(collect(b"\x83\x00", 9, true).expect_err("reserved").contains("opcode 3"));
    }
}
