//! What a client hears, as JSON.

use std::num::NonZeroU64;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::chat::{Change, Changed, Counts, Fate, LimitsTold, Profile, Reaction, Said, Welcome};
use crate::forms::Rendered;
use crate::id::PersonId;
use crate::websocket::Kind;

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a client hears.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Object<'a> {
    Welcome {
        room: &'a str,
        you: PersonObject<'a>,
        epoch: &'a str,
        seq: u64,
        count: usize,
        /// The first hundred, and whether there are more.
        members: Vec<PersonObject<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        limits: LimitsObject,
        rights: &'static [&'static str],
        server: &'static str,
    },
    Say(MessageObject<'a>),
    /// What was said in bytes.
    Data(MessageObject<'a>),
    Edit {
        seq: NonZeroU64,
        of: NonZeroU64,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        deleted: Option<NonZeroU64>,
        from: PersonObject<'a>,
        time: Stamp,
    },
    Delete {
        seq: NonZeroU64,
        of: NonZeroU64,
        from: PersonObject<'a>,
        time: Stamp,
    },
    React {
        seq: NonZeroU64,
        of: NonZeroU64,
        emoji: &'a str,
        on: bool,
        count: usize,
        from: PersonObject<'a>,
        time: Stamp,
    },
    Typing {
        id: IdObject,
    },
    Join {
        #[serde(flatten)]
        person: PersonObject<'a>,
        count: usize,
    },
    Leave {
        #[serde(flatten)]
        person: PersonObject<'a>,
        count: usize,
    },
    Presence {
        count: usize,
        joined: u32,
        left: u32,
        #[serde(skip_serializing_if = "is_zero")]
        renamed: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<PersonObject<'a>>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
    },
    Name {
        id: IdObject,
        name: &'a str,
        was: &'a str,
    },
    Members {
        count: usize,
        members: Vec<PersonObject<'a>>,
        more: bool,
    },
    Gap {
        first: NonZeroU64,
        last: NonZeroU64,
        count: usize,
        members: Vec<PersonObject<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
    },
    Ack {
        #[serde(rename = "ref")]
        reference: &'a str,
        seq: NonZeroU64,
    },
    History {
        before: u64,
        messages: Vec<Object<'a>>,
        more: bool,
    },
    Error {
        code: &'static str,
        text: &'a str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Pong {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// What was said: a text, or bytes.
#[derive(Debug, Serialize)]
pub(super) struct MessageObject<'a> {
    seq: NonZeroU64,
    time: Stamp,
    from: PersonObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    re: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "ReactionsObject::is_empty")]
    reactions: ReactionsObject<'a>,
    /// Those of who asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mine: Vec<&'a str>,
}

/// How many have added each emoji.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReactionsObject<'a>(&'a [Reaction]);

/// What a client may ask of a room.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct LimitsObject {
    /// Bytes of a message.
    message: usize,
    /// Messages with a `ref` that it may have said without an answer.
    unacknowledged: usize,
    /// Messages a second.
    rate: Option<u32>,
    /// Messages that are held.
    history: usize,
}

/// Somebody, as the others see it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PersonObject<'a> {
    id: IdObject,
    name: &'a str,
}

/// A person's number, `c7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdObject(pub(super) PersonId);

/// Bytes that are written as base64 when they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base64<'a>(&'a [u8]);

/// RFC 3339, with milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(Timestamp);

impl<'a> Object<'a> {
    /// Who has come and gone, where it is counted; and who is here, where it is told.
    pub(super) fn presence(
        count: usize,
        counts: Counts,
        members: Option<Vec<PersonObject<'a>>>,
        more: bool,
    ) -> Object<'a> {
        let Counts { joined, left, renamed } = counts;
        Object::Presence { count, joined, left, renamed, members, more }
    }

    /// As a text message.
    pub(super) fn write(&self, scratch: &'a mut Vec<u8>) -> Rendered<'a> {
        serde_json::to_writer(&mut *scratch, self).expect("strings and numbers can be written");
        Rendered { kind: Kind::Text, payload: scratch }
    }

    /// A message, and for who asks for it which of the reactions are its own.
    pub(super) fn said(said: &Said<'a>, viewer: Option<PersonId>) -> Object<'a> {
        let Said { seq, time, id, who, kind, payload, re, fate, reactions } = *said;
        let (time, from) = (Stamp(time), PersonObject { id: IdObject(id), name: who });
        let (edited, deleted) = match fate {
            Fate::AsSaid => (None, None),
            Fate::Edited(by) => (Some(by), None),
            Fate::Deleted(by) => (None, Some(by)),
        };
        let of_viewer = |reaction: &&Reaction| viewer.is_some_and(|viewer| reaction.people.contains(&viewer));
        let mine = reactions.iter().filter(of_viewer).map(|reaction| &*reaction.emoji).collect();
        let reactions = ReactionsObject(reactions);
        let message = |text, base64| MessageObject {
            seq,
            time,
            from,
            text,
            base64,
            re,
            edited,
            deleted,
            reactions,
            mine,
        };
        match kind {
            Kind::Text => Object::Say(message(Some(checked(payload)), None)),
            Kind::Binary => Object::Data(message(None, Some(Base64(payload)))),
        }
    }
}

/// Text was checked when it came.
fn checked(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

impl<'a> From<&Changed<'a>> for Object<'a> {
    fn from(changed: &Changed<'a>) -> Object<'a> {
        let Changed { seq, time, id, who, of, change } = *changed;
        let (time, from) = (Stamp(time), PersonObject { id: IdObject(id), name: who });
        match change {
            Change::Edited { text, deleted } => {
                Object::Edit { seq, of, text: checked(text), deleted, from, time }
            }
            Change::Deleted => Object::Delete { seq, of, from, time },
            Change::Reacted { emoji, is_on, count } => {
                Object::React { seq, of, emoji, on: is_on, count, from, time }
            }
        }
    }
}

impl ReactionsObject<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for ReactionsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|reaction| (&*reaction.emoji, reaction.people.len())))
    }
}

impl<'a> From<&'a Welcome<'a>> for Object<'a> {
    fn from(welcome: &'a Welcome<'a>) -> Object<'a> {
        let Welcome { room, you, epoch, seq, count, members, more, recovered, limits, rights } = welcome;
        let LimitsTold { message_bytes, unacknowledged, rate, history } = *limits;
        Object::Welcome {
            room,
            you: you.into(),
            epoch,
            seq: *seq,
            count: *count,
            members: objects(members),
            more: *more,
            recovered: *recovered,
            limits: LimitsObject { message: message_bytes, unacknowledged, rate, history },
            rights,
            server: VERSION,
        }
    }
}

impl<'a> From<&Profile<'a>> for PersonObject<'a> {
    fn from(person: &Profile<'a>) -> PersonObject<'a> {
        PersonObject { id: IdObject(person.id), name: person.who }
    }
}

pub(super) fn objects<'a>(people: &[Profile<'a>]) -> Vec<PersonObject<'a>> {
    people.iter().map(PersonObject::from).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Serialize for IdObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("c{}", self.0.0))
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

impl IdObject {
    /// The number that a client writes so.
    pub(super) fn read(text: &str) -> Option<IdObject> {
        let digits = text.strip_prefix('c')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().map(|number| IdObject(PersonId(number)))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}
