//! Floods of frames, and conversations that do not end.

use std::time::{Duration, Instant};

use crate::stage::{Figures, Gate, Stage, mib};
use crate::support::limits::MESSAGE_BYTES_MAX;
use crate::support::raw::{self, BINARY, BINARY_START, CONTINUATION, PATIENCE, PING, RawClient, TEXT, frame};
use crate::support::server::wait_until;

/// Memory follows the bytes that come, not the length that is announced.
pub(crate) fn claims() -> Figures {
    const CLIENTS: usize = 10_000;
    let stage = Stage::start(&[]);
    let mut clients: Vec<RawClient> =
        (0..CLIENTS).map(|_| RawClient::upgrade(&stage.server, "/echo")).collect();
    let before = stage.server.memory_kib("VmRSS");
    let mut claim = raw::header(BINARY, MESSAGE_BYTES_MAX as u64);
    claim.push(0);
    let received = stage.stat(&["received_bytes"]) + (CLIENTS * claim.len()) as u64;
    clients.iter_mut().for_each(|client| client.send(&claim));
    wait_until("all is read", PATIENCE, || stage.stat(&["received_bytes"]) >= received);
    let grown = stage.server.memory_kib("VmRSS").saturating_sub(before);
    let allowed = CLIENTS as u64 * 400 / 1024 + 512;
    assert!(grown <= allowed, "{grown} KiB more, {allowed} KiB are allowed");
    drop(clients);
    let claimed = mib(CLIENTS as u64 * 64);
    let figures = vec![("announced, and taken, MiB", format!("{claimed:.0}, {:.1}", mib(grown)))];
    stage.end(Gate::Flood, CLIENTS as u64, figures)
}

/// Too many fragments are closed with 1008, and so is a message that never ends; none takes memory.
pub(crate) fn fragments() -> Figures {
    let stage = Stage::start(&[]);
    let before = stage.server.memory_kib("VmRSS");
    stage.forget_peak();
    let mut endless = RawClient::upgrade(&stage.server, "/echo");
    let begun = Instant::now();
    endless.send(&frame(BINARY_START, b"x"));
    let mut figures = Vec::new();
    for (name, payload, thousands) in
        [("131,000 of a byte", b"x".as_slice(), 131), ("a million of none", b"", 1_000)]
    {
        let mut client = RawClient::upgrade(&stage.server, "/echo");
        client.send(&frame(BINARY_START, payload));
        let some = frame(CONTINUATION, payload).repeat(1_000);
        let sent = (0..thousands).take_while(|_| client.try_send(&some).is_ok()).count();
        let (code, reason) = client.read_frame().close();
        assert!(code == 1008 && reason.contains("--max-fragments"), "after {sent} thousand: {code} {reason}");
        figures.push((name, format!("{code}: {reason}")));
    }
    // A fragment a second keeps nobody waiting for ever.
    while !endless.has_received_close() {
        assert!(begun.elapsed() < Duration::from_secs(16), "it is still there");
        let _ = endless.try_send(&frame(CONTINUATION, b"x"));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    figures.push(("never finished: closed after", format!("{:.1} s", begun.elapsed().as_secs_f64())));
    let peak = stage.server.memory_kib("VmHWM").saturating_sub(before);
    assert!(peak < 2048, "{peak} KiB more at the peak");
    figures.push(("server's memory at the peak, MiB more", format!("{:.1}", mib(peak))));
    drop(endless);
    stage.end(Gate::Flood, 3, figures)
}

/// Pongs do not pile up for who does not read them.
pub(crate) fn pings() -> Figures {
    let stage = Stage::start(&[]);
    let before = stage.server.memory_kib("VmRSS");
    stage.forget_peak();
    let pings = frame(PING, &[7; 125]).repeat(100);
    let mut sent = 0;
    for _ in 0..20 {
        let mut client = RawClient::upgrade(&stage.server, "/echo");
        while client.try_send(&pings).is_ok() && !client.has_received_close() {
            sent += 100;
        }
    }
    let peak = stage.server.memory_kib("VmHWM").saturating_sub(before);
    assert!(peak < 1024, "{peak} KiB more at the peak");
    assert_eq!(stage.stat(&["closed", "1008"]), 20, "each of them is closed");
    let figures = vec![
        ("pings sent before all 20 were closed", sent.to_string()),
        ("server's memory at the peak, KiB more", peak.to_string()),
    ];
    stage.end(Gate::Flood, 20, figures)
}

/// Who does not answer a close frame, half-closes, or sends on for ever, is gone after five seconds.
pub(crate) fn unfinished_closes() -> Figures {
    const EACH: usize = 50;
    let stage = Stage::start(&[]);
    let quit = |name: &str| {
        let mut client = RawClient::join(&stage.server, &format!("/{name}?name=guest"));
        client.send(&frame(TEXT, b"quit"));
        client
    };
    let silent: Vec<RawClient> = (0..EACH).map(|number| quit(&format!("silent{number}"))).collect();
    let half: Vec<RawClient> = (0..EACH)
        .map(|number| {
            let client = quit(&format!("half{number}"));
            client.end_sending();
            client
        })
        .collect();
    let mut endless: Vec<RawClient> = (0..EACH).map(|number| quit(&format!("endless{number}"))).collect();
    let started = Instant::now();
    let noise = frame(TEXT, b"on and on");
    let mut gone = Duration::ZERO;
    wait_until("all are gone", PATIENCE, || {
        endless.iter_mut().for_each(|client| drop(client.try_send(&noise)));
        gone = started.elapsed();
        // The witnesses, and who asks.
        stage.stat(&["clients"]) <= 5
    });
    assert!(gone < Duration::from_secs(8), "{gone:?}");
    assert!(gone > Duration::from_secs(4), "{gone:?}: the silent ones have five seconds");
    drop((silent, half, endless));
    let figures = vec![("150 clients: all gone after", format!("{:.1} s", gone.as_secs_f64()))];
    stage.end(Gate::Flood, 3 * EACH as u64, figures)
}
