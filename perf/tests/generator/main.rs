//! The load generator against the floor, and against servers that lie.

mod liars;

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wsloop-perf");

struct Floor(Child, SocketAddr);

impl Floor {
    fn start(mode: &str) -> Floor {
        let mut child = Command::new(PROGRAM)
            .args(["floor", "--mode", mode])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().expect("piped")), &mut line)
            .expect("it says where it listens");
        let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok()).expect(&line);
        Floor(child, SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(address: SocketAddr, arguments: &[&str]) -> Output {
    let url = format!("ws://{address}/x");
    Command::new(PROGRAM).args(arguments).args(["--url", &url, "--json"]).output().expect("it was built")
}

fn measure(address: SocketAddr, arguments: &[&str]) -> serde_json::Value {
    let output = run(address, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("one line of JSON")
}

#[test]
fn every_scenario_measures_what_it_says() {
    for (mode, arguments) in [
        ("direct", &["fanout", "--clients", "70", "--senders", "2", "--in-flight", "3"][..]),
        ("batch", &["wide", "--clients", "100"]),
        ("echo", &["echo", "--clients", "5", "--size", "65000"]),
        ("batch", &["latency", "--clients", "65", "--rate", "50"]),
        ("direct", &["idle", "--clients", "50"]),
        ("direct", &["stalled", "--clients", "20", "--rate", "50"]),
        ("echo", &["churn", "--clients", "4"]),
    ] {
        for verify in [&[][..], &["--verify"]] {
            let floor = Floor::start(mode);
            let pid = floor.0.id().to_string();
            let more = [&["--seconds", "0.4", "--pid", &pid], verify].concat();
            let one = measure(floor.1, &[arguments, &more].concat());
            let what = format!("{arguments:?} {verify:?}: {one}");
            let number =
                |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("no number in {what}"));
            assert!(number(&one["seconds"]) >= 0.3, "{what}");
            assert!(number(&one["server"]["memory_peak_bytes"]) > 1e5, "{what}");
            assert_eq!(one["verified"], !verify.is_empty(), "{what}");
            if arguments[0] == "idle" {
                continue;
            }
            assert!(
                number(&one["deliveries"]) > 0.0 && number(&one["server"]["cpu_seconds"]) > 0.0,
                "{what}"
            );
            let receivers = match arguments[0] {
                "fanout" => 70.0,
                "wide" => 100.0,
                "latency" => 65.0,
                "stalled" => 18.0,
                _ => 1.0,
            };
            let each = number(&one["messages"]) * receivers;
            assert!((number(&one["deliveries"]) - each).abs() < 0.5, "{what}");
            match arguments[0] {
                "churn" => assert_eq!(one["handshakes"]["count"], one["deliveries"], "{what}"),
                "stalled" => assert_eq!(one["stalled"]["clients"], 2, "{what}"),
                _ => assert!(number(&one["latency"]["p50_us"]) > 0.0, "{what}"),
            }
        }
    }
}

#[test]
fn a_stall_is_seen_from_the_schedule() {
    const STALL: Duration = Duration::from_millis(500);
    let floor = Floor::start("batch");
    let pid = floor.0.id();
    let stop = thread::spawn(move || {
        let signal = |name: &str| {
            let status =
                Command::new("kill").args([name, &pid.to_string()]).status().expect("there is a kill");
            assert!(status.success());
        };
        // In the midst of the three seconds that are measured, behind one that is not, on a slow machine too.
        thread::sleep(Duration::from_millis(2700));
        signal("-STOP");
        let stopped = Instant::now();
        thread::sleep(STALL);
        signal("-CONT");
        stopped.elapsed()
    });
    let arguments = ["latency", "--clients", "3", "--rate", "200", "--seconds", "3", "--verify"];
    let one = measure(floor.1, &arguments);
    let stalled = stop.join().expect("it was stopped and went on");
    let max = one["scheduled_latency"]["max_us"].as_f64().expect("a number");
    assert!(max > 0.8 * STALL.as_secs_f64() * 1e6, "{max} µs after a stall of {stalled:?}: {one}");
    // All that was due meanwhile is late, not the first alone.
    let p90 = one["scheduled_latency"]["p90_us"].as_f64().expect("a number");
    assert!(p90 > 20_000.0, "{p90} µs: {one}");
}

#[test]
fn a_firehose_flows_beside_the_others() {
    let floor = Floor::start("echo");
    let url = format!("ws://{}/x", floor.1);
    let arguments =
        ["latency", "--clients", "1", "--rate", "50", "--seconds", "1", "--firehose", &url, "--verify"];
    let one = measure(floor.1, &arguments);
    assert_eq!(one["deliveries"], 50, "{one}");
    // It is not held to a schedule: far more came back than was said beside it.
    assert!(one["firehose"].as_u64() > Some(100 * 50), "{one}");
}

#[test]
fn errors_say_what_to_do() {
    for (arguments, wanted) in [
        (&["fanout", "--url", "wss://127.0.0.1/"][..], "--url wants"),
        (&["fanout", "--url", "ws://127.0.0.1:1/"], "cannot reach"),
        (&["fanout", "--clients", "2", "--senders", "3"], "--senders"),
        (&["fanout", "--clients", "9999999"], "ulimit -n"),
        (&["echo", "--size", "10"], "--size is 36 at least"),
        (&["idle", "--pid", "4000000000"], "--pid"),
        (&["idle", "--senders", "3"], "leave --senders out"),
        (&["fanout", "--senders", "0"], "--senders is 1 at least"),
        (&["stalled", "--clients", "9"], "--clients is 10 at least"),
        (&["stalled", "--senders", "2"], "leave --senders out"),
        (&["churn", "--senders", "2"], "leave --senders out"),
        (&["latency", "--rate", "1e-9"], "--rate is"),
        (&["latency", "--rate", "inf"], "--rate is"),
        (&["echo", "--seconds", "NaN"], "--seconds is"),
        (&["echo", "--patience", "0"], "--patience is"),
        (&["echo", "--patience", "NaN"], "--patience is"),
        (&["compare", "--patience", "inf"], "--patience"),
        (&["compare", "--scenarios", "fan"], "there are fanout"),
        (&["compare", "--peers", "apache"], "there are bun"),
        (&["compare", "--wsloop", "nowhere"], "cargo build --release"),
    ] {
        let output = Command::new(PROGRAM).args(arguments).output().expect("it was built");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn a_comparison_goes_through_and_is_reported() {
    let program = std::path::Path::new(PROGRAM);
    let wsloop = program.with_file_name("wsloop");
    assert!(wsloop.is_file(), "cargo test --workspace builds wsloop too");
    let out = std::env::temp_dir().join(format!("wsloop-perf-compare-{}", std::process::id()));
    let output = Command::new(program)
        .args(["compare", "--quick", "--wsloop"])
        .arg(&wsloop)
        .arg("--out")
        .arg(&out)
        .output()
        .expect("it was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read_to_string(out.join("report.json")).expect("written");
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let scenarios = report["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 10);
    for server in scenarios.iter().flat_map(|scenario| scenario["servers"].as_array().expect("a list")) {
        assert_eq!(server["verified"], true, "{server}");
        assert_eq!(server["problems"].as_array().map(Vec::len), Some(0), "{server}");
        assert!(server["values"][0].as_f64().is_some(), "{server}");
    }
    for curve in
        report["growths"].as_array().expect("a list").iter().flat_map(|growth| growth["curves"].as_array())
    {
        assert!(curve.iter().all(|curve| curve["points"][0][1][0].as_f64().is_some()), "{curve:?}");
    }
    assert!(out.join("report.html").is_file() && out.join("growth-turn.svg").is_file());
    std::fs::remove_dir_all(out).expect("our own");
}

/// Floors in the wrong mode, in the place of wsloop: one tells nobody but the sender, the other tells everybody.
#[test]
fn a_comparison_with_a_liar_fails_and_has_no_figures_of_it() {
    use std::os::unix::fs::PermissionsExt;

    for (scenario, mode, wanted) in [
        ("fanout", "echo", "fanout, wsloop: receiver 1 has 0 of 1 messages"),
        ("echo", "direct", "another client's message"),
        ("memory", "echo", ""),
    ] {
        let out = std::env::temp_dir().join(format!("wsloop-perf-liar-{scenario}-{}", std::process::id()));
        std::fs::create_dir_all(&out).expect("a folder of our own");
        let liar = out.join("wsloop");
        let script = format!("#!/bin/sh\nexec '{PROGRAM}' floor --mode {mode} --port \"$2\"\n");
        std::fs::write(&liar, script).expect("our own");
        std::fs::set_permissions(&liar, PermissionsExt::from_mode(0o755)).expect("our own");
        let output = Command::new(PROGRAM)
            .args(["compare", "--quick", "--patience", "1", "--scenarios", scenario, "--wsloop"])
            .arg(&liar)
            .arg("--out")
            .arg(&out)
            .output()
            .expect("it was built");
        let said = String::from_utf8_lossy(&output.stderr);
        let is_honest = wanted.is_empty();
        assert_eq!(output.status.success(), is_honest, "{scenario}: {said}");
        assert!(said.contains(wanted), "{scenario}: {said}");
        let json = std::fs::read_to_string(out.join("report.json")).expect("written");
        let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let wsloop = &report["scenarios"][0]["servers"][1];
        assert_eq!(wsloop["server"], "wsloop");
        assert_eq!(wsloop["verified"], is_honest, "{wsloop}");
        assert_eq!(wsloop["values"][0].is_null(), !is_honest, "{wsloop}");
        std::fs::remove_dir_all(out).expect("our own");
    }
}
