//! What people have added to a message: emoji, each with those who have added it.

use super::allocation::allocation;
use super::room_event::Reaction;
use crate::id::PersonId;

/// Different emoji on a message.
pub(super) const EMOJI_MAX: usize = 20;
/// Reactions to all messages of a room.
pub(super) const REACTIONS_MAX: usize = 10_000;

/// The emoji on a message, in the order in which they came.
///
/// Invariant: each has somebody who has added it, and nobody twice.
#[derive(Debug, Default)]
pub(super) struct Reactions(Vec<Reaction>);

impl Reactions {
    /// Adds what somebody adds, or takes it away; returns how many have added it.
    pub(super) fn set(&mut self, emoji: &str, person: PersonId, is_on: bool) -> usize {
        let index = self.0.iter().position(|reaction| *reaction.emoji == *emoji);
        let Some(index) = index else {
            if is_on {
                self.0.push(Reaction { emoji: emoji.into(), people: vec![person] });
            }
            return usize::from(is_on);
        };
        let people = &mut self.0[index].people;
        match people.iter().position(|other| *other == person) {
            Some(place) if !is_on => {
                people.remove(place);
            }
            None if is_on => people.push(person),
            _ => {}
        }
        let count = people.len();
        if count == 0 {
            self.0.remove(index);
        }
        count
    }

    pub(super) fn all(&self) -> &[Reaction] {
        &self.0
    }

    /// How many there are, of all people.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|reaction| reaction.people.len()).sum()
    }

    /// What their allocations take.
    pub(super) fn allocated(&self) -> usize {
        let of_each = |reaction: &Reaction| {
            allocation(reaction.emoji.len()) + allocation(reaction.people.capacity() * size_of::<PersonId>())
        };
        allocation(self.0.capacity() * size_of::<Reaction>()) + self.0.iter().map(of_each).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_what_nobody_has_added_is_gone() {
        let mut reactions = Reactions::default();
        // Who does what, and how many have added it then.
        for (emoji, person, is_on, wanted) in [
            ("👍", 1, true, 1),
            ("👍", 1, true, 1),
            ("👍", 2, true, 2),
            ("🎉", 1, true, 1),
            ("🎉", 2, false, 1),
            ("😀", 2, false, 0),
            ("👍", 1, false, 1),
            ("👍", 2, false, 0),
        ] {
            assert_eq!(reactions.set(emoji, PersonId(person), is_on), wanted, "{emoji} {person} {is_on}");
        }
        assert_eq!(reactions.all(), [Reaction { emoji: "🎉".into(), people: vec![PersonId(1)] }]);
        assert_eq!(reactions.count(), 1);
        reactions.set("🎉", PersonId(1), false);
        assert!(reactions.all().is_empty() && reactions.count() == 0);
    }
}
