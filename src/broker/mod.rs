//! Who orders and keeps what channels accept: the vocabulary, and the broker in memory.
//!
//! Accepting takes two steps. The chat submits an [`Append`]; the broker answers that it is [`Committed`], and with
//! which number, or that it cannot be. Only then the chat tells it, remembers it and acknowledges it. A channel is
//! heard from when the broker has [`Opened`] it. A broker may answer at once, as the one in memory does, or later, in
//! whichever turn: then the answers are [`BrokerEvent`]s, of each channel in the order of its numbers, and of each
//! client's messages in a channel in the order in which they were submitted.
//!
//! A broker has bounded room for requests, and answers each within some seconds: what it takes no part in waits with
//! it. It tells nothing more of a channel once that is closed.
//!
//! Pure: what blocks, and sockets, are for whoever stands behind a broker.

mod memory;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::rc::Rc;

use jiff::Timestamp;

pub use memory::MemoryBroker;

use crate::clock::{Now, Time};
use crate::id::{ChannelId, PersonId};
use crate::websocket::Kind;

/// What a channel is called, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChannelName {
    /// A chat room: it has people, names and a history.
    Room(String),
    /// A topic: every message passes unchanged.
    Topic(String),
}

/// Orders and keeps what channels accept.
pub trait Broker: fmt::Debug {
    /// Somebody comes into a channel that nobody heard here.
    fn open(&mut self, now: Now, channel: ChannelId, name: &ChannelName) -> Outcome<Opened>;

    /// A channel is asked to accept a message.
    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed>;

    /// Nobody hears a channel any more, and nothing of it is awaited: its number may come again for another.
    fn close(&mut self, channel: ChannelId);

    /// The next answer of those that came later.
    fn poll_event(&mut self, now: Now) -> Option<BrokerEvent>;

    /// When [`Broker::poll_event`] wants to be called, if nothing else happens.
    fn deadline(&self) -> Time;
}

/// What becomes of a request to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// This, at once.
    Now(T),
    /// A [`BrokerEvent`] will tell.
    Later,
    /// Nothing, and nothing of it is kept: the broker cannot do it now.
    Unavailable,
}

/// A request to append, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A message that a channel is asked to accept.
#[derive(Clone, Debug)]
pub struct Append<'a> {
    /// What the answer will be known by.
    pub ticket: Ticket,
    /// Where it is said.
    pub channel: ChannelId,
    /// By whom; nobody says anything on a topic.
    pub author: Option<Author>,
    /// What it is called by who says it: the same again is the same message.
    pub reference: Option<Cow<'a, str>>,
    /// What it does.
    pub action: Action,
    /// Text or binary.
    pub kind: Kind,
    /// The message; of an action that is none, what it needs beside it.
    pub payload: Cow<'a, [u8]>,
}

/// What an entry of a channel does. On a topic it says something, and in a room mostly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Says the payload.
    Say {
        /// The message that it answers.
        re: Option<NonZeroU64>,
    },
    /// Puts the payload, a text, in the place of a message's.
    Edit {
        /// Its number.
        of: NonZeroU64,
    },
    /// Takes a message back. The payload is empty.
    Delete {
        /// Its number.
        of: NonZeroU64,
    },
    /// Adds the payload, an emoji, to a message, or takes it away.
    React {
        /// Its number.
        of: NonZeroU64,
        /// Whether it is added.
        is_on: bool,
    },
}

impl Action {
    /// Says something, to nobody in particular.
    pub const SAY: Action = Action::Say { re: None };
}

/// Who says something, with the name that it has at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The person.
    pub id: PersonId,
    /// Its name.
    pub name: Rc<str>,
}

/// A channel can be heard and spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which count of messages its numbers belong to; opaque.
    pub epoch: Rc<str>,
    /// The last number that was given, zero before the first.
    pub head: u64,
}

/// A channel has accepted a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number there: one more than that of the message before.
    pub seq: NonZeroU64,
    /// When.
    pub time: Timestamp,
}

/// What a broker tells later.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// A channel can be heard.
    Opened(ChannelId, Opened),
    /// A channel cannot be heard now.
    NotOpened(ChannelId),
    /// A channel has accepted a message.
    Committed(ChannelId, Entry),
    /// A message was not accepted, and nothing of it is kept.
    Refused(ChannelId, Ticket),
}

/// A message that was accepted, with all that is known of it: whoever said it may have gone, or be elsewhere.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number and time.
    pub committed: Committed,
    /// The request, if it came from here.
    pub ticket: Option<Ticket>,
    /// By whom.
    pub author: Option<Author>,
    /// What it does.
    pub action: Action,
    /// Text or binary.
    pub kind: Kind,
    /// The message, or what the action needs.
    pub payload: Box<[u8]>,
}
