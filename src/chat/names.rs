//! The names of a room: each is taken once, and so is all that looks like it.

use std::collections::HashMap;
use std::rc::Rc;

use super::name_rules::{NAME_CHARACTERS_MAX, NAME_WORK, looks};
use crate::id::PersonId;
use crate::secret::Secret;

/// So many numbers are tried one after the other; then each is twice the last, so that a name which thousands
/// bear is found room for in a few steps.
const TRIES_IN_ORDER: u32 = 16;
/// So many are tried in all. Which they are everybody knows, and can take them; the number behind them nobody
/// can foresee.
const TRIES_MAX: u32 = 32;
/// What is left of a hash, for a number of 13 digits at most.
const UNFORESEEN_BITS: u32 = 40;

/// Who is called what.
///
/// Invariant: what is taken by somebody is what its name looks like. It is worked out once, when the name is
/// taken, since that is far slower than to look it up.
#[derive(Debug)]
pub(super) struct Names {
    secret: Secret,
    /// By what it looks like, hashed: the text is at its bearer's.
    taken: HashMap<u64, Taken>,
    /// What the name of each looks like, in the two ways.
    looks: HashMap<PersonId, [u64; 2]>,
    /// Of people with a key who have gone: nobody else is called that until they are forgotten.
    held: HashMap<PersonId, Rc<str>>,
    /// How often nothing but an unforeseen number was left: the next one differs.
    unforeseen: u64,
    /// What it took to work out what names look like, since somebody asked.
    compared: usize,
}

/// Who has a name, and the number that is tried next for another one of that name.
#[derive(Debug)]
struct Taken {
    by: PersonId,
    next: u32,
}

impl Names {
    pub(super) fn new(secret: Secret) -> Names {
        Names {
            secret,
            taken: HashMap::new(),
            looks: HashMap::new(),
            held: HashMap::new(),
            unforeseen: 0,
            compared: 0,
        }
    }

    /// Takes a name for somebody who has none here: the one that is asked for, or the one that was held for it, or
    /// one of `name-2`, `name-3` … that is free. Who asks for none gets the one that was held.
    pub(super) fn take(&mut self, id: PersonId, wish: Option<&str>) -> Option<Rc<str>> {
        let held = self.held.remove(&id);
        let Some(wish) = wish else { return held };
        if let Some(held) = held.as_ref().filter(|held| ***held == *wish) {
            return Some(Rc::clone(held));
        }
        let keys = self.keys(wish);
        if self.is_free(id, &keys) {
            self.free(id);
            self.insert(id, keys);
            return Some(wish.into());
        }
        Some(held.unwrap_or_else(|| self.take_numbered(id, wish, keys)))
    }

    /// Takes a name with a number, for somebody whose wish is taken.
    fn take_numbered(&mut self, id: PersonId, wish: &str, keys: [u64; 2]) -> Rc<str> {
        let first = keys.iter().filter_map(|key| self.taken.get(key)).map(|taken| taken.next).max();
        let mut number = first.unwrap_or(2);
        for tries in 0..TRIES_MAX {
            if let Some(name) = self.try_number(id, wish, number.into()) {
                for key in keys {
                    self.taken.entry(key).and_modify(|taken| taken.next = number.saturating_add(1));
                }
                return name;
            }
            let next = if tries < TRIES_IN_ORDER { number.checked_add(1) } else { number.checked_mul(2) };
            let Some(next) = next else { break };
            number = next;
        }
        self.unforeseen += 1;
        let hash = self.secret.hash(&format!("number {}", self.unforeseen));
        let start = hash >> (u64::BITS - UNFORESEEN_BITS);
        // One is free: they are more than what is taken, and no two look alike.
        (start..=start + self.taken.len() as u64)
            .find_map(|number| self.try_number(id, wish, number))
            .expect("there are more numbers than names")
    }

    /// Takes a name with this number, if it is free.
    fn try_number(&mut self, id: PersonId, wish: &str, number: u64) -> Option<Rc<str>> {
        let name = numbered(wish, number);
        let keys = self.keys(&name);
        let is_free = self.is_free(id, &keys);
        is_free.then(|| {
            self.insert(id, keys);
            name.into()
        })
    }

    /// Gives somebody's name back, if it has one.
    pub(super) fn free(&mut self, id: PersonId) {
        for key in self.looks.remove(&id).into_iter().flatten() {
            if self.taken.get(&key).is_some_and(|taken| taken.by == id) {
                self.taken.remove(&key);
            }
        }
    }

