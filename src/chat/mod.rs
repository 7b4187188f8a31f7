//! What messages mean: rooms, topics, echo. Clients and messages in, [`Effect`]s out; no sockets,
//! no frames.

mod channel;
mod commands;
mod history;
mod identity;
mod json;
mod keeping;
mod kept;
mod line;
mod name_rules;
mod names;
mod refs;
mod secret;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::clock::{Now, Time};
use crate::id::{ChannelId, ClientId};
use crate::planted::planted;
use crate::websocket::{CloseFrame, Kind};
use channel::{Channel, Counts};
use identity::{Identities, Member};
use json::Event;
use keeping::Keeping;
use kept::Owner;
use line::LocalTime;
pub use name_rules::{NAME_CHARACTERS_MAX, channel_name, person_name};
use secret::Secret;

/// In a room with more members, a line for each join and leave would be most of the traffic: a
/// thousand joins told to a thousand members are a million lines. They are counted instead.
pub const MEMBERS_TOLD_SINGLY_MAX: usize = 100;
/// Counts are told at most so often.
pub const COUNTS_INTERVAL: Duration = Duration::from_secs(1);

/// Where messages meet: what is said at a place is heard by all who are there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChannelName {
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
pub enum Endpoint {
    /// Every message back to its sender.
    Echo,
    /// To be in a room or on a topic.
    Channel(Subscription),
}

/// How a client wants to be at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Where.
    pub channel: ChannelName,
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
pub struct ChannelLimits {
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
        room: ChannelId,
        /// In which form.
        form: Form,
        /// By whom.
        client: ClientId,
    },
    /// From here on the client hears the room no more.
    Leave {
        /// What was heard.
        room: ChannelId,
        /// In which form.
        form: Form,
        /// By whom.
        client: ClientId,
    },
    /// A message for all members of a room who hear one form.
    Publish {
        /// Where it is heard.
        room: ChannelId,
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
    rooms: Slab<Channel>,
    by_name: HashMap<ChannelName, ChannelId>,
    /// By client.
    memberships: Vec<Membership>,
    identities: Identities,
    keeping: Keeping,
    /// Rooms with counts to tell, the earliest first.
    counts_due: VecDeque<(Time, ChannelId)>,
    time: LocalTime,
    limits: ChannelLimits,
    /// Of rooms; the next one differs.
    epoch: u64,
    /// What names are hashed with.
    names: Secret,
}

/// Where a client sits.
#[derive(Clone, Copy, Debug)]
enum Membership {
    Nowhere,
    Echo,
    Member { room: ChannelId, form: Form, hears_self: bool, index: u32 },
}

