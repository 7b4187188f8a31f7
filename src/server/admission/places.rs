//! The places that there are. Each connection has one in one of three pools. What is full in one of them is no matter
//! of the others: when all clients' places are taken, operators can still look, at their own address or at the common
//! one.

use crate::id::ClientId;

/// Newcomers to a full server that may say what they want: reports are given, all else is refused.
const GUESTS_MAX: usize = 32;
/// Connections of operators, where they have an address of their own: a scraper or two, and some browsers.
const OPERATORS_MAX: usize = 16;

/// The places from which a connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
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
pub(super) struct Crowd {
    pub(super) members: Vec<ClientId>,
    /// The last so many came in this turn. They have not been heard, so they do not give way.
    pub(super) fresh: usize,
}

impl Crowd {
    fn remove(&mut self, id: ClientId) {
        self.members.retain(|&other| other != id);
    }

    /// Those who may have to give way.
    pub(super) fn heard(&self) -> &[ClientId] {
        &self.members[..self.members.len().saturating_sub(self.fresh)]
    }
}

impl Places {
    /// Connections of operators, who are nobody's clients.
    pub(super) fn operators(&self) -> usize {
        self.operators.members.len()
    }

    /// Connections beyond the places of clients.
    pub(super) fn guests(&self) -> usize {
        self.guests.members.len()
    }

    /// A turn begins: all who have come are heard in it.
    pub(super) fn begin_turn(&mut self) {
        (self.guests.fresh, self.operators.fresh) = (0, 0);
    }

    /// Connections in the small pools.
    pub(super) fn others(&self) -> usize {
        self.guests() + self.operators()
    }

    /// A small pool, and how many may be in it.
    pub(super) fn crowd(&mut self, pool: Pool) -> Option<(&mut Crowd, usize)> {
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
