//! What the server asks of its broker, and who waits for the answers.

use std::collections::{HashMap, VecDeque};

use super::outgoing::Outgoing;
use crate::broker::{Append, Broker, Outcome};
use crate::chat::{ChannelName, Chat, Effect, Hearing};
use crate::clock::Now;
use crate::id::{ChannelId, ClientId};
use crate::site::Opening;

/// Whether a channel can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Now,
    /// The broker will answer.
    Later(ChannelId),
    /// Not at the moment.
    Never,
}

/// The broker, and who waits for it.
#[derive(Debug)]
pub(super) struct BrokerLink {
    /// Orders and keeps what channels accept.
    pub(super) broker: Box<dyn Broker>,
    /// Requests that wait for it.
    pub(super) undecided: Undecided,
}

/// Requests that are answered when the broker has opened their channels.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    by_channel: HashMap<ChannelId, Vec<(ClientId, Opening)>>,
    by_client: HashMap<ClientId, ChannelId>,
    /// Those whose channels have been answered: opened, or not.
    decided: VecDeque<(ClientId, Option<Opening>)>,
}

impl Undecided {
    /// A request waits for a channel.
    pub(super) fn add(&mut self, channel: ChannelId, client: ClientId, opening: Opening) {
        let before = self.by_client.insert(client, channel);
        assert!(before.is_none(), "a connection makes one request");
        self.by_channel.entry(channel).or_default().push((client, opening));
    }

    /// The broker has answered for a channel: those who wait for it have their turns, in the order in which they
    /// came.
    pub(super) fn decide(&mut self, channel: ChannelId, is_open: bool) {
        let waiting = self.by_channel.remove(&channel).unwrap_or_default();
        self.decided
            .extend(waiting.into_iter().map(|(client, opening)| (client, is_open.then_some(opening))));
    }

    /// The next whose turn it is.
    pub(super) fn pop_decided(&mut self) -> Option<(ClientId, Option<Opening>)> {
        let (client, opening) = self.decided.pop_front()?;
        self.by_client.remove(&client);
        Some((client, opening))
    }

    /// Whether somebody's turn has come.
    pub(super) fn has_decided(&self) -> bool {
        !self.decided.is_empty()
    }

    /// A client is gone.
    pub(super) fn forget(&mut self, client: ClientId) {
        let Some(channel) = self.by_client.remove(&client) else { return };
        if let Some(waiting) = self.by_channel.get_mut(&channel) {
            waiting.retain(|(other, _)| *other != client);
        }
        self.decided.retain(|(other, _)| *other != client);
    }
}

/// Asks for a channel, of the broker if nobody hears it yet.
pub(super) fn hear(now: Now, chat: &mut Chat, broker: &mut dyn Broker, name: &ChannelName) -> Heard {
    match chat.open(name) {
        Hearing::Open => Heard::Now,
        Hearing::Asked(channel) => Heard::Later(channel),
        Hearing::Ask(channel) => match broker.open(now, channel, name) {
            Outcome::Later => Heard::Later(channel),
            Outcome::Now(opened) => {
                chat.opened(channel, opened);
                Heard::Now
            }
            Outcome::Unavailable => {
                chat.not_opened(channel);
                Heard::Never
            }
        },
    }
}

/// Asks the broker to take what a client has said.
pub(super) fn submit(
    now: Now,
    chat: &mut Chat,
    broker: &mut dyn Broker,
    outgoing: &mut Outgoing,
    id: ClientId,
    append: &Append<'_>,
) {
    let sink = &mut |effect: Effect<'_>| outgoing.apply(effect);
    match broker.append(now, append) {
        Outcome::Now(committed) => chat.commit_at_once(now, id, append, committed, sink),
        Outcome::Later => chat.hold(id, append),
        Outcome::Unavailable => chat.refuse_at_once(now, id, append, sink),
    }
}
