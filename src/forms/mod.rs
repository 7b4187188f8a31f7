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

    /// Whether members hear the numbers of messages: then they can resume, and a gap says which are missing.
    fn has_numbers(&self) -> bool;
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
pub struct Forms {
    forms: Vec<Box<dyn Form>>,
    /// Every subprotocol, and beside it the form that it asks for.
    subprotocols: Vec<&'static str>,
    asked: Vec<FormId>,
    /// How many of the subprotocols are those of the default.
    defaults: usize,
}

impl Forms {
    /// Lines of text, with the local time of this zone, and JSON.
    pub fn standard(zone: TimeZone) -> Forms {
        Forms::new(Text::new(zone)).with(Json)
    }

    /// The default form, which topics have too.
    pub fn new(default: impl Form + 'static) -> Forms {
        let empty = Forms { forms: Vec::new(), subprotocols: Vec::new(), asked: Vec::new(), defaults: 0 };
        let forms = empty.with(default);
        Forms { defaults: forms.subprotocols.len(), ..forms }
    }

    /// One more; of rooms only.
    #[must_use]
    pub fn with(mut self, form: impl Form + 'static) -> Forms {
        let id = FormId(u8::try_from(self.forms.len()).expect("forms are few"));
        for name in form.subprotocols() {
            self.subprotocols.push(name);
            self.asked.push(id);
        }
        self.forms.push(Box::new(form));
        self
    }

    /// A form.
    pub fn form(&self, id: FormId) -> &dyn Form {
        &*self.forms[usize::from(id.0)]
    }

    /// The form that a subprotocol asks for; without one, the default.
    pub fn form_of(&self, subprotocol: Option<&str>) -> FormId {
        let index = self.subprotocols.iter().position(|name| Some(*name) == subprotocol);
        index.map_or(FormId::default(), |index| self.asked[index])
    }

    /// The subprotocols of rooms.
    pub fn of_rooms(&self) -> &[&'static str] {
        &self.subprotocols
    }

    /// The subprotocols of topics, and of whatever else passes messages on as they are.
    pub fn of_topics(&self) -> &[&'static str] {
        &self.subprotocols[..self.defaults]
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

    fn has_numbers(&self, form: FormId) -> bool {
        self.form(form).has_numbers()
    }
}
