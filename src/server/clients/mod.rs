//! All who are connected, and the lists that say who of them is served when.
//!
//! Invariant: a client has a flag, or a note, for its place in a list, and only a place of which the client itself
//! knows counts. So nobody is looked for in a list, and nobody is in one twice.

mod client;
mod deadlines;
mod flags;
mod lately;
mod rate;
mod read_queue;

use std::collections::VecDeque;
use std::io;
use std::ops::{Index, IndexMut};

use slab::Slab;

pub(crate) use client::{Client, READ_BYTES_MAX, READ_BYTES_MIN};
pub(crate) use deadlines::Deadlines;
pub(crate) use flags::Flag;
pub use rate::Rate;
pub(crate) use rate::RateLimiter;
pub(crate) use read_queue::{Load, ReadQueue};

use crate::clock::{Now, Time};
use crate::connection::SendOutcome;
use crate::id::ClientId;
use crate::server::stream::Stream;

/// Who is connected, and who is served when.
#[derive(Debug)]
pub(crate) struct Clients<S> {
    slab: Slab<Client<S>>,
    /// When the clock has something for a client.
    deadlines: Deadlines,
    /// Who is over its rate and waits, by slot.
    pub(crate) rate_limiter: RateLimiter,
    /// Clients with something to read. Those who ask for little come before the busy ones: newcomers and pings
    /// do not wait for a flood.
    pub(crate) read_queue: ReadQueue,
    /// Clients with something to write, or to end.
    flushable: VecDeque<ClientId>,
    /// What became of messages that did not leave at once. Empty but in deliver.
    pub(crate) outcomes: Vec<(ClientId, u32, io::Result<SendOutcome>)>,
    /// Clients whose conversation ended after this turn's messages were delivered. Empty between turns.
    pub(crate) leaving: Vec<ClientId>,
    /// Clients whose slot can be freed. Empty between turns.
    pub(crate) finished: Vec<ClientId>,
    /// Of the last turn: what a poll says comes without a time.
    time: Time,
}

impl<S> Clients<S> {
    /// Nobody; who comes may speak so fast.
    pub(crate) fn new(rate: Option<Rate>) -> Clients<S> {
        Clients {
            slab: Slab::new(),
            deadlines: Deadlines::default(),
            rate_limiter: RateLimiter::new(rate),
            read_queue: ReadQueue::default(),
            flushable: VecDeque::new(),
            outcomes: Vec::new(),
            leaving: Vec::new(),
            finished: Vec::new(),
            time: Time::default(),
        }
    }

    /// Who comes next gets this.
    pub(crate) fn next_id(&self) -> ClientId {
        ClientId::new(self.slab.vacant_key())
    }

    /// Takes a client in.
    pub(crate) fn insert(&mut self, client: Client<S>) -> ClientId {
        let id = ClientId::new(self.slab.insert(client));
        self.rate_limiter.reset(id);
        id
    }

    /// Frees a slot, and what is held beside it. Places in lists are passed over when they come.
    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client<S>> {
        let client = self.slab.try_remove(id.index())?;
        self.read_queue.note_unfinished(client.unfinished_bytes as usize, 0);
        self.read_queue.forget(id);
        Some(client)
    }

    /// Whether there is a client of this id.
    pub(crate) fn contains(&self, id: ClientId) -> bool {
        self.slab.contains(id.index())
    }

    /// A client that may be gone.
    #[inline]
    pub(crate) fn find(&mut self, id: ClientId) -> Option<&mut Client<S>> {
        self.slab.get_mut(id.index())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether nobody is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// All, by their numbers.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (ClientId, &Client<S>)> {
        self.slab.iter().map(|(index, client)| (ClientId::new(index), client))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ClientId, &mut Client<S>)> {
        self.slab.iter_mut().map(|(index, client)| (ClientId::new(index), client))
    }

    /// A turn begins.
    pub(crate) fn begin_turn(&mut self, now: Time) {
        self.time = now;
    }

    /// Reads a client in this turn or in one of the next.
    pub(crate) fn mark_runnable(&mut self, id: ClientId) {
        let client = &mut self.slab[id.index()];
        if client.flags.insert(Flag::Runnable) {
            self.read_queue.push(id, client.load(self.time));
        }
    }

