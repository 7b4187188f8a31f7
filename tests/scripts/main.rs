//! Conversations that anybody can read: who connects, who says what, and what everybody hears. Each is a file of this
//! folder, run over a whole server in memory; README.md, beside them, says how they are written.
//!
//! `REWRITE=1 cargo test --test scripts` writes what is heard now into the files; the difference is for a reader to
//! judge.

mod heard;
mod script;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use script::Script;
use stage::Stage;

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

scripts! {
    binary
    changes
    echo
    errors
    forms
    held_names
    history
    joining
    keys
    large_rooms
    members
    names
    quit
    rate
    refs
    resume
    silent
    slow_readers
    stopping
    texts
    topics
}

#[test]
fn each_script_is_played() {
    let entries = std::fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let mut found: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, NAMES, "the files, and their names in main.rs");
}

/// What is not heard as it is written is a failure: with both, and what to do.
#[test]
fn a_difference_is_shown() {
    let text =
        "# Talk.\nalice: connect /echo\nalice: hi\n----\nalice < ho\n\nalice: you\n----\nalice < you\n";
    let mut script = Script::parse("talk", text);
    let complaint = script.play(&mut Stage::default()).expect("it is not heard so");
    for part in [
        "talk.txt, line 2:",
        "\nalice: connect /echo\nalice: hi\n",
        "\n- alice < ho\n",
        "\n+ alice < hi\n",
        "REWRITE=1 cargo test --test scripts talk",
    ] {
        assert!(complaint.contains(part), "{part:?} is not in:\n{complaint}");
    }
    assert_eq!(script.text(), text.replace("< ho", "< hi"), "and can be written in its place");
    assert_eq!(script.play(&mut Stage::default()), None);
}

fn play(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).expect("it can be read");
    let mut script = Script::parse(name, &text);
    let complaint = script.play(&mut Stage::default());
    if std::env::var("REWRITE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, script.text()).expect("it can be written");
        return;
    }
    assert!(complaint.is_none(), "\n{}", complaint.unwrap_or_default());
    assert_eq!(script.text(), text, "{name}.txt is not spaced as it would be written");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}
