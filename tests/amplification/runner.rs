//! Runs a case on a server of its own, beside witnesses, and measures it.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::requests::{Case, Form, Packet, primer};
use crate::support::attacker::{Attacker, Manner, fill_history};
use crate::support::cost::{Cost, MEMORY_KIB_MAX, Meter, TRIES, are_of_time, limit_address_space};
use crate::support::http::Request;
use crate::support::limits::MESSAGE_BYTES_MAX;
use crate::support::raw::RawClient;
use crate::support::server::Wsloop;
use crate::support::witness::{Watch, Watched};

/// For so long packets are sent, each once the one before is handled.
const TIME: Duration = Duration::from_millis(60);
/// For so long at most the last packet may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Connections that are kept open by one who does not read.
const KEPT_MAX: usize = 500;

/// A machine with so little is found.
const ADDRESS_SPACE: u64 = 4 << 30;

pub(crate) const HEADING: &str = "\
form  request                                           deflate reads   sent KiB    made KiB  made/sent  ns/byte  peak MiB  \
turn ms  p50 ms  max ms";

/// Servers one after the other, and witnesses on each.
pub(crate) struct Runner {
    watch: Watch,
    /// That of the witnesses, until they are asked what they heard.
    server: Wsloop,
}

impl Runner {
    pub(crate) fn start() -> Runner {
        let server = Wsloop::start(&[]);
        Runner { watch: Watch::start(&server), server }
    }

    /// One line of the table, and what is wrong; times are measured again before they are believed.
    pub(crate) fn run(&mut self, case: &Case) -> (String, Vec<String>) {
        let mut outcome = self.run_once(case);
        for _ in 1..TRIES {
            if outcome.1.is_empty() || !are_of_time(&outcome.1.join("; ")) {
                break;
            }
            outcome = self.run_once(case);
        }
        outcome
    }

    fn run_once(&mut self, case: &Case) -> (String, Vec<String>) {
        let server = Wsloop::start(&[]);
        limit_address_space(&server, ADDRESS_SPACE);
        let epoch = prepare(&server);
        self.watch.turn_to(&server);
        // The one before has been asked.
        self.server = server;
        match catch_unwind(AssertUnwindSafe(|| self.measure(case, &epoch))) {
            Ok(outcome) => outcome,
            Err(panic) => {
                // It is still on its way out, when others find it gone.
                let deadline = Instant::now() + PATIENCE;
                while self.server.is_running() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(10));
                }
                if self.server.is_running() {
                    resume_unwind(panic);
                }
                // Its witnesses are lost with it.
                self.server = Wsloop::start(&[]);
                self.watch = Watch::start(&self.server);
                (case.to_string(), vec!["the server has ended".to_owned()])
            }
        }
    }

    fn measure(&self, case: &Case, epoch: &str) -> (String, Vec<String>) {
        let server = &self.server;
        // A member who hears JSON and reads all.
        let _audience = Attacker::connect(server, member(true));
        self.watch.observe(Duration::from_millis(20));
        let meter = Meter::start(server);
        let sent = attack(server, case, epoch);
        let watched = self.watch.take();
        let cost = meter.read(server);
        let mut problems = [watched.under_a_flood(&cost), cost.problems(MEMORY_KIB_MAX)].concat();
        let ratio = cost.made as f64 / sent as f64;
        // Beside it the witnesses hear something, and the report is made.
        let own = 30_000.0 / sent as f64;
        if let Some(most) = case.made_max.filter(|most| case.reads && ratio > most + own) {
            problems.push(format!("{ratio:.1} bytes made for each that was sent, at most {most}"));
        }
        (row(case, sent, &cost, &watched), problems)
    }

    pub(crate) fn finish(self) {
        self.watch.finish();
    }
}

fn row(case: &Case, sent: usize, cost: &Cost, watched: &Watched) -> String {
    let [p50, max] = [watched.subject.p50, watched.subject.max].map(|time| time as f64 / 1000.0);
    format!(
        "{case} {:>9} {:>11} {:>10.2} {:>8.1} {:>9} {:>8.1} {p50:>7.1} {max:>7.1}",
        sent / 1024,
        cost.made / 1024,
        cost.made as f64 / sent as f64,
        cost.cpu.as_nanos() as f64 / sent as f64,
        cost.peak_kib / 1024,
        cost.turn_max.as_secs_f64() * 1000.0,
    )
}

