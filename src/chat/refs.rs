//! What was said with a `ref`, so that it is not said twice: for each person a window of time and of numbers.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash as _, Hasher};
use std::num::NonZeroU64;
use std::time::Duration;

use super::kept::{Owner, common_level};
use crate::clock::Time;
use crate::id::PersonId;
use crate::secret::Secret;

/// What a client may have said without having heard an acknowledgement; `welcome` tells it.
pub(super) const UNACKNOWLEDGED_MAX: usize = 500;
/// The last of a person that are known: as many as ten connections may have under way.
const REFS_MAX: usize = 10 * UNACKNOWLEDGED_MAX;
/// For so long: nobody who reconnects takes longer to say it again.
const REF_KEPT: Duration = Duration::from_secs(600);
/// Memory that all windows take together.
const BYTES_MAX: usize = 32 << 20;
/// In the table (8 bytes each for hash and number, one for the table itself, filled to seven eighths), and in the order.
const TABLE_ENTRY_BYTES: usize = 20;
const ORDER_ENTRY_BYTES: usize = size_of::<(u64, u32)>();

/// Everybody's windows.
#[derive(Debug)]
pub(super) struct Refs {
    secret: Secret,
    windows: HashMap<PersonId, Window>,
    bytes: usize,
    bytes_max: usize,
}

/// What one person has said, by the hash of room and `ref`: its number there.
///
/// Invariant: the table holds what is in the order, and nothing else.
#[derive(Debug)]
struct Window {
    owner: Owner,
    numbers: HashMap<u64, NonZeroU64, BuildHasherDefault<Hashed>>,
    /// With the second in which it was said, the oldest first.
    order: VecDeque<(u64, u32)>,
}

/// Takes hashes as they are.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a hash is one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Refs {
    pub(super) fn new(secret: Secret) -> Refs {
        Refs { secret, windows: HashMap::new(), bytes: 0, bytes_max: BYTES_MAX }
    }

    /// The number of what this person said with the `ref` of this hash before.
    pub(super) fn find(&self, id: PersonId, hash: u64) -> Option<NonZeroU64> {
        self.windows.get(&id)?.numbers.get(&hash).copied()
    }

    /// Notes what was said with a `ref`.
    pub(super) fn note(&mut self, now: Time, id: PersonId, owner: Owner, hash: u64, seq: NonZeroU64) {
        let before = self.windows.get(&id).map_or(0, Window::bytes);
        let window = self.windows.entry(id).or_insert_with(|| Window {
            owner,
            numbers: HashMap::default(),
            order: VecDeque::new(),
        });
        let second = seconds(now.since(Time::default()));
        let too_old = second.saturating_sub(seconds(REF_KEPT));
        while window.order.front().is_some_and(|(_, said)| *said < too_old || window.order.len() >= REFS_MAX)
        {
            window.forget_oldest();
        }
        window.numbers.insert(hash, seq);
        window.order.push_back((hash, second));
        self.bytes = self.bytes + window.bytes() - before;
        self.limit();
    }

    /// Forgets all that somebody has said.
    pub(super) fn forget(&mut self, id: PersonId) {
        if let Some(window) = self.windows.remove(&id) {
            self.bytes -= window.bytes();
        }
    }

    /// What a `ref` is known by in the channel of this generation. Keyed, so that nobody can choose two that are one.
    pub(super) fn hash(&self, reference: &str, generation: u64) -> u64 {
        let mut hasher = self.secret.hasher();
        generation.hash(&mut hasher);
        reference.hash(&mut hasher);
        hasher.finish()
    }

    /// Over the budget, whoever has most keeps half of it, the younger half: down to three quarters in all.
    fn limit(&mut self) {
        if self.bytes <= self.bytes_max {
            return;
        }
        let mut owners: HashMap<Owner, (usize, Vec<PersonId>)> = HashMap::new();
        for (id, window) in &self.windows {
            let (bytes, ids) = owners.entry(window.owner).or_default();
            *bytes += window.bytes();
            ids.push(*id);
        }
        let mut owners: Vec<_> = owners.into_values().collect();
        owners.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        // The owners' totals come down to a common level, and then within each the persons' windows.
        let totals: Vec<usize> = owners.iter().map(|(bytes, _)| *bytes).collect();
        let level = common_level(&totals, self.bytes_max / 4 * 3);
        for (_, ids) in owners.into_iter().take_while(|(bytes, _)| *bytes > level) {
            let sizes: Vec<usize> = ids.iter().map(|id| self.windows[id].bytes()).collect();
            let level = common_level(&sizes, level);
            for id in ids {
                let window = self.windows.get_mut(&id).expect("just listed");
                self.bytes -= window.bytes();
                window.shrink(level);
                self.bytes += window.bytes();
            }
        }
    }
}

