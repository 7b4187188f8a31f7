//! The load: what is done to a server, and what is measured meanwhile.

mod churn;
mod closed;
mod firehose;
mod hearing;
mod idle;
mod latency;
mod stalled;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client::{BINARY, Fleet, TEXT, Target};
use crate::measurement::{Latency, Measurement, ServerCost};
use crate::message::{Message, SIZE_MIN};
use crate::process::Process;
use crate::progress::Progress;
use crate::receiver::Incoming;
use hearing::Hearing;

/// Latency is taken at every so many receivers: at all, the load would be busier than the server.
const PROBE_EVERY: usize = 64;
/// Who is silent for so long has no more to say for now.
const QUIET: Duration = Duration::from_millis(150);
/// The longest time that can be asked for.
const SECONDS_MAX: f64 = 3600.0;

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    Fanout,
    Wide,
    Echo,
    Latency,
    Idle,
    Stalled,
    Churn,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Fanout => "fanout",
            Scenario::Wide => "wide",
            Scenario::Echo => "echo",
            Scenario::Latency => "latency",
            Scenario::Idle => "idle",
            Scenario::Stalled => "stalled",
            Scenario::Churn => "churn",
        }
    }
}

/// What is asked for on the command line; the rest follows from the scenario.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// The server; `{}` in the path becomes the number of each client.
    #[arg(long)]
    url: Option<String>,
    /// Connections, senders included.
    #[arg(long)]
    clients: Option<usize>,
    /// Connections that send.
    #[arg(long)]
    senders: Option<usize>,
    /// Messages that each sender has on their way at a time.
    #[arg(long)]
    in_flight: Option<usize>,
    /// Bytes of a payload, 36 at least.
    #[arg(long)]
    size: Option<usize>,
    /// How long is measured.
    #[arg(long)]
    seconds: Option<f64>,
    /// Messages a second, by schedule (latency, stalled).
    #[arg(long)]
    rate: Option<f64>,
    /// The server's process id: its CPU time and memory are measured too.
    #[arg(long)]
    pid: Option<u32>,
    /// Check every byte at every receiver. Slower; not for figures.
    #[arg(long)]
    verify: bool,
    /// Offer permessage-deflate.
    #[arg(long)]
    compression: bool,
    /// Send text messages: for chat rooms. Binary is the default.
    #[arg(long)]
    text: bool,
    /// Clients that are connected beside the others and do nothing (churn).
    #[arg(long)]
    idle: Option<usize>,
    /// Visits say nothing (churn).
    #[arg(long)]
    silent: bool,
    /// Beside it, one client that sends there as fast as it is read (latency).
    #[arg(long, value_name = "URL")]
    firehose: Option<String>,
    /// A server from which nothing came for so many seconds has lost what is missing; it has as long for a handshake.
    #[arg(long)]
    patience: Option<f64>,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
    /// One line of JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) clients: usize,
    pub(crate) senders: usize,
    pub(crate) in_flight: usize,
    pub(crate) size: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    pub(crate) pid: Option<u32>,
    pub(crate) verify: bool,
    pub(crate) compression: bool,
    pub(crate) text: bool,
    pub(crate) idle: usize,
    pub(crate) silent: bool,
    pub(crate) firehose: Option<String>,
    pub(crate) patience: Duration,
    pub(crate) quiet: bool,
}

impl Plan {
    /// A scenario's usual numbers.
    pub(crate) fn usual(scenario: Scenario) -> Plan {
        let path = if matches!(scenario, Scenario::Echo | Scenario::Churn) { "echo" } else { "broadcast" };
        let plan = Plan {
            url: format!("ws://127.0.0.1:8080/{path}"),
            clients: 1000,
            senders: 1,
            in_flight: 1,
            size: 64,
            seconds: 5.0,
            rate: 20.0,
            pid: None,
            verify: false,
            compression: false,
            text: false,
            idle: 0,
            silent: false,
            firehose: None,
            patience: Duration::from_secs(20),
            quiet: false,
        };
        match scenario {
            Scenario::Fanout => plan,
            Scenario::Wide => Plan { clients: 15_000, ..plan },
            Scenario::Echo => Plan { clients: 100, senders: 100, ..plan },
            Scenario::Latency => Plan { clients: 5000, ..plan },
            Scenario::Idle => Plan { clients: 10_000, senders: 0, ..plan },
            // A megabyte a second for each.
            Scenario::Stalled => Plan { size: 10_000, rate: 100.0, seconds: 6.0, ..plan },
            Scenario::Churn => Plan { clients: 64, senders: 64, ..plan },
        }
    }

