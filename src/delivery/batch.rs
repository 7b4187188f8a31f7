//! Bytes made once and shared by all who get them.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;

use super::meter::Meter;
use super::pieces::{self, Pieces};

/// Whole pieces in one stretch of memory. A clone is a reference.
#[derive(Clone)]
pub struct Batch(Rc<Shared>);

struct Shared {
    bytes: Bytes,
    content: Content,
    pieces: Pieces,
    meter: Meter,
}

/// What a batch takes beside its bytes and its table: itself, two counts, and what two allocations round up.
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

/// What the pieces of a batch are.
#[derive(Clone, Debug)]
enum Content {
    /// Each is a message.
    Messages,
    /// They stand between messages, and nobody counts them.
    Uncounted,
    /// One that tells of what was skipped, and is no message itself. Boxed, since it is rare and large.
    Notice(Box<Skipped>),
    /// One that is the answer to a request.
    Answer,
}

/// Messages that a client did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub messages: u32,
    /// The first and the last of their numbers, if they have any.
    pub numbers: Option<(NonZeroU64, NonZeroU64)>,
}

impl Skipped {
    /// These, and others of the same queue: older or younger ones, since a part of a batch that had begun to leave
    /// may be thrown away after what stood behind it.
    pub fn and(self, other: Skipped) -> Skipped {
        let numbers = match (self.numbers, other.numbers) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
        Skipped { messages: self.messages + other.messages, numbers }
    }
}

impl Batch {
    /// One piece that tells a client of messages that it does not get. It is not counted itself.
    pub fn notice(bytes: Vec<u8>, skipped: Skipped, meter: &Meter) -> Batch {
        let content = Content::Notice(Box::new(skipped));
        Batch::new(Bytes::Owned(bytes), content, Pieces::default(), meter)
    }

    /// The answer to a request: one piece, and no message. Nothing goes before it or inside it.
    pub fn answer(bytes: Cow<'static, [u8]>, meter: &Meter) -> Batch {
        let bytes = match bytes {
            Cow::Owned(bytes) => Bytes::Owned(bytes),
            Cow::Borrowed(bytes) => Bytes::Static(bytes),
        };
        Batch::new(bytes, Content::Answer, Pieces::default(), meter)
    }

    /// A copy of some whole pieces, for a receiver who must not keep the rest alive.
    pub fn copy_of(&self, range: Range<usize>) -> Batch {
        let pieces = self.0.pieces.part(self.indices(range.clone()), self.bytes().len());
        let bytes = Bytes::Owned(self.bytes()[range].to_vec());
        Batch::new(bytes, self.0.content.clone(), pieces, &self.0.meter)
    }

    /// The same pieces, as `recode` writes each behind those before it. It says whether it did, and one that it did
    /// not write stays as it is. `None`: all would stay.
    pub(super) fn recoded(
        &self,
        range: Range<usize>,
        mut recode: impl FnMut(&[u8], &mut Vec<u8>) -> bool,
    ) -> Option<Batch> {
        let mut builder = BatchBuilder::measured(&self.0.meter);
        let mut is_other = false;
        for (index, range) in self.indices(range.clone()).zip(self.pieces(range)) {
            let piece = &self.bytes()[range];
            builder.push(self.0.pieces.number(index), |out| match recode(piece, out) {
                true => is_other = true,
                false => out.extend_from_slice(piece),
            });
        }
        is_other.then(|| builder.seal_as(self.0.content.clone()))
    }

