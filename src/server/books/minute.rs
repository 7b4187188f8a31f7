//! What has happened in the last minute: by how much each count has grown. What is kept for that are the counts of each
//! five seconds of a minute; there are some fifty, by names that are known before.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Time;

/// What is counted: its kind, and which of it.
pub(crate) type Name = (&'static str, &'static str);
/// All counts, since the start.
pub(crate) type Counts = BTreeMap<Name, u64>;

/// From one set of counts to the next.
const STEP: Duration = Duration::from_secs(5);
/// With so many of them the oldest is of a minute ago, or of five seconds more.
const KEPT_MAX: usize = 13;

/// The counts of a minute.
#[derive(Debug, Default)]
pub(crate) struct Minute {
    /// The oldest first.
    kept: VecDeque<Counts>,
    /// When the last one was.
    last: Time,
}

impl Minute {
    /// Keeps the counts of now, if it is time for that.
    pub(crate) fn note(&mut self, now: Time, counts: &Counts) {
        if !self.kept.is_empty() && now.since(self.last) < STEP {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(counts.clone());
        self.last = now;
    }

    /// By how much one of these counts has grown.
    pub(crate) fn grown(&self, counts: &Counts, name: Name) -> u64 {
        // Before the first were kept nothing had happened.
        let before = self.kept.front().filter(|_| self.kept.len() == KEPT_MAX);
        let of = |counts: &Counts| counts.get(&name).copied().unwrap_or(0);
        of(counts).saturating_sub(before.map_or(0, of))
    }

    /// The same of each of a kind.
    pub(crate) fn growth<'a>(
        &'a self,
        counts: &'a Counts,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'static str, u64)> + 'a {
        let names = counts.keys().filter(move |(of, _)| *of == kind);
        names.map(|name| (name.1, self.grown(counts, *name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Name = ("refused", "full");

    #[test]
    fn the_last_minute_is_what_has_grown_since() {
        let mut minute = Minute::default();
        for second in 0..300 {
            let count = if second < 100 { 2 } else { 9 };
            let counts = Counts::from([(FULL, count), (("closed", "1000"), 1)]);
            minute.note(Time::from_millis(second * 1_000), &counts);
            let wanted = match second {
                0..60 => 2,
                100..=160 => 7,
                _ => 0,
            };
            // It is five seconds exact.
            if second % 5 == 4 {
                assert_eq!(minute.grown(&counts, FULL), wanted, "after {second} s");
                let growth: Vec<_> = minute.growth(&counts, "refused").collect();
                assert_eq!(growth, [("full", wanted)], "each that was ever counted is named");
            }
        }
        assert_eq!(minute.kept.len(), KEPT_MAX);
    }
}
