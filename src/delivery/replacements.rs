//! Pieces that take the places of others, for all who wait for these.

use std::collections::HashMap;
use std::num::NonZeroU64;

use super::batch::Batch;

/// Pieces that take the places of those of the same numbers. Who waits for a batch gets one in its place that differs
/// in them: it is made once, however many wait.
#[derive(Debug)]
pub struct Replacements {
    /// By number, which rise.
    pieces: Vec<(NonZeroU64, Batch)>,
    /// By address, each with the batch in whose place it stands, which lives so long.
    made: HashMap<usize, (Batch, Batch)>,
    bytes_made: usize,
}

impl Replacements {
    /// These pieces, each in the place of the one of its number.
    pub fn new(mut pieces: Vec<(NonZeroU64, Batch)>) -> Replacements {
        pieces.sort_by_key(|(number, _)| *number);
        Replacements { pieces, made: HashMap::new(), bytes_made: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// The number of each, rising.
    pub fn number(&self, index: usize) -> NonZeroU64 {
        self.pieces[index].0
    }

    /// The batch that takes the place of another. It has as many pieces.
    pub fn in_place_of(&mut self, batch: &Batch) -> Batch {
        if let Some((_, new)) = self.made.get(&batch.address()) {
            return new.clone();
        }
        let new = batch.with(|number| {
            let index = self.pieces.binary_search_by_key(&number, |(number, _)| *number).ok()?;
            Some(self.pieces[index].1.bytes())
        });
        self.bytes_made += new.bytes().len();
        if batch.is_shared() {
            self.made.insert(batch.address(), (batch.clone(), new.clone()));
        }
        new
    }

    /// Bytes of all that were made.
    pub fn bytes_made(&self) -> usize {
        self.bytes_made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::BatchBuilder;

    fn batch(pieces: &[(u64, &[u8])]) -> Batch {
        let mut builder = BatchBuilder::default();
        for (number, bytes) in pieces {
            builder.push(NonZeroU64::new(*number), |out| out.extend_from_slice(bytes));
        }
        builder.seal()
    }

    #[test]
    fn a_batch_is_made_once_for_all_who_share_it() {
        let number = |number| NonZeroU64::new(number).expect("from one on");
        let pieces = [(7, b"later".as_slice()), (3, b"x")];
        let mut all =
            Replacements::new(pieces.map(|(of, bytes)| (number(of), batch(&[(of, bytes)]))).to_vec());
        assert_eq!((all.count(), all.number(0), all.number(1)), (2, number(3), number(7)));
        let old = batch(&[(2, b"two"), (3, b"three"), (0, b"none"), (7, b"seven"), (8, b"eight")]);
        assert_eq!(all.in_place_of(&old).bytes(), b"twoxnonelatereight");
        assert_eq!(all.bytes_made(), 18);
        let other = old.clone();
        let new = all.in_place_of(&old);
        assert_eq!(new.piece_numbered(number(8)), Some((4, 13..18)));
        assert_eq!(all.bytes_made(), 36, "nobody else had it");
        assert_eq!(all.in_place_of(&other).address(), new.address());
        assert_eq!(all.bytes_made(), 36, "it was made for the other");
    }
}
