//! What is said in rooms, and what is answered: lines and JSON, side by side.

use super::channel::Counts;
use super::history::Said;
use super::identity::{Member, PersonId};
use super::json::{self, Epoch, Event, Person, REF_BYTES_MAX, Request};
use super::name_rules::{NAME_WORK, person_name};
use super::refs::UNACKNOWLEDGED_MAX;
use super::{ChannelName, Chat, Effect, Form, Membership, line, tell_json, tell_plain};
use crate::clock::Now;
use crate::id::{ChannelId, ClientId};
use crate::websocket::{CloseCode, CloseFrame, Kind};

/// Messages in an answer to `history`, if no number is given, and at most.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 100;
/// An answer takes so many bytes at most, and half of what may wait for a client.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What a resume may bring, as it is encoded: all that a room remembers, though each byte be escaped.
const RESUME_BYTES_MAX: usize = 2 << 20;
/// To look at so many people takes as long as to find out what a name looks like.
const PEOPLE_A_NAME: usize = 32;
/// What everybody may do in a room.
const RIGHTS: &[&str] = &["read", "say", "presence", "history"];

impl Chat {
    /// A client has said something.
    pub fn handle_message(
        &mut self,
        now: Now,
        client: ClientId,
        kind: Kind,
        payload: &[u8],
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let (room, form, index, hears_self) = match self.membership(client) {
            Membership::Nowhere => return,
            Membership::Echo => return effect(Effect::Send { client, kind, parts: &[payload] }),
            Membership::Member { room, form, index, hears_self } => (room, form, index as usize, hears_self),
        };
        if self.rooms[room.index()].voice(form, index).is_none() {
            let except = (!hears_self).then_some(client);
            let audience = self.rooms[room.index()].members(form).len();
            return effect(Effect::Publish { room, form, audience, except, kind, parts: &[payload], seq: 0 });
        }
        match (form, kind) {
            (_, Kind::Binary) => drop(self.accept(now, client, kind, payload, effect)),
            (Form::Json, Kind::Text) => self.handle_json(now, client, payload, effect),
            (Form::Plain, Kind::Text) => match line::text_of(payload) {
                // An empty message keeps a connection alive; it says nothing.
                b"" => {}
                b"quit" => self.quit(now, client, effect),
                text => drop(self.accept(now, client, kind, text, effect)),
            },
        }
    }

