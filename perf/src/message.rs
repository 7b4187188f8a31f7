//! What a message of the load carries, and how a receiver sees that nothing was lost, doubled or changed.
//!
//! The payload is ASCII, so that it may be sent as text as well: a mark, sender, number and time in hexadecimal
//! digits, and filler that follows from sender and number.

use std::time::Duration;

/// Begins every message of the load; a chat server may put its own words before it.
const MARK: &[u8; 4] = b"~ld:";
/// Mark, eight digits for the sender, eight for the number, sixteen for the time.
pub(crate) const SIZE_MIN: usize = 36;

/// Which client said it, as which of its messages, and when (since the start of the run).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) sender: u32,
    pub(crate) number: u32,
    pub(crate) at: Duration,
}

impl Message {
    /// Appends the payload of `size` bytes, which is [`SIZE_MIN`] at least.
    pub(crate) fn write(&self, size: usize, out: &mut Vec<u8>) {
        let end = out.len() + size;
        self.write_head(out);
        let filler = Filler::of(self.sender, self.number);
        filler.pieces(end - out.len()).for_each(|piece| out.extend_from_slice(piece));
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        write_hex(u64::from(self.sender), 8, out);
        write_hex(u64::from(self.number), 8, out);
        write_hex(u64::try_from(self.at.as_nanos()).unwrap_or(u64::MAX), 16, out);
    }

    /// The message in a payload. A server may have put words before it; what follows is checked by
    /// [`Message::is_intact`]. `None`: it is no message of the load, but a line of the server's own.
    pub(crate) fn read(payload: &[u8], size: usize) -> Option<Message> {
        let message = payload.get(payload.len().checked_sub(size)?..)?;
        let digits = message.strip_prefix(MARK)?;
        Some(Message {
            sender: u32::try_from(read_hex(&digits[..8])?).ok()?,
            number: u32::try_from(read_hex(&digits[8..16])?).ok()?,
            at: Duration::from_nanos(read_hex(&digits[16..32])?),
        })
    }

    /// Whether a payload ends with exactly the bytes of this message.
    pub(crate) fn is_intact(&self, payload: &[u8], size: usize) -> bool {
        let (head, mut bytes) = payload[payload.len() - size..].split_at(SIZE_MIN);
        // A number has more than one spelling (`a` and `A`), and only one was said.
        let mut own = Vec::with_capacity(SIZE_MIN);
        self.write_head(&mut own);
        let filler = Filler::of(self.sender, self.number);
        head == own
            && filler
                .pieces(bytes.len())
                .all(|piece| bytes.split_off(..piece.len()).is_some_and(|part| part == piece))
    }
}

/// Letters that differ from message to message.
struct Filler(usize);

impl Filler {
    fn of(sender: u32, number: u32) -> Filler {
        Filler(sender as usize * 7 + number as usize)
    }

    /// So many bytes, in pieces that can be copied or compared at once.
    fn pieces(&self, length: usize) -> impl Iterator<Item = &'static [u8]> {
        const LETTERS: &[u8; 61] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345678";
        let mut start = self.0 % LETTERS.len();
        let mut left = length;
        std::iter::from_fn(move || {
            let end = LETTERS.len().min(start + left);
            let piece = &LETTERS[std::mem::take(&mut start)..end];
            left -= piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }
}

fn write_hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend((0..digits).rev().map(|place| DIGITS[(value >> (place * 4) & 0xF) as usize]));
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// What one receiver has still to hear: of each sender the next number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    expected: Vec<u32>,
}

impl Ledger {
    /// Checks a message and says what is wrong with it.
    ///
    /// # Errors
    /// If messages are missing before it, or it came before, or its bytes were changed.
    pub(crate) fn check(&mut self, message: Message, payload: &[u8], size: usize) -> Result<(), String> {
        let Message { sender, number, .. } = message;
        let index = sender as usize;
        if self.expected.len() <= index {
            self.expected.resize(index + 1, 0);
        }
        let expected = self.expected[index];
        self.expected[index] = number.wrapping_add(1);
        if number > expected {
            return Err(format!("sender {sender}: {} lost before number {number}", number - expected));
        }
        if number < expected {
            return Err(format!("sender {sender}: number {number} again, or out of order, after {expected}"));
        }
        if !message.is_intact(payload, size) {
            return Err(format!("sender {sender}, number {number}: its bytes were changed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sender: u32, number: u32) -> Message {
        Message { sender, number, at: Duration::from_nanos(0x0123_4567_89AB_CDEF) }
    }

    fn payload(message: Message, size: usize) -> Vec<u8> {
        let mut payload = Vec::new();
        message.write(size, &mut payload);
        payload
    }

    #[test]
    fn what_is_written_is_read_behind_any_words() {
        for size in [SIZE_MIN, 64, 65_000] {
            let message = message(0xABCD, 4_000_000_000);
            let mut line = b"12:34:56 alice say: ".to_vec();
            line.extend(payload(message, size));
            assert_eq!(line.len(), 20 + size);
            assert!(line.is_ascii());
            assert_eq!(Message::read(&line, size), Some(message));
            assert!(message.is_intact(&line, size));
        }
        for other in [&b""[..], b"12:34:56 alice joined", &[b'~'; 100]] {
            assert_eq!(Message::read(other, 64), None);
        }
    }

    #[test]
    fn a_ledger_notices_everything() {
        let mut ledger = Ledger::default();
        let mut check = |number, change: Option<usize>| {
            let mut bytes = payload(message(3, number), 64);
            if let Some(place) = change {
                bytes[place] ^= 1;
            }
            ledger.check(message(3, number), &bytes, 64)
        };
        assert_eq!(check(0, None), Ok(()));
        assert_eq!(check(1, None), Ok(()));
        assert!(check(1, None).expect_err("twice").contains("again"));
        assert!(check(3, None).expect_err("2 is missing").contains("1 lost"));
        assert!(check(2, None).expect_err("late").contains("out of order"));
        for (number, place) in [(3, SIZE_MIN), (4, 63)] {
            assert!(check(number, Some(place)).expect_err("changed").contains("changed"));
        }
        // `a` of the time is another byte as `A`, and the same number.
        let mut bytes = payload(message(3, 5), 64);
        let letter = SIZE_MIN - 6;
        assert_eq!(bytes[letter], b'a');
        bytes[letter] = b'A';
        let read = Message::read(&bytes, 64).expect("digits");
        assert_eq!(read, message(3, 5));
        assert!(!read.is_intact(&bytes, 64));
    }
}
