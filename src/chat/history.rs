//! The last messages of a room, and what has become of them: what a resume and `history` give.
//!
//! Messages and changes are kept apart, so that no flood of reactions makes a room forget what was said.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroU64};
use std::rc::Rc;

use jiff::Timestamp;

use super::allocation::allocation;
use super::form_set::FormSet;
use super::reactions::Reactions;
use super::room_event::{Change, Changed, Fate, RoomEvent, Said};
use crate::broker::{Action, Author, Committed};
use crate::id::{FormId, PersonId};
use crate::websocket::Kind;

/// Bytes of the messages that a room remembers.
pub(super) const HISTORY_BYTES_MAX: usize = 256 * 1024;
/// Changes that a room remembers for those who resume, and bytes of the texts in them.
const CHANGES_MAX: usize = 1000;
const CHANGES_BYTES_MAX: usize = 64 * 1024;

/// What one of them takes, beside its payload.
const REMEMBERED_BYTES: usize = allocation(size_of::<Remembered>());
const CHANGE_BYTES: usize = allocation(size_of::<RememberedChange>());
/// What a change takes in an answer beside its text, of which each byte may be escaped.
const CHANGE_TOLD_BYTES: usize = 512;
const ESCAPED_BYTES: usize = 6;

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
    /// What most messages do not have.
    more: Option<Box<More>>,
}

/// What a message answers, and what has become of it.
#[derive(Debug, Default)]
struct More {
    re: Option<NonZeroU64>,
    fate: Fate,
    reactions: Reactions,
}

/// An entry of a room that changes a message.
#[derive(Debug)]
pub(super) struct RememberedChange {
    seq: NonZeroU64,
    time: Timestamp,
    id: PersonId,
    who: Rc<str>,
    of: NonZeroU64,
    kept: KeptChange,
}

#[derive(Debug)]
enum KeptChange {
    Edited { text: Box<[u8]>, deleted: Option<NonZeroU64> },
    Deleted,
    Reacted { emoji: Box<str>, is_on: bool, count: usize },
}

/// Something that somebody has missed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missed<'a> {
    Said(&'a Remembered),
    Changed(&'a RememberedChange),
}

/// Invariant: of all that the room accepted behind the number up to which something is forgotten, everything is here.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Boxed: of many rooms that grow and are trimmed, large pieces would leave holes that no other fits.
    messages: VecDeque<Box<Remembered>>,
    changes: VecDeque<Box<RememberedChange>>,
    /// Up to this number something is forgotten.
    forgotten: u64,
    /// The last number; zero before the first.
    last: u64,
    /// Of the payloads.
    bytes: usize,
    /// Of the texts in changes.
    changed_bytes: usize,
    /// Of all messages.
    reaction_count: usize,
    /// Of the allocations: the payloads', and the names' that are not those of the message before.
    allocated: usize,
}

impl History {
    /// Remembers a message, and forgets the oldest over the limits.
    pub(super) fn push(
        &mut self,
        at: Committed,
        author: &Author,
        (kind, payload, re): (Kind, &[u8], Option<NonZeroU64>),
        most: usize,
    ) {
        let Committed { seq, time } = at;
        self.note(seq);
        if most == 0 {
            self.forgotten = seq.get();
            return;
        }
        let (id, who) = (author.id, Rc::clone(&author.name));
        let (measured, measured_form) = (Cell::new(None), Cell::default());
        let more = re.map(|re| Box::new(More { re: Some(re), ..More::default() }));
        let new =
            Remembered { seq, time, id, who, kind, measured, measured_form, payload: payload.into(), more };
        self.bytes += payload.len();
        self.allocated += new.allocated() + new.name_bytes(self.messages.back().map(Box::as_ref));
        self.messages.push_back(Box::new(new));
        while self.messages.len() > most || self.bytes > HISTORY_BYTES_MAX {
            self.forget_message();
        }
    }

