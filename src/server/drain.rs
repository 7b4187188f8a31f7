//! Stopping: who is here is told one after the other, and what was accepted is delivered.

use std::time::Duration;

use log::info;

use super::{Mode, Server, Stream};
use crate::chat::ClientId;
use crate::clock::{Now, Time};
use crate::http::Refusal;
use crate::planted::planted;
use crate::websocket::{CloseCode, CloseFrame};

/// Between two closes, at most: a handful of clients need not wait for a crowd that is not there.
const SPACING_MAX: Duration = Duration::from_millis(100);
/// Clients come back so long after a whole round of closes, and not all at once.
const RETURN_MIN: u64 = 250;
const RETURN_SPREAD: u64 = 750;

/// A shutdown in progress.
#[derive(Debug)]
pub(super) struct Drain {
    started: Time,
    until: Time,
    /// Between two closes, in microseconds.
    spacing: u64,
    /// Who has still to be told.
    waiting: Vec<ClientId>,
    told: u64,
    is_last_call: bool,
}

impl Drain {
    fn new(now: Time, timeout: Duration, waiting: Vec<ClientId>) -> Drain {
        // The last ones told need time for their closing handshake.
        let spread = timeout / 2;
        let spacing = spread.checked_div(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
        let spacing = spacing.unwrap_or_default().min(SPACING_MAX);
        Drain {
            started: now,
            until: now + timeout,
            spacing: u64::try_from(spacing.as_micros()).unwrap_or(u64::MAX),
            waiting,
            told: 0,
            is_last_call: false,
        }
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Time {
        // Rounded up, or the server would ask for the same millisecond again and again.
        let next = self.started + Duration::from_millis((self.spacing * self.told).div_ceil(1000));
        if self.waiting.is_empty() { self.until } else { next.min(self.until) }
    }

    /// Takes one who is to be told now.
    fn next(&mut self, now: Time) -> Option<ClientId> {
        if self.deadline() > now {
            return None;
        }
        let id = self.waiting.pop()?;
        self.told += 1;
        Some(id)
    }

    /// When a client may come back: one round of closes after its own, so that those who come back are
    /// spread as the closes were, and find the next server rather than this one.
    fn retry_after(&self, id: ClientId) -> u64 {
        let round = self.spacing * (self.told + self.waiting.len() as u64) / 1000;
        round + RETURN_MIN + id.index() as u64 * 7919 % RETURN_SPREAD
    }
}

impl<S: Stream> Server<S> {
    /// Takes no more clients; those who are here get what they are owed, then a close frame, one after the
    /// other.
    pub fn begin_shutdown(&mut self, now: Now) {
        if !matches!(self.mode, Mode::Serving) {
            return;
        }
        let open = self.clients.iter().filter(|(_, client)| client.connection.is_open());
        let waiting: Vec<ClientId> = open.map(|(index, _)| ClientId::new(index)).rev().collect();
        let timeout = self.limits.drain_timeout;
        info!("stopping: {} clients are told within {} s", waiting.len(), (timeout / 2).as_secs_f32());
        self.mode = Mode::Draining(Drain::new(now.time, timeout, waiting));
    }

    /// Whether a shutdown is over: everybody has gone, or the time is up.
    pub fn is_drained(&self, now: Now) -> bool {
        match &self.mode {
            Mode::Serving => false,
            Mode::Draining(drain) => self.clients.is_empty() || drain.until <= now.time,
        }
    }

    /// Whether newcomers are taken, be it only to tell them that the server stops.
    pub fn is_accepting(&self) -> bool {
        match &self.mode {
            Mode::Serving => true,
            Mode::Draining(drain) => !drain.is_last_call,
        }
    }

    /// Closes those whose turn it is. When the last WebSocket has gone, nobody else is waited for.
    pub(super) fn drain(&mut self, now: Now) {
        let Mode::Draining(drain) = &mut self.mode else { return };
        let mut leaving = Vec::new();
        while let Some(id) = drain.next(now.time) {
            if id.index() == 1 && planted!("one_not_told") {
                continue;
            }
            let Some(client) = self.clients.get_mut(id.index()).filter(|client| client.connection.is_open())
            else {
                continue;
            };
            let frame = match self.limits.drain_timeout {
                Duration::ZERO => CloseFrame::new(CloseCode::GOING_AWAY, "the server is shutting down"),
                _ => {
                    let reason =
                        format!("the server is restarting; retry-after-ms={}", drain.retry_after(id));
                    CloseFrame::new(CloseCode::RESTART, &reason)
                }
            };
            // A long queue has until the end; the usual time for the answer counts from its last byte.
            let cause = client.connection.close(drain.until, frame);
            self.counters.note_end(&cause);
            leaving.push(id);
        }
        self.chat.leave(now, &leaving, &mut |effect| self.outgoing.apply(effect));
        leaving.iter().for_each(|id| self.mark_flushable(*id));
        if self.is_last_call_due() {
            self.turn_newcomers_away(now);
        }
    }

    /// All WebSockets have gone, and who has come since is still here.
    pub(super) fn is_last_call_due(&self) -> bool {
        match &self.mode {
            Mode::Serving => false,
            Mode::Draining(drain) => drain.waiting.is_empty() && self.websockets == 0 && !drain.is_last_call,
        }
    }

    fn turn_newcomers_away(&mut self, now: Now) {
        if let Mode::Draining(drain) = &mut self.mode {
            drain.is_last_call = true;
        }
        let newcomers = self.clients.iter().filter(|(_, client)| client.connection.is_awaiting_handshake());
        let newcomers: Vec<ClientId> = newcomers.map(|(index, _)| ClientId::new(index)).collect();
        for id in newcomers {
            self.refuse(now, id, Refusal::Draining, b"");
            self.mark_flushable(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(clients: usize) -> Drain {
        let waiting = (0..clients).map(ClientId::new).collect();
        Drain::new(Time::from_millis(1_000), Duration::from_secs(8), waiting)
    }

    #[test]
    fn closes_are_spread_over_half_of_the_time() {
        // Clients; when the first, the second and the last are told, in milliseconds.
        for (clients, second, last) in [(2, 100, 100), (41, 98, 3_903), (1_000, 4, 3_996), (19_000, 1, 3_990)]
        {
            let mut drain = drain(clients);
            let (mut times, mut now) = (Vec::new(), Time::from_millis(1_000));
            while !drain.waiting.is_empty() {
                now = now.max(drain.deadline());
                assert!(drain.next(now).is_some(), "it is due when it says so");
                times.push(now.as_millis() - 1_000);
            }
            assert_eq!((times[0], times[1], times[clients - 1]), (0, second, last), "{clients} clients");
            assert_eq!(drain.deadline(), Time::from_millis(9_000));
        }
    }

    #[test]
    fn who_comes_back_comes_after_the_last_close_and_not_with_all_others() {
        let mut drain = drain(1_000);
        let mut back = Vec::new();
        while let Some(id) = drain.next(drain.deadline()) {
            let told = drain.spacing * (drain.told - 1) / 1000;
            back.push(told + drain.retry_after(id));
        }
        assert!(back.iter().all(|time| (4_000..=9_000).contains(time)), "{back:?}");
        let in_a_second = |from: u64| back.iter().filter(|time| (from..from + 1_000).contains(time)).count();
        assert!((4_000..8_000).step_by(500).all(|from| in_a_second(from) < 350));
    }

    #[test]
    fn nobody_is_told_before_his_time() {
        let mut drain = drain(3);
        assert!(drain.next(Time::from_millis(1_000)).is_some());
        assert!(drain.next(Time::from_millis(1_099)).is_none());
        assert!(drain.next(Time::from_millis(1_100)).is_some());
        assert_eq!(drain.waiting.len(), 1);
    }
}
