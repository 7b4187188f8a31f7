//! Frames encoded once and shared by all who get them.

use std::borrow::Cow;
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
    bytes: Bytes,
    content: Content,
    /// Messages in it.
    messages: u32,
    /// The number of each, where any has one; zero for those without.
    numbers: Rc<[u64]>,
    meter: Meter,
}

/// What a batch takes beside its bytes: itself, two counts, and what two allocations round up.
const SHARED_BYTES: usize = size_of::<Shared>() + 48;

/// Memory of a batch, or a file that is compiled in and takes none.
enum Bytes {
    Owned(Vec<u8>),
    Static(&'static [u8]),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(bytes) => bytes,
        }
    }

    /// What it takes.
    fn capacity(&self) -> usize {
        match self {
            Bytes::Owned(bytes) => bytes.capacity(),
            Bytes::Static(_) => 0,
        }
    }
}

/// What the bytes of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Frames,
    /// A frame of our own that tells of what was skipped, and is not counted as a message.
    Notice(Skipped),
    /// A response of HTTP.
    Response,
}

/// Messages that a client did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub messages: u32,
    /// The first and the last of their numbers, if they have any.
    pub numbers: Option<(u64, u64)>,
}

impl Skipped {
    /// These, and others that came behind them.
    pub fn and(self, later: Skipped) -> Skipped {
        let numbers = match (self.numbers, later.numbers) {
            (Some((from, _)), Some((_, to))) => Some((from, to)),
            (one, other) => one.or(other),
        };
        Skipped { messages: self.messages + later.messages, numbers }
    }
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

    /// A message of our own that tells a client of others that it does not get. It is not counted itself.
    pub fn notice(kind: Kind, payload: &[u8], skipped: Skipped, meter: &Meter) -> Batch {
        let mut bytes = Vec::new();
        frame::encode_header(Opcode::Data(kind), payload.len(), &mut bytes);
        bytes.extend_from_slice(payload);
        Batch::new(bytes, Content::Notice(skipped), 0, Rc::default(), meter)
    }

    /// Bytes that are no frames: a response of HTTP. They count as one indivisible piece.
    pub fn unframed(bytes: Cow<'static, [u8]>, meter: &Meter) -> Batch {
        let bytes = match bytes {
            Cow::Owned(bytes) => Bytes::Owned(bytes),
            Cow::Borrowed(bytes) => Bytes::Static(bytes),
        };
        Batch::holding(bytes, Content::Response, 0, Rc::default(), meter)
    }

    /// The same messages, from so far into these frames, as other bytes.
    pub(super) fn recoded(&self, bytes: Vec<u8>, part: Range<usize>) -> Batch {
        let (messages, numbers) = (self.count_messages(part.clone()), self.numbers_of(part));
        Batch::new(bytes, Content::Frames, messages, numbers, &self.0.meter)
    }

    /// A copy of some whole frames, for a receiver who must not keep the rest alive.
    pub fn copy_of(&self, range: Range<usize>) -> Batch {
        let messages = self.count_messages(range.clone());
        let numbers = self.numbers_of(range.clone());
        Batch::new(self.bytes()[range].to_vec(), self.0.content, messages, numbers, &self.0.meter)
    }

    fn new(bytes: Vec<u8>, content: Content, messages: u32, numbers: Rc<[u64]>, meter: &Meter) -> Batch {
        Batch::holding(Bytes::Owned(bytes), content, messages, numbers, meter)
    }

    fn holding(bytes: Bytes, content: Content, messages: u32, numbers: Rc<[u64]>, meter: &Meter) -> Batch {
        meter.add(SHARED_BYTES + bytes.capacity());
        Batch(Rc::new(Shared { bytes, content, messages, numbers, meter: meter.clone() }))
    }

    fn numbers_of(&self, range: Range<usize>) -> Rc<[u64]> {
        if self.0.numbers.is_empty() || range == (0..self.bytes().len()) {
            return Rc::clone(&self.0.numbers);
        }
        let first = self.count_messages(0..range.start) as usize;
        let count = self.count_messages(range) as usize;
        self.0.numbers[first..first + count].into()
    }

    /// The messages that stand in `range`, which holds whole frames.
    pub fn messages_in(&self, range: Range<usize>) -> Skipped {
        let messages = self.count_messages(range.clone());
        let numbers = self.numbers_of(range);
        let mut numbered = numbers.iter().copied().filter(|number| *number > 0);
        let numbers = numbered.next().map(|first| (first, numbered.next_back().unwrap_or(first)));
        Skipped { messages, numbers }
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
        self.0.bytes.as_slice()
    }

    /// Whether these bytes are frames.
    pub fn is_framed(&self) -> bool {
        self.0.content != Content::Response
    }

    /// The messages that a notice tells of.
    pub fn skipped(&self) -> Option<Skipped> {
        match self.0.content {
            Content::Notice(skipped) => Some(skipped),
            Content::Frames | Content::Response => None,
        }
    }

    /// The end of the frame that starts at `start`.
    pub fn frame_end(&self, start: usize) -> usize {
        if !self.is_framed() {
            return self.bytes().len();
        }
        let (header, payload) = frame::own_frame(&self.bytes()[start..]);
        start + header + payload
    }

    /// Whether the frame that starts at `start` carries a message.
    pub fn is_message(&self, start: usize) -> bool {
        self.0.content == Content::Frames && frame::is_message(self.bytes()[start])
    }

