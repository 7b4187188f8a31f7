//! The simulation proves nothing before it has caught bugs: each bug that is planted in the source, behind a
//! cfg of its own, must be caught within a bounded number of seeds, or by a test of it that is named here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// How a bug must be caught.
#[derive(Clone, Copy, Debug)]
enum Caught {
    /// In so many seeds at the latest.
    Within(u32),
    /// By this test: it takes a client that is not drawn by chance.
    By(&'static str),
}
use Caught::{By, Within};

/// The bugs, and how each must be caught.
const BUGS: [(&str, Caught); 34] = [
    ("accepting_not_resumed", Within(100)),
    ("budget_ignored", Within(500)),
    ("close_overtakes", Within(100)),
    ("cut_inside_a_tail", Within(3_000)),
    ("cut_off_and_forgotten", Within(100)),
    ("drained_wrongly_assumed", Within(100)),
    ("earlier_gap_forgotten", Within(500)),
    ("end_not_looked_for", Within(100)),
    ("expired_before_written", Within(500)),
    ("floods_evade_deadlines", By("floods::a_reader_that_stalls_does_not_evade_its_deadline_by_flooding")),
    ("goodbye_not_retried", Within(500)),
    ("goodbye_too_early", Within(100)),
    ("interrupted_and_forgotten", Within(500)),
    ("leave_not_told", Within(500)),
    ("leaver_hears_the_future", Within(100)),
    ("loss_not_counted", Within(100)),
    ("memory_not_given_back", Within(100)),
    ("newcomer_hears_the_past", Within(100)),
    ("one_not_told", Within(100)),
    ("partial_write_forgotten", Within(100)),
    ("ping_inside_a_frame", Within(100)),
    ("queue_reordered", Within(100)),
    ("reserve_not_renewed", Within(500)),
    ("room_not_noticed", Within(100)),
    ("rooms_pile_up", Within(100)),
    ("sealed_twice", Within(500)),
    ("seat_not_updated", Within(100)),
    ("sender_hears_itself", Within(100)),
    ("skip_drops_pongs", Within(3_000)),
    ("skip_tears_a_frame", Within(500)),
    ("stall_not_timed", Within(2_000)),
    ("standstill_counts", Within(2_000)),
    ("tail_forgotten", Within(500)),
    ("turn_not_bounded", By("floods::a_packet_of_expensive_messages_is_dealt_with_over_many_turns")),
];

/// Seeds that all pass while every bug sleeps.
const SEEDS_OF_THE_SOUND: u32 = 300;

#[test]
fn each_planted_bug_is_caught() {
    let simulation = build();
    let sound = run(&simulation, "", Within(SEEDS_OF_THE_SOUND));
    assert!(sound.status.success(), "without a bug: {}", String::from_utf8_lossy(&sound.stdout));
    let bugs = Mutex::new(BUGS.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((bug, caught)) = bugs.lock().expect("no panic").next() else { return };
                    let output = run(&simulation, bug, *caught);
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let sign = if matches!(caught, By(_)) { "1 failed" } else { "replay it with" };
                    if output.status.success() || !text.contains(sign) {
                        failures.lock().expect("no panic").push(format!("{bug}: not caught, {caught:?}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The list above is what stands in the source, each bug once.
#[test]
fn the_bugs_are_those_of_the_source() {
    let mut planted = Vec::new();
    collect(Path::new("src"), &mut planted);
    let unique: BTreeSet<&str> = planted.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), planted.len(), "each has a name of its own: {planted:?}");
    let listed: BTreeSet<&str> = BUGS.iter().map(|(bug, _)| *bug).collect();
    assert_eq!(unique, listed);
}

fn collect(folder: &Path, planted: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the source is here") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, planted);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("source is text");
        for (_, rest) in
            text.match_indices("planted!(\"").map(|(place, found)| text.split_at(place + found.len()))
        {
            planted.push(rest.split('"').next().expect("a name").to_owned());
        }
    }
}

/// Builds the simulation with all bugs in it, beside the ordinary one: the crates that it depends on are
/// compiled without them, and are there already.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_wsloop")).ancestors().nth(2).expect("target/debug/wsloop");
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted/rustc");
    let bugs: Vec<&str> = BUGS.iter().map(|(bug, _)| *bug).collect();
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--no-run", "--test", "simulation", "--message-format=json"])
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env("WSLOOP_PLANTED_BUGS", bugs.join(" "))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = messages
        .filter(|message| message["target"]["name"] == "simulation")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo says what it has built")
}

fn run(simulation: &Path, bug: &str, caught: Caught) -> Output {
    let (test, seeds) = match caught {
        Within(seeds) => ("every_seed_keeps_the_promises", seeds),
        By(test) => (test, 0),
    };
    Command::new(simulation)
        .args([test, "--exact"])
        .env("WSLOOP_PLANTED", bug)
        .env("WSLOOP_SIMULATION_SEEDS", seeds.to_string())
        .output()
        .expect("what was built can be run")
}
