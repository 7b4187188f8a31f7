//! The books: what was owed to receivers and what became of it, what else is counted and timed, and how much of it
//! the log tells.

mod counters;
mod health;
mod hour;
mod incidents;
mod ledger;
mod log_limiter;
pub(crate) mod metrics;
mod minute;
mod standouts;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use log::{debug, info};

pub(crate) use counters::{Counted, DropReason};
pub use ledger::Account;
pub(crate) use ledger::{AccountId, Posting};
pub(crate) use standouts::Standouts;

use counters::Counters;
use health::{Finding, Health, Vitals, judge, worst};
use hour::{Hour, Sample};
use incidents::Incidents;
use ledger::Ledger;
use log_limiter::LogLimiter;
use minute::{Counts, Minute};
use times::Summary;

use crate::clock::{Now, Time};
use crate::connection::Cause;
use crate::delivery::Meter;
use crate::id::ClientId;
use crate::server::environment::{LogLosses, Pulse};
use crate::server::redact::printable;

/// A guest of a full server that gave way to another before it had an answer.
pub(crate) const UNHEARD: &str = "unheard";

/// Refusals of those for whom there was no place.
const TURNED_AWAY: [&str; 3] = ["full", "descriptors", UNHEARD];

/// Of fewer turns than these the percentile that is judged is the median.
const TURNS_MIN: u64 = 100;

/// What this server calls itself in reports.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that is written down. What is thrown away has a reason: ledger and counters say the same.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// What was owed to receivers, and what became of it.
    pub(crate) ledger: Ledger,
    /// What else is counted, and timed.
    pub(crate) counters: Counters,
    /// How many lines about clients that misbehave are logged.
    log_limiter: LogLimiter,
    /// Memory that queues hold.
    pub(crate) buffered: Meter,
    /// How it was, second by second.
    pub(crate) hour: Hour,
    /// What happened that an operator asks for.
    pub(crate) incidents: Incidents,
    /// Why the server is not well, the worst first.
    pub(crate) findings: Vec<Finding>,
    /// Counts of the sample before: what has grown has happened.
    seen: Counts,
    /// The same, of a minute ago.
    minute: Minute,
    /// Since the server stops.
    shortfall: Option<Shortfall>,
}

/// Who goes short when the server stops.
#[derive(Debug)]
struct Shortfall {
    /// Deliveries that had failed before.
    failed_before: u64,
    /// Who has not got all that it was owed since. No WebSocket is opened any more, so a slot is a client.
    clients: BTreeSet<ClientId>,
}