    /// The usual numbers, except where the command line says otherwise.
    pub(crate) fn new(scenario: Scenario, arguments: &Arguments) -> Plan {
        let usual = Plan::usual(scenario);
        let clients = arguments.clients.unwrap_or(usual.clients);
        let senders = match scenario {
            Scenario::Churn if arguments.silent => 0,
            Scenario::Echo | Scenario::Churn => clients,
            _ => usual.senders,
        };
        Plan {
            url: arguments.url.clone().unwrap_or(usual.url),
            clients,
            senders: arguments.senders.unwrap_or(senders),
            in_flight: arguments.in_flight.unwrap_or(usual.in_flight),
            size: arguments.size.unwrap_or(usual.size),
            seconds: arguments.seconds.unwrap_or(usual.seconds),
            rate: arguments.rate.unwrap_or(usual.rate),
            pid: arguments.pid,
            verify: arguments.verify,
            compression: arguments.compression,
            text: arguments.text,
            idle: arguments.idle.unwrap_or(0),
            silent: arguments.silent,
            firehose: arguments.firehose.clone(),
            // What is no time at all is refused below.
            patience: arguments
                .patience
                .map_or(usual.patience, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
            quiet: arguments.quiet,
        }
    }

    fn check(&self, scenario: Scenario) -> Result<(), String> {
        let open_files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let wanted = (self.clients as u64).saturating_add(self.idle as u64).saturating_add(32);
        if wanted > open_files {
            return Err(format!(
                "{} clients want {wanted} open files, {open_files} are allowed: use fewer, or raise `ulimit -n`",
                self.clients
            ));
        }
        if self.clients == 0 || self.senders > self.clients || self.in_flight == 0 {
            return Err(
                "--clients and --in-flight are 1 at least, --senders no more than --clients".to_owned()
            );
        }
        self.check_senders(scenario)?;
        if self.size < SIZE_MIN {
            return Err(format!("--size is {SIZE_MIN} at least: a message says who sent it, and when"));
        }
        if !(self.seconds > 0.0 && self.seconds <= SECONDS_MAX) {
            return Err("--seconds is more than 0 and at most 3600".to_owned());
        }
        if !(0.001..=1e6).contains(&self.rate) {
            return Err("--rate is from 0.001 to 1000000 messages a second".to_owned());
        }
        if self.patience.is_zero() || self.patience.as_secs_f64() > SECONDS_MAX {
            return Err("--patience is more than 0 and at most 3600 seconds".to_owned());
        }
        Ok(())
    }

    /// A report says how many clients sent. It must not say what nobody did.
    fn check_senders(&self, scenario: Scenario) -> Result<(), String> {
        let (is_right, wanted) = match scenario {
            Scenario::Idle => (self.senders == 0, "nobody sends: leave --senders out"),
            Scenario::Stalled if self.clients < stalled::STALLED_EVERY => {
                (false, "one client of ten never reads: --clients is 10 at least")
            }
            Scenario::Stalled => (self.senders == 1, "one client sends: leave --senders out"),
            Scenario::Churn if self.silent => (self.senders == 0, "with --silent nobody sends"),
            Scenario::Churn => (self.senders == self.clients, "everybody sends: leave --senders out"),
            _ => (self.senders > 0, "somebody has to send: --senders is 1 at least"),
        };
        if is_right { Ok(()) } else { Err(format!("{}: {wanted}", scenario.name())) }
    }

    fn opcode(&self) -> u8 {
        if self.text { TEXT } else { BINARY }
    }
}

/// Does a scenario.
///
/// # Errors
/// If the plan cannot be done, or the clients cannot connect. What the server does wrong after that is among
/// the measurement's problems.
pub(crate) fn run(scenario: Scenario, plan: &Plan) -> Result<Measurement, String> {
    plan.check(scenario)?;
    let mut run = Run::new(scenario, plan)?;
    let outcome = match scenario {
        Scenario::Fanout | Scenario::Wide => closed::fanout(&mut run),
        Scenario::Echo => closed::echo(&mut run),
        Scenario::Latency => latency::measure(&mut run),
        Scenario::Idle => idle::measure(&mut run),
        Scenario::Stalled => stalled::measure(&mut run),
        Scenario::Churn => churn::measure(&mut run),
    };
    run.conclude(scenario, outcome)
}

/// What all scenarios need.
struct Run {
    plan: Plan,
    target: Target,
    process: Option<Process>,
    progress: Progress,
    measurement: Measurement,
    hearing: Hearing,
    /// Until then a failure is not the server's behaviour under load: there was none.
    is_connected: bool,
    started: Instant,
    cpu_before: Duration,
}

impl Run {
    fn new(scenario: Scenario, plan: &Plan) -> Result<Run, String> {
        let process = plan.pid.map(Process::new).transpose()?;
        let measurement = Measurement {
            scenario: scenario.name().to_owned(),
            url: plan.url.clone(),
            clients: plan.clients,
            senders: plan.senders,
            in_flight: plan.in_flight,
            size: plan.size,
            server: process.map(|process| ServerCost {
                memory_before_bytes: process.private_bytes(),
                ..ServerCost::default()
            }),
            ..Measurement::default()
        };
        Ok(Run {
            plan: plan.clone(),
            target: Target::new(&plan.url)?,
            process,
            progress: Progress::new(plan.quiet),
            measurement,
            hearing: Hearing::new(scenario, plan),
            is_connected: false,
            started: Instant::now(),
            cpu_before: Duration::ZERO,
        })
    }

