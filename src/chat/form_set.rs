//! What the chat asks of the forms in which its members speak and are spoken to. Which there are, and what they
//! look like, is for others.

use std::borrow::Cow;
use std::fmt;

use super::room_event::{Reason, Said};
use crate::broker::Action;
use crate::id::FormId;
use crate::websocket::Kind;

/// The forms that are spoken.
pub trait FormSet: fmt::Debug {
    /// What a member says in a form.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read<'a>(&self, form: FormId, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>>;

    /// Bytes that a message takes in an answer of a form.
    fn measure(&self, form: FormId, said: &Said<'_>) -> usize;

    /// What stands in for a name that nobody has chosen: `('IP', PORT)`, or `guestN`.
    fn names_guests(&self, form: FormId) -> bool;

    /// Whether members of a form hear the numbers of messages, and so can resume.
    fn has_numbers(&self, form: FormId) -> bool;
}

/// What a member wants, and what it calls its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What it wants.
    pub wish: Wish<'a>,
    /// What it calls it; not empty.
    pub reference: Option<Cow<'a, str>>,
}

/// What a member wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Nothing: it keeps the connection alive.
    Nothing,
    /// To say something, or to do something with what was said.
    Submit {
        /// What.
        action: Action,
        /// Of which kind the payload is.
        kind: Kind,
        /// The bytes that the action takes.
        payload: Cow<'a, [u8]>,
    },
    /// That the others know that it writes.
    Typing,
    /// To be called this.
    Rename(Cow<'a, str>),
    /// To hear what was said before a number, so many at most.
    History {
        /// The number; without, the latest.
        before: Option<u64>,
        /// How many.
        limit: Option<u64>,
    },
    /// To hear who is here.
    Members {
        /// Behind this person; without, the first.
        after: Option<crate::id::PersonId>,
        /// How many.
        limit: Option<u64>,
    },
    /// To be answered.
    Ping,
    /// To go, and that everybody hears of it.
    Quit,
}

impl<'a> Wish<'a> {
    /// To say this.
    pub fn say(kind: Kind, payload: &'a [u8]) -> Wish<'a> {
        Wish::Submit { action: Action::SAY, kind, payload: Cow::Borrowed(payload) }
    }

    /// To do something that takes a text or an emoji.
    pub fn act(action: Action, text: Cow<'a, str>) -> Wish<'a> {
        let payload = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Wish::Submit { action, kind: Kind::Text, payload }
    }
}

/// Something that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCommand<'a> {
    /// What is wrong with it.
    pub reason: Reason,
    /// What to do about it.
    pub advice: Cow<'static, str>,
    /// What the member called it, if that is known.
    pub reference: Option<Cow<'a, str>>,
}
