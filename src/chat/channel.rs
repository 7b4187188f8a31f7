//! Who is in a room, in an order that a walk can follow quickly, and what was said there.

use std::collections::HashMap;
use std::rc::Rc;

use jiff::Timestamp;
use slab::Slab;

use super::history::History;
use super::identity::{Member, PersonId};
use super::json::Person;
use super::kept::{Owner, Ticket};
use super::names::Names;
use super::secret::Secret;
use super::{ChannelName, Form, MEMBERS_TOLD_SINGLY_MAX};
use crate::clock::Time;
use crate::id::ClientId;
use crate::websocket::Kind;

/// A room or a topic and its members.
///
/// Invariant: the people are those whose slots stand in `order`, each at its position, and each is the voice of
/// as many connections as it counts.
#[derive(Debug)]
pub(super) struct Channel {
    place: ChannelName,
    /// By form.
    listeners: [Listeners; 2],
    people: Slab<Member>,
    /// Slots of people, in the order in which they came, until somebody leaves.
    order: Vec<u32>,
    /// Slots of those who have a key.
    by_id: HashMap<PersonId, u32>,
    /// The last number given to a message, and which count it belongs to.
    pub(super) seq: u64,
    pub(super) epoch: u64,
    pub(super) history: History,
    pub(super) names: Names,
    /// Whether joins, leaves and new names are counted, and not told one by one: from more than a hundred people
    /// on, until counts are told to a hundred or fewer.
    pub(super) is_large: bool,
    pub(super) counts: Counts,
    pub(super) counts_due: Option<Time>,
    /// Where it stands among those that are kept, while nobody is here.
    pub(super) kept: Option<Ticket>,
    /// Who came first, and pays for what is kept of it: to visit what others have left does not make it one's own.
    pub(super) owner: Option<Owner>,
}

/// What is still to be told of a large room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) joined: u32,
    pub(super) left: u32,
    pub(super) renamed: u32,
}

/// The members who hear one form.
///
/// Invariant: `voices` is as long as `members` in a room, and empty in a topic.
#[derive(Debug, Default)]
struct Listeners {
    members: Vec<ClientId>,
    /// Slots of people.
    voices: Vec<u32>,
}

impl Channel {
    pub(super) fn new(place: ChannelName, epoch: u64, names: Secret) -> Channel {
        Channel {
            place,
            listeners: Default::default(),
            people: Slab::new(),
            order: Vec::new(),
            by_id: HashMap::new(),
            seq: 0,
            epoch,
            history: History::default(),
            names: Names::new(names),
            is_large: false,
            counts: Counts::default(),
            counts_due: None,
            kept: None,
            owner: None,
        }
    }

    pub(super) fn place(&self) -> &ChannelName {
        &self.place
    }

    pub(super) fn members(&self, form: Form) -> &[ClientId] {
        &self.listeners[form as usize].members
    }

    /// Connections, of whatever form.
    pub(super) fn member_count(&self) -> usize {
        self.listeners.iter().map(|listeners| listeners.members.len()).sum()
    }

    /// People: those who have a key count once.
    pub(super) fn person_count(&self) -> usize {
        self.order.len()
    }

    /// Who speaks with a connection; `None` in a topic, where messages pass unchanged.
    pub(super) fn voice(&self, form: Form, index: usize) -> Option<&Member> {
        let slot = *self.listeners[form as usize].voices.get(index)?;
        Some(&self.people[slot as usize])
    }

    /// Somebody with a key who is here already.
    pub(super) fn find(&self, id: PersonId) -> Option<&Member> {
        self.by_id.get(&id).map(|slot| &self.people[*slot as usize])
    }

    /// The first hundred, and whether there are more.
    pub(super) fn people(&self) -> (Vec<Person<'_>>, bool) {
        let first = self.order.iter().take(MEMBERS_TOLD_SINGLY_MAX);
        let people = first.map(|slot| Person::from(&self.people[*slot as usize])).collect();
        (people, self.order.len() > MEMBERS_TOLD_SINGLY_MAX)
    }

