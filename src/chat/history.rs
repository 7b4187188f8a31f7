//! The last messages of a room: the end of all that it accepted, without a gap.

use std::collections::VecDeque;
use std::rc::Rc;

use jiff::Timestamp;

use super::person::{PersonId, Voice};
use crate::websocket::Kind;

/// Bytes of the messages that a room remembers.
pub(super) const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// A message that a room accepted.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) id: PersonId,
    pub(super) who: Rc<str>,
    pub(super) kind: Kind,
    pub(super) payload: Box<[u8]>,
}

/// Invariant: the numbers follow each other up to the last that the room gave.
#[derive(Debug, Default)]
pub(super) struct History {
    messages: VecDeque<Said>,
    bytes: usize,
}

impl History {
    /// Remembers a message, and forgets the oldest over the limits.
    pub(super) fn push(
        &mut self,
        seq: u64,
        time: Timestamp,
        voice: &Voice,
        kind: Kind,
        payload: &[u8],
        most: usize,
    ) {
        if most == 0 {
            return;
        }
        assert!(self.messages.back().is_none_or(|last| last.seq + 1 == seq), "no gap");
        self.bytes += payload.len();
        let (id, who) = (voice.id, Rc::clone(&voice.who));
        self.messages.push_back(Said { seq, time, id, who, kind, payload: payload.into() });
        while self.messages.len() > most || self.bytes > HISTORY_BYTES_MAX {
            let oldest = self.messages.pop_front().expect("there is one");
            self.bytes -= oldest.payload.len();
        }
    }

    /// What came behind `since`, if nothing of it is forgotten; `last` is the room's last number.
    pub(super) fn behind(&self, since: u64, last: u64) -> Option<impl Iterator<Item = &Said>> {
        let missed = usize::try_from(last.checked_sub(since)?).ok()?;
        let first = self.messages.len().checked_sub(missed)?;
        Some(self.messages.iter().skip(first))
    }

    /// At most so many before `before`, the oldest first; and whether there are more.
    pub(super) fn before(&self, before: u64, limit: usize) -> (impl Iterator<Item = &Said>, bool) {
        let end = self.messages.partition_point(|said| said.seq < before);
        let start = end.saturating_sub(limit);
        (self.messages.range(start..end), start > 0)
    }

    /// When the last of them was said.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.messages.back().map(|said| said.time)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = History::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(payloads: &[usize], most: usize) -> History {
        let voice = Voice::new(PersonId(1), "10.0.0.1:1".parse().expect("an address"), Some("a"), None);
        let mut history = History::default();
        for (seq, bytes) in (1..).zip(payloads) {
            history.push(seq, Timestamp::UNIX_EPOCH, &voice, Kind::Text, &vec![b'x'; *bytes], most);
        }
        history
    }

    fn seqs<'a>(said: impl Iterator<Item = &'a Said>) -> Vec<u64> {
        said.map(|said| said.seq).collect()
    }

    #[test]
    fn it_is_bounded_in_messages_and_bytes() {
        assert_eq!(seqs(history(&[1; 10], 3).messages.iter()), [8, 9, 10]);
        assert!(history(&[1; 10], 0).is_empty());
        let half = HISTORY_BYTES_MAX / 2;
        let full = history(&[half, half, 1], 100);
        assert_eq!((seqs(full.messages.iter()), full.bytes()), (vec![2, 3], half + 1));
        let too_large = history(&[1, HISTORY_BYTES_MAX + 1], 100);
        assert!(too_large.is_empty() && too_large.bytes() == 0, "what is behind it would leave a gap");
    }

    #[test]
    fn what_was_missed_is_there_whole_or_not_at_all() {
        let history = history(&[1; 10], 4);
        let behind = |since| history.behind(since, 10).map(seqs);
        assert_eq!(behind(10), Some(vec![]));
        assert_eq!(behind(8), Some(vec![9, 10]));
        assert_eq!(behind(6), Some(vec![7, 8, 9, 10]));
        assert_eq!(behind(5), None);
        assert_eq!(behind(11), None, "nobody has heard that yet");
    }

    #[test]
    fn pages_backwards() {
        let history = history(&[1; 10], 8);
        for (before, limit, wanted, more) in [
            (11, 3, vec![8, 9, 10], true),
            (8, 3, vec![5, 6, 7], true),
            (5, 3, vec![3, 4], false),
            (3, 3, vec![], false),
            (u64::MAX, 100, (3..=10).collect(), false),
            (0, 3, vec![], false),
        ] {
            let (said, has_more) = history.before(before, limit);
            assert_eq!((seqs(said), has_more), (wanted, more), "before {before}");
        }
    }
}
