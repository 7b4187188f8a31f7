//! What a client says, and what comes of it.

use super::history::Remembered;
use super::name_rules::{NAME_WORK, person_name};
use super::room_event::{Reason, Reply, RoomEvent};
use super::{BadCommand, Chat, Chore, Command, Effect, Membership, Wish, refuse, send, tell};
use crate::broker::{Action, Append};
use crate::clock::Now;
use crate::id::{ClientId, FormId, PersonId};
use crate::websocket::{CloseCode, CloseFrame, Kind};
use std::borrow::Cow;
use std::num::NonZeroU64;

/// Messages in an answer to `history`, if no number is given; and at most, of people in one to `members` too.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 100;
/// An answer takes so many bytes at most, and half of what may wait for a client.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

impl Chat {
    /// A client has said something. What its channel is to accept is for the broker: [`Chat::commit_at_once`],
    /// [`Chat::hold`] or [`Chat::refuse_at_once`] takes what becomes of it.
    pub fn handle_message<'a>(
        &mut self,
        now: Now,
        client: ClientId,
        kind: Kind,
        payload: &'a [u8],
        effect: &mut impl FnMut(Effect<'_>),
    ) -> Option<Append<'a>> {
        let (id, form) = match self.membership(client) {
            Membership::Nowhere => return None,
            Membership::Echo => {
                effect(Effect::Return { client, kind, payload });
                return None;
            }
            Membership::Member { channel, form, .. } => (channel, form),
        };
        if self.channels[id.index()].room.is_none() {
            return self.submit(now, client, (Action::SAY, kind, Cow::Borrowed(payload)), None, effect);
        }
        match self.forms.read(form, kind, payload) {
            Ok(Command { wish: Wish::Submit { action, kind, payload }, reference }) => {
                self.submit(now, client, (action, kind, payload), reference, effect)
            }
            Ok(Command { wish, reference }) => {
                self.handle_wish(now, client, wish, reference.as_deref(), effect);
                None
            }
            Err(BadCommand { reason, advice, reference }) => {
                let (advice, reference) = (&*advice, reference.as_deref());
                refuse(now, client, form, reason, advice, reference, effect);
                None
            }
        }
    }

    fn handle_wish(
        &mut self,
        now: Now,
        client: ClientId,
        wish: Wish<'_>,
        reference: Option<&str>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { form, .. } = self.membership(client) else { return };
        match wish {
            Wish::Nothing | Wish::Submit { .. } => {}
            Wish::Typing => self.tell_typing(now, client, effect),
            Wish::Quit => self.quit(now, client, effect),
            Wish::Ping => send(client, form, &Reply::Pong { reference }, effect),
            Wish::History { before, limit } => self.answer_history(client, before, limit, effect),
            Wish::Members { after, limit } => self.answer_members(client, after, limit, effect),
            Wish::Rename(name) => {
                // Good or not, it is looked at.
                effect(Effect::Worked(Chore::NamesCompared(NAME_WORK)));
                match person_name(&name) {
                    Ok(name) => self.rename(now, client, &name, effect),
                    Err(advice) => refuse(now, client, form, Reason::BadName, advice, reference, effect),
                }
            }
        }
    }

    /// Somebody wants to be called something else. In a large room it alone is told, and the others a count.
    fn rename(&mut self, now: Now, client: ClientId, wish: &str, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else { return };
        let channel = &mut self.channels[id.index()];
        let Some(person) = channel.member(form, index as usize).map(|member| member.id) else { return };
        let Some((was, name)) = channel.rename(form, index as usize, wish) else { return };
        let Some(room) = &mut channel.room else { return };
        effect(Effect::Worked(Chore::NamesCompared(room.names.take_compared())));
        let is_large = room.is_large;
        let event = RoomEvent::Renamed { id: person, name: &name, was: &was };
        if name == was || is_large {
            send(client, form, &Reply::Event(event), effect);
        } else {
            tell(channel, id, &event, effect);
        }
        if name != was && is_large {
            self.count(now, id, |counts| counts.renamed += 1);
        }
    }

    fn answer_history(
        &self,
        client: ClientId,
        before: Option<u64>,
        limit: Option<u64>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else { return };
        let channel = &self.channels[id.index()];
        let (Some(room), Some(viewer)) = (&channel.room, channel.member(form, index as usize)) else {
            return;
        };
        let before = before.unwrap_or(channel.head() + 1);
        let limit = usize::try_from(limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX)).unwrap_or(0);
        let bytes_max = ANSWER_BYTES_MAX.min(self.limits.outbox_bytes_max / 2);
        let measure = |message: &Remembered| message.measure(&*self.forms, form);
        let (messages, more) = room.history.before(before, limit, bytes_max, measure);
        let messages = messages.map(Remembered::said).collect();
        send(client, form, &Reply::History { before, viewer: viewer.id, messages, more }, effect);
    }

    /// Who is here, in the order of their numbers, behind one of them.
    fn answer_members(
        &self,
        client: ClientId,
        after: Option<PersonId>,
        limit: Option<u64>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { channel: id, form, .. } = self.membership(client) else { return };
        let Some(room) = &self.channels[id.index()].room else { return };
        let count = room.person_count();
        effect(Effect::Worked(Chore::ItemsWalked(count)));
        let limit = usize::try_from(limit.unwrap_or(PAGE_MAX).min(PAGE_MAX)).unwrap_or(0);
        let (members, more) = room.people_after(after, limit);
        send(client, form, &Reply::Members { count, members, more }, effect);
    }

    /// The leaver hears its own leave, then the connection is closed.
    fn quit(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else { return };
        let channel = &self.channels[id.index()];
        let (Some(room), Some(member)) = (&channel.room, channel.member(form, index as usize)) else {
            return;
        };
        let has_gone = member.connections == 1;
        let is_told = has_gone && !room.is_large;
        let (time, person) = (now.wall, member.profile());
        let count = room.person_count() - usize::from(has_gone);
        let event = RoomEvent::Left { time, person, count };
        if is_told {
            // While it is still one of them, so that it is the last that it hears.
            tell(channel, id, &event, effect);
        } else {
            send(client, form, &Reply::Event(event), effect);
        }
        let gone = self.unsubscribe(now, client);
        effect(Effect::Leave { channel: id, form, client });
        if !is_told && gone.is_some_and(|(_, _, member)| member.is_some()) {
            self.count(now, id, |counts| counts.left += 1);
        }
        effect(Effect::Close { client, frame: CloseFrame::new(CloseCode::NORMAL, "") });
    }

    /// What a member is told that did not get so many messages, among them the numbers from the first to the
    /// second. Nothing where bytes pass unchanged.
    pub fn gap_notice(
        &self,
        now: Now,
        client: ClientId,
        messages: u32,
        numbers: Option<(NonZeroU64, NonZeroU64)>,
        told: impl FnOnce(FormId, &Reply<'_>),
    ) {
        let Membership::Member { channel: id, form, .. } = self.membership(client) else { return };
        let Some(room) = &self.channels[id.index()].room else { return };
        let (count, (members, more)) = (room.person_count(), room.people());
        told(form, &Reply::Gap { time: now.wall, messages, numbers, count, members, more });
    }

    /// Tells a client that it is over its rate.
    pub fn warn_of_rate(&self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { channel: id, form, .. } = self.membership(client) else { return };
        if self.channels[id.index()].room.is_some() {
            let advice = "too many messages a second for too long; say less, then connect again";
            refuse(now, client, form, Reason::Rate, advice, None, effect);
        }
    }
}