/// A room with a history that is full of control characters; returns its epoch.
fn prepare(server: &Wsloop) -> String {
    fill_history(server, "/full", &[1; MESSAGE_BYTES_MAX], 4);
    let mut client = RawClient::connect(server);
    client.send(&Request::upgrade(server, "/full").add("Sec-WebSocket-Protocol", "wsloop.json").bytes());
    client.expect_upgraded();
    let welcome: Value = serde_json::from_str(client.read_frame().text()).expect("JSON");
    welcome["epoch"].as_str().expect("an epoch").to_owned()
}

fn member(reads: bool) -> Manner<'static> {
    Manner { path: "/full", protocol: Some("wsloop.json"), is_compressed: false, reads }
}

/// Returns how many bytes were sent.
fn attack(server: &Wsloop, case: &Case, epoch: &str) -> usize {
    let manner = match case.form {
        Form::Text => Manner { protocol: None, ..member(case.reads) },
        Form::Json | Form::Http => member(case.reads),
        Form::Topic => Manner { path: "/broadcast/t", protocol: None, ..member(case.reads) },
        Form::Echo => Manner { path: "/echo", protocol: None, ..member(case.reads) },
    };
    let manner = Manner { is_compressed: case.is_compressed, ..manner };
    match &case.packet {
        Packet::Frames(frames) => packets(server, manner, frames),
        Packet::Plain { path, is_repeated } => {
            let request = Request::plain(server, "GET", path).without("Connection").bytes();
            let count = if *is_repeated { MESSAGE_BYTES_MAX / request.len() } else { 1 };
            connections(server, &request.repeat(count), case.reads)
        }
        Packet::Upgrade { path, protocol } => {
            let mut request = Request::upgrade(server, &path.replace("EPOCH", epoch));
            if let Some(protocol) = protocol {
                request = request.add("Sec-WebSocket-Protocol", protocol);
            }
            connections(server, &request.bytes(), case.reads)
        }
    }
}

/// Sends packets; who is closed comes back.
fn packets(server: &Wsloop, manner: Manner<'_>, packet: &[u8]) -> usize {
    let started = Instant::now();
    let mut sent = 0;
    while started.elapsed() < TIME {
        let mut attacker = Attacker::connect(server, manner);
        let primer = primer();
        let mut is_there = attacker.send(&primer, PATIENCE).is_ok();
        sent += primer.len();
        while is_there && started.elapsed() < TIME {
            // Who is not read any more has no room for all of it.
            let within = TIME.saturating_sub(started.elapsed()).max(Duration::from_millis(10));
            is_there = attacker.send(packet, within).is_ok();
            sent += packet.len();
            if manner.reads {
                attacker.settle(PATIENCE);
                // What it says behind a close is not even looked at.
                is_there &= attacker.closed().is_none();
            }
        }
        if !manner.reads {
            std::thread::sleep(TIME.saturating_sub(started.elapsed()));
        }
    }
    sent
}

/// Opens one connection after the other, each with these bytes.
fn connections(server: &Wsloop, bytes: &[u8], reads: bool) -> usize {
    let started = Instant::now();
    let mut sent = 0;
    let mut kept = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while started.elapsed() < TIME && kept.len() < KEPT_MAX {
        if !reads {
            let mut client = RawClient::connect_narrow(server, 4096);
            let _ = client.try_send(bytes);
            kept.push(client);
        } else if let Ok(client) = answered(server, bytes) {
            // What follows the head comes, until nothing does for a moment, or the end.
            client.stream().set_read_timeout(Some(Duration::from_millis(5))).expect("the time is not zero");
            while matches!(client.stream().read(&mut buffer), Ok(1..)) {}
        }
        sent += bytes.len();
    }
    std::thread::sleep(TIME.saturating_sub(started.elapsed()));
    sent
}

/// A connection whose request has been answered.
fn answered(server: &Wsloop, bytes: &[u8]) -> std::io::Result<RawClient> {
    let mut client = RawClient::connect(server);
    client.try_send(bytes)?;
    client.read_to_head_or_end();
    Ok(client)
}