    /// Takes the first client of a load that has something to read.
    pub(crate) fn pop_runnable(&mut self, load: Load) -> Option<ClientId> {
        while let Some(id) = self.read_queue.pop(load) {
            if self.slab.get_mut(id.index()).is_some_and(|client| client.flags.remove(Flag::Runnable)) {
                return Some(id);
            }
        }
        None
    }

    /// Flushes a client in this turn or in one of the next, if there is anything to flush.
    pub(crate) fn mark_flushable(&mut self, id: ClientId) {
        if self.slab[id.index()].connection.wants_flush() {
            self.push_flushable(id);
        }
    }

    /// The same, also if only its stream has something to say.
    pub(crate) fn mark_stream_flushable(&mut self, id: ClientId)
    where
        S: Stream,
    {
        let Client { stream, connection, .. } = &self.slab[id.index()];
        if connection.wants_flush() || stream.wants_write() {
            self.push_flushable(id);
        }
    }

    fn push_flushable(&mut self, id: ClientId) {
        if self.slab[id.index()].flags.insert(Flag::Flushable) {
            self.flushable.push_back(id);
        }
    }

    /// Takes the first client that is to be flushed.
    pub(crate) fn pop_flushable(&mut self) -> Option<ClientId> {
        while let Some(id) = self.flushable.pop_front() {
            // It may be gone since the turn in which that was found out.
            if self.slab.get_mut(id.index()).is_some_and(|client| client.flags.remove(Flag::Flushable)) {
                return Some(id);
            }
        }
        None
    }

    /// Whether somebody is to be read or flushed at once.
    pub(crate) fn has_work(&self) -> bool {
        !self.read_queue.is_empty() || !self.flushable.is_empty()
    }

    /// Notes when a client wants to be woken.
    pub(crate) fn arm(&mut self, now: Now, id: ClientId) {
        // What is due while it is held back waits: it may have answered a ping, and was not heard.
        let resume = self.rate_limiter.paused_until(now.time, id);
        let deadline = resume.unwrap_or_else(|| self.slab[id.index()].connection.deadline());
        self.arm_at(id, deadline);
    }

    /// The same, at a time.
    pub(crate) fn arm_at(&mut self, id: ClientId, time: Time) {
        self.deadlines.arm(id, time, &mut self.slab[id.index()].armed);
    }

    /// Takes a client whose deadline has passed.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<ClientId> {
        while let Some((time, id)) = self.deadlines.pop_due(now) {
            let client = self.slab.get_mut(id.index()).filter(|client| client.armed == time);
            if let Some(client) = client {
                client.armed = Time::NEVER;
                return Some(id);
            }
        }
        None
    }

    /// Forgets deadlines that do not count any more, if they are most of them.
    pub(crate) fn compact_deadlines(&mut self) {
        let clients = &self.slab;
        let counts = |id: ClientId, time| clients.get(id.index()).is_some_and(|client| client.armed == time);
        self.deadlines.compact(clients.len(), counts);
    }

    /// When the clock has something for the next client.
    pub(crate) fn deadline(&self) -> Time {
        self.deadlines.next()
    }

    /// Notes how much memory the unfinished request or message of a client takes now.
    pub(crate) fn note_unfinished(&mut self, id: ClientId) {
        let client = &mut self.slab[id.index()];
        let bytes = u32::try_from(client.connection.unfinished_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut client.unfinished_bytes, bytes);
        self.read_queue.note_unfinished(before as usize, bytes as usize);
    }

    /// Every turn ends settled.
    pub(crate) fn assert_settled(&self) {
        assert!(self.outcomes.is_empty(), "what became of each message is written down");
        assert!(self.leaving.is_empty(), "who has gone has left the rooms");
        assert!(self.finished.is_empty(), "slots are free");
        debug_assert_eq!(
            self.read_queue.unfinished_bytes(),
            self.iter()
                .map(|(id, client)| client.unfinished_bytes as usize + self.read_queue.carried_bytes(id))
                .sum::<usize>(),
        );
    }
}

impl<S> Index<ClientId> for Clients<S> {
    type Output = Client<S>;

    #[inline]
    fn index(&self, id: ClientId) -> &Client<S> {
        &self.slab[id.index()]
    }
}

impl<S> IndexMut<ClientId> for Clients<S> {
    #[inline]
    fn index_mut(&mut self, id: ClientId) -> &mut Client<S> {
        &mut self.slab[id.index()]
    }
}