impl Chat {
    /// No rooms yet; lines will bear the local time of this zone. `seed` makes the epochs of this server differ
    /// from those of others, and of its own before a restart.
    pub fn new(zone: TimeZone, limits: ChannelLimits, seed: u64) -> Chat {
        Chat {
            rooms: Slab::new(),
            by_name: HashMap::new(),
            memberships: Vec::new(),
            identities: Identities::new(seed),
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
        purpose: Endpoint,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        if self.memberships.len() <= client.index() {
            self.memberships.resize(client.index() + 1, Membership::Nowhere);
        }
        assert!(matches!(self.memberships[client.index()], Membership::Nowhere), "a client enters once");
        match purpose {
            Endpoint::Echo => self.memberships[client.index()] = Membership::Echo,
            Endpoint::Channel(subscription) => self.attend(now, client, address, subscription, effect),
        }
    }

    fn attend(
        &mut self,
        now: Now,
        client: ClientId,
        address: SocketAddr,
        subscription: Subscription,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        let Subscription { channel, form, hears_self, name, key, since } = subscription;
        self.forget_persons(now);
        let is_room = matches!(channel, ChannelName::Room(_));
        let id = self.channel_of(channel);
        self.use_again(id);
        let (index, is_new) = if is_room {
            let (member, is_new) = self.member_for(id, address, form, name.as_deref(), key.as_deref());
            let room = &mut self.rooms[id.index()];
            effect(Effect::NamesCompared { count: room.names.take_compared() });
            room.is_large |= is_new && room.person_count() >= MEMBERS_TOLD_SINGLY_MAX;
            if is_new && !room.is_large {
                // To those who are here already; a line comes behind, since a newcomer hears its own.
                let (person, count) = ((&member).into(), room.person_count() + 1);
                tell_json(room, id, 0, || Event::Join { person, count }.encode(), effect);
            }
            (room.add(form, client, member), is_new)
        } else {
            (self.rooms[id.index()].add_listener(form, client), false)
        };
        effect(Effect::Join { room: id, form, client });
        let index = u32::try_from(index).expect("members are clients");
        self.memberships[client.index()] = Membership::Member { room: id, form, hears_self, index };
        self.welcome(now, client, is_new, since.as_ref(), effect);
    }

    /// Who comes with a connection, and whether it is somebody new here: called as it wishes, if nobody else is
    /// called that.
    fn member_for(
        &mut self,
        room: ChannelId,
        address: SocketAddr,
        form: Form,
        wish: Option<&str>,
        key: Option<&str>,
    ) -> (Member, bool) {
        let id = self.identities.arrive(key);
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
            if let Some((room, form, member)) = self.unsubscribe(now, client) {
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
        counts.min(self.keeping.due()).min(self.identities.due())
    }

    /// Who hears one form of what is published in a room.
    pub fn members(&self, room: ChannelId, form: Form) -> &[ClientId] {
        self.rooms.get(room.index()).map_or(&[], |room| room.members(form))
    }

    /// Where a client is a member.
    pub fn room_of(&self, client: ClientId) -> Option<ChannelId> {
        match self.membership(client) {
            Membership::Member { room, .. } => Some(room),
            Membership::Nowhere | Membership::Echo => None,
        }
    }

    /// Whether a client speaks the JSON form.
    pub fn hears_json(&self, client: ClientId) -> bool {
        matches!(self.membership(client), Membership::Member { form: Form::Json, .. })
    }

    /// All rooms and topics with members, and how many are there.
    pub fn rooms(&self) -> impl Iterator<Item = (ChannelId, &ChannelName, usize)> {
        let all = self.rooms.iter();
        all.map(|(index, room)| (ChannelId::new(index), room.place(), room.member_count()))
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

    fn membership(&self, client: ClientId) -> Membership {
        self.memberships.get(client.index()).copied().unwrap_or(Membership::Nowhere)
    }

    fn channel_of(&mut self, name: ChannelName) -> ChannelId {
        if let Some(&room) = self.by_name.get(&name) {
            return room;
        }
        // Odd, so that all values come before one comes again.
        self.epoch = self.epoch.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let room = ChannelId::new(self.rooms.insert(Channel::new(name.clone(), self.epoch, self.names)));
        self.by_name.insert(name, room);
        room
    }

    fn unsubscribe(&mut self, now: Now, client: ClientId) -> Option<(ChannelId, Form, Option<Member>)> {
        let seat = self.memberships.get_mut(client.index())?;
        let Membership::Member { room: id, form, index, .. } = std::mem::replace(seat, Membership::Nowhere)
        else {
            return None;
        };
        let room = &mut self.rooms[id.index()];
        let (member, moved, has_gone) = room.remove(form, index as usize);
        let key = (id, room.epoch);
        self.retire(now, member.as_ref(), has_gone, key);
        if let Some(moved) = moved.filter(|_| !planted!("seat_not_updated")) {
            match &mut self.memberships[moved.index()] {
                Membership::Member { index: moved_index, .. } => *moved_index = index,
                Membership::Nowhere | Membership::Echo => unreachable!("members have memberships"),
            }
        }
        Some((id, form, member.filter(|_| has_gone)))
    }

    /// Counts what is not told at once.
    fn count(&mut self, now: Now, id: ChannelId, what: impl FnOnce(&mut Counts)) {
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
fn tell_plain(
    room: &Channel,
    id: ChannelId,
    kind: Kind,
    parts: &[&[u8]],
    effect: &mut impl FnMut(Effect<'_>),
) {
    let audience = room.members(Form::Plain).len();
    if audience > 0 {
        let (form, except, seq) = (Form::Plain, None, 0);
        effect(Effect::Publish { room: id, form, audience, except, kind, parts, seq });
    }
}

/// Publishes something to those who hear JSON; it is not even written down if there are none.
fn tell_json(
    room: &Channel,
    id: ChannelId,
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
