//! Where the pieces of a batch end, and their numbers.

use std::cell::Cell;
use std::cmp::Ordering;
use std::num::NonZeroU64;
use std::ops::Range;

/// Behind each so many ended pieces is a mark, so that nobody has to add up more lengths than these.
const PIECES_A_MARK: u32 = 32;

/// The table of a batch's pieces. The last one is not in it: it ends with the bytes, so that a batch of one piece,
/// which most are, takes no memory here.
///
/// A client that does not read keeps the table alive, of however small messages: so lengths are kept, of which those
/// below 128 take a byte, and not ends.
///
/// Invariant: there is a mark for each 32 of the lengths, and no more numbers than lengths.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// How long each piece but the last is, in groups of seven bits, the low ones first. The top bit of a byte says
    /// that another group follows.
    lengths: Vec<u8>,
    marks: Vec<Mark>,
    /// How many pieces have ended: all but the last.
    ended: u32,
    /// Where these end.
    ended_at: usize,
    /// Their numbers, up to the last of them that has one.
    numbers: Vec<Option<NonZeroU64>>,
    /// The number of the last piece.
    last_number: Option<NonZeroU64>,
    /// What was found last. Who gets parts of a batch one after the other looks for the next one from there.
    found: Cell<Mark>,
}

/// A place between pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// So many pieces stand before it.
    index: u32,
    place: usize,
    /// Where the length of the next one is.
    length_at: usize,
}

impl Pieces {
    /// A piece begins, behind so many bytes of others.
    #[inline]
    pub(super) fn begin(&mut self, place: usize, number: Option<NonZeroU64>) {
        if place > 0 {
            self.end_last(place);
        }
        self.last_number = number;
    }

    /// The last piece ends here, and is the last no longer.
    fn end_last(&mut self, place: usize) {
        if self.last_number.is_some() {
            self.numbers.resize(self.ended as usize, None);
            self.numbers.push(self.last_number);
        }
        let mut length = place - self.ended_at;
        while length >= 0x80 {
            self.lengths.push(low_bits(length) | 0x80);
            length >>= 7;
        }
        self.lengths.push(low_bits(length));
        (self.ended, self.ended_at) = (self.ended + 1, place);
        if self.ended.is_multiple_of(PIECES_A_MARK) {
            self.marks.push(Mark { index: self.ended, place, length_at: self.lengths.len() });
        }
    }

    /// The mark behind the next piece, of those that have ended.
    #[inline]
    fn next(&self, mark: Mark) -> Option<Mark> {
        if mark.index == self.ended {
            return None;
        }
        let (mut length, mut bits, mut length_at) = (0, 0, mark.length_at);
        loop {
            let byte = self.lengths[length_at];
            length |= usize::from(byte & 0x7F) << bits;
            (length_at, bits) = (length_at + 1, bits + 7);
            if byte < 0x80 {
                return Some(Mark { index: mark.index + 1, place: mark.place + length, length_at });
            }
        }
    }

    /// The last place between pieces that is not behind what is looked for, of which `is_behind` tells.
    fn last_before(&self, marks: usize, is_behind: impl Fn(Mark) -> bool) -> Mark {
        let mut mark = if marks == 0 { Mark::default() } else { self.marks[marks - 1] };
        let found = self.found.get();
        if found.index > mark.index && !is_behind(found) {
            mark = found;
        }
        while let Some(next) = self.next(mark).filter(|next| !is_behind(*next)) {
            mark = next;
        }
        self.found.set(mark);
        mark
    }

    /// The mark of a place between pieces. Mostly it is near the one found last: the same part is asked for more than
    /// once, and then the one behind it.
    #[inline]
    fn at(&self, place: usize) -> Mark {
        let mut before = self.found.get();
        if before.place == place {
            return before;
        }
        for _ in 0..2 {
            let Some(next) = self.next(before).filter(|next| next.place <= place) else { break };
            if next.place == place {
                self.found.set(before);
                return next;
            }
            before = next;
        }
        let mark = self.seek(place);
        assert!(mark.place == place, "ranges hold whole pieces");
        mark
    }

    /// Where the piece begins that has the byte at this place.
    fn seek(&self, place: usize) -> Mark {
        let marks = self.marks.partition_point(|mark| mark.place <= place);
        self.last_before(marks, |mark| mark.place > place)
    }

    /// Where this piece begins.
    fn seek_index(&self, index: u32) -> Mark {
        self.last_before((index.min(self.ended) / PIECES_A_MARK) as usize, |mark| mark.index > index)
    }

