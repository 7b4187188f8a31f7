//! The last messages of a room: the end of all that it accepted, without a gap.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroU64};
use std::rc::Rc;

use jiff::Timestamp;

use super::form_set::FormSet;
use super::room_event::Said;
use crate::broker::{Author, Committed};
use crate::id::{FormId, PersonId};
use crate::websocket::Kind;

/// Bytes of the messages that a room remembers.
pub(super) const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// What one of them takes, beside its payload.
const REMEMBERED_BYTES: usize = allocation(size_of::<Remembered>());

/// A message that a room accepted.
#[derive(Debug)]
pub(super) struct Remembered {
    seq: NonZeroU64,
    time: Timestamp,
    id: PersonId,
    who: Rc<str>,
    kind: Kind,
    /// Bytes that it takes in a form, the one in which somebody has asked for it last; none before. Apart, since
    /// together they would take more.
    measured: Cell<Option<NonZeroU32>>,
    measured_form: Cell<FormId>,
    payload: Box<[u8]>,
}

/// Invariant: the numbers follow each other up to the last that the room gave.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Boxed: of many rooms that grow and are trimmed, large pieces would leave holes that no other fits.
    messages: VecDeque<Box<Remembered>>,
    /// Of the payloads.
    bytes: usize,
    /// Of the allocations: the payloads', and the names' that are not those of the message before.
    allocated: usize,
}

impl History {
    /// Remembers a message, and forgets the oldest over the limits.
    pub(super) fn push(&mut self, at: Committed, author: &Author, kind: Kind, payload: &[u8], most: usize) {
        if most == 0 {
            return;
        }
        let Committed { seq, time } = at;
        assert!(self.messages.back().is_none_or(|last| last.seq.checked_add(1) == Some(seq)), "no gap");
        let (id, who) = (author.id, Rc::clone(&author.name));
        let (measured, measured_form) = (Cell::new(None), Cell::default());
        let new = Remembered { seq, time, id, who, kind, measured, measured_form, payload: payload.into() };
        self.bytes += payload.len();
        self.allocated += allocation(payload.len())
            + new.name_bytes(self.messages.back().map(Box::as_ref))
            + REMEMBERED_BYTES;
        self.messages.push_back(Box::new(new));
        while self.messages.len() > most || self.bytes > HISTORY_BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// What came behind `since`, if nothing of it is forgotten; `last` is the room's last number.
    pub(super) fn behind(
        &self,
        since: u64,
        last: u64,
    ) -> Option<impl Iterator<Item = &Remembered> + Clone + use<'_>> {
        let missed = usize::try_from(last.checked_sub(since)?).ok()?;
        let first = self.messages.len().checked_sub(missed)?;
        Some(self.messages.iter().skip(first).map(Box::as_ref))
    }

    /// The last before `before`, the oldest first: as many as asked for, and as fit so many bytes, but one
    /// if there is one; and whether there are more.
    pub(super) fn before(
        &self,
        before: u64,
        limit: usize,
        bytes_max: usize,
        measure: impl Fn(&Remembered) -> usize,
    ) -> (impl Iterator<Item = &Remembered>, bool) {
        let end = self.messages.partition_point(|said| said.seq.get() < before);
        let mut start = end.saturating_sub(limit);
        let mut bytes = 0;
        for index in (start..end).rev() {
            bytes += measure(&self.messages[index]);
            if bytes > bytes_max {
                start = (index + 1).min(end - 1);
                break;
            }
        }
        (self.messages.range(start..end).map(Box::as_ref), start > 0)
    }

