//! When to wake next.
//!
//! A client has one entry that counts: the earliest that was armed for it. A deadline that moves
//! further off costs nothing until the entry is due and is armed again, so a busy client whose
//! next ping moves with every message never touches the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Time;
use crate::id::ClientId;

/// Fewer entries than this are not worth a look.
const ENTRIES_MIN: usize = 1024;

/// The deadlines of all clients.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, ClientId)>>,
}

impl Deadlines {
    /// Wakes at `time` for `client`. `armed` is the client's own note of its entry that counts.
    pub(crate) fn arm(&mut self, client: ClientId, time: Time, armed: &mut Time) {
        if time < *armed {
            *armed = time;
            self.heap.push(Reverse((time, client)));
        }
    }

    /// The next entry that is due. It counts only if the client's note says the same time.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, ClientId)> {
        let Reverse((time, _)) = *self.heap.peek()?;
        if time > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Drops entries that do not count any more, if they are most of them: who is armed earlier again and again,
    /// since it is over its rate, leaves the later ones behind.
    pub(crate) fn compact(&mut self, clients: usize, mut counts: impl FnMut(ClientId, Time) -> bool) {
        if self.heap.len() > clients * 4 + ENTRIES_MIN {
            self.heap.retain(|Reverse((time, client))| counts(*client, *time));
        }
    }

    /// The time of the next entry.
    pub(crate) fn next(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_deadline_is_armed() {
        let mut deadlines = Deadlines::default();
        let client = ClientId::new(3);
        let mut armed = Time::NEVER;
        let at = Time::from_millis;
        assert_eq!(deadlines.next(), Time::NEVER);
        deadlines.arm(client, at(20), &mut armed);
        deadlines.arm(client, at(30), &mut armed);
        deadlines.arm(client, at(10), &mut armed);
        deadlines.arm(client, Time::NEVER, &mut armed);
        assert_eq!((armed, deadlines.next()), (at(10), at(10)));
        assert_eq!(deadlines.pop_due(at(9)), None);
        assert_eq!(deadlines.pop_due(at(10)), Some((at(10), client)));
        assert_eq!(deadlines.pop_due(at(19)), None);
        assert_eq!(deadlines.pop_due(at(99)), Some((at(20), client)), "the client's note tells it is stale");
        assert_eq!(deadlines.pop_due(at(99)), None);
    }
}
