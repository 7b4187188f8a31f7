//! What happens in a channel and what its members are told, as values: no form has a say in them.

use std::num::NonZeroU64;
use std::rc::Rc;

use jiff::Timestamp;

use crate::id::PersonId;
use crate::websocket::Kind;

/// What happened in a channel: all who hear it are told, each in its form.
#[derive(Clone, Debug)]
pub enum RoomEvent<'a> {
    /// A topic passes this on.
    Passed {
        /// Text or binary.
        kind: Kind,
        /// The message, of which nothing may change.
        payload: &'a [u8],
    },
    /// A room has accepted a message.
    Said(Said<'a>),
    /// A room has accepted that something becomes of a message.
    Changed(Changed<'a>),
    /// Somebody is writing.
    Typing {
        /// Who.
        id: PersonId,
    },
    /// Somebody is here who was not.
    Joined {
        /// Who.
        person: Profile<'a>,
        /// People who are here now.
        count: usize,
    },
    /// Somebody has gone.
    Left {
        /// When.
        time: Timestamp,
        /// Who.
        person: Profile<'a>,
        /// People who are here now.
        count: usize,
    },
    /// Somebody is called something else.
    Renamed {
        /// Who.
        id: PersonId,
        /// Its name now.
        name: &'a str,
        /// Its name before.
        was: &'a str,
    },
    /// Many came and went, in a room too large to tell of each.
    Counted {
        /// When.
        time: Timestamp,
        /// How many of them.
        counts: Counts,
        /// Connections that are here now.
        connections: usize,
        /// People who are here now.
        count: usize,
        /// Who they are, if each is told of from here on.
        members: Option<Vec<Profile<'a>>>,
    },
}

/// A message that a room has accepted.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its number.
    pub seq: NonZeroU64,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub id: PersonId,
    /// Its name, when it was said.
    pub who: &'a str,
    /// Text or binary.
    pub kind: Kind,
    /// The message, as it stands now; empty once it is deleted.
    pub payload: &'a [u8],
    /// The message that it answers.
    pub re: Option<NonZeroU64>,
    /// What has become of it since.
    pub fate: Fate,
    /// What people have added to it.
    pub reactions: &'a [Reaction],
}

/// What has become of a message since it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    #[default]
    AsSaid,
    /// The entry of this number has changed its text.
    Edited(NonZeroU64),
    /// The entry of this number has taken it back.
    Deleted(NonZeroU64),
}

/// An emoji that people have added to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The emoji.
    pub emoji: Box<str>,
    /// Who; not empty.
    pub people: Vec<PersonId>,
}

/// Something that becomes of a message.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// The number of the entry that does it.
    pub seq: NonZeroU64,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub id: PersonId,
    /// Its name at that time.
    pub who: &'a str,
    /// The number of the message.
    pub of: NonZeroU64,
    /// What.
    pub change: Change<'a>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It has this text from here on; none if it was deleted meanwhile.
    Edited {
        /// The text.
        text: &'a [u8],
        /// The number of the entry that deletes the message.
        deleted: Option<NonZeroU64>,
    },
    /// It is taken back.
    Deleted,
    /// Somebody adds an emoji to it, or takes it away.
    Reacted {
        /// The emoji.
        emoji: &'a str,
        /// Whether it is added.
        is_on: bool,
        /// How many have added it from here on.
        count: usize,
    },
}

/// Somebody, as the others see it.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// Who.
    pub id: PersonId,
    /// Its name, or its address as `('IP', PORT)`.
    pub who: &'a str,
    /// Its name, or its IP.
    pub short: &'a str,
}

/// What is told of a large room together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// People who came.
    pub joined: u32,
    /// People who went.
    pub left: u32,
    /// New names.
    pub renamed: u32,
}

/// What one client is told: an answer, or what it has missed.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// It is in a room from here on.
    Welcome(Box<Welcome<'a>>),
    /// It missed this, or hears alone what others are told as a count.
    Event(RoomEvent<'a>),
    /// What it said with this `ref` is accepted.
    Acknowledged {
        /// What it called it.
        reference: &'a str,
        /// Its number.
        seq: NonZeroU64,
    },
    /// What was said before.
    History {
        /// Below this number.
        before: u64,
        /// Who asks: it is told which reactions are its own.
        viewer: PersonId,
        /// The oldest first.
        messages: Vec<Said<'a>>,
        /// Whether older ones are held.
        more: bool,
    },
    /// Who is here.
    Members {
        /// All of them.
        count: usize,
        /// Those that were asked for.
        members: Vec<Profile<'a>>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// It did not get some messages, since it reads too slowly.
    Gap {
        /// When it was found out.
        time: Timestamp,
        /// How many.
        messages: u32,
        /// The first and the last of their numbers, if they have any.
        numbers: Option<(NonZeroU64, NonZeroU64)>,
        /// People who are here now: who came and went may have been among it.
        count: usize,
        /// The first of them.
        members: Vec<Profile<'a>>,
        /// Whether there are more.
        more: bool,
    },
    /// What it asked for is not done.
    Refused(Refused<'a>),
    /// It was heard.
    Pong {
        /// What it called its ping.
        reference: Option<&'a str>,
    },
}

/// Where a newcomer is, and what holds there.
#[derive(Clone, Debug)]
pub struct Welcome<'a> {
    /// The room.
    pub room: &'a str,
    /// Who the newcomer is here.
    pub you: Profile<'a>,
    /// Which count of messages `seq` belongs to.
    pub epoch: Rc<str>,
    /// The last number that was given; zero before the first.
    pub seq: u64,
    /// People who are here.
    pub count: usize,
    /// The first of them.
    pub members: Vec<Profile<'a>>,
    /// Whether there are more.
    pub more: bool,
    /// Whether all that was missed follows, for who resumes.
    pub recovered: Option<bool>,
    /// What it may ask of the room.
    pub limits: LimitsTold,
    /// What it may do.
    pub rights: &'static [&'static str],
}

/// What a client may ask of a room.
#[derive(Clone, Copy, Debug)]
pub struct LimitsTold {
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Messages with a `ref` that it may have said without an answer.
    pub unacknowledged: usize,
    /// Messages a second.
    pub rate: Option<u32>,
    /// Messages that are held.
    pub history: usize,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Which kind of reason.
    pub reason: Reason,
    /// What to do about it.
    pub advice: &'a str,
    /// When.
    pub time: Timestamp,
    /// What the client called its request.
    pub reference: Option<&'a str>,
}

/// Kinds of reasons why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not in the form that is spoken.
    Malformed,
    /// There is no such request.
    UnknownType,
    /// Nothing was to be said.
    NoText,
    /// Nobody can be called that.
    BadName,
    /// A `ref` that is none.
    BadReference,
    /// An `id` that is none.
    BadId,
    /// No message of the room has this number.
    BadNumber,
    /// The message is not held any more, or cannot be changed so.
    NotHeld,
    /// Somebody else has said it.
    NotYours,
    /// No emoji.
    BadEmoji,
    /// More of it cannot be held.
    TooMany,
    /// Too much was said for too long.
    Rate,
    /// What keeps messages cannot take them now.
    Unavailable,
}
