//! Who may come in, and who gives way when there is no place left.
//!
//! Each connection has a place in one of three pools. What is full in one of them is no matter of the others: when
//! all clients' places are taken, operators can still look, at their own address or at the common one.

use std::cmp::Reverse;
use std::net::SocketAddr;

use log::debug;

use super::addresses::{self, Verdict};
use super::{Client, Server, Stream, Surface};
use crate::http::Refusal;
use crate::id::ClientId;
use crate::site::Service;

/// Newcomers to a full server that may say what they want: reports are given, all else is refused.
const GUESTS_MAX: usize = 32;
/// Connections of operators, where they have an address of their own: a scraper or two, and some browsers.
const OPERATORS_MAX: usize = 16;

/// The places from which a connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// `--max-clients`.
    Clients,
    /// Came when all of those were taken.
    Guests,
    /// Came by the operators' own address.
    Operators,
}

/// The two small pools, whose members give way to newcomers; the rest are clients.
#[derive(Debug, Default)]
pub(super) struct Places {
    guests: Crowd,
    operators: Crowd,
}

/// Members of a small pool, the oldest first.
#[derive(Debug, Default)]
struct Crowd {
    members: Vec<ClientId>,
    /// The last so many came in this turn. They have not been heard, so they do not give way.
    fresh: usize,
}

impl Crowd {
    fn remove(&mut self, id: ClientId) {
        self.members.retain(|&other| other != id);
    }

    /// Those who may have to give way.
    fn heard(&self) -> &[ClientId] {
        &self.members[..self.members.len().saturating_sub(self.fresh)]
    }
}

impl Places {
    /// Connections of operators, who are nobody's clients.
    pub(super) fn operators(&self) -> usize {
        self.operators.members.len()
    }

    /// A turn begins: all who have come are heard in it.
    pub(super) fn begin_turn(&mut self) {
        (self.guests.fresh, self.operators.fresh) = (0, 0);
    }

    fn crowd(&mut self, pool: Pool) -> Option<(&mut Crowd, usize)> {
        match pool {
            Pool::Clients => None,
            Pool::Guests => Some((&mut self.guests, GUESTS_MAX)),
            Pool::Operators => Some((&mut self.operators, OPERATORS_MAX)),
        }
    }

    pub(super) fn enter(&mut self, pool: Pool, id: ClientId) {
        if let Some((crowd, _)) = self.crowd(pool) {
            crowd.members.push(id);
            crowd.fresh += 1;
        }
    }

    pub(super) fn leave(&mut self, pool: Pool, id: ClientId) {
        if let Some((crowd, _)) = self.crowd(pool) {
            crowd.remove(id);
        }
    }
}

impl<S: Stream> Server<S> {
    /// Whether a newcomer would be heard. If not, so many have come in this turn that those would have to give way
    /// who should not; the next turn is soon.
    pub fn can_accept(&mut self, surface: Surface) -> bool {
        let pool = self.pool_of_newcomer(surface);
        self.places.crowd(pool).is_none_or(|(crowd, most)| crowd.fresh < most / 2)
    }

    /// Makes room for a newcomer, if another has to give way for that. Comes before [`Server::next_token`].
    pub fn make_room(&mut self, address: SocketAddr, surface: Surface) {
        let pool = self.pool_of_newcomer(surface);
        let Some((crowd, most)) = self.places.crowd(pool) else { return };
        let is_ignored = pool != Pool::Operators
            && self.addresses.judge(address, self.limits.address_clients_max) == Verdict::Ignored;
        if crowd.members.len() < most || is_ignored {
            return;
        }
        let Some(id) = self.next_to_give_way(pool) else { return };
        // Nothing was written to it in this turn, and its events have been noted: the slot is free at once, so
        // that even then no more descriptors are in use than there are places.
        let client = self.clients.remove(id.index());
        self.counters.note_rejection("displaced");
        debug!("{} gives way to a newcomer", client.address);
        self.release(id, &client);
    }

    /// Where a newcomer is counted.
    pub(super) fn pool_of_newcomer(&self, surface: Surface) -> Pool {
        match surface {
            Surface::Operators => Pool::Operators,
            _ if self.has_place() => Pool::Clients,
            _ => Pool::Guests,
        }
    }

    pub(super) fn is_pool_full(&mut self, pool: Pool) -> bool {
        self.places.crowd(pool).is_some_and(|(crowd, most)| crowd.members.len() >= most)
    }

    /// What a connection may ask for. A guest becomes a client if there is a place by now.
    pub(super) fn service_for(&mut self, id: ClientId) -> Service {
        if self.clients[id.index()].pool != Pool::Guests {
            return Service::All;
        }
        if !self.has_place() {
            return Service::Full;
        }
        self.places.leave(Pool::Guests, id);
        self.clients[id.index()].pool = Pool::Clients;
        Service::All
    }

    /// What it held beside its slot is free again.
    pub(super) fn release(&mut self, id: ClientId, client: &Client<S>) {
        self.places.leave(client.pool, id);
        if client.pool != Pool::Operators {
            self.addresses.leave(client.address, client.is_websocket);
        }
        self.websockets -= usize::from(client.is_websocket);
        self.read_queue.note_unfinished(client.unfinished_bytes as usize, 0);
        self.read_queue.forget(id);
    }

    /// Notes a connection that has no place.
    pub(super) fn turn_down(&mut self) -> bool {
        self.counters.note_refusal(Refusal::Full);
        false
    }

    fn has_place(&self) -> bool {
        let others = self.places.guests.members.len() + self.places.operators.members.len();
        self.clients.len() - others < self.limits.clients_max
    }

    /// First who has been told all and is only to hang up. Then who has not asked, of the address that
    /// has most of those: who dials without end displaces itself. Then who does not take its answer.
    fn next_to_give_way(&mut self, pool: Pool) -> Option<ClientId> {
        let clients = &self.clients;
        let heard = self.places.crowd(pool)?.0.heard();
        let connection = |id: ClientId| &clients[id.index()].connection;
        let owner = |id: ClientId| addresses::key(clients[id.index()].address);
        let silent = || heard.iter().copied().filter(|&id| connection(id).is_awaiting_handshake());
        let of_owner = |id: ClientId| silent().filter(|&other| owner(other) == owner(id)).count();
        let told = heard.iter().copied().find(|&id| connection(id).has_said_all());
        told.or_else(|| {
            silent().enumerate().max_by_key(|&(age, id)| (of_owner(id), Reverse(age))).map(|(_, id)| id)
        })
        .or_else(|| heard.first().copied())
    }
}
