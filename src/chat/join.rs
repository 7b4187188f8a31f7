//! Coming in: a channel is opened by the broker, and a newcomer told where it is and what it has missed.

use std::net::SocketAddr;

use super::channel::{Channel, ChannelState, MEMBERS_TOLD_SINGLY_MAX};
use super::history::Missed;
use super::identity::Member;
use super::kept::Owner;
use super::refs::UNACKNOWLEDGED_MAX;
use super::room_event::{LimitsTold, Reply, RoomEvent, Welcome};
use super::subscription::{Hearing, Subscription};
use super::{ChannelName, Chat, Chore, Effect, Membership, RIGHTS, send, tell};
use crate::broker::Opened;
use crate::clock::Now;
use crate::id::{ChannelId, ClientId, FormId};

/// What a resume may bring, as it is encoded: all that a room remembers, though each byte be escaped.
const RESUME_BYTES_MAX: usize = 2 << 20;

impl Chat {
    /// Somebody wants to come into a channel.
    pub fn open(&mut self, name: &ChannelName) -> Hearing {
        if let Some(&id) = self.by_name.get(name) {
            return match self.channels[id.index()].state {
                ChannelState::Open { .. } => Hearing::Open,
                ChannelState::Opening => Hearing::Asked(id),
            };
        }
        self.generation += 1;
        let channel = Channel::new(name.clone(), self.generation, self.names);
        let id = ChannelId::new(self.channels.insert(channel));
        self.by_name.insert(name.clone(), id);
        Hearing::Ask(id)
    }

    /// The broker has opened a channel: whoever waits for it can join. If nobody does, it is forgotten.
    pub fn opened(&mut self, id: ChannelId, opened: Opened) {
        let channel = &mut self.channels[id.index()];
        assert_eq!(channel.state, ChannelState::Opening, "a channel is opened once");
        channel.state = ChannelState::Open { epoch: opened.epoch, head: opened.head };
        self.keeping.note_emptied(id);
    }

    /// The broker cannot open a channel now.
    pub fn not_opened(&mut self, id: ChannelId) {
        let channel = self.channels.remove(id.index());
        assert_eq!(channel.state, ChannelState::Opening, "nobody is in it");
        self.by_name.remove(&channel.name);
    }

    /// A client comes into a channel that is open.
    pub fn join(
        &mut self,
        now: Now,
        client: ClientId,
        address: SocketAddr,
        subscription: Subscription,
        effect: &mut impl FnMut(Effect<'_>),
    ) {
        self.forget_persons(now);
        let Subscription { channel: name, form, hears_self, name: wish, key, since } = subscription;
        let id = *self.by_name.get(&name).expect("the channel was opened");
        self.use_again(id);
        let member = self.member_for(id, address, form, wish.as_deref(), key.as_deref());
        let channel = &mut self.channels[id.index()];
        let mut is_new = false;
        if let (Some(room), Some((member, is_somebody_new))) = (&mut channel.room, &member) {
            effect(Effect::Worked(Chore::NamesCompared(room.names.take_compared())));
            is_new = *is_somebody_new;
            room.is_large |= is_new && room.person_count() >= MEMBERS_TOLD_SINGLY_MAX;
            if is_new && !room.is_large {
                // To those who are here already: the newcomer has its welcome.
                let (person, count) = (member.profile(), room.person_count() + 1);
                tell(channel, id, &RoomEvent::Joined { person, count }, effect);
            }
        }
        let index = self.channels[id.index()].add(form, client, member.map(|(member, _)| member));
        effect(Effect::Join { channel: id, form, client });
        let index = u32::try_from(index).expect("members are clients");
        *self.vacant_membership(client) = Membership::Member { channel: id, form, hears_self, index };
        self.welcome(client, since.as_ref(), effect);
        let is_counted = |room: &super::channel::Room| is_new && room.is_large;
        if self.channels[id.index()].room.as_deref().is_some_and(is_counted) {
            self.count(now, id, |counts| counts.joined += 1);
        }
    }

    /// Who comes into a room with a connection, and whether it is somebody new here: called as it wishes, if nobody
    /// else is called that.
    fn member_for(
        &mut self,
        id: ChannelId,
        address: SocketAddr,
        form: FormId,
        wish: Option<&str>,
        key: Option<&str>,
    ) -> Option<(Member, bool)> {
        let room = self.channels[id.index()].room.as_mut()?;
        let person = self.identities.arrive(key);
        if let Some(known) = room.find(person) {
            let mut member = known.clone();
            member.owner = Owner::of(address);
            return Some((member, false));
        }
        let name = room.names.take(person, wish);
        let guest = || format!("guest{}", person.0);
        let name = match self.forms.names_guests(form) {
            true => name.or_else(|| room.names.take(person, Some(&guest()))),
            false => name,
        };
        Some((Member::new(person, address, name.as_deref(), key.is_some()), true))
    }

    /// Tells a newcomer where it is, and what it has missed.
    fn welcome(&self, client: ClientId, since: Option<&(u64, String)>, effect: &mut impl FnMut(Effect<'_>)) {
        let Membership::Member { channel: id, form, index, .. } = self.membership(client) else { return };
        let channel = &self.channels[id.index()];
        let ChannelState::Open { epoch, head } = &channel.state else { return };
        let (Some(room), Some(member)) = (&channel.room, channel.member(form, index as usize)) else {
            return;
        };
        let (ChannelName::Room(name) | ChannelName::Topic(name)) = &channel.name;
        // What it is owed in one breath may wait beside its queue.
        let bytes_max = RESUME_BYTES_MAX.max(self.limits.outbox_bytes_max / 4 * 3);
        let measure = |missed: &Missed<'_>| missed.measure(&*self.forms, form);
        let since = since.filter(|_| self.forms.has_numbers(form));
        let missed = since
            .filter(|(_, since)| **epoch == **since)
            .and_then(|(since, _)| room.history.behind(*since, *head))
            .filter(|missed| fit(missed.iter().map(measure), bytes_max));
        let (members, more) = room.people();
        let welcome = Welcome {
            room: name,
            you: member.profile(),
            epoch: epoch.clone(),
            seq: *head,
            count: room.person_count(),
            members,
            more,
            recovered: since.map(|_| missed.is_some()),
            limits: LimitsTold {
                message_bytes: self.limits.message_bytes_max,
                unacknowledged: UNACKNOWLEDGED_MAX,
                rate: self.limits.rate,
                history: self.limits.history_messages_max,
            },
            rights: RIGHTS,
        };
        send(client, form, &Reply::Welcome(Box::new(welcome)), effect);
        for missed in missed.into_iter().flatten() {
            send(client, form, &Reply::Event(missed.event()), effect);
        }
    }
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
