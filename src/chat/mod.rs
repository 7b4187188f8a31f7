//! What messages mean: rooms, topics, echo. Clients and messages in, [`Effect`]s out; no sockets, no frames, and no
//! form: what happens is a [`RoomEvent`], and how it looks is for others.
//!
//! A message is accepted in two steps: the chat submits it ([`Chat::handle_message`] returns an
//! [`Append`](crate::broker::Append)), and tells it when the broker has committed it ([`Chat::commit`]).

mod allocation;
mod changing;
mod channel;
mod commands;
mod effect;
mod forgetting;
mod form_set;
mod history;
mod identity;
mod join;
mod keeping;
mod kept;
mod name_rules;
mod names;
mod pending;
mod reactions;
mod refs;
mod room_event;
mod submit;
mod subscription;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

pub use crate::broker::{Action, ChannelName};
use crate::clock::{Now, Time};
use crate::id::{ChannelId, ClientId, FormId};
use crate::secret::Secret;
use channel::Channel;
pub use channel::MEMBERS_TOLD_SINGLY_MAX;
#[cfg(test)]
pub(crate) use effect::FakeAudience;
pub use effect::{Audience, Chore, Effect};
pub use form_set::{BadCommand, Command, FormSet, Wish};
use identity::{Identities, Member};
use keeping::Keeping;
pub use name_rules::{NAME_CHARACTERS_MAX, channel_name, person_name};
use pending::Pending;
pub use room_event::{
    Change, Changed, Counts, Fate, LimitsTold, Profile, Reaction, Reason, Refused, Reply, RoomEvent, Said,
    Welcome,
};
pub use subscription::{Hearing, Subscription};

/// Counts are told at most so often.
pub const COUNTS_INTERVAL: Duration = Duration::from_secs(1);
/// What everybody may do in a room.
const RIGHTS: &[&str] = &["read", "say", "presence", "history"];

/// What a client connected for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Every message back to its sender.
    Echo,
    /// To be in a room or on a topic.
    Channel(Subscription),
}

/// What a channel may cost, and what its members are told of it.
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

/// All rooms, topics and who is where.
#[derive(Debug)]
pub struct Chat {
    channels: Slab<Channel>,
    by_name: HashMap<ChannelName, ChannelId>,
    /// By client.
    memberships: Vec<Membership>,
    identities: Identities,
    keeping: Keeping,
    pending: Pending,
    /// Rooms with counts to tell, the earliest first.
    counts_due: VecDeque<(Time, ChannelId)>,
    forms: Rc<dyn FormSet>,
    limits: ChannelLimits,
    /// Of the last channel.
    generation: u64,
    /// What names are hashed with.
    names: Secret,
}

/// Where a client is.
#[derive(Clone, Copy, Debug)]
enum Membership {
    Nowhere,
    Echo,
    Member { channel: ChannelId, form: FormId, hears_self: bool, index: u32 },
}

impl Chat {
    /// No channels yet. `seed` keys the hashes of this server.
    pub fn new(forms: Rc<dyn FormSet>, limits: ChannelLimits, seed: u64) -> Chat {
        Chat {
            channels: Slab::new(),
            by_name: HashMap::new(),
            memberships: Vec::new(),
            identities: Identities::new(seed),
            keeping: Keeping::default(),
            pending: Pending::default(),
            counts_due: VecDeque::new(),
            forms,
            limits,
            generation: 0,
            names: Secret::new(seed, "names"),
        }
    }

    /// A client has connected to hear itself.
    pub fn echo(&mut self, client: ClientId) {
        *self.vacant_membership(client) = Membership::Echo;
    }

    /// Clients have gone, for whatever reason: those who stay are told. Of the ones who go
    /// together, none hears of another.
    pub fn leave(&mut self, now: Now, clients: &[ClientId], effect: &mut impl FnMut(Effect<'_>)) {
        let mut gone = Vec::new();
        for &client in clients {
            if self.is_held_back(client) {
                // What it has still sent is read, if only to be thrown away.
                effect(Effect::Resume { client });
            }
            if let Some((channel, form, member)) = self.unsubscribe(now, client) {
                effect(Effect::Leave { channel, form, client });
                gone.extend(member.map(|member| (channel, member)));
            }
        }
        for (channel, member) in gone {
            self.tell_leave(now, channel, &member, effect);
        }
    }

    /// Tells the counts that are due.
    pub fn handle_timeout(&mut self, now: Now, effect: &mut impl FnMut(Effect<'_>)) {
        while let Some(&(due, id)) = self.counts_due.front().filter(|(due, _)| *due <= now.time) {
            self.counts_due.pop_front();
            // The slot may belong to another channel by now, which has its own time.
            let Some(channel) = self.channels.get_mut(id.index()) else { continue };
            let Some(room) = channel.room.as_mut().filter(|room| room.counts_due == Some(due)) else {
                continue;
            };
            room.counts_due = None;
            let counts = std::mem::take(&mut room.counts);
            room.is_large = room.person_count() > MEMBERS_TOLD_SINGLY_MAX;
            // From here on each is told again, so everybody is introduced to everybody.
            let channel = &self.channels[id.index()];
            let Some(room) = &channel.room else { continue };
            let members = (!room.is_large).then(|| room.people().0);
            let (time, count, connections) = (now.wall, room.person_count(), channel.client_count());
            let event = RoomEvent::Counted { time, counts, connections, count, members };
            tell(channel, id, &event, effect);
        }
    }

    /// When [`Chat::handle_timeout`] and [`Chat::forget_channels`] want to be called.
    pub fn deadline(&self) -> Time {
        let counts = self.counts_due.front().map_or(Time::NEVER, |(due, _)| *due);
        counts.min(self.keeping.due()).min(self.identities.due())
    }

    /// Who hears one form of what is told in a channel.
    pub fn members(&self, channel: ChannelId, form: FormId) -> &[ClientId] {
        self.channels.get(channel.index()).map_or(&[], |channel| channel.clients(form))
    }

    /// Where a client is a member.
    pub fn channel_of(&self, client: ClientId) -> Option<ChannelId> {
        match self.membership(client) {
            Membership::Member { channel, .. } => Some(channel),
            Membership::Nowhere | Membership::Echo => None,
        }
    }

    /// Whether a client has said so much that is not answered that it is not to be read now.
    pub fn is_held_back(&self, client: ClientId) -> bool {
        self.pending.holds_back(client)
    }

    /// Memory of what was said and is not answered.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes()
    }

    /// All rooms and topics with members, and how many are there.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelName, usize)> {
        let all = self.channels.iter();
        all.map(|(index, channel)| (ChannelId::new(index), &channel.name, channel.client_count()))
            .filter(|(_, _, members)| *members > 0)
    }

