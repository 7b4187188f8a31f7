//! Who floods without ever reading evades no deadline.

use std::thread;
use std::time::Duration;

use crate::stage::{Figures, Gate, Stage};
use crate::support::attacker::{Attacker, Manner};
use crate::support::raw::{BINARY, BINARY_START, CONTINUATION, PATIENCE, PING, TEXT, close, frame};

/// A flooder: where it connects, what it says first, what it says from then on, and when it has to be gone.
struct Flood {
    name: &'static str,
    path: &'static str,
    is_json: bool,
    first: Vec<u8>,
    again: Vec<u8>,
    within: Duration,
}

/// From the last byte that it took, or a moment later: ten seconds, and some for a machine that is busy.
const STALLED: Duration = Duration::from_secs(18);
/// From its close frame or ours: five seconds, and some for the same reason.
const CLOSED: Duration = Duration::from_secs(8);

fn floods() -> Vec<Flood> {
    let many = |frame: Vec<u8>| frame.repeat(60_000 / frame.len());
    let flood = |name, path, first: &[u8], again: Vec<u8>, within| Flood {
        name,
        path,
        is_json: false,
        first: first.to_vec(),
        again: many(again),
        within,
    };
    let small = || frame(BINARY, b"x");
    vec![
        flood("small echoes, which skip", "/echo?slow=skip", b"", small(), STALLED),
        flood("small echoes, which close", "/echo?slow=close", b"", small(), STALLED),
        flood("texts in a room, which skip", "/flood?name=a&slow=skip", b"", frame(TEXT, b"x"), STALLED),
        Flood {
            is_json: true,
            ..flood(
                "answers in a room",
                "/flood?name=b&slow=skip",
                b"",
                frame(TEXT, br#"{"type":"ping"}"#),
                STALLED,
            )
        },
        flood("pings", "/echo", b"", frame(PING, b"x"), CLOSED),
        flood("fragments", "/echo", &frame(BINARY_START, b"x"), frame(CONTINUATION, b"x"), CLOSED),
        flood("after quit", "/flood?name=c", &frame(TEXT, b"quit"), frame(TEXT, b"x"), CLOSED),
        flood("after a close frame", "/echo", &close(1000, ""), small(), CLOSED),
        flood("after an error", "/echo", &frame(PING | 0x40, b""), small(), CLOSED),
    ]
}

/// All at once, until the server has ended each of them.
pub(crate) fn never_reading() -> Figures {
    let stage = Stage::start(&[]);
    stage.watch.take();
    let floods = floods();
    let times: Vec<Option<Duration>> = thread::scope(|scope| {
        let running = floods.iter().map(|flood| {
            let protocol = flood.is_json.then_some("wsloop.json");
            let manner = Manner { protocol, reads: false, ..Manner::at(flood.path) };
            let mut attacker = Attacker::connect(&stage.server, manner);
            scope.spawn(move || {
                attacker.send(&flood.first, PATIENCE).expect("it is not closed before it has said anything");
                attacker.flood(&flood.again, PATIENCE)
            })
        });
        let running: Vec<_> = running.collect();
        running.into_iter().map(|thread| thread.join().expect("it floods")).collect()
    });
    let mut figures = Vec::new();
    let mut late = Vec::new();
    for (flood, time) in floods.iter().zip(times) {
        let text =
            time.map_or("still there after 30 s".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()));
        if time.is_none_or(|time| time > flood.within) {
            late.push(format!("{}: {text}, not {:?}", flood.name, flood.within));
        }
        figures.push((flood.name, text));
    }
    assert!(late.is_empty(), "gone too late: {}", late.join("; "));
    stage.end(Gate::Flood, 10, figures)
}
