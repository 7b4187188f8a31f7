//! A broker that answers when, and as, the input says.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::rc::Rc;

use wsloop::broker::{Append, Broker, BrokerEvent, ChannelName, Committed, Entry, Opened, Outcome};
use wsloop::clock::{Now, Time};
use wsloop::id::ChannelId;

/// What was asked, and how many answers may come.
#[derive(Clone, Debug, Default)]
pub(super) struct Later(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    asked: VecDeque<(ChannelId, Option<Entry>)>,
    heads: BTreeMap<ChannelId, u64>,
    granted: usize,
    refused: usize,
    is_unavailable: bool,
}

impl Later {
    /// So many requests are granted, and then so many refused; further ones not even taken.
    pub(super) fn allow(&self, granted: usize, refused: usize, is_unavailable: bool) {
        let mut state = self.0.borrow_mut();
        (state.granted, state.refused) = (state.granted + granted, state.refused + refused);
        state.is_unavailable = is_unavailable;
    }
}

impl Broker for Later {
    fn open(&mut self, _: Now, channel: ChannelId, _: &ChannelName) -> Outcome<Opened> {
        let mut state = self.0.borrow_mut();
        if state.is_unavailable {
            return Outcome::Unavailable;
        }
        let before = state.heads.insert(channel, 0);
        assert!(before.is_none(), "a channel is opened once");
        state.asked.push_back((channel, None));
        Outcome::Later
    }

    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed> {
        let mut state = self.0.borrow_mut();
        assert!(state.heads.contains_key(&append.channel), "nobody speaks in a channel that is closed");
        if state.is_unavailable {
            return Outcome::Unavailable;
        }
        let committed = Committed { seq: NonZeroU64::MIN, time: now.wall };
        let (ticket, author, kind) = (Some(append.ticket), append.author.clone(), append.kind);
        let (action, payload) = (append.action, append.payload.as_ref().into());
        let entry = Entry { committed, ticket, author, action, kind, payload };
        state.asked.push_back((append.channel, Some(entry)));
        Outcome::Later
    }

    fn close(&mut self, channel: ChannelId) {
        let mut state = self.0.borrow_mut();
        assert!(state.asked.iter().all(|(other, _)| *other != channel), "something of it is awaited");
        assert!(state.heads.remove(&channel).is_some(), "a channel is closed once");
    }

    fn poll_event(&mut self, _: Now) -> Option<BrokerEvent> {
        let mut state = self.0.borrow_mut();
        let is_granted = state.granted > 0;
        if !is_granted && state.refused == 0 {
            return None;
        }
        let (channel, entry) = state.asked.pop_front()?;
        (state.granted, state.refused) = match is_granted {
            true => (state.granted - 1, state.refused),
            false => (0, state.refused - 1),
        };
        Some(match entry {
            None if is_granted => BrokerEvent::Opened(channel, Opened { epoch: "later".into(), head: 0 }),
            None => {
                state.heads.remove(&channel);
                BrokerEvent::NotOpened(channel)
            }
            Some(mut entry) if is_granted => {
                let head = state.heads.get_mut(&channel).expect("it is open");
                *head += 1;
                entry.committed.seq = NonZeroU64::new(*head).expect("from one on");
                BrokerEvent::Committed(channel, entry)
            }
            Some(entry) => BrokerEvent::Refused(channel, entry.ticket.expect("it came from here")),
        })
    }

    fn deadline(&self) -> Time {
        Time::NEVER
    }
}
