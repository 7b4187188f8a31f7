//! What messages mean: rooms, topics, echo. Clients and messages in, [`Effect`]s out; no sockets,
//! no frames.

mod history;
mod json;
mod line;
mod person;
mod room;
mod speech;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::clock::{Now, Time};
use crate::planted::planted;
use crate::websocket::{CloseFrame, Kind};
use json::Event;
use line::LocalTime;
pub use person::{NAME_CHARACTERS_MAX, name_of};
use person::{Persons, Voice};
use room::Room;

/// In a room with more members, a line for each join and leave would be most of the traffic: a
/// thousand joins told to a thousand members are a million lines. They are counted instead.
pub const MEMBERS_TOLD_SINGLY_MAX: usize = 100;
/// A room in which nobody is keeps its history for so long.
const EMPTY_ROOM_KEPT: Duration = Duration::from_secs(600);
/// So many of them, at most.
const EMPTY_ROOMS_MAX: usize = 1_000;
/// Bytes of all histories together; over it, those go first that nobody has added to for longest.
const HISTORIES_BYTES_MAX: usize = 64 << 20;
/// Counts are told at most so often.
pub const COUNTS_INTERVAL: Duration = Duration::from_secs(1);

/// A client, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u32);

/// A room or a topic, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomId(u32);

macro_rules! index_of_a_slot {
    ($name:ident) => {
        impl $name {
            /// The slot of this index. There are never more slots than open files.
            pub fn new(index: usize) -> $name {
                $name(u32::try_from(index).expect("fewer than 2^32 open files"))
            }

            /// The index of the slot.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
index_of_a_slot!(ClientId);
index_of_a_slot!(RoomId);

/// Where messages meet: what is said at a place is heard by all who are there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A chat room: text becomes lines.
    Room(String),
    /// A topic: every message passes unchanged.
    Topic(String),
}

/// How a member of a room is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Lines of text; in a topic the messages themselves.
    #[default]
    Plain,
    /// JSON objects, subprotocol `wsloop.json`; rooms only.
    Json,
}

/// What a client connected for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Every message back to its sender.
    Echo,
    /// To be at a place.
    Attend(Attendance),
}

/// How a client wants to be at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// Where.
    pub place: Place,
    /// How it is spoken to.
    pub form: Form,
    /// Whether to hear one's own messages; in a room always.
    pub hears_self: bool,
    /// The name to be called by; rooms only.
    pub name: Option<String>,
    /// What several connections present that are one person; rooms only.
    pub key: Option<String>,
    /// The last message that was heard before, and its room's epoch; JSON only.
    pub since: Option<(u64, String)>,
}

/// What shall happen.
#[derive(Debug)]
pub enum Effect<'a> {
    /// From here on the client hears the room.
    Join {
        /// What is heard.
        room: RoomId,
        /// In which form.
        form: Form,
        /// By whom.
        client: ClientId,
    },
    /// From here on the client hears the room no more.
    Leave {
        /// What was heard.
        room: RoomId,
        /// In which form.
        form: Form,
        /// By whom.
        client: ClientId,
    },
    /// A message for all members of a room who hear one form.
    Publish {
        /// Where it is heard.
        room: RoomId,
        /// By whom.
        form: Form,
        /// The members that it is for, with the one who does not hear it.
        audience: usize,
        /// Who does not hear it.
        except: Option<ClientId>,
        /// Text or binary.
        kind: Kind,
        /// The message; the parts are joined.
        parts: &'a [&'a [u8]],
        /// Its number among those that the room accepted; zero where that does not matter.
        seq: u64,
    },
    /// A message for one client.
    Send {
        /// To whom.
        client: ClientId,
        /// Text or binary.
        kind: Kind,
        /// The message; the parts are joined.
        parts: &'a [&'a [u8]],
    },
    /// The conversation with a client ends, after all that it is owed.
    Close {
        /// With whom.
        client: ClientId,
        /// How.
        frame: CloseFrame,
    },
}

