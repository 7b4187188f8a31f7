//! Who is in a room, in an order that a walk can follow quickly, and what was said there.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use jiff::Timestamp;

use super::history::History;
use super::json::Person;
use super::person::{Names, PersonId, Voice};
use super::{ClientId, Form, MEMBERS_TOLD_SINGLY_MAX, Place};
use crate::clock::Time;
use crate::websocket::Kind;

/// A room or a topic and its members.
#[derive(Debug)]
pub(super) struct Room {
    place: Place,
    /// By form.
    listeners: [Listeners; 2],
    /// The last number given to a message, and which count it belongs to.
    pub(super) seq: u64,
    pub(super) epoch: u64,
    pub(super) history: History,
    pub(super) names: Names,
    /// Connections of those who have a key.
    connections: HashMap<PersonId, u32>,
    persons: usize,
    /// Joins and leaves that are still to be told, and when.
    pub(super) joined: u32,
    pub(super) left: u32,
    pub(super) counts_due: Option<Time>,
    /// Since when nobody is here.
    pub(super) empty_since: Option<Time>,
}

/// The members who hear one form.
///
/// Invariant: `voices` is as long as `members` in a room, and empty in a topic.
#[derive(Debug, Default)]
struct Listeners {
    members: Vec<ClientId>,
    voices: Vec<Voice>,
}

impl Room {
    pub(super) fn new(place: Place, epoch: u64) -> Room {
        Room {
            place,
            listeners: Default::default(),
            seq: 0,
            epoch,
            history: History::default(),
            names: Names::default(),
            connections: HashMap::new(),
            persons: 0,
            joined: 0,
            left: 0,
            counts_due: None,
            empty_since: None,
        }
    }

    pub(super) fn place(&self) -> &Place {
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
        self.persons
    }

    /// The voice of a member; `None` in a topic, where messages pass unchanged.
    pub(super) fn voice(&self, form: Form, index: usize) -> Option<&Voice> {
        self.listeners[form as usize].voices.get(index)
    }

    /// Whether this is all there is of a person here.
    pub(super) fn is_last_connection(&self, id: PersonId) -> bool {
        self.connections.get(&id).is_none_or(|connections| *connections == 1)
    }

    /// What a person is called who is here with another connection.
    pub(super) fn voice_of(&self, id: PersonId) -> Option<&Voice> {
        self.connections.get(&id)?;
        self.voices().find(|voice| voice.id == id)
    }

    /// Everybody once, unless they are too many to be told one by one.
    pub(super) fn people(&self) -> Option<Vec<Person<'_>>> {
        if self.persons > MEMBERS_TOLD_SINGLY_MAX {
            return None;
        }
        let mut seen = HashSet::new();
        Some(self.voices().filter(|voice| seen.insert(voice.id)).map(Person::from).collect())
    }

    /// Adds a member, and says at which index.
    pub(super) fn add(&mut self, form: Form, client: ClientId, voice: Option<Voice>) -> usize {
        self.empty_since = None;
        let mut is_new = true;
        if let Some(voice) = voice.as_ref().filter(|voice| voice.key.is_some()) {
            let connections = self.connections.entry(voice.id).or_default();
            *connections += 1;
            is_new = *connections == 1;
        }
        self.persons += usize::from(is_new);
        let listeners = &mut self.listeners[form as usize];
        listeners.members.push(client);
        listeners.voices.extend(voice);
        listeners.assert_invariants();
        listeners.members.len() - 1
    }

    /// Removes a member. The last one takes the empty place and is returned with the voice, and whether a
    /// person has gone.
    pub(super) fn remove(&mut self, form: Form, index: usize) -> (Option<Voice>, Option<ClientId>, bool) {
        let (voice, moved) = self.listeners[form as usize].remove(index);
        let mut has_gone = true;
        if let Some(voice) = voice.as_ref().filter(|voice| voice.key.is_some()) {
            let connections = self.connections.get_mut(&voice.id).expect("counted when it came");
            *connections -= 1;
            has_gone = *connections == 0;
            if has_gone {
                self.connections.remove(&voice.id);
            }
        }
        self.persons -= usize::from(has_gone);
        if let Some(voice) = voice.as_ref().filter(|voice| has_gone && voice.is_named()) {
            self.names.free(&voice.who);
        }
        (voice, moved, has_gone)
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
        let voice = &self.listeners[form as usize].voices[index];
        self.history.push(self.seq, time, voice, kind, payload, most);
        self.seq
    }

    /// Calls a member something else, on all connections of the person.
    pub(super) fn rename(&mut self, form: Form, index: usize, name: &str) {
        let name: Rc<str> = name.into();
        let rename = |voice: &mut Voice| (voice.who, voice.name) = (Rc::clone(&name), Rc::clone(&name));
        let id = self.listeners[form as usize].voices[index].id;
        if self.is_last_connection(id) {
            // Nearly always: no need to look at everybody.
            return rename(&mut self.listeners[form as usize].voices[index]);
        }
        let voices = self.listeners.iter_mut().flat_map(|listeners| &mut listeners.voices);
        voices.filter(|voice| voice.id == id).for_each(rename);
    }

    fn voices(&self) -> impl Iterator<Item = &Voice> {
        self.listeners.iter().flat_map(|listeners| &listeners.voices)
    }
}

impl Listeners {
    fn remove(&mut self, index: usize) -> (Option<Voice>, Option<ClientId>) {
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
