//! The books: what was owed to receivers and what became of it, what else is counted and timed, and how much of it
//! the log tells.

mod counters;
mod ledger;
mod log_limiter;
pub(crate) mod metrics;
pub(crate) mod stats;
mod times;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use log::{debug, info};

pub(crate) use counters::{Counted, DropReason};
pub use ledger::Account;
pub(crate) use ledger::{AccountId, Posting};

use counters::Counters;
use ledger::Ledger;
use log_limiter::LogLimiter;

use crate::clock::Now;
use crate::connection::Cause;
use crate::delivery::Meter;
use crate::id::ClientId;
use crate::server::environment::LogLosses;
use crate::server::redact::printable;

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
    pub(crate) operators: usize,
    pub(crate) websockets: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) buffered_bytes: usize,
    pub(crate) unfinished_bytes: usize,
    pub(crate) log_lines_dropped: [(&'static str, u64); 3],
}

impl Books {
    /// Empty books. All queues are measured by `buffered`.
    pub(crate) fn new(buffered: Meter) -> Books {
        Books { buffered, ..Books::default() }
    }

    /// Notes why a conversation ended, and says so in the log.
    pub(crate) fn note_end(&mut self, now: Now, address: SocketAddr, cause: &Cause) {
        self.counters.note_end(cause);
        match cause {
            // What a peer may do at any time is nobody's business but who debugs.
            Cause::Peer(_) | Cause::Vanished => {
                debug!("{address}: {}", printable(cause.to_string().as_bytes()));
            }
            _ => {
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
        self.counters.note_dropped(reason, messages);
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
    pub(crate) fn begin_shutdown(&mut self) {
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
