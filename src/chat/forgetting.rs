//! What is remembered of rooms in which nobody is, and of people who have gone; and how much all rooms remember.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;

use super::Chat;
use super::channel::{Channel, ChannelState, Room};
use super::identity::{Member, RoomKey};
use super::keeping::{EMPTY_ROOM_KEPT, HISTORIES_BYTES_MAX};
use super::kept::{Owner, common_level};
use crate::broker::ChannelName;
use crate::clock::Now;
use crate::id::{ChannelId, PersonId};

/// So many rooms are forgotten at once: it bounds the turn in which it happens, and no turn brings so many.
const FORGOTTEN_AT_ONCE_MAX: usize = 4_096;
/// A name that is held in a room.
const HELD_NAME_BYTES: usize = 256;

/// What the rooms of one owner remember.
#[derive(Debug, Default)]
struct Estate {
    bytes: usize,
    /// Rooms in use, and what their histories cost.
    in_use: Vec<(ChannelId, usize)>,
}

impl Chat {
    /// Forgets channels without members, rooms with a history later; and people who have gone. Called when the
    /// turn's messages are delivered, so that a channel's slot does not change owner before.
    pub fn forget_channels(&mut self, now: Now, forgotten: &mut impl FnMut(ChannelId)) {
        self.forget_persons(now);
        for id in std::mem::take(&mut self.keeping.emptied) {
            let Some(channel) = self.channels.get_mut(id.index()).filter(|channel| channel.is_unused())
            else {
                continue;
            };
            let bytes = channel.cost();
            match &mut channel.room {
                Some(room) if !room.is_forgettable() => {
                    if room.kept.is_none() {
                        let owner = room.owner.unwrap_or(Owner::NOBODY);
                        room.kept = Some(self.keeping.kept.add(id, owner, bytes, now.time + EMPTY_ROOM_KEPT));
                        self.keeping.in_use -= room.history.cost();
                    }
                }
                _ => self.forget(id, forgotten),
            }
        }
        for _ in 0..FORGOTTEN_AT_ONCE_MAX {
            let Some(id) = self.keeping.kept.pop_due(now.time) else { break };
            self.forget_kept(id, forgotten);
        }
        self.limit_histories(forgotten);
    }

    /// Somebody comes into a room: it is not forgotten now.
    pub(super) fn use_again(&mut self, id: ChannelId) {
        let Some(room) = &mut self.channels[id.index()].room else { return };
        if let Some(receipt) = room.kept.take() {
            self.keeping.kept.remove(receipt);
            self.keeping.in_use += room.history.cost();
        }
    }

    /// A connection has left a channel: who has a key keeps the name in a room for a while.
    pub(super) fn retire(&mut self, now: Now, member: Option<&Member>, has_gone: bool, key: RoomKey) {
        let channel = &mut self.channels[key.0.index()];
        if channel.client_count() == 0 {
            self.keeping.note_emptied(key.0);
        }
        let (Some(member), Some(room)) = (member, &mut channel.room) else { return };
        let mut given_up = None;
        if has_gone && member.is_named() {
            if member.has_key {
                room.names.hold(member.id, Rc::clone(&member.who));
                given_up = self.identities.hold_name(member.id, key);
            } else {
                room.names.free(member.id);
            }
        }
        self.identities.leave(now.time, member);
        given_up.into_iter().for_each(|key| self.release_name(member.id, key));
    }

    /// Forgets people who have gone, and with them that their names are theirs.
    pub(super) fn forget_persons(&mut self, now: Now) {
        for (id, rooms) in self.identities.forget(now.time) {
            rooms.into_iter().for_each(|key| self.release_name(id, key));
        }
    }

    fn release_name(&mut self, person: PersonId, (id, generation): RoomKey) {
        let channel = self.channels.get_mut(id.index()).filter(|channel| channel.generation == generation);
        let Some(channel) = channel else { return };
        if let Some(room) = &mut channel.room {
            room.names.release(person);
        }
        if channel.is_unused() {
            self.keeping.note_emptied(id);
        }
    }

