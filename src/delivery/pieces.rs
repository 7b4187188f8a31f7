//! Where the pieces of a batch end, and their numbers.

use std::num::NonZeroU64;
use std::ops::Range;

/// The table of a batch's pieces. The last one is not in it: it ends with the bytes, so that a batch of one piece,
/// which most are, takes no memory here.
///
/// Invariant: the ends rise, and there are no more numbers than ends.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Where each piece but the last ends.
    ends: Vec<usize>,
    /// The numbers of these pieces, up to the last of them that has one.
    numbers: Vec<Option<NonZeroU64>>,
    /// The number of the last piece.
    last_number: Option<NonZeroU64>,
}

impl Pieces {
    /// A piece begins, behind so many bytes of others.
    #[inline]
    pub(super) fn begin(&mut self, place: usize, number: Option<NonZeroU64>) {
        if place > 0 {
            if self.last_number.is_some() {
                self.keep_last_number();
            }
            self.ends.push(place);
        }
        self.last_number = number;
    }

    fn keep_last_number(&mut self) {
        if self.numbers.len() < self.ends.len() {
            self.numbers.resize(self.ends.len(), None);
        }
        self.numbers.push(self.last_number);
    }

    /// How many there are, in so many bytes.
    fn count(&self, bytes: usize) -> u32 {
        to_u32(self.ends.len() + usize::from(bytes > 0))
    }

    /// How many of those in so many bytes stand before a place that is between two pieces, or at either end.
    #[inline]
    pub(super) fn before(&self, place: usize, bytes: usize) -> u32 {
        match place {
            0 => 0,
            _ if place == bytes => self.count(bytes),
            _ => self.ending_at(place),
        }
    }

    fn ending_at(&self, place: usize) -> u32 {
        to_u32(self.ends.binary_search(&place).expect("ranges hold whole pieces") + 1)
    }

    /// Where the first so many of those in so many bytes end.
    pub(super) fn end_of(&self, count: u32, bytes: usize) -> usize {
        match count {
            0 => 0,
            _ => self.ends.get(count as usize - 1).copied().unwrap_or(bytes),
        }
    }

    /// Where this one of those in so many bytes is.
    pub(super) fn range(&self, index: u32, bytes: usize) -> Range<usize> {
        self.end_of(index, bytes)..self.end_of(index + 1, bytes)
    }

    /// The number of a piece, if it has any.
    pub(super) fn number(&self, index: u32) -> Option<NonZeroU64> {
        let index = index as usize;
        if index == self.ends.len() { self.last_number } else { self.numbers.get(index).copied().flatten() }
    }

    /// The table of some of these pieces alone.
    pub(super) fn part(&self, indices: Range<u32>) -> Pieces {
        let Some(last) = indices.clone().next_back() else { return Pieces::default() };
        let start = self.end_of(indices.start, 0);
        let earlier = indices.start as usize..last as usize;
        let numbered = self.numbers.get(earlier.start..earlier.end.min(self.numbers.len()));
        Pieces {
            ends: self.ends[earlier].iter().map(|end| end - start).collect(),
            numbers: numbered.map_or_else(Vec::new, <[_]>::to_vec),
            last_number: self.number(last),
        }
    }

    /// Ends the table of one batch, and begins that of the next one.
    pub(super) fn seal(&mut self) -> Pieces {
        Pieces {
            ends: take_sealed(&mut self.ends),
            numbers: take_sealed(&mut self.numbers),
            last_number: self.last_number.take(),
        }
    }

    /// Uses the memory of a table that nobody needs any more.
    pub(super) fn recycle(&mut self, other: Pieces) {
        recycle(&mut self.ends, other.ends);
        recycle(&mut self.numbers, other.numbers);
    }

    /// What it takes beside itself.
    pub(super) fn capacity_bytes(&self) -> usize {
        capacity_bytes(&self.ends) + capacity_bytes(&self.numbers)
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("a turn makes far fewer")
}

/// Memory over this is given back rather than kept for the next turn.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Below, nobody minds.
const SHRUNK_BYTES_MIN: usize = 1024;

pub(super) fn capacity_bytes<T>(memory: &Vec<T>) -> usize {
    memory.capacity() * size_of::<T>()
}

/// What a builder has collected, for a batch. Memory of a large batch before must not be kept alive by a client that
/// waits for a small one.
pub(super) fn take_sealed<T>(collected: &mut Vec<T>) -> Vec<T> {
    if collected.is_empty() {
        return Vec::new();
    }
    let mut sealed = std::mem::take(collected);
    if capacity_bytes(&sealed) > SHRUNK_BYTES_MIN && sealed.len() * 4 < sealed.capacity() {
        sealed.shrink_to_fit();
    }
    sealed
}

/// Memory of a batch that nobody needs any more, in place of less.
pub(super) fn recycle<T>(kept: &mut Vec<T>, mut memory: Vec<T>) {
    if kept.capacity() < memory.capacity() && capacity_bytes(&memory) <= KEPT_BYTES_MAX {
        memory.clear();
        *kept = memory;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_ends() {
        // Where each piece begins, how many bytes there are in all, and where each ends.
        for (begins, bytes, wanted) in [
            ([].as_slice(), 0, [].as_slice()),
            (&[0], 7, &[7]),
            (&[0, 7], 9, &[7, 9]),
            (&[0, 1, 2, 3], 1000, &[1, 2, 3, 1000]),
        ] {
            let mut pieces = Pieces::default();
            begins.iter().for_each(|place| pieces.begin(*place, None));
            assert_eq!(pieces.ends.len(), wanted.len().saturating_sub(1), "the last is not in it");
            assert_eq!(pieces.count(bytes) as usize, wanted.len());
            for (index, (begin, end)) in (0..).zip(begins.iter().zip(wanted)) {
                assert_eq!((pieces.end_of(index + 1, bytes), pieces.before(*end, bytes)), (*end, index + 1));
                assert_eq!(pieces.range(index, bytes), *begin..*end);
                assert_eq!((pieces.before(*begin, bytes), pieces.number(index)), (index, None));
            }
            assert_eq!(pieces.capacity_bytes() == 0, wanted.len() < 2, "none for one");
        }
    }

    #[test]
    fn numbers_take_memory_where_there_are_some() {
        let number = NonZeroU64::new;
        for (numbers, kept) in [
            ([0, 0, 0, 0], 0),
            // That of the last piece is not in the table.
            ([0, 0, 0, 9], 0),
            ([0, 5, 0, 0], 2),
            ([1, 2, 3, 4], 3),
        ] {
            let mut pieces = Pieces::default();
            (0..).zip(numbers).for_each(|(index, of)| pieces.begin(10 * index, number(of)));
            assert_eq!(pieces.numbers.len(), kept, "{numbers:?}");
            assert_eq!([0, 1, 2, 3].map(|index| pieces.number(index)), numbers.map(number));
            for (from, to) in [(0_u32, 4_u32), (1, 3), (2, 4), (1, 2), (3, 4), (2, 2)] {
                let part = pieces.part(from..to);
                let found: Vec<_> = (0..to - from).map(|index| part.number(index)).collect();
                assert_eq!(
                    found,
                    numbers[from as usize..to as usize].iter().map(|of| number(*of)).collect::<Vec<_>>()
                );
            }
            pieces.seal();
            pieces.begin(0, None);
            assert_eq!(pieces.number(0), None, "nothing is left of the batch before");
        }
    }
}
