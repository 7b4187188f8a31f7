//! Who is in a room, in an order that a walk can follow quickly.

use super::line::Voice;
use super::{ClientId, Place};
use crate::clock::Time;

/// A room or a topic and its members.
///
/// Invariant: `voices` is as long as `members` in a room of lines, and empty otherwise.
#[derive(Debug)]
pub(super) struct Room {
    place: Place,
    members: Vec<ClientId>,
    voices: Vec<Voice>,
    /// Joins and leaves that are still to be told, and when.
    pub(super) joined: u32,
    pub(super) left: u32,
    pub(super) counts_due: Option<Time>,
}

impl Room {
    pub(super) fn new(place: Place) -> Room {
        Room { place, members: Vec::new(), voices: Vec::new(), joined: 0, left: 0, counts_due: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn members(&self) -> &[ClientId] {
        &self.members
    }

    /// The voice of a member; `None` where messages pass unchanged.
    pub(super) fn voice(&self, index: usize) -> Option<&Voice> {
        self.voices.get(index)
    }

    /// Adds a member and says at which index.
    pub(super) fn add(&mut self, client: ClientId, voice: Option<Voice>) -> usize {
        self.members.push(client);
        self.voices.extend(voice);
        self.assert_invariants();
        self.members.len() - 1
    }

    /// Removes a member. The last one takes the empty place and is returned with the voice.
    pub(super) fn remove(&mut self, index: usize) -> (Option<Voice>, Option<ClientId>) {
        self.members.swap_remove(index);
        let voice = (!self.voices.is_empty()).then(|| self.voices.swap_remove(index));
        // A room that was large once does not keep the memory for ever.
        if self.members.len() * 4 < self.members.capacity() && self.members.capacity() > 64 {
            self.members.shrink_to(self.members.len() * 2);
            self.voices.shrink_to(self.voices.len() * 2);
        }
        self.assert_invariants();
        (voice, self.members.get(index).copied())
    }

    fn assert_invariants(&self) {
        assert!(self.voices.is_empty() || self.voices.len() == self.members.len(), "one voice a member");
    }
}
