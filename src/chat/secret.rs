//! Numbers that nobody environment can foresee: from one seed, for each purpose others.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What keys the hashes of one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Secret([u64; 2]);

impl Secret {
    /// The secret of a purpose. Epochs are told to everybody, so nothing else may follow from them: each is a
    /// hash of the seed, and so is this.
    pub(super) fn new(seed: u64, purpose: &str) -> Secret {
        let part = |number: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, purpose, number).hash(&mut hasher);
            hasher.finish()
        };
        Secret([part(0), part(1)])
    }

    /// SipHash, with the secret before all that is hashed.
    pub(super) fn hasher(self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }

    /// The hash of a text.
    pub(super) fn hash(self, text: &str) -> u64 {
        let mut hasher = self.hasher();
        text.hash(&mut hasher);
        hasher.finish()
    }
}
