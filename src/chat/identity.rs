//! Who speaks, and the people with a key: over all connections, and a while longer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::kept::{Kept, Owner, Receipt};
use super::refs::Refs;
use super::room_event::Profile;
use crate::clock::Time;
use crate::id::{ChannelId, PersonId};
use crate::secret::Secret;

/// A person with a key is known for so long after the last connection has gone.
const PERSON_KEPT: Duration = Duration::from_secs(600);
/// Memory that those take who have gone.
const PERSONS_BYTES_MAX: usize = 16 << 20;
/// So many are forgotten at once: it bounds the turn in which it happens.
const FORGOTTEN_AT_ONCE_MAX: usize = 2_048;
/// Rooms in which a person's name is held, the last ones.
const NAMES_HELD_MAX: usize = 8;
/// What one costs: itself, twice by hash, and the name that is held in a room.
const PERSON_BYTES: usize = 2 * (size_of::<(PersonId, KnownPerson)>() + size_of::<([u64; 2], PersonId)>());
const HELD_NAME_BYTES: usize = 256;

/// Somebody in a room, with all connections there.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: PersonId,
    /// Before `say:` and in the JSON form: `('IP', PORT)` or the name given.
    pub(super) who: Rc<str>,
    /// Who pays for what is kept.
    pub(super) owner: Owner,
    /// Connections here.
    pub(super) connections: u32,
    /// The place in the order of all.
    pub(super) position: u32,
    /// The length of the IP in `who`; zero if that is a name.
    ip_length: u8,
    /// Whether it has a key, and may have several connections.
    pub(super) has_key: bool,
}

impl Member {
    pub(super) fn new(id: PersonId, address: SocketAddr, name: Option<&str>, has_key: bool) -> Member {
        // A dual-stack listener shows IPv4 peers as `::ffff:a.b.c.d`; people know them without.
        let ip = address.ip().to_canonical().to_string();
        let (who, ip_length) = match name {
            Some(name) => (name.into(), 0),
            None => (format!("('{ip}', {})", address.port()).into(), ip.len()),
        };
        let ip_length = u8::try_from(ip_length).expect("an address is short");
        Member { id, who, owner: Owner::of(address), connections: 1, position: 0, ip_length, has_key }
    }

    /// In `Welcome` and `Logout`: the IP or the name given.
    pub(super) fn name(&self) -> &str {
        match usize::from(self.ip_length) {
            0 => &self.who,
            length => &self.who[2..2 + length],
        }
    }

    /// As the others see it.
    pub(super) fn profile(&self) -> Profile<'_> {
        Profile { id: self.id, who: &self.who, short: self.name() }
    }

    /// Whether it has chosen its name.
    pub(super) fn is_named(&self) -> bool {
        self.ip_length == 0
    }

    /// Calls it something else.
    pub(super) fn rename(&mut self, name: Rc<str>) {
        (self.who, self.ip_length) = (name, 0);
    }
}

/// A room, by its slot and its generation: the slot may be another's later.
pub(super) type RoomKey = (ChannelId, u64);

/// Everybody who has a key, and what people have said.
#[derive(Debug)]
pub(super) struct Identities {
    secret: Secret,
    last: u64,
    /// By two hashes of the key: a key is a secret, and may be long.
    by_key: HashMap<[u64; 2], PersonId>,
    known: HashMap<PersonId, KnownPerson>,
    /// Those who have gone.
    gone: Kept<PersonId>,
    pub(super) refs: Refs,
}

#[derive(Debug)]
struct KnownPerson {
    key: [u64; 2],
    connections: u32,
    /// Where the name is held, the last one last.
    held: Vec<RoomKey>,
    gone: Option<Receipt>,
}

impl Identities {
    pub(super) fn new(seed: u64) -> Identities {
        Identities {
            secret: Secret::new(seed, "keys"),
            last: 0,
            by_key: HashMap::new(),
            known: HashMap::new(),
            gone: Kept::default(),
            refs: Refs::new(Secret::new(seed, "refs")),
        }
    }

    /// A connection has come: somebody new, or a person who is known by the key.
    pub(super) fn arrive(&mut self, key: Option<&str>) -> PersonId {
        let key = key.map(|key| [self.secret.hash(key), Secret::hash(self.secret, &format!("{key} again"))]);
        if let Some(id) = key.and_then(|key| self.by_key.get(&key).copied()) {
            let person = self.known.get_mut(&id).expect("who has a key is known");
            person.connections += 1;
            if let Some(receipt) = person.gone.take() {
                self.gone.remove(receipt);
            }
            return id;
        }
        self.last += 1;
        let id = PersonId(self.last);
        if let Some(key) = key {
            self.by_key.insert(key, id);
            self.known.insert(id, KnownPerson { key, connections: 1, held: Vec::new(), gone: None });
        }
        id
    }

    /// A connection has gone.
    pub(super) fn leave(&mut self, now: Time, member: &Member) {
        let Some(person) = self.known.get_mut(&member.id) else {
            return self.refs.forget(member.id);
        };
        person.connections -= 1;
        if person.connections == 0 {
            let bytes = PERSON_BYTES + person.held.capacity().max(1) * HELD_NAME_BYTES;
            person.gone = Some(self.gone.add(member.id, member.owner, bytes, now + PERSON_KEPT));
        }
    }

