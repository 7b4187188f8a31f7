//! Frames encoded once and shared by all who get them.

use std::cell::Cell;
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
    content: Content,
    /// Messages in it.
    messages: u32,
    meter: Meter,
}

/// What the bytes of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Frames,
    /// A frame of our own that tells of so many messages, and is not counted as one.
    Notice(u32),
    /// A response of HTTP.
    Response,
}

/// Counts the memory of all batches that were made with it and are still alive, and of what refers to them.
#[derive(Clone, Debug, Default)]
pub struct Meter(Option<Rc<Cell<usize>>>);

impl Meter {
    /// A meter that shows zero. The default one measures nothing.
    pub fn new() -> Meter {
        Meter(Some(Rc::default()))
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes.get())
    }

    fn add(&self, more: usize) {
        if let Some(bytes) = &self.0 {
            bytes.set(bytes.get() + more);
        }
    }

    fn remove(&self, less: usize) {
        if let Some(bytes) = &self.0 {
            bytes.set(bytes.get() - less);
        }
    }
}

impl Batch {
    /// One control frame.
    pub fn control(opcode: Opcode, payload: &[u8]) -> Batch {
        let mut builder = BatchBuilder::default();
        builder.push_frame(opcode, &[payload]);
        builder.seal()
    }

    /// A message of our own that tells a client of so many that it does not get. It is not counted itself.
    pub fn notice(kind: Kind, payload: &[u8], skipped: u32) -> Batch {
        let mut bytes = Vec::new();
        frame::encode_header(Opcode::Data(kind), payload.len(), &mut bytes);
        bytes.extend_from_slice(payload);
        Batch::new(bytes, Content::Notice(skipped), 0, &Meter::default())
    }

    /// Bytes that are no frames: a response of HTTP. They count as one indivisible piece.
    pub fn unframed(bytes: Vec<u8>) -> Batch {
        Batch::new(bytes, Content::Response, 0, &Meter::default())
    }

    /// Whole frames in the place of these, so many of them messages.
    pub(super) fn recoded(&self, bytes: Vec<u8>, messages: u32) -> Batch {
        Batch::new(bytes, Content::Frames, messages, &self.0.meter)
    }

    /// A copy of some whole frames, for a receiver who must not keep the rest alive.
    pub fn copy_of(&self, range: Range<usize>) -> Batch {
        let messages = self.count_messages(range.clone());
        Batch::new(self.0.bytes[range].to_vec(), self.0.content, messages, &self.0.meter)
    }

    fn new(bytes: Vec<u8>, content: Content, messages: u32, meter: &Meter) -> Batch {
        meter.add(bytes.capacity());
        Batch(Rc::new(Shared { bytes, content, messages, meter: meter.clone() }))
    }

    /// Counts memory that refers to this batch, until [`Batch::release`].
    pub fn charge(&self, bytes: usize) {
        self.0.meter.add(bytes);
    }

    /// Takes back what [`Batch::charge`] counted.
    pub fn release(&self, bytes: usize) {
        self.0.meter.remove(bytes);
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whether these bytes are frames.
    pub fn is_framed(&self) -> bool {
        self.0.content != Content::Response
    }

    /// The messages that a notice tells of.
    pub fn skipped(&self) -> Option<u32> {
        match self.0.content {
            Content::Notice(skipped) => Some(skipped),
            Content::Frames | Content::Response => None,
        }
    }

    /// The end of the frame that starts at `start`.
    pub fn frame_end(&self, start: usize) -> usize {
        if !self.is_framed() {
            return self.0.bytes.len();
        }
        let (header, payload) = frame::own_frame(&self.0.bytes[start..]);
        start + header + payload
    }

    /// Whether the frame that starts at `start` carries a message.
    pub fn is_message(&self, start: usize) -> bool {
        self.0.content == Content::Frames && frame::is_message(self.0.bytes[start])
    }

    /// How many messages stand in `range`, which holds whole frames.
    pub fn count_messages(&self, range: Range<usize>) -> u32 {
        if range == (0..self.0.bytes.len()) {
            return self.0.messages;
        }
        let mut start = range.start;
        let mut count = 0;
        while self.0.content == Content::Frames && start < range.end {
            count += u32::from(self.is_message(start));
            start = self.frame_end(start);
        }
        count
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.meter.remove(self.bytes.capacity());
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
    meter: Meter,
}

impl BatchBuilder {
    /// Memory over this is given back rather than kept for the next turn.
    const KEPT_BYTES_MAX: usize = 64 * 1024;

    /// A builder whose batches are measured.
    pub fn measured(meter: &Meter) -> BatchBuilder {
        BatchBuilder { meter: meter.clone(), ..BatchBuilder::default() }
    }

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
        let (bytes, messages) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.messages));
        Batch::new(bytes, Content::Frames, messages, &self.meter)
    }

    /// Takes a batch's memory back, if the caller was the last to hold it.
    pub fn recycle(&mut self, batch: Batch) {
        if !self.bytes.is_empty() {
            return;
        }
        if let Ok(mut shared) = Rc::try_unwrap(batch.0)
            && shared.bytes.capacity() <= Self::KEPT_BYTES_MAX
        {
            shared.meter.remove(shared.bytes.capacity());
            self.bytes = std::mem::take(&mut shared.bytes);
            self.bytes.clear();
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
    fn a_meter_shows_what_is_alive() {
        let meter = Meter::new();
        let mut builder = BatchBuilder::measured(&meter);
        builder.push(Kind::Text, &[&[b'x'; 100]]);
        assert_eq!(meter.bytes(), 0, "it is not sealed yet");
        let batch = builder.seal();
        let whole = meter.bytes();
        assert!(whole >= 102, "{whole}");
        let copy = batch.copy_of(0..102);
        assert_eq!(meter.bytes(), whole + 102);
        copy.charge(7);
        assert_eq!(meter.bytes(), whole + 109);
        copy.release(7);
        drop((copy, batch.clone()));
        assert_eq!(meter.bytes(), whole);
        builder.recycle(batch);
        assert_eq!(meter.bytes(), 0);
        drop(Batch::notice(Kind::Text, b"none of its business", 1));
        assert_eq!(Meter::default().bytes(), 0);
    }

    #[test]
    fn a_notice_is_a_frame_and_no_message() {
        let notice = Batch::notice(Kind::Text, b"ab", 7);
        assert_eq!(notice.bytes(), b"\x81\x02ab");
        assert!(notice.skipped() == Some(7) && notice.is_framed() && !notice.is_message(0));
        assert_eq!((notice.count_messages(0..4), notice.frame_end(0)), (0, 4));
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
