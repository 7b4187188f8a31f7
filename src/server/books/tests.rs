//! Second by second: what is judged, and what is told of it.

use std::time::Duration;

use super::ledger::Posting;
use super::{AccountId, Books, DropReason, Gauges, Health};
use crate::clock::{Now, Time};
use crate::connection::Cause;
use crate::id::{ChannelId, ClientId};
use crate::server::environment::Pulse;
use crate::websocket::ProtocolError;

fn at(second: u64) -> Now {
    let wall = jiff::Timestamp::from_second(1_790_000_000 + i64::try_from(second).expect("few"));
    Now { time: Time::from_millis(second * 1_000), wall: wall.expect("a time") }
}

fn gauges() -> Gauges {
    Gauges {
        is_serving: true,
        connections: 1,
        connections_max: 4,
        guests: 0,
        operators: 0,
        websockets: 1,
        queue_bytes_max: 1,
        buffered_bytes: 0,
        buffered_bytes_max: 1,
        unfinished_bytes: 0,
        unfinished_bytes_max: 1,
        log_lines_dropped: [("withheld", 0), ("queue_full", 0), ("write_failed", 0)],
    }
}

fn a_second() -> Pulse {
    let (elapsed, idle) = (Duration::from_secs(1), Duration::from_millis(900));
    Pulse { elapsed, idle, worked: Duration::from_millis(100), ..Pulse::default() }
}

fn drop_messages(books: &mut Books, account: AccountId, reason: DropReason, messages: u64) {
    books.ledger.record(account, Posting::Accepted(messages));
    books.ledger.record(account, Posting::Queued(messages));
    books.note_dropped(ClientId::new(0), account, reason, messages);
}

#[test]
fn what_one_does_to_itself_makes_nobody_ill() {
    let mut books = Books::default();
    let room = books.ledger.attach(ChannelId::new(0));
    books.sample(at(0), Pulse::default(), gauges());
    drop_messages(&mut books, AccountId::NONE, DropReason::QueueFull, 10_000);
    drop_messages(&mut books, room, DropReason::Skipped, 10_000);
    books.counters.note_cut(AccountId::NONE);
    books.sample(at(1), a_second(), gauges());
    assert_eq!(books.findings, []);
    // In a room it is told, and somebody suffers if there are two.
    drop_messages(&mut books, room, DropReason::Stalled, 10_000);
    books.counters.note_cut(room);
    books.sample(at(2), a_second(), gauges());
    assert_eq!(books.health(), Health::Strained, "{:?}", books.findings);
    books.counters.note_cut(room);
    books.sample(at(3), a_second(), gauges());
    assert_eq!(books.health(), Health::Ill, "{:?}", books.findings);
    books.assert_balanced();
}

#[test]
fn a_verdict_that_flaps_leaves_the_other_events_there() {
    let mut books = Books::default();
    books.sample(at(0), Pulse::default(), gauges());
    let address = "192.0.2.1:1".parse().expect("an address");
    books.note_end(at(1), address, &Cause::Protocol(ProtocolError::InvalidUtf8));
    for second in 1..300 {
        let connections = if second % 2 == 0 { 4 } else { 1 };
        books.sample(at(second), a_second(), Gauges { connections, ..gauges() });
    }
    let told: Vec<_> = books.incidents.iter().map(|one| (one.kind, one.what, one.count)).collect();
    assert_eq!(told, [("verdict", "ill", 1), ("closed", "1007", 1), ("state", "started", 1)]);
    // Slowly enough, it is news each time.
    for second in 300..9_000 {
        let connections = if second % 200 < 100 { 4 } else { 1 };
        books.sample(at(second), a_second(), Gauges { connections, ..gauges() });
    }
    let told: Vec<_> = books.incidents.iter().map(|one| one.kind).collect();
    assert_eq!((told.len(), &told[48..]), (50, &["closed", "state"][..]), "{told:?}");
}

#[test]
fn a_standstill_is_told_in_the_same_words_and_is_nobodys_time() {
    let mut books = Books::default();
    books.sample(at(0), Pulse::default(), gauges());
    (1..20).for_each(|second| books.sample(at(second), a_second(), gauges()));
    let stood = Duration::from_millis(90_900);
    books.sample(at(20), Pulse { stood, ..a_second() }, gauges());
    let text = "the loop stood still: 90 s (ill from 5 s)";
    let reasons: Vec<_> = books.findings.iter().map(|finding| finding.text.as_str()).collect();
    assert_eq!(reasons, [text]);
    let event = books.incidents.iter().find(|one| one.kind == "loop").expect("it is told");
    assert_eq!(event.text, text);
}

#[test]
fn who_gave_way_unheard_was_turned_away() {
    let mut books = Books::default();
    books.sample(at(0), Pulse::default(), gauges());
    books.counters.note_rejection("displaced");
    books.sample(at(1), a_second(), gauges());
    assert_eq!(books.findings, []);
    (0..10).for_each(|_| books.counters.note_rejection(super::UNHEARD));
    books.sample(at(2), a_second(), gauges());
    assert_eq!(books.findings[0].text, "connections without a place in the last minute: 10 (ill from 10)");
}
