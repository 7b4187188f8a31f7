//! What shall happen: all that the chat wants done, and nothing beside it.

use std::num::NonZeroU64;

use super::channel::Listeners;
use super::room_event::{Reply, RoomEvent};
use crate::id::{ChannelId, ClientId, FormId};
use crate::websocket::{CloseFrame, Kind};

/// What shall happen.
#[derive(Debug)]
pub enum Effect<'a> {
    /// From here on the client hears the channel.
    Join {
        /// What is heard.
        channel: ChannelId,
        /// In which form.
        form: FormId,
        /// By whom.
        client: ClientId,
    },
    /// From here on the client hears the channel no more.
    Leave {
        /// What was heard.
        channel: ChannelId,
        /// In which form.
        form: FormId,
        /// By whom.
        client: ClientId,
    },
    /// All who hear a channel are told of something, each in its form.
    Tell {
        /// Where it happened.
        channel: ChannelId,
        /// Who they are.
        audience: Audience<'a>,
        /// Who of them does not hear it, and in which form it would.
        except: Option<(FormId, ClientId)>,
        /// Its number among those that the room accepted, if it has one.
        number: Option<NonZeroU64>,
        /// What happened.
        event: &'a RoomEvent<'a>,
    },
    /// Who has not got the message of this number yet gets it as it stands now.
    Replace {
        /// Where it was said.
        channel: ChannelId,
        /// Who they may be.
        audience: Audience<'a>,
        /// Its number.
        number: NonZeroU64,
        /// The message.
        event: &'a RoomEvent<'a>,
    },
    /// One client is told something.
    Send {
        /// Who.
        client: ClientId,
        /// In which form.
        form: FormId,
        /// What.
        reply: &'a Reply<'a>,
        /// Whether a slow reader may have to do without: what it waits for, and of which no gap would tell, must
        /// not go.
        droppable: bool,
    },
    /// A client gets its own message back, as it is.
    Return {
        /// Who.
        client: ClientId,
        /// Text or binary.
        kind: Kind,
        /// The message.
        payload: &'a [u8],
    },
    /// The conversation with a client ends, after all that it is owed: whoever it is, it has left the channel.
    Close {
        /// With whom.
        client: ClientId,
        /// How.
        frame: CloseFrame,
    },
    /// What a client has said is no longer too much: it is read again.
    Resume {
        /// Who.
        client: ClientId,
    },
    /// Work was done of which nothing is sent.
    Worked(Chore),
}

/// Work that shows in no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Names were compared with others: as many names of ASCII would have taken as long.
    NamesCompared(usize),
    /// So many people, reactions or changes were looked at.
    ItemsWalked(usize),
}

/// Those who hear a channel: how many in each form.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a>(pub(super) &'a [Listeners]);

/// An audience for tests of who tells.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct FakeAudience(Vec<Listeners>);

#[cfg(test)]
impl FakeAudience {
    /// So many who hear one form.
    pub(crate) fn new(form: FormId, count: usize) -> FakeAudience {
        FakeAudience(vec![Listeners::of_clients(form, (0..count).map(ClientId::new).collect())])
    }

    pub(crate) fn audience(&self) -> Audience<'_> {
        Audience(&self.0)
    }
}

impl Audience<'_> {
    /// The forms that are heard, and by how many.
    pub fn by_form(&self) -> impl Iterator<Item = (FormId, usize)> {
        let all = self.0.iter().map(|listeners| (listeners.form, listeners.clients.len()));
        all.filter(|(_, count)| *count > 0)
    }
}
