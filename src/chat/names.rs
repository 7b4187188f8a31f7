//! The names of a room: each is taken once, and so is all that looks like it.

use std::collections::HashMap;
use std::rc::Rc;

use super::identity::{NAME_CHARACTERS_MAX, looks};
use super::person::PersonId;
use super::secret::Secret;

/// So many numbers are tried one after the other; then each is twice the last, so that a name which thousands
/// bear is found room for in a few steps.
const TRIES_IN_ORDER: u32 = 16;

/// Who is called what.
#[derive(Debug)]
pub(super) struct Names {
    secret: Secret,
    /// By what it looks like, hashed: the text is at its bearer's.
    taken: HashMap<u64, Taken>,
    /// Of people with a key who have gone: nobody else is called that until they are forgotten.
    held: HashMap<PersonId, Rc<str>>,
}

/// Who has a name, and the number that is tried next for another one of that name.
#[derive(Debug)]
struct Taken {
    by: PersonId,
    next: u32,
}

impl Names {
    pub(super) fn new(secret: Secret) -> Names {
        Names { secret, taken: HashMap::new(), held: HashMap::new() }
    }

    /// Takes a name for somebody who has none here: the one that is asked for, or the one that was held for it, or
    /// the first of `name-2`, `name-3` … that is free. Who asks for none gets the one that was held.
    pub(super) fn take(&mut self, id: PersonId, wish: Option<&str>) -> Option<Rc<str>> {
        let held = self.held.remove(&id);
        let wish = match (wish, held) {
            (None, held) => return held,
            (Some(wish), Some(held)) if *wish == *held => return Some(held),
            (Some(wish), Some(held)) if !self.is_free(id, &self.keys(wish)) => {
                return Some(held);
            }
            (Some(wish), held) => {
                held.inspect(|held| self.free(id, held));
                wish
            }
        };
        let keys = self.keys(wish);
        if self.is_free(id, &keys) {
            self.insert(id, keys);
            return Some(wish.into());
        }
        let mut number = keys.iter().filter_map(|key| self.taken.get(key)).map(|taken| taken.next).max()?;
        for tries in 0_u32.. {
            let suffix = format!("-{number}");
            let kept = NAME_CHARACTERS_MAX - suffix.len();
            let other = match wish.char_indices().nth(kept) {
                None => format!("{wish}{suffix}"),
                // What is left of a joined emoji that was cut must not be invisible.
                Some((end, _)) => format!("{}{suffix}", wish[..end].trim_end_matches(is_joint)),
            };
            let other_keys = self.keys(&other);
            if self.is_free(id, &other_keys) {
                for key in keys {
                    self.taken.entry(key).and_modify(|taken| taken.next = number + 1);
                }
                self.insert(id, other_keys);
                return Some(other.into());
            }
            number = if tries < TRIES_IN_ORDER { number + 1 } else { number.saturating_mul(2) };
        }
        unreachable!("there are more numbers than people")
    }

    /// Gives a name back.
    pub(super) fn free(&mut self, id: PersonId, name: &str) {
        for key in self.keys(name) {
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
        if let Some(name) = self.held.remove(&id) {
            self.free(id, &name);
        }
    }

    /// Names that are held for people who have gone.
    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// What a name looks like, in two ways: nearly always the same.
    fn keys(&self, name: &str) -> [u64; 2] {
        looks(name).map(|look| self.secret.hash(&look))
    }

    fn is_free(&self, id: PersonId, keys: &[u64; 2]) -> bool {
        keys.iter().all(|key| self.taken.get(key).is_none_or(|taken| taken.by == id))
    }

    fn insert(&mut self, id: PersonId, keys: [u64; 2]) {
        for key in keys {
            self.taken.entry(key).or_insert(Taken { by: id, next: 2 });
        }
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
        names.free(PersonId(1), "alice");
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
        names.free(id(7), "zoe");
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
        names.free(PersonId(0), "x");
        names.take(PersonId(5_000), Some("x"));
        let next = names.take(PersonId(5_001), Some("x")).expect("a name");
        assert_eq!(&*next, "x-9216", "the numbers grow until one is free");
        assert_eq!(names.take(PersonId(5_002), Some("x")).as_deref(), Some("x-9217"));
    }
}
