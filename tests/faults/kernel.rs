//! What the kernel has too little of, or too much at once.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::crowd::message;
use crate::stage::{Figures, Gate, Stage, cpu_milliseconds, time_until};
use crate::support::http::Request;
use crate::support::raw::{BINARY, PATIENCE, RawClient, frame};

/// Those for whom there is no descriptor are told; nothing spins, and who waits is served when one is free.
pub(crate) fn no_descriptors() -> Figures {
    const DIALERS: usize = 400;
    let stage = Stage::start(&["--handshake-timeout", "60s"]);
    let status = Command::new("prlimit")
        .args(["--pid", &stage.server.pid().to_string(), "--nofile=256:256"])
        .status()
        .expect("util-linux is on every machine");
    assert!(status.success());
    let request = Request::upgrade(&stage.server, "/echo").bytes();
    let dial = || {
        let mut client = RawClient::connect(&stage.server);
        let is_served = client.try_send(&request).is_ok() && {
            let answer = client.read_to_head_or_end();
            assert!(
                answer.is_empty()
                    || answer.starts_with(b"HTTP/1.1 101 ")
                    || answer.starts_with(b"HTTP/1.1 503 "),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            answer.starts_with(b"HTTP/1.1 101 ")
        };
        is_served.then_some(client)
    };
    let mut served: Vec<RawClient> = (0..DIALERS).filter_map(|_| dial()).collect();
    assert!((200..256).contains(&served.len()), "{} served", served.len());
    let (cpu, started) = (cpu_milliseconds(&stage.server), Instant::now());
    let quiet = stage.watch.observe(Duration::from_secs(2));
    // The witnesses' own work is some milliseconds of it.
    let cpu = cpu_milliseconds(&stage.server) - cpu;
    let share = cpu as f64 / started.elapsed().as_millis() as f64 * 100.0;
    assert!(share <= 5.0, "{share} % of a processor while nothing can be had: {quiet:?}");
    drop(served.pop());
    let waited = time_until("one is served in the place that is free", Duration::from_secs(3), || {
        dial().map(|client| served.push(client)).is_some()
    });
    let log = stage.server.wait_for_log(PATIENCE, |log| log.contains("cannot take a client"));
    assert_eq!(log.matches("cannot take a client").count(), 1, "one line for all: {log}");
    let refused = DIALERS - served.len();
    drop(served);
    let figures = vec![
        ("served, and told that there is no room", format!("{}, {refused}", DIALERS - refused)),
        ("processor time meanwhile", format!("{share:.1} %")),
        ("a place is free: served after", format!("{} ms", waited.as_millis())),
    ];
    stage.end(Gate::Slow, 256, figures)
}

/// Connections that were reset while they waited to be accepted end nothing.
pub(crate) fn aborted() -> Figures {
    const CONNECTIONS: usize = 5_000;
    let stage = Stage::start(&[]);
    for round in 0..CONNECTIONS / 500 {
        // Stopped, so that they wait.
        stage.server.signal("STOP");
        for number in 0..500 {
            let stream = TcpStream::connect(stage.server.address()).expect("the kernel takes it");
            if number % 2 == 0 {
                let lingers_not = Some(Duration::ZERO);
                socket2::SockRef::from(&stream).set_linger(lingers_not).expect("a TCP socket takes it");
            }
        }
        stage.server.signal("CONT");
        RawClient::upgrade(&stage.server, "/echo").expect_quiet(&format!("round {round}"));
    }
    let accepted = stage.stat(&["clients"]);
    stage.end(
        Gate::Own,
        500,
        vec![("aborted before accept, clients left", format!("{CONNECTIONS}, {accepted}"))],
    )
}

/// All who come at once are accepted within a second; one who floods does not hold up the others.
pub(crate) fn at_once() -> Figures {
    const CONNECTIONS: usize = 4_096;
    let stage = Stage::start(&[]);
    let before = accepted(&stage);
    stage.server.signal("STOP");
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(stage.server.address()).expect("the backlog is long enough"))
        .collect();
    stage.server.signal("CONT");
    let took = time_until("all are accepted", Duration::from_secs(5), || {
        // Each question is a connection too.
        accepted(&stage) >= before + CONNECTIONS as u64
    });
    streams.clear();
    let quiet = stage.watch.observe(Duration::from_secs(2));
    let flood = frame(BINARY, &[7; 100]).repeat(600);
    let mut firehose = RawClient::upgrade(&stage.server, "/broadcast/flood?self=0");
    let started = Instant::now();
    stage.watch.take();
    let mut messages = 0_u64;
    while started.elapsed() < Duration::from_secs(2) {
        firehose.send(&flood);
        messages += 600;
    }
    let busy = stage.watch.take();
    firehose.expect_quiet("all is read");
    drop(firehose);
    // Small messages that nobody hears cost so little that nobody else notices.
    let problems = busy.beside_slow_ones(&quiet, &stage.cost());
    assert!(problems.is_empty(), "{}", problems.join("; "));
    let figures = vec![
        ("4,096 accepted after", format!("{} ms", took.as_millis())),
        ("flood, messages a second", (messages / 2).to_string()),
        (
            "witnesses' p99 without and with it, ms",
            format!("{:.2}, {:.2}", quiet.subject.p99 as f64 / 1e3, busy.subject.p99 as f64 / 1e3),
        ),
    ];
    stage.end(Gate::Own, CONNECTIONS as u64, figures)
}

