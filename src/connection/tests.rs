//! The state machine by the clock and by the byte.

use super::*;
use crate::websocket;

const LIMITS: ConnectionLimits = ConnectionLimits {
    websocket: websocket::MessageLimits { message_bytes_max: 1000, fragments_max: 10 },
    handshake_timeout: Duration::from_secs(10),
    ping_interval: Duration::from_secs(20),
    pong_timeout: Duration::from_secs(25),
    outbox_bytes_max: 4000,
};

fn at(milliseconds: u64) -> Time {
    Time::from_millis(milliseconds)
}

/// A peer whose socket takes everything, or nothing.
struct Peer {
    connection: Connection,
    sent: Vec<u8>,
}

impl Peer {
    fn new() -> Peer {
        Peer { connection: Connection::new(at(0), &LIMITS), sent: Vec::new() }
    }

    fn open() -> Peer {
        let mut peer = Peer::new();
        peer.connection.open(at(0), &LIMITS, &Meter::default(), Vec::new(), None);
        peer
    }

    /// What bytes lead to, as text, event by event.
    fn receive(&mut self, now: u64, bytes: &[u8]) -> Vec<String> {
        let mut bytes = bytes.to_vec();
        let mut input = bytes.as_mut_slice();
        let mut events = Vec::new();
        while let Some(event) =
            self.connection.receive(at(now), &LIMITS, &mut Inflater::default(), &mut input)
        {
            events.push(format!("{event:?}"));
        }
        assert!(input.is_empty(), "all input is used");
        events
    }

    /// Nothing is due one millisecond before the deadline, which is `wanted`.
    fn expires(&mut self, wanted: u64) -> Option<Event<'static>> {
        assert_eq!(self.connection.deadline(), at(wanted));
        self.connection.handle_timeout(at(wanted), false)
    }

    fn flush(&mut self, now: u64) -> (bool, Vec<u8>) {
        let ends = self.connection.flush(at(now), &LIMITS, &mut self.sent).expect("memory takes all");
        if ends {
            self.connection.handle_shut(at(now));
        }
        (ends, std::mem::take(&mut self.sent))
    }
}

#[test]
fn a_handshake_has_ten_seconds_and_bytes_do_not_extend_them() {
    let mut peer = Peer::new();
    assert!(peer.receive(9_000, b"GET / HTTP/1.1\r\n").is_empty());
    let event = peer.expires(10_000);
    assert!(matches!(event, Some(Event::Refused(Refusal::HandshakeTimeout, _))), "{event:?}");
    peer.connection.respond(at(10_000), &Meter::default(), (b"408".to_vec(), Cow::Borrowed(b"")), false);
    assert_eq!(peer.flush(10_000), (false, b"408".to_vec()));
    assert!(peer.connection.is_finished());
}

#[test]
fn a_head_in_two_pieces_and_what_follows_it() {
    let mut peer = Peer::new();
    assert!(peer.receive(1, b"GET / HTTP/1.1\r\nHost: a\r\n\r").is_empty());
    let mut inflater = Inflater::default();
    let mut bytes = *b"\n\x89\x80\0\0\0\0";
    let mut input = bytes.as_mut_slice();
    let event = peer.connection.receive(at(2), &LIMITS, &mut inflater, &mut input);
    assert!(matches!(&event, Some(Event::Request(head)) if head.len() == 27), "{event:?}");
    peer.connection.open(at(2), &LIMITS, &Meter::default(), b"101".to_vec(), None);
    let event = peer.connection.receive(at(2), &LIMITS, &mut inflater, &mut input);
    assert!(matches!(event, Some(Event::Ping)), "{event:?}");
    assert_eq!(peer.flush(2), (false, b"101\x8a\x00".to_vec()));
}

#[test]
fn a_ping_after_twenty_seconds_and_twenty_five_more_to_answer() {
    let mut peer = Peer::open();
    assert!(peer.expires(20_000).is_none());
    assert_eq!(peer.flush(20_000).1[..2], [0x89, 8]);
    assert_eq!(peer.receive(44_999, b"\x8a\x80\0\0\0\0"), ["Pong(None)"]);
    assert!(peer.expires(64_999).is_none());
    assert_eq!(peer.connection.deadline(), Time::NEVER, "an answer is not due before the ping has left");
    peer.flush(64_999);
    let event = peer.expires(89_999);
    assert!(matches!(event, Some(Event::Closed(Cause::NoPong))), "{event:?}");
    assert!(
        peer.flush(89_999).1.ends_with(&[&[0x88, 21, 3, 0xf0], b"no answer to a ping".as_slice()].concat())
    );
    assert!(peer.connection.is_finished(), "no end of it is waited for");
}

