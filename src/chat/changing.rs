//! What may be done with a message that was said: who may change it, and what a reaction may be; and who is writing.

use std::time::Duration;

use super::channel::MEMBERS_TOLD_SINGLY_MAX;
use super::history::Remembered;
use super::name_rules::is_emoji;
use super::reactions::{EMOJI_MAX, REACTIONS_MAX};
use super::room_event::{Fate, Reason, RoomEvent};
use super::{Audience, Chat, Chore, Effect, Membership};
use crate::broker::Action;
use crate::clock::Now;
use crate::id::{ChannelId, ClientId, PersonId};
use crate::websocket::Kind;

/// Others are told at most so often that somebody is writing.
const TYPING_INTERVAL: Duration = Duration::from_secs(3);

/// Edits of a message that are held: when it is deleted, each is looked for in the queues of all members.
const EDITS_MAX: usize = 20;

const NOT_A_NUMBER_HERE: &str = "no message of this room has this number yet; use the `seq` of one";
const NOT_HELD: &str = "this message is not held any more, or is deleted: it cannot be changed";
const NO_TEXT: &str = "only a text can be edited; delete it, and say another";
const NOT_YOURS: &str = "somebody else has said this; edit and delete what you have said yourself";
const NOT_AN_EMOJI: &str = "`emoji` is one emoji";
const TOO_MANY_EMOJI: &str = "this message has 20 different emoji; add one that it has";
const TOO_MANY_EDITS: &str = "this message has been edited too often lately; delete it, and say another";
const TOO_MANY_REACTIONS: &str = "this room holds no more reactions until older messages are forgotten";

impl Chat {
    /// Why a person cannot do this now, and what to do about it.
    pub(super) fn objection(
        &self,
        id: ChannelId,
        person: PersonId,
        action: Action,
        payload: &[u8],
    ) -> Option<(Reason, &'static str)> {
        let channel = &self.channels[id.index()];
        let history = &channel.room.as_ref()?.history;
        let (of, is_own) = match action {
            Action::Say { re } => {
                let is_wrong = re.is_some_and(|re| re.get() > channel.head());
                return is_wrong.then_some((Reason::BadNumber, NOT_A_NUMBER_HERE));
            }
            Action::Edit { of } | Action::Delete { of } => (of, true),
            Action::React { of, .. } => (of, false),
        };
        if of.get() > channel.head() {
            return Some((Reason::BadNumber, NOT_A_NUMBER_HERE));
        }
        let is_there = |message: &&Remembered| !matches!(message.fate(), Fate::Deleted(_));
        let Some(message) = history.find(of).filter(is_there) else {
            return Some((Reason::NotHeld, NOT_HELD));
        };
        let said = message.said();
        if is_own && said.id != person {
            return Some((Reason::NotYours, NOT_YOURS));
        }
        match action {
            Action::Edit { .. } if said.kind != Kind::Text => Some((Reason::NotHeld, NO_TEXT)),
            Action::Edit { .. } if history.edit_count(of) >= EDITS_MAX => {
                Some((Reason::TooMany, TOO_MANY_EDITS))
            }
            Action::React { is_on, .. } => {
                let emoji = std::str::from_utf8(payload).unwrap_or_default();
                let is_new = said.reactions.iter().all(|reaction| *reaction.emoji != *emoji);
                if !is_emoji(emoji) {
                    Some((Reason::BadEmoji, NOT_AN_EMOJI))
                } else if is_on && is_new && said.reactions.len() >= EMOJI_MAX {
                    Some((Reason::TooMany, TOO_MANY_EMOJI))
                } else if is_on && history.reaction_count() >= REACTIONS_MAX {
                    Some((Reason::TooMany, TOO_MANY_REACTIONS))
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// Somebody is writing: the others are told, in a room in which each is told of, and not too often.
    pub(super) fn tell_typing(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else { return };
        let channel = &mut self.channels[id.index()];
        let Some(person) = channel.member(form, index as usize).map(|member| member.id) else { return };
        let Some(room) = channel.room.as_mut().filter(|room| !room.is_large) else { return };
        effect(Effect::Worked(Chore::ItemsWalked(room.typing.len())));
        room.typing.retain(|(_, since)| now.time.since(*since) < TYPING_INTERVAL);
        let is_known = room.typing.iter().any(|(other, _)| *other == person);
        // Those who come, write and go again and again are not all remembered.
        if is_known || room.typing.len() > MEMBERS_TOLD_SINGLY_MAX {
            return;
        }
        room.typing.push((person, now.time));
        let (audience, except) = (Audience(channel.listeners()), Some((form, client)));
        let event = &RoomEvent::Typing { id: person };
        effect(Effect::Tell { channel: id, audience, except, number: None, event });
    }
}
