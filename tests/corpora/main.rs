//! The fuzzers' corpora, replayed without a fuzzer: what once was found stays mended.

#[path = "../fuzz/subjects/mod.rs"]
mod subjects;

/// Runs a subject over every file of its corpus.
fn replay(target: &str, subject: fn(&[u8])) {
    let folder = format!("{}/tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is in the repository") {
        let path = entry.expect("the folder can be listed").path();
        subject(&std::fs::read(&path).expect("a file"));
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}

#[test]
fn heads() {
    replay("head", subjects::head);
}

#[test]
fn frames() {
    replay("frames", subjects::frames);
}

#[test]
fn texts() {
    replay("utf8", subjects::utf8);
}

#[test]
fn compressed_messages() {
    replay("inflate", subjects::inflate);
}

#[test]
fn close_payloads() {
    replay("close", subjects::close);
}

#[test]
fn offers() {
    replay("offers", subjects::offers);
}

#[test]
fn forms() {
    replay("forms", subjects::forms);
}

#[test]
fn servers_with_a_broker_that_answers_later() {
    replay("broker", subjects::broker);
}

#[test]
fn servers() {
    replay("server", subjects::server);
}
