//! Frames encoded once and shared by all who get them.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use super::frame::{self, Opcode};
use super::message::Kind;

/// Whole frames in one piece of memory. A clone is a reference.
#[derive(Clone)]
pub struct Batch(Rc<Shared>);

struct Shared {
    bytes: Vec<u8>,
    is_framed: bool,
    /// Data frames in it.
    messages: u32,
}

impl Batch {
    /// One control frame.
    pub fn control(opcode: Opcode, payload: &[u8]) -> Batch {
        let mut builder = BatchBuilder::default();
        builder.push_frame(opcode, &[payload]);
        builder.seal()
    }

    /// Whole frames, so many of them messages.
    pub(super) fn framed(bytes: Vec<u8>, messages: u32) -> Batch {
        Batch(Rc::new(Shared { bytes, is_framed: true, messages }))
    }

    /// Bytes that are no frames: a response of HTTP. They count as one indivisible piece.
    pub fn unframed(bytes: Vec<u8>) -> Batch {
        Batch(Rc::new(Shared { bytes, is_framed: false, messages: 0 }))
    }

    /// A copy of some whole frames, for a receiver who must not keep the rest alive.
    pub fn copy_of(&self, range: Range<usize>) -> Batch {
        let messages = self.count_messages(range.clone());
        let bytes = self.0.bytes[range].to_vec();
        Batch(Rc::new(Shared { bytes, is_framed: self.0.is_framed, messages }))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whether these bytes are frames.
    pub fn is_framed(&self) -> bool {
        self.0.is_framed
    }

    /// The end of the frame that starts at `start`.
    pub fn frame_end(&self, start: usize) -> usize {
        if !self.0.is_framed {
            return self.0.bytes.len();
        }
        let (header, payload) = frame::own_frame(&self.0.bytes[start..]);
        start + header + payload
    }

    /// Whether the frame that starts at `start` carries a message.
    pub fn is_message(&self, start: usize) -> bool {
        self.0.is_framed && frame::is_message(self.0.bytes[start])
    }

    /// How many messages stand in `range`, which holds whole frames.
    pub fn count_messages(&self, range: Range<usize>) -> u32 {
        if range == (0..self.0.bytes.len()) {
            return self.0.messages;
        }
        let mut start = range.start;
        let mut count = 0;
        while self.0.is_framed && start < range.end {
            count += u32::from(self.is_message(start));
            start = self.frame_end(start);
        }
        count
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Batch({} bytes)", self.0.bytes.len())
    }
}

/// A batch in the making. Its memory is used again once nobody refers to the batch.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    messages: u32,
}

impl BatchBuilder {
    /// Memory over this is given back rather than kept for the next turn.
    const KEPT_BYTES_MAX: usize = 64 * 1024;

    /// Appends a message as one frame; its payload is the parts, joined.
    pub fn push(&mut self, kind: Kind, parts: &[&[u8]]) {
        self.push_frame(Opcode::Data(kind), parts);
    }

    /// Appends a frame of any kind.
    pub fn push_frame(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        let payload_bytes = parts.iter().map(|part| part.len()).sum();
        frame::encode_header(opcode, payload_bytes, &mut self.bytes);
        self.messages += u32::from(matches!(opcode, Opcode::Data(_)));
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was appended since the last seal.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends the batch and starts the next one.
    pub fn seal(&mut self) -> Batch {
        Batch::framed(std::mem::take(&mut self.bytes), std::mem::take(&mut self.messages))
    }

    /// Takes a batch's memory back, if the caller was the last to hold it.
    pub fn recycle(&mut self, batch: Batch) {
        if !self.bytes.is_empty() {
            return;
        }
        if let Ok(mut shared) = Rc::try_unwrap(batch.0)
            && shared.bytes.capacity() <= Self::KEPT_BYTES_MAX
        {
            shared.bytes.clear();
            self.bytes = shared.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_again_in_a_batch() {
        let mut builder = BatchBuilder::default();
        builder.push(Kind::Text, &[b"a", b"", b"bc"]);
        builder.push(Kind::Binary, &[&[0; 200]]);
        builder.push(Kind::Binary, &[&[0; 70_000]]);
        let batch = builder.seal();
        assert!(builder.is_empty());
        assert_eq!(&batch.bytes()[..5], b"\x81\x03abc");
        let ends = [5, 5 + 204, 5 + 204 + 70_010];
        assert_eq!([0, ends[0], ends[1]].map(|start| batch.frame_end(start)), ends);
        assert_eq!(batch.bytes().len(), ends[2]);
        assert_eq!(batch.count_messages(0..ends[2]), 3);
        assert_eq!(batch.count_messages(ends[0]..ends[1]), 1);
        assert_eq!(Batch::control(Opcode::Pong, b"x").count_messages(0..3), 0);
        assert_eq!(Batch::unframed(vec![b'H'; 9]).frame_end(0), 9);
    }

    #[test]
    fn memory_comes_back_only_from_the_last_holder() {
        let mut builder = BatchBuilder::default();
        builder.push(Kind::Text, &[&[b'x'; 100]]);
        let batch = builder.seal();
        let other = batch.clone();
        builder.recycle(batch);
        assert_eq!(builder.bytes.capacity(), 0, "somebody still reads it");
        builder.recycle(other);
        assert!(builder.bytes.capacity() >= 100 && builder.is_empty());
    }
}
