//! Messages: what fragments become (RFC 6455 §5.4), and UTF-8 checked as it arrives (§8.1).

use super::ProtocolError;

/// The two kinds of message (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, checked.
    Text,
    /// Bytes.
    Binary,
}

/// A message that is still arriving. Its memory follows the bytes received, never a length that
/// was announced.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) kind: Kind,
    /// The bytes are deflated: what they say is known only at the end.
    pub(super) is_compressed: bool,
    pub(super) bytes: Vec<u8>,
    /// Frames that have begun, empty ones included: they cost too.
    pub(super) frames: u32,
    utf8: Utf8Stream,
}

impl Assembly {
    pub(super) fn new(kind: Kind, is_compressed: bool) -> Assembly {
        Assembly { kind, is_compressed, bytes: Vec::new(), frames: 0, utf8: Utf8Stream::default() }
    }

    /// Adds unmasked bytes; text fails at its first bad byte.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if self.kind == Kind::Text && !self.is_compressed {
            self.utf8.push(bytes)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The message is whole: no character may be left unfinished.
    pub(super) fn finish(&self) -> Result<(), ProtocolError> {
        if self.utf8.carried == 0 { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }
}

/// Checks text that comes in pieces, each byte once. Keeps only the beginning of a character that
/// a piece has cut.
#[derive(Debug, Default)]
struct Utf8Stream {
    carry: [u8; 4],
    carried: usize,
}

impl Utf8Stream {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), ProtocolError> {
        while self.carried > 0 {
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            // Four bytes are either a character or wrong, so there is always room for this one.
            self.carry[self.carried] = byte;
            self.carried += 1;
            match std::str::from_utf8(&self.carry[..self.carried]) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(ProtocolError::InvalidUtf8),
            }
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                let cut = &bytes[error.valid_up_to()..];
                self.carry[..cut.len()].copy_from_slice(cut);
                self.carried = cut.len();
                Ok(())
            }
            Err(_) => Err(ProtocolError::InvalidUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index of the byte at which a check fails, fed byte by byte; the length if it fails only
    /// at the end; `None` if it passes.
    fn fails_at(bytes: &[u8]) -> Option<usize> {
        let mut assembly = Assembly::new(Kind::Text, false);
        for (index, byte) in bytes.iter().enumerate() {
            if assembly.append(&[*byte]).is_err() {
                return Some(index);
            }
        }
        assembly.finish().err().map(|_| bytes.len())
    }

    #[test]
    fn text_fails_at_its_first_bad_byte() {
        for (bytes, wanted) in [
            (b"".as_slice(), None),
            ("h\u{e9}llo 你好 \u{1F600}".as_bytes(), None),
            (b"\x80", Some(0)),
            (b"a\xC0\x80", Some(1)),
            (b"\xE0\x80\x80", Some(1)),
            (b"\xED\xA0\x80", Some(1)),
            (b"\xF0\x80\x80\x80", Some(1)),
            (b"\xF4\x90\x80\x80", Some(1)),
            (b"\xF5", Some(0)),
            (b"\xCE\xBA\xE1\xBD\xB9\xF4\x90", Some(6)),
            (b"\xE4\xBD", Some(2)),
            (b"\xE4\xBDa", Some(2)),
        ] {
            assert_eq!(fails_at(bytes), wanted, "{bytes:x?}");
        }
    }

    #[test]
    fn every_split_gives_what_the_whole_gives() {
        let texts: [&[u8]; 4] = [
            "añ你好\u{1F600}\u{10FFFF}z".as_bytes(),
            b"ok\xF0\x9F\x98",
            b"a\xEF\xBF\xBE\xFF",
            b"\xF4\x8F\xBF\xBF",
        ];
        for text in texts {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut assembly = Assembly::new(Kind::Text, false);
                    let split = assembly
                        .append(&text[..first])
                        .and_then(|()| assembly.append(&text[first..second]))
                        .and_then(|()| assembly.append(&text[second..]))
                        .and_then(|()| assembly.finish());
                    assert_eq!(
                        split.is_ok(),
                        std::str::from_utf8(text).is_ok(),
                        "{text:x?} {first} {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn binary_is_not_checked() {
        let mut assembly = Assembly::new(Kind::Binary, false);
        assert_eq!(assembly.append(b"\xFF").and_then(|()| assembly.finish()), Ok(()));
    }
}
