//! A part of a batch that waits for one client.

use std::num::NonZeroU64;
use std::ops::Range;

use crate::delivery::Batch;

/// What an entry costs beside the bytes that it refers to: tiny messages must not wait for nothing.
pub(super) const ENTRY_BYTES: usize = size_of::<OutboxEntry>();

/// A part of a batch that has still to leave.
#[derive(Debug)]
pub(super) struct OutboxEntry {
    pub(super) batch: Batch,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Messages whose last byte has not left.
    pub(super) messages: u32,
    /// Which piece of the batch the next byte is of.
    piece: u32,
    /// So many bytes from `start` on are sealed already: they leave together, and before anything else.
    sealed: u32,
    /// That piece has begun to leave: the rest of it must leave before anything else may.
    pub(super) has_begun: bool,
    /// A ping or a pong.
    pub(super) is_urgent: bool,
    /// A ping: its answer is due from when it has left.
    pub(super) is_ping: bool,
    /// It is for this client alone, who waits for it: no policy drops it.
    pub(super) is_undroppable: bool,
}

impl OutboxEntry {
    /// Refers to a part of a batch, or copies it where it is the smaller part: who waits for a few
    /// pieces must not keep a large batch alive that nobody else needs.
    pub(super) fn new(batch: &Batch, range: Range<usize>) -> OutboxEntry {
        if range.len() * 2 < batch.bytes().len() {
            OutboxEntry::whole(batch.copy_of(range))
        } else {
            OutboxEntry::part(batch.clone(), range)
        }
    }

    pub(super) fn whole(batch: Batch) -> OutboxEntry {
        let range = 0..batch.bytes().len();
        OutboxEntry::part(batch, range)
    }

    pub(super) fn part(batch: Batch, range: Range<usize>) -> OutboxEntry {
        let pieces = batch.indices(range.clone());
        batch.charge(ENTRY_BYTES);
        OutboxEntry {
            start: range.start,
            end: range.end,
            messages: if batch.are_messages() { pieces.end - pieces.start } else { 0 },
            piece: pieces.start,
            sealed: 0,
            // An answer counts as begun: nothing goes before it, and no cut drops it.
            has_begun: batch.is_answer(),
            is_urgent: false,
            is_ping: false,
            is_undroppable: false,
            batch,
        }
    }

    /// The first and the last number of what waits here.
    pub(super) fn numbers(&self) -> Option<(NonZeroU64, NonZeroU64)> {
        self.batch.messages_in(self.begun_until()..self.end).numbers
    }

    /// Whether the piece of this number waits here and has not begun to leave.
    pub(super) fn holds(&self, number: NonZeroU64) -> bool {
        let piece = self.batch.piece_numbered(number);
        piece.is_some_and(|(_, range)| range.start >= self.begun_until() && range.end <= self.end)
    }

    /// Refers to the same pieces of another batch. Nothing of them has begun to leave.
    pub(super) fn exchange(&mut self, batch: Batch) {
        debug_assert!(!self.has_begun, "what has begun to leave stays as it is");
        let range = batch.range(self.batch.indices(self.start..self.end));
        (self.start, self.end) = (range.start, range.end);
        batch.charge(ENTRY_BYTES);
        std::mem::replace(&mut self.batch, batch).release(ENTRY_BYTES);
    }

    /// What stands here from a place between pieces on; `None` if that is nothing.
    pub(super) fn part_from(&self, place: usize) -> Option<OutboxEntry> {
        let mut part = (place < self.end).then(|| OutboxEntry::part(self.batch.clone(), place..self.end))?;
        part.is_undroppable = self.is_undroppable;
        Some(part)
    }

    /// Ends before a place between pieces. `false`: nothing would be left.
    pub(super) fn cut_at(&mut self, place: usize) -> bool {
        if place == self.start {
            return false;
        }
        self.messages -= self.batch.count_messages(place..self.end);
        self.end = place;
        true
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.batch.bytes()[self.start..self.end]
    }

    /// The end of what must leave before anything else may.
    pub(super) fn begun_until(&self) -> usize {
        if self.has_begun { self.last_begun().1.end } else { self.start }
    }