    /// A room takes a message: it gets the next number and is told in each form in use.
    fn accept(
        &mut self,
        now: Now,
        client: ClientId,
        kind: Kind,
        payload: &[u8],
        effect: &mut impl FnMut(Effect<'_>),
    ) -> u64 {
        let Membership::Member { room: id, form, index, .. } = self.membership(client) else { return 0 };
        let room = &mut self.rooms[id.index()];
        let before = room.history.cost();
        let most = self.limits.history_messages_max;
        let seq = room.number(form, index as usize, now.wall, kind, payload, most);
        self.keeping.note_change(before, room.history.cost());
        let room = &self.rooms[id.index()];
        let voice = room.voice(form, index as usize).expect("this is a room");
        match kind {
            Kind::Binary => tell_plain(room, id, kind, &[payload], effect),
            Kind::Text if room.members(Form::Plain).is_empty() => {}
            Kind::Text => {
                let line = line::one_line(payload);
                tell_plain(room, id, kind, &voice.say(self.time.at(now.wall), &line), effect);
            }
        }
        let said = || Event::said(seq, now.wall, Person::from(voice), kind, payload).encode();
        tell_json(room, id, seq, said, effect);
        seq
    }

    fn handle_json(
        &mut self,
        now: Now,
        client: ClientId,
        payload: &[u8],
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let request = match Request::parse(payload) {
            Ok(request) => request,
            Err(text) => {
                return send(
                    client,
                    &Event::Error { code: "bad_json", text: &text, reference: None },
                    effect,
                );
            }
        };
        let reference = request.reference.as_deref();
        if request.kind == "name" {
            // Good or not, it is looked at.
            effect(Effect::NamesCompared { count: NAME_WORK });
        }
        let mut refuse = |code, text| send(client, &Event::Error { code, text, reference }, effect);
        if reference.is_some_and(|reference| reference.is_empty() || reference.len() > REF_BYTES_MAX) {
            let text = "a `ref` is 1 to 64 bytes";
            return send(client, &Event::Error { code: "bad_ref", text, reference: None }, effect);
        }
        match &*request.kind {
            "say" => match request.text.as_deref() {
                None | Some("") => refuse("no_text", "`say` wants a `text` that is not empty"),
                Some(text) => self.say(now, client, text, reference, effect),
            },
            "name" => match request.name.as_deref().map(person_name) {
                None => refuse("bad_name", "`name` wants a `name`"),
                Some(Err(advice)) => refuse("bad_name", advice),
                Some(Ok(name)) => self.rename(now, client, &name, effect),
            },
            "history" => self.answer_history(client, &request, effect),
            "members" => match request.after.as_deref().map(PersonId::read) {
                Some(None) => refuse("bad_id", "`after` is the `id` of a member, such as c7"),
                after => self.answer_members(client, after.flatten(), request.limit, effect),
            },
            "ping" => send(client, &Event::Pong { reference }, effect),
            _ => refuse("unknown_type", "`type` is say, name, history, members or ping"),
        }
    }

    /// Says something once, however often it is asked for with the same `ref`.
    fn say(
        &mut self,
        now: Now,
        client: ClientId,
        text: &str,
        reference: Option<&str>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Some(reference) = reference else {
            self.accept(now, client, Kind::Text, text.as_bytes(), effect);
            return;
        };
        let Membership::Member { room, form, index, .. } = self.membership(client) else { return };
        let room = &self.rooms[room.index()];
        let voice = room.voice(form, index as usize).expect("this is a room");
        let (epoch, id, owner) = (room.epoch, voice.id, voice.owner);
        let known = self.identities.refs.find(id, reference, epoch);
        let seq = known.unwrap_or_else(|| {
            let seq = self.accept(now, client, Kind::Text, text.as_bytes(), effect);
            self.identities.refs.note(now.time, id, owner, reference, epoch, seq);
            seq
        });
        send(client, &Event::Ack { reference, seq }, effect);
    }

    /// Somebody wants to be called something else. In a large room it alone is told, and the others a count.
    fn rename(&mut self, now: Now, client: ClientId, wish: &str, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { room: id, form, index, .. } = self.membership(client) else { return };
        let room = &mut self.rooms[id.index()];
        let person = room.voice(form, index as usize).expect("this is a room").id;
        let (from, to) = room.rename(form, index as usize, wish);
        effect(Effect::NamesCompared { count: room.names.take_compared() });
        let event = Event::Name { id: person, name: &to, was: &from };
        if from == to || room.is_large {
            send(client, &event, effect);
        } else {
            tell_json(room, id, 0, || event.encode(), effect);
        }
        if from != to && room.is_large {
            self.count(now, id, |counts| counts.renamed += 1);
        }
    }

    fn answer_history(&self, client: ClientId, request: &Request<'_>, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { room, .. } = self.membership(client) else { return };
        let room = &self.rooms[room.index()];
        let before = request.before.unwrap_or(room.seq + 1);
        let limit = usize::try_from(request.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX)).unwrap_or(0);
        let bytes_max = ANSWER_BYTES_MAX.min(self.limits.outbox_bytes_max / 2);
        let (messages, more) = room.history.before(before, limit, bytes_max);
        let messages = messages.map(Event::from).collect();
        send(client, &Event::History { before, messages, more }, effect);
    }

    /// Who is here, in the order of their numbers, behind one of them.
    fn answer_members(
        &self,
        client: ClientId,
        after: Option<PersonId>,
        limit: Option<u64>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { room, .. } = self.membership(client) else { return };
        let room = &self.rooms[room.index()];
        let count = room.person_count();
        effect(Effect::NamesCompared { count: count / PEOPLE_A_NAME + 1 });
        let limit = usize::try_from(limit.unwrap_or(PAGE_MAX).min(PAGE_MAX)).unwrap_or(0);
        let (members, more) = room.people_after(after, limit);
        send(client, &Event::Members { count, members, more }, effect);
    }

