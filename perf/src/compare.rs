//! The comparison: floor, wsloop and peers, interleaved round by round, so that what the machine does besides
//! happens to all of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::own_program;
use crate::contenders::{self, Contender, Service, Variant};
use crate::floor::Mode;
use crate::growth;
use crate::load::{self, Plan, Scenario};
use crate::measurement::Measurement;
use crate::peers;
use crate::report;
use crate::results::{Absent, Comparison, ScenarioResult, ServerResult, Target};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long is measured each time.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only these scenarios, or `growth`; see perf/README.md for their names.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Only these peers; `none` for floor and wsloop alone.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// A server from which nothing came for so many seconds has lost what is missing.
    #[arg(long, default_value_t = 20.0)]
    patience: f64,
    /// The wsloop to measure; the one beside this program if not given.
    #[arg(long)]
    wsloop: Option<PathBuf>,
    /// Where the report goes, and what has to be installed; the build's folder if not given.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One short round with few clients and without peers: to see that all works, not for figures.
    #[arg(long)]
    quick: bool,
    /// What is not measured now is taken from the last report in the same folder.
    #[arg(long)]
    keep: bool,
    /// Put table and plots into this file, perf/README.md, and a folder `plots` beside it.
    #[arg(long)]
    readme: Option<PathBuf>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    DeliveriesPerCpuSecond,
    VisitsPerCpuSecond,
    /// At any receiver, in milliseconds.
    P99,
    MemoryPerClient,
    /// How much more memory the server had at its peak, in MiB.
    PeakGrowth,
}

/// One scenario of the comparison.
struct Case {
    name: &'static str,
    title: &'static str,
    scenario: Scenario,
    service: Service,
    mode: Mode,
    figure: Figure,
    target: Option<Target>,
    /// Clients, senders, messages in flight, bytes.
    numbers: (usize, usize, usize, usize),
}

#[rustfmt::skip]
const CASES: [Case; 9] = {
    use Figure::{DeliveriesPerCpuSecond, MemoryPerClient, P99, VisitsPerCpuSecond};
    use Service::{Broadcast, Echo};
    const LEAST: Option<Target> = Some(Target::Ratio(0.98));
    [
        Case { name: "fanout", title: "1 sender, 1,000 receivers, 1 message in flight, 64 bytes", scenario: Scenario::Fanout,
            service: Broadcast, mode: Mode::Direct, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (1000, 1, 1, 64) },
        Case { name: "wide", title: "1 sender, 15,000 receivers, 1 message in flight, 64 bytes", scenario: Scenario::Wide,
            service: Broadcast, mode: Mode::Direct, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (15_000, 1, 1, 64) },
        Case { name: "pipelined", title: "10 senders, 1,000 receivers, 10 messages in flight each, 64 bytes", scenario: Scenario::Fanout,
            service: Broadcast, mode: Mode::Batch, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (1000, 10, 10, 64) },
        Case { name: "many", title: "100 senders, 1,000 receivers, 1 message in flight each, 64 bytes", scenario: Scenario::Fanout,
            service: Broadcast, mode: Mode::Batch, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (1000, 100, 1, 64) },
        Case { name: "echo", title: "echo of 64 bytes to 100 clients", scenario: Scenario::Echo,
            service: Echo, mode: Mode::Echo, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (100, 100, 1, 64) },
        Case { name: "echo-large", title: "echo of 65,000 bytes to 10 clients", scenario: Scenario::Echo,
            service: Echo, mode: Mode::Echo, figure: DeliveriesPerCpuSecond, target: LEAST, numbers: (10, 10, 1, 65_000) },
        Case { name: "latency", title: "20 messages a second by schedule to 5,000 receivers, 64 bytes", scenario: Scenario::Latency,
            service: Broadcast, mode: Mode::Direct, figure: P99, target: Some(Target::Ratio(1.05)), numbers: (5000, 1, 1, 64) },
        Case { name: "visits", title: "64 clients at a time that come, hear one echo and go", scenario: Scenario::Churn,
            service: Echo, mode: Mode::Echo, figure: VisitsPerCpuSecond, target: None, numbers: (64, 64, 1, 64) },
        Case { name: "memory", title: "10,000 clients that do nothing", scenario: Scenario::Idle,
            service: Broadcast, mode: Mode::Direct, figure: MemoryPerClient, target: Some(Target::Absolute(256.0)), numbers: (10_000, 0, 1, 64) },
    ]
};

