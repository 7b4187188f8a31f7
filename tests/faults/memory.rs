//! Memory that many clients take together, each of them with little: it stays within the formula of
//! `src/OPERATING.md`.

use std::thread;
use std::time::Duration;

use crate::stage::{Figures, Gate, Stage, mib};
use crate::support::http::Request;
use crate::support::limits::MESSAGE_BYTES_MAX;
use crate::support::raw::{BINARY, PATIENCE, PING, PONG, RawClient, TEXT, frame, header};
use crate::support::server::wait_until;

/// The server without anybody, and what an allocator keeps.
const BASE_KIB: u64 = 12 * 1024;
/// A client, or a room that is kept, with its entries in tables.
const EACH_KIB: u64 = 1;
/// What unfinished messages of all clients may take, and what histories may.
const INCOMING_KIB: u64 = 64 * 1024;
const HISTORIES_KIB: u64 = 64 * 1024;

/// The peak since it was forgotten may not be above this.
fn assert_peak(stage: &Stage, allowed: u64) -> (&'static str, String) {
    let peak = stage.server.memory_kib("VmHWM");
    assert!(peak <= allowed, "{:.0} MiB at the peak, {:.0} by the formula", mib(peak), mib(allowed));
    ("memory at the peak, and by the formula, MiB", format!("{:.0}, {:.0}", mib(peak), mib(allowed)))
}

/// 3,000 ask for pages and read nothing.
pub(crate) fn unread_responses() -> Figures {
    const CLIENTS: usize = 3_000;
    const BUFFERED_KIB: u64 = 16 * 1024;
    // With a large send buffer it is the kernel that keeps them.
    let stage = Stage::start(&["--max-buffered", "16M", "--send-buffer", "16K"]);
    let accepted = stage.stat(&["connections_accepted"]) + CLIENTS as u64;
    stage.forget_peak();
    stage.watch.take();
    let clients: Vec<RawClient> = (0..CLIENTS)
        .map(|_| {
            let mut client = RawClient::connect_narrow(&stage.server, 2048);
            // The largest of all; and there may be no room for an answer.
            let _ = client.try_send(&Request::plain(&stage.server, "GET", "/assets/uplot.js").bytes());
            client
        })
        .collect();
    wait_until("all are accepted", PATIENCE, || stage.stat(&["connections_accepted"]) >= accepted);
    thread::sleep(Duration::from_millis(500));
    let figure = assert_peak(&stage, BASE_KIB + BUFFERED_KIB + CLIENTS as u64 * EACH_KIB);
    drop(clients);
    stage.end(Gate::Flood, CLIENTS as u64, vec![figure])
}

/// 9,000 rooms, with a member each, remember a hundred messages of a byte each.
pub(crate) fn tiny_messages() -> Figures {
    const ROOMS: usize = 9_000;
    const AT_ONCE: usize = 4;
    let stage = Stage::start(&[]);
    stage.forget_peak();
    stage.watch.take();
    let said = [frame(TEXT, b"x").repeat(100), frame(PING, b"said")].concat();
    let members: Vec<Vec<RawClient>> = thread::scope(|scope| {
        let speakers = (0..AT_ONCE).map(|number| {
            let (stage, said) = (&stage, &said);
            scope.spawn(move || {
                let talk = |room: usize| {
                    let mut client = RawClient::join(&stage.server, &format!("/{room}?name=n"));
                    client.send(said);
                    while client.read_frame().first != PONG {}
                    client
                };
                (number..ROOMS).step_by(AT_ONCE).map(talk).collect()
            })
        });
        let speakers: Vec<_> = speakers.collect();
        speakers.into_iter().map(|speaker| speaker.join().expect("it was heard")).collect()
    });
    // A room and its member, each.
    let allowed = BASE_KIB + HISTORIES_KIB + 2 * ROOMS as u64 * EACH_KIB;
    let figure = assert_peak(&stage, allowed);
    drop(members);
    // Some of them are kept for ten minutes.
    stage.end(Gate::Flood, allowed, vec![figure])
}

/// 4,000 send all of the largest message but for its last byte; and 4,000 more, when these have gone: an allocator
/// keeps what the first ones took, and uses it again.
pub(crate) fn unfinished_messages() -> Figures {
    const CLIENTS: usize = 4_000;
    const BYTES: usize = MESSAGE_BYTES_MAX;
    let stage = Stage::start(&[]);
    stage.forget_peak();
    stage.watch.take();
    let files = stage.server.open_files();
    let mut figures = Vec::new();
    for _ in 0..2 {
        let mut clients: Vec<RawClient> =
            (0..CLIENTS).map(|_| RawClient::upgrade(&stage.server, "/echo")).collect();
        let mut unfinished = header(BINARY, BYTES as u64);
        unfinished.resize(unfinished.len() + BYTES - 1, 0);
        // Those for whom there is no room are told, and closed.
        clients.iter_mut().for_each(|client| drop(client.try_send(&unfinished)));
        wait_until("there was no room for all", PATIENCE, || stage.stat(&["closed", "1013"]) > 0);
        figures.push(assert_peak(&stage, BASE_KIB + INCOMING_KIB + CLIENTS as u64 * EACH_KIB));
        drop(clients);
        wait_until("all have gone", PATIENCE, || stage.server.open_files() <= files);
        assert_eq!(stage.stat(&["unfinished_bytes"]), 0, "and what they had sent");
    }
    stage.end(Gate::Flood, INCOMING_KIB, figures)
}
