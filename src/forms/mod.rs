//! Forms: how members of a channel speak and are spoken to. What happens is a [`RoomEvent`]; a form renders it.
//!
//! A new form is one file here and one line in [`Forms::standard`]. `PROTOCOL.md` beside this file is what users are
//! told of them.

mod json;
mod text;

use std::fmt;

use jiff::tz::TimeZone;

use crate::chat::{BadCommand, Command, FormSet, Reply, RoomEvent, Said};
use crate::id::FormId;
use crate::websocket::Kind;
pub use json::Json;
pub use text::Text;

/// How members speak and are spoken to.
pub trait Form: fmt::Debug {
    /// The subprotocols that ask for it, among those that a client offers; empty for none.
    fn subprotocols(&self) -> &'static [&'static str];

    /// What all who hear it are told of something that happened: bytes go into `scratch`, which is empty, unless
    /// the event holds them already. `None`: nothing.
    fn render<'a>(&self, event: &'a RoomEvent<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>>;

    /// What one member is told, in the same way.
    fn render_reply<'a>(&self, reply: &'a Reply<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>>;

    /// What a member says.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read<'a>(&self, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>>;

    /// Bytes that a message takes in an answer.
    fn measure(&self, said: &Said<'_>) -> usize;

    /// Whether somebody who has chosen no name is called `guestN`, and not `('IP', PORT)`.
    fn names_guests(&self) -> bool;
}

/// A message as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// Text or binary.
    pub kind: Kind,
    /// The message.
    pub payload: &'a [u8],
}

/// The forms that are spoken, the default first.
#[derive(Debug)]
pub struct Forms(Vec<Box<dyn Form>>);

impl Forms {
    /// Lines of text, with the local time of this zone, and JSON.
    pub fn standard(zone: TimeZone) -> Forms {
        Forms(vec![Box::new(Text::new(zone)), Box::new(Json)])
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, form: impl Form + 'static) -> Forms {
        self.0.push(Box::new(form));
        self
    }

    /// A form.
    pub fn form(&self, id: FormId) -> &dyn Form {
        &*self.0[usize::from(id.0)]
    }

    /// Every subprotocol, with the form that it asks for.
    pub fn subprotocols(&self) -> impl Iterator<Item = (&'static str, FormId)> {
        let ids = (0..=u8::MAX).map(FormId);
        let forms = ids.zip(&self.0);
        forms.flat_map(|(id, form)| form.subprotocols().iter().map(move |name| (*name, id)))
    }
}

impl FormSet for Forms {
    fn read<'a>(&self, form: FormId, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>> {
        self.form(form).read(kind, payload)
    }

    fn measure(&self, form: FormId, said: &Said<'_>) -> usize {
        self.form(form).measure(said)
    }

    fn names_guests(&self, form: FormId) -> bool {
        self.form(form).names_guests()
    }
}
