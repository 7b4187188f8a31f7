//! One batch in every encoding that its receivers agreed on, each made at most once.

use std::ops::Range;

use super::batch::Batch;

/// Says a piece in other bytes, to receivers that have agreed on them.
pub trait Recoder {
    /// Tells one encoding from another.
    type Key: Copy + PartialEq;

    /// Appends a piece in other bytes, if these are better; `false`: nothing was appended, and the piece stays as it is.
    fn recode(&mut self, key: Self::Key, piece: &[u8], out: &mut Vec<u8>) -> bool;
}

/// Pieces of a batch, plain and as far as somebody needs them in other encodings.
#[derive(Debug)]
pub struct Encodings<'a, Key> {
    plain: &'a Batch,
    part: Range<usize>,
    /// By key; `None` where every piece stays as it is.
    recoded: Vec<(Key, Option<Batch>)>,
}

/// What one receiver gets.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    plain: &'a Batch,
    part: &'a Range<usize>,
    recoded: Option<&'a Batch>,
}

impl<'a, Key: Copy + PartialEq> Encodings<'a, Key> {
    /// The pieces in `part` of a batch. Nothing is recoded before somebody needs it.
    pub fn new(plain: &'a Batch, part: Range<usize>) -> Encodings<'a, Key> {
        Encodings { plain, part, recoded: Vec::new() }
    }

    /// For how many keys it was recoded, or tried to be.
    pub fn recoded_count(&self) -> usize {
        self.recoded.len()
    }

    /// The encoding for a receiver that agreed on the one of this key, or on none.
    #[inline]
    pub fn of(&mut self, key: Option<Key>, recoder: &mut impl Recoder<Key = Key>) -> Encoding<'_> {
        match key {
            None => Encoding { plain: self.plain, part: &self.part, recoded: None },
            Some(key) => self.recoded(key, recoder),
        }
    }

    fn recoded(&mut self, key: Key, recoder: &mut impl Recoder<Key = Key>) -> Encoding<'_> {
        let (plain, part) = (self.plain, &self.part);
        let index = self.recoded.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            let recoded = plain.recoded(part.clone(), |piece, out| recoder.recode(key, piece, out));
            self.recoded.push((key, recoded));
            self.recoded.len() - 1
        });
        Encoding { plain, part, recoded: self.recoded[index].1.as_ref() }
    }
}

impl<'a> Encoding<'a> {
    /// The pieces, of which [`Encoding::range`] says where they are.
    #[inline]
    pub fn batch(self) -> &'a Batch {
        self.recoded.unwrap_or(self.plain)
    }

    /// Where the pieces of a range of the plain batch are.
    #[inline]
    pub fn range(self, plain: &Range<usize>) -> Range<usize> {
        match self.recoded {
            None => plain.clone(),
            Some(recoded) => self.range_in(recoded, plain),
        }
    }

    fn range_in(self, recoded: &Batch, plain: &Range<usize>) -> Range<usize> {
        if plain == self.part {
            return 0..recoded.bytes().len();
        }
        let (indices, of_part) = (self.plain.indices(plain.clone()), self.plain.indices(self.part.clone()));
        recoded.range(indices.start - of_part.start..indices.end - of_part.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::{BatchBuilder, Meter};

    /// Keeps so many bytes of each piece that has more, and counts what it is asked for.
    #[derive(Default)]
    struct Shortener {
        pieces: usize,
    }

    impl Recoder for Shortener {
        type Key = usize;

        fn recode(&mut self, bytes_max: usize, piece: &[u8], out: &mut Vec<u8>) -> bool {
            self.pieces += 1;
            out.extend_from_slice(piece.get(..bytes_max).unwrap_or_default());
            piece.len() >= bytes_max
        }
    }

    fn batch_of(pieces: &[Vec<u8>], meter: &Meter) -> Batch {
        let mut builder = BatchBuilder::measured(meter);
        for (number, piece) in (1..).zip(pieces) {
            builder.push(std::num::NonZeroU64::new(number), |out| out.extend_from_slice(piece));
        }
        builder.seal()
    }

    #[test]
    fn each_encoding_is_made_once_and_ranges_are_found_again() {
        let plain = batch_of(&[b"aaaaaa".to_vec(), b"b".to_vec(), b"ccccc".to_vec()], &Meter::default());
        let mut shortener = Shortener::default();
        let mut encodings = Encodings::new(&plain, 0..12);
        let encoding = encodings.of(None, &mut shortener);
        assert_eq!((encoding.batch().bytes(), encoding.range(&(6..7))), (plain.bytes(), 6..7));
        assert_eq!(encodings.recoded_count(), 0);
        let encoding = encodings.of(Some(2), &mut shortener);
        assert_eq!(encoding.batch().bytes(), b"aabcc");
        assert_eq!(
            [0..6, 6..7, 7..12, 0..7, 12..12].map(|range| encoding.range(&range)),
            [0..2, 2..3, 3..5, 0..3, 5..5]
        );
        assert_eq!(encoding.range(&(0..12)), 0..5);
        let first = encoding.batch().bytes().as_ptr();
        assert_eq!(encodings.of(Some(2), &mut shortener).batch().bytes().as_ptr(), first);
        assert_eq!(shortener.pieces, 3, "made once");
        encodings.of(Some(3), &mut shortener);
        assert_eq!((encodings.recoded_count(), shortener.pieces), (2, 6));
    }

    #[test]
    fn what_stays_as_it_is_is_not_copied_and_not_tried_again() {
        let plain = batch_of(&[b"short".to_vec()], &Meter::default());
        let mut shortener = Shortener::default();
        let mut encodings = Encodings::new(&plain, 0..5);
        for _ in 0..2 {
            let encoding = encodings.of(Some(10), &mut shortener);
            assert_eq!(encoding.batch().bytes().as_ptr(), plain.bytes().as_ptr());
            assert_eq!(encoding.range(&(0..5)), 0..5);
        }
        assert_eq!((encodings.recoded_count(), shortener.pieces), (1, 1));
    }

    proptest! {
        #[test]
        fn a_part_of_a_part_is_the_same_pieces_in_every_encoding(
            lengths in prop::collection::vec(1_usize..12, 1..20),
            bytes_max in 1_usize..12,
            at in prop::collection::vec(0_usize..20, 4),
        ) {
            let meter = Meter::new();
            let pieces: Vec<Vec<u8>> = (b'a'..).zip(&lengths).map(|(letter, length)| vec![letter; *length]).collect();
            let plain = batch_of(&pieces, &meter);
            let place = |index: usize| lengths[..index].iter().sum::<usize>();
            // Two parts, one within the other.
            let mut at: Vec<usize> = at.into_iter().map(|index| index.min(lengths.len())).collect();
            at.sort_unstable();
            let mut encodings = Encodings::new(&plain, place(at[0])..place(at[3]));
            let encoding = encodings.of(Some(bytes_max), &mut Shortener::default());
            let inner = place(at[1])..place(at[2]);
            let range = encoding.range(&inner);
            let wanted: Vec<u8> =
                pieces[at[1]..at[2]].iter().flat_map(|piece| &piece[..piece.len().min(bytes_max)]).copied().collect();
            prop_assert_eq!(&encoding.batch().bytes()[range.clone()], &wanted);
            prop_assert_eq!(encoding.batch().messages_in(range), plain.messages_in(inner));
            drop(encodings);
            drop(plain);
            prop_assert_eq!(meter.bytes(), 0);
        }
    }
}
