//! A server with witnesses, and what must hold when a scenario is over.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::get;
use crate::support::raw::PATIENCE;
use crate::support::server::{Wsloop, wait_until};
use crate::witness::Witnesses;

/// What an allocator may keep, in KiB: beside a tenth, and some bytes for each client that was there at the
/// peak, since slots are used again.
const MEMORY_SLACK_KIB: u64 = 6 * 1024;
const CLIENT_BYTES: u64 = 1024;

/// A scenario in progress.
pub(crate) struct Stage {
    pub(crate) server: Wsloop,
    pub(crate) witnesses: Witnesses,
    files_before: usize,
    memory_before: u64,
}

/// Figures of a scenario, by name.
pub(crate) type Figures = Vec<(&'static str, String)>;

impl Stage {
    /// Starts a server and witnesses on it.
    pub(crate) fn start(options: &[&str]) -> Stage {
        let server = Wsloop::start(options);
        let witnesses = Witnesses::start(server.address());
        let quiet = witnesses.observe(Duration::from_millis(300));
        assert!(quiet.messages > 10, "the witnesses talk: {quiet:?}");
        let (files_before, memory_before) = (server.open_files(), server.memory_kib("VmRSS"));
        Stage { server, witnesses, files_before, memory_before }
    }

    /// A number of the server's own report, by the path of its names.
    pub(crate) fn stat(&self, path: &[&str]) -> u64 {
        number(&stats(&self.server), path)
    }

    /// Counts the peak of the server's memory from here on.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").expect("Linux can");
    }

    /// The scenario is over, with so many clients at its peak: all must be as it was before.
    pub(crate) fn end(self, clients: u64, mut figures: Figures) -> Figures {
        let Stage { server, witnesses, files_before, memory_before } = self;
        let during = witnesses.take();
        let after = witnesses.observe(Duration::from_millis(500));
        assert!(after.messages > 10, "the witnesses go on: {after:?}");
        wait_until("descriptors are free again", PATIENCE, || server.open_files() <= files_before);
        wait_until("the gauges are at zero", PATIENCE, || {
            let stats = stats(&server);
            number(&stats, &["deliveries", "queued"]) == 0 && number(&stats, &["buffered_bytes"]) == 0
        });
        let memory = server.memory_kib("VmRSS");
        let allowed = memory_before + memory_before / 10 + MEMORY_SLACK_KIB + clients * CLIENT_BYTES / 1024;
        assert!(
            memory <= allowed,
            "{memory} KiB afterwards, {memory_before} KiB before, {allowed} KiB are allowed"
        );
        let messages = witnesses.finish();
        assert!(messages > 20, "a scenario without messages shows nothing");
        figures.push(("witnesses: messages, 0 lost, doubled, swapped", messages.to_string()));
        if during.messages > 0 {
            let [p50, p99, max] = [during.p50, during.p99, during.max].map(|time| time as f64 / 1000.0);
            figures.push(("witnesses: p50, p99, max in ms", format!("{p50:.2}, {p99:.2}, {max:.2}")));
        }
        figures.push((
            "server's memory before and after, MiB",
            format!("{:.1}, {:.1}", mib(memory_before), mib(memory)),
        ));
        finish(server);
        figures
    }
}

/// Stops a server; its ledger must balance to the end.
pub(crate) fn finish(mut server: Wsloop) {
    server.signal("TERM");
    assert_eq!(server.wait_exit(Duration::from_secs(20)), Some(0));
    let log = server.wait_for_log(PATIENCE, |log| log.contains("stopped: "));
    let line = log.lines().rev().find_map(|line| line.split_once("deliveries: ")).expect("the last page").1;
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [accepted, delivered, dropped, lost] = numbers[..] else { panic!("{line}") };
    assert_eq!(accepted, delivered + dropped + lost, "{line}");
}

/// The server's report. Balanced, for all and for each room.
pub(crate) fn stats(server: &Wsloop) -> Value {
    let stats: Value = serde_json::from_str(get(server, "/stats").text()).expect("JSON");
    let rooms = stats["largest_rooms"].as_array().expect("a list");
    for deliveries in rooms.iter().map(|room| &room["deliveries"]).chain([&stats["deliveries"]]) {
        let sum: u64 =
            ["delivered", "dropped", "lost", "queued"].iter().map(|name| number(deliveries, &[name])).sum();
        assert_eq!(number(deliveries, &["accepted"]), sum, "{deliveries}");
    }
    stats
}

pub(crate) fn number(value: &Value, path: &[&str]) -> u64 {
    let found = path.iter().fold(value, |value, name| &value[name]);
    found.as_u64().unwrap_or(0)
}

pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Memory of all TCP sockets of the machine, both ends of each, in KiB.
pub(crate) fn kernel_memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").expect("Linux has it");
    let pages: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP:")?.split_once("mem ")?.1.trim().parse().ok())
        .expect("the memory of TCP");
    pages * 4
}

/// Processor time of a process, in milliseconds.
pub(crate) fn cpu_milliseconds(server: &Wsloop) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_ascii_whitespace().collect();
    [11, 12].iter().map(|&index: &usize| fields[index].parse::<u64>().expect("a count") * 10).sum()
}

/// Waits until a condition holds, and says how long that took.
pub(crate) fn time_until(what: &str, within: Duration, condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    wait_until(what, within, condition);
    started.elapsed()
}
