//! Numbers that nobody outside can foresee: from one seed, for each purpose others.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What keys the hashes of one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret([u64; 2]);

impl Secret {
    /// The secret of a purpose. Epochs are told to everybody, so nothing else may follow from them: each is a
    /// hash of the seed, and so is this.
    pub(crate) fn new(seed: u64, purpose: &str) -> Secret {
        let part = |number: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, purpose, number).hash(&mut hasher);
            hasher.finish()
        };
        Secret([part(0), part(1)])
    }

    /// SipHash, with the secret before all that is hashed.
    pub(crate) fn hasher(self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }

    /// The hash of a text.
    pub(crate) fn hash(self, text: &str) -> u64 {
        let mut hasher = self.hasher();
        text.hash(&mut hasher);
        hasher.finish()
    }
}