    fn forget(&mut self, id: ChannelId, forgotten: &mut impl FnMut(ChannelId)) {
        self.use_again(id);
        let history = self.channels[id.index()].room.as_ref().map_or(0, |room| room.history.cost());
        self.keeping.in_use -= history;
        self.forget_kept(id, forgotten);
    }

    fn forget_kept(&mut self, id: ChannelId, forgotten: &mut impl FnMut(ChannelId)) {
        let channel = self.channels.remove(id.index());
        self.by_name.remove(&channel.name);
        forgotten(id);
    }

    /// All that rooms remember has a limit.
    fn limit_histories(&mut self, forgotten: &mut impl FnMut(ChannelId)) {
        if self.keeping.bytes() <= HISTORIES_BYTES_MAX {
            return;
        }
        // Down to three quarters: the next message must not find the same situation.
        let estates = self.estates();
        let sizes: Vec<usize> = estates.iter().map(|(_, estate)| estate.bytes).collect();
        let level = common_level(&sizes, HISTORIES_BYTES_MAX / 4 * 3);
        let mut left = FORGOTTEN_AT_ONCE_MAX;
        for (owner, estate) in estates.into_iter().filter(|(_, estate)| estate.bytes > level) {
            let in_use: usize = estate.in_use.iter().map(|(_, cost)| cost).sum();
            let gone = self.keeping.kept.evict_of(owner, level.saturating_sub(in_use), left);
            left -= gone.len();
            gone.into_iter().for_each(|id| self.forget_kept(id, forgotten));
            self.trim(&estate.in_use, level);
        }
    }

    /// What each owner has, who has most first.
    fn estates(&self) -> Vec<(Owner, Estate)> {
        let mut estates: HashMap<Owner, Estate> = HashMap::new();
        for (owner, bytes) in self.keeping.kept.holdings() {
            estates.entry(owner).or_default().bytes += bytes;
        }
        let rooms = self.channels.iter().filter_map(|(index, channel)| Some((index, channel.room.as_ref()?)));
        for (index, room) in rooms.filter(|(_, room)| room.kept.is_none() && !room.history.is_empty()) {
            let estate = estates.entry(room.owner.unwrap_or(Owner::NOBODY)).or_default();
            estate.bytes += room.history.cost();
            estate.in_use.push((ChannelId::new(index), room.history.cost()));
        }
        let mut estates: Vec<_> = estates.into_iter().collect();
        estates.sort_by_key(|(owner, estate)| (Reverse(estate.bytes), *owner));
        estates
    }

    /// The largest of these rooms lose their oldest messages, until all of them take so much together.
    fn trim(&mut self, rooms: &[(ChannelId, usize)], bytes_max: usize) {
        let sizes: Vec<usize> = rooms.iter().map(|(_, cost)| *cost).collect();
        let level = common_level(&sizes, bytes_max);
        for (id, before) in rooms.iter().filter(|(_, cost)| *cost > level) {
            let Some(room) = &mut self.channels[id.index()].room else { continue };
            room.history.trim(level);
            self.keeping.note_change(*before, room.history.cost());
        }
    }
}

impl Channel {
    /// Whether nobody is in it, and nothing of it is awaited.
    fn is_unused(&self) -> bool {
        self.client_count() == 0 && self.pending == 0 && self.state != ChannelState::Opening
    }

    /// What it takes while nobody is there.
    fn cost(&self) -> usize {
        let (ChannelName::Room(name) | ChannelName::Topic(name)) = &self.name;
        // It stands in the slab and, with its name, among the names.
        let itself = size_of::<Channel>() + 2 * (size_of::<(ChannelName, ChannelId)>() + name.len());
        let of_room =
            |room: &Room| size_of::<Room>() + room.names.held_count() * HELD_NAME_BYTES + room.history.cost();
        itself + self.room.as_deref().map_or(0, of_room)
    }
}

impl Room {
    /// Whether there is nothing to remember of it.
    fn is_forgettable(&self) -> bool {
        self.history.is_empty() && self.names.held_count() == 0
    }
}
