//! Who has something to read, in the order in which it is read, and what was read and not yet looked at.

use std::collections::{HashMap, VecDeque};

use crate::id::ClientId;

/// How much a client has asked for lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Little: pings, and people who type.
    Light,
    /// It has asked for nothing yet. What it will ask for may cost much, and a crowd of newcomers must not keep those
    /// waiting who are here.
    New,
    /// More than its part of the thread.
    Busy,
}

/// Clients with something to read, also those whom a budget has cut off. A client's own flag says whether its
/// place still counts.
#[derive(Debug, Default)]
pub(crate) struct ReadQueue {
    light: VecDeque<ClientId>,
    new: VecDeque<ClientId>,
    busy: VecDeque<ClientId>,
    /// Bytes that were read before a budget was used up. Their owners are in the queue.
    carried: HashMap<ClientId, Carried>,
    /// Memory of these, and of requests and messages that are not whole.
    unfinished_bytes: usize,
}

/// Bytes of one read that wait for the next turn.
#[derive(Debug)]
pub(crate) struct Carried {
    bytes: Box<[u8]>,
    start: usize,
}

impl ReadQueue {
    /// Puts a client behind all others of its load.
    pub(crate) fn push(&mut self, client: ClientId, load: Load) {
        match load {
            Load::Light => self.light.push_back(client),
            Load::New => self.new.push_back(client),
            Load::Busy => self.busy.push_back(client),
        }
    }

    /// Takes the first client of a load.
    pub(crate) fn pop(&mut self, load: Load) -> Option<ClientId> {
        match load {
            Load::Light => self.light.pop_front(),
            Load::New => self.new.pop_front(),
            Load::Busy => self.busy.pop_front(),
        }
    }

    /// Whether nobody has anything to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.light.is_empty() && self.new.is_empty() && self.busy.is_empty()
    }

    /// Keeps what is left of a read.
    pub(crate) fn carry(&mut self, client: ClientId, bytes: &[u8]) {
        self.keep(client, Carried { bytes: bytes.into(), start: 0 });
    }

    /// Keeps what is left of what was kept before.
    pub(crate) fn keep(&mut self, client: ClientId, carried: Carried) {
        if !carried.bytes[carried.start..].is_empty() {
            self.unfinished_bytes += carried.bytes.len();
            let before = self.carried.insert(client, carried);
            assert!(before.is_none(), "what was kept is looked at before more is read");
        }
    }

    /// Takes what was kept of a client.
    pub(crate) fn take_carried(&mut self, client: ClientId) -> Option<Carried> {
        if self.carried.is_empty() {
            return None;
        }
        let carried = self.carried.remove(&client)?;
        self.unfinished_bytes -= carried.bytes.len();
        Some(carried)
    }

    /// Memory that is kept of a client.
    pub(crate) fn carried_bytes(&self, client: ClientId) -> usize {
        self.carried.get(&client).map_or(0, |carried| carried.bytes.len())
    }

    /// Forgets what was kept of a client that is gone. Its place in the queue is passed over when it comes.
    pub(crate) fn forget(&mut self, client: ClientId) {
        let _ = self.take_carried(client);
    }

    /// Notes that the unfinished request or message of a client has grown or shrunk.
    pub(crate) fn note_unfinished(&mut self, before: usize, after: usize) {
        self.unfinished_bytes = self.unfinished_bytes + after - before;
    }

    /// Memory of all that has come and is not whole, or not looked at.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }
}

impl Carried {
    /// What has still to be looked at.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// All but the last `left` bytes have been looked at.
    pub(crate) fn advance_to(&mut self, left: usize) {
        self.start = self.bytes.len() - left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_counted_until_it_is_taken() {
        let mut queue = ReadQueue::default();
        let (one, other) = (ClientId::new(1), ClientId::new(2));
        queue.push(one, Load::Busy);
        queue.push(other, Load::Light);
        queue.carry(one, b"abcdef");
        queue.carry(other, b"");
        queue.note_unfinished(0, 10);
        assert_eq!(
            (queue.unfinished_bytes(), queue.carried_bytes(one), queue.carried_bytes(other)),
            (16, 6, 0)
        );
        let mut carried = queue.take_carried(one).expect("kept");
        assert_eq!((carried.bytes().to_vec(), queue.unfinished_bytes()), (b"abcdef".to_vec(), 10));
        carried.advance_to(2);
        assert_eq!(carried.bytes(), b"ef");
        queue.keep(one, carried);
        assert_eq!(queue.unfinished_bytes(), 16, "its memory is what it was");
        queue.forget(one);
        assert_eq!((queue.pop(Load::Light), queue.pop(Load::Busy)), (Some(other), Some(one)));
        queue.note_unfinished(10, 0);
        assert!(queue.is_empty() && queue.unfinished_bytes() == 0 && queue.take_carried(one).is_none());
    }
}