    /// What was measured, and what was wrong. A run that could not go on has a problem, and the figures that
    /// there are.
    fn conclude(mut self, scenario: Scenario, outcome: Result<(), String>) -> Result<Measurement, String> {
        match outcome {
            Err(problem) if !self.is_connected => return Err(problem),
            Err(problem) => self.hearing.complain(problem),
            Ok(()) => {}
        }
        let Run { plan, hearing, mut measurement, .. } = self;
        (measurement.problems, measurement.verified) = judge(scenario, &plan, hearing, &measurement);
        Ok(measurement)
    }

    /// Connects the clients, and lets those listen whom `listens` names.
    fn connect(&mut self, listens: impl Fn(usize) -> bool) -> Result<Fleet, String> {
        let Plan { clients, compression, verify, patience, .. } = self.plan;
        let keeps = |index: usize| verify || index.is_multiple_of(PROBE_EVERY);
        let mut fleet = Fleet::connect(&self.target, clients, compression, keeps, patience, &self.progress)?;
        fleet.listen((0..clients).filter(|&index| listens(index)))?;
        self.is_connected = true;
        // A chat greets, and tells of those who came.
        settle(&mut fleet, patience, |_, _| {})?;
        fleet.check_all_there()?;
        if let (Some(process), Some(server)) = (self.process, &mut self.measurement.server) {
            server.memory_idle_bytes = process.private_bytes();
            server.memory_peak_idle_bytes = process.peak_bytes();
            let more = server.memory_idle_bytes as f64 - server.memory_before_bytes as f64;
            server.memory_per_client_bytes = more / clients as f64;
        }
        self.hearing.epoch = Instant::now();
        Ok(fleet)
    }

    fn begin_window(&mut self) {
        self.started = Instant::now();
        self.cpu_before = self.process.map_or(Duration::ZERO, |process| process.cpu());
    }

