//! What a byte makes: every request of the contract, in every form, compressed or not, of every size, pipelined in
//! packets of 64 KiB by a client that reads and by one that does not. Printed for each: bytes made and processor
//! time by byte sent, memory at the peak, the longest turn, and how long witnesses waited. Each has a bound.
//!
//! ```text
//! cargo test --test amplification                  all
//! cargo test --test amplification -- history       those with this in their line
//! ```

mod requests;
mod runner;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

#[allow(clippy::print_stdout)] // A table is what this is for.
fn main() -> ExitCode {
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let cases: Vec<requests::Case> = requests::all()
        .into_iter()
        .filter(|case| wanted.iter().all(|word| case.to_string().contains(word)))
        .collect();
    println!("{}", runner::HEADING);
    let mut runner = runner::Runner::start();
    let mut failures = Vec::new();
    for case in &cases {
        let (row, problems) = runner.run(case);
        println!("{row}{}", if problems.is_empty() { "" } else { "  FAILED" });
        if !problems.is_empty() {
            failures.push(format!("{case}: {}", problems.join("; ")));
        }
    }
    runner.finish();
    // As other tests print it, so that all can be summed up.
    if !failures.is_empty() {
        println!("\nfailures:\n    {}", failures.join("\n    "));
    }
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {} passed; {} failed;", cases.len() - failures.len(), failures.len());
    if failures.is_empty() && !cases.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
