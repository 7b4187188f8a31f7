//! The broker of one server, which commits at once and keeps nothing but the last number of each channel.

use std::num::NonZeroU64;

use super::{Append, Broker, BrokerEvent, ChannelName, Committed, Opened, Outcome};
use crate::clock::{Now, Time};
use crate::id::ChannelId;
use crate::secret::Secret;

/// What comes before the first epoch, so that one step makes them differ.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// All channels are here alone, and gone with the process.
#[derive(Debug)]
pub struct MemoryBroker {
    /// Of the next channel; all differ.
    epoch: u64,
    /// The last number of each channel, by its slot.
    heads: Vec<u64>,
}

impl MemoryBroker {
    /// A broker without channels. `seed` makes its epochs differ from those of others, and of its own before a
    /// restart.
    pub fn new(seed: u64) -> MemoryBroker {
        // Epochs are told to everybody, so that nothing else may follow from them.
        MemoryBroker { epoch: Secret::new(seed, "epochs").hash(""), heads: Vec::new() }
    }
}

impl Broker for MemoryBroker {
    fn open(&mut self, _: Now, channel: ChannelId, _: &ChannelName) -> Outcome<Opened> {
        // Odd, so that all values come before one comes again.
        self.epoch = self.epoch.wrapping_add(STEP);
        if self.heads.len() <= channel.index() {
            self.heads.resize(channel.index() + 1, 0);
        }
        self.heads[channel.index()] = 0;
        Outcome::Now(Opened { epoch: format!("{:016x}", self.epoch).into(), head: 0 })
    }

    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed> {
        let head = &mut self.heads[append.channel.index()];
        let seq = NonZeroU64::MIN.saturating_add(*head);
        *head = seq.get();
        Outcome::Now(Committed { seq, time: now.wall })
    }

    fn close(&mut self, _: ChannelId) {}

    fn poll_event(&mut self, _: Now) -> Option<BrokerEvent> {
        None
    }

    fn deadline(&self) -> Time {
        Time::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Action, Ticket};
    use crate::websocket::Kind;

    #[test]
    fn each_channel_counts_for_itself_and_begins_anew_with_another_epoch() {
        let now = Now { time: Time::default(), wall: jiff::Timestamp::UNIX_EPOCH };
        let mut broker = MemoryBroker::new(7);
        let open = |broker: &mut MemoryBroker, index| match broker.open(
            now,
            ChannelId::new(index),
            &ChannelName::Room("tea".to_owned()),
        ) {
            Outcome::Now(Opened { epoch, head: 0 }) => epoch,
            other => panic!("{other:?}"),
        };
        let say = |broker: &mut MemoryBroker, index| {
            let (ticket, channel) = (Ticket(1), ChannelId::new(index));
            let append = Append {
                ticket,
                channel,
                author: None,
                reference: None,
                action: Action::SAY,
                kind: Kind::Text,
                payload: b"x".as_slice().into(),
            };
            match broker.append(now, &append) {
                Outcome::Now(Committed { seq, time }) => (seq.get(), time),
                other => panic!("{other:?}"),
            }
        };
        let first = open(&mut broker, 3);
        let other = open(&mut broker, 0);
        assert_eq!([say(&mut broker, 3).0, say(&mut broker, 3).0, say(&mut broker, 0).0], [1, 2, 1]);
        assert_eq!(say(&mut broker, 0), (2, now.wall));
        broker.close(ChannelId::new(3));
        let again = open(&mut broker, 3);
        assert_eq!(say(&mut broker, 3).0, 1);
        assert!(first != other && first != again && other != again && first.len() == 16);
        assert!(broker.poll_event(now).is_none() && broker.deadline() == Time::NEVER);
    }
}