/// What only the server knows at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauges {
    pub(crate) is_serving: bool,
    pub(crate) connections: usize,
    pub(crate) connections_max: usize,
    /// Who came when all places were taken, and who by the operators' own address.
    pub(crate) guests: usize,
    pub(crate) operators: usize,
    pub(crate) websockets: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) buffered_bytes: usize,
    pub(crate) buffered_bytes_max: usize,
    pub(crate) unfinished_bytes: usize,
    pub(crate) unfinished_bytes_max: usize,
    pub(crate) log_lines_dropped: [(&'static str, u64); 3],
}

impl Books {
    /// Empty books. All queues are measured by `buffered`.
    pub(crate) fn new(buffered: Meter) -> Books {
        Books { buffered, ..Books::default() }
    }

    /// Notes why a conversation ended, and says so in the log.
    pub(crate) fn note_end(&mut self, now: Now, address: SocketAddr, cause: &Cause) {
        let code = self.counters.note_end(cause);
        match cause {
            // What a peer may do at any time is nobody's business but who debugs.
            Cause::Peer(_) | Cause::Vanished => {
                debug!("{address}: {}", printable(cause.to_string().as_bytes()));
            }
            _ => {
                let kind = printable(cause.kind().as_bytes());
                self.incidents.note_client(now, ("closed", code), address, &kind);
                if self.admits_line(now) {
                    info!("{address}: {}", printable(cause.to_string().as_bytes()));
                }
            }
        }
    }

    /// Whether a line about a client that misbehaves may be logged. Those that were left out are told of first.
    pub(crate) fn admits_line(&mut self, now: Now) -> bool {
        let withheld = self.log_limiter.admit(now.time);
        note_withheld(withheld.unwrap_or(0));
        withheld.is_some()
    }

    /// Tells of the lines that were left out and of which nothing has been said yet.
    pub(crate) fn log_withheld(&mut self) {
        note_withheld(self.log_limiter.take_withheld());
    }

    /// Writes off messages that waited for a client which is gone.
    pub(crate) fn note_lost(&mut self, id: ClientId, account: AccountId, messages: u64) {
        self.ledger.record(account, Posting::Unqueued(messages));
        self.ledger.record(account, Posting::Lost(messages));
        if messages > 0 {
            self.note_short(id);
        }
    }

    /// Writes off messages that waited for a client which was to stay.
    pub(crate) fn note_dropped(
        &mut self,
        id: ClientId,
        account: AccountId,
        reason: DropReason,
        messages: u64,
    ) {
        self.ledger.record(account, Posting::Unqueued(messages));
        self.ledger.record(account, Posting::Dropped(messages));
        self.counters.note_dropped(account, reason, messages);
        if reason != DropReason::Skipped && messages > 0 {
            self.note_short(id);
        }
    }

    /// Notes who does not get all that it was owed, if that is the server's doing: it stops.
    pub(crate) fn note_short(&mut self, id: ClientId) {
        if let Some(shortfall) = &mut self.shortfall {
            shortfall.clients.insert(id);
        }
    }

    /// From here on it is noted who goes short.
    pub(crate) fn begin_shutdown(&mut self, now: Now) {
        self.incidents.note(now, ("state", "draining"), 1, "the server stops: no new clients".to_owned());
        let failed_before = self.failed_deliveries();
        self.shortfall = Some(Shortfall { failed_before, clients: BTreeSet::new() });
    }

    /// What has not been delivered since the shutdown began, and to how many clients. What waits now, for these
    /// clients, never will be.
    pub(crate) fn shortfall(&self, waiting: impl Iterator<Item = ClientId>) -> (u64, usize) {
        let Some(Shortfall { failed_before, clients }) = &self.shortfall else { return (0, 0) };
        let messages = self.failed_deliveries() + self.ledger.whole().queued - failed_before;
        (messages, clients.len() + waiting.filter(|id| !clients.contains(id)).count())
    }

    /// Deliveries that will never be. Who chose to skip is told of it, and goes short of nothing.
    fn failed_deliveries(&self) -> u64 {
        let Account { dropped, lost, .. } = self.ledger.whole();
        dropped + lost - self.counters.dropped[DropReason::Skipped as usize]
    }

    /// Lines that are missing in the log, by reason: too many of them were about clients that misbehave, or they
    /// could not be written.
    pub(crate) fn log_lines_dropped(&self, losses: LogLosses) -> [(&'static str, u64); 3] {
        let LogLosses { queue_full, write_failed } = losses;
        let withheld = self.log_limiter.withheld_total();
        [("withheld", withheld), ("queue_full", queue_full), ("write_failed", write_failed)]
    }

    /// Notes how the server is, judges it, and notes what has happened since the last time.
    pub(crate) fn sample(&mut self, now: Now, pulse: Pulse, gauges: Gauges) {
        if self.hour.started().is_none() {
            self.incidents.note(now, ("state", "started"), 1, format!("wsloop {VERSION} has started"));
        }
        let sample = self.sample_of(now, gauges);
        self.hour.note(now, pulse, sample);
        let counts = self.counts(gauges);
        self.minute.note(now.time, &counts);
        let pause = Vitals { pause_s: pulse.stood.as_secs_f64(), ..Vitals::default() };
        for finding in judge(now.time, &pause, &[]) {
            self.incidents.note(now, ("loop", "pause"), 1, finding.text);
        }
        let vitals = self.vitals(now.time, gauges, &counts);
        self.note_growth(now, counts);
        self.note_verdict(now, &vitals);
    }

    /// Judges, and notes if the verdict is another. It is told after its causes.
    fn note_verdict(&mut self, now: Now, vitals: &Vitals) {
        let before = self.health();
        self.findings = judge(now.time, vitals, &self.findings);
        let health = self.health();
        if health != before {
            let reasons: Vec<&str> = self.findings.iter().map(|finding| finding.text.as_str()).collect();
            let reasons =
                if reasons.is_empty() { "all is well again".to_owned() } else { reasons.join("; ") };
            self.incidents.note(now, ("verdict", health.name()), 1, reasons);
        }
    }

    /// How the server is.
    pub(crate) fn health(&self) -> Health {
        worst(&self.findings)
    }

    fn sample_of(&mut self, now: Now, gauges: Gauges) -> Sample {
        let counters = &mut self.counters;
        let account = self.ledger.whole();
        let [_, lost @ ..] = gauges.log_lines_dropped;
        Sample {
            clients: gauges.connections as u64,
            websockets: gauges.websockets as u64,
            messages_received: counters.messages_received,
            delivered: account.delivered,
            dropped: counters.dropped,
            lost: account.lost,
            refused: counters.rejected.values().sum(),
            turned_away: TURNED_AWAY.iter().filter_map(|reason| counters.rejected.get(reason)).sum(),
            closed: counters.ended(),
            accept_errors: counters.accept_errors.values().sum(),
            log_lines_lost: lost.iter().map(|(_, count)| count).sum(),
            sent_bytes: counters.sent_bytes,
            queued_messages: account.queued,
            buffered_bytes: gauges.buffered_bytes as u64,
            turn_p99: counters.turns.recent(now.time).p99,
            turn_max: counters.turns.take_longest(),
            fanout_p99: counters.fanouts.recent(now.time).p99,
            ping_p99: counters.round_trips.recent(now.time).p99,
            ..Sample::default()
        }
    }

    /// All that is counted and has a name, at this moment.
    fn counts(&self, gauges: Gauges) -> Counts {
        let Books { counters, ledger, .. } = self;
        let refused = counters.rejected.iter().map(|(reason, count)| (("refused", *reason), *count));
        let closed = counters.closed.iter().map(|(code, count)| (("closed", *code), *count));
        let dropped =
            DropReason::ALL.map(|reason| (("dropped", reason.name()), counters.dropped[reason as usize]));
        let [_, lost @ ..] = gauges.log_lines_dropped;
        let others = [
            (("accept", "errors"), counters.accept_errors.values().sum()),
            (("log", "lost"), lost.iter().map(|(_, count)| count).sum()),
            (("channels", "delivered"), ledger.delivered_in_channels()),
            (("channels", "missed"), counters.missed),
            (("channels", "cut"), counters.cut),
        ];
        refused.chain(closed).chain(dropped).chain(others).collect()
    }

    fn vitals(&mut self, now: Time, gauges: Gauges, counts: &Counts) -> Vitals {
        let Summary { count: turns, p50, p99, .. } = self.counters.turns.recent(now);
        let (hour, lately) = (&self.hour, self.hour.lately());
        let share = |part: usize, whole: usize| (part as f64 / whole.max(1) as f64).min(1.0);
        let grown = |kind, what| self.minute.grown(counts, (kind, what)) as f64;
        let (missed, delivered) = (grown("channels", "missed"), grown("channels", "delivered"));
        Vitals {
            cpu: lately.cpu(),
            starved: lately.starved(),
            // Of a few turns it would be the longest: a single one that was interrupted.
            turn_p99_ms: if turns < TURNS_MIN { p50 } else { p99 } as f64 / 1e3,
            places: share(gauges.connections, gauges.connections_max),
            buffered: share(gauges.buffered_bytes, gauges.buffered_bytes_max),
            unfinished: share(gauges.unfinished_bytes, gauges.unfinished_bytes_max),
            pause_s: hour.most(|sample| sample.pause) as f64 / 1e3,
            turned_away: TURNED_AWAY.iter().map(|reason| grown("refused", reason)).sum(),
            accept_errors: grown("accept", "errors"),
            shed: grown("dropped", DropReason::BufferFull.name()),
            log_lines_lost: grown("log", "lost"),
            missed,
            dropped: missed / (missed + delivered).max(1.0),
            cut: grown("channels", "cut"),
            unbalanced: self.ledger.whole().difference() as f64,
        }
    }

    /// What is counted by reason, and has grown since the last time, is an incident: it began, or goes on.
    fn note_growth(&mut self, now: Now, counts: Counts) {
        for (name, count) in &counts {
            let text = match *name {
                ("refused", reason) => format!("connections or requests are refused: {reason}"),
                ("dropped", reason) => format!("deliveries are dropped: {reason}"),
                ("accept", _) => "connections cannot be accepted".to_owned(),
                _ => continue,
            };
            let grown = count - self.seen.get(name).copied().unwrap_or(0);
            if grown > 0 {
                self.incidents.note(now, *name, grown, text);
            }
        }
        self.seen = counts;
    }

    /// Every account balances, and what was dropped was dropped for a reason.
    pub(crate) fn assert_balanced(&self) {
        self.ledger.assert_balanced();
        assert_eq!(self.counters.dropped.iter().sum::<u64>(), self.ledger.whole().dropped, "a reason each");
    }
}

fn note_withheld(lines: u64) {
    if lines > 0 {
        info!("{lines} lines about clients were left out: there were too many");
    }
}
