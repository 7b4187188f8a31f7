//! The simulation proves nothing before it has caught bugs: each bug that is planted in the source, behind a
//! cfg of its own, must be caught within a bounded number of seeds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// The bugs, and in how many seeds each must be caught at the latest.
const BUGS: [(&str, u32); 26] = [
    ("accepting_not_resumed", 100),
    ("budget_ignored", 500),
    ("close_overtakes", 100),
    ("cut_off_and_forgotten", 100),
    ("earlier_gap_forgotten", 500),
    ("end_not_looked_for", 100),
    ("expired_before_written", 500),
    ("interrupted_and_forgotten", 500),
    ("leave_not_told", 500),
    ("leaver_hears_the_future", 100),
    ("loss_not_counted", 100),
    ("memory_not_given_back", 100),
    ("newcomer_hears_the_past", 100),
    ("one_not_told", 100),
    ("partial_write_forgotten", 100),
    ("ping_inside_a_frame", 100),
    ("queue_reordered", 100),
    ("reserve_not_renewed", 500),
    ("room_not_noticed", 100),
    ("rooms_pile_up", 100),
    ("seat_not_updated", 100),
    ("sender_hears_itself", 100),
    ("skip_drops_pongs", 3_000),
    ("skip_tears_a_frame", 500),
    ("stall_not_timed", 2_000),
    ("standstill_counts", 2_000),
];

/// Seeds that all pass while every bug sleeps.
const SEEDS_OF_THE_SOUND: u32 = 300;

#[test]
fn each_planted_bug_is_caught() {
    let simulation = build();
    let sound = run(&simulation, "", SEEDS_OF_THE_SOUND);
    assert!(sound.status.success(), "without a bug: {}", String::from_utf8_lossy(&sound.stdout));
    let bugs = Mutex::new(BUGS.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((bug, seeds)) = bugs.lock().expect("no panic").next() else { return };
                    let output = run(&simulation, bug, *seeds);
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    if output.status.success() || !text.contains("replay it with") {
                        failures
                            .lock()
                            .expect("no panic")
                            .push(format!("{bug}: not caught in {seeds} seeds"));
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

fn run(simulation: &Path, bug: &str, seeds: u32) -> Output {
    Command::new(simulation)
        .arg("every_seed_keeps_the_promises")
        .env("WSLOOP_PLANTED", bug)
        .env("WSLOOP_SIMULATION_SEEDS", seeds.to_string())
        .output()
        .expect("what was built can be run")
}
