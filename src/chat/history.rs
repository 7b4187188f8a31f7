//! The last messages of a room: the end of all that it accepted, without a gap.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use jiff::Timestamp;

use super::identity::{Member, PersonId};
use crate::websocket::Kind;

/// Bytes of the messages that a room remembers.
pub(super) const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// What one of them takes, beside its payload.
const SAID_BYTES: usize = allocation(size_of::<Said>());

/// A message that a room accepted.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) id: PersonId,
    pub(super) who: Rc<str>,
    pub(super) kind: Kind,
    /// Bytes of the JSON form, once somebody has asked; zero before.
    pub(super) encoded_bytes: Cell<u32>,
    pub(super) payload: Box<[u8]>,
}

/// Invariant: the numbers follow each other up to the last that the room gave.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Boxed: of many rooms that grow and are trimmed, large pieces would leave holes that no other fits.
    messages: VecDeque<Box<Said>>,
    /// Of the payloads.
    bytes: usize,
    /// Of the allocations: the payloads', and the names' that are not those of the message before.
    allocated: usize,
}

impl History {
    /// Remembers a message, and forgets the oldest over the limits.
    pub(super) fn push(
        &mut self,
        seq: u64,
        time: Timestamp,
        member: &Member,
        kind: Kind,
        payload: &[u8],
        most: usize,
    ) {
        if most == 0 {
            return;
        }
        assert!(self.messages.back().is_none_or(|last| last.seq + 1 == seq), "no gap");
        let (id, who) = (member.id, Rc::clone(&member.who));
        let said = Said { seq, time, id, who, kind, encoded_bytes: Cell::new(0), payload: payload.into() };
        self.bytes += payload.len();
        self.allocated +=
            allocation(payload.len()) + said.name_bytes(self.messages.back().map(Box::as_ref)) + SAID_BYTES;
        self.messages.push_back(Box::new(said));
        while self.messages.len() > most || self.bytes > HISTORY_BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// What came behind `since`, if nothing of it is forgotten; `last` is the room's last number.
    pub(super) fn behind(
        &self,
        since: u64,
        last: u64,
    ) -> Option<impl Iterator<Item = &Said> + Clone + use<'_>> {
        let missed = usize::try_from(last.checked_sub(since)?).ok()?;
        let first = self.messages.len().checked_sub(missed)?;
        Some(self.messages.iter().skip(first).map(Box::as_ref))
    }

    /// The last before `before`, the oldest first: as many as asked for, and as fit so many bytes of the JSON
    /// form, but one if there is one; and whether there are more.
    pub(super) fn before(
        &self,
        before: u64,
        limit: usize,
        bytes_max: usize,
    ) -> (impl Iterator<Item = &Said>, bool) {
        let end = self.messages.partition_point(|said| said.seq < before);
        let mut start = end.saturating_sub(limit);
        let mut bytes = 0;
        for index in (start..end).rev() {
            bytes += self.messages[index].encoded_bytes();
            if bytes > bytes_max {
                start = (index + 1).min(end - 1);
                break;
            }
        }
        (self.messages.range(start..end).map(Box::as_ref), start > 0)
    }

    /// What all of it takes, with what it costs to have it.
    pub(super) fn cost(&self) -> usize {
        self.allocated + self.messages.capacity() * size_of::<Box<Said>>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets the oldest until it costs so much at most.
    pub(super) fn trim(&mut self, cost_max: usize) {
        let entries = |messages: &VecDeque<Box<Said>>| messages.len() * size_of::<Box<Said>>();
        while !self.messages.is_empty() && self.allocated + entries(&self.messages) > cost_max {
            self.forget_oldest();
        }
        self.messages.shrink_to_fit();
    }

    fn forget_oldest(&mut self) {
        let oldest = self.messages.pop_front().expect("there is one");
        self.bytes -= oldest.payload.len();
        self.allocated -= allocation(oldest.payload.len()) + SAID_BYTES;
        // The name stays with the next one, if it is of the same.
        let is_shared = self.messages.front().is_some_and(|next| Rc::ptr_eq(&next.who, &oldest.who));
        self.allocated -= if is_shared { 0 } else { oldest.name_bytes(None) };
    }
}

impl Said {
    /// What its name takes, unless it is that of the message before.
    fn name_bytes(&self, before: Option<&Said>) -> usize {
        let is_shared = before.is_some_and(|before| Rc::ptr_eq(&before.who, &self.who));
        if is_shared { 0 } else { allocation(self.who.len() + 2 * size_of::<usize>()) }
    }
}

/// What an allocation of so many bytes takes: with its head, in steps of sixteen.
pub(super) const fn allocation(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => (bytes + 8).next_multiple_of(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(payloads: &[usize], most: usize) -> History {
        let member = Member::new(PersonId(1), "10.0.0.1:1".parse().expect("an address"), Some("a"), false);
        let mut history = History::default();
        for (seq, bytes) in (1..).zip(payloads) {
            history.push(seq, Timestamp::UNIX_EPOCH, &member, Kind::Text, &vec![b'x'; *bytes], most);
        }
        history
    }

    fn seqs<'a>(said: impl Iterator<Item = &'a Said>) -> Vec<u64> {
        said.map(|said| said.seq).collect()
    }

    #[test]
    fn it_is_bounded_in_messages_and_bytes() {
        assert_eq!(seqs(history(&[1; 10], 3).messages.iter().map(Box::as_ref)), [8, 9, 10]);
        assert!(history(&[1; 10], 0).is_empty());
        let half = HISTORY_BYTES_MAX / 2;
        let full = history(&[half, half, 1], 100);
        assert_eq!((seqs(full.messages.iter().map(Box::as_ref)), full.bytes), (vec![2, 3], half + 1));
        let too_large = history(&[1, HISTORY_BYTES_MAX + 1], 100);
        assert!(too_large.is_empty() && too_large.bytes == 0, "what is behind it would leave a gap");
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
            let (said, has_more) = history.before(before, limit, usize::MAX);
            assert_eq!((seqs(said), has_more), (wanted, more), "before {before}");
        }
    }

    #[test]
    fn an_answer_has_as_much_as_fits_and_one_at_least() {
        let history = history(&[1000; 10], 8);
        let one = history.messages[7].encoded_bytes();
        for (bytes_max, wanted) in [
            (0, vec![10]),
            (one * 2 - 2, vec![10]),
            (one * 2 - 1, vec![9, 10]),
            (one * 100, (3..=10).collect()),
        ] {
            let (said, more) = history.before(11, 100, bytes_max);
            assert_eq!((seqs(said), more), (wanted.clone(), wanted.len() < 8), "{bytes_max}");
        }
        let (said, more) = history.before(3, 100, 0);
        assert_eq!((seqs(said), more), (vec![], false));
    }

    #[test]
    fn what_it_costs_is_what_it_takes_and_nothing_is_left_of_what_goes() {
        let mut history = history(&[1; 100], 100);
        // Of 100 entries 128 have room; each payload takes 32 bytes, and the name is shared.
        assert_eq!(history.cost(), 128 * size_of::<Box<Said>>() + 100 * (SAID_BYTES + 32) + 32);
        assert!(size_of::<Said>() <= 72);
        history.trim(1000);
        assert!(history.cost() <= 1000 && !history.is_empty(), "{}", history.cost());
        assert_eq!(history.messages.back().map(|said| said.seq), Some(100), "the oldest go");
        history.trim(0);
        assert_eq!((history.cost(), history.bytes), (0, 0));
    }
}
