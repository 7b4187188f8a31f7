//! One connected peer: its stream, its connection, and what the server notes of it.

use std::net::SocketAddr;

use super::flags::{Flag, Flags};
use super::lately::Lately;
use super::read_queue::Load;
use crate::clock::Time;
use crate::connection::{Connection, SlowPolicy};
use crate::server::admission::Pool;
use crate::server::books::AccountId;
use crate::server::prices::{self, Work};
use crate::site::Surface;

/// The first read of a connection: a chat message fits, and an idle client costs nothing.
pub(crate) const READ_BYTES_MIN: u32 = 128;
/// The largest read, and the size of the one buffer that all reads go through.
pub(crate) const READ_BYTES_MAX: u32 = 64 * 1024;
/// A read that fills its chunk makes the next one so many times larger; a short one shrinks it.
const READ_FACTOR: u32 = 8;
/// For so long a client counts as busy at most, whatever it has asked for.
const BUSY_MILLIS_MAX: u32 = 60_000;

/// One connected peer.
#[derive(Debug)]
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    pub(crate) address: SocketAddr,
    pub(crate) connection: Connection,
    /// The deadline entry that counts.
    pub(crate) armed: Time,
    /// How much its next read asks for.
    pub(crate) read_bytes: u32,
    /// Whose messages it is owed.
    pub(crate) account: AccountId,
    pub(crate) slow: SlowPolicy,
    pub(crate) surface: Surface,
    pub(crate) pool: Pool,
    pub(crate) flags: Flags,
    /// Until when it counts as busy: the work that it has caused, many times as long. The lower half of the
    /// milliseconds does; who is taken for busy wrongly, once in weeks, is read a little later.
    busy_until: u32,
    /// The same work, for people who want to know who makes the server busy.
    pub(crate) lately: Lately,
    /// What `read_queue` counts of its unfinished request or message.
    pub(crate) unfinished_bytes: u32,
}

impl<S> Client<S> {
    /// A client that was just accepted.
    pub(crate) fn new(
        stream: S,
        address: SocketAddr,
        connection: Connection,
        slow: SlowPolicy,
        surface: Surface,
        pool: Pool,
    ) -> Client<S> {
        Client {
            stream,
            address,
            connection,
            armed: Time::NEVER,
            read_bytes: READ_BYTES_MIN,
            account: AccountId::NONE,
            slow,
            surface,
            pool,
            flags: Flags::default(),
            busy_until: 0,
            lately: Lately::default(),
            unfinished_bytes: 0,
        }
    }

    /// Whether what it says still matters.
    pub(crate) fn is_heard(&self) -> bool {
        self.connection.is_open() || self.connection.is_awaiting_handshake()
    }

    /// A deadline that has passed waits once, for one look at what may have come in time: a process that was stopped
    /// for a while must not hold that against its clients. Once: or who sends on and on would evade every deadline.
    pub(crate) fn has_reprieve(&mut self) -> bool {
        let may_have_moved =
            self.flags.contains(Flag::Runnable) && self.is_heard() || self.connection.can_flush();
        if !may_have_moved || self.flags.contains(Flag::ReprieveUsed) {
            return false;
        }
        self.flags.insert(Flag::ReprieveGranted);
        true
    }

    /// It has been read, or written to: the look that was granted has been had.
    pub(crate) fn use_reprieve(&mut self) {
        if self.flags.remove(Flag::ReprieveGranted) {
            self.flags.insert(Flag::ReprieveUsed);
        }
    }

    /// Nothing of it is due any more, or it was done: the next deadline may wait again.
    pub(crate) fn end_reprieve(&mut self) {
        self.flags.remove(Flag::ReprieveGranted);
        self.flags.remove(Flag::ReprieveUsed);
    }

    /// How much it has asked for lately.
    pub(crate) fn load(&self, now: Time) -> Load {
        match self.busy_for(now) {
            _ if self.connection.is_awaiting_handshake() => Load::New,
            0 => Load::Light,
            _ => Load::Busy,
        }
    }

    /// For how many milliseconds it still counts as busy.
    #[expect(clippy::cast_possible_truncation, reason = "as a clock face turns over")]
    fn busy_for(&self, now: Time) -> u32 {
        let left = self.busy_until.wrapping_sub(now.as_millis() as u32);
        // More than that it cannot be: the clock face has turned over since.
        if left > BUSY_MILLIS_MAX { 0 } else { left }
    }

    /// Notes work that it has caused.
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    pub(crate) fn note_work(&mut self, now: Time, work: Work) {
        let millis = (u64::from(self.busy_for(now)) + prices::busy_millis(work)).min(BUSY_MILLIS_MAX.into());
        self.busy_until = (now.as_millis() + millis) as u32;
        self.lately.note(now, work);
    }

    /// The size of the next read: a message larger than the chunk is not fetched in crumbs, many small
    /// clients do not each claim a large one, and what one read makes fits a turn.
    pub(crate) fn adapt(&mut self, length: usize, chunk: usize, work: Work) {
        let factor = READ_FACTOR as usize;
        let (most, least) = (READ_BYTES_MAX as usize, READ_BYTES_MIN as usize);
        let next = if length <= chunk / factor || work > prices::TURN {
            chunk / factor
        } else if length == chunk && work * factor <= prices::TURN {
            chunk * factor
        } else {
            chunk
        };
        self.read_bytes = u32::try_from(next.clamp(least, most)).unwrap_or(READ_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_client_is_small() {
        // With its deadline (16), seat (12) and place in a room (4), under 256 bytes.
        assert!(size_of::<Client<[u8; 4]>>() <= 192, "{}", size_of::<Client<[u8; 4]>>());
    }
}