    /// How many there are, in so many bytes.
    fn count(&self, bytes: usize) -> u32 {
        self.ended + u32::from(bytes > 0)
    }

    /// How many of those in so many bytes stand before a place that is between two pieces, or at either end.
    #[inline]
    pub(super) fn before(&self, place: usize, bytes: usize) -> u32 {
        match place {
            0 => 0,
            _ if place == bytes => self.count(bytes),
            _ => self.at(place).index,
        }
    }

    /// Which of those in so many bytes has the byte at this place, and where that piece is.
    pub(super) fn holding(&self, place: usize, bytes: usize) -> (u32, Range<usize>) {
        let mark = self.seek(place);
        (mark.index, mark.place..self.next(mark).map_or(bytes, |next| next.place))
    }

    /// Where the first so many of those in so many bytes end.
    pub(super) fn end_of(&self, count: u32, bytes: usize) -> usize {
        if count > self.ended { bytes } else { self.seek_index(count).place }
    }

    /// Where these of those in so many bytes are.
    pub(super) fn ranges(&self, indices: Range<u32>, bytes: usize) -> impl Iterator<Item = Range<usize>> {
        let mut mark = Some(self.seek_index(indices.start));
        std::iter::from_fn(move || {
            let start = mark?;
            mark = self.next(start);
            Some(start.place..mark.map_or(bytes, |next| next.place))
        })
        .take(indices.len())
    }

    /// Whether any piece has a number.
    pub(super) fn has_numbers(&self) -> bool {
        self.last_number.is_some() || !self.numbers.is_empty()
    }

    /// The number of a piece, if it has any.
    pub(super) fn number(&self, index: u32) -> Option<NonZeroU64> {
        if index == self.ended {
            self.last_number
        } else {
            self.numbers.get(index as usize).copied().flatten()
        }
    }

    /// Which piece has this number, where the numbers rise.
    pub(super) fn numbered(&self, number: NonZeroU64) -> Option<u32> {
        if self.last_number == Some(number) {
            return Some(self.ended);
        }
        let (mut low, mut high) = (0, self.numbers.len());
        while low < high {
            let middle = low.midpoint(high);
            // Pieces without a number may stand there.
            let Some(place) = (low..=middle).rev().find(|place| self.numbers[*place].is_some()) else {
                low = middle + 1;
                continue;
            };
            match self.numbers[place].cmp(&Some(number)) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = place,
                Ordering::Equal => return u32::try_from(place).ok(),
            }
        }
        None
    }

    /// The table of some of the pieces in so many bytes alone.
    pub(super) fn part(&self, indices: Range<u32>, bytes: usize) -> Pieces {
        let mut part = Pieces::default();
        let start = self.end_of(indices.start, bytes);
        for (index, range) in indices.clone().zip(self.ranges(indices, bytes)) {
            part.begin(range.start - start, self.number(index));
        }
        part.shrink();
        part
    }

    /// How much of its memory a batch of these has to fill, in eighths, lest it is moved to less. Most are written at
    /// once, and the next one fills the same memory: only what an earlier one left is too much. So many pieces are a
    /// flood, that a client may never read.
    pub(super) fn filled_eighths(&self) -> usize {
        if self.ended < FLOOD_PIECES { 2 } else { 7 }
    }

    /// Ends the table of one batch, and begins that of the next one.
    pub(super) fn seal(&mut self) -> Pieces {
        let filled = self.filled_eighths();
        Pieces {
            lengths: take_sealed(&mut self.lengths, filled),
            marks: take_sealed(&mut self.marks, filled),
            ended: std::mem::take(&mut self.ended),
            ended_at: std::mem::take(&mut self.ended_at),
            numbers: take_sealed(&mut self.numbers, filled),
            last_number: self.last_number.take(),
            found: Cell::default(),
        }
    }

    /// Gives back what growing has taken in advance.
    fn shrink(&mut self) {
        self.lengths.shrink_to_fit();
        self.marks.shrink_to_fit();
        self.numbers.shrink_to_fit();
    }

    /// Uses the memory of a table that nobody needs any more, if no part of it takes more than this.
    pub(super) fn recycle(&mut self, other: Pieces, bytes_max: usize) {
        recycle(&mut self.lengths, other.lengths, bytes_max);
        recycle(&mut self.marks, other.marks, bytes_max);
        recycle(&mut self.numbers, other.numbers, bytes_max);
    }

    /// What it takes beside itself.
    pub(super) fn capacity_bytes(&self) -> usize {
        capacity_bytes(&self.lengths) + capacity_bytes(&self.marks) + capacity_bytes(&self.numbers)
    }
}