    /// As many pieces, of which those have other bytes for whose numbers there are some.
    pub(super) fn with<'a>(&self, bytes_of: impl Fn(NonZeroU64) -> Option<&'a [u8]>) -> Batch {
        let mut builder = BatchBuilder::measured(&self.0.meter);
        let all = 0..self.bytes().len();
        for (index, range) in self.indices(all.clone()).zip(self.pieces(all)) {
            let number = self.0.pieces.number(index);
            let other = number.and_then(&bytes_of);
            builder.push(number, |out| out.extend_from_slice(other.unwrap_or(&self.bytes()[range])));
        }
        builder.seal_as(self.0.content.clone())
    }

    /// Tells it from all others that are alive.
    pub(super) fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }

    /// Whether somebody else has it.
    pub(super) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    fn new(bytes: Bytes, content: Content, pieces: Pieces, meter: &Meter) -> Batch {
        let shared = Shared { bytes, content, pieces, meter: meter.clone() };
        meter.add(shared.memory());
        Batch(Rc::new(shared))
    }

    /// The messages that stand in `range`, which holds whole pieces.
    pub fn messages_in(&self, range: Range<usize>) -> Skipped {
        if !self.are_messages() {
            return Skipped::default();
        }
        let indices = self.indices(range);
        let messages = indices.end - indices.start;
        if !self.0.pieces.has_numbers() {
            return Skipped { messages, numbers: None };
        }
        let mut numbered = indices.filter_map(|index| self.0.pieces.number(index));
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

    /// Whether this is the answer to a request.
    pub fn is_answer(&self) -> bool {
        matches!(self.0.content, Content::Answer)
    }

    /// The messages that a notice tells of.
    pub fn skipped(&self) -> Option<Skipped> {
        match &self.0.content {
            Content::Notice(skipped) => Some(**skipped),
            _ => None,
        }
    }

    /// Whether each piece is a message. Otherwise none is.
    pub fn are_messages(&self) -> bool {
        matches!(self.0.content, Content::Messages)
    }

    /// Which pieces stand in `range`, which holds whole ones.
    pub fn indices(&self, range: Range<usize>) -> Range<u32> {
        let before = |place| self.0.pieces.before(place, self.bytes().len());
        before(range.start)..before(range.end)
    }

    /// Which piece has the byte at this place, and where that piece is.
    pub fn piece_holding(&self, place: usize) -> (u32, Range<usize>) {
        self.0.pieces.holding(place, self.bytes().len())
    }

    /// Which piece has this number, and where it is. The numbers of a batch rise.
    pub fn piece_numbered(&self, number: NonZeroU64) -> Option<(u32, Range<usize>)> {
        let index = self.0.pieces.numbered(number)?;
        Some((index, self.range(index..index + 1)))
    }

    /// Where a piece ends.
    pub fn piece_end(&self, index: u32) -> usize {
        self.0.pieces.end_of(index + 1, self.bytes().len())
    }

    /// The pieces in `range`, which holds whole ones.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        self.0.pieces.ranges(self.indices(range), self.bytes().len())
    }

    /// How many messages stand in `range`, which holds whole pieces.
    pub fn count_messages(&self, range: Range<usize>) -> u32 {
        let Range { start, end } = self.indices(range);
        if self.are_messages() { end - start } else { 0 }
    }

    /// Where these pieces are.
    pub fn range(&self, indices: Range<u32>) -> Range<usize> {
        let end_of = |count| self.0.pieces.end_of(count, self.bytes().len());
        end_of(indices.start)..end_of(indices.end)
    }
}

impl Shared {
    /// What it takes.
    fn memory(&self) -> usize {
        SHARED_BYTES + self.bytes.capacity() + self.pieces.capacity_bytes()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.meter.remove(self.memory());
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
    pieces: Pieces,
    meter: Meter,
}

impl BatchBuilder {
    /// A builder whose batches are measured.
    pub fn measured(meter: &Meter) -> BatchBuilder {
        BatchBuilder { meter: meter.clone(), ..BatchBuilder::default() }
    }