    /// Makes of a message what an entry says, and remembers the entry. Returns what is told of it.
    pub(super) fn change<'a>(
        &mut self,
        at: Committed,
        author: &'a Author,
        (of, action, payload): (NonZeroU64, Action, &'a [u8]),
    ) -> Changed<'a> {
        let Committed { seq, time } = at;
        self.note(seq);
        let change = self.apply(seq, author.id, of, action, payload);
        let kept = match change {
            Change::Edited { text, deleted } => KeptChange::Edited { text: text.into(), deleted },
            Change::Deleted => KeptChange::Deleted,
            Change::Reacted { emoji, is_on, count } => {
                KeptChange::Reacted { emoji: emoji.into(), is_on, count }
            }
        };
        let (id, who) = (author.id, Rc::clone(&author.name));
        let new = RememberedChange { seq, time, id, who, of, kept };
        self.allocated += new.allocated();
        self.changed_bytes += new.bytes();
        self.changes.push_back(Box::new(new));
        while self.changes.len() > CHANGES_MAX || self.changed_bytes > CHANGES_BYTES_MAX {
            self.forget_change();
        }
        if self.messages.is_empty() {
            // Nothing that could be changed is held, so nobody resumes by it.
            self.forgotten = seq.get();
            self.forget_old_changes();
        }
        Changed { seq, time, id, who: &author.name, of, change }
    }

    fn note(&mut self, seq: NonZeroU64) {
        assert!(self.last == 0 || self.last + 1 == seq.get(), "no gap");
        if self.last == 0 {
            // What was said before this server knew the room is not here.
            self.forgotten = seq.get() - 1;
        }
        self.last = seq.get();
    }

    /// Changes the message, if it is still held.
    fn apply<'a>(
        &mut self,
        seq: NonZeroU64,
        person: PersonId,
        of: NonZeroU64,
        action: Action,
        payload: &'a [u8],
    ) -> Change<'a> {
        let index = self.messages.binary_search_by_key(&of, |message| message.seq).ok();
        let mut message = index.map(|index| &mut self.messages[index]);
        let before = message.as_ref().map_or((0, 0, 0), |message| message.sizes());
        let deleted = message.as_ref().and_then(|message| match message.fate() {
            Fate::Deleted(by) => Some(by),
            Fate::AsSaid | Fate::Edited(_) => None,
        });
        let change = match action {
            Action::Say { .. } => unreachable!("it changes no message"),
            Action::Delete { .. } => {
                if let Some(message) = message.as_mut().filter(|_| deleted.is_none()) {
                    message.payload = Box::default();
                    let more = message.more.get_or_insert_default();
                    (more.fate, more.reactions) = (Fate::Deleted(seq), Reactions::default());
                }
                Change::Deleted
            }
            // It was deleted while this was under way.
            Action::Edit { .. } if deleted.is_some() => Change::Edited { text: b"", deleted },
            Action::Edit { .. } => {
                if let Some(message) = message.as_mut() {
                    message.payload = payload.into();
                    message.more.get_or_insert_default().fate = Fate::Edited(seq);
                }
                Change::Edited { text: payload, deleted: None }
            }
            Action::React { is_on, .. } => {
                let emoji = std::str::from_utf8(payload).unwrap_or_default();
                let more = message.as_mut().filter(|_| deleted.is_none());
                let more = more.map(|message| message.more.get_or_insert_default());
                let count = more.map_or(0, |more| more.reactions.set(emoji, person, is_on));
                Change::Reacted { emoji, is_on, count }
            }
        };
        let after = message.map_or((0, 0, 0), |message| {
            message.measured.set(None);
            message.sizes()
        });
        self.bytes = self.bytes + after.0 - before.0;
        self.allocated = self.allocated + after.1 - before.1;
        self.reaction_count = self.reaction_count + after.2 - before.2;
        if change == Change::Deleted {
            self.blank_edits(of, seq);
        }
        while self.bytes > HISTORY_BYTES_MAX {
            self.forget_message();
        }
        change
    }

    /// Nothing is left of the texts that a deleted message had.
    fn blank_edits(&mut self, of: NonZeroU64, by: NonZeroU64) {
        for change in self.changes.iter_mut().filter(|change| change.of == of) {
            if let KeptChange::Edited { text, deleted } = &mut change.kept {
                self.changed_bytes -= text.len();
                self.allocated -= allocation(text.len());
                *text = Box::default();
                deleted.get_or_insert(by);
            }
        }
    }

    /// A message that is held.
    pub(super) fn find(&self, seq: NonZeroU64) -> Option<&Remembered> {
        let index = self.messages.binary_search_by_key(&seq, |message| message.seq).ok()?;
        Some(&self.messages[index])
    }

    /// How much is looked at to do this with a message: people who have reacted, or changes that may be of it.
    pub(super) fn walk(&self, of: NonZeroU64, action: Action) -> usize {
        match action {
            Action::Say { .. } => 0,
            Action::Edit { .. } | Action::Delete { .. } => self.changes.len(),
            Action::React { .. } => self.find(of).map_or(0, |message| message.sizes().2),
        }
    }

    /// A message that is held and the edits of it, as they stand now, each with its number.
    pub(super) fn as_it_stands(&self, of: NonZeroU64) -> impl Iterator<Item = (NonZeroU64, RoomEvent<'_>)> {
        let message = self.find(of).map(|message| (of, Missed::Said(message).event()));
        let edits = self.edits(of).map(|edit| (edit.seq, Missed::Changed(edit).event()));
        message.into_iter().chain(edits)
    }

    /// Edits of a message that are held.
    pub(super) fn edit_count(&self, of: NonZeroU64) -> usize {
        self.edits(of).count()
    }

    fn edits(&self, of: NonZeroU64) -> impl Iterator<Item = &RememberedChange> {
        let is_edit = move |change: &&RememberedChange| {
            change.of == of && matches!(change.kept, KeptChange::Edited { .. })
        };
        self.changes.iter().map(Box::as_ref).filter(is_edit)
    }

    /// Reactions to all messages that are held.
    pub(super) fn reaction_count(&self) -> usize {
        self.reaction_count
    }

    /// What came behind `since`, in order, if nothing of it is forgotten; `last` is the room's last number.
    pub(super) fn behind(&self, since: u64, last: u64) -> Option<Vec<Missed<'_>>> {
        let forgotten = if self.last == 0 { last } else { self.forgotten };
        if since > last || since < forgotten {
            return None;
        }
        let first = self.messages.partition_point(|message| message.seq.get() <= since);
        let mut messages = self.messages.range(first..).map(Box::as_ref).peekable();
        let first = self.changes.partition_point(|change| change.seq.get() <= since);
        let mut changes = self.changes.range(first..).map(Box::as_ref).peekable();
        let mut missed = Vec::with_capacity(messages.len() + changes.len());
        while let Some(said) = messages.peek() {
            while let Some(change) = changes.next_if(|change| change.seq < said.seq) {
                missed.push(Missed::Changed(change));
            }
            missed.extend(messages.next().map(Missed::Said));
        }
        missed.extend(changes.map(Missed::Changed));
        assert_eq!(missed.len() as u64, last - since, "all of it is here");
        Some(missed)
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
        self.allocated
            + self.messages.capacity() * size_of::<Box<Remembered>>()
            + self.changes.capacity() * size_of::<Box<RememberedChange>>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.changes.is_empty()
    }

    /// Forgets the oldest until it costs so much at most.
    pub(super) fn trim(&mut self, cost_max: usize) {
        let entries = |history: &History| {
            (history.messages.len() + history.changes.len()) * size_of::<Box<Remembered>>()
        };
        while !self.is_empty() && self.allocated + entries(self) > cost_max {
            let message = self.messages.front().map(|message| message.seq);
            let change = self.changes.front().map(|change| change.seq);
            match (message, change) {
                (Some(message), Some(change)) if change < message => self.forget_change(),
                (Some(_), _) => self.forget_message(),
                _ => self.forget_change(),
            }
        }
        self.messages.shrink_to_fit();
        self.changes.shrink_to_fit();
    }

    fn forget_message(&mut self) {
        let oldest = self.messages.pop_front().expect("there is one");
        let (bytes, allocated, reactions) = oldest.sizes();
        self.bytes -= bytes;
        self.allocated -= allocated;
        self.reaction_count -= reactions;
        // The name stays with the next one, if it is of the same.
        let is_shared = self.messages.front().is_some_and(|next| Rc::ptr_eq(&next.who, &oldest.who));
        self.allocated -= if is_shared { 0 } else { oldest.name_bytes(None) };
        self.forgotten = self.forgotten.max(oldest.seq.get());
        self.forget_old_changes();
    }

    fn forget_change(&mut self) {
        let oldest = self.changes.pop_front().expect("there is one");
        self.allocated -= oldest.allocated();
        self.changed_bytes -= oldest.bytes();
        self.forgotten = self.forgotten.max(oldest.seq.get());
    }

    /// Nobody can resume by changes that are older than what is forgotten.
    fn forget_old_changes(&mut self) {
        while self.changes.front().is_some_and(|change| change.seq.get() <= self.forgotten) {
            self.forget_change();
        }
    }
}

