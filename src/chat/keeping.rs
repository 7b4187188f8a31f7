//! The books of what rooms remember: of those in use, and of those in which nobody is.

use std::time::Duration;

use super::kept::Kept;
use crate::clock::Time;
use crate::id::ChannelId;

/// A room in which nobody is keeps its history, and the names of people with a key, for so long.
pub(super) const EMPTY_ROOM_KEPT: Duration = Duration::from_secs(600);
/// Memory of all that rooms remember, those in use included. Over it whoever has most pays, down to what others
/// have: of its rooms those in which nobody is go first, the oldest first; then the largest histories of those in
/// use lose their oldest messages.
/// With what an allocator loses between so many small pieces they take a third more.
pub(super) const HISTORIES_BYTES_MAX: usize = 48 << 20;
/// The books.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Channels in which perhaps nobody is since this turn.
    pub(super) emptied: Vec<ChannelId>,
    /// Rooms in which nobody is.
    pub(super) kept: Kept<ChannelId>,
    /// What the histories of the other rooms cost.
    pub(super) in_use: usize,
}

impl Keeping {
    /// What all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.kept.bytes() + self.in_use
    }

    /// Nobody may be in a channel any more.
    pub(super) fn note_emptied(&mut self, id: ChannelId) {
        self.emptied.push(id);
    }

    /// The history of a room in use has changed.
    pub(super) fn note_change(&mut self, before: usize, after: usize) {
        self.in_use = self.in_use + after - before;
    }

    /// Rooms in which nobody is.
    #[cfg(test)]
    pub(super) fn kept_count(&self) -> usize {
        self.kept.len()
    }

    /// When something is forgotten next.
    pub(super) fn due(&self) -> Time {
        self.kept.due()
    }
}
