//! One client of a server, in memory: its bytes arrive in whole pieces and everything is taken.

use wsloop::connection::ConnectionLimits;
use wsloop::server::{ServerLimits, Surface};
use wsloop::websocket::MessageLimits;

use crate::support::frames::{self, BINARY, CLOSE, COMPRESSED, PONG, TEXT, span};
use crate::support::handshake::end_of_head;
use crate::support::limits;
use crate::support::memory::{MemoryClient, MemoryServer, Wire};

/// Fewer fragments, so that the limit is cheap to reach.
pub(crate) const LIMITS: ServerLimits = ServerLimits {
    connection: ConnectionLimits {
        websocket: MessageLimits { fragments_max: 64, ..limits::LIMITS.connection.websocket },
        ..limits::LIMITS.connection
    },
    clients_max: 8,
    ..limits::LIMITS
};

/// A client, and the server that it has for itself. Time stands still.
pub(crate) struct Peer {
    server: MemoryServer,
    client: MemoryClient,
}

impl Peer {
    pub(crate) fn connect() -> Peer {
        Peer::connect_with(LIMITS)
    }

    pub(crate) fn connect_with(limits: ServerLimits) -> Peer {
        let mut server = MemoryServer::new(limits);
        let address = "192.0.2.7:4242".parse().expect("an address");
        let client = server.connect(address, Surface::Everything, Wire::default()).expect("there is room");
        server.settle();
        Peer { server, client }
    }

    /// Bytes arrive, in one piece.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.server.send(&self.client, bytes);
        self.server.settle();
        let is_read = self.client.wire.borrow().arrived.is_empty() || self.is_gone();
        assert!(is_read, "all that arrived is read, without a second wake-up");
    }

    /// The client hangs up.
    pub(crate) fn end(&mut self) {
        self.server.end(&self.client);
        self.server.settle();
    }

    /// All bytes that came from the server.
    pub(crate) fn taken(&self) -> Vec<u8> {
        self.client.wire.borrow().taken.clone()
    }

    /// What came behind the head of the response, which must be the one of a handshake.
    pub(crate) fn frames(&self) -> Vec<u8> {
        let taken = self.taken();
        assert!(taken.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&taken));
        taken[end_of_head(&taken).expect("a whole head")..].to_vec()
    }

    /// Whether the server has ended its direction.
    pub(crate) fn is_shut(&self) -> bool {
        self.client.wire.borrow().is_shut
    }

    /// Whether the server has said its last word.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_shut() || self.is_gone()
    }

    /// Whether the server has closed the socket.
    pub(crate) fn is_gone(&self) -> bool {
        assert_eq!(self.server.server.client_count() == 0, !self.client.is_held());
        !self.client.is_held()
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
        let span = span(rest).unwrap_or_else(|| panic!("a header cut short: {rest:x?}"));
        let (frame, behind) = rest.split_at(span.end);
        match span.first & !COMPRESSED {
            PONG => pongs.push(frame.to_vec()),
            TEXT | BINARY => messages.push(frame.to_vec()),
            CLOSE => close = Some(frame[span.start..].to_vec()),
            first => panic!("a first byte of {first:#x}"),
        }
        rest = behind;
    }
    (pongs.into_iter().chain(messages).collect(), close)
}

/// Code and reason of a close frame that must be there.
pub(crate) fn close_payload(payload: Option<&[u8]>, context: &str) -> (u16, String) {
    let payload = payload.unwrap_or_else(|| panic!("{context}: no close frame"));
    let (code, reason) = frames::close_payload(payload);
    assert_ne!(code, 1005, "{context}: a close frame without a code");
    (code, reason)
}
