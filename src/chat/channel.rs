//! A channel and who hears it, in an order that a walk can follow quickly; and what makes a room of it.

use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;

use super::history::History;
use super::identity::Member;
use super::kept::{Owner, Receipt};
use super::names::Names;
use super::room_event::{Counts, Profile};
use crate::broker::ChannelName;
use crate::clock::Time;
use crate::id::{ClientId, FormId, PersonId};
use crate::secret::Secret;

/// In a room with more members, a line for each join and leave would be most of the traffic: a
/// thousand joins told to a thousand members are a million lines. They are counted instead.
pub const MEMBERS_TOLD_SINGLY_MAX: usize = 100;

/// A room or a topic, and who hears it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    /// No two channels ever have the same, though they may have the same slot or name one after the other.
    pub(super) generation: u64,
    /// By form, those in use.
    listeners: Vec<Listeners>,
    pub(super) state: ChannelState,
    /// Messages that the broker has not answered yet.
    pub(super) pending: u32,
    /// What makes a room of it; a topic has none.
    pub(super) room: Option<Box<Room>>,
}

/// Whether a channel can be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    /// The broker has been asked. Nobody is a member yet.
    Opening,
    /// It can.
    Open {
        /// Which count of messages the numbers belong to.
        epoch: Rc<str>,
        /// The last number that was given.
        head: u64,
    },
}

/// The people of a room, and what was said there.
///
/// Invariant: the people are those whose slots stand in `order`, each at its position, and each has as many
/// connections as it counts.
#[derive(Debug)]
pub(super) struct Room {
    people: Slab<Member>,
    /// Slots of people, in the order in which they came, until somebody leaves.
    order: Vec<u32>,
    /// Slots of those who have a key.
    by_id: HashMap<PersonId, u32>,
    pub(super) history: History,
    pub(super) names: Names,
    /// Whether joins, leaves and new names are counted, and not told one by one: from more than a hundred people
    /// on, until counts are told to a hundred or fewer.
    pub(super) is_large: bool,
    pub(super) counts: Counts,
    pub(super) counts_due: Option<Time>,
    /// Who was told of as writing, and when.
    pub(super) typing: Vec<(PersonId, Time)>,
    /// Where it stands among those that are kept, while nobody is here.
    pub(super) kept: Option<Receipt>,
    /// Who came first, and pays for what is kept of it: to visit what others have left does not make it one's own.
    pub(super) owner: Option<Owner>,
}

/// The connections that hear one form.
///
/// Invariant: `people` is as long as `clients` in a room, and empty in a topic.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) form: FormId,
    pub(super) clients: Vec<ClientId>,
    /// Slots of the people whose connections these are.
    people: Vec<u32>,
}

/// What a connection has left behind.
#[derive(Debug)]
pub(super) struct Removed {
    /// Whose it was; `None` in a topic.
    pub(super) member: Option<Member>,
    /// The connection that has its index now.
    pub(super) moved: Option<ClientId>,
    /// The person has gone with it. Its name stays taken: it is for others to free or to hold it.
    pub(super) has_gone: bool,
}

impl Channel {
    pub(super) fn new(name: ChannelName, generation: u64, names: Secret) -> Channel {
        let room = matches!(name, ChannelName::Room(_)).then(|| Box::new(Room::new(names)));
        Channel { name, generation, listeners: Vec::new(), state: ChannelState::Opening, pending: 0, room }
    }

    /// Connections, by form.
    pub(super) fn listeners(&self) -> &[Listeners] {
        &self.listeners
    }

    /// The connections that hear one form.
    pub(super) fn clients(&self, form: FormId) -> &[ClientId] {
        self.listeners
            .iter()
            .find(|listeners| listeners.form == form)
            .map_or(&[], |listeners| &listeners.clients)
    }

    /// Connections, of whatever form.
    pub(super) fn client_count(&self) -> usize {
        self.listeners.iter().map(|listeners| listeners.clients.len()).sum()
    }

    /// The last number that was given.
    pub(super) fn head(&self) -> u64 {
        match self.state {
            ChannelState::Opening => 0,
            ChannelState::Open { head, .. } => head,
        }
    }

    /// Who speaks with a connection; `None` in a topic, where messages pass unchanged.
    pub(super) fn member(&self, form: FormId, index: usize) -> Option<&Member> {
        let slot = self.slot(form, index)?;
        Some(&self.room.as_ref()?.people[slot])
    }

    fn slot(&self, form: FormId, index: usize) -> Option<usize> {
        let listeners = self.listeners.iter().find(|listeners| listeners.form == form)?;
        listeners.people.get(index).map(|slot| *slot as usize)
    }

    /// Adds a connection, and says at which index: in a room somebody's, who is new or was [`Room::find`]ed here.
    pub(super) fn add(&mut self, form: FormId, client: ClientId, member: Option<Member>) -> usize {
        let slot = self.room.as_mut().zip(member).map(|(room, member)| room.add(member));
        let index = self.listeners.iter().position(|listeners| listeners.form == form);
        let index = index.unwrap_or_else(|| {
            // Nearly always it stays the only one.
            self.listeners.reserve_exact(1);
            self.listeners.push(Listeners { form, clients: Vec::new(), people: Vec::new() });
            self.listeners.len() - 1
        });
        let listeners = &mut self.listeners[index];
        listeners.clients.push(client);
        listeners.people.extend(slot);
        listeners.assert_invariants();
        listeners.clients.len() - 1
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, form: FormId, index: usize) -> Removed {
        let listeners = self.listeners.iter_mut().find(|listeners| listeners.form == form);
        let (slot, moved) = listeners.expect("who has an index is here").remove(index);
        let Some((slot, room)) = slot.zip(self.room.as_mut()) else {
            return Removed { member: None, moved, has_gone: false };
        };
        let (member, has_gone) = room.remove_connection(slot);
        if has_gone {
            let people = self.listeners.iter_mut().flat_map(|listeners| &mut listeners.people);
            room.shrink(people);
        }
        Removed { member: Some(member), moved, has_gone }
    }

