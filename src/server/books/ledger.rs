//! What was owed to receivers, and what became of it. A message counts once for each who is to hear it.
//!
//! Invariant, at every turn's end, for the whole and for each room:
//! accepted = delivered + dropped + lost + queued.

use slab::Slab;

use crate::id::ChannelId;

/// Deliveries, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages accepted, times their receivers.
    pub accepted: u64,
    /// Taken by the sockets, to the last byte.
    pub delivered: u64,
    /// Thrown away, since the client read too slowly.
    pub dropped: u64,
    /// Not taken before the connection ended.
    pub lost: u64,
    /// Still waiting.
    pub queued: u64,
}

impl Account {
    /// Whether nothing is missing and nothing is there twice.
    pub fn is_balanced(&self) -> bool {
        self.difference() == 0
    }

    /// How many are missing, or there twice.
    pub fn difference(&self) -> u64 {
        self.accepted.abs_diff(self.delivered + self.dropped + self.lost + self.queued)
    }
}

/// A line of the ledger: so many deliveries, and what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posting {
    Accepted(u64),
    Delivered(u64),
    Dropped(u64),
    Lost(u64),
    Queued(u64),
    /// What waited has left, or was dropped or lost; the other line says which.
    Unqueued(u64),
}

/// Which room's account a client belongs to, for as long as it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountId(u32);

impl AccountId {
    /// Echo, and clients without a place.
    pub(crate) const NONE: AccountId = AccountId(u32::MAX);

    fn index(self) -> Option<usize> {
        (self != AccountId::NONE).then_some(self.0 as usize)
    }
}

/// All accounts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    whole: Account,
    /// Of [`AccountId::NONE`].
    elsewhere: Account,
    rooms: Slab<ChannelAccount>,
    /// By room, as long as the room exists.
    by_channel: Vec<Option<AccountId>>,
}

/// A room's account outlives the room while clients of it have something to get.
#[derive(Debug, Default)]
struct ChannelAccount {
    account: Account,
    clients: u32,
    is_channel_gone: bool,
}

impl Ledger {
    /// The account of all.
    pub(crate) fn whole(&self) -> Account {
        self.whole
    }

    /// What rooms and topics have delivered.
    pub(crate) fn delivered_in_channels(&self) -> u64 {
        self.whole.delivered - self.elsewhere.delivered
    }

    /// The account of a room that exists.
    pub(crate) fn of_channel(&self, room: ChannelId) -> AccountId {
        self.by_channel.get(room.index()).copied().flatten().unwrap_or(AccountId::NONE)
    }

    /// The figures of a room that exists.
    pub(crate) fn account(&self, room: ChannelId) -> Option<Account> {
        Some(self.rooms[self.of_channel(room).index()?].account)
    }

    /// A client has come into a room.
    pub(crate) fn attach(&mut self, room: ChannelId) -> AccountId {
        if self.by_channel.len() <= room.index() {
            self.by_channel.resize(room.index() + 1, None);
        }
        let rooms = &mut self.rooms;
        let id = *self.by_channel[room.index()].get_or_insert_with(|| {
            let index = rooms.insert(ChannelAccount::default());
            AccountId(u32::try_from(index).expect("fewer rooms than clients"))
        });
        self.rooms[id.0 as usize].clients += 1;
        id
    }

    /// A client is gone, with all that it had to get.
    pub(crate) fn detach(&mut self, id: AccountId) {
        let Some(index) = id.index() else { return };
        self.rooms[index].clients -= 1;
        self.forget_unused(index);
    }

    /// A room is gone; its number may come again for another.
    pub(crate) fn forget_channel(&mut self, room: ChannelId) {
        let id = self.by_channel.get_mut(room.index()).and_then(Option::take);
        if let Some(index) = id.and_then(AccountId::index) {
            self.rooms[index].is_channel_gone = true;
            self.forget_unused(index);
        }
    }

    /// Notes what happened.
    pub(crate) fn record(&mut self, id: AccountId, entry: Posting) {
        let part = match id.index() {
            Some(index) => &mut self.rooms[index].account,
            None => &mut self.elsewhere,
        };
        for account in [&mut self.whole, part] {
            match entry {
                Posting::Accepted(count) => account.accepted += count,
                Posting::Delivered(count) => account.delivered += count,
                Posting::Dropped(count) => account.dropped += count,
                Posting::Lost(count) => account.lost += count,
                Posting::Queued(count) => account.queued += count,
                Posting::Unqueued(count) => account.queued -= count,
            }
        }
    }

    /// Whether every account balances.
    pub(crate) fn assert_balanced(&self) {
        assert!(self.whole.is_balanced(), "{:?}", self.whole);
        // All rooms together would cost a turn with many rooms much; the simulation looks at each.
        debug_assert!(self.rooms.iter().all(|(_, room)| room.account.is_balanced()), "{:?}", self.rooms);
    }

    fn forget_unused(&mut self, index: usize) {
        let room = &self.rooms[index];
        if room.is_channel_gone && room.clients == 0 {
            assert_eq!(room.account.queued, 0, "nobody is left to get it");
            self.rooms.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_and_the_whole_balance_and_a_slot_that_comes_again_starts_anew() {
        let mut ledger = Ledger::default();
        let room = ChannelId::new(3);
        let account = ledger.attach(room);
        assert_eq!(ledger.attach(room), account, "one account a room");
        ledger.record(account, Posting::Accepted(10));
        assert!(!ledger.whole().is_balanced());
        ledger.record(account, Posting::Delivered(6));
        ledger.record(account, Posting::Queued(3));
        ledger.record(account, Posting::Lost(1));
        ledger.record(AccountId::NONE, Posting::Accepted(1));
        ledger.record(AccountId::NONE, Posting::Delivered(1));
        ledger.assert_balanced();
        assert_eq!(ledger.account(room).map(|account| (account.accepted, account.queued)), Some((10, 3)));
        ledger.forget_channel(room);
        assert_eq!((ledger.account(room), ledger.rooms.len()), (None, 1), "its clients are still there");
        let other = ledger.attach(room);
        assert_ne!(other, account);
        ledger.record(account, Posting::Unqueued(3));
        ledger.record(account, Posting::Dropped(3));
        ledger.detach(account);
        ledger.detach(account);
        assert_eq!(ledger.rooms.len(), 1);
        assert_eq!(ledger.account(room), Some(Account::default()));
        let wanted = Account { accepted: 11, delivered: 7, dropped: 3, lost: 1, queued: 0 };
        assert_eq!(ledger.whole(), wanted);
        assert_eq!(ledger.delivered_in_channels(), 6);
    }
}