impl Remembered {
    /// What was said, as it stands now.
    pub(super) fn said(&self) -> Said<'_> {
        let Remembered { seq, time, id, kind, .. } = *self;
        let (re, reactions) =
            self.more.as_deref().map_or((None, &[][..]), |more| (more.re, more.reactions.all()));
        Said { seq, time, id, who: &self.who, kind, payload: &self.payload, re, fate: self.fate(), reactions }
    }

    /// What has become of it.
    pub(super) fn fate(&self) -> Fate {
        self.more.as_deref().map_or(Fate::AsSaid, |more| more.fate)
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

    /// Bytes of its payload, what its allocations take, and reactions to it.
    fn sizes(&self) -> (usize, usize, usize) {
        let reactions = self.more.as_deref().map_or(0, |more| more.reactions.count());
        (self.payload.len(), self.allocated(), reactions)
    }

    fn allocated(&self) -> usize {
        let more = |more: &More| allocation(size_of::<More>()) + more.reactions.allocated();
        REMEMBERED_BYTES + allocation(self.payload.len()) + self.more.as_deref().map_or(0, more)
    }

    /// What its name takes, unless it is that of the message before.
    fn name_bytes(&self, before: Option<&Remembered>) -> usize {
        let is_shared = before.is_some_and(|before| Rc::ptr_eq(&before.who, &self.who));
        if is_shared { 0 } else { allocation(self.who.len() + 2 * size_of::<usize>()) }
    }
}

