//! Who speaks: names, and what a person with a key has said, over all connections and a while longer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use unicode_normalization::UnicodeNormalization as _;

use super::ClientId;
use crate::clock::Time;

/// Names of people, in characters.
pub const NAME_CHARACTERS_MAX: usize = 32;
/// A person with a key is known for so long after the last connection has gone.
const PERSON_KEPT: Duration = Duration::from_secs(600);
/// So many of those who have gone are known.
const PERSONS_KEPT_MAX: usize = 10_000;
/// The last messages of a person that are known by their `ref`.
const REFS_MAX: usize = 64;

/// A person's number: it is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PersonId(pub(super) u64);

/// What a member is called.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    pub(super) id: PersonId,
    /// Before `say:` and in the JSON form: `('IP', PORT)` or the name given.
    pub(super) who: Rc<str>,
    /// In `Welcome` and `Logout`: the IP or the name given.
    pub(super) name: Rc<str>,
    /// Presented by those who are one person with several connections.
    pub(super) key: Option<Rc<str>>,
}

impl Voice {
    pub(super) fn new(id: PersonId, address: SocketAddr, name: Option<&str>, key: Option<Rc<str>>) -> Voice {
        // A dual-stack listener shows IPv4 peers as `::ffff:a.b.c.d`; people know them without.
        let ip = address.ip().to_canonical();
        match name {
            Some(name) => {
                let name: Rc<str> = name.into();
                Voice { id, who: Rc::clone(&name), name, key }
            }
            None => {
                let who = format!("('{ip}', {})", address.port());
                Voice { id, who: who.into(), name: ip.to_string().into(), key }
            }
        }
    }

    /// Whether it has chosen its name.
    pub(super) fn is_named(&self) -> bool {
        Rc::ptr_eq(&self.who, &self.name)
    }
}

/// What somebody has said, by `ref`: each with its room's epoch and its number there.
#[derive(Debug, Default)]
struct Refs(VecDeque<(Box<str>, u64, u64)>);

impl Refs {
    fn find(&self, reference: &str, epoch: u64) -> Option<u64> {
        self.0.iter().find(|(known, of, _)| &**known == reference && *of == epoch).map(|(_, _, seq)| *seq)
    }

    fn note(&mut self, reference: &str, epoch: u64, seq: u64) {
        if self.0.len() == REFS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((reference.into(), epoch, seq));
    }
}

/// Everybody who has a key, and what those without have said.
#[derive(Debug, Default)]
pub(super) struct Persons {
    last: u64,
    by_key: HashMap<Rc<str>, Person>,
    /// Those who have gone, the earliest first; some may be back.
    gone: VecDeque<(Time, Rc<str>)>,
    /// Of connections without a key that use `ref`.
    keyless: HashMap<ClientId, Refs>,
}

#[derive(Debug)]
struct Person {
    id: PersonId,
    connections: u32,
    gone_at: Time,
    refs: Refs,
}

impl Persons {
    /// A connection has come: somebody new, or a person who is known by the key.
    pub(super) fn arrive(&mut self, now: Time, key: Option<&str>) -> (PersonId, Option<Rc<str>>) {
        self.forget(now);
        if let Some((key, person)) = key.and_then(|key| self.by_key.get_key_value(key)) {
            let (key, id) = (Rc::clone(key), person.id);
            self.by_key.get_mut(&key).expect("just found").connections += 1;
            return (id, Some(key));
        }
        self.last += 1;
        let id = PersonId(self.last);
        let key: Option<Rc<str>> = key.map(Into::into);
        if let Some(key) = &key {
            let person = Person { id, connections: 1, gone_at: Time::NEVER, refs: Refs::default() };
            self.by_key.insert(Rc::clone(key), person);
        }
        (id, key)
    }

    /// A connection has gone.
    pub(super) fn leave(&mut self, now: Time, client: ClientId, key: Option<&Rc<str>>) {
        self.keyless.remove(&client);
        if let Some(key) = key
            && let Some(person) = self.by_key.get_mut(key)
        {
            person.connections -= 1;
            if person.connections == 0 {
                person.gone_at = now;
                self.gone.push_back((now, Rc::clone(key)));
            }
        }
        self.forget(now);
    }

    /// The number of what was said with this `ref` before, in the room of this epoch.
    pub(super) fn said(
        &self,
        client: ClientId,
        key: Option<&Rc<str>>,
        reference: &str,
        epoch: u64,
    ) -> Option<u64> {
        match key {
            Some(key) => self.by_key.get(key)?.refs.find(reference, epoch),
            None => self.keyless.get(&client)?.find(reference, epoch),
        }
    }

    /// Notes what was said with a `ref`.
    pub(super) fn note(
        &mut self,
        client: ClientId,
        key: Option<&Rc<str>>,
        reference: &str,
        epoch: u64,
        seq: u64,
    ) {
        let refs = match key {
            Some(key) => &mut self.by_key.get_mut(key).expect("who speaks is here").refs,
            None => self.keyless.entry(client).or_default(),
        };
        refs.note(reference, epoch, seq);
    }