    /// Messages that have begun to leave and whose last byte has not left.
    pub(super) fn begun_messages(&self) -> u32 {
        if self.has_begun && self.batch.are_messages() { self.last_begun().0 - self.piece + 1 } else { 0 }
    }

    /// The last piece that has begun, of one that has, and where it is.
    fn last_begun(&self) -> (u32, Range<usize>) {
        self.batch.piece_holding(self.start + (self.sealed as usize).saturating_sub(1))
    }

    /// So many bytes at its front are sealed.
    pub(super) fn seal(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes().len(), "of this entry");
        self.sealed = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.has_begun = true;
    }

    /// Whether some of it is sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed > 0
    }

    /// The bytes of the largest piece that has not left.
    pub(super) fn largest_piece(&self) -> usize {
        let begun_until = self.begun_until();
        let others = self.batch.pieces(begun_until..self.end).map(|piece| piece.len());
        others.max().unwrap_or(0).max(begun_until - self.start)
    }

    /// Walks to the piece in which the cursor now stands, behind bytes that have left, and counts the messages that
    /// have left with them.
    pub(super) fn advance(&mut self, written: usize) {
        self.start += written;
        assert!(self.start < self.end, "what has left is no entry");
        self.sealed = self.sealed.saturating_sub(u32::try_from(written).unwrap_or(u32::MAX));
        self.has_begun = true;
        let (piece, range) = self.batch.piece_holding(self.start);
        if piece > self.piece {
            self.messages -= if self.batch.are_messages() { piece - self.piece } else { 0 };
            self.piece = piece;
            self.has_begun = self.start > range.start;
        }
    }
}

impl Drop for OutboxEntry {
    fn drop(&mut self) {
        self.batch.release(ENTRY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::{BatchBuilder, Meter};

    #[test]
    fn an_entry_is_five_words() {
        assert!(size_of::<OutboxEntry>() <= 40, "{}", size_of::<OutboxEntry>());
    }

    proptest! {
        #[test]
        fn a_cursor_knows_what_has_begun_and_what_is_left(
            lengths in prop::collection::vec(1_usize..9, 1..20),
            are_messages: bool,
            (from, to) in (0_usize..20, 0_usize..20),
            steps in prop::collection::vec(0_usize..30, 1..12),
        ) {
            let meter = Meter::new();
            let mut builder = BatchBuilder::measured(&meter);
            for length in &lengths {
                builder.push(None, |out| out.resize(out.len() + length, b'x'));
            }
            let batch = if are_messages { builder.seal() } else { builder.seal_uncounted() };
            let place = |index: usize| lengths[..index.min(lengths.len())].iter().sum::<usize>();
            let part = place(from.min(to))..place(from.max(to) + 1);
            let ends: Vec<usize> = (1..=lengths.len()).map(place).filter(|end| part.contains(&(end - 1))).collect();
            let mut entry = OutboxEntry::part(batch, part.clone());
            let mut at = part.start;
            for step in steps {
                // Found naively: a piece has begun if the cursor is neither at the start nor at the end of one.
                let has_begun = at != part.start && !ends.contains(&at);
                let next = ends.iter().copied().find(|end| *end > at).unwrap_or(part.end);
                let begun_until = if has_begun { next } else { at };
                let left = ends.iter().filter(|end| **end > at).count();
                prop_assert_eq!((entry.has_begun, entry.begun_until()), (has_begun, begun_until));
                prop_assert_eq!(entry.begun_messages(), u32::from(has_begun && are_messages));
                prop_assert_eq!(entry.messages as usize, if are_messages { left } else { 0 });
                let lengths = ends.iter().scan(at, |start, end| {
                    let length = end.saturating_sub(*start);
                    *start = (*start).max(*end);
                    Some(length)
                });
                prop_assert_eq!(entry.largest_piece(), lengths.max().unwrap_or(0));
                if at + step < part.end && step > 0 {
                    at += step;
                    entry.advance(step);
                }
            }
            drop(entry);
            prop_assert_eq!(meter.bytes(), 0);
        }
    }
}
