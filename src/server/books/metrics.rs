//! `/metrics`: the counters in the text form of OpenMetrics, which Prometheus reads. No label holds a
//! user's text or an address.

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
use super::{Books, Gauges, Standouts, VERSION};
use crate::http::Response;
use crate::server::environment::Process;

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
    let named = |(name, count): (&&'static str, &u64)| ((*name).to_owned(), *count);
    let rejected = counters.rejected.iter().map(named).collect();
    let closed = counters.closed.iter().map(named).collect();
    let errors = counters.accept_errors.iter().map(|(number, count)| (number.to_string(), *count)).collect();
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
        family("wsloop_connections_rejected", "Connections and requests refused", "reason", rejected),
        family("wsloop_connections_closed", "WebSockets that ended, by close code", "code", closed),
        family("wsloop_accept_errors", "Attempts to accept that failed", "errno", errors),
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
    #[rustfmt::skip]
    let metrics = vec![
        gauge("wsloop_health", "The verdict: 0 well, 1 strained, 2 ill", f64::from(health as u8)),
        gauge("wsloop_ledger_balanced", "1 if it is known what became of each delivery", f64::from(u8::from(is_balanced))),
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