impl Window {
    fn bytes(&self) -> usize {
        size_of::<Window>()
            + self.numbers.capacity() * TABLE_ENTRY_BYTES
            + self.order.capacity() * ORDER_ENTRY_BYTES
    }

    fn forget_oldest(&mut self) {
        if let Some((hash, _)) = self.order.pop_front() {
            self.numbers.remove(&hash);
        }
    }

    /// Forgets the oldest until it takes so many bytes. Tables have sizes of powers of two: it may be half of it.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes() > bytes_max && !self.order.is_empty() {
            let kept = self.order.len() / 2;
            while self.order.len() > kept {
                self.forget_oldest();
            }
            self.numbers.shrink_to_fit();
            self.order.shrink_to_fit();
        }
    }
}

/// Whole seconds; a server runs for less than 136 years.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: u64 = 7;

    fn refs(bytes_max: usize) -> Refs {
        Refs { bytes_max, ..Refs::new(Secret::new(1, "refs")) }
    }

    fn owner(last: u8) -> Owner {
        Owner::of(std::net::SocketAddr::from(([10, 0, 0, last], 1)))
    }

    fn say(refs: &mut Refs, now: Time, id: PersonId, owner: Owner, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| {
            let hash = refs.hash(&format!("{}-{number}", id.0), GENERATION);
            refs.note(now, id, owner, hash, NonZeroU64::MIN.saturating_add(number));
        });
    }

    fn known(refs: &Refs, id: PersonId, numbers: std::ops::Range<u64>) -> usize {
        let is_known = |number: &u64| {
            let hash = refs.hash(&format!("{}-{number}", id.0), GENERATION);
            refs.find(id, hash).map(NonZeroU64::get) == Some(number + 1)
        };
        numbers.filter(is_known).count()
    }

    #[test]
    fn the_last_thousands_of_the_last_minutes_are_known() {
        let mut refs = refs(BYTES_MAX);
        let (id, at) = (PersonId(1), |second: u64| Time::from_millis(second * 1000));
        say(&mut refs, at(0), id, owner(1), 0..5_000);
        assert_eq!(known(&refs, id, 0..5_000), 5_000);
        say(&mut refs, at(1), id, owner(1), 5_000..5_010);
        assert_eq!((known(&refs, id, 0..10), known(&refs, id, 10..5_010)), (0, 5_000));
        say(&mut refs, at(600), id, owner(1), 6_000..6_001);
        assert_eq!(known(&refs, id, 11..5_010), 4_999, "ten minutes are not over");
        say(&mut refs, at(602), id, owner(1), 6_001..6_002);
        assert_eq!(known(&refs, id, 0..6_000), 0, "now they are");
        assert_eq!(known(&refs, id, 6_000..6_002), 2);
        assert_eq!(refs.find(PersonId(2), refs.hash("1-6000", GENERATION)), None, "somebody else");
        assert_eq!(refs.find(id, refs.hash("1-6000", GENERATION + 1)), None, "another room");
        refs.forget(id);
        assert_eq!((refs.bytes, refs.windows.len()), (0, 0));
    }

    #[test]
    fn over_the_budget_who_has_most_loses_the_oldest() {
        let mut refs = refs(1 << 20);
        let modest = PersonId(0);
        say(&mut refs, Time::default(), modest, owner(1), 0..70);
        for id in 1..100 {
            say(&mut refs, Time::default(), PersonId(id), owner(2), 0..5_000);
            assert!(refs.bytes <= 1 << 20, "{}", refs.bytes);
        }
        assert_eq!(known(&refs, modest, 0..70), 70);
        assert_eq!(known(&refs, PersonId(99), 4_500..5_000), 500, "the youngest stay");
        assert!(known(&refs, PersonId(1), 0..5_000) < 1_000);
        let counted: usize = refs.windows.values().map(Window::bytes).sum();
        assert_eq!(refs.bytes, counted);
        for window in refs.windows.values() {
            assert_eq!(window.numbers.len(), window.order.len());
        }
    }
}