fn accepted(stage: &Stage) -> u64 {
    stage.stat(&["connections_accepted"])
}

/// Slots are used again and again, and nobody hears what is another's.
pub(crate) fn churn() -> Figures {
    const CONNECTIONS: u64 = 50_000;
    const AT_ONCE: u64 = 4;
    let mut stage = Stage::start(&[]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..AT_ONCE {
            let address = stage.server.address();
            scope.spawn(move || {
                for number in 0..CONNECTIONS / AT_ONCE {
                    let mut client = RawClient::upgrade_at(address, "/echo");
                    let own = message(thread << 32 | number, 20);
                    client.send(&own);
                    let heard = client.read_frame();
                    let wanted = [(thread << 32 | number).to_be_bytes().as_slice()].concat();
                    assert_eq!(heard.payload[..8], wanted, "its own echo");
                    match number % 3 {
                        0 => drop(client.expect_close_of_ours()),
                        1 => client.end_sending(),
                        _ => {}
                    }
                }
            });
        }
    });
    let rate = CONNECTIONS as f64 / started.elapsed().as_secs_f64();
    let cause = stage.stat(&["closed", "1000"]);
    assert!(cause >= CONNECTIONS / 3 - 1, "{cause} of them closed properly");
    crate::support::server::wait_until("all have gone", PATIENCE, || stage.stat(&["clients"]) <= 5);
    stage.counts(CONNECTIONS, CONNECTIONS);
    stage.end(Gate::Flood, 100, vec![("connections, a second", format!("{CONNECTIONS}, {rate:.0}"))])
}

/// Nothing is kept of rooms that nobody is in.
pub(crate) fn many_rooms() -> Figures {
    const ROUNDS: usize = 4;
    const ROOMS: usize = 5_000;
    let stage = Stage::start(&["--max-per-ip", "19000"]);
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        let name = |number: usize| format!("/{round}-{number:0>50}?name=n{number}");
        let clients: Vec<RawClient> =
            (0..ROOMS).map(|number| RawClient::join(&stage.server, &name(number))).collect();
        // The witnesses have a room and a topic.
        assert_eq!(stage.stat(&["rooms"]), ROOMS as u64 + 2);
        drop(clients);
        crate::support::server::wait_until("all rooms are gone", PATIENCE, || stage.stat(&["rooms"]) == 2);
        memory.push(stage.server.memory_kib("VmRSS"));
    }
    let (first, last) = (memory[0], memory[ROUNDS - 1]);
    assert!(last <= first + first / 10, "{memory:?} KiB after each round");
    let figures = vec![
        ("rooms at once, and afterwards", format!("{ROOMS}, 0")),
        ("memory after each round, KiB", format!("{memory:?}")),
    ];
    stage.end(Gate::Flood, ROOMS as u64, figures)
}