impl RememberedChange {
    fn changed(&self) -> Changed<'_> {
        let RememberedChange { seq, time, id, of, .. } = *self;
        let change = match &self.kept {
            KeptChange::Edited { text, deleted } => Change::Edited { text, deleted: *deleted },
            KeptChange::Deleted => Change::Deleted,
            KeptChange::Reacted { emoji, is_on, count } => {
                Change::Reacted { emoji, is_on: *is_on, count: *count }
            }
        };
        Changed { seq, time, id, who: &self.who, of, change }
    }

    fn bytes(&self) -> usize {
        match &self.kept {
            KeptChange::Edited { text, .. } => text.len(),
            KeptChange::Deleted => 0,
            KeptChange::Reacted { emoji, .. } => emoji.len(),
        }
    }

    fn allocated(&self) -> usize {
        CHANGE_BYTES + allocation(self.bytes()) + allocation(self.who.len() + 2 * size_of::<usize>())
    }
}

impl<'a> Missed<'a> {
    /// As it is told now. Reactions come after a message, as the entries that they are.
    pub(super) fn event(self) -> RoomEvent<'a> {
        match self {
            Missed::Said(said) => RoomEvent::Said(Said { reactions: &[], ..said.said() }),
            Missed::Changed(change) => RoomEvent::Changed(change.changed()),
        }
    }

    /// Bytes that it takes in a form, at most.
    pub(super) fn measure(self, forms: &dyn FormSet, form: FormId) -> usize {
        match self {
            Missed::Said(said) => said.measure(forms, form),
            Missed::Changed(change) => CHANGE_TOLD_BYTES + ESCAPED_BYTES * change.bytes(),
        }
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
            history.push(at, &author, (Kind::Text, &vec![b'x'; *bytes], None), most);
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
        let number = |missed: &Missed<'_>| match missed {
            Missed::Said(said) => said.seq.get(),
            Missed::Changed(change) => change.seq.get(),
        };
        let behind =
            |since| history.behind(since, 10).map(|missed| missed.iter().map(number).collect::<Vec<_>>());
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
        assert!(size_of::<Remembered>() <= 80);
        history.trim(1000);
        assert!(history.cost() <= 1000 && !history.is_empty(), "{}", history.cost());
        assert_eq!(history.messages.back().map(|said| said.seq.get()), Some(100), "the oldest go");
        history.trim(0);
        assert_eq!((history.cost(), history.bytes), (0, 0));
    }
}