    /// What all of it takes, with what it costs to have it.
    pub(super) fn cost(&self) -> usize {
        self.allocated + self.messages.capacity() * size_of::<Box<Remembered>>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets the oldest until it costs so much at most.
    pub(super) fn trim(&mut self, cost_max: usize) {
        let entries = |messages: &VecDeque<Box<Remembered>>| messages.len() * size_of::<Box<Remembered>>();
        while !self.messages.is_empty() && self.allocated + entries(&self.messages) > cost_max {
            self.forget_oldest();
        }
        self.messages.shrink_to_fit();
    }

    fn forget_oldest(&mut self) {
        let oldest = self.messages.pop_front().expect("there is one");
        self.bytes -= oldest.payload.len();
        self.allocated -= allocation(oldest.payload.len()) + REMEMBERED_BYTES;
        // The name stays with the next one, if it is of the same.
        let is_shared = self.messages.front().is_some_and(|next| Rc::ptr_eq(&next.who, &oldest.who));
        self.allocated -= if is_shared { 0 } else { oldest.name_bytes(None) };
    }
}

impl Remembered {
    /// What was said.
    pub(super) fn said(&self) -> Said<'_> {
        let Remembered { seq, time, id, kind, .. } = *self;
        Said { seq, time, id, who: &self.who, kind, payload: &self.payload }
    }

    /// Bytes that it takes in an answer of a form. They are counted once, as long as one form asks.
    pub(super) fn measure(&self, forms: &dyn FormSet, form: FormId) -> usize {
        let known = self.measured.get().filter(|_| self.measured_form.get() == form);
        let bytes = known.unwrap_or_else(|| {
            let bytes = u32::try_from(forms.measure(form, &self.said())).unwrap_or(u32::MAX);
            let bytes = NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN);
            self.measured.set(Some(bytes));
            self.measured_form.set(form);
            bytes
        });
        bytes.get() as usize
    }

    /// What its name takes, unless it is that of the message before.
    fn name_bytes(&self, before: Option<&Remembered>) -> usize {
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
        let author = Author { id: PersonId(1), name: "a".into() };
        let mut history = History::default();
        for (seq, bytes) in (1..).zip(payloads) {
            let seq = NonZeroU64::new(seq).expect("from one on");
            let at = Committed { seq, time: Timestamp::UNIX_EPOCH };
            history.push(at, &author, Kind::Text, &vec![b'x'; *bytes], most);
        }
        history
    }

    fn seqs<'a>(said: impl Iterator<Item = &'a Remembered>) -> Vec<u64> {
        said.map(|said| said.seq.get()).collect()
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
            let (said, has_more) = history.before(before, limit, usize::MAX, |_| 1);
            assert_eq!((seqs(said), has_more), (wanted, more), "before {before}");
        }
    }

    #[test]
    fn an_answer_has_as_much_as_fits_and_one_at_least() {
        let history = history(&[1000; 10], 8);
        let one = 1_100;
        for (bytes_max, wanted) in
            [(0, vec![10]), (one * 2 - 1, vec![10]), (one * 2, vec![9, 10]), (one * 100, (3..=10).collect())]
        {
            let (said, more) = history.before(11, 100, bytes_max, |_| one);
            assert_eq!((seqs(said), more), (wanted.clone(), wanted.len() < 8), "{bytes_max}");
        }
        let (said, more) = history.before(3, 100, 0, |_| one);
        assert_eq!((seqs(said), more), (vec![], false));
    }

    #[test]
    fn what_it_costs_is_what_it_takes_and_nothing_is_left_of_what_goes() {
        let mut history = history(&[1; 100], 100);
        // Of 100 entries 128 have room; each payload takes 32 bytes, and the name is shared.
        assert_eq!(history.cost(), 128 * size_of::<Box<Remembered>>() + 100 * (REMEMBERED_BYTES + 32) + 32);
        assert!(size_of::<Remembered>() <= 72);
        history.trim(1000);
        assert!(history.cost() <= 1000 && !history.is_empty(), "{}", history.cost());
        assert_eq!(history.messages.back().map(|said| said.seq.get()), Some(100), "the oldest go");
        history.trim(0);
        assert_eq!((history.cost(), history.bytes), (0, 0));
    }
}