/// All rooms, topics and who is where.
#[derive(Debug)]
pub struct Chat {
    rooms: Slab<Room>,
    places: HashMap<Place, RoomId>,
    /// By client.
    seats: Vec<Seat>,
    persons: Persons,
    /// Rooms whose last member left in this turn.
    emptied: Vec<RoomId>,
    /// Rooms that are kept for their history, the first to be forgotten first; some are in use again.
    kept: VecDeque<(Time, RoomId)>,
    /// Rooms with counts to tell, the earliest first.
    counts_due: VecDeque<(Time, RoomId)>,
    time: LocalTime,
    /// Messages that a room remembers.
    history_max: usize,
    history_bytes: usize,
    /// Of rooms; the next one differs.
    epoch: u64,
}

/// Where a client sits.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Nowhere,
    Echo,
    Member { room: RoomId, form: Form, hears_self: bool, index: u32 },
}

impl Chat {
    /// No rooms yet; lines will bear the local time of this zone, and each room remembers so many messages.
    /// `seed` makes the epochs of this server differ from those of others, and of its own before a restart.
    pub fn new(zone: TimeZone, history_max: usize, seed: u64) -> Chat {
        Chat {
            rooms: Slab::new(),
            places: HashMap::new(),
            seats: Vec::new(),
            persons: Persons::default(),
            emptied: Vec::new(),
            kept: VecDeque::new(),
            counts_due: VecDeque::new(),
            time: LocalTime::new(zone),
            history_max,
            history_bytes: 0,
            epoch: seed,
        }
    }

    /// A client has connected.
    pub fn enter(
        &mut self,
        now: Now,
        client: ClientId,
        address: SocketAddr,
        purpose: Purpose,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        if self.seats.len() <= client.index() {
            self.seats.resize(client.index() + 1, Seat::Nowhere);
        }
        assert!(matches!(self.seats[client.index()], Seat::Nowhere), "a client enters once");
        match purpose {
            Purpose::Echo => self.seats[client.index()] = Seat::Echo,
            Purpose::Attend(attendance) => self.attend(now, client, address, attendance, effect),
        }
    }

    fn attend(
        &mut self,
        now: Now,
        client: ClientId,
        address: SocketAddr,
        attendance: Attendance,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Attendance { place, form, hears_self, name, key, since } = attendance;
        let is_room = matches!(place, Place::Room(_));
        let id = self.room_at(place);
        let voice = is_room.then(|| self.voice_for(now, id, address, form, name.as_deref(), key.as_deref()));
        let room = &mut self.rooms[id.index()];
        let is_new = voice.as_ref().is_some_and(|voice| room.voice_of(voice.id).is_none());
        if let Some(voice) =
            voice.as_ref().filter(|_| is_new && room.person_count() < MEMBERS_TOLD_SINGLY_MAX)
        {
            // To those who are here already; a line comes behind, since a newcomer hears his own.
            let count = room.person_count() + 1;
            tell_json(room, id, 0, || Event::Join { person: voice.into(), count }.encode(), effect);
        }
        let index = room.add(form, client, voice);
        effect(Effect::Join { room: id, form, client });
        let index = u32::try_from(index).expect("members are clients");
        self.seats[client.index()] = Seat::Member { room: id, form, hears_self, index };
        self.welcome(now, client, is_new, since.as_ref(), effect);
    }

    /// What a newcomer is called: as it wishes, if nobody else is called that.
    fn voice_for(
        &mut self,
        now: Now,
        room: RoomId,
        address: SocketAddr,
        form: Form,
        name: Option<&str>,
        key: Option<&str>,
    ) -> Voice {
        let (id, key) = self.persons.arrive(now.time, key);
        let room = &mut self.rooms[room.index()];
        if let Some(known) = room.voice_of(id) {
            return known.clone();
        }
        let guest = (form == Form::Json).then(|| format!("guest{}", id.0));
        let name = name.map(str::to_owned).or(guest).map(|name| room.names.take(&name));
        Voice::new(id, address, name.as_deref(), key)
    }