    /// How many messages stand in `range`, which holds whole frames.
    pub fn count_messages(&self, range: Range<usize>) -> u32 {
        if range == (0..self.bytes().len()) {
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
        self.meter.remove(SHARED_BYTES + self.bytes.capacity());
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Batch({} bytes)", self.bytes().len())
    }
}

/// A batch in the making. Its memory is used again once nobody refers to the batch.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    messages: u32,
    /// As many as messages, or none.
    numbers: Vec<u64>,
    meter: Meter,
}

impl BatchBuilder {
    /// Memory over this is given back rather than kept for the next turn.
    const KEPT_BYTES_MAX: usize = 64 * 1024;
    /// Below, nobody minds.
    const SHRUNK_BYTES_MIN: usize = 1024;

    /// A builder whose batches are measured.
    pub fn measured(meter: &Meter) -> BatchBuilder {
        BatchBuilder { meter: meter.clone(), ..BatchBuilder::default() }
    }

    /// Appends a message as one frame; its payload is the parts, joined.
    pub fn push(&mut self, kind: Kind, parts: &[&[u8]]) {
        self.push_frame(Opcode::Data(kind), parts);
    }

    /// The same, for a message that has a number; zero: it has none.
    pub fn push_numbered(&mut self, kind: Kind, parts: &[&[u8]], number: u64) {
        if number > 0 || !self.numbers.is_empty() {
            self.numbers.resize(self.messages as usize, 0);
            self.numbers.push(number);
        }
        self.push(kind, parts);
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
        let (mut bytes, messages) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.messages));
        // Memory of a large batch before must not be kept alive by a client that waits for a small one.
        if bytes.capacity() > Self::SHRUNK_BYTES_MIN && bytes.len() * 4 < bytes.capacity() {
            bytes.shrink_to_fit();
        }
        let numbers = match self.numbers.is_empty() {
            true => Rc::default(),
            false => std::mem::take(&mut self.numbers).into(),
        };
        Batch::new(bytes, Content::Frames, messages, numbers, &self.meter)
    }

    /// Takes a batch's memory back, if the caller was the last to hold it.
    pub fn recycle(&mut self, batch: Batch) {
        if !self.bytes.is_empty() {
            return;
        }
        if let Ok(mut shared) = Rc::try_unwrap(batch.0)
            && shared.bytes.capacity() <= Self::KEPT_BYTES_MAX
            && let Bytes::Owned(bytes) = std::mem::replace(&mut shared.bytes, Bytes::Static(b""))
        {
            shared.meter.remove(bytes.capacity());
            self.bytes = bytes;
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
        assert_eq!(Batch::unframed(vec![b'H'; 9].into(), &Meter::default()).frame_end(0), 9);
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
        assert_eq!(meter.bytes(), whole + SHARED_BYTES + 102);
        copy.charge(7);
        assert_eq!(meter.bytes(), whole + SHARED_BYTES + 109);
        copy.release(7);
        drop((copy, batch.clone()));
        assert_eq!(meter.bytes(), whole);
        builder.recycle(batch);
        assert_eq!(meter.bytes(), 0);
        let page = Batch::unframed(b"a page".as_slice().into(), &meter);
        assert_eq!(
            (page.bytes(), meter.bytes()),
            (b"a page".as_slice(), SHARED_BYTES),
            "its bytes take none"
        );
        drop((page, Batch::unframed(vec![b'x'; 9].into(), &meter)));
        assert_eq!(Meter::default().bytes(), 0);
    }

    #[test]
    fn numbers_are_found_again_in_parts_and_copies() {
        let mut builder = BatchBuilder::default();
        builder.push_numbered(Kind::Text, &[b"a"], 0);
        builder.push_numbered(Kind::Text, &[b"b"], 0);
        for number in [7, 8, 0, 9] {
            builder.push_numbered(Kind::Text, &[b"x"], number);
        }
        let batch = builder.seal();
        let of = |batch: &Batch, range: Range<usize>| {
            let Skipped { messages, numbers } = batch.messages_in(range);
            (messages, numbers)
        };
        assert_eq!(of(&batch, 0..18), (6, Some((7, 9))));
        assert_eq!(of(&batch, 0..6), (2, None));
        assert_eq!(of(&batch, 3..9), (2, Some((7, 7))));
        assert_eq!(of(&batch, 9..15), (2, Some((8, 8))));
        let copy = batch.copy_of(9..18);
        assert_eq!(of(&copy, 0..9), (3, Some((8, 9))));
        assert_eq!(of(&copy, 3..9), (2, Some((9, 9))));
        builder.push_numbered(Kind::Text, &[b"x"], 0);
        assert_eq!(of(&builder.seal(), 0..3), (1, None), "nothing is left of the batch before");
    }

    #[test]
    fn both_together() {
        let skipped = |messages, numbers| Skipped { messages, numbers };
        let one = skipped(3, Some((4, 6)));
        assert_eq!(one.and(skipped(2, Some((7, 8)))), skipped(5, Some((4, 8))));
        assert_eq!(one.and(skipped(1, None)), skipped(4, Some((4, 6))));
        assert_eq!(skipped(1, None).and(one), skipped(4, Some((4, 6))));
    }

    #[test]
    fn a_notice_is_a_frame_and_no_message() {
        let skipped = Skipped { messages: 7, numbers: None };
        let notice = Batch::notice(Kind::Text, b"ab", skipped, &Meter::default());
        assert_eq!(notice.bytes(), b"\x81\x02ab");
        assert!(notice.skipped() == Some(skipped) && notice.is_framed() && !notice.is_message(0));
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