    /// Keeps the name of somebody who has gone.
    pub(super) fn hold(&mut self, id: PersonId, name: Rc<str>) {
        self.held.insert(id, name);
    }

    /// Gives back what was held for somebody.
    pub(super) fn release(&mut self, id: PersonId) {
        if self.held.remove(&id).is_some() {
            self.free(id);
        }
    }

    /// Names that are held for people who have gone.
    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// What it took to work out what names look like, since this was asked last; in names of ASCII.
    pub(super) fn take_compared(&mut self) -> usize {
        std::mem::take(&mut self.compared)
    }

    /// What a name looks like, in two ways: nearly always the same.
    fn keys(&mut self, name: &str) -> [u64; 2] {
        self.compared += if name.is_ascii() { 1 } else { NAME_WORK };
        looks(name).map(|look| self.secret.hash(&look))
    }

    fn is_free(&self, id: PersonId, keys: &[u64; 2]) -> bool {
        keys.iter().all(|key| self.taken.get(key).is_none_or(|taken| taken.by == id))
    }

    fn insert(&mut self, id: PersonId, keys: [u64; 2]) {
        for key in keys {
            self.taken.entry(key).or_insert(Taken { by: id, next: 2 });
        }
        self.looks.insert(id, keys);
    }
}

/// A name with a number behind it, cut where it would be too long.
fn numbered(name: &str, number: u64) -> String {
    let suffix = format!("-{number}");
    let kept = NAME_CHARACTERS_MAX - suffix.len();
    match name.char_indices().nth(kept) {
        None => format!("{name}{suffix}"),
        // What is left of a joined emoji that was cut must not be invisible.
        Some((end, _)) => format!("{}{suffix}", name[..end].trim_end_matches(is_joint)),
    }
}

