//! A server with witnesses, and what must hold when a scenario is over.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cost::{self, Cost, MEMORY_KIB_MAX, Meter, stats};
use crate::support::raw::PATIENCE;
use crate::support::server::{Wsloop, wait_until};
use crate::support::witness::{Testimony, Watch, Watched};

/// What an allocator may keep, in KiB: beside a tenth, and some bytes for each client that was there at the
/// peak, since slots are used again.
const MEMORY_SLACK_KIB: u64 = 6 * 1024;
const CLIENT_BYTES: u64 = 1024;

/// Two who join a room one after the other: the first hears of both, the second of itself.
const JOINS: u64 = 3;

/// A scenario in progress.
pub(crate) struct Stage {
    pub(crate) server: Wsloop,
    pub(crate) watch: Watch,
    /// How witnesses fared before anything happened.
    pub(crate) idle: Watched,
    meter: Meter,
    counted: Option<Counted>,
    files_before: usize,
    memory_before: u64,
}

/// What clients counted themselves, all of them together: messages said, once for each who was to hear them (of who
/// was cut meanwhile only the server knows when), and messages heard.
#[derive(Clone, Copy, Debug)]
struct Counted {
    owed_min: u64,
    owed_max: u64,
    heard: u64,
}

/// What witnesses may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Others are slow, silent or few: as good as nothing.
    Slow,
    /// Others flood: a median of 10 ms, 100 ms at most.
    Flood,
    /// The server is stopped meanwhile, or busy with what it is there for; the scenario has a measure of its own.
    Own,
}