    /// Appends a piece: what `write` appends to the bytes, which is not nothing.
    #[inline]
    pub fn push(&mut self, number: Option<NonZeroU64>, write: impl FnOnce(&mut Vec<u8>)) {
        let place = self.bytes.len();
        self.pieces.begin(place, number);
        write(&mut self.bytes);
        debug_assert!(self.bytes.len() > place, "a piece has bytes");
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was appended since the last seal.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends a batch whose pieces are messages, and starts the next one.
    pub fn seal(&mut self) -> Batch {
        self.seal_as(Content::Messages)
    }

    /// The same, of pieces that stand between messages and are none.
    pub fn seal_uncounted(&mut self) -> Batch {
        self.seal_as(Content::Uncounted)
    }

    fn seal_as(&mut self, content: Content) -> Batch {
        let bytes = Bytes::Owned(pieces::take_sealed(&mut self.bytes, self.pieces.filled_eighths()));
        Batch::new(bytes, content, self.pieces.seal(), &self.meter)
    }

    /// Takes a batch's memory back, if the caller was the last to hold it, and of its bytes and of its table what takes
    /// no more than `bytes_max`. Nobody measures it here.
    pub fn recycle(&mut self, mut batch: Batch, bytes_max: usize) {
        if !self.bytes.is_empty() {
            return;
        }
        if let Some(shared) = Rc::get_mut(&mut batch.0) {
            shared.meter.remove(shared.memory() - SHARED_BYTES);
            self.pieces.recycle(std::mem::take(&mut shared.pieces), bytes_max);
            if let Bytes::Owned(bytes) = std::mem::replace(&mut shared.bytes, Bytes::Static(b"")) {
                pieces::recycle(&mut self.bytes, bytes, bytes_max);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a builder keeps, at most, of the bytes and of each part of the table.
    const KEPT: usize = 64 * 1024;

    /// Appends a piece of so many bytes.
    fn push(builder: &mut BatchBuilder, bytes: usize, number: u64) {
        builder.push(NonZeroU64::new(number), |out| out.resize(out.len() + bytes, b'x'));
    }

    #[test]
    fn pieces_are_found_again_in_a_batch() {
        let mut builder = BatchBuilder::default();
        for bytes in [5, 204, 70_010] {
            push(&mut builder, bytes, 0);
        }
        let batch = builder.seal();
        assert!(builder.is_empty());
        let ends = [5, 5 + 204, 5 + 204 + 70_010];
        assert_eq!([0, 1, 2].map(|index| batch.piece_end(index)), ends);
        assert_eq!([0, ends[0], ends[1], ends[2]].map(|place| batch.indices(0..place).end), [0, 1, 2, 3]);
        assert_eq!(batch.bytes().len(), ends[2]);
        assert_eq!(batch.count_messages(0..ends[2]), 3);
        assert_eq!(batch.count_messages(ends[0]..ends[1]), 1);
        assert_eq!(batch.count_messages(ends[1]..ends[1]), 0);
        assert_eq!(builder.seal().count_messages(0..0), 0, "nothing");
        push(&mut builder, 3, 0);
        assert_eq!(builder.seal_uncounted().count_messages(0..3), 0);
        let answer = Batch::answer(vec![b'H'; 9].into(), &Meter::default());
        assert_eq!((answer.piece_end(0), answer.count_messages(0..9), answer.is_answer()), (9, 0, true));
        assert_eq!(size_of::<Batch>(), size_of::<usize>());
    }

    #[test]
    #[should_panic(expected = "ranges hold whole pieces")]
    fn a_range_that_tears_a_piece_is_a_bug() {
        let mut builder = BatchBuilder::default();
        [4, 5, 6].iter().for_each(|bytes| push(&mut builder, *bytes, 0));
        builder.seal().count_messages(4..10);
    }

    #[test]
    fn a_meter_shows_what_is_alive() {
        let meter = Meter::new();
        let mut builder = BatchBuilder::measured(&meter);
        push(&mut builder, 102, 0);
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
        builder.recycle(batch, KEPT);
        assert_eq!(meter.bytes(), 0);
        let page = Batch::answer(b"a page".as_slice().into(), &meter);
        assert_eq!(
            (page.bytes(), meter.bytes()),
            (b"a page".as_slice(), SHARED_BYTES),
            "its bytes take none"
        );
        drop((page, Batch::answer(vec![b'x'; 9].into(), &meter)));
        assert_eq!(Meter::default().bytes(), 0);
    }

    #[test]
    fn a_table_is_measured_used_again_and_no_part_of_a_batch_of_one() {
        let meter = Meter::new();
        let mut builder = BatchBuilder::measured(&meter);
        // What the table of a batch takes, and what the builder then has of it.
        let mut seal = |count: u64, first: u64| {
            (0..count).for_each(|index| push(&mut builder, 10, if first > 0 { first + index } else { 0 }));
            let batch = builder.seal();
            let table_bytes = batch.0.pieces.capacity_bytes();
            assert_eq!(meter.bytes(), SHARED_BYTES + batch.0.bytes.capacity() + table_bytes);
            builder.recycle(batch, KEPT);
            assert_eq!(meter.bytes(), 0);
            (table_bytes, builder.pieces.capacity_bytes())
        };
        assert_eq!([seal(1, 0), seal(1, 7)], [(0, 0); 2]);
        let plain = seal(100, 0).0;
        assert!((100..=256).contains(&plain), "little more than a byte a piece: {plain}");
        let numbered = seal(100, 1).0 - plain;
        assert!((8 * 99..=8 * 128).contains(&numbered), "and eight a number: {numbered}");
        let numbered = numbered + plain;
        assert_eq!(seal(1, 1), (0, numbered), "it stays with the builder meanwhile");
        assert_eq!(seal(100, 1), (numbered, numbered));
        let large = seal(5_000, 0).0;
        assert!((5_000..=5_000 * 2).contains(&large), "nor much in advance: {large}");
        assert!(seal(200, 0).0 < large / 4, "a large one is not kept alive by a small one");
        assert_eq!(seal(200_000, 1).1, 0, "nor kept at all if it is too large");
    }

    #[test]
    fn numbers_are_found_again_in_parts_and_copies() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, 3, 0);
        push(&mut builder, 3, 0);
        for number in [7, 8, 0, 9] {
            push(&mut builder, 3, number);
        }
        let batch = builder.seal();
        let of = |batch: &Batch, range: Range<usize>| {
            let Skipped { messages, numbers } = batch.messages_in(range);
            (messages, numbers.map(|(first, last)| (first.get(), last.get())))
        };
        assert_eq!(of(&batch, 0..18), (6, Some((7, 9))));
        assert_eq!(of(&batch, 0..6), (2, None));
        assert_eq!(of(&batch, 3..9), (2, Some((7, 7))));
        assert_eq!(of(&batch, 9..15), (2, Some((8, 8))));
        let copy = batch.copy_of(9..18);
        assert_eq!(of(&copy, 0..9), (3, Some((8, 9))));
        assert_eq!(of(&copy, 3..9), (2, Some((9, 9))));
        push(&mut builder, 3, 0);
        assert_eq!(of(&builder.seal(), 0..3), (1, None), "nothing is left of the batch before");
    }

    #[test]
    fn both_together() {
        let number = |number| NonZeroU64::new(number).expect("from one on");
        let skipped = |messages, numbers: Option<(u64, u64)>| {
            let numbers = numbers.map(|(first, last)| (number(first), number(last)));
            Skipped { messages, numbers }
        };
        let one = skipped(3, Some((4, 6)));
        assert_eq!(one.and(skipped(2, Some((7, 8)))), skipped(5, Some((4, 8))));
        assert_eq!(skipped(2, Some((7, 8))).and(one), skipped(5, Some((4, 8))), "the older ones went later");
        assert_eq!(one.and(skipped(1, None)), skipped(4, Some((4, 6))));
        assert_eq!(skipped(1, None).and(one), skipped(4, Some((4, 6))));
    }

    #[test]
    fn a_notice_is_a_piece_and_no_message() {
        let skipped = Skipped { messages: 7, numbers: None };
        let notice = Batch::notice(b"ab".to_vec(), skipped, &Meter::default());
        assert_eq!(notice.bytes(), b"ab");
        assert!(notice.skipped() == Some(skipped) && !notice.is_answer() && !notice.are_messages());
        assert_eq!((notice.count_messages(0..2), notice.piece_end(0)), (0, 2));
        assert_eq!(notice.messages_in(0..2), Skipped::default());
    }

    #[test]
    fn memory_comes_back_only_from_the_last_holder() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, 50, 0);
        push(&mut builder, 50, 0);
        let batch = builder.seal();
        let other = batch.clone();
        builder.recycle(batch, KEPT);
        let capacities = |builder: &BatchBuilder| (builder.bytes.capacity(), builder.pieces.capacity_bytes());
        assert_eq!(capacities(&builder), (0, 0), "somebody still reads it");
        builder.recycle(other, KEPT);
        let (bytes, table_bytes) = capacities(&builder);
        assert!(bytes >= 100 && table_bytes >= 1 && builder.is_empty());
    }