const STALLED: Case = Case {
    name: "stalled",
    title: "1,000 clients at a megabyte a second each, of which 100 never read, for six seconds",
    scenario: Scenario::Stalled,
    service: Service::Broadcast,
    mode: Mode::Direct,
    figure: Figure::PeakGrowth,
    target: Some(Target::Absolute(16.0)),
    numbers: (1000, 1, 1, 10_000),
};

/// Scenarios in which these variants of wsloop are measured beside the raw one.
const VARIANTS: [(Variant, &[&str]); 2] = [
    (Variant::Room, &["fanout", "wide", "pipelined", "many", "latency", "memory", "stalled"]),
    (Variant::Compressed, &["fanout", "wide", "pipelined", "many", "memory"]),
];

/// Compares and writes the report.
///
/// # Errors
/// If wsloop is not there, or nothing can be written.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let options = options.clone().settled()?;
    let folder = options.out.clone().unwrap_or_else(|| PathBuf::from("target/perf"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let wsloop = options.wsloop.clone().unwrap_or_default();
    let (peers, absent) = if options.peers.iter().any(|name| name == "none") {
        (Vec::new(), Vec::new())
    } else {
        contenders::install_peers(&options.peers, &folder.join("peers"))
    };
    let mut all = vec![Contender::Floor];
    for variant in [Variant::Raw, Variant::Room, Variant::Compressed] {
        all.push(Contender::Wsloop { program: wsloop.clone(), variant });
    }
    all.extend(peers);
    let mut comparison = Comparison {
        date: jiff::Zoned::now().date().to_string(),
        commit: commit(&wsloop),
        machine: machine(),
        absent: absent.into_iter().map(|(server, reason)| Absent { server, reason }).collect(),
        ..Comparison::default()
    };
    let mut last = if options.keep { report::read(&folder)? } else { Comparison::default() };
    for case in CASES.iter().chain([&STALLED]) {
        if !options.wants(case.name) {
            comparison.scenarios.extend(last.scenarios.iter().find(|kept| kept.name == case.name).cloned());
            continue;
        }
        let mut result = measure(case, &all, &options);
        let rounds = result.servers.first().map_or(0, |server| server.values.len());
        result.measured =
            format!("{}, {}, {rounds} × {} s", comparison.date, comparison.commit, options.seconds);
        comparison.scenarios.push(result);
        // What was measured so far is not lost if the rest is interrupted.
        report::write(&comparison, &folder)?;
    }
    let mut problems = Vec::new();
    comparison.growths = if options.wants("growth") {
        let (rounds, patience) = (options.rounds.min(3), Duration::from_secs_f64(options.patience));
        let growths;
        (growths, problems) = growth::measure(&wsloop, rounds, options.seconds, patience, options.quick);
        growths
    } else {
        std::mem::take(&mut last.growths)
    };
    report::write(&comparison, &folder)?;
    println!("{}", folder.join("report.html").display());
    if let Some(readme) = &options.readme {
        let plots = readme.parent().unwrap_or(Path::new(".")).join("plots");
        report::update_readme(&comparison, readme, &plots)?;
    }
    problems.splice(..0, wrong(&comparison));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// What makes the command fail: wsloop or the floor did something wrong, or could not be measured. What others do
/// wrong stands in the report.
fn wrong(comparison: &Comparison) -> Vec<String> {
    let mut problems = Vec::new();
    for scenario in &comparison.scenarios {
        for server in &scenario.servers {
            if server.server != "floor" && !server.server.starts_with("wsloop") {
                continue;
            }
            let name = format!("{}, {}", scenario.name, server.server);
            problems.extend(server.problems.iter().map(|problem| format!("{name}: {problem}")));
            if server.problems.is_empty() && !server.verified {
                problems.push(format!("{name}: not verified"));
            }
        }
    }
    problems
}

impl Options {
    fn settled(mut self) -> Result<Options, String> {
        let own = own_program()?;
        let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
        let wsloop = self.wsloop.take().unwrap_or_else(|| beside.join("wsloop"));
        if !wsloop.is_file() {
            return Err(format!(
                "there is no {}: `cargo build --release` first, or --wsloop",
                wsloop.display()
            ));
        }
        self.wsloop = Some(wsloop);
        self.out.get_or_insert_with(|| beside.join("../perf"));
        if self.quick {
            (self.rounds, self.seconds, self.peers) = (1, 0.1, vec!["none".to_owned()]);
        }
        let known: Vec<&str> = CASES.iter().map(|case| case.name).chain([STALLED.name, "growth"]).collect();
        if let Some(name) = self.scenarios.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("--scenarios: there is no {name}; there are {}", known.join(", ")));
        }
        let peers: Vec<&str> = peers::all().iter().map(|peer| peer.name).chain(["none"]).collect();
        if let Some(name) = self.peers.iter().find(|name| !peers.contains(&name.as_str())) {
            return Err(format!("--peers: there is no {name}; there are {}", peers.join(", ")));
        }
        let is_time = |seconds: f64| seconds > 0.0 && seconds <= 3600.0;
        if self.rounds == 0 || !is_time(self.seconds) || !is_time(self.patience) {
            return Err(
                "--rounds is 1 at least, --seconds and --patience more than 0 and at most 3600".to_owned()
            );
        }
        Ok(self)
    }

    fn wants(&self, name: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|wanted| wanted == name)
    }
}