    /// Ends the measured time, in which so many messages were sent and received.
    fn end_window(&mut self, messages: u64, deliveries: u64) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.measurement.seconds = seconds;
        self.measurement.messages = messages;
        self.measurement.deliveries = deliveries;
        self.measurement.deliveries_per_second = deliveries as f64 / seconds;
        self.measurement.latency = Latency::of(&self.hearing.latency);
        if let (Some(process), Some(server)) = (self.process, &mut self.measurement.server) {
            server.cpu_seconds = process.cpu().saturating_sub(self.cpu_before).as_secs_f64();
            server.deliveries_per_cpu_second = ratio(deliveries as f64, server.cpu_seconds);
            server.memory_after_bytes = process.private_bytes();
            server.memory_peak_bytes = process.peak_bytes();
        }
    }

    /// The next message of a client, on its way.
    fn say(&mut self, fleet: &mut Fleet, sender: usize) {
        let message = self.hearing.next(sender);
        let size = self.plan.size;
        fleet.queue(sender, self.plan.opcode(), size, |out| message.write(size, out));
    }

    /// Waits for what everybody is still owed, as long as any of it comes.
    fn await_rest(
        &mut self,
        fleet: &mut Fleet,
        owed: &[u64],
        mut each: impl FnMut(Message),
    ) -> Result<(), String> {
        let hearing = &mut self.hearing;
        let mut last_heard = Instant::now();
        while hearing.missing(owed, |index| fleet.end(index).is_none()) > 0
            && last_heard.elapsed() < self.plan.patience
        {
            let before = hearing.total;
            let left = self.plan.patience.saturating_sub(last_heard.elapsed());
            fleet.wait(left.min(Duration::from_millis(500)), |index, incoming| {
                hearing.note(index, incoming).flatten().into_iter().for_each(&mut each);
            })?;
            if hearing.total > before {
                last_heard = Instant::now();
            }
        }
        Ok(())
    }

    /// Everybody is there, has heard what it is owed, and hears no more.
    fn judge_end(&mut self, fleet: &mut Fleet, owed: &[u64]) -> Result<(), String> {
        let hearing = &mut self.hearing;
        settle(fleet, self.plan.patience, |index, incoming| {
            hearing.note(index, incoming);
        })?;
        hearing.judge(owed);
        fleet.check_all_there()
    }

    fn share(&self) -> f64 {
        self.started.elapsed().as_secs_f64() / self.plan.seconds
    }
}

/// What was wrong in a run, and whether all was checked and right.
fn judge(
    scenario: Scenario,
    plan: &Plan,
    mut hearing: Hearing,
    measurement: &Measurement,
) -> (Vec<String>, bool) {
    let (done, what) = match scenario {
        Scenario::Idle => (measurement.answered.unwrap_or(0), "no client was answered"),
        Scenario::Churn => {
            (measurement.handshakes.map_or(0, |visits| visits.count), "no visit came to its end")
        }
        _ => (measurement.deliveries, "nothing was delivered in the measured time"),
    };
    if done == 0 && !hearing.has_problems() {
        hearing.complain(format!("{what}: there is nothing to measure"));
    }
    let is_asleep = measurement.server.is_some_and(|server| server.cpu_seconds <= 0.0);
    if is_asleep && scenario != Scenario::Idle && !hearing.has_problems() {
        hearing.complain("the server's process used no CPU time at all: is it the one of --pid?".to_owned());
    }
    let is_verified = plan.verify && hearing.is_verified();
    (hearing.take_problems(), is_verified)
}

/// Reads until nothing comes for a while.
fn settle(
    fleet: &mut Fleet,
    patience: Duration,
    mut each: impl FnMut(usize, &Incoming<'_>),
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let mut is_quiet = true;
        fleet.wait(QUIET, |index, incoming| {
            is_quiet = false;
            each(index, incoming);
        })?;
        if is_quiet || Instant::now() > deadline {
            return Ok(());
        }
    }
}

/// A figure for each unit of a cost; none, which is zero, where nothing was spent.
fn ratio(figure: f64, cost: f64) -> f64 {
    if cost > 0.0 { figure / cost } else { 0.0 }
}

/// How many messages a schedule has in so many seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and `as` saturates")]
fn due_within(seconds: f64, rate: f64) -> u32 {
    (seconds * rate).ceil().max(1.0) as u32
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("bounds that are right")
}
