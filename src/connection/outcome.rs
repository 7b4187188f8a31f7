//! What became of what a client was to get.

use crate::delivery::Skipped;

/// What became of the messages of a batch at one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the ledger wants to know"]
pub enum SendOutcome {
    /// The socket took them all.
    Delivered,
    /// So many of them wait.
    Queued(u32),
    /// The client was cut.
    Dropped,
    /// The client is gone.
    Lost,
}

/// What was thrown away of a queue whose client stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Messages that will not be sent.
    pub skipped: Skipped,
    /// Those that were skipped before, and of which the client has not been told: its notice is taken back.
    pub untold: Skipped,
    /// So many entries stay before it.
    pub(super) place: usize,
}

/// How far behind a client was when its queue was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that will not be sent.
    pub messages: u64,
    /// Their bytes, headers included.
    pub bytes: usize,
}
