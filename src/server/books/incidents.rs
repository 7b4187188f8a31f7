//! What happened lately that an operator asks for: the last fifty, each with when and how often. What goes on counts
//! as one, and where there is no place the kind that has most gives way, so that a flood of one kind leaves the others
//! there.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Now, Time};

/// So many are kept.
const INCIDENTS_MAX: usize = 50;
/// What happens again within this time goes on.
const PAUSE: Duration = Duration::from_secs(60);
/// What goes on for longer is told anew: one line should not hide an hour.
const SPAN: Duration = Duration::from_secs(3_600);

/// Something that happened, once or many times.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// What kind, and which of it: names of reports.
    pub(crate) kind: &'static str,
    pub(crate) what: &'static str,
    pub(crate) count: u64,
    /// Who did it, if clients did.
    pub(crate) culprit: Option<Culprit>,
    /// What it was the last time.
    pub(crate) text: String,
    first: Time,
    last: Time,
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    /// The last one.
    pub(crate) address: SocketAddr,
    /// Others did it too: the machine was another.
    pub(crate) is_one_of_several: bool,
}

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// Who has gone on longest ago first.
    kept: VecDeque<Incident>,
}

impl Incidents {
    /// Notes something that happened so often just now. What has the same kind and name goes on.
    pub(crate) fn note(
        &mut self,
        now: Now,
        (kind, what): (&'static str, &'static str),
        count: u64,
        text: String,
    ) {
        self.add(Incident::new(now, (kind, what), count, text), |_| true);
    }

    /// The same, of what a client did. Only what has the same text, the cause, goes on: another is no news of this one.
    pub(crate) fn note_client(
        &mut self,
        now: Now,
        (kind, what): (&'static str, &'static str),
        address: SocketAddr,
        cause: &str,
    ) {
        let culprit = Some(Culprit { address, is_one_of_several: false });
        let incident = Incident { culprit, ..Incident::new(now, (kind, what), 1, cause.to_owned()) };
        self.add(incident, |before| before.text == cause);
    }

    /// All, the newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.kept.iter().rev()
    }

    fn add(&mut self, incident: Incident, is_same: impl Fn(&Incident) -> bool) {
        let goes_on = |before: &Incident| incident.goes_on_from(before) && is_same(before);
        let before = self.kept.iter().rposition(goes_on).and_then(|index| self.kept.remove(index));
        if before.is_none() && self.kept.len() == INCIDENTS_MAX {
            self.make_room();
        }
        self.kept.push_back(match before {
            Some(before) => incident.after(&before),
            None => incident,
        });
    }

    /// The oldest of the kind that has most is forgotten.
    fn make_room(&mut self) {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        self.kept.iter().for_each(|incident| *kinds.entry(incident.kind).or_default() += 1);
        let most = kinds.into_iter().max_by_key(|(_, count)| *count).map(|(kind, _)| kind);
        if let Some(index) = self.kept.iter().position(|incident| Some(incident.kind) == most) {
            self.kept.remove(index);
        }
    }
}

impl Incident {
    fn new(now: Now, (kind, what): (&'static str, &'static str), count: u64, text: String) -> Incident {
        let (since, first) = (now.wall, now.time);
        Incident { since, until: since, kind, what, count, culprit: None, text, first, last: first }
    }

    /// Whether it is no news, but what happened before goes on.
    fn goes_on_from(&self, before: &Incident) -> bool {
        (self.kind, self.what) == (before.kind, before.what)
            && self.last.since(before.last) < PAUSE
            && self.last.since(before.first) < SPAN
    }

    /// Both together.
    fn after(self, before: &Incident) -> Incident {
        let is_other =
            |one: Culprit, other: Culprit| one.is_one_of_several || one.address.ip() != other.address.ip();
        let culprit = self.culprit.map(|culprit| Culprit {
            is_one_of_several: before.culprit.is_some_and(|before| is_other(before, culprit)),
            ..culprit
        });
        let (since, first, count) = (before.since, before.first, before.count + self.count);
        Incident { since, first, count, culprit, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Now {
        let wall = Timestamp::from_second(1_790_000_000 + seconds).expect("a time");
        Now { time: Time::from_millis(seconds.unsigned_abs() * 1_000), wall }
    }

    fn seen(incidents: &Incidents) -> Vec<(&str, u64)> {
        incidents.iter().map(|one| (one.text.as_str(), one.count)).collect()
    }

    #[test]
    fn what_goes_on_is_one_and_what_comes_again_another() {
        let mut incidents = Incidents::default();
        let mut note = |seconds, what| {
            incidents.note(at(seconds), ("refused", what), 2, format!("{what} at {seconds}"));
        };
        note(0, "full");
        note(1, "origin");
        note(59, "full");
        note(118, "full");
        note(178, "full");
        assert_eq!(seen(&incidents), [("full at 178", 2), ("full at 118", 6), ("origin at 1", 2)]);
        let first = incidents.iter().nth(1).expect("three");
        assert_eq!((first.since, first.until), (at(0).wall, at(118).wall));
    }

    #[test]
    fn what_goes_on_for_hours_is_told_once_an_hour() {
        let mut incidents = Incidents::default();
        (0..7_200).for_each(|second| incidents.note(at(second), ("refused", "full"), 1, "full".to_owned()));
        assert_eq!(seen(&incidents), [("full", 3_600), ("full", 3_600)]);
    }

    #[test]
    fn each_cause_is_its_own_with_who_did_it_last() {
        let mut incidents = Incidents::default();
        let mut note = |seconds, address: &str, cause: &str| {
            let address = address.parse().expect("an address");
            incidents.note_client(at(seconds), ("closed", "1008"), address, cause);
        };
        note(0, "192.0.2.1:1", "no answer to a ping");
        (0..30).for_each(|port| note(1, &format!("192.0.2.2:{}", port + 1), "a flood"));
        assert_eq!(seen(&incidents), [("a flood", 30), ("no answer to a ping", 1)]);
        let culprit = |incidents: &Incidents, index| {
            let culprit = incidents.iter().nth(index).and_then(|one| one.culprit).expect("one");
            (culprit.address.to_string(), culprit.is_one_of_several)
        };
        assert_eq!(culprit(&incidents, 0), ("192.0.2.2:30".to_owned(), false), "one machine");
        let third = "192.0.2.3:1".parse().expect("an address");
        incidents.note_client(at(2), ("closed", "1008"), third, "no answer to a ping");
        assert_eq!(culprit(&incidents, 0), ("192.0.2.3:1".to_owned(), true));
        incidents.note_client(at(3), ("closed", "1008"), third, "no answer to a ping");
        assert_eq!(culprit(&incidents, 0), ("192.0.2.3:1".to_owned(), true), "and stays so");
    }

    #[test]
    fn no_more_are_kept_than_fifty_and_a_flood_of_one_kind_leaves_the_others() {
        let mut incidents = Incidents::default();
        incidents.note(at(0), ("state", "started"), 1, "started".to_owned());
        for number in 0..1_000 {
            // Each of them is news, since the one before was longer ago than a minute.
            incidents.note(at(number * 61), ("verdict", "ill"), 1, number.to_string());
        }
        for _ in 0..100_000 {
            incidents.note(at(61_000), ("closed", "1013"), 1, "closed".to_owned());
        }
        assert_eq!(incidents.iter().count(), INCIDENTS_MAX);
        let seen = seen(&incidents);
        assert_eq!((seen[0], seen[1], seen[49]), (("closed", 100_000), ("999", 1), ("started", 1)));
    }
}
