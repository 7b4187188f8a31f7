//! The load generator against the floor, and against a server that lies.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wsloop-perf");
const SIZE: usize = 64;

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
                "churn" => assert!(number(&one["handshakes"]["per_second"]) > 10.0, "{what}"),
                "stalled" => assert_eq!(one["stalled"]["clients"], 2, "{what}"),
                _ => assert!(number(&one["latency"]["p50_us"]) > 0.0, "{what}"),
            }
        }
    }
}

/// What is done to one frame of one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Nothing,
    Lose,
    Double,
    Swap,
    Change(usize),
    HangUp,
}

/// Stands before a server and does this to the 30th frame to its third client.
fn lying(server: SocketAddr, lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let clients = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let number = clients.fetch_add(1, Ordering::Relaxed);
            let server = TcpStream::connect(server).expect("the floor is there");
            client.set_nodelay(true).expect("a socket");
            server.set_nodelay(true).expect("a socket");
            let (mut from, mut to) =
                (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || io::copy(&mut from, &mut to));
            thread::spawn(move || relay(server, client, if number == 2 { lie } else { Lie::Nothing }));
        }
    });
    address
}

fn relay(mut server: TcpStream, mut client: TcpStream, lie: Lie) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte)?;
        head.extend(byte);
    }
    client.write_all(&head)?;
    let mut held = Vec::new();
    for number in 0.. {
        let mut frame = [0; SIZE + 2];
        server.read_exact(&mut frame)?;
        if number == 30 {
            match lie {
                Lie::Nothing => {}
                Lie::Lose => continue,
                Lie::Double => client.write_all(&frame)?,
                Lie::Swap => {
                    held = frame.to_vec();
                    continue;
                }
                Lie::Change(place) => frame[place] ^= 1,
                Lie::HangUp => return client.shutdown(std::net::Shutdown::Both),
            }
        }
        client.write_all(&frame)?;
        client.write_all(&std::mem::take(&mut held))?;
    }
    Ok(())
}

#[test]
fn a_server_that_lies_is_found_out() {
    let floor = Floor::start("direct");
    let fanout = ["fanout", "--clients", "5", "--in-flight", "4", "--seconds", "1", "--patience", "1"];
    for (lie, needs_verify, wanted) in [
        (Lie::Nothing, false, ""),
        (Lie::Lose, false, "they are lost"),
        (Lie::Double, false, "messages"),
        (Lie::Swap, true, "lost before number"),
        // The number, the filler, the mark.
        (Lie::Change(20), true, "lost before number"),
        (Lie::Change(60), true, "changed"),
        (Lie::Change(2), true, "they are lost"),
        (Lie::HangUp, false, "lost the server"),
    ] {
        for verify in [false, true] {
            if needs_verify && !verify {
                continue;
            }
            let more: &[&str] = if verify { &["--verify"] } else { &[] };
            let output = run(lying(floor.1, lie), &[&fanout[..], more].concat());
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.success(), lie == Lie::Nothing, "{lie:?} {verify}: {said}");
            assert!(said.contains(wanted), "{lie:?} {verify}: {said}");
        }
    }
}

#[test]
fn a_stall_is_seen_from_the_schedule() {
    const STALL: Duration = Duration::from_millis(300);
    let floor = Floor::start("batch");
    let pid = floor.0.id();
    let stop = thread::spawn(move || {
        let signal = |name: &str| {
            let status =
                Command::new("kill").args([name, &pid.to_string()]).status().expect("there is a kill");
            assert!(status.success());
        };
        // Behind the first second, which is not measured.
        thread::sleep(Duration::from_millis(1700));
        signal("-STOP");
        let stopped = Instant::now();
        thread::sleep(STALL);
        signal("-CONT");
        stopped.elapsed()
    });
    let arguments = ["latency", "--clients", "3", "--rate", "200", "--seconds", "1.5", "--verify"];
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
    assert!(one["firehose"].as_u64() > Some(100_000), "{one}");
    assert_eq!(one["deliveries"], 50, "{one}");
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