#[test]
fn a_pong_tells_how_long_it_took_if_it_is_that_of_a_ping() {
    let mut peer = Peer::open();
    assert!(peer.expires(20_000).is_none());
    // Masked with zeros. What nobody can have asked is nobody's answer.
    for (asked_at, now, wanted) in [
        (20_000_u64, 20_004, "Pong(Some(4ms))"),
        (20_005, 20_004, "Pong(None)"),
        (u64::MAX, 20_004, "Pong(None)"),
        (20_000, 65_000, "Pong(Some(45s))"),
        (20_000, 65_001, "Pong(None)"),
    ] {
        let pong = [b"\x8a\x88\0\0\0\0".as_slice(), &asked_at.to_be_bytes()].concat();
        assert_eq!(peer.receive(now, &pong), [wanted]);
    }
}

#[test]
fn any_byte_shows_that_a_pinged_peer_is_there() {
    let mut peer = Peer::open();
    assert!(peer.expires(20_000).is_none());
    peer.flush(20_000);
    peer.receive(30_000, b"\x81");
    assert_eq!(peer.connection.deadline(), at(40_000), "the unfinished frame is due first");
    peer.receive(30_001, b"\x80\0\0\0\0");
    assert_eq!(peer.connection.deadline(), at(50_000));
}

#[test]
fn without_an_interval_no_ping_is_sent() {
    let limits = ConnectionLimits { ping_interval: Duration::ZERO, ..LIMITS };
    let mut connection = Connection::new(at(0), &limits);
    connection.open(at(0), &limits, &Meter::default(), Vec::new(), None);
    assert_eq!(connection.deadline(), Time::NEVER);
}

#[test]
fn a_message_has_ten_seconds_from_its_first_byte() {
    let mut peer = Peer::open();
    peer.receive(1_000, b"\x01\x81\0\0\0\0a");
    peer.receive(10_999, b"\x00\x81\0\0\0\0b");
    let event = peer.expires(11_000);
    assert!(
        matches!(event, Some(Event::Closed(Cause::Protocol(ProtocolError::MessageTooSlow)))),
        "{event:?}"
    );
    let (ends, sent) = peer.flush(11_000);
    assert_eq!((ends, &sent[2..4]), (true, 1008_u16.to_be_bytes().as_slice()));
}

#[test]
fn a_peer_that_takes_no_byte_for_ten_seconds_is_cut_and_has_five_to_read_why() {
    let mut peer = Peer::open();
    let batch = websocket::encode::control(websocket::Opcode::Pong, b"x");
    assert_eq!(peer.connection.outbox().queue(at(500), &batch, 0..3), SendOutcome::Queued(0));
    let event = peer.expires(10_500);
    assert!(
        matches!(&event, Some(Event::Closed(Cause::TooSlow(backlog))) if backlog.bytes == 3),
        "{event:?}"
    );
    assert!(peer.expires(15_500).is_none());
    assert!(peer.connection.is_finished());
}

#[test]
fn a_frame_that_has_begun_leaves_within_those_five_seconds_too() {
    let mut peer = Peer::open();
    let batch = websocket::encode::control(websocket::Opcode::Pong, b"x");
    let mut one_byte = [0_u8];
    let sent = peer.connection.outbox().send(at(500), &batch, 0..3, &mut one_byte.as_mut_slice());
    assert_eq!(sent.expect("takes a byte"), SendOutcome::Queued(0));
    assert!(matches!(peer.expires(10_500), Some(Event::Closed(Cause::TooSlow(_)))));
    peer.connection.outbox().unblock();
    let (_, sent) = peer.flush(15_499);
    assert_eq!(sent[..6], [1, b'x', 0x88, 51, 0x03, 0xf5]);
}

#[test]
fn a_close_of_ours_waits_five_seconds_for_the_peer_s() {
    let mut peer = Peer::open();
    peer.connection.close(at(6_000), CloseFrame::new(CloseCode::GOING_AWAY, ""));
    assert_eq!(peer.flush(1_000), (false, b"\x88\x02\x03\xe9".to_vec()));
    assert!(peer.receive(2_000, b"\x81\x81\0\0\0\0a\x89\x80\0\0\0\0").is_empty(), "no longer heard");
    assert!(peer.expires(6_000).is_none());
    assert!(peer.connection.is_finished());
}