    /// Clients have gone, for whatever reason: those who stay are told. Of the ones who go
    /// together, none hears of another.
    pub fn leave(&mut self, now: Now, clients: &[ClientId], effect: &mut impl FnMut(Effect<'_>)) {
        let mut gone = Vec::new();
        for &client in clients {
            if let Some((room, form, voice)) = self.unseat(now, client) {
                effect(Effect::Leave { room, form, client });
                gone.extend(voice.map(|voice| (room, voice)));
            }
        }
        for (room, voice) in gone {
            self.tell_leave(now, room, &voice, effect);
        }
    }

    /// Tells the counts that are due.
    pub fn handle_timeout(&mut self, now: Now, effect: &mut impl FnMut(Effect<'_>)) {
        while let Some(&(due, id)) = self.counts_due.front().filter(|(due, _)| *due <= now.time) {
            self.counts_due.pop_front();
            // The slot may belong to another room by now, which has its own time.
            let Some(room) = self.rooms.get_mut(id.index()).filter(|room| room.counts_due == Some(due))
            else {
                continue;
            };
            room.counts_due = None;
            let (joined, left) = (std::mem::take(&mut room.joined), std::mem::take(&mut room.left));
            let room = &self.rooms[id.index()];
            let count = room.person_count();
            let line = line::counts(self.time.at(now.wall), joined, left, room.member_count());
            tell_plain(room, id, Kind::Text, &[line.as_bytes()], effect);
            tell_json(room, id, 0, || Event::Presence { count, joined, left }.encode(), effect);
        }
    }

    /// When [`Chat::handle_timeout`] and [`Chat::forget_rooms`] want to be called.
    pub fn deadline(&self) -> Time {
        let counts = self.counts_due.front().map_or(Time::NEVER, |(due, _)| *due);
        let kept = self.kept.front().map_or(Time::NEVER, |(due, _)| *due);
        counts.min(kept)
    }

    /// Forgets rooms without members, those with a history later. Called when the turn's messages are
    /// delivered, so that a room's slot does not change owner before.
    pub fn forget_rooms(&mut self, now: Now, forgotten: &mut impl FnMut(RoomId)) {
        for id in std::mem::take(&mut self.emptied) {
            let Some(room) = self.rooms.get_mut(id.index()).filter(|room| room.member_count() == 0) else {
                continue;
            };
            if planted!("rooms_pile_up") {
                continue;
            }
            if room.history.is_empty() {
                self.forget(id, forgotten);
            } else if room.empty_since.is_none() {
                room.empty_since = Some(now.time);
                self.kept.push_back((now.time + EMPTY_ROOM_KEPT, id));
            }
        }
        while let Some(&(due, id)) = self.kept.front() {
            let is_over = due <= now.time || self.kept.len() > EMPTY_ROOMS_MAX;
            let since = self.rooms.get(id.index()).and_then(|room| room.empty_since);
            let is_meant = since.is_some_and(|since| since + EMPTY_ROOM_KEPT == due);
            if is_meant && !is_over {
                break;
            }
            self.kept.pop_front();
            if is_meant {
                self.forget(id, forgotten);
            }
        }
        self.limit_histories();
    }

    fn forget(&mut self, id: RoomId, forgotten: &mut impl FnMut(RoomId)) {
        let room = self.rooms.remove(id.index());
        self.history_bytes -= room.history.bytes();
        self.places.remove(room.place());
        forgotten(id);
    }

    /// All histories together have a limit: the longest silent lose theirs, down to three quarters of it.
    fn limit_histories(&mut self) {
        if self.history_bytes <= HISTORIES_BYTES_MAX {
            return;
        }
        let mut rooms: Vec<_> =
            self.rooms.iter_mut().filter_map(|(_, room)| Some((room.history.last()?, room))).collect();
        rooms.sort_by_key(|(last, _)| *last);
        for (_, room) in rooms {
            if self.history_bytes <= HISTORIES_BYTES_MAX / 4 * 3 {
                return;
            }
            self.history_bytes -= room.history.bytes();
            room.history.clear();
        }
    }

    /// Who hears one form of what is published in a room.
    pub fn members(&self, room: RoomId, form: Form) -> &[ClientId] {
        self.rooms.get(room.index()).map_or(&[], |room| room.members(form))
    }

    /// Where a client is a member.
    pub fn room_of(&self, client: ClientId) -> Option<RoomId> {
        match self.seat(client) {
            Seat::Member { room, .. } => Some(room),
            Seat::Nowhere | Seat::Echo => None,
        }
    }

    /// Whether a client speaks the JSON form.
    pub fn hears_json(&self, client: ClientId) -> bool {
        matches!(self.seat(client), Seat::Member { form: Form::Json, .. })
    }

    /// All rooms and topics with members, and how many are there.
    pub fn rooms(&self) -> impl Iterator<Item = (RoomId, &Place, usize)> {
        let all = self.rooms.iter();
        all.map(|(index, room)| (RoomId::new(index), room.place(), room.member_count()))
            .filter(|(_, _, members)| *members > 0)
    }

    /// Rooms and topics with members.
    pub fn room_count(&self) -> usize {
        self.rooms().count()
    }

    /// The same, with those that are kept for their history.
    pub fn kept_room_count(&self) -> usize {
        self.rooms.len()
    }

    fn seat(&self, client: ClientId) -> Seat {
        self.seats.get(client.index()).copied().unwrap_or(Seat::Nowhere)
    }

    fn room_at(&mut self, place: Place) -> RoomId {
        if let Some(&room) = self.places.get(&place) {
            return room;
        }
        // Odd, so that all values come before one comes again.
        self.epoch = self.epoch.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let room = RoomId::new(self.rooms.insert(Room::new(place.clone(), self.epoch)));
        self.places.insert(place, room);
        room
    }

    fn unseat(&mut self, now: Now, client: ClientId) -> Option<(RoomId, Form, Option<Voice>)> {
        let seat = self.seats.get_mut(client.index())?;
        let Seat::Member { room: id, form, index, .. } = std::mem::replace(seat, Seat::Nowhere) else {
            return None;
        };
        let room = &mut self.rooms[id.index()];
        let (voice, moved, has_gone) = room.remove(form, index as usize);
        if let Some(voice) = &voice {
            self.persons.leave(now.time, client, voice.key.as_ref());
        }
        if room.member_count() == 0 {
            self.emptied.push(id);
        }
        if let Some(moved) = moved.filter(|_| !planted!("seat_not_updated")) {
            match &mut self.seats[moved.index()] {
                Seat::Member { index: moved_index, .. } => *moved_index = index,
                Seat::Nowhere | Seat::Echo => unreachable!("members have seats"),
            }
        }
        Some((id, form, voice.filter(|_| has_gone)))
    }

    fn count(&mut self, now: Now, id: RoomId, joined: u32, left: u32) {
        let room = &mut self.rooms[id.index()];
        room.joined += joined;
        room.left += left;
        if room.counts_due.is_none() {
            let due = now.time + COUNTS_INTERVAL;
            room.counts_due = Some(due);
            self.counts_due.push_back((due, id));
        }
    }
}

/// Publishes something to those who hear lines, or a topic's messages.
fn tell_plain(room: &Room, id: RoomId, kind: Kind, parts: &[&[u8]], effect: &mut impl FnMut(Effect<'_>)) {
    let audience = room.members(Form::Plain).len();
    if audience > 0 {
        let (form, except, seq) = (Form::Plain, None, 0);
        effect(Effect::Publish { room: id, form, audience, except, kind, parts, seq });
    }
}

/// Publishes something to those who hear JSON; it is not even written down if there are none.
fn tell_json(
    room: &Room,
    id: RoomId,
    seq: u64,
    json: impl FnOnce() -> Vec<u8>,
    effect: &mut impl FnMut(Effect<'_>),
) {
    let audience = room.members(Form::Json).len();
    if audience > 0 {
        let (form, except, kind) = (Form::Json, None, Kind::Text);
        effect(Effect::Publish { room: id, form, audience, except, kind, parts: &[&json()], seq });
    }
}

#[cfg(test)]
mod tests;