impl Case {
    fn plan(&self, options: &Options) -> Plan {
        let (clients, senders, in_flight, size) = self.numbers;
        // Few enough for a test, many enough to be a fan-out.
        let few = if options.quick { 50 } else { usize::MAX };
        let plan = Plan::usual(self.scenario);
        let seconds = match self.scenario {
            Scenario::Stalled if options.quick => 1.0,
            Scenario::Stalled => plan.seconds,
            Scenario::Idle => 0.1,
            // Twenty messages a second are few; p99 wants more of them.
            Scenario::Latency => options.seconds * 2.0,
            _ => options.seconds,
        };
        Plan {
            clients: clients.min(few),
            senders: senders.min(few),
            in_flight,
            size,
            seconds,
            patience: Duration::from_secs_f64(options.patience),
            quiet: true,
            ..plan
        }
    }

    fn unit(&self) -> &'static str {
        match self.figure {
            Figure::DeliveriesPerCpuSecond => "deliveries a CPU second",
            Figure::VisitsPerCpuSecond => "visits a CPU second",
            Figure::P99 => "p99 in ms",
            Figure::MemoryPerClient => "bytes a client",
            Figure::PeakGrowth => "MiB more at the peak",
        }
    }

    fn value(&self, measurement: &Measurement) -> f64 {
        let server = measurement.server.unwrap_or_default();
        match self.figure {
            Figure::DeliveriesPerCpuSecond => server.deliveries_per_cpu_second,
            Figure::VisitsPerCpuSecond => {
                measurement.handshakes.map_or(f64::NAN, |visits| visits.per_cpu_second)
            }
            Figure::P99 => measurement.scheduled_latency.map_or(f64::NAN, |latency| latency.p99_us / 1000.0),
            Figure::MemoryPerClient => server.memory_per_client_bytes,
            Figure::PeakGrowth => {
                server.memory_peak_bytes.saturating_sub(server.memory_peak_idle_bytes) as f64
                    / f64::from(1 << 20)
            }
        }
    }

    /// Memory is not worth a ratio: the floor keeps nothing for a client, and everything for a stalled one.
    fn has_ratios(&self) -> bool {
        !matches!(self.figure, Figure::MemoryPerClient | Figure::PeakGrowth)
    }
}

