//! What becomes of a client that reads too slowly: its own choice, or the server's.

/// What becomes of a client for which more waits than `--max-queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is closed with 1013, which says how far behind it is.
    Close,
    /// It stays, and the oldest messages go. In a room it is told how many.
    Skip,
}

impl SlowPolicy {
    /// The policy of this name.
    pub fn from_name(name: &str) -> Option<SlowPolicy> {
        match name {
            "close" => Some(SlowPolicy::Close),
            "skip" => Some(SlowPolicy::Skip),
            _ => None,
        }
    }
}
