//! One client of a server, in memory: its bytes arrive in whole pieces and everything is taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use wsloop::clock::{Now, Time};
use wsloop::connection;
use wsloop::server::{Environment, Readiness, Server, ServerLimits, Site, SlowPolicy, Stream, Surface};
use wsloop::websocket;

/// As the command line sets them, but for the fragments, so that the limit is cheap to reach.
pub(crate) const LIMITS: ServerLimits = ServerLimits {
    connection: connection::ConnectionLimits {
        websocket: websocket::MessageLimits { message_bytes_max: 65_536, fragments_max: 64 },
        handshake_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(20),
        pong_timeout: Duration::from_secs(25),
        outbox_bytes_max: 1 << 20,
    },
    clients_max: 8,
    address_clients_max: None,
    rate: None,
    compress_bytes_min: 128,
    history_messages_max: 100,
    slow: SlowPolicy::Close,
    buffered_bytes_max: 256 << 20,
    drain_timeout: Duration::from_secs(8),
};

/// Both directions between a client and the server.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) arrived: VecDeque<u8>,
    pub(crate) has_ended: bool,
    pub(crate) taken: Vec<u8>,
    /// Bytes taken; nothing else is kept of them by one who forgets.
    pub(crate) taken_count: usize,
    pub(crate) forgets: bool,
    is_shut: bool,
}

/// The server's end of a wire.
pub(crate) struct MemoryStream(pub(crate) Rc<RefCell<Wire>>);

impl Read for MemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.arrived.is_empty() && !wire.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Like the kernel: all there is, as far as the buffer goes.
        let length = buffer.len().min(wire.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(wire.arrived.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        assert!(!wire.is_shut, "nothing is written after the end of our direction");
        if !wire.forgets {
            slices.iter().for_each(|slice| wire.taken.extend_from_slice(slice));
        }
        let count = slices.iter().map(|slice| slice.len()).sum();
        wire.taken_count += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for MemoryStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().is_shut = true;
        Ok(())
    }
}

/// A client, and the server that it has for itself.
pub(crate) struct Peer {
    server: Server<MemoryStream>,
    wire: Rc<RefCell<Wire>>,
    token: usize,
}

impl Peer {
    pub(crate) fn connect() -> Peer {
        Peer::connect_with(LIMITS)
    }

    pub(crate) fn connect_with(limits: ServerLimits) -> Peer {
        let mut server = new_server(limits);
        let wire = Rc::new(RefCell::new(Wire::default()));
        let token = server.next_token();
        let address = "192.0.2.7:4242".parse().expect("an address");
        assert!(
            server.accept(now(), MemoryStream(Rc::clone(&wire)), address, Surface::Everything),
            "there is room"
        );
        let mut peer = Peer { server, wire, token };
        peer.wake(Readiness { is_writable: true, ..Readiness::default() });
        peer
    }

    /// Bytes arrive, in one piece.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire.borrow_mut().arrived.extend(bytes);
        self.wake(Readiness { is_readable: true, ..Readiness::default() });
        let is_read = self.wire.borrow().arrived.is_empty() || self.is_gone();
        assert!(is_read, "all that arrived is read, without a second wake-up");
    }

    /// The client hangs up.
    pub(crate) fn end(&mut self) {
        self.wire.borrow_mut().has_ended = true;
        self.wake(Readiness { is_readable: true, is_writable: true, is_read_closed: true });
    }

    /// All bytes that came from the server.
    pub(crate) fn taken(&self) -> Vec<u8> {
        self.wire.borrow().taken.clone()
    }

    /// What came behind the head of the response, which must be the one of a handshake.
    pub(crate) fn frames(&self) -> Vec<u8> {
        let taken = self.taken();
        assert!(taken.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&taken));
        let end = taken.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        taken[end..].to_vec()
    }

    /// Whether the server has ended its direction.
    pub(crate) fn is_shut(&self) -> bool {
        self.wire.borrow().is_shut
    }

    /// Whether the server has said its last word.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_shut() || self.is_gone()
    }

    /// Whether the server has closed the socket.
    pub(crate) fn is_gone(&self) -> bool {
        assert_eq!(self.server.client_count() == 0, Rc::strong_count(&self.wire) == 1);
        self.server.client_count() == 0
    }

    fn wake(&mut self, readiness: Readiness) {
        self.server.handle_ready(self.token, readiness);
        self.server.turn(now());
        while self.server.has_work() {
            self.server.turn(now());
        }
    }
}

pub(crate) fn new_server(limits: ServerLimits) -> Server<MemoryStream> {
    let site = Site::new(vec!["localhost".to_owned()], vec!["https://friend.example".to_owned()], true);
    Server::new(limits, site, jiff::tz::TimeZone::UTC, Environment::nothing())
}

/// Nothing here depends on time, which stands still.
pub(crate) fn now() -> Now {
    Now {
        time: Time::from_millis(1_000),
        wall: jiff::Timestamp::from_second(1_795_176_187).expect("in range"),
    }
}

/// Splits the server's bytes into frames: pongs first, then messages, each in their order, and the
/// payload of the close frame. A pong may overtake messages of the same turn (RFC 6455 §5.5.2: as
/// soon as is practical); a close frame is the last.
pub(crate) fn split_frames(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let (mut pongs, mut messages, mut close) = (Vec::new(), Vec::new(), None);
    let mut rest = bytes;
    while !rest.is_empty() {
        assert!(close.is_none(), "a frame behind the close frame: {rest:x?}");
        assert!(rest.len() >= 2, "a header cut short: {rest:x?}");
        let (header, length) = match rest[1] {
            short @ 0..=125 => (2, usize::from(short)),
            126 => (4, usize::from(rest[2]) << 8 | usize::from(rest[3])),
            127 => (10, rest[2..10].iter().fold(0, |length, &byte| length << 8 | usize::from(byte))),
            _ => panic!("RFC 6455 §5.1: a server must not mask: {rest:x?}"),
        };
        let frame = &rest[..header + length];
        match frame[0] {
            0x8A => pongs.push(frame.to_vec()),
            // 0xC1 and 0xC2: compressed (RFC 7692 §6).
            0x81 | 0x82 | 0xC1 | 0xC2 => messages.push(frame.to_vec()),
            0x88 => close = Some(frame[header..].to_vec()),
            first => panic!("a first byte of {first:#x}"),
        }
        rest = &rest[header + length..];
    }
    (pongs.into_iter().chain(messages).collect(), close)
}

/// Code and reason of a close frame that must be there.
pub(crate) fn close_payload(payload: Option<&[u8]>, context: &str) -> (u16, String) {
    let payload = payload.unwrap_or_else(|| panic!("{context}: no close frame"));
    assert!((2..=125).contains(&payload.len()), "{context}: {payload:x?}");
    let reason = String::from_utf8(payload[2..].to_vec()).expect("RFC 6455 §5.5.1: the reason is UTF-8");
    (u16::from_be_bytes([payload[0], payload[1]]), reason)
}
