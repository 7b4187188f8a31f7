//! What happened lately that an operator asks for: the last fifty, each with when and how often. What goes on counts
//! as one, so that a flood of one kind leaves the others there.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Now, Time};

/// So many are kept.
const INCIDENTS_MAX: usize = 50;
/// What happens again within this time goes on.
const PAUSE: Duration = Duration::from_secs(60);

/// Something that happened, once or many times.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// What kind, and which of it: names of reports.
    pub(crate) kind: &'static str,
    pub(crate) what: &'static str,
    pub(crate) count: u64,
    /// Who did it the first time, if it was a client.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) text: String,
    last: Time,
}

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// The oldest first.
    kept: VecDeque<Incident>,
}

impl Incidents {
    /// Notes something that happened so often just now. What it was the first time is asked for only then.
    pub(crate) fn note(
        &mut self,
        now: Now,
        (kind, what): (&'static str, &'static str),
        count: u64,
        address: Option<SocketAddr>,
        text: impl FnOnce() -> String,
    ) {
        let is_same = |incident: &&mut Incident| (incident.kind, incident.what) == (kind, what);
        let before = self.kept.iter_mut().rev().find(is_same);
        if let Some(before) = before.filter(|before| now.time.since(before.last) < PAUSE) {
            (before.last, before.until) = (now.time, now.wall);
            before.count += count;
            return;
        }
        if self.kept.len() == INCIDENTS_MAX {
            self.kept.pop_front();
        }
        let (since, until, last) = (now.wall, now.wall, now.time);
        self.kept.push_back(Incident { since, until, kind, what, count, address, text: text(), last });
    }

    /// The same, of what happens once and never goes on.
    pub(crate) fn note_once(&mut self, now: Now, kind: &'static str, what: &'static str, text: String) {
        if self.kept.len() == INCIDENTS_MAX {
            self.kept.pop_front();
        }
        let (since, until, last) = (now.wall, now.wall, now.time);
        self.kept.push_back(Incident { since, until, kind, what, count: 1, address: None, text, last });
    }

    /// All, the newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.kept.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Now {
        let wall = Timestamp::from_second(1_790_000_000 + seconds).expect("a time");
        Now { time: Time::from_millis(seconds.unsigned_abs() * 1_000), wall }
    }

    #[test]
    fn what_goes_on_is_one_and_what_comes_again_another() {
        let mut incidents = Incidents::default();
        let mut note = |seconds, what| {
            incidents.note(at(seconds), ("refused", what), 2, None, || format!("{what} at {seconds}"));
        };
        note(0, "full");
        note(1, "origin");
        note(59, "full");
        note(118, "full");
        note(178, "full");
        let seen: Vec<_> = incidents.iter().map(|one| (one.text.as_str(), one.count)).collect();
        assert_eq!(seen, [("full at 178", 2), ("origin at 1", 2), ("full at 0", 6)]);
        let first = incidents.iter().last().expect("three");
        assert_eq!((first.since, first.until), (at(0).wall, at(118).wall));
    }

    #[test]
    fn no_more_are_kept_than_fifty_and_a_flood_of_one_kind_is_one() {
        let mut incidents = Incidents::default();
        for number in 0..1_000 {
            incidents.note_once(at(number), "verdict", "ill", number.to_string());
        }
        for _ in 0..100_000 {
            incidents.note(at(1_000), ("closed", "1013"), 1, None, || "closed".to_owned());
        }
        assert_eq!(incidents.iter().count(), INCIDENTS_MAX);
        let newest: Vec<_> = incidents.iter().take(2).map(|one| (one.text.as_str(), one.count)).collect();
        assert_eq!(newest, [("closed", 100_000), ("999", 1)]);
    }
}