#[test]
fn a_slow_goodbye_has_longer_but_only_until_the_close_frame_has_left() {
    let mut peer = Peer::open();
    peer.connection.close(at(9_000), CloseFrame::new(CloseCode::GOING_AWAY, ""));
    assert_eq!(peer.connection.deadline(), at(9_000));
    peer.flush(1_000);
    assert_eq!(peer.connection.deadline(), at(6_000));
    peer.flush(2_000);
    assert_eq!(peer.connection.deadline(), at(6_000));
}

#[test]
fn after_both_close_frames_the_server_closes() {
    let mut peer = Peer::open();
    assert_eq!(peer.receive(100, b"\x88\x80\0\0\0\0").len(), 1);
    assert_eq!(peer.flush(100), (false, b"\x88\x00".to_vec()));
    assert!(peer.connection.is_finished());

    let mut peer = Peer::open();
    peer.connection.close(at(6_000), CloseFrame::new(CloseCode::GOING_AWAY, ""));
    assert!(peer.receive(100, b"\x88\x82\0\0\0\0\x03\xe9").is_empty());
    peer.flush(100);
    assert!(peer.connection.is_finished());
}

#[test]
fn control_frames_are_counted_by_the_second() {
    let mut peer = Peer::open();
    let flood = |count: u32| b"\x8a\x80\0\0\0\0".repeat(count as usize);
    assert_eq!(peer.receive(5_000, &flood(CONTROL_FRAMES_MAX)).len(), 200);
    assert_eq!(peer.receive(6_000, &flood(CONTROL_FRAMES_MAX)).len(), 200);
    let events = peer.receive(6_999, &flood(1));
    assert_eq!(events, ["Closed(Protocol(TooManyControlFrames))"]);
    assert_eq!(peer.flush(6_999).1[2..4], 1008_u16.to_be_bytes());
}

#[test]
fn a_peer_that_sends_on_after_its_close_frame_has_to_hang_up() {
    let mut peer = Peer::open();
    let events = peer.receive(100, b"\x88\x82\0\0\0\0\x03\xe8\x81\x81\0\0\0\0a");
    assert_eq!(events.len(), 1, "nothing is heard after a close frame: {events:?}");
    assert_eq!(peer.flush(100), (true, b"\x88\x02\x03\xe8".to_vec()), "our direction ends");
    assert!(!peer.connection.is_finished());
    assert!(peer.connection.handle_end(at(200)).is_none());
    assert!(peer.connection.is_finished());
}

#[test]
fn what_is_queued_leaves_though_the_peer_has_ended_its_direction() {
    let mut peer = Peer::open();
    peer.receive(100, b"\x89\x80\0\0\0\0");
    let event = peer.connection.handle_end(at(100));
    assert!(matches!(event, Some(Event::Closed(Cause::Vanished))), "{event:?}");
    assert_eq!(peer.flush(100), (false, b"\x8a\x00".to_vec()));
    assert!(peer.connection.is_finished());
}

#[test]
fn a_failed_socket_ends_a_conversation_once() {
    let mut peer = Peer::open();
    let error = io::Error::from(io::ErrorKind::ConnectionReset);
    assert!(matches!(peer.connection.handle_failure(&error), Some(Event::Closed(Cause::Failed(_)))));
    assert!(peer.connection.handle_failure(&error).is_none());
    assert_eq!(peer.connection.deadline(), Time::NEVER);
}

#[test]
fn causes_are_said_in_words() {
    for (cause, wanted) in [
        (Cause::Peer(CloseFrame { code: None, reason: String::new() }), "the peer closed without a code"),
        (Cause::Peer(CloseFrame::new(CloseCode::NORMAL, "bye")), "the peer closed with 1000: bye"),
        (Cause::Protocol(ProtocolError::Unmasked), "closed with 1002: a client must mask its frames"),
        (
            Cause::TooSlow(Backlog { messages: 3, bytes: 70 }),
            "closed with 1013: too slow, 3 messages, 70 bytes behind",
        ),
    ] {
        assert_eq!(cause.to_string(), wanted);
    }
}
