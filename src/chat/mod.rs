//! What messages mean: rooms, topics, echo. Clients and messages in, [`Effect`]s out; no sockets,
//! no frames.

mod line;
mod room;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::clock::{Now, Time};
use crate::planted::planted;
use crate::websocket::{CloseCode, CloseFrame, Kind};
use line::{LocalTime, Voice};
use room::Room;

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

/// What a client connected for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Every message back to its sender.
    Echo,
    /// To be at a place.
    Attend {
        /// Where.
        place: Place,
        /// The name to be called by; rooms only.
        name: Option<String>,
        /// Whether to hear one's own messages.
        hears_self: bool,
    },
}

/// What shall happen.
#[derive(Debug)]
pub enum Effect<'a> {
    /// From here on the client hears the room.
    Join {
        /// What is heard.
        room: RoomId,
        /// By whom.
        client: ClientId,
    },
    /// From here on the client hears the room no more.
    Leave {
        /// What was heard.
        room: RoomId,
        /// By whom.
        client: ClientId,
    },
    /// A message for all members of a room.
    Publish {
        /// Where it is heard.
        room: RoomId,
        /// The members that it is for, with the one who does not hear it.
        audience: usize,
        /// Who does not hear it.
        except: Option<ClientId>,
        /// Text or binary.
        kind: Kind,
        /// The message; the parts are joined.
        parts: &'a [&'a [u8]],
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
    /// Rooms whose last member left in this turn.
    emptied: Vec<RoomId>,
    /// Rooms with counts to tell, the earliest first.
    counts_due: VecDeque<(Time, RoomId)>,
    time: LocalTime,
}

/// Where a client sits.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Nowhere,
    Echo,
    Member { room: RoomId, index: u32, hears_self: bool },
}

impl Chat {
    /// No rooms yet; lines will bear the local time of this zone.
    pub fn new(zone: TimeZone) -> Chat {
        Chat {
            rooms: Slab::new(),
            places: HashMap::new(),
            seats: Vec::new(),
            emptied: Vec::new(),
            counts_due: VecDeque::new(),
            time: LocalTime::new(zone),
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
        self.seats[client.index()] = match purpose {
            Purpose::Echo => Seat::Echo,
            Purpose::Attend { place, name, hears_self } => {
                let voice = matches!(place, Place::Room(_)).then(|| Voice::new(address, name));
                let room = self.room_at(place);
                let index = self.rooms[room.index()].add(client, voice);
                let index = u32::try_from(index).expect("members are clients");
                effect(Effect::Join { room, client });
                Seat::Member { room, index, hears_self }
            }
        };
        self.welcome(now, client, effect);
    }

    /// A client has said something.
    pub fn handle_message(
        &mut self,
        now: Now,
        client: ClientId,
        kind: Kind,
        payload: &[u8],
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let (room, index, hears_self) = match self.seat(client) {
            Seat::Nowhere => return,
            Seat::Echo => return effect(Effect::Send { client, kind, parts: &[payload] }),
            Seat::Member { room, index, hears_self } => (room, index as usize, hears_self),
        };
        let except = (!hears_self).then_some(client);
        let audience = self.rooms[room.index()].members().len();
        match (self.rooms[room.index()].voice(index), kind) {
            (None, _) | (Some(_), Kind::Binary) => {
                effect(Effect::Publish { room, audience, except, kind, parts: &[payload] });
            }
            (Some(voice), Kind::Text) => match line::text_of(payload) {
                // An empty message keeps a connection alive; it says nothing.
                b"" => {}
                b"quit" => self.quit(now, client, effect),
                text => {
                    let time = self.time.at(now.wall);
                    let parts = &voice.say(time, text);
                    effect(Effect::Publish { room, audience, except, kind, parts });
                }
            },
        }
    }

    /// Clients have gone, for whatever reason: those who stay are told. Of the ones who go
    /// together, none hears of another.
    pub fn leave(&mut self, now: Now, clients: &[ClientId], effect: &mut impl FnMut(Effect<'_>)) {
        let mut gone = Vec::new();
        for &client in clients {
            if let Some((room, voice)) = self.unseat(client) {
                effect(Effect::Leave { room, client });
                gone.extend(voice.map(|voice| (room, voice)));
            }
        }
        for (room, voice) in gone {
            let here = self.rooms[room.index()].members().len();
            if here == 0 {
                continue;
            }
            if here >= MEMBERS_TOLD_SINGLY_MAX {
                self.count(now, room, 0, 1);
            } else {
                let parts = &voice.logout(self.time.at(now.wall));
                effect(Effect::Publish { room, audience: here, except: None, kind: Kind::Text, parts });
            }
        }
    }

    /// What a client is told that did not get so many messages. Nothing where bytes pass unchanged.
    pub fn skipped_line(&mut self, now: Now, client: ClientId, messages: u32) -> Option<String> {
        let Seat::Member { room, index, .. } = self.seat(client) else { return None };
        self.rooms[room.index()].voice(index as usize)?;
        Some(line::skipped(self.time.at(now.wall), messages))
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
            let audience = room.members().len();
            if audience > 0 {
                let line = line::counts(self.time.at(now.wall), joined, left, audience);
                let parts: &[&[u8]] = &[line.as_bytes()];
                effect(Effect::Publish { room: id, audience, except: None, kind: Kind::Text, parts });
            }
        }
    }

    /// When [`Chat::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Time {
        self.counts_due.front().map_or(Time::NEVER, |(due, _)| *due)
    }

