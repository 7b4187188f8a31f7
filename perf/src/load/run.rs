//! One run of a scenario: its clients, its measured time, and what is to be said of it in the end.

use std::time::{Duration, Instant};

use super::hearing::Hearing;
use super::plan::{Plan, Scenario};
use crate::client::{Fleet, ServerUrl};
use crate::measurement::{Latency, Measurement, ServerCost};
use crate::message::Message;
use crate::process::Process;
use crate::progress::Progress;
use crate::receiver::Incoming;

/// Latency is taken at every so many receivers: at all, the load would be busier than the server.
const PROBE_EVERY: usize = 64;
/// A server that is silent for so long has no more to say for now.
const QUIET: Duration = Duration::from_millis(150);

/// What all scenarios need.
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) server_url: ServerUrl,
    process: Option<Process>,
    pub(super) progress: Progress,
    pub(super) measurement: Measurement,
    pub(super) hearing: Hearing,
    /// Until then a failure is not the server's behaviour under load: there was none.
    pub(super) is_connected: bool,
    pub(super) started: Instant,
    cpu_before: Duration,
}

impl Run {
    pub(super) fn new(scenario: Scenario, plan: &Plan) -> Result<Run, String> {
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
            server_url: ServerUrl::new(&plan.url)?,
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
    pub(super) fn conclude(
        mut self,
        scenario: Scenario,
        outcome: Result<(), String>,
    ) -> Result<Measurement, String> {
        match outcome {
            Err(problem) if !self.is_connected => return Err(problem),
            Err(problem) => self.hearing.complain(problem),
            Ok(()) => {}
        }
        let Run { plan, hearing, mut measurement, .. } = self;
        (measurement.problems, measurement.verified) = judge(scenario, &plan, hearing, &measurement);
        Ok(measurement)
    }

    /// Connects the clients, and lets those listen that `listens` names.
    pub(super) fn connect(&mut self, listens: impl Fn(usize) -> bool) -> Result<Fleet, String> {
        let Plan { clients, compression, verify, patience, .. } = self.plan;
        let keeps = |index: usize| verify || index.is_multiple_of(PROBE_EVERY);
        let mut fleet =
            Fleet::connect(&self.server_url, clients, compression, keeps, patience, &self.progress)?;
        fleet.listen((0..clients).filter(|&index| listens(index)))?;
        self.is_connected = true;
        // A chat greets, and tells of those that came.
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

    pub(super) fn begin_window(&mut self) {
        self.started = Instant::now();
        self.cpu_before = self.process.map_or(Duration::ZERO, |process| process.cpu());
    }

    /// Ends the measured time, in which so many messages were sent and received.
    pub(super) fn end_window(&mut self, messages: u64, deliveries: u64) {
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
    pub(super) fn say(&mut self, fleet: &mut Fleet, sender: usize) {
        let message = self.hearing.next_message(sender);
        let size = self.plan.size;
        fleet.queue(sender, self.plan.opcode(), size, |out| message.write(size, out));
    }

    /// Waits for what everybody is still owed, as long as any of it comes.
    pub(super) fn await_rest(
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
    pub(super) fn judge_end(&mut self, fleet: &mut Fleet, owed: &[u64]) -> Result<(), String> {
        let hearing = &mut self.hearing;
        settle(fleet, self.plan.patience, |index, incoming| {
            hearing.note(index, incoming);
        })?;
        hearing.judge(owed);
        fleet.check_all_there()
    }

    pub(super) fn share(&self) -> f64 {
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
pub(super) fn ratio(figure: f64, cost: f64) -> f64 {
    if cost > 0.0 { figure / cost } else { 0.0 }
}
