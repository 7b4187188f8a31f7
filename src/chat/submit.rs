//! Accepting a message, in two steps: it is submitted to the broker, and told when that has committed it.

use std::borrow::Cow;
use std::rc::Rc;

use super::channel::ChannelState;
use super::pending::Identity;
use super::room_event::{Fate, Reason, Refused, Reply, RoomEvent, Said};
use super::{Audience, Chat, Chore, Effect, Membership, refuse, send};
use crate::broker::{Action, Append, Author, Committed, Entry, Ticket};
use crate::clock::Now;
use crate::id::{ChannelId, ClientId};
use crate::websocket::{CloseCode, CloseFrame, Kind};

const UNAVAILABLE: &str =
    "messages cannot be kept at the moment, so this one was not said; say it again later";

impl Chat {
    /// A member wants to say something, or to do something with what was said. What was said before with the same
    /// `ref` is acknowledged, and not said again.
    pub(super) fn submit<'a>(
        &mut self,
        now: Now,
        client: ClientId,
        (action, kind, payload): (Action, Kind, Cow<'a, [u8]>),
        reference: Option<Cow<'a, str>>,
        effect: &mut impl FnMut(Effect<'_>),
    ) -> Option<Append<'a>> {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else {
            return None;
        };
        let channel = &self.channels[id.index()];
        let member = channel.member(form, index as usize);
        if let Some((reference, member)) = reference.as_deref().zip(member) {
            let hash = self.identities.refs.hash(reference, channel.generation);
            if let Some(seq) = self.identities.refs.find(member.id, hash) {
                send(client, form, &Reply::Acknowledged { reference, seq }, effect);
                return None;
            }
            if self.pending.await_same(client, member.id, hash) {
                return None;
            }
        }
        let objection = member.and_then(|member| self.objection(id, member.id, action, &payload));
        if let Some((reason, advice)) = objection {
            refuse(now, client, form, reason, advice, reference.as_deref(), effect);
            return None;
        }
        let author = member.map(|member| Author { id: member.id, name: Rc::clone(&member.who) });
        Some(Append { ticket: self.pending.ticket(), channel: id, author, reference, action, kind, payload })
    }

    /// The broker has committed at once what a client has just submitted.
    pub fn commit_at_once(
        &mut self,
        now: Now,
        client: ClientId,
        append: &Append<'_>,
        committed: Committed,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Append { channel: id, author, reference, action, kind, payload, .. } = append;
        let what = (*action, *kind, &**payload);
        self.tell_committed(*id, committed, author.as_ref(), what, Some(client), effect);
        let Membership::Member { form, index, .. } = self.membership(client) else { return };
        let channel = &self.channels[id.index()];
        if let Some((reference, member)) = reference.as_deref().zip(channel.member(form, index as usize)) {
            let hash = self.identities.refs.hash(reference, channel.generation);
            let (person, owner, seq) = (member.id, member.owner, committed.seq);
            self.identities.refs.note(now.time, person, owner, hash, seq);
            send(client, form, &Reply::Acknowledged { reference, seq }, effect);
        }
    }

    /// The broker will answer later what a client has just submitted.
    pub fn hold(&mut self, client: ClientId, append: &Append<'_>) {
        let identity = self.identity(client, append);
        self.channels[append.channel.index()].pending += 1;
        self.pending.hold(client, append, identity);
    }

    /// The broker cannot take now what a client has just submitted.
    pub fn refuse_at_once(
        &mut self,
        now: Now,
        client: ClientId,
        append: &Append<'_>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        self.tell_unavailable(now, client, append.reference.as_deref(), effect);
    }

    /// A channel has accepted a message: it is told, remembered and acknowledged. Whoever said it may have gone.
    pub fn commit(&mut self, now: Now, id: ChannelId, entry: &Entry, effect: &mut impl FnMut(Effect<'_>)) {
        let Entry { committed, ticket, author, action, kind, payload } = entry;
        // It may be kept for nobody, and is kept anew with what it remembers then.
        self.use_again(id);
        let (held, resumed) = ticket.map(|ticket| self.pending.settle(ticket)).unwrap_or_default();
        let speaker = held.as_ref().and_then(|held| held.speaker);
        let what = (*action, *kind, &**payload);
        self.tell_committed(id, *committed, author.as_ref(), what, speaker, effect);
        if let Some(held) = held {
            assert_eq!(held.channel, id, "what is answered was asked there");
            self.channels[id.index()].pending -= 1;
            if let Some(identity) = &held.identity {
                // Of who has gone and has no key nothing is remembered.
                if !held.waiting.is_empty() || self.identities.is_known(identity.person) {
                    let Identity { person, owner, hash, .. } = *identity;
                    self.identities.refs.note(now.time, person, owner, hash, committed.seq);
                }
                for client in &held.waiting {
                    let Membership::Member { form, .. } = self.membership(*client) else { continue };
                    let (reference, seq) = (&*identity.reference, committed.seq);
                    send(*client, form, &Reply::Acknowledged { reference, seq }, effect);
                }
            }
        }
        self.settle(id, resumed, effect);
    }

    /// A channel has not accepted a message, and nothing of it is kept: who waits for it is told.
    pub fn refuse(&mut self, now: Now, id: ChannelId, ticket: Ticket, effect: &mut impl FnMut(Effect<'_>)) {
        let (held, resumed) = self.pending.settle(ticket);
        if let Some(held) = held {
            self.channels[id.index()].pending -= 1;
            let reference = held.identity.as_ref().map(|identity| &*identity.reference);
            held.waiting.iter().for_each(|client| self.tell_unavailable(now, *client, reference, effect));
        }
        self.settle(id, resumed, effect);
    }

    /// An answer has come: who was held back for it is read again, and a channel that was kept for it alone goes.
    fn settle(&mut self, id: ChannelId, resumed: Vec<ClientId>, effect: &mut impl FnMut(Effect<'_>)) {
        resumed.into_iter().for_each(|client| effect(Effect::Resume { client }));
        if self.channels[id.index()].client_count() == 0 {
            self.keeping.note_emptied(id);
        }
    }

    /// Tells a channel what it has accepted. Where the speaker does not want to hear itself, it does not.
    fn tell_committed(
        &mut self,
        id: ChannelId,
        committed: Committed,
        author: Option<&Author>,
        (action, kind, payload): (Action, Kind, &[u8]),
        speaker: Option<ClientId>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Committed { seq, time } = committed;
        let channel = &mut self.channels[id.index()];
        let ChannelState::Open { head, .. } = &mut channel.state else {
            unreachable!("what was never opened accepts nothing")
        };
        assert_eq!(*head + 1, seq.get(), "the numbers of a channel have no gap");
        *head = seq.get();
        let (Some(room), Some(author)) = (&mut channel.room, author) else {
            let membership = |speaker: ClientId| self.memberships.get(speaker.index()).copied();
            let except = speaker.and_then(|speaker| match membership(speaker)? {
                Membership::Member { form, hears_self: false, .. } => Some((form, speaker)),
                _ => None,
            });
            let audience = Audience(channel.listeners());
            let event = &RoomEvent::Passed { kind, payload };
            return effect(Effect::Tell { channel: id, audience, except, number: None, event });
        };
        let before = room.history.cost();
        let event = &match action {
            Action::Say { re } => {
                room.history.push(committed, author, (kind, payload, re), self.limits.history_messages_max);
                let (id, who, fate, reactions) = (author.id, &*author.name, Fate::AsSaid, &[][..]);
                RoomEvent::Said(Said { seq, time, id, who, kind, payload, re, fate, reactions })
            }
            Action::Edit { of } | Action::Delete { of } | Action::React { of, .. } => {
                effect(Effect::Worked(Chore::ItemsWalked(room.history.walk(of, action))));
                RoomEvent::Changed(room.history.change(committed, author, (of, action, payload)))
            }
        };
        self.keeping.note_change(before, room.history.cost());
        let audience = Audience(channel.listeners());
        effect(Effect::Tell { channel: id, audience, except: None, number: Some(seq), event });
        if let (Action::Delete { of }, Some(room)) = (action, &channel.room) {
            // Who reads slowly does not get what is deleted by then.
            for (number, event) in room.history.as_it_stands(of) {
                effect(Effect::Replace { channel: id, audience, number, event: &event });
            }
        }
    }

    /// What makes a message of a client the same when it is said again.
    fn identity(&self, client: ClientId, append: &Append<'_>) -> Option<Identity> {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else {
            return None;
        };
        let channel = &self.channels[id.index()];
        let (reference, member) = append.reference.as_deref().zip(channel.member(form, index as usize))?;
        let hash = self.identities.refs.hash(reference, channel.generation);
        Some(Identity { person: member.id, owner: member.owner, reference: reference.into(), hash })
    }

    /// Tells a client that what it said is not kept. On a topic it can be told so only by its close.
    fn tell_unavailable(
        &mut self,
        now: Now,
        client: ClientId,
        reference: Option<&str>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { channel: id, form, .. } = self.membership(client) else { return };
        if self.channels[id.index()].room.is_some() {
            let (reason, advice, time) = (Reason::Unavailable, UNAVAILABLE, now.wall);
            return send(client, form, &Reply::Refused(Refused { reason, advice, time, reference }), effect);
        }
        self.leave(now, &[client], effect);
        effect(Effect::Close { client, frame: CloseFrame::new(CloseCode::TRY_AGAIN_LATER, UNAVAILABLE) });
    }
}