    /// Calls somebody something else, on all connections of the person: as it wishes, if nobody else is called
    /// that. Returns what it was called, and is.
    pub(super) fn rename(&mut self, form: FormId, index: usize, wish: &str) -> Option<(Rc<str>, Rc<str>)> {
        let slot = self.slot(form, index)?;
        let room = self.room.as_mut()?;
        let member = &mut room.people[slot];
        // Its own name is free for it.
        room.names.free(member.id);
        let name = room.names.take(member.id, Some(wish)).expect("a wish is met");
        let before = Rc::clone(&member.who);
        member.rename(Rc::clone(&name));
        Some((before, name))
    }
}

impl Room {
    fn new(names: Secret) -> Room {
        Room {
            people: Slab::new(),
            order: Vec::new(),
            by_id: HashMap::new(),
            history: History::default(),
            names: Names::new(names),
            is_large: false,
            counts: Counts::default(),
            counts_due: None,
            typing: Vec::new(),
            kept: None,
            owner: None,
        }
    }

    /// People: those who have a key count once.
    pub(super) fn person_count(&self) -> usize {
        self.order.len()
    }

    /// Somebody with a key who is here already.
    pub(super) fn find(&self, id: PersonId) -> Option<&Member> {
        self.by_id.get(&id).map(|slot| &self.people[*slot as usize])
    }

    /// The first hundred, and whether there are more.
    pub(super) fn people(&self) -> (Vec<Profile<'_>>, bool) {
        let first = self.order.iter().take(MEMBERS_TOLD_SINGLY_MAX);
        let people = first.map(|slot| self.people[*slot as usize].profile()).collect();
        (people, self.order.len() > MEMBERS_TOLD_SINGLY_MAX)
    }

    /// So many of those whose numbers are higher than this, the lowest first, and whether there are more.
    pub(super) fn people_after(&self, after: Option<PersonId>, limit: usize) -> (Vec<Profile<'_>>, bool) {
        let all = self.order.iter().map(|slot| &self.people[*slot as usize]);
        let mut found: Vec<&Member> =
            all.filter(|member| after.is_none_or(|after| member.id > after)).collect();
        let more = found.len() > limit;
        if more {
            found.select_nth_unstable_by_key(limit, |member| member.id);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|member| member.id);
        (found.into_iter().map(Member::profile).collect(), more)
    }

    /// Adds a connection of somebody, and says in which slot it is.
    fn add(&mut self, mut member: Member) -> u32 {
        self.owner.get_or_insert(member.owner);
        if let Some(slot) = self.by_id.get(&member.id) {
            let known = &mut self.people[*slot as usize];
            known.connections += 1;
            known.owner = member.owner;
            return *slot;
        }
        let (id, has_key) = (member.id, member.has_key);
        member.position = slot_of(self.order.len());
        let slot = slot_of(self.people.insert(member));
        self.order.push(slot);
        if has_key {
            self.by_id.insert(id, slot);
        }
        self.is_large |= self.order.len() > MEMBERS_TOLD_SINGLY_MAX;
        slot
    }

    /// One connection less of somebody; also whether that was the last.
    fn remove_connection(&mut self, slot: u32) -> (Member, bool) {
        let member = &mut self.people[slot as usize];
        member.connections -= 1;
        if member.connections > 0 {
            return (member.clone(), false);
        }
        let member = self.people.remove(slot as usize);
        self.order.swap_remove(member.position as usize);
        if let Some(last) = self.order.get(member.position as usize) {
            self.people[*last as usize].position = member.position;
        }
        if member.has_key {
            self.by_id.remove(&member.id);
        }
        (member, true)
    }

    /// A room that was large once does not keep the memory for ever: when three quarters are empty, all move up.
    fn shrink<'a>(&mut self, connections: impl Iterator<Item = &'a mut u32>) {
        if self.people.len() * 4 >= self.people.capacity() || self.people.capacity() <= 64 {
            return;
        }
        let mut moved = vec![0; self.people.capacity()];
        let mut people = Slab::with_capacity(self.people.len() * 2);
        for slot in &mut self.order {
            let new = slot_of(people.insert(self.people.remove(*slot as usize)));
            moved[*slot as usize] = new;
            *slot = new;
        }
        self.people = people;
        self.order.shrink_to(self.order.len() * 2);
        connections.for_each(|slot| *slot = moved[*slot as usize]);
        self.by_id.values_mut().for_each(|slot| *slot = moved[*slot as usize]);
        self.by_id.shrink_to(self.by_id.len() * 2);
    }
}

impl Listeners {
    #[cfg(test)]
    pub(super) fn of_clients(form: FormId, clients: Vec<ClientId>) -> Listeners {
        Listeners { form, clients, people: Vec::new() }
    }

    fn remove(&mut self, index: usize) -> (Option<u32>, Option<ClientId>) {
        self.clients.swap_remove(index);
        let person = (!self.people.is_empty()).then(|| self.people.swap_remove(index));
        if self.clients.len() * 4 < self.clients.capacity() && self.clients.capacity() > 64 {
            self.clients.shrink_to(self.clients.len() * 2);
            self.people.shrink_to(self.people.len() * 2);
        }
        self.assert_invariants();
        (person, self.clients.get(index).copied())
    }

    fn assert_invariants(&self) {
        assert!(self.people.is_empty() || self.people.len() == self.clients.len(), "one person a connection");
    }
}

/// There are never more people than open files.
fn slot_of(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 people")
}
