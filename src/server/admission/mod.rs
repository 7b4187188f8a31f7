//! Who may come in, and who gives way when there is no place left.

mod addresses;
mod places;

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

pub(crate) use addresses::Verdict;
pub(crate) use places::Pool;

use addresses::AddressCounts;
use places::Places;

use crate::id::ClientId;
use crate::site::{Service, Surface};

/// Counts who is here, and says who may come.
#[derive(Debug)]
pub(crate) struct Admission {
    /// By address, where that is limited.
    addresses: AddressCounts,
    /// Beside those of clients.
    places: Places,
    /// Clients that are, or were, WebSockets.
    websockets: usize,
    /// What may be: clients at the same time, and WebSockets of one address.
    clients_max: usize,
    address_clients_max: Option<u32>,
}

/// One who may have to give way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// It has got all, and is only to hang up.
    pub(crate) has_said_all: bool,
    /// It has not asked.
    pub(crate) is_silent: bool,
    pub(crate) address: SocketAddr,
}

impl Admission {
    /// Nobody is here; so many may be.
    pub(crate) fn new(clients_max: usize, address_clients_max: Option<u32>) -> Admission {
        Admission {
            addresses: AddressCounts::default(),
            places: Places::default(),
            websockets: 0,
            clients_max,
            address_clients_max,
        }
    }

    /// A turn begins: all who have come are heard in it.
    pub(crate) fn begin_turn(&mut self) {
        self.places.begin_turn();
    }

    /// Where a newcomer is counted when so many are here.
    pub(crate) fn pool_of_newcomer(&self, surface: Surface, connections: usize) -> Pool {
        match surface {
            Surface::Operators => Pool::Operators,
            _ if self.has_place(connections) => Pool::Clients,
            _ => Pool::Guests,
        }
    }

    /// Whether a newcomer would be heard. If not, so many have come in this turn that those would have to give way
    /// who should not; the next turn is soon.
    pub(crate) fn can_accept(&mut self, pool: Pool) -> bool {
        self.places.crowd(pool).is_none_or(|(crowd, most)| crowd.fresh < most / 2)
    }

    /// Whether nobody can be taken but in somebody's place.
    pub(crate) fn is_pool_full(&mut self, pool: Pool) -> bool {
        self.places.crowd(pool).is_some_and(|(crowd, most)| crowd.members.len() >= most)
    }

    /// Counts a newcomer by its address, unless it is ignored.
    pub(crate) fn arrive(&mut self, pool: Pool, address: SocketAddr) -> Verdict {
        match pool {
            Pool::Operators => Verdict::Welcome,
            Pool::Clients | Pool::Guests => self.addresses.arrive(address, self.address_clients_max),
        }
    }

    /// Gives it its place.
    pub(crate) fn enter(&mut self, pool: Pool, id: ClientId) {
        self.places.enter(pool, id);
    }

    /// Whether a connection may become a WebSocket.
    pub(crate) fn may_open(&self, address: SocketAddr) -> bool {
        self.addresses.may_open(address, self.address_clients_max)
    }

    /// The same; then it is counted as one.
    pub(crate) fn open(&mut self, address: SocketAddr) -> bool {
        let is_allowed = self.addresses.open(address, self.address_clients_max);
        self.websockets += usize::from(is_allowed);
        is_allowed
    }

    /// A connection is gone, and its place is free.
    pub(crate) fn leave(&mut self, id: ClientId, pool: Pool, address: SocketAddr, is_websocket: bool) {
        self.places.leave(pool, id);
        if pool != Pool::Operators {
            self.addresses.leave(address, is_websocket);
        }
        self.websockets -= usize::from(is_websocket);
    }

    /// What a connection may ask for when so many are here. A guest becomes a client if there is a place by now.
    pub(crate) fn service_for(&mut self, id: ClientId, pool: &mut Pool, connections: usize) -> Service {
        if *pool != Pool::Guests {
            return Service::All;
        }
        if !self.has_place(connections) {
            return Service::Full;
        }
        self.places.leave(Pool::Guests, id);
        *pool = Pool::Clients;
        Service::All
    }

    /// Who gives way to a newcomer, if somebody has to.
    ///
    /// First who has been told all and is only to hang up. Then who has not asked, of the address that
    /// has most of those: who dials without end displaces itself. Then who does not take its answer.
    pub(crate) fn next_to_give_way(
        &mut self,
        pool: Pool,
        address: SocketAddr,
        candidate: impl Fn(ClientId) -> Candidate,
    ) -> Option<ClientId> {
        let is_ignored = pool != Pool::Operators
            && self.addresses.judge(address, self.address_clients_max) == Verdict::Ignored;
        let (crowd, most) = self.places.crowd(pool)?;
        if crowd.members.len() < most || is_ignored {
            return None;
        }
        let heard = crowd.heard();
        let owner = |id: ClientId| -> IpAddr { addresses::key(candidate(id).address) };
        let silent = || heard.iter().copied().filter(|&id| candidate(id).is_silent);
        let of_owner = |id: ClientId| silent().filter(|&other| owner(other) == owner(id)).count();
        let told = heard.iter().copied().find(|&id| candidate(id).has_said_all);
        told.or_else(|| {
            silent().enumerate().max_by_key(|&(age, id)| (of_owner(id), Reverse(age))).map(|(_, id)| id)
        })
        .or_else(|| heard.first().copied())
    }

    /// Connections of operators, who are nobody's clients.
    pub(crate) fn operators(&self) -> usize {
        self.places.operators()
    }

    /// Connections that came when all places were taken.
    pub(crate) fn guests(&self) -> usize {
        self.places.guests()
    }

    /// Clients that are, or were, WebSockets.
    pub(crate) fn websockets(&self) -> usize {
        self.websockets
    }

    /// Each of so many connections is counted once.
    pub(crate) fn assert_counted(&self, connections: usize) {
        debug_assert!(
            self.address_clients_max.is_none()
                || self.addresses.total() == (connections - self.operators(), self.websockets),
            "each connection is counted once"
        );
    }

    fn has_place(&self, connections: usize) -> bool {
        connections - self.places.others() < self.clients_max
    }
}
