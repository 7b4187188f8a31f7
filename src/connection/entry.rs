//! A part of a batch that waits for one client.

use std::ops::Range;

use crate::planted::planted;
use crate::websocket::Batch;

/// What an entry costs beside the bytes that it refers to: tiny messages must not wait for nothing.
pub(super) const ENTRY_BYTES: usize = size_of::<OutboxEntry>();

/// A part of a batch that has still to leave.
#[derive(Debug)]
pub(super) struct OutboxEntry {
    pub(super) batch: Batch,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The end of what must leave before anything else may: of a frame that has begun.
    pub(super) begun_until: usize,
    /// Messages whose last byte has not left.
    pub(super) messages: u32,
    /// The frame that has begun is a message.
    pub(super) has_begun_message: bool,
    /// A ping or a pong.
    pub(super) is_urgent: bool,
    /// A ping: its answer is due from when it has left.
    pub(super) is_ping: bool,
    /// It is for this client alone, who waits for it: no policy drops it.
    pub(super) is_undroppable: bool,
}

impl OutboxEntry {
    /// Refers to a part of a batch, or copies it where it is the smaller part: who waits for a few
    /// frames must not keep a large batch alive that nobody else needs.
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
        // A response of HTTP counts as begun: nothing goes before it, and no cut drops it.
        let begun_until = if batch.is_framed() { range.start } else { range.end };
        let messages = batch.count_messages(range.clone());
        batch.charge(ENTRY_BYTES);
        OutboxEntry {
            batch,
            start: range.start,
            end: range.end,
            begun_until,
            messages,
            has_begun_message: false,
            is_urgent: false,
            is_ping: false,
            is_undroppable: false,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.batch.bytes()[self.start..self.end]
    }

    /// The bytes of the largest frame that has not left.
    pub(super) fn largest_frame(&self) -> usize {
        let mut largest = self.begun_until - self.start;
        let mut start = self.begun_until;
        while start < self.end {
            let end = self.batch.frame_end(start);
            largest = largest.max(end - start);
            start = end;
        }
        largest
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun_until > self.start
    }

    /// Walks to the frame in which the cursor now stands, and counts the messages that have left.
    pub(super) fn advance(&mut self, written: usize) {
        self.start += written;
        while self.begun_until <= self.start {
            self.messages -= u32::from(std::mem::take(&mut self.has_begun_message));
            if self.begun_until == self.start {
                break;
            }
            self.has_begun_message = self.batch.is_message(self.begun_until);
            self.begun_until = self.batch.frame_end(self.begun_until);
        }
        assert!(self.begun_until <= self.end, "entries hold whole frames");
    }
}

impl Drop for OutboxEntry {
    fn drop(&mut self) {
        if !planted!("memory_not_given_back") {
            self.batch.release(ENTRY_BYTES);
        }
    }
}