    /// So many of those whose numbers are higher than this, the lowest first, and whether there are more.
    pub(super) fn people_after(&self, after: Option<PersonId>, limit: usize) -> (Vec<Person<'_>>, bool) {
        let all = self.order.iter().map(|slot| &self.people[*slot as usize]);
        let mut found: Vec<&Member> =
            all.filter(|member| after.is_none_or(|after| member.id > after)).collect();
        let more = found.len() > limit;
        if more {
            found.select_nth_unstable_by_key(limit, |member| member.id);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|member| member.id);
        (found.into_iter().map(Person::from).collect(), more)
    }

    /// Adds a listener to a topic, and says at which index.
    pub(super) fn add_listener(&mut self, form: Form, client: ClientId) -> usize {
        let listeners = &mut self.listeners[form as usize];
        listeners.members.push(client);
        listeners.assert_invariants();
        listeners.members.len() - 1
    }

    /// Adds a connection of somebody, who is new or is [`Channel::find`]ed here, and says at which index.
    pub(super) fn add(&mut self, form: Form, client: ClientId, mut member: Member) -> usize {
        let owner = member.owner;
        let slot = match self.by_id.get(&member.id) {
            Some(slot) => {
                let known = &mut self.people[*slot as usize];
                known.connections += 1;
                known.owner = member.owner;
                *slot
            }
            None => {
                let (id, has_key) = (member.id, member.has_key);
                member.position = slot_of(self.order.len());
                let slot = slot_of(self.people.insert(member));
                self.order.push(slot);
                if has_key {
                    self.by_id.insert(id, slot);
                }
                slot
            }
        };
        self.owner.get_or_insert(owner);
        self.is_large |= self.order.len() > MEMBERS_TOLD_SINGLY_MAX;
        let listeners = &mut self.listeners[form as usize];
        listeners.members.push(client);
        listeners.voices.push(slot);
        listeners.assert_invariants();
        listeners.members.len() - 1
    }

    /// Removes a connection: who had it, the connection that has its index now, and whether the person has gone
    /// with it. Its name stays taken: it is for others to free or to hold it.
    pub(super) fn remove(&mut self, form: Form, index: usize) -> (Option<Member>, Option<ClientId>, bool) {
        let (slot, moved) = self.listeners[form as usize].remove(index);
        let Some(slot) = slot else { return (None, moved, false) };
        let member = &mut self.people[slot as usize];
        member.connections -= 1;
        if member.connections > 0 {
            return (Some(member.clone()), moved, false);
        }
        let member = self.people.remove(slot as usize);
        self.order.swap_remove(member.position as usize);
        if let Some(last) = self.order.get(member.position as usize) {
            self.people[*last as usize].position = member.position;
        }
        if member.has_key {
            self.by_id.remove(&member.id);
        }
        self.shrink();
        (Some(member), moved, true)
    }

    /// Gives a member's message the next number, and remembers it.
    pub(super) fn number(
        &mut self,
        form: Form,
        index: usize,
        time: Timestamp,
        kind: Kind,
        payload: &[u8],
        most: usize,
    ) -> u64 {
        self.seq += 1;
        let slot = self.listeners[form as usize].voices[index];
        self.history.push(self.seq, time, &self.people[slot as usize], kind, payload, most);
        self.seq
    }

    /// Calls a member something else, on all connections of the person: as it wishes, if nobody else is called
    /// that. Returns what it was called, and is.
    pub(super) fn rename(&mut self, form: Form, index: usize, wish: &str) -> (Rc<str>, Rc<str>) {
        let slot = self.listeners[form as usize].voices[index];
        let member = &mut self.people[slot as usize];
        // Its own name is free for it.
        self.names.free(member.id);
        let name = self.names.take(member.id, Some(wish)).expect("a wish is met");
        let before = Rc::clone(&member.who);
        member.rename(Rc::clone(&name));
        (before, name)
    }

    /// A room that was large once does not keep the memory for ever: when three quarters are empty, all move up.
    fn shrink(&mut self) {
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
        let voices = self.listeners.iter_mut().flat_map(|listeners| &mut listeners.voices);
        let known = self.by_id.values_mut();
        voices.chain(known).for_each(|slot| *slot = moved[*slot as usize]);
        self.by_id.shrink_to(self.by_id.len() * 2);
    }
}

impl Listeners {
    fn remove(&mut self, index: usize) -> (Option<u32>, Option<ClientId>) {
        self.members.swap_remove(index);
        let voice = (!self.voices.is_empty()).then(|| self.voices.swap_remove(index));
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

/// There are never more people than open files.
fn slot_of(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 people")
}