/// The lowest seven bits.
fn low_bits(length: usize) -> u8 {
    length.to_le_bytes()[0] & 0x7F
}

const FLOOD_PIECES: u32 = 1024;
/// Below, nobody minds what is not used.
const SHRUNK_BYTES_MIN: usize = 1024;

pub(super) fn capacity_bytes<T>(memory: &Vec<T>) -> usize {
    memory.capacity() * size_of::<T>()
}

/// What a builder has collected, for a batch, with no more memory than this part of it fills, in eighths. A client
/// that waits for a small batch must not keep the memory of a large one before alive.
pub(super) fn take_sealed<T>(collected: &mut Vec<T>, filled_eighths: usize) -> Vec<T> {
    if collected.is_empty() {
        return Vec::new();
    }
    let mut sealed = std::mem::take(collected);
    if capacity_bytes(&sealed) > SHRUNK_BYTES_MIN && sealed.len() * 8 < sealed.capacity() * filled_eighths {
        sealed.shrink_to_fit();
    }
    sealed
}

/// Memory of a batch that nobody needs any more, in place of less.
pub(super) fn recycle<T>(kept: &mut Vec<T>, mut memory: Vec<T>, bytes_max: usize) {
    if kept.capacity() < memory.capacity() && capacity_bytes(&memory) <= bytes_max {
        memory.clear();
        *kept = memory;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pieces: usize) -> u32 {
        u32::try_from(pieces).expect("few")
    }

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
            assert_eq!(pieces.ended as usize, wanted.len().saturating_sub(1), "the last is not in it");
            let ranges: Vec<_> = begins.iter().zip(wanted).map(|(begin, end)| *begin..*end).collect();
            assert_eq!(pieces.ranges(0..pieces.count(bytes), bytes).collect::<Vec<_>>(), ranges);
            assert_eq!(pieces.count(bytes) as usize, wanted.len());
            for (index, (begin, end)) in (0..).zip(begins.iter().zip(wanted)) {
                assert_eq!((pieces.end_of(index + 1, bytes), pieces.before(*end, bytes)), (*end, index + 1));
                assert_eq!((pieces.before(*begin, bytes), pieces.number(index)), (index, None));
            }
            assert_eq!(pieces.capacity_bytes() == 0, wanted.len() < 2, "none for one");
        }
    }

    #[test]
    fn any_length_is_found_again_on_either_side_of_a_mark() {
        let longs = [1, 0x7F, 0x80, 0x3FFF, 0x4000, 1 << 21, (1 << 28) - 1, 1 << 28, 1 << 35];
        let mut ends = vec![0];
        let mut pieces = Pieces::default();
        for index in 0..200 {
            let begin = ends[index];
            pieces.begin(begin, None);
            ends.push(begin + if index % 10 == 0 { longs[index / 10 % longs.len()] } else { index + 1 });
        }
        let bytes = ends[200];
        assert_eq!((pieces.count(bytes), pieces.marks.len()), (200, 6));
        for (count, end) in (0..).zip(&ends) {
            assert_eq!((pieces.end_of(count, bytes), pieces.before(*end, bytes)), (*end, count));
        }
        for (index, range) in (0..).zip(ends.windows(2).map(|ends| ends[0]..ends[1])) {
            for place in [range.start, range.end - 1] {
                assert_eq!(pieces.holding(place, bytes), (index, range.clone()));
            }
        }
        for (from, to) in [(0, 200), (31, 33), (32, 64), (63, 65), (95, 96), (96, 97), (199, 200), (200, 200)]
        {
            let wanted: Vec<_> = (from..to).map(|index| ends[index]..ends[index + 1]).collect();
            let indices = count(from)..count(to);
            assert_eq!(pieces.ranges(indices.clone(), bytes).collect::<Vec<_>>(), wanted);
            let (part, bytes_of_part) = (pieces.part(indices, bytes), ends[to] - ends[from]);
            let moved: Vec<_> =
                wanted.iter().map(|range| range.start - ends[from]..range.end - ends[from]).collect();
            assert_eq!(part.count(bytes_of_part) as usize, to - from);
            assert_eq!(part.ranges(0..count(to - from), bytes_of_part).collect::<Vec<_>>(), moved);
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
                let part = pieces.part(from..to, 40);
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