    /// Rooms and topics with members.
    pub fn channel_count(&self) -> usize {
        self.channels().count()
    }

    /// The same, with those that are kept for their history.
    pub fn kept_channel_count(&self) -> usize {
        self.channels.len()
    }

    fn membership(&self, client: ClientId) -> Membership {
        self.memberships.get(client.index()).copied().unwrap_or(Membership::Nowhere)
    }

    fn vacant_membership(&mut self, client: ClientId) -> &mut Membership {
        if self.memberships.len() <= client.index() {
            self.memberships.resize(client.index() + 1, Membership::Nowhere);
        }
        let membership = &mut self.memberships[client.index()];
        assert!(matches!(membership, Membership::Nowhere), "a client comes in once");
        membership
    }

    /// Takes a client out of where it is. The member is there if the person has gone with it.
    fn unsubscribe(&mut self, now: Now, client: ClientId) -> Option<(ChannelId, FormId, Option<Member>)> {
        let membership = self.memberships.get_mut(client.index())?;
        let Membership::Member { channel: id, form, index, .. } =
            std::mem::replace(membership, Membership::Nowhere)
        else {
            return None;
        };
        self.pending.forget_client(client);
        let channel = &mut self.channels[id.index()];
        let removed = channel.remove(form, index as usize);
        let key = (id, channel.generation);
        self.retire(now, removed.member.as_ref(), removed.has_gone, key);
        if let Some(moved) = removed.moved {
            match &mut self.memberships[moved.index()] {
                Membership::Member { index: moved_index, .. } => *moved_index = index,
                Membership::Nowhere | Membership::Echo => unreachable!("who is moved is a member"),
            }
        }
        Some((id, form, removed.member.filter(|_| removed.has_gone)))
    }

    /// Somebody has gone: those who stay are told, or in a large room counted.
    fn tell_leave(&mut self, now: Now, id: ChannelId, member: &Member, effect: &mut impl FnMut(Effect<'_>)) {
        let channel = &self.channels[id.index()];
        let Some(room) = &channel.room else { return };
        if room.is_large {
            return self.count(now, id, |counts| counts.left += 1);
        }
        let (time, person, count) = (now.wall, member.profile(), room.person_count());
        tell(channel, id, &RoomEvent::Left { time, person, count }, effect);
    }

    /// Counts what is not told at once.
    fn count(&mut self, now: Now, id: ChannelId, what: impl FnOnce(&mut Counts)) {
        let Some(room) = self.channels[id.index()].room.as_mut() else { return };
        what(&mut room.counts);
        if room.counts_due.is_none() {
            let due = now.time + COUNTS_INTERVAL;
            room.counts_due = Some(due);
            self.counts_due.push_back((due, id));
        }
    }
}

/// Tells all who hear a channel of something that has no number.
fn tell(channel: &Channel, id: ChannelId, event: &RoomEvent<'_>, effect: &mut impl FnMut(Effect<'_>)) {
    let audience = Audience(channel.listeners());
    effect(Effect::Tell { channel: id, audience, except: None, number: None, event });
}

/// Tells one client what it waits for.
fn send(client: ClientId, form: FormId, reply: &Reply<'_>, effect: &mut impl FnMut(Effect<'_>)) {
    effect(Effect::Send { client, form, reply, droppable: false });
}

/// Tells one client why something is not done.
fn refuse(
    now: Now,
    client: ClientId,
    form: FormId,
    reason: Reason,
    advice: &str,
    reference: Option<&str>,
    effect: &mut impl FnMut(Effect<'_>),
) {
    send(client, form, &Reply::Refused(Refused { reason, advice, time: now.wall, reference }), effect);
}

#[cfg(test)]
mod tests;