    /// Forgets rooms without members. Called when the turn's messages are delivered, so that a
    /// room's slot does not change owner before.
    pub fn forget_empty_rooms(&mut self, forgotten: &mut impl FnMut(RoomId)) {
        for id in self.emptied.drain(..) {
            let is_empty = self.rooms.get(id.index()).is_some_and(|room| room.members().is_empty())
                && !planted!("rooms_pile_up");
            if is_empty {
                let room = self.rooms.remove(id.index());
                self.places.remove(room.place());
                forgotten(id);
            }
        }
    }

    /// Who hears what is published in a room.
    pub fn members(&self, room: RoomId) -> &[ClientId] {
        self.rooms.get(room.index()).map_or(&[], Room::members)
    }

    /// Where a client is a member.
    pub fn room_of(&self, client: ClientId) -> Option<RoomId> {
        match self.seat(client) {
            Seat::Member { room, .. } => Some(room),
            Seat::Nowhere | Seat::Echo => None,
        }
    }

    /// All rooms and topics, and how many are there.
    pub fn rooms(&self) -> impl Iterator<Item = (RoomId, &Place, usize)> {
        self.rooms.iter().map(|(index, room)| (RoomId::new(index), room.place(), room.members().len()))
    }

    /// Rooms and topics that exist.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    fn seat(&self, client: ClientId) -> Seat {
        self.seats.get(client.index()).copied().unwrap_or(Seat::Nowhere)
    }

    fn room_at(&mut self, place: Place) -> RoomId {
        if let Some(&room) = self.places.get(&place) {
            return room;
        }
        let room = RoomId::new(self.rooms.insert(Room::new(place.clone())));
        self.places.insert(place, room);
        room
    }

    /// Announces a newcomer to the room, or to himself alone where the others get counts.
    fn welcome(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Seat::Member { room: id, index, .. } = self.seat(client) else { return };
        let room = &self.rooms[id.index()];
        let Some(voice) = room.voice(index as usize) else { return };
        let audience = room.members().len();
        let parts = &voice.welcome();
        if audience > MEMBERS_TOLD_SINGLY_MAX {
            effect(Effect::Send { client, kind: Kind::Text, parts });
            self.count(now, id, 1, 0);
        } else {
            effect(Effect::Publish { room: id, audience, except: None, kind: Kind::Text, parts });
        }
    }

    /// The leaver hears his own leave, then the connection is closed.
    fn quit(&mut self, now: Now, client: ClientId, effect: &mut impl FnMut(Effect<'_>)) {
        let Some((id, Some(voice))) = self.unseat(client) else { return };
        let parts = &voice.logout(self.time.at(now.wall));
        let stay = self.rooms[id.index()].members().len();
        if stay >= MEMBERS_TOLD_SINGLY_MAX {
            effect(Effect::Send { client, kind: Kind::Text, parts });
            effect(Effect::Leave { room: id, client });
            self.count(now, id, 0, 1);
        } else {
            let audience = stay + 1;
            effect(Effect::Publish { room: id, audience, except: None, kind: Kind::Text, parts });
            effect(Effect::Leave { room: id, client });
        }
        effect(Effect::Close { client, frame: CloseFrame::new(CloseCode::NORMAL, "") });
    }

    fn unseat(&mut self, client: ClientId) -> Option<(RoomId, Option<Voice>)> {
        let seat = self.seats.get_mut(client.index())?;
        let Seat::Member { room: id, index, .. } = std::mem::replace(seat, Seat::Nowhere) else {
            return None;
        };
        let room = &mut self.rooms[id.index()];
        let (voice, moved) = room.remove(index as usize);
        if room.members().is_empty() {
            self.emptied.push(id);
        }
        if let Some(moved) = moved.filter(|_| !planted!("seat_not_updated")) {
            match &mut self.seats[moved.index()] {
                Seat::Member { index: moved_index, .. } => *moved_index = index,
                Seat::Nowhere | Seat::Echo => unreachable!("members have seats"),
            }
        }
        Some((id, voice))
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

#[cfg(test)]
mod tests;