/// Figures of a scenario, by name.
pub(crate) type Figures = Vec<(&'static str, String)>;

impl Stage {
    /// Starts a server and witnesses on it.
    pub(crate) fn start(options: &[&str]) -> Stage {
        let server = Wsloop::start(options);
        let watch = Watch::start(&server);
        watch.settle();
        let idle = watch.observe(Duration::from_millis(500));
        let meter = Meter::start(&server);
        let (files_before, memory_before) = (server.open_files(), server.memory_kib("VmRSS"));
        Stage { server, watch, idle, meter, counted: None, files_before, memory_before }
    }

    /// A number of the server's own report, by the path of its names.
    pub(crate) fn stat(&self, path: &[&str]) -> u64 {
        number(&stats(&self.server), path)
    }

    /// Counts the peak of the server's memory from here on.
    pub(crate) fn forget_peak(&self) {
        cost::forget_peak(&self.server);
    }

    /// Everything that was said beside the witnesses is counted: the server's books must say the same.
    pub(crate) fn counts(&mut self, owed: u64, heard: u64) {
        self.counts_between(owed, owed, heard);
    }

    /// The same, where some were cut on the way.
    pub(crate) fn counts_between(&mut self, owed_min: u64, owed_max: u64, heard: u64) {
        self.counted = Some(Counted { owed_min, owed_max, heard });
    }

    /// The scenario is over, with so many clients at its peak: all must be as it was before.
    pub(crate) fn end(self, gate: Gate, clients: u64, mut figures: Figures) -> Figures {
        let during = self.watch.take();
        self.hold_to(gate, &during);
        let Stage { server, watch, counted, files_before, memory_before, .. } = self;
        let said = watch.said_so_far();
        wait_until("the witnesses go on", PATIENCE, || {
            watch.said_so_far().iter().zip(said).all(|(now, before)| *now > before + 20)
        });
        wait_until("descriptors are free again", PATIENCE, || server.open_files() <= files_before);
        wait_until("the gauges are at zero", PATIENCE, || {
            let stats = stats(&server);
            number(&stats, &["deliveries", "queued"]) == 0 && number(&stats, &["buffered_bytes"]) == 0
        });
        let allowed = memory_before + memory_before / 10 + MEMORY_SLACK_KIB + clients * CLIENT_BYTES / 1024;
        let mut memory = 0;
        wait_until(&format!("memory is back at {allowed} KiB, from {memory_before}"), PATIENCE, || {
            memory = server.memory_kib("VmRSS");
            memory <= allowed
        });
        let testimony = watch.finish();
        let messages: u64 = testimony.said.iter().sum();
        assert!(messages > 20, "a scenario without messages shows nothing");
        figures.push(("witnesses: messages, 0 lost, doubled, swapped", messages.to_string()));
        if during.subject.messages > 0 {
            let subject = during.subject;
            let [p50, p99, max] = [subject.p50, subject.p99, subject.max].map(|time| time as f64 / 1000.0);
            figures.push(("witnesses: p50, p99, max in ms", format!("{p50:.2}, {p99:.2}, {max:.2}")));
        }
        figures.push((
            "server's memory before and after, MiB",
            format!("{:.1}, {:.1}", mib(memory_before), mib(memory)),
        ));
        let accepted = compare_books(&server, &testimony, counted);
        drop(testimony);
        finish(server, accepted);
        figures
    }

    /// What the scenario has cost so far.
    pub(crate) fn cost(&self) -> Cost {
        self.meter.read(&self.server)
    }

    /// What the attack cost the others.
    fn hold_to(&self, gate: Gate, during: &Watched) {
        let cost = self.cost();
        let mut problems = match gate {
            Gate::Slow => during.beside_slow_ones(&self.idle, &cost),
            Gate::Flood => during.under_a_flood(&cost),
            Gate::Own => Vec::new(),
        };
        problems.extend(match gate {
            Gate::Own => cost.memory_problem(MEMORY_KIB_MAX).into_iter().collect(),
            Gate::Slow | Gate::Flood => cost.problems(MEMORY_KIB_MAX),
        });
        assert!(problems.is_empty(), "{}", problems.join("; "));
    }
}

/// What the server says of deliveries is what clients counted. Returns how many there were, if all of them counted. The witnesses are still there.
fn compare_books(server: &Wsloop, testimony: &Testimony, counted: Option<Counted>) -> Option<u64> {
    let [topic, room] = testimony.said;
    let (topic, room) = (2 * topic, JOINS + 2 * room);
    let stats = stats(server);
    for (kind, heard) in [("topic", topic), ("room", room)] {
        let rooms = stats["largest_rooms"].as_array().expect("a list");
        let of_two = rooms.iter().filter(|room| room["kind"] == kind && room["members"] == 2);
        let books: Vec<&Value> = of_two.map(|room| &room["deliveries"]).collect();
        let is_told = books.iter().any(|deliveries| {
            number(deliveries, &["accepted"]) == heard && number(deliveries, &["delivered"]) == heard
        });
        assert!(is_told, "two witnesses on a {kind} heard {heard}, but the server says {books:?}");
    }
    let of = |name: &str| number(&stats, &["deliveries", name]);
    let all = &stats["deliveries"];
    let heard = topic + room + counted.map_or(0, |counted| counted.heard);
    assert!(of("delivered") >= heard, "clients heard {heard}, but: {all}");
    let counted = counted?;
    let accepted = of("accepted");
    let owed = topic + room + counted.owed_min..=topic + room + counted.owed_max;
    assert!(owed.contains(&accepted), "clients said what makes {owed:?} deliveries, but: {all}");
    let unheard = accepted - of("delivered");
    assert_eq!(of("dropped") + of("lost"), unheard, "{counted:?}: {all}");
    assert!(unheard <= accepted - heard, "what was heard was not lost: {counted:?}: {all}");
    Some(accepted)
}

/// Stops a server. The last line of its books is what clients counted, where they did.
fn finish(mut server: Wsloop, accepted: Option<u64>) {
    server.signal("TERM");
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    let log = server.log();
    let line = log.lines().rev().find_map(|line| line.split_once("deliveries: ")).expect("the last page").1;
    let said: u64 = line.split(' ').find_map(|word| word.parse().ok()).expect("a number");
    if let Some(accepted) = accepted {
        // One of two witnesses may have been told that the other has left the room.
        assert!((accepted..=accepted + 1).contains(&said), "{accepted} by the last report: {line}");
    }
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
