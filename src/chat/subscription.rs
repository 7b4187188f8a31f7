//! What somebody who comes in asks for.

use crate::broker::ChannelName;
use crate::id::{ChannelId, FormId};

/// How a client wants to be in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Where.
    pub channel: ChannelName,
    /// How it is spoken to.
    pub form: FormId,
    /// Whether to hear one's own messages; in a room always.
    pub hears_self: bool,
    /// The name to be called by; rooms only.
    pub name: Option<String>,
    /// What several connections present that are one person; rooms only.
    pub key: Option<String>,
    /// The last message that was heard before, and its room's epoch; where messages have numbers.
    pub since: Option<(u64, String)>,
}

/// Whether a channel can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It can: join it.
    Open,
    /// The broker is to be asked: [`super::Chat::opened`] or [`super::Chat::not_opened`] takes its answer.
    Ask(ChannelId),
    /// The broker has been asked.
    Asked(ChannelId),
}
