//! A message that waits gives its place to another, since it was deleted meanwhile.

use std::num::NonZeroU64;

use super::Outbox;
use crate::connection::entry::OutboxEntry;
use crate::delivery::Replacements;

impl Outbox {
    /// Puts other pieces in the places of those of the same numbers, as far as they wait here and have not begun to
    /// leave. Returns how many entries were looked at.
    pub fn replace(&mut self, replacements: &mut Replacements) -> usize {
        let (mut from, mut looked) = (0, 0);
        for index in 0..replacements.count() {
            let number = replacements.number(index);
            let (found, looks) = self.find_numbered(from, number);
            looked += looks;
            let Some(mut place) = found else { continue };
            if place == 0 && self.split_front() {
                place = 1;
            }
            let Some(entry) = self.entry_mut(place) else { continue };
            let before = entry.bytes().len();
            let new = replacements.in_place_of(&entry.batch);
            entry.exchange(new);
            let after = entry.bytes().len();
            self.queued_bytes = self.queued_bytes - before + after;
            // Its other pieces have their new bytes too.
            from = place + 1;
        }
        self.assert_invariants();
        looked
    }

    /// Makes two entries of the first: what has begun to leave, and the rest. `false`: nothing has begun.
    fn split_front(&mut self) -> bool {
        let Some(front) = self.front.as_mut().filter(|front| front.has_begun) else { return false };
        let begun_until = front.begun_until();
        if let Some(behind) = front.part_from(begun_until) {
            front.cut_at(begun_until);
            self.rest.get_or_insert_default().push_front(behind);
        }
        true
    }

    /// In which entry, of those from a place on, the piece of this number waits that has not begun to leave. Numbers
    /// rise from entry to entry; many have none. Also how many entries were looked at.
    fn find_numbered(&self, from: usize, number: NonZeroU64) -> (Option<usize>, usize) {
        let (mut low, mut high, mut looked) = (from, self.entries(), 0);
        while low < high {
            let middle = low.midpoint(high);
            let found = (low..=middle).rev().find_map(|place| {
                looked += 1;
                let entry = self.entry(place)?;
                Some((place, entry, entry.numbers()?))
            });
            match found {
                None => low = middle + 1,
                Some((_, _, (_, last))) if last < number => low = middle + 1,
                Some((place, _, (first, _))) if first > number => high = place,
                Some((place, entry, _)) => return (entry.holds(number).then_some(place), looked),
            }
        }
        (None, looked)
    }

    fn entry(&self, place: usize) -> Option<&OutboxEntry> {
        match place.checked_sub(1) {
            None => self.front.as_ref(),
            Some(place) => self.rest.as_ref()?.get(place),
        }
    }

    fn entry_mut(&mut self, place: usize) -> Option<&mut OutboxEntry> {
        match place.checked_sub(1) {
            None => self.front.as_mut(),
            Some(place) => self.rest.as_mut()?.get_mut(place),
        }
    }
}