/// Whether a character joins others, and does not show by itself.
fn is_joint(char: char) -> bool {
    matches!(char, '\u{200D}' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(Secret::new(1, "names"))
    }

    #[test]
    fn a_name_is_taken_once_and_so_is_what_looks_like_it() {
        let mut names = names();
        for (id, (wish, wanted)) in (1..).zip([
            ("alice", "alice"),
            ("Alice", "Alice-2"),
            ("bob", "bob"),
            ("alice", "alice-3"),
            ("alice-2", "alice-2-2"),
            ("aIice", "aIice-4"),
            ("ａｌｉｃｅ", "ａｌｉｃｅ-5"),
            ("coco", "coco"),
            ("сосо", "сосо-2"),
            ("0scar", "0scar"),
            ("Oscar", "Oscar-2"),
            ("вова", "вова"),
            ("ВОВА", "ВОВА-2"),
            ("👍", "👍"),
            ("👍🏽", "👍🏽"),
            ("❤", "❤"),
            ("❤\u{fe0f}", "❤\u{fe0f}-2"),
        ]) {
            let taken = names.take(PersonId(id), Some(wish));
            assert_eq!(taken.as_deref(), Some(wanted), "{wish}");
        }
        names.free(PersonId(1));
        assert_eq!(names.take(PersonId(100), Some("ALICE")).as_deref(), Some("ALICE"));
        let long = "é".repeat(32);
        assert_eq!(names.take(PersonId(101), Some(&long)).as_deref(), Some(&*long));
        let second = names.take(PersonId(102), Some(&long)).expect("another");
        assert!(second.ends_with("é-2") && second.chars().count() == 32, "{second}");
    }

    #[test]
    fn what_is_held_is_had_again_by_its_own_and_by_nobody_else() {
        let mut names = names();
        let (alice, other, id) = (PersonId(1), PersonId(2), PersonId);
        let mut take = |id, wish| names.take(id, wish).as_deref().map(str::to_owned);
        assert_eq!(take(alice, Some("alice")).as_deref(), Some("alice"));
        assert_eq!(take(other, Some("alice")).as_deref(), Some("alice-2"));
        names.hold(alice, "alice".into());
        names.hold(other, "alice-2".into());
        let mut take = |id, wish| names.take(id, wish).as_deref().map(str::to_owned);
        assert_eq!(take(id(3), Some("alice")).as_deref(), Some("alice-3"), "held");
        assert_eq!(
            take(other, Some("Alice")).as_deref(),
            Some("alice-2"),
            "its own, since the wish is not free"
        );
        assert_eq!(take(alice, None).as_deref(), Some("alice"));
        assert_eq!(take(id(4), None), None);
        names.hold(alice, "alice".into());
        assert_eq!(names.take(alice, Some("zoe")).as_deref(), Some("zoe"));
        assert_eq!(names.take(id(5), Some("alice")).as_deref(), Some("alice"), "given up for another");
        names.hold(alice, "zoe".into());
        names.release(alice);
        assert_eq!(names.take(id(6), Some("zoe")).as_deref(), Some("zoe"));
        names.free(id(7));
        assert_eq!(
            names.take(id(8), Some("zoe")).as_deref(),
            Some("zoe-2"),
            "only whose it is gives it back"
        );
    }

    #[test]
    fn a_name_of_thousands_is_found_room_for_in_a_few_steps() {
        let mut names = names();
        for id in 0..5_000 {
            let wanted = if id == 0 { "x".to_owned() } else { format!("x-{}", id + 1) };
            assert_eq!(names.take(PersonId(id), Some("x")).as_deref(), Some(&*wanted));
        }
        // The first one goes, and with it what it knew of the others.
        names.free(PersonId(0));
        names.take(PersonId(5_000), Some("x"));
        let next = names.take(PersonId(5_001), Some("x")).expect("a name");
        assert_eq!(&*next, "x-9216", "the numbers grow until one is free");
        assert_eq!(names.take(PersonId(5_002), Some("x")).as_deref(), Some("x-9217"));
    }

    /// The numbers that are tried are known, so a stranger can take all of them. The next one is found room for
    /// all the same, in as few steps, by somebody who holds a name or not.
    #[test]
    fn who_takes_all_numbers_that_are_tried_does_not_stop_the_next_one() {
        let mut tried: Vec<u64> = (2..=18).collect();
        tried.extend((1..).map(|power| 18 << power).take_while(|number| *number <= u64::from(u32::MAX)));
        tried.push(u32::MAX.into());
        for (name, has_held) in [("x", false), ("x", true), (&*"é".repeat(32), false), ("guest7", false)] {
            let mut names = names();
            names.take(PersonId(0), Some(name));
            for (id, number) in (1..).zip(&tried) {
                let prepared = numbered(name, *number);
                assert_eq!(names.take(PersonId(id), Some(&prepared)).as_deref(), Some(&*prepared));
                if has_held {
                    names.hold(PersonId(id), prepared.into());
                }
            }
            names.take_compared();
            let mut found = std::collections::HashSet::new();
            for id in 100..200 {
                let taken = names.take(PersonId(id), Some(name)).expect("a name");
                assert!(taken.chars().count() <= NAME_CHARACTERS_MAX, "{taken}");
                assert!(found.insert(taken));
                let each = if name.is_ascii() { 1 } else { NAME_WORK };
                assert!(names.take_compared() <= 34 * each, "{name}");
            }
        }
    }

    /// The last number that is counted to is no end.
    #[test]
    fn numbers_that_have_come_to_their_end_are_followed_by_others() {
        let mut names = names();
        let key = names.keys("x")[0];
        names.take(PersonId(0), Some("x"));
        names.taken.get_mut(&key).expect("taken").next = u32::MAX;
        for id in 1..4 {
            let taken = names.take(PersonId(id), Some("x")).expect("a name");
            assert_eq!(&*taken == "x-4294967295", id == 1, "{taken}");
        }
    }

    #[test]
    fn a_name_is_looked_at_when_it_is_taken_and_not_when_it_goes() {
        let mut names = names();
        names.take(PersonId(1), Some("alice"));
        assert_eq!(names.take_compared(), 1);
        names.hold(PersonId(1), "alice".into());
        names.take(PersonId(1), None);
        names.hold(PersonId(1), "alice".into());
        names.release(PersonId(1));
        assert_eq!(names.take_compared(), 0);
        assert_eq!(names.take(PersonId(2), Some("Alice")).as_deref(), Some("Alice"));
        names.free(PersonId(2));
        assert_eq!(names.take_compared(), 1, "the second one's");
        names.take(PersonId(3), Some("älice"));
        names.free(PersonId(3));
        assert_eq!(names.take_compared(), NAME_WORK);
        assert!(names.taken.is_empty() && names.looks.is_empty() && names.held.is_empty());
    }
}
