//! What is asked of the load: scenarios, their usual numbers, and what cannot be done.

use std::time::Duration;

use crate::client::{BINARY, TEXT};
use crate::message::SIZE_MIN;

/// The longest time that can be asked for.
const SECONDS_MAX: f64 = 3600.0;
/// One client of so many never reads (stalled): the last of each ten.
pub(super) const STALLED_EVERY: usize = 10;

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

    pub(super) fn check(&self, scenario: Scenario) -> Result<(), String> {
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
            Scenario::Stalled if self.clients < STALLED_EVERY => {
                (false, "one client of ten never reads: --clients is 10 at least")
            }
            Scenario::Stalled => (self.senders == 1, "one client sends: leave --senders out"),
            Scenario::Churn if self.silent => (self.senders == 0, "with --silent nobody sends"),
            Scenario::Churn => (self.senders == self.clients, "everybody sends: leave --senders out"),
            _ => (self.senders > 0, "somebody has to send: --senders is 1 at least"),
        };
        if is_right { Ok(()) } else { Err(format!("{}: {wanted}", scenario.name())) }
    }

    pub(super) fn opcode(&self) -> u8 {
        if self.text { TEXT } else { BINARY }
    }
}

/// How many messages a schedule has in so many seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and `as` saturates")]
pub(super) fn due_within(seconds: f64, rate: f64) -> u32 {
    (seconds * rate).ceil().max(1.0) as u32
}
