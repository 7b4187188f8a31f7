//! Measures WebSocket servers: a load generator, a kernel floor to measure against, and a comparison of both
//! with other servers. See `perf/README.md`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command says there what it found, and what it does"
)]

mod child;
mod client;
mod compare;
mod contenders;
mod floor;
mod growth;
mod load;
mod measurement;
mod message;
mod peers;
mod process;
mod progress;
mod receiver;
mod report;
mod results;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use load::{Arguments, Plan, Scenario};
use measurement::Measurement;

/// Measures WebSocket servers: load, a kernel floor, and a comparison.
#[derive(Debug, Parser)]
#[command(name = "wsloop-perf", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Some send to all; the next messages go when everybody has heard the last ones.
    Fanout(Arguments),
    /// The same to 15,000 receivers.
    Wide(Arguments),
    /// Each client for itself: what comes back is sent again.
    Echo(Arguments),
    /// Messages by schedule: how late they are at the receivers.
    Latency(Arguments),
    /// Clients that do nothing: the memory of one.
    Idle(Arguments),
    /// A tenth of the clients never reads: what the others get, and what the server keeps.
    Stalled(Arguments),
    /// Clients that come, say one word, hear it and go.
    Churn(Arguments),
    /// The least that an epoll server can do.
    Floor(floor::Options),
    /// A minimal server on a crate of others.
    Peer(peers::Options),
    /// Floor, wsloop and peers in turn, and a report.
    Compare(compare::Options),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Fanout(arguments) => measure(Scenario::Fanout, &arguments),
        Command::Wide(arguments) => measure(Scenario::Wide, &arguments),
        Command::Echo(arguments) => measure(Scenario::Echo, &arguments),
        Command::Latency(arguments) => measure(Scenario::Latency, &arguments),
        Command::Idle(arguments) => measure(Scenario::Idle, &arguments),
        Command::Stalled(arguments) => measure(Scenario::Stalled, &arguments),
        Command::Churn(arguments) => measure(Scenario::Churn, &arguments),
        Command::Floor(options) => floor::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Peer(options) => peers::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Compare(options) => compare::run(&options).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("wsloop-perf: {error}");
        ExitCode::FAILURE
    })
}

/// One scenario, and what it measured on standard output. A server that did something wrong is a failure.
fn measure(scenario: Scenario, arguments: &Arguments) -> Result<ExitCode, String> {
    let plan = Plan::new(scenario, arguments);
    let measurement = load::measure(scenario, &plan)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&measurement).map_err(|error| error.to_string())?);
    } else {
        print!("{}", table(&measurement, plan.verify));
    }
    let is_right = measurement.problems.is_empty();
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A measurement for a person.
fn table(measurement: &Measurement, is_verifying: bool) -> String {
    let mut lines = vec![
        ("clients", format!("{} ({} of them send)", measurement.clients, measurement.senders)),
        ("seconds", format!("{:.2}", measurement.seconds)),
    ];
    if measurement.messages > 0 {
        lines.push(("messages", measurement.messages.to_string()));
        lines.push(("deliveries", measurement.deliveries.to_string()));
        lines.push(("  a second", format!("{:.0}", measurement.deliveries_per_second)));
    }
    if let Some(server) = &measurement.server {
        lines.push(("server's CPU seconds", format!("{:.3}", server.cpu_seconds)));
        if measurement.deliveries > 0 {
            lines.push(("  deliveries for each", format!("{:.0}", server.deliveries_per_cpu_second)));
        }
        let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        lines.push(("server's memory before", mebibytes(server.memory_before_bytes)));
        // Visitors are never all there at once.
        let has_idle = server.memory_idle_bytes > 0;
        lines.extend(has_idle.then(|| ("  with all clients", mebibytes(server.memory_idle_bytes))));
        lines.push(("  at the end", mebibytes(server.memory_after_bytes)));
        lines.push(("  at its peak", mebibytes(server.memory_peak_bytes)));
        lines.extend(has_idle.then(|| ("  a client", format!("{:.0} B", server.memory_per_client_bytes))));
    }
    push_latencies(measurement, &mut lines);
    if let Some(handshakes) = &measurement.handshakes {
        lines.push(("visits", handshakes.count.to_string()));
        lines.push(("visits a second", format!("{:.0}", handshakes.per_second)));
        if handshakes.per_cpu_second > 0.0 {
            lines.push(("  a CPU second", format!("{:.0}", handshakes.per_cpu_second)));
        }
    }
    if let Some(stalled) = &measurement.stalled {
        lines.push(("readers got", format!("{} of {}", stalled.delivered, stalled.owed)));
        lines.push(("never read", format!("{}, {} of them cut", stalled.clients, stalled.cut)));
        let codes: Vec<_> =
            stalled.close_codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        lines.push(("  close codes", codes.join(", ")));
    }
    if let Some(count) = measurement.firehose {
        lines.push(("the firehose got back", count.to_string()));
    }
    if let Some(count) = measurement.answered {
        lines.push(("answered a ping at the end", count.to_string()));
    }
    let checked = match (measurement.verified, is_verifying) {
        (true, _) => "yes",
        (false, false) => "no (--verify)",
        (false, true) => "no: nothing came, or not all of it was right",
    };
    lines.push(("every byte checked", checked.to_owned()));
    lines.extend(measurement.problems.iter().map(|problem| ("WRONG", problem.clone())));
    lines.iter().map(|(name, value)| format!("{name:<30}{value}\n")).collect()
}

fn push_latencies(measurement: &Measurement, lines: &mut Vec<(&'static str, String)>) {
    for (name, latency) in [
        ("latency from the send call", &measurement.latency),
        ("latency from when it was due", &measurement.scheduled_latency),
    ] {
        let Some(latency) = latency else { continue };
        let milliseconds = |microseconds: f64| format!("{:.2} ms", microseconds / 1000.0);
        lines.push((name, format!("{} samples", latency.count)));
        lines.push(("  p50", milliseconds(latency.p50_us)));
        lines.push(("  p90", milliseconds(latency.p90_us)));
        lines.push(("  p99", milliseconds(latency.p99_us)));
        lines.push(("  p99.9", milliseconds(latency.p999_us)));
        lines.push(("  max", milliseconds(latency.max_us)));
    }
}