fn measure(case: &Case, all: &[Contender], options: &Options) -> ScenarioResult {
    let takes_part = |contender: &&Contender| {
        contender.serves(case.service)
            && match contender.variant() {
                Some(Variant::Raw) | None => true,
                Some(variant) => {
                    VARIANTS.iter().any(|(of, names)| *of == variant && names.contains(&case.name))
                }
            }
    };
    let contenders: Vec<&Contender> = all.iter().filter(takes_part).collect();
    let mut servers: Vec<ServerResult> = contenders.iter().map(|contender| empty(contender.name())).collect();
    for (contender, server) in contenders.iter().zip(&mut servers) {
        verify(case, contender, options, server);
    }
    // Memory is the same each time.
    let rounds = if case.has_ratios() { options.rounds } else { options.rounds.min(3) };
    for round in 0..rounds {
        let mut floor = f64::NAN;
        for (contender, server) in contenders.iter().zip(&mut servers) {
            eprintln!("{}, round {} of {rounds}: {}", case.name, round + 1, contender.name());
            let value = match once(case, contender, &case.plan(options)) {
                Ok(measurement) => {
                    // A run that went wrong has no figure.
                    let is_right = measurement.problems.is_empty();
                    let value = if is_right { case.value(&measurement) } else { f64::NAN };
                    server.problems.extend(measurement.problems.iter().cloned());
                    server.remark = remark(&measurement);
                    server.measurements.push(measurement);
                    value
                }
                Err(problem) => {
                    eprintln!("  {problem}");
                    server.problems.push(problem);
                    f64::NAN
                }
            };
            server.values.push(value);
            if matches!(contender, Contender::Floor) {
                floor = value;
            }
            if case.has_ratios() {
                server.ratios.push(value / floor);
            }
        }
    }
    ScenarioResult {
        name: case.name.to_owned(),
        title: case.title.to_owned(),
        unit: case.unit().to_owned(),
        is_more_better: !matches!(case.figure, Figure::P99 | Figure::MemoryPerClient | Figure::PeakGrowth),
        target: case.target,
        servers,
        measured: String::new(),
    }
}

/// A run beside the timed ones, in which every receiver's bytes are checked.
fn verify(case: &Case, contender: &Contender, options: &Options, server: &mut ServerResult) {
    let plan = case.plan(options);
    let plan = Plan { verify: true, seconds: plan.seconds.min(1.0), ..plan };
    match once(case, contender, &plan) {
        Ok(measurement) => {
            server.verified = measurement.verified;
            server.problems.extend(measurement.problems);
        }
        Err(problem) => server.problems.push(problem),
    }
}

fn once(case: &Case, contender: &Contender, plan: &Plan) -> Result<Measurement, String> {
    let server = contender.start(case.service, case.mode)?;
    let plan = Plan {
        url: server.url.clone(),
        pid: Some(server.pid()),
        text: contender.variant() == Some(Variant::Room),
        compression: contender.variant() == Some(Variant::Compressed),
        ..plan.clone()
    };
    load::measure(case.scenario, &plan)
}

fn empty(name: &str) -> ServerResult {
    ServerResult {
        server: name.to_owned(),
        values: Vec::new(),
        ratios: Vec::new(),
        measurements: Vec::new(),
        problems: Vec::new(),
        verified: false,
        remark: String::new(),
    }
}

fn remark(measurement: &Measurement) -> String {
    let Some(stalled) = &measurement.stalled else { return String::new() };
    // Rounded down: 100 % is all.
    let share = 100 * stalled.delivered / stalled.owed.max(1);
    let codes: Vec<_> = stalled.close_codes.keys().map(String::as_str).collect();
    let with = if codes.is_empty() { String::new() } else { format!(" with {}", codes.join(", ")) };
    format!("{share} % delivered, {} of {} cut{with}", stalled.cut, stalled.clients)
}

/// Processor, cores and kernel.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release: String = release.trim().split('.').take(2).collect::<Vec<_>>().join(".");
    format!("{cores} cores of {}, Linux {release}, loopback", model.trim_start_matches([' ', '\t', ':']))
}

/// The commit of the checkout that wsloop was built from, if there is one.
fn commit(wsloop: &Path) -> String {
    let folder = wsloop.parent().unwrap_or(Path::new("."));
    let inside = [folder, Path::new(".")].into_iter().find_map(|folder| {
        let output = Command::new("git")
            .args(["describe", "--always", "--dirty=+"])
            .current_dir(folder)
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    inside.unwrap_or_else(|| "unknown".to_owned())
}