    /// Lengths of pieces, and their numbers, zero for none.
    fn lists_of_pieces() -> impl Strategy<Value = Vec<Vec<(usize, u64)>>> {
        let piece = (1_usize..30, prop_oneof![Just(0), 1_u64..1000]);
        prop::collection::vec(prop::collection::vec(piece, 0..20), 1..4)
    }

    proptest! {
        #[test]
        fn every_part_and_copy_is_as_its_pieces_were_pushed(
            lists in lists_of_pieces(),
            cuts in prop::collection::vec((0_usize..20, 0_usize..20), 4),
        ) {
            let meter = Meter::new();
            let mut builder = BatchBuilder::measured(&meter);
            for list in &lists {
                list.iter().for_each(|(bytes, number)| push(&mut builder, *bytes, *number));
                let batch = builder.seal();
                let mut places = vec![0];
                places.extend(list.iter().scan(0, |end, (bytes, _)| { *end += bytes; Some(*end) }));
                for (index, place) in places.iter().enumerate() {
                    prop_assert_eq!(batch.indices(0..*place), 0..u32::try_from(index).expect("few"));
                }
                let whole = (0, list.len());
                for (one, other) in cuts.iter().chain([&whole]) {
                    let (one, other) = (*one.min(&list.len()), *other.min(&list.len()));
                    let (from, to) = (one.min(other), one.max(other));
                    let part = places[from]..places[to];
                    let copy = batch.copy_of(part.clone());
                    for (batch, base) in [(&batch, part.start), (&copy, 0)] {
                        let moved = |place: usize| place - part.start + base;
                        let range = moved(part.start)..moved(part.end);
                        let wanted: Vec<_> = (from..to)
                            .map(|index| moved(places[index])..moved(places[index + 1]))
                            .collect();
                        prop_assert_eq!(batch.pieces(range.clone()).collect::<Vec<_>>(), wanted);
                        prop_assert_eq!(batch.count_messages(range.clone()) as usize, to - from);
                        let numbers: Vec<u64> =
                            list[from..to].iter().map(|(_, number)| *number).filter(|number| *number > 0).collect();
                        let wanted = numbers.first().copied().zip(numbers.last().copied());
                        let found = batch.messages_in(range).numbers;
                        prop_assert_eq!(found.map(|(first, last)| (first.get(), last.get())), wanted);
                    }
                }
                builder.recycle(batch, KEPT);
            }
            prop_assert_eq!(meter.bytes(), 0);
        }
    }
}
