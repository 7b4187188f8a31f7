//! A message that waits gives its place to another, since it was deleted meanwhile.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::Range;

use super::Outbox;
use crate::connection::entry::OutboxEntry;
use crate::delivery::Batch;

impl Outbox {
    /// Puts another piece in the place of the one of this number, if that waits here and has not begun to leave.
    /// Returns how many entries were looked at.
    pub fn replace(&mut self, number: NonZeroU64, piece: &Batch) -> usize {
        if self.front.is_none() {
            return 0;
        }
        let mut all = *self.rest.take().unwrap_or_default();
        all.extend(self.front.take());
        all.rotate_right(1);
        let (found, looked) = find_numbered(&all, number);
        if let Some((place, range)) = found {
            let behind = all[place].part_from(range.end);
            self.queued_bytes = self.queued_bytes - range.len() + piece.bytes().len();
            let mut place = place;
            if all[place].cut_at(range.start) {
                place += 1;
                all.insert(place, OutboxEntry::whole(piece.clone()));
            } else {
                all[place] = OutboxEntry::whole(piece.clone());
            }
            behind.into_iter().for_each(|behind| all.insert(place + 1, behind));
        }
        self.front = all.pop_front();
        self.rest = (!all.is_empty()).then(|| Box::new(all));
        self.assert_invariants();
        looked
    }
}

/// Where the piece of this number waits that has not begun to leave: in which entry, and where there. Numbers rise from
/// entry to entry; many have none. Also how many entries were looked at.
fn find_numbered(
    entries: &VecDeque<OutboxEntry>,
    number: NonZeroU64,
) -> (Option<(usize, Range<usize>)>, usize) {
    let (mut low, mut high, mut looked) = (0, entries.len(), 0);
    while low < high {
        let middle = low.midpoint(high);
        let mut candidates = (low..=middle).rev().map(|place| (place, entries[place].numbers()));
        let found = candidates.find_map(|(place, numbers)| {
            looked += 1;
            Some((place, numbers?))
        });
        match found {
            None => low = middle + 1,
            Some((_, (_, last))) if last < number => low = middle + 1,
            Some((place, (first, _))) if first > number => high = place,
            Some((place, _)) => return (entries[place].find(number).map(|range| (place, range)), looked),
        }
    }
    (None, looked)
}
