//! What the page makes of a text, and the operators' page of its reports, without a browser: the pure modules of
//! `static`, tested by Node. Each file `NAME.test.mjs` beside this one is a test here. Elements are made in
//! `document.mjs`, which has no more of a document than they need.
//!
//! `WSLOOP_PAGE_SEED` replays the texts of chance, `WSLOOP_PAGE_TEXTS` makes them more.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_grammar_of_a_text_is_as_its_tables_say() {
    run("grammar");
}

#[test]
fn addresses_begin_and_end_where_people_mean_it() {
    run("addresses");
}

#[test]
fn hostile_and_random_texts_stay_texts() {
    run("hostile");
}

#[test]
fn what_operators_see_of_an_hour_is_what_was() {
    run("points");
}

#[test]
fn every_file_of_tests_is_run() {
    let this = include_str!("main.rs");
    let entries = fs::read_dir(folder()).expect("the folder of this test is there");
    let names =
        entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("a name"));
    let files: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".test.mjs").map(str::to_owned)).collect();
    assert!(!files.is_empty());
    for name in files {
        assert!(this.contains(&format!("run(\"{name}\")")), "no test runs {name}.test.mjs");
    }
}

/// Runs a file of tests; fails with what Node says of it.
fn run(name: &str) {
    let file = folder().join(format!("{name}.test.mjs"));
    let output = Command::new("node")
        .arg("--import")
        .arg(folder().join("assets.mjs"))
        .args(["--test", "--test-reporter", "spec"])
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("node cannot be started; bash tests/run installs it: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name}.test.mjs:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}
