//! What is kept of those who have gone, by whose it is: over a budget, whoever has most pays first.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};

use crate::clock::Time;

/// What one entry costs here: its place in the order of all, in that of its owner, and the owner.
const ENTRY_BYTES: usize = 256;

/// Who pays for what is kept: an IPv4 address, or a network of 64 bits, which is what one customer has in IPv6
/// (RFC 6177) and can choose addresses from at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner(u64);

impl Owner {
    /// Of what nobody has left.
    pub(super) const NOBODY: Owner = Owner(0);

    pub(super) fn of(address: SocketAddr) -> Owner {
        match address.ip().to_canonical() {
            // No network of IPv6 begins with 31 zeros and a one (RFC 4291 §2.4: 0000::/8 is reserved).
            IpAddr::V4(address) => Owner(1 << 32 | u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Owner(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// The place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Receipt(u64);

/// Things that are kept until a time, the first to come the first to go.
///
/// Invariant: the bytes are those of the entries, in all and by owner.
#[derive(Debug)]
pub(super) struct Kept<K> {
    entries: BTreeMap<Receipt, KeptEntry<K>>,
    owners: HashMap<Owner, Holding>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct KeptEntry<K> {
    key: K,
    owner: Owner,
    bytes: usize,
    due: Time,
}

/// What is kept for one owner.
#[derive(Debug, Default)]
struct Holding {
    bytes: usize,
    receipts: BTreeSet<Receipt>,
}

impl<K> Default for Kept<K> {
    fn default() -> Kept<K> {
        Kept { entries: BTreeMap::new(), owners: HashMap::new(), bytes: 0, last: 0 }
    }
}

impl<K> Kept<K> {
    /// Keeps something that takes so many bytes until `due`, which is never before that of an earlier one.
    pub(super) fn add(&mut self, key: K, owner: Owner, bytes: usize, due: Time) -> Receipt {
        self.last += 1;
        let (receipt, bytes) = (Receipt(self.last), bytes + ENTRY_BYTES);
        self.entries.insert(receipt, KeptEntry { key, owner, bytes, due });
        let holding = self.owners.entry(owner).or_default();
        holding.bytes += bytes;
        holding.receipts.insert(receipt);
        self.bytes += bytes;
        receipt
    }

    /// Takes out what is needed again.
    pub(super) fn remove(&mut self, receipt: Receipt) -> Option<K> {
        let entry = self.entries.remove(&receipt)?;
        self.bytes -= entry.bytes;
        let holding = self.owners.get_mut(&entry.owner).expect("who has an entry is an owner");
        holding.bytes -= entry.bytes;
        holding.receipts.remove(&receipt);
        if holding.receipts.is_empty() {
            self.owners.remove(&entry.owner);
        }
        Some(entry.key)
    }

    /// The next whose time has come.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<K> {
        let (&receipt, _) = self.entries.first_key_value().filter(|(_, entry)| entry.due <= now)?;
        self.remove(receipt)
    }

    /// When the next one's time comes.
    pub(super) fn due(&self) -> Time {
        self.entries.first_key_value().map_or(Time::NEVER, |(_, entry)| entry.due)
    }

    /// Gives up what is needed to take so many bytes at most, of whoever has most its oldest, and so many
    /// entries at once.
    pub(super) fn evict(&mut self, bytes_max: usize, entries_max: usize) -> Vec<K> {
        if self.bytes <= bytes_max {
            return Vec::new();
        }
        let mut richest: BinaryHeap<_> =
            self.owners.iter().map(|(owner, holding)| (holding.bytes, *owner)).collect();
        let mut gone = Vec::new();
        while self.bytes > bytes_max && gone.len() < entries_max {
            let Some((_, owner)) = richest.pop() else { break };
            let oldest = self.owners.get(&owner).and_then(|holding| holding.receipts.first().copied());
            gone.extend(oldest.and_then(|receipt| self.remove(receipt)));
            richest.extend(self.owners.get(&owner).map(|holding| (holding.bytes, owner)));
        }
        gone
    }

    /// Gives up the oldest of one owner until it takes so many bytes at most, and so many entries at once.
    pub(super) fn evict_of(&mut self, owner: Owner, bytes_max: usize, entries_max: usize) -> Vec<K> {
        let mut gone = Vec::new();
        while gone.len() < entries_max
            && let Some(holding) = self.owners.get(&owner).filter(|holding| holding.bytes > bytes_max)
        {
            let oldest = holding.receipts.first().copied();
            gone.extend(oldest.and_then(|receipt| self.remove(receipt)));
        }
        gone
    }

    /// What is kept for each owner, in bytes.
    pub(super) fn holdings(&self) -> impl Iterator<Item = (Owner, usize)> {
        self.owners.iter().map(|(owner, holding)| (*owner, holding.bytes))
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The level that makes these sizes, each cut down to it, take so much together: the largest pay, and the small
/// ones keep all they have.
pub(super) fn common_level(sizes: &[usize], bytes_max: usize) -> usize {
    let (mut low, mut high) = (0, sizes.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let total: usize = sizes.iter().map(|size| *size.min(&middle)).sum();
        if total <= bytes_max {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(address: &str) -> Owner {
        Owner::of(SocketAddr::new(address.parse().expect("an address"), 4242))
    }

    #[test]
    fn who_counts_as_one() {
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(owner(one) == owner(other), is_same, "{one} and {other}");
        }
    }

    #[test]
    fn over_a_budget_who_has_most_gives_the_oldest() {
        let mut kept = Kept::default();
        let (greedy, modest) = (owner("192.0.2.1"), owner("192.0.2.2"));
        kept.add("modest 1", modest, 1000, Time::from_millis(1));
        for name in ["greedy 1", "greedy 2", "greedy 3"] {
            kept.add(name, greedy, 1000, Time::from_millis(2));
        }
        let each = 1000 + ENTRY_BYTES;
        assert_eq!((kept.bytes(), kept.len()), (4 * each, 4));
        assert_eq!(kept.evict(4 * each, 100), Vec::<&str>::new());
        assert_eq!(kept.evict(2 * each, 100), ["greedy 1", "greedy 2"]);
        assert_eq!(kept.evict(0, 1).len(), 1, "a batch has an end");
        assert_eq!((kept.bytes(), kept.len(), kept.owners.len()), (each, 1, 1));
        kept.evict(0, 100);
        assert!(kept.owners.is_empty() && kept.bytes() == 0 && kept.due() == Time::NEVER);
    }

    #[test]
    fn one_owner_gives_its_oldest_and_the_others_keep_theirs() {
        let mut kept = Kept::default();
        let (one, other) = (owner("192.0.2.1"), owner("192.0.2.2"));
        for (name, owner) in [("1", one), ("a", other), ("2", one), ("3", one)] {
            kept.add(name, owner, 1000, Time::from_millis(1));
        }
        let each = 1000 + ENTRY_BYTES;
        assert_eq!(kept.evict_of(one, 3 * each, 100), Vec::<&str>::new());
        assert_eq!(kept.evict_of(one, each + 1, 1), ["1"], "a batch has an end");
        assert_eq!(kept.evict_of(one, each + 1, 100), ["2"]);
        assert_eq!(kept.evict_of(one, 0, 100), ["3"]);
        assert_eq!(kept.evict_of(one, 0, 100), Vec::<&str>::new());
        assert_eq!(kept.holdings().collect::<Vec<_>>(), [(other, each)]);
    }

    #[test]
    fn what_is_due_goes_and_what_was_taken_out_does_not_come_back() {
        let mut kept = Kept::default();
        let receipts =
            [1, 2, 3].map(|number| kept.add(number, owner("192.0.2.1"), 0, Time::from_millis(number)));
        assert_eq!((kept.remove(receipts[0]), kept.remove(receipts[0])), (Some(1), None));
        assert_eq!(kept.due(), Time::from_millis(2));
        assert_eq!((kept.pop_due(Time::from_millis(2)), kept.pop_due(Time::from_millis(2))), (Some(2), None));
    }

    #[test]
    fn the_largest_are_cut_to_a_common_level() {
        for (sizes, bytes_max, level) in [
            ([10, 20, 100].as_slice(), 130, 100),
            (&[10, 20, 100], 60, 30),
            (&[10, 20, 100], 30, 10),
            (&[100, 100], 3, 1),
            (&[], 5, 0),
        ] {
            assert_eq!(common_level(sizes, bytes_max), level, "{sizes:?} {bytes_max}");
        }
    }
}
