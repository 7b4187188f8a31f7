//! What messages mean: rooms, topics, echo. Clients and messages in, [`Effect`]s out; no sockets,
//! no frames.

mod history;
mod identity;
mod json;
mod keeping;
mod kept;
mod line;
mod names;
mod person;
mod refs;
mod room;
mod secret;
mod speech;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::clock::{Now, Time};
use crate::planted::planted;
use crate::websocket::{CloseFrame, Kind};
pub use identity::{NAME_CHARACTERS_MAX, person_name, place_name};
use json::Event;
use keeping::Keeping;
use kept::Owner;
use line::LocalTime;
use person::{Member, Persons};
use room::{Counts, Room};
use secret::Secret;

/// In a room with more members, a line for each join and leave would be most of the traffic: a
/// thousand joins told to a thousand members are a million lines. They are counted instead.
pub const MEMBERS_TOLD_SINGLY_MAX: usize = 100;
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

/// What a room may cost, and what its members are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that a room remembers.
    pub history_messages_max: usize,
    /// Bytes that may wait for a client: what is answered must fit.
    pub outbox_bytes_max: usize,
    /// Bytes of a message.
    pub message_bytes_max: usize,
    /// Messages a second.
    pub rate: Option<u32>,
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
    /// Names were compared with others: nothing is sent of it, but it takes time.
    NamesCompared {
        /// As many names of ASCII would have taken as long.
        count: usize,
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
    keeping: Keeping,
    /// Rooms with counts to tell, the earliest first.
    counts_due: VecDeque<(Time, RoomId)>,
    time: LocalTime,
    limits: Limits,
    /// Of rooms; the next one differs.
    epoch: u64,
    /// What names are hashed with.
    names: Secret,
}

/// Where a client sits.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Nowhere,
    Echo,
    Member { room: RoomId, form: Form, hears_self: bool, index: u32 },
}

impl Chat {
    /// No rooms yet; lines will bear the local time of this zone. `seed` makes the epochs of this server differ
    /// from those of others, and of its own before a restart.
    pub fn new(zone: TimeZone, limits: Limits, seed: u64) -> Chat {
        Chat {
            rooms: Slab::new(),
            places: HashMap::new(),
            seats: Vec::new(),
            persons: Persons::new(seed),
            keeping: Keeping::default(),
            counts_due: VecDeque::new(),
            time: LocalTime::new(zone),
            limits,
            epoch: Secret::new(seed, "epochs").hash(""),
            names: Secret::new(seed, "names"),
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
        self.forget_persons(now);
        let is_room = matches!(place, Place::Room(_));
        let id = self.room_at(place);
        self.use_again(id);
        let (index, is_new) = if is_room {
            let (member, is_new) = self.member_for(id, address, form, name.as_deref(), key.as_deref());
            let room = &mut self.rooms[id.index()];
            effect(Effect::NamesCompared { count: room.names.take_compared() });
            room.is_large |= is_new && room.person_count() >= MEMBERS_TOLD_SINGLY_MAX;
            if is_new && !room.is_large {
                // To those who are here already; a line comes behind, since a newcomer hears his own.
                let (person, count) = ((&member).into(), room.person_count() + 1);
                tell_json(room, id, 0, || Event::Join { person, count }.encode(), effect);
            }
            (room.add(form, client, member), is_new)
        } else {
            (self.rooms[id.index()].add_listener(form, client), false)
        };
        effect(Effect::Join { room: id, form, client });
        let index = u32::try_from(index).expect("members are clients");
        self.seats[client.index()] = Seat::Member { room: id, form, hears_self, index };
        self.welcome(now, client, is_new, since.as_ref(), effect);
    }

    /// Who comes with a connection, and whether it is somebody new here: called as it wishes, if nobody else is
    /// called that.
    fn member_for(
        &mut self,
        room: RoomId,
        address: SocketAddr,
        form: Form,
        wish: Option<&str>,
        key: Option<&str>,
    ) -> (Member, bool) {
        let id = self.persons.arrive(key);
        let room = &mut self.rooms[room.index()];
        if let Some(known) = room.find(id) {
            let mut member = known.clone();
            member.owner = Owner::of(address);
            return (member, false);
        }
        let name = room.names.take(id, wish);
        let guest = || format!("guest{}", id.0);
        let name = match form {
            Form::Json => name.or_else(|| room.names.take(id, Some(&guest()))),
            Form::Plain => name,
        };
        (Member::new(id, address, name.as_deref(), key.is_some()), true)
    }

    /// Clients have gone, for whatever reason: those who stay are told. Of the ones who go
    /// together, none hears of another.
    pub fn leave(&mut self, now: Now, clients: &[ClientId], effect: &mut impl FnMut(Effect<'_>)) {
        let mut gone = Vec::new();
        for &client in clients {
            if let Some((room, form, member)) = self.unseat(now, client) {
                effect(Effect::Leave { room, form, client });
                gone.extend(member.map(|member| (room, member)));
            }
        }
        for (room, member) in gone {
            self.tell_leave(now, room, &member, effect);
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
            let counts = std::mem::take(&mut room.counts);
            room.is_large = room.person_count() > MEMBERS_TOLD_SINGLY_MAX;
            let room = &self.rooms[id.index()];
            let line = line::counts(self.time.at(now.wall), counts, room.member_count());
            tell_plain(room, id, Kind::Text, &[line.as_bytes()], effect);
            // From here on each is told again, so everybody is introduced to everybody.
            let members = (!room.is_large).then(|| room.people().0);
            let event = || Event::presence(room.person_count(), counts, members, false).encode();
            tell_json(room, id, 0, event, effect);
        }
    }

    /// When [`Chat::handle_timeout`] and [`Chat::forget_rooms`] want to be called.
    pub fn deadline(&self) -> Time {
        let counts = self.counts_due.front().map_or(Time::NEVER, |(due, _)| *due);
        counts.min(self.keeping.due()).min(self.persons.due())
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
        let room = RoomId::new(self.rooms.insert(Room::new(place.clone(), self.epoch, self.names)));
        self.places.insert(place, room);
        room
    }

    fn unseat(&mut self, now: Now, client: ClientId) -> Option<(RoomId, Form, Option<Member>)> {
        let seat = self.seats.get_mut(client.index())?;
        let Seat::Member { room: id, form, index, .. } = std::mem::replace(seat, Seat::Nowhere) else {
            return None;
        };
        let room = &mut self.rooms[id.index()];
        let (member, moved, has_gone) = room.remove(form, index as usize);
        let key = (id, room.epoch);
        self.retire(now, member.as_ref(), has_gone, key);
        if let Some(moved) = moved.filter(|_| !planted!("seat_not_updated")) {
            match &mut self.seats[moved.index()] {
                Seat::Member { index: moved_index, .. } => *moved_index = index,
                Seat::Nowhere | Seat::Echo => unreachable!("members have seats"),
            }
        }
        Some((id, form, member.filter(|_| has_gone)))
    }

    /// Counts what is not told at once.
    fn count(&mut self, now: Now, id: RoomId, what: impl FnOnce(&mut Counts)) {
        let room = &mut self.rooms[id.index()];
        what(&mut room.counts);
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
