//! What is said in rooms, and what is answered: lines and JSON, side by side.

use super::json::{Epoch, Event, Person, REF_BYTES_MAX, Request};
use super::person::{Voice, name_of};
use super::{
    Chat, ClientId, Effect, Form, MEMBERS_TOLD_SINGLY_MAX, Place, RoomId, Seat, line, tell_json, tell_plain,
};
use crate::clock::Now;
use crate::websocket::{CloseCode, CloseFrame, Kind};

/// Messages in an answer to `history`, if no number is given, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 100;

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
        let (room, form, index, hears_self) = match self.seat(client) {
            Seat::Nowhere => return,
            Seat::Echo => return effect(Effect::Send { client, kind, parts: &[payload] }),
            Seat::Member { room, form, index, hears_self } => (room, form, index as usize, hears_self),
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
        let Seat::Member { room: id, form, index, .. } = self.seat(client) else { return 0 };
        let room = &mut self.rooms[id.index()];
        let before = room.history.bytes();
        let seq = room.number(form, index as usize, now.wall, kind, payload, self.history_max);
        self.history_bytes = self.history_bytes + room.history.bytes() - before;
        let room = &*room;
        let voice = room.voice(form, index as usize).expect("this is a room");
        match kind {
            Kind::Binary => tell_plain(room, id, kind, &[payload], effect),
            Kind::Text => tell_plain(room, id, kind, &voice.say(self.time.at(now.wall), payload), effect),
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
            "name" => match request.name.as_deref().and_then(name_of) {
                None => refuse(
                    "bad_name",
                    "a name is 1 to 32 characters without control, direction or invisible ones, and no space at its ends",
                ),
                Some(name) => self.rename(client, &name, effect),
            },
            "history" => self.answer_history(client, &request, effect),
            "ping" => send(client, &Event::Pong { reference }, effect),
            _ => refuse("unknown_type", "`type` is say, name, history or ping"),
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
        let Seat::Member { room, form, index, .. } = self.seat(client) else { return };
        let room = &self.rooms[room.index()];
        let (epoch, key) = (room.epoch, room.voice(form, index as usize).and_then(|voice| voice.key.clone()));
        let known = reference.and_then(|reference| self.persons.said(client, key.as_ref(), reference, epoch));
        let seq = known.unwrap_or_else(|| self.accept(now, client, Kind::Text, text.as_bytes(), effect));
        let Some(reference) = reference else { return };
        if known.is_none() {
            self.persons.note(client, key.as_ref(), reference, epoch, seq);
        }
        send(client, &Event::Ack { reference, seq }, effect);
    }

    fn rename(&mut self, client: ClientId, name: &str, effect: &mut impl FnMut(Effect<'_>)) {
        let Seat::Member { room: id, form, index, .. } = self.seat(client) else { return };
        let room = &mut self.rooms[id.index()];
        let before = room.voice(form, index as usize).expect("this is a room").clone();
        // His own name is free for him.
        if before.is_named() {
            room.names.free(&before.who);
        }
        let name = room.names.take(name);
        room.rename(form, index as usize, &name);
        if *before.who != *name {
            let event = Event::Name { id: before.id, from: &before.who, to: &name };
            tell_json(room, id, 0, || event.encode(), effect);
        }
    }

    fn answer_history(&self, client: ClientId, request: &Request<'_>, effect: &mut impl FnMut(Effect<'_>)) {
        let Seat::Member { room, .. } = self.seat(client) else { return };
        let room = &self.rooms[room.index()];
        let before = request.before.unwrap_or(room.seq + 1);
        let limit = request.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
        let (messages, more) = room.history.before(before, limit);
        let messages = messages.map(Event::from).collect();
        send(client, &Event::History { before, messages, more }, effect);
    }

    /// Announces a newcomer to the room, or to himself alone where the others get counts; and tells him
    /// where he is, and what he has missed.
    pub(super) fn welcome(
        &mut self,
        now: Now,
        client: ClientId,
        is_new: bool,
        since: Option<&(u64, String)>,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Seat::Member { room: id, form, index, .. } = self.seat(client) else { return };
        let room = &self.rooms[id.index()];
        let Some(voice) = room.voice(form, index as usize) else { return };
        let line = &voice.welcome();
        if is_new && room.person_count() <= MEMBERS_TOLD_SINGLY_MAX {
            tell_plain(room, id, Kind::Text, line, effect);
        } else if form == Form::Plain {
            effect(Effect::Send { client, kind: Kind::Text, parts: line });
        }
        if form == Form::Json {
            let missed = since
                .filter(|(_, epoch)| Epoch(room.epoch).is(epoch))
                .and_then(|(since, _)| room.history.behind(*since, room.seq));
            let Place::Room(name) = room.place() else { return };
            let welcome = Event::Welcome {
                room: name,
                you: voice.into(),
                epoch: Epoch(room.epoch),
                seq: room.seq,
                count: room.person_count(),
                members: room.people(),
                recovered: since.map(|_| missed.is_some()),
            };
            send(client, &welcome, effect);
            missed.into_iter().flatten().for_each(|said| send(client, &Event::from(said), effect));
        }
        if is_new && room.person_count() > MEMBERS_TOLD_SINGLY_MAX {
            self.count(now, id, 1, 0);
        }
    }

    /// Somebody has gone: those who stay are told, or in a large room counted.
    pub(super) fn tell_leave(
        &mut self,
        now: Now,
        id: RoomId,
        voice: &Voice,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let room = &self.rooms[id.index()];
        let count = room.person_count();
        if count >= MEMBERS_TOLD_SINGLY_MAX {
            return self.count(now, id, 0, 1);
        }
        tell_plain(room, id, Kind::Text, &voice.logout(self.time.at(now.wall)), effect);
        tell_json(room, id, 0, || Event::Leave { person: voice.into(), count }.encode(), effect);
    }

    /// The leaver hears his own leave, then the connection is closed.
    fn quit(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Seat::Member { room: id, form, index, .. } = self.seat(client) else { return };
        let room = &self.rooms[id.index()];
        let voice = room.voice(form, index as usize).expect("this is a room").clone();
        let is_told = room.is_last_connection(voice.id) && room.person_count() <= MEMBERS_TOLD_SINGLY_MAX;
        let line = &voice.logout(self.time.at(now.wall));
        if is_told {
            // While he is still one of them, so that it is the last that he hears.
            tell_plain(room, id, Kind::Text, line, effect);
        } else {
            effect(Effect::Send { client, kind: Kind::Text, parts: line });
        }
        let gone = self.unseat(now, client);
        effect(Effect::Leave { room: id, form, client });
        let room = &self.rooms[id.index()];
        let count = room.person_count();
        if is_told {
            tell_json(room, id, 0, || Event::Leave { person: (&voice).into(), count }.encode(), effect);
        } else if gone.is_some_and(|(_, _, voice)| voice.is_some()) {
            self.count(now, id, 0, 1);
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
        let Seat::Member { room, form, index, .. } = self.seat(client) else { return None };
        let room = &self.rooms[room.index()];
        room.voice(form, index as usize)?;
        let (count, members) = (room.person_count(), room.people());
        Some(match (form, numbers) {
            (Form::Plain, _) => line::skipped(self.time.at(now.wall), messages).into_bytes(),
            // Who comes and goes may have been among it, so it is told anew.
            (Form::Json, Some((from, to))) => Event::Gap { from, to, count, members }.encode(),
            (Form::Json, None) => Event::Presence { count, joined: 0, left: 0 }.encode(),
        })
    }

    /// Tells a client that hears JSON that it is over its rate.
    pub fn warn_of_rate(&self, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        if let Seat::Member { form: Form::Json, .. } = self.seat(client) {
            let text = "too many messages a second for too long; say less, then connect again";
            send(client, &Event::Error { code: "rate", text, reference: None }, effect);
        }
    }
}

fn send(client: ClientId, event: &Event<'_>, effect: &mut impl FnMut(Effect<'_>)) {
    effect(Effect::Send { client, kind: Kind::Text, parts: &[&event.encode()] });
}
