//! `/metrics`: the counters in the text form of OpenMetrics, which Prometheus reads. No label holds a
//! user's text or an address.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counters::{Counters, DropReason};
use super::health::Health;
use super::hour::Hour;
use super::ledger::Ledger;
use super::times::{Buckets, Times};
use super::{Books, Gauges, Standouts, UNHEARD, VERSION};
use crate::http::{Refusal, Response};
use crate::server::environment::Process;

/// Refusals that are no answer to a request.
const WITHOUT_ANSWER: [&str; 3] = ["descriptors", "displaced", UNHEARD];

/// What ends are counted under.
const CLOSE_CODES: [&str; 16] = [
    "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012", "1013",
    "1014", "3xxx", "4xxx",
];

/// Errors of accepting that happen, by the numbers of Linux: no memory, no descriptors (of the system, of the process),
/// no watches of epoll, the peer has gone, no buffers. Any other is "other".
const ACCEPT_ERRORS: [i32; 6] = [12, 23, 24, 28, 103, 105];

#[derive(Debug)]
struct Exposition(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    /// Counters get `_total` behind it.
    name: &'static str,
    help: &'static str,
    value: MetricValue,
}

#[derive(Debug)]
enum MetricValue {
    Counter(f64),
    Counters(&'static str, Vec<(String, u64)>),
    Gauge(f64),
    Histogram(Buckets),
    Info([(&'static str, &'static str); 1]),
}

/// The report of this moment.
pub(crate) fn report(
    books: &Books,
    gauges: Gauges,
    standouts: &Standouts,
    rooms: usize,
    process: Process,
) -> Response {
    let mut metrics = of_clients(&books.counters, &books.ledger, gauges);
    metrics.extend(of_limits(gauges, standouts, rooms));
    metrics.extend(of_loop(&books.hour, books.health(), books.ledger.whole().is_balanced()));
    metrics.extend(of_process(process));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition(metrics)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes everything");
    Response::new(200)
        .with_body("application/openmetrics-text; version=1.0.0; charset=utf-8", text.into_bytes())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Content-Type-Options", "nosniff")
}

fn of_clients(counters: &Counters, ledger: &Ledger, gauges: Gauges) -> Vec<Metric> {
    let dropped =
        DropReason::ALL.map(|reason| (reason.name().to_owned(), counters.dropped[reason as usize])).to_vec();
    let log_lines = gauges.log_lines_dropped.map(|(reason, count)| (reason.to_owned(), count)).to_vec();
    let owed = ledger.whole();
    let metric = |name, help, value| Metric { name, help, value };
    let counter = |name, help, value: u64| metric(name, help, MetricValue::Counter(value as f64));
    let gauge = |name, help, value: f64| metric(name, help, MetricValue::Gauge(value));
    let times = |name, help, times: &Times| metric(name, help, MetricValue::Histogram(times.buckets()));
    let family = |name, help, label, values| metric(name, help, MetricValue::Counters(label, values));
    #[rustfmt::skip]
    let metrics = vec![
        metric("wsloop_build", "The version", MetricValue::Info([("version", VERSION)])),
        gauge("wsloop_connections", "Connections now, in whatever state", gauges.connections as f64),
        gauge("wsloop_operator_connections", "Connections at the address of --admin", gauges.operators as f64),
        counter("wsloop_connections_accepted", "Connections taken from the kernel", counters.accepted),
        family("wsloop_connections_rejected", "Connections and requests refused", "reason", refusals(counters)),
        family("wsloop_connections_closed", "WebSockets that ended, by close code", "code", ends(counters)),
        family("wsloop_accept_errors", "Attempts to accept that failed", "errno", accept_errors(counters)),
        counter("wsloop_messages_received", "Messages from clients", counters.messages_received),
        counter("wsloop_messages_accepted", "Deliveries owed: each message once a receiver", owed.accepted),
        counter("wsloop_messages_delivered", "Deliveries taken to the last byte", owed.delivered),
        family("wsloop_messages_dropped", "Deliveries thrown away", "reason", dropped),
        counter("wsloop_messages_lost", "Deliveries unfinished when their connection ended", owed.lost),
        gauge("wsloop_messages_queued", "Deliveries that wait now", owed.queued as f64),
        counter("wsloop_received_bytes", "Bytes read from sockets", counters.received_bytes),
        counter("wsloop_sent_bytes", "Bytes written to sockets", counters.sent_bytes),
        family("wsloop_log_lines_dropped", "Lines left out of the log", "reason", log_lines),
        gauge("wsloop_buffered_bytes", "Memory of what waits, see --max-buffered", gauges.buffered_bytes as f64),
        gauge("wsloop_unfinished_bytes", "Memory of what has come and is not whole", gauges.unfinished_bytes as f64),
        times("wsloop_turn_duration_seconds", "Time of one turn of the loop", &counters.turns),
        times("wsloop_fanout_duration_seconds", "Time to hand out a turn's messages", &counters.fanouts),
        times("wsloop_ping_rtt_seconds", "Time from a ping to its pong", &counters.round_trips),
    ];
    metrics
}

/// Counts by name, and 0 for each name that has not happened: Prometheus sees no growth in a series whose first value
/// is a count, so the first burst would be missed.
fn from_the_start<N: ToString>(
    names: impl IntoIterator<Item = N>,
    counts: impl IntoIterator<Item = (N, u64)>,
) -> Vec<(String, u64)> {
    let zeros = names.into_iter().map(|name| (name, 0));
    let mut all = BTreeMap::new();
    for (name, count) in zeros.chain(counts) {
        *all.entry(name.to_string()).or_default() += count;
    }
    all.into_iter().collect()
}

fn refusals(counters: &Counters) -> Vec<(String, u64)> {
    let reasons = Refusal::NAMES.into_iter().chain(WITHOUT_ANSWER);
    from_the_start(reasons, counters.rejected.iter().map(|(reason, count)| (*reason, *count)))
}

fn ends(counters: &Counters) -> Vec<(String, u64)> {
    from_the_start(CLOSE_CODES, counters.closed.iter().map(|(code, count)| (*code, *count)))
}

/// By error number. What nobody has foreseen is counted together, so that it is there from the start too.
fn accept_errors(counters: &Counters) -> Vec<(String, u64)> {
    let name = |number: &i32| match ACCEPT_ERRORS.contains(number) {
        true => number.to_string(),
        false => "other".to_owned(),
    };
    let names = ACCEPT_ERRORS.iter().map(name).chain(["other".to_owned()]);
    from_the_start(names, counters.accept_errors.iter().map(|(number, count)| (name(number), *count)))
}

/// What is used, and how much of it there may be.
fn of_limits(gauges: Gauges, standouts: &Standouts, rooms: usize) -> Vec<Metric> {
    let gauge = |name, help, value: usize| Metric { name, help, value: MetricValue::Gauge(value as f64) };
    #[rustfmt::skip]
    let metrics = vec![
        gauge("wsloop_rooms", "Rooms and topics with members", rooms),
        gauge("wsloop_websockets", "WebSockets now", gauges.websockets),
        gauge("wsloop_queued_bytes", "Bytes that wait, once for each client", standouts.queued_bytes),
        gauge("wsloop_largest_queue_bytes", "Bytes that wait for the client with most", standouts.largest_queue()),
        gauge("wsloop_connections_max", "--max-clients", gauges.connections_max),
        gauge("wsloop_queue_bytes_max", "--max-queue", gauges.queue_bytes_max),
        gauge("wsloop_buffered_bytes_max", "--max-buffered", gauges.buffered_bytes_max),
        gauge("wsloop_unfinished_bytes_max", "What wsloop_unfinished_bytes may be", gauges.unfinished_bytes_max),
    ];
    metrics
}

/// What the loop has lived through, and the verdict.
fn of_loop(hour: &Hour, health: Health, is_balanced: bool) -> Vec<Metric> {
    let metric = |name, help, value| Metric { name, help, value };
    let gauge = |name, help, value: f64| metric(name, help, MetricValue::Gauge(value));
    let counter = |name, help, value: f64| metric(name, help, MetricValue::Counter(value));
    let total = hour.total();
    let pause_s = hour.most(|sample| sample.pause) as f64 / 1e3;
    #[rustfmt::skip]
    let metrics = vec![
        gauge("wsloop_health", "The verdict: 0 well, 1 strained, 2 ill", f64::from(health as u8)),
        gauge("wsloop_ledger_balanced", "1 if it is known what became of each delivery", f64::from(u8::from(is_balanced))),
        gauge("wsloop_loop_pause_seconds", "The longest time in the last minute in which the loop did not come round", pause_s),
        counter("wsloop_loop_seconds", "Time that the loop has run", total.elapsed.as_secs_f64()),
        counter("wsloop_loop_idle_seconds", "Of that, time in which there was nothing to do", total.idle.as_secs_f64()),
        counter("wsloop_loop_cpu_seconds", "Of that, time in which its thread had a processor", total.worked.as_secs_f64()),
    ];
    metrics
}

fn of_process(process: Process) -> Vec<Metric> {
    let counter = |name, help, value: Option<f64>| {
        value.map(|value| Metric { name, help, value: MetricValue::Counter(value) })
    };
    let gauge = |name, help, value: Option<f64>| {
        value.map(|value| Metric { name, help, value: MetricValue::Gauge(value) })
    };
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    [
        counter("process_cpu_seconds", "Processor time, user's and system's", process.cpu_seconds),
        gauge("process_start_time_seconds", "Start, in seconds since 1970", process.start_time_seconds),
        gauge("process_resident_memory_bytes", "Memory in use", whole(process.resident_memory_bytes)),
        gauge("process_virtual_memory_bytes", "Address space", whole(process.virtual_memory_bytes)),
        gauge("process_open_fds", "Open files", whole(process.open_files)),
        gauge("process_max_fds", "Open files that are allowed", whole(process.open_files_max)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric { name, help, value } in &self.0 {
            let kind = match value {
                MetricValue::Counter(_) | MetricValue::Counters(..) => MetricType::Counter,
                MetricValue::Gauge(_) => MetricType::Gauge,
                MetricValue::Histogram(_) => MetricType::Histogram,
                MetricValue::Info(_) => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            match value {
                MetricValue::Counter(count) => metric.encode_counter::<NoLabelSet, _, f64>(count, None)?,
                MetricValue::Counters(label, counts) => {
                    for (name, count) in counts {
                        metric
                            .encode_family(&[(*label, name.as_str())])?
                            .encode_counter::<NoLabelSet, _, f64>(count, None)?;
                    }
                }
                MetricValue::Gauge(value) => metric.encode_gauge(value)?,
                MetricValue::Histogram(Buckets { count, sum, buckets }) => {
                    metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
                }
                MetricValue::Info(labels) => metric.encode_info(labels)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Cause;
    use crate::server::books::TURNED_AWAY;
    use crate::websocket::CloseFrame;

    #[test]
    fn what_can_happen_is_there_before_it_happens() {
        let mut counters = Counters::default();
        let before = [refusals(&counters), ends(&counters), accept_errors(&counters)];
        assert!(before.iter().flatten().all(|(_, count)| *count == 0), "{before:?}");
        let reasons = Refusal::NAMES.into_iter().chain(TURNED_AWAY).chain(["displaced"]);
        reasons.for_each(|reason| counters.note_rejection(reason));
        let frames = (0..=u16::MAX).filter_map(|code| CloseFrame::parse(&code.to_be_bytes()).ok());
        let causes = frames.map(Cause::Peer).chain([Cause::Vanished, Cause::NoPong]);
        causes.for_each(|cause| _ = counters.note_end(&cause));
        _ = counters.note_end(&Cause::Peer(CloseFrame { code: None, reason: String::new() }));
        counters.accept_errors.extend([(24, 3), (0, 1), (9_999, 2)]);
        let after = [refusals(&counters), ends(&counters), accept_errors(&counters)];
        let names =
            |family: &Vec<(String, u64)>| family.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(
            before.each_ref().map(names),
            after.each_ref().map(names),
            "no series begins with a count"
        );
        for (family, name, wanted) in [
            (0, "full", 2),
            (0, "unheard", 1),
            (0, "displaced", 1),
            (1, "4xxx", 1_000),
            (2, "24", 3),
            (2, "other", 3),
        ] {
            assert!(after[family].contains(&(name.to_owned(), wanted)), "{name} in {after:?}");
        }
    }
}
