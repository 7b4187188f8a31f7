//! Stopping: who is here is told one after the other, and what was accepted is delivered.

use std::time::Duration;

use log::{info, warn};

use super::books::{Account, Books};
use super::clients::{Clients, Flag};
use super::ending::refuse;
use super::limits::ServerLimits;
use super::outgoing::Outgoing;
use crate::chat::Chat;
use crate::clock::{Now, Time};
use crate::http::Refusal;
use crate::id::ClientId;
use crate::websocket::{CloseCode, CloseFrame};

/// Between two closes, at most: a handful of clients need not wait for a crowd that is not there.
const SPACING_MAX: Duration = Duration::from_millis(100);
/// When the last WebSocket has heard all, so long is waited for those who only have to hang up.
const LAST_CALL: Duration = Duration::from_millis(500);
/// Clients come back so long after a whole round of closes, and not all at once.
const RETURN_MIN: u64 = 250;
const RETURN_SPREAD: u64 = 750;

/// Whether the server takes clients.
#[derive(Debug)]
pub(super) enum Mode {
    Serving,
    Draining(Drain),
}

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

impl Mode {
    /// Takes no more clients. Those who are here have so long.
    pub(super) fn begin_drain<S>(&mut self, now: Time, timeout: Duration, clients: &Clients<S>) {
        let open = clients.iter().filter(|(_, client)| client.connection.is_open());
        let waiting: Vec<ClientId> = open.map(|(id, _)| id).rev().collect();
        info!("stopping: {} clients are told within {} s", waiting.len(), (timeout / 2).as_secs_f32());
        *self = Mode::Draining(Drain::new(now, timeout, waiting));
    }

    /// Whether all of the site is served.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self, Mode::Serving)
    }

    /// Whether newcomers are taken, be it only to tell them that the server stops.
    pub(super) fn is_accepting(&self) -> bool {
        match self {
            Mode::Serving => true,
            Mode::Draining(drain) => !drain.is_last_call,
        }
    }

    /// Whether nobody is waited for any more.
    pub(super) fn is_over(&self, now: Time) -> bool {
        matches!(self, Mode::Draining(drain) if drain.until <= now)
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Time {
        match self {
            Mode::Serving => Time::NEVER,
            Mode::Draining(drain) => drain.deadline(),
        }
    }

    /// All WebSockets have heard all, and who else is here is still to be told.
    pub(super) fn is_last_call_due<S>(&self, clients: &Clients<S>) -> bool {
        match self {
            Mode::Serving => false,
            Mode::Draining(drain) if drain.is_last_call || !drain.waiting.is_empty() => false,
            Mode::Draining(_) => clients.iter().all(|(_, client)| {
                !client.flags.contains(Flag::Websocket) || client.connection.has_said_all()
            }),
        }
    }
}

/// Closes those whose turn it is. When the last WebSocket has gone, nobody else is waited for.
pub(super) fn drain<S>(
    now: Now,
    mode: &mut Mode,
    clients: &mut Clients<S>,
    chat: &mut Chat,
    outgoing: &mut Outgoing,
    books: &mut Books,
    limits: &ServerLimits,
) {
    let Mode::Draining(drain) = mode else { return };
    let mut leaving = Vec::new();
    while let Some(id) = drain.next(now.time) {
        let Some(client) = clients.find(id).filter(|client| client.connection.is_open()) else {
            continue;
        };
        let frame = match limits.drain_timeout {
            Duration::ZERO => CloseFrame::new(CloseCode::GOING_AWAY, "the server is shutting down"),
            _ => {
                let reason = format!("the server is restarting; retry-after-ms={}", drain.retry_after(id));
                CloseFrame::new(CloseCode::RESTART, &reason)
            }
        };
        // A long queue has until the end; the usual time for the answer counts from its last byte.
        let cause = client.connection.close(drain.until, frame);
        books.counters.note_end(&cause);
        leaving.push(id);
    }
    chat.leave(now, &leaving, &mut |effect| outgoing.apply(effect));
    leaving.iter().for_each(|id| clients.mark_flushable(*id));
    if mode.is_last_call_due(clients) {
        turn_newcomers_away(now, mode, clients, outgoing, books);
    }
}

fn turn_newcomers_away<S>(
    now: Now,
    mode: &mut Mode,
    clients: &mut Clients<S>,
    outgoing: &mut Outgoing,
    books: &mut Books,
) {
    if let Mode::Draining(drain) = mode {
        drain.is_last_call = true;
        drain.until = drain.until.min(now.time + LAST_CALL);
    }
    let newcomers = clients.iter().filter(|(_, client)| client.connection.is_awaiting_handshake());
    let newcomers: Vec<ClientId> = newcomers.map(|(id, _)| id).collect();
    for id in newcomers {
        let client = &mut clients[id];
        if client.connection.is_silent() && !client.flags.contains(Flag::Runnable) {
            // It has asked nothing, so nothing is owed to it.
            let _ = client.connection.handle_end(now.time);
            clients.finished.push(id);
        } else {
            refuse(now, clients, outgoing, books, id, Refusal::Draining, b"");
            clients.mark_flushable(id);
        }
    }
}

/// The ledger's last page, and whether anybody went short since the signal came.
pub(super) fn log_last_words<S>(clients: &Clients<S>, books: &mut Books) {
    books.log_withheld();
    let Account { accepted, delivered, dropped, lost, queued } = books.ledger.whole();
    info!(
        "deliveries: {accepted} accepted = {delivered} delivered + {dropped} dropped + {} lost",
        lost + queued
    );
    let waiting = clients.iter().filter(|(_, client)| client.connection.queued_messages() > 0);
    match (books.shortfall(waiting.map(|(id, _)| id)), clients.len()) {
        ((0, _), 0) => info!("stopped: every client has got what it was owed"),
        ((0, _), count) => {
            info!("stopped: every client has got what it was owed; {count} had not hung up yet");
        }
        ((messages, clients), _) => {
            warn!("stopped: {messages} messages were not delivered to {clients} clients that were cut");
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
