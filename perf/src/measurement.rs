//! What a run measured, as JSON: one object a run, the vocabulary of `--json` and of the reports.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One scenario against one server.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Measurement {
    /// `fanout`, `echo` and so on.
    pub(crate) scenario: String,
    pub(crate) url: String,
    /// Connections, senders included.
    pub(crate) clients: usize,
    /// Those of them that send.
    pub(crate) senders: usize,
    /// Messages that each sender has on their way at a time.
    pub(crate) in_flight: usize,
    /// Bytes of a message's payload.
    pub(crate) size: usize,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Messages sent in that time.
    pub(crate) messages: u64,
    /// Messages received in that time, by all; of `churn` the words that were echoed.
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    /// The server's own side, if its process was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerCost>,
    /// From the call that sends to the receipt, at every 64th receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    /// From the time at which the message was due: what a stall of the sender would hide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scheduled_latency: Option<Latency>,
    /// Of `churn`: connections made, served and closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handshakes: Option<Handshakes>,
    /// Of `stalled`: what became of those that never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stalled: Option<Stalled>,
    /// Messages of one client beside the others that sent as fast as it was read, and came back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) firehose: Option<u64>,
    /// Of `idle`: clients that answered a ping at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answered: Option<u64>,
    /// Whether something came, and every byte of all that came was checked and right.
    pub(crate) verified: bool,
    /// What was wrong: lost, doubled, changed, out of order, nothing at all. Empty is good.
    pub(crate) problems: Vec<String>,
}

/// What the server's process and its children used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ServerCost {
    /// User and system time in the measured time.
    pub(crate) cpu_seconds: f64,
    pub(crate) deliveries_per_cpu_second: f64,
    /// Private memory before the clients came.
    pub(crate) memory_before_bytes: u64,
    /// With all clients connected, before anything was sent.
    pub(crate) memory_idle_bytes: u64,
    /// At the end of the measured time.
    pub(crate) memory_after_bytes: u64,
    /// The most that was ever resident, shared pages included: with all clients, and at the end.
    pub(crate) memory_peak_idle_bytes: u64,
    pub(crate) memory_peak_bytes: u64,
    /// What a connected client costs while nothing happens.
    pub(crate) memory_per_client_bytes: f64,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Handshakes {
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    /// Zero if the server's process was not named.
    pub(crate) per_cpu_second: f64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Stalled {
    /// Clients that never read.
    pub(crate) clients: usize,
    /// Those of them that the server had ended by the end.
    pub(crate) cut: usize,
    /// The close codes that they found when they looked at last; "none" where there was no close frame.
    pub(crate) close_codes: BTreeMap<String, usize>,
    /// What the schedule had for the others, and what they got. A server that holds the sender back makes it say
    /// less, so the one may be more than was sent.
    pub(crate) owed: u64,
    pub(crate) delivered: u64,
}

impl Latency {
    /// The percentiles of a histogram of nanoseconds; nothing of an empty one.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Latency {
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1000.0,
        })
    }
}

/// An empty histogram of nanoseconds, up to ten minutes, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("bounds that are right")
}