    fn forget(&mut self, now: Time) {
        while let Some((gone_at, key)) = self.gone.front() {
            if self.gone.len() <= PERSONS_KEPT_MAX && *gone_at + PERSON_KEPT > now {
                return;
            }
            // Who has come back since has another entry, or none.
            if self
                .by_key
                .get(key)
                .is_some_and(|person| person.connections == 0 && person.gone_at == *gone_at)
            {
                self.by_key.remove(key);
            }
            self.gone.pop_front();
        }
    }
}

/// A person's name in its normal form, if it is one: anything that shows what it is. Control characters,
/// direction marks and invisible characters would let one person look like another.
pub fn name_of(text: &str) -> Option<String> {
    let name: String = text.nfc().collect();
    let is_hidden = |char: char| {
        char.is_control()
            || matches!(char,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFD}' | '\u{E0000}'..='\u{E0FFF}')
    };
    let is_blank = name.trim().is_empty() || name.trim() != name;
    let is_name = !is_blank && !name.chars().any(is_hidden) && name.chars().count() <= NAME_CHARACTERS_MAX;
    is_name.then_some(name)
}

/// The names of a room: each is taken once, whatever the case of its letters.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// With the number that is tried next for another one of that name.
    taken: HashMap<String, u32>,
}

impl Names {
    /// Takes a name, or the first of `name-2`, `name-3` … that is free.
    pub(super) fn take(&mut self, name: &str) -> String {
        let folded = name.to_lowercase();
        let Some(next) = self.taken.get_mut(&folded) else {
            self.taken.insert(folded, 2);
            return name.to_owned();
        };
        let mut number = *next;
        loop {
            let suffix = format!("-{number}");
            let kept = NAME_CHARACTERS_MAX - suffix.len();
            let other: String = name.chars().take(kept).chain(suffix.chars()).collect();
            number += 1;
            let other_folded = other.to_lowercase();
            if !self.taken.contains_key(&other_folded) {
                self.taken.insert(folded, number);
                self.taken.insert(other_folded, 2);
                return other;
            }
        }
    }

    /// Gives a name back.
    pub(super) fn free(&mut self, name: &str) {
        self.taken.remove(&name.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once() {
        let mut names = Names::default();
        let taken: Vec<String> =
            ["alice", "Alice", "bob", "alice", "alice-2"].map(|name| names.take(name)).into();
        assert_eq!(taken, ["alice", "Alice-2", "bob", "alice-3", "alice-2-2"]);
        names.free("alice");
        assert_eq!(names.take("ALICE"), "ALICE");
        let long = "é".repeat(32);
        assert_eq!(names.take(&long), long);
        let second = names.take(&long);
        assert!(second.ends_with("é-2") && second.chars().count() == 32, "{second}");
    }

    #[test]
    fn a_person_with_a_key_is_known_for_a_while() {
        let mut persons = Persons::default();
        let (at, client) = (Time::from_millis, ClientId::new(3));
        let (first, key) = persons.arrive(at(0), Some("secret"));
        let (second, _) = persons.arrive(at(1), Some("secret"));
        assert_eq!(first, second);
        assert_ne!(persons.arrive(at(1), None).0, persons.arrive(at(1), None).0, "without one, all differ");
        persons.note(client, key.as_ref(), "a", 7, 120);
        assert_eq!(persons.said(client, key.as_ref(), "a", 7), Some(120));
        assert_eq!(persons.said(client, key.as_ref(), "a", 8), None, "another room");
        for time in [10, 20] {
            persons.leave(at(time), client, key.as_ref());
        }
        let (third, key) = persons.arrive(at(600_000), Some("secret"));
        assert_eq!((third, persons.said(client, key.as_ref(), "a", 7)), (first, Some(120)));
        persons.leave(at(700_000), client, key.as_ref());
        assert_ne!(persons.arrive(at(1_300_000), Some("secret")).0, first, "forgotten");
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let mut persons = Persons::default();
        for number in 0..PERSONS_KEPT_MAX + 100 {
            let (_, key) = persons.arrive(Time::default(), Some(&format!("key {number}")));
            persons.leave(Time::default(), ClientId::new(0), key.as_ref());
        }
        assert_eq!((persons.by_key.len(), persons.gone.len()), (PERSONS_KEPT_MAX, PERSONS_KEPT_MAX));
        let client = ClientId::new(1);
        (0..1_000).for_each(|number| persons.note(client, None, &number.to_string(), 1, number));
        assert_eq!(persons.said(client, None, "999", 1), Some(999));
        assert_eq!(persons.said(client, None, "900", 1), None, "only the last ones");
        persons.leave(Time::default(), client, None);
        assert!(persons.keyless.is_empty());
    }

    #[test]
    fn names() {
        for (text, wanted) in [
            ("alice", Some("alice")),
            ("e\u{301}", Some("é")),
            ("你好 大家", Some("你好 大家")),
            ("", None),
            (" a", None),
            ("a\u{202e}b", None),
            ("a\u{200b}b", None),
            ("a\nb", None),
        ] {
            assert_eq!(name_of(text).as_deref(), wanted, "{text:?}");
        }
        assert!(name_of(&"x".repeat(32)).is_some() && name_of(&"x".repeat(33)).is_none());
    }
}