    /// Announces a newcomer to the room, or to itself alone where the others get counts; and tells it
    /// where it is, and what it has missed.
    pub(super) fn welcome(
        &mut self,
        now: Now,
        client: ClientId,
        is_new: bool,
        since: Option<&(u64, String)>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Membership::Member { room: id, form, index, .. } = self.membership(client) else { return };
        let room = &self.rooms[id.index()];
        let Some(voice) = room.voice(form, index as usize) else { return };
        let line = &voice.welcome();
        if is_new && !room.is_large {
            tell_plain(room, id, Kind::Text, line, effect);
        } else if form == Form::Plain {
            effect(Effect::Send { client, kind: Kind::Text, parts: line });
        }
        if form == Form::Json {
            // What it is owed in one breath may wait beside its queue.
            let bytes_max = RESUME_BYTES_MAX.max(self.limits.outbox_bytes_max / 4 * 3);
            let missed = since
                .filter(|(_, epoch)| Epoch(room.epoch).is(epoch))
                .and_then(|(since, _)| room.history.behind(*since, room.seq))
                .filter(|missed| fit(missed.clone().map(Said::encoded_bytes), bytes_max));
            let ChannelName::Room(name) = room.place() else { return };
            let (members, more) = room.people();
            let welcome = Event::Welcome {
                room: name,
                you: voice.into(),
                epoch: Epoch(room.epoch),
                seq: room.seq,
                count: room.person_count(),
                members,
                more,
                recovered: since.map(|_| missed.is_some()),
                limits: json::ToldLimits {
                    message: self.limits.message_bytes_max,
                    unacknowledged: UNACKNOWLEDGED_MAX,
                    rate: self.limits.rate,
                    history: self.limits.history_messages_max,
                },
                rights: RIGHTS,
                server: env!("CARGO_PKG_VERSION"),
            };
            send(client, &welcome, effect);
            missed.into_iter().flatten().for_each(|said| send(client, &Event::from(said), effect));
        }
        if is_new && room.is_large {
            self.count(now, id, |counts| counts.joined += 1);
        }
    }

    /// Somebody has gone: those who stay are told, or in a large room counted.
    pub(super) fn tell_leave(
        &mut self,
        now: Now,
        id: ChannelId,
        member: &Member,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let room = &self.rooms[id.index()];
        let count = room.person_count();
        if room.is_large {
            return self.count(now, id, |counts| counts.left += 1);
        }
        tell_plain(room, id, Kind::Text, &member.logout(self.time.at(now.wall)), effect);
        tell_json(room, id, 0, || Event::Leave { person: member.into(), count }.encode(), effect);
    }

    /// The leaver hears its own leave, then the connection is closed.
    fn quit(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { room: id, form, index, .. } = self.membership(client) else { return };
        let room = &self.rooms[id.index()];
        let voice = room.voice(form, index as usize).expect("this is a room").clone();
        let is_told = voice.connections == 1 && !room.is_large;
        let line = &voice.logout(self.time.at(now.wall));
        if is_told {
            // While it is still one of them, so that it is the last that it hears.
            tell_plain(room, id, Kind::Text, line, effect);
        } else {
            effect(Effect::Send { client, kind: Kind::Text, parts: line });
        }
        let gone = self.unsubscribe(now, client);
        effect(Effect::Leave { room: id, form, client });
        let room = &self.rooms[id.index()];
        let count = room.person_count();
        if is_told {
            tell_json(room, id, 0, || Event::Leave { person: (&voice).into(), count }.encode(), effect);
        } else if gone.is_some_and(|(_, _, voice)| voice.is_some()) {
            self.count(now, id, |counts| counts.left += 1);
        }
        effect(Effect::Close { client, frame: CloseFrame::new(CloseCode::NORMAL, "") });
    }

    /// What a client is told that did not get so many messages, among them the numbers from the first to the
    /// second. Nothing where bytes pass unchanged.
    pub fn skipped(
        &mut self,
        now: Now,
        client: ClientId,
        messages: u32,
        numbers: Option<(u64, u64)>,
    ) -> Option<Vec<u8>> {
        let Membership::Member { room, form, index, .. } = self.membership(client) else { return None };
        let room = &self.rooms[room.index()];
        room.voice(form, index as usize)?;
        let (count, (members, more)) = (room.person_count(), room.people());
        Some(match (form, numbers) {
            (Form::Plain, _) => line::skipped(self.time.at(now.wall), messages).into_bytes(),
            // Who comes and goes may have been among it, so it is told anew.
            (Form::Json, Some((first, last))) => Event::Gap { first, last, count, members, more }.encode(),
            (Form::Json, None) => Event::presence(count, Counts::default(), Some(members), more).encode(),
        })
    }

    /// Tells a client that hears JSON that it is over its rate.
    pub fn warn_of_rate(&self, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        if let Membership::Member { form: Form::Json, .. } = self.membership(client) {
            let text = "too many messages a second for too long; say less, then connect again";
            send(client, &Event::Error { code: "rate", text, reference: None }, effect);
        }
    }
}

fn send(client: ClientId, event: &Event<'_>, effect: &mut impl FnMut(Effect<'_>)) {
    effect(Effect::Send { client, kind: Kind::Text, parts: &[&event.encode()] });
}

/// Whether sizes are so much together at most; no more of them are looked at than it takes to know.
fn fit(sizes: impl Iterator<Item = usize>, most: usize) -> bool {
    let mut left = Some(most);
    for size in sizes {
        left = left.and_then(|left| left.checked_sub(size));
        if left.is_none() {
            return false;
        }
    }
    true
}
