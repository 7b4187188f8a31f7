//! The load: what is done to a server, and what is measured meanwhile.

mod churn;
mod closed;
mod firehose;
mod idle;
mod latency;
mod stalled;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client::{BINARY, Fleet, TEXT, Target};
use crate::measurement::{Measurement, ServerCost};
use crate::message::{Ledger, Message, SIZE_MIN};
use crate::process::Process;
use crate::progress::Progress;
use crate::receiver::Incoming;

/// Latency is taken at every so many receivers: at all, the load would be busier than the server.
const PROBE_EVERY: usize = 64;
/// Problems told one by one; the rest are counted.
const PROBLEMS_TOLD_MAX: usize = 20;

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
    /// A server from which nothing came for so many seconds has lost what is missing.
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
        let everybody_sends = usual.senders == usual.clients;
        let clients = arguments.clients.unwrap_or(usual.clients);
        Plan {
            url: arguments.url.clone().unwrap_or(usual.url),
            clients,
            senders: arguments.senders.unwrap_or(if everybody_sends { clients } else { usual.senders }),
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
            patience: arguments
                .patience
                .map_or(usual.patience, |seconds| Duration::from_secs_f64(seconds.max(0.0))),
            quiet: arguments.quiet,
        }
    }

    fn check(&self) -> Result<(), String> {
        let open_files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let wanted = (self.clients + self.idle) as u64 + 32;
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
        if self.size < SIZE_MIN {
            return Err(format!("--size is {SIZE_MIN} at least: a message says who sent it, and when"));
        }
        if !(self.seconds > 0.0 && self.seconds <= 3600.0 && self.rate > 0.0) {
            return Err("--seconds is more than 0 and at most 3600, --rate more than 0".to_owned());
        }
        Ok(())
    }

    fn opcode(&self) -> u8 {
        if self.text { TEXT } else { BINARY }
    }
}

/// Does a scenario.
///
/// # Errors
/// If the server cannot be reached, throws a client out, or stops to answer. What it does wrong otherwise is
/// among the measurement's problems.
pub(crate) fn run(scenario: Scenario, plan: &Plan) -> Result<Measurement, String> {
    plan.check()?;
    let mut run = Run::new(scenario, plan)?;
    match scenario {
        Scenario::Fanout | Scenario::Wide => closed::fanout(&mut run)?,
        Scenario::Echo => closed::echo(&mut run)?,
        Scenario::Latency => latency::measure(&mut run)?,
        Scenario::Idle => idle::measure(&mut run)?,
        Scenario::Stalled => stalled::measure(&mut run)?,
        Scenario::Churn => churn::measure(&mut run)?,
    }
    Ok(run.measurement)
}

/// What all scenarios need.
struct Run {
    plan: Plan,
    target: Target,
    process: Option<Process>,
    progress: Progress,
    measurement: Measurement,
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
            verified: plan.verify,
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
            started: Instant::now(),
            cpu_before: Duration::ZERO,
        })
    }

    /// Connects the clients, and lets those listen whom `listens` names.
    fn connect(&mut self, listens: impl Fn(usize) -> bool) -> Result<Fleet, String> {
        let Plan { clients, compression, verify, .. } = self.plan;
        let keeps = |index: usize| verify || index.is_multiple_of(PROBE_EVERY);
        let mut fleet = Fleet::connect(&self.target, clients, compression, keeps, &self.progress)?;
        fleet.listen((0..clients).filter(|&index| listens(index)))?;
        // A chat greets, and tells of those who came.
        settle(&mut fleet, self.plan.patience)?;
        if let (Some(process), Some(server)) = (self.process, &mut self.measurement.server) {
            server.memory_idle_bytes = process.private_bytes();
            server.memory_peak_idle_bytes = process.peak_bytes();
            let more = server.memory_idle_bytes as f64 - server.memory_before_bytes as f64;
            server.memory_per_client_bytes = more / clients as f64;
        }
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
        if let (Some(process), Some(server)) = (self.process, &mut self.measurement.server) {
            server.cpu_seconds = process.cpu().saturating_sub(self.cpu_before).as_secs_f64();
            server.deliveries_per_cpu_second = deliveries as f64 / server.cpu_seconds.max(1e-9);
            server.memory_after_bytes = process.private_bytes();
            server.memory_peak_bytes = process.peak_bytes();
        }
    }

    fn share(&self) -> f64 {
        self.started.elapsed().as_secs_f64() / self.plan.seconds
    }
}

/// Reads until nothing comes for a while.
fn settle(fleet: &mut Fleet, patience: Duration) -> Result<(), String> {
    const QUIET: Duration = Duration::from_millis(150);
    let deadline = Instant::now() + patience;
    loop {
        let mut is_quiet = true;
        fleet.wait(QUIET, |_, _| is_quiet = false)?;
        if is_quiet || Instant::now() > deadline {
            return fleet.check_all_there();
        }
    }
}

/// What the receivers have heard.
struct Hearing {
    size: usize,
    verify: bool,
    /// Compressed messages are shorter than what was said.
    counts_all: bool,
    /// Since when the times in messages count.
    epoch: Instant,
    received: Vec<u64>,
    total: u64,
    ledgers: Vec<Ledger>,
    latency: Histogram<u64>,
    problems: Vec<String>,
    problem_count: usize,
}

impl Hearing {
    fn new(plan: &Plan, epoch: Instant) -> Hearing {
        Hearing {
            size: plan.size,
            verify: plan.verify,
            counts_all: plan.compression,
            epoch,
            received: vec![0; plan.clients],
            total: 0,
            ledgers: vec![Ledger::default(); if plan.verify { plan.clients } else { 0 }],
            latency: histogram(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// Notes what came. `None`: it was no message of the load. Else the message, where it was looked at.
    fn note(&mut self, index: usize, incoming: &Incoming<'_>) -> Option<Option<Message>> {
        let Incoming::Message { length, payload, .. } = incoming else { return None };
        // A chat's own lines are short; compressed ones are counted, whatever they are.
        let is_looked_at = *length > 0 && payload.len() == *length;
        let message = if is_looked_at {
            Some(Message::read(payload, self.size)?)
        } else if *length < self.size && !self.counts_all {
            return None;
        } else {
            None
        };
        self.received[index] += 1;
        self.total += 1;
        if let Some(message) = message {
            let nanoseconds = self.epoch.elapsed().saturating_sub(message.at).as_nanos();
            self.latency.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            if self.verify
                && let Err(problem) = self.ledgers[index].check(message, payload, self.size)
            {
                self.complain(format!("receiver {index}: {problem}"));
            }
        }
        Some(message)
    }

    fn complain(&mut self, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_TOLD_MAX {
            self.problems.push(problem);
        }
    }

    /// What was wrong, at most so many lines.
    fn into_problems(mut self) -> Vec<String> {
        if self.problem_count > self.problems.len() {
            self.problems.push(format!("and {} more", self.problem_count - self.problems.len()));
        }
        self.problems
    }
}

/// How many messages a schedule has in so many seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and `as` saturates")]
fn due_within(seconds: f64, rate: f64) -> u32 {
    (seconds * rate).ceil().max(1.0) as u32
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("bounds that are right")
}

/// Queues the next message of a sender.
fn say(fleet: &mut Fleet, plan: &Plan, sender: usize, number: u32, at: Duration) {
    let sender_number = u32::try_from(sender).unwrap_or(u32::MAX);
    let message = Message { sender: sender_number, number, at };
    fleet.queue(sender, plan.opcode(), plan.size, |out| message.write(plan.size, out));
}
