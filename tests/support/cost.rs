//! What the server spends on something: processor, memory, bytes, and how long it kept the others waiting.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::http::get;
use super::server::Wsloop;

/// What the formula of `src/OPERATING.md` allows with the default options, and nothing may exceed: 256 MiB that wait
/// for clients, 64 MiB of unfinished messages, 64 MiB of histories, and the server itself.
pub const MEMORY_KIB_MAX: u64 = 400_000_000 / 1024;

/// No turn is longer, however it is attacked. The development profile is several times slower.
const TURN_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 50 });

/// What it had spent when something began.
pub struct Meter {
    cpu: Duration,
    waited: Duration,
    made: u64,
    read: u64,
}

/// What was spent from there on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Time on a processor, and time for which there was none though it could have used it.
    pub cpu: Duration,
    pub waited: Duration,
    /// Bytes handed to sockets, and taken from them.
    pub made: u64,
    pub read: u64,
    /// Memory at the peak, not what was more than before.
    pub peak_kib: u64,
    /// The longest turn of the last ten to twenty seconds.
    pub turn_max: Duration,
}

impl Meter {
    /// Begins here. The peak of the memory is counted from here on.
    pub fn start(server: &Wsloop) -> Meter {
        forget_peak(server);
        let stats = stats(server);
        let (cpu, waited) = schedule(server);
        Meter { cpu, waited, made: number(&stats, "sent_bytes"), read: number(&stats, "received_bytes") }
    }

    /// What it has spent so far.
    pub fn read(&self, server: &Wsloop) -> Cost {
        let (cpu, waited) = schedule(server);
        let stats = stats(server);
        let turn_max = stats["turn_us"]["max"].as_u64().expect("microseconds");
        Cost {
            cpu: cpu.saturating_sub(self.cpu),
            waited: waited.saturating_sub(self.waited),
            made: number(&stats, "sent_bytes") - self.made,
            read: number(&stats, "received_bytes") - self.read,
            peak_kib: server.memory_kib("VmHWM"),
            turn_max: Duration::from_micros(turn_max),
        }
    }
}

impl Cost {
    /// How many times longer things took than they would have taken, had there always been a processor when it had
    /// something to do: what others on a busy machine do to it is no fault of the server's.
    pub fn stretch(&self) -> f64 {
        1.0 + self.waited.as_secs_f64() / self.cpu.max(Duration::from_millis(1)).as_secs_f64()
    }

    /// What is wrong with it, if the server may have so much memory.
    pub fn problems(&self, memory_kib_max: u64) -> Vec<String> {
        let limit = TURN_MAX.mul_f64(self.stretch());
        let turn = format!(
            "a turn of {:.0?}, at most {TURN_MAX:?} (times {:.1}, since it waited for a processor)",
            self.turn_max,
            self.stretch()
        );
        let turn = (self.turn_max > limit).then_some(turn);
        self.memory_problem(memory_kib_max).into_iter().chain(turn).collect()
    }

    /// The same of its memory alone.
    pub fn memory_problem(&self, kib_max: u64) -> Option<String> {
        let [found, most] = [self.peak_kib, kib_max].map(|kib| kib / 1024);
        (self.peak_kib > kib_max).then(|| format!("{found} MiB of memory at the peak, at most {most}"))
    }
}

/// How often a time is measured before it is believed: a machine that stands still for a moment is no fault of the
/// server's, and a server that is slow is so each time.
pub const TRIES: usize = 3;

/// Whether problems, one behind the other, are all of times: of those above, and of what witnesses found.
pub fn are_of_time(problems: &str) -> bool {
    problems
        .split("; ")
        .all(|problem| problem.starts_with("witnesses' ") || problem.starts_with("a turn of "))
}

/// Counts the peak of the server's memory from here on.
pub fn forget_peak(server: &Wsloop) {
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("Linux can");
}

/// From here on the server may map so many bytes, as on a machine that has no more: `ulimit -v`.
pub fn limit_address_space(server: &Wsloop, bytes: u64) {
    let status = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--as={bytes}")])
        .status()
        .expect("util-linux is on every machine");
    assert!(status.success());
}

/// The server's report.
pub fn stats(server: &Wsloop) -> Value {
    serde_json::from_str(get(server, "/stats").text()).expect("JSON")
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("no {name} in {stats}"))
}

/// How long its threads have had a processor, and have waited for one.
fn schedule(server: &Wsloop) -> (Duration, Duration) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the process runs");
    let times = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut words = text.split_ascii_whitespace().map(|word| word.parse().expect("nanoseconds"));
        Some((Duration::from_nanos(words.next()?), Duration::from_nanos(words.next()?)))
    });
    times.fold(Default::default(), |(cpu, waited), (more_cpu, more_waited)| {
        (cpu + more_cpu, waited + more_waited)
    })
}
