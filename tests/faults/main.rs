//! What goes wrong around a server, done to the built one while witnesses talk: slow readers, floods, nothing
//! left of descriptors, links that go down, processes that stand still. Each scenario prints its figures.
//!
//! ```text
//! cargo test --test faults                          all scenarios
//! cargo test --test faults -- S1 K5                 these
//! cargo test --release --test faults -- --minutes 60   a soak: a mixture of them for so long
//! ```

mod crowd;
mod floods;
mod frames;
mod kernel;
mod memory;
mod proxy;
mod slow;
mod soak;
mod stage;
mod steady;
#[path = "../support/mod.rs"]
mod support;
mod time;

use std::any::Any;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::cost::{TRIES, are_of_time};

/// Name, what goes wrong, and how it is done; it returns what is worth knowing.
type Scenario = (&'static str, &'static str, fn() -> Vec<(&'static str, String)>);

const SCENARIOS: [Scenario; 19] = [
    ("F2", "10,000 clients announce 64 KiB and send a byte", frames::claims),
    ("F3", "fragments without end: of a byte, of none, never finished", frames::fragments),
    ("F4", "a flood of pings by a client that does not read", frames::pings),
    ("F8", "closing handshakes that are never finished", frames::unfinished_closes),
    ("S1", "1,000 of 10,000 on a topic never read", slow::never_reading),
    ("S1 slowly", "200 of 2,000 read 4 KiB a second, and skip", slow::reading_slowly),
    ("S2", "4 KiB of send buffer, and a proxy that splits and delays", slow::partial_writes),
    ("K1", "256 descriptors, 400 dialers", kernel::no_descriptors),
    ("K2", "5,000 connections that are gone before they are accepted", kernel::aborted),
    ("K3", "4,096 connect at once; then one floods", kernel::at_once),
    ("K4", "50,000 connections, one after the other", kernel::churn),
    ("K5", "the server is stopped for 9 s, three times its patience", time::stopped_server),
    ("D1", "20,000 rooms with long names, 5,000 at a time", kernel::many_rooms),
    ("K6", "links go down under 50 clients, for a moment and for good", time::links_down),
    ("E1 responses", "3,000 ask for pages and read nothing", memory::unread_responses),
    ("E1 rooms", "9,000 rooms keep 100 messages of a byte each", memory::tiny_messages),
    ("E1 messages", "4,000 clients send 64 KiB but for the last byte", memory::unfinished_messages),
    ("E3", "floods of every kind by clients that never read", floods::never_reading),
    ("E5", "readers of 4 to 50 KB/s in a busy room, for two minutes", steady::readers),
];

/// Whether a scenario has failed since something took too long: that is measured again before it is believed.
fn is_of_time(panic: &Box<dyn Any + Send>) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.is_some_and(are_of_time)
}

/// As other tests print it, so that all can be summed up.
#[allow(clippy::print_stdout)]
fn print_result(count: usize, failed: &[&str]) {
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {} passed; {} failed;", count - failed.len(), failed.len());
}

#[allow(clippy::print_stdout)] // Figures are what this is for.
fn main() -> ExitCode {
    let mut names = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--minutes" => {
                let minutes = arguments.next().and_then(|minutes| minutes.parse::<u64>().ok());
                let Some(minutes) = minutes else {
                    println!("--minutes takes a number, for instance: --minutes 60");
                    return ExitCode::from(2);
                };
                soak::run(Duration::from_secs(60 * minutes));
                return ExitCode::SUCCESS;
            }
            // What `cargo test` passes to all tests alike.
            other if other.starts_with('-') => {}
            name => names.push(name.to_owned()),
        }
    }
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    let chosen = |scenario: &&Scenario| {
        names.is_empty() || names.iter().any(|name| scenario.0.split(' ').next() == Some(name))
    };
    let mut failed = Vec::new();
    for (name, what, run) in SCENARIOS.iter().filter(chosen) {
        let started = Instant::now();
        let mut outcome = catch_unwind(run);
        for _ in 1..TRIES {
            if !outcome.as_ref().is_err_and(is_of_time) {
                break;
            }
            outcome = catch_unwind(run);
        }
        println!("\n{name}: {what} ({:.1} s)", started.elapsed().as_secs_f64());
        match outcome {
            Ok(figures) => figures.iter().for_each(|(figure, value)| println!("    {figure:<48}{value}")),
            Err(_) => {
                println!("    FAILED");
                failed.push(*name);
            }
        }
    }
    print_result(SCENARIOS.iter().filter(chosen).count(), &failed);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