    /// Notes that a person's name is held in a room; returns the room where it is held no more instead.
    pub(super) fn hold_name(&mut self, id: PersonId, room: RoomKey) -> Option<RoomKey> {
        let held = &mut self.known.get_mut(&id)?.held;
        held.retain(|other| *other != room);
        held.push(room);
        (held.len() > NAMES_HELD_MAX).then(|| held.remove(0))
    }

    /// Forgets those whose time is over, and those for whom there is no room: with where their names were held.
    pub(super) fn forget(&mut self, now: Time) -> Vec<(PersonId, Vec<RoomKey>)> {
        let mut gone = Vec::new();
        while gone.len() < FORGOTTEN_AT_ONCE_MAX
            && let Some(id) = self.gone.pop_due(now)
        {
            gone.push(id);
        }
        if self.gone.bytes() > PERSONS_BYTES_MAX {
            gone.extend(self.gone.evict(PERSONS_BYTES_MAX / 4 * 3, FORGOTTEN_AT_ONCE_MAX));
        }
        gone.into_iter()
            .map(|id| {
                let person = self.known.remove(&id).expect("who has gone is known");
                self.by_key.remove(&person.key);
                self.refs.forget(id);
                (id, person.held)
            })
            .collect()
    }

    /// Whether somebody has a key, and is known.
    pub(super) fn is_known(&self, id: PersonId) -> bool {
        self.known.contains_key(&id)
    }

    /// When the next one is forgotten.
    pub(super) fn due(&self) -> Time {
        self.gone.due()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn member(id: PersonId, address: &str) -> Member {
        Member::new(id, address.parse().expect("an address"), Some("a"), true)
    }

    #[test]
    fn a_quiet_member_is_small() {
        // Beside it, four bytes in the order of all, and four for each connection.
        assert!(size_of::<Member>() <= 48, "{}", size_of::<Member>());
    }

    #[test]
    fn a_person_with_a_key_is_known_for_a_while() {
        let mut persons = Identities::new(1);
        let at = Time::from_millis;
        let first = persons.arrive(Some("secret"));
        assert_eq!(first, persons.arrive(Some("secret")));
        assert_ne!(persons.arrive(None), persons.arrive(None), "without one, all differ");
        let alice = member(first, "10.0.0.1:1");
        let seq = NonZeroU64::new(120).expect("from one on");
        persons.refs.note(at(10), first, alice.owner, 7, seq);
        assert_eq!(persons.refs.find(first, 7), Some(seq));
        assert_eq!(persons.refs.find(first, 8), None, "another ref");
        for time in [10, 20] {
            persons.leave(at(time), &alice);
        }
        assert!(persons.forget(at(600_019)).is_empty());
        assert_eq!(persons.arrive(Some("secret")), first);
        assert_eq!(persons.refs.find(first, 7), Some(seq));
        persons.leave(at(700_000), &alice);
        assert!(persons.forget(at(1_299_999)).is_empty(), "its time began anew");
        assert_eq!(persons.forget(at(1_300_000)), [(first, vec![])]);
        assert_ne!(persons.arrive(Some("secret")), first, "forgotten");
        assert_eq!(persons.refs.find(first, 7), None);
    }

    #[test]
    fn a_name_is_held_in_the_last_rooms() {
        let mut persons = Identities::new(1);
        let id = persons.arrive(Some("secret"));
        let room = |number| (ChannelId::new(number), 0);
        for number in 0..NAMES_HELD_MAX {
            assert_eq!(persons.hold_name(id, room(number)), None);
        }
        assert_eq!(persons.hold_name(id, room(0)), None, "once each");
        assert_eq!(persons.hold_name(id, room(NAMES_HELD_MAX)), Some(room(1)));
        assert_eq!(persons.hold_name(PersonId(99), room(0)), None, "who has no key holds none");
    }

    /// A stranger who comes under ten thousand keys is forgotten before somebody else.
    #[test]
    fn over_the_budget_who_left_most_is_forgotten_first() {
        let mut persons = Identities::new(1);
        let visitor = persons.arrive(Some("visitor"));
        persons.leave(Time::default(), &member(visitor, "10.0.0.1:1"));
        let mut come = 0;
        let mut forgotten = Vec::new();
        while forgotten.is_empty() {
            come += 1;
            let id = persons.arrive(Some(&format!("key {come}")));
            persons.leave(Time::default(), &member(id, "10.0.0.2:1"));
            forgotten = persons.forget(Time::default());
            assert!(come < 100_000);
        }
        assert!(come > 10_000, "{come}");
        assert!(forgotten.iter().all(|(id, _)| *id != visitor));
        assert_eq!(forgotten[0].0, PersonId(visitor.0 + 1), "the oldest of who has most");
        assert!(persons.known.len() == persons.by_key.len() && persons.gone.len() == persons.known.len());
        assert_eq!(persons.arrive(Some("visitor")), visitor);
    }
}
