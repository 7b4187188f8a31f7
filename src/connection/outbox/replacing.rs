//! A message that waits gives its place to another, since it was deleted meanwhile.

use std::num::NonZeroU64;
use std::ops::Range;

use super::Outbox;
use crate::connection::entry::OutboxEntry;
use crate::delivery::Batch;

impl Outbox {
    /// Puts another piece in the place of the one of this number, if that waits here and has not begun to leave.
    /// Returns how many entries were looked at.
    pub fn replace(&mut self, number: NonZeroU64, piece: &Batch) -> usize {
        let (found, looked) = self.find_numbered(number);
        let Some((place, range)) = found else { return looked };
        let mut all = *self.rest.take().unwrap_or_default();
        all.extend(self.front.take());
        all.rotate_right(1);
        let behind = all[place].part_from(range.end);
        self.queued_bytes = self.queued_bytes - range.len() + piece.bytes().len();
        let new = OutboxEntry::whole(piece.clone());
        let place = if all[place].cut_at(range.start) {
            all.insert(place + 1, new);
            place + 1
        } else {
            all[place] = new;
            place
        };
        behind.into_iter().for_each(|behind| all.insert(place + 1, behind));
        self.front = all.pop_front();
        self.rest = (!all.is_empty()).then(|| Box::new(all));
        self.assert_invariants();
        looked
    }

    /// Where the piece of this number waits that has not begun to leave: in which entry, and where there. Numbers rise
    /// from entry to entry; many have none. Also how many entries were looked at.
    fn find_numbered(&self, number: NonZeroU64) -> (Option<(usize, Range<usize>)>, usize) {
        let (mut low, mut high, mut looked) = (0, self.entries(), 0);
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
                Some((place, entry, _)) => return (entry.find(number).map(|range| (place, range)), looked),
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
}
