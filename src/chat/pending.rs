//! What was said and is not answered yet, where a broker answers later.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::kept::Owner;
use crate::broker::{Append, Ticket};
use crate::id::{ChannelId, ClientId, PersonId};

/// Bytes that one client may have said without an answer; over it, it is not read for a while.
const CLIENT_BYTES_MAX: usize = 64 * 1024;
/// The same, of all together; over it nobody is read who has said something already.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a message costs beside its bytes.
const HELD_BYTES: usize = 256;

/// Messages that the broker has not answered.
///
/// Invariant: the bytes are those of what is held, in all and by who said it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    last: u64,
    held: HashMap<Ticket, Held>,
    by_reference: HashMap<(PersonId, u64), Ticket>,
    by_client: BTreeMap<ClientId, Share>,
    bytes: usize,
}

/// A message that waits for its number.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) channel: ChannelId,
    /// Who said it, while it is here.
    pub(super) speaker: Option<ClientId>,
    /// Who is to be told what became of it, the speaker among them.
    pub(super) waiting: Vec<ClientId>,
    pub(super) identity: Option<Identity>,
    bytes: usize,
}

/// What makes a message the same when it is said again.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) person: PersonId,
    pub(super) owner: Owner,
    pub(super) reference: Box<str>,
    /// Of the `ref` and where it was said.
    pub(super) hash: u64,
}

/// What one client has under way.
#[derive(Debug, Default)]
struct Share {
    tickets: BTreeSet<Ticket>,
    bytes: usize,
}

impl Pending {
    /// A number for the next request.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    /// Keeps a message until it is answered.
    pub(super) fn hold(&mut self, client: ClientId, append: &Append<'_>, identity: Option<Identity>) {
        let bytes = HELD_BYTES + append.payload.len();
        if let Some(identity) = &identity {
            self.by_reference.insert((identity.person, identity.hash), append.ticket);
        }
        let held =
            Held { channel: append.channel, speaker: Some(client), waiting: vec![client], identity, bytes };
        let before = self.held.insert(append.ticket, held);
        assert!(before.is_none(), "a ticket is given once");
        let share = self.by_client.entry(client).or_default();
        share.tickets.insert(append.ticket);
        share.bytes += bytes;
        self.bytes += bytes;
    }

    /// Whether a person has said this already; then the client is told too what becomes of it.
    pub(super) fn await_same(&mut self, client: ClientId, person: PersonId, hash: u64) -> bool {
        let Some(ticket) = self.by_reference.get(&(person, hash)) else { return false };
        let held = self.held.get_mut(ticket).expect("what is known by its reference is held");
        let share = self.by_client.entry(client).or_default();
        if share.tickets.insert(*ticket) {
            held.waiting.push(client);
            // Whoever only repeats what others have said is held back too.
            share.bytes += HELD_BYTES;
            self.bytes += HELD_BYTES;
        }
        true
    }

    fn take(&mut self, ticket: Ticket) -> Option<Held> {
        let held = self.held.remove(&ticket)?;
        self.bytes -= held.bytes;
        if let Some(identity) = &held.identity {
            self.by_reference.remove(&(identity.person, identity.hash));
        }
        for client in &held.waiting {
            let Some(share) = self.by_client.get_mut(client) else { continue };
            share.tickets.remove(&ticket);
            let is_speaker = held.speaker == Some(*client);
            share.bytes -= if is_speaker { held.bytes } else { HELD_BYTES };
            self.bytes -= if is_speaker { 0 } else { HELD_BYTES };
            if share.tickets.is_empty() {
                self.by_client.remove(client);
            }
        }
        Some(held)
    }

    /// A client has left its channel: nothing is told to it any more.
    pub(super) fn forget_client(&mut self, client: ClientId) {
        for ticket in self.by_client.remove(&client).into_iter().flat_map(|share| share.tickets) {
            let held = self.held.get_mut(&ticket).expect("what a client waits for is held");
            held.waiting.retain(|other| *other != client);
            if held.speaker == Some(client) {
                held.speaker = None;
            } else {
                self.bytes -= HELD_BYTES;
            }
        }
    }

    /// Whether a client has said so much without an answer that it is not read now.
    pub(super) fn holds_back(&self, client: ClientId) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let share = self.by_client.get(&client).map_or(0, |share| share.bytes);
        share > CLIENT_BYTES_MAX || share > 0 && self.bytes > BYTES_MAX
    }

    /// Takes a message that is answered; also whose messages are read again from here on.
    pub(super) fn settle(&mut self, ticket: Ticket) -> (Option<Held>, Vec<ClientId>) {
        let was_over = self.bytes > BYTES_MAX;
        let held = self.take(ticket);
        let mut resumed: Vec<ClientId> = held.iter().flat_map(|held| held.waiting.iter().copied()).collect();
        if was_over && self.bytes <= BYTES_MAX {
            resumed.extend(self.by_client.keys().copied());
        }
        resumed.retain(|client| !self.holds_back(*client));
        (held, resumed)
    }

    /// Memory of what is held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
