//! The simulation proves nothing before it has caught bugs: each bug of `bugs` is planted in a copy of the source,
//! and must be caught within a bounded number of seeds, or by a test that its file names. README.md tells how a
//! bug is written.

mod bug;
mod copy;
mod edits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use bug::Bug;
use bug::Caught::{self, By, Within};

/// Seeds that all pass while every bug sleeps.
const SEEDS_OF_THE_SOUND: u32 = 300;

#[test]
fn each_planted_bug_is_caught() {
    let bugs = bugs();
    let simulation = build(&bugs);
    let sound = run(&simulation, "", &Within(SEEDS_OF_THE_SOUND));
    assert!(sound.status.success(), "without a bug: {}", String::from_utf8_lossy(&sound.stdout));
    let left = Mutex::new(bugs.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(bug) = left.lock().expect("no panic").next() else { return };
                    if let Err(failure) = catch(&simulation, bug) {
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What is red here needs no build to be seen.
#[test]
fn each_edit_applies_to_the_source_as_it_stands() {
    let bugs = bugs();
    assert!(!bugs.is_empty(), "a folder without bugs shows nothing");
    plant(&bugs);
}

/// Whoever reads the source meets none of this.
#[test]
fn the_source_knows_nothing_of_its_bugs() {
    for (path, content) in copy::read(root()) {
        let text = String::from_utf8_lossy(&content);
        let is_source = path.starts_with("src");
        assert!(!is_source || !text.contains("planted"), "{} speaks of planted bugs", path.display());
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bugs() -> Vec<Bug> {
    bug::read_all(&root().join("tests/planted/bugs"))
        .unwrap_or_else(|complaints| panic!("\n{}", complaints.join("\n")))
}

/// The project with all bugs in it, and with what wakes one of them.
fn plant(bugs: &[Bug]) -> copy::Files {
    let mut files = copy::read(root());
    let mut sources = BTreeMap::new();
    for (path, content) in &files {
        if let Some(name) = path.strip_prefix("src").ok().and_then(Path::to_str) {
            sources.insert(name.to_owned(), String::from_utf8(content.clone()).expect("source is text"));
        }
    }
    edits::plant(bugs, &mut sources).unwrap_or_else(|complaints| panic!("\n{}", complaints.join("\n")));
    sources.get_mut("lib.rs").expect("a library").push_str("\nmod planted;\n");
    sources.insert("planted.rs".to_owned(), include_str!("awake.rs").to_owned());
    files.extend(sources.into_iter().map(|(name, text)| (Path::new("src").join(name), text.into_bytes())));
    files
}

/// Builds the simulation with all bugs in it: beside the ordinary one, whose server other tests run.
fn build(bugs: &[Bug]) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_wsloop")).ancestors().nth(2).expect("target/debug/wsloop");
    let tree = target.join("planted/tree");
    copy::write(&tree, &plant(bugs));
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--no-run", "--test", "simulation", "--message-format=json"])
        .env("CARGO_TARGET_DIR", target.join("planted/build"))
        // Nobody steps through it, and it takes less than half the disk.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(&tree)
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

fn catch(simulation: &Path, bug: &Bug) -> Result<(), String> {
    let (name, caught) = (&bug.name, &bug.caught);
    // The seeds have passed while all sleep; this test has not been run yet.
    if matches!(caught, By(_)) && !passed_one(&run(simulation, "", caught)) {
        return Err(format!("{name}: without a bug there is no such test, or it fails: {caught:?}"));
    }
    let output = run(simulation, name, caught);
    let text = String::from_utf8_lossy(&output.stdout);
    let sign = if matches!(caught, By(_)) { "1 failed" } else { "replay it with" };
    if output.status.success() || !text.contains(sign) {
        return Err(format!("{name}: not caught, {caught:?}"));
    }
    Ok(())
}

fn passed_one(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}

fn run(simulation: &Path, bug: &str, caught: &Caught) -> Output {
    let (test, seeds) = match caught {
        Within(seeds) => ("every_seed_keeps_the_promises", *seeds),
        By(test) => (test.as_str(), 0),
    };
    Command::new(simulation)
        .args([test, "--exact"])
        .env("WSLOOP_PLANTED", bug)
        .env("WSLOOP_SIMULATION_SEEDS", seeds.to_string())
        .output()
        .expect("what was built can be run")
}
