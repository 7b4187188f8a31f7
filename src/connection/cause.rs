//! Why a conversation ended.

use std::{fmt, io};

use super::Backlog;
use crate::websocket::{CloseCode, CloseFrame, ProtocolError};

/// Why a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer began the closing handshake.
    Peer(CloseFrame),
    /// We began it.
    Server(CloseFrame),
    /// The peer broke a rule.
    Protocol(ProtocolError),
    /// The peer hung up without a close frame.
    Vanished,
    /// The socket failed.
    Failed(io::ErrorKind),
    /// Nothing came after a ping.
    NoPong,
    /// The peer read too slowly.
    TooSlow(Backlog),
}

impl Cause {
    /// Of a socket that failed.
    pub(super) fn of_failure(kind: io::ErrorKind) -> Cause {
        match kind {
            // An end without the goodbye of a stream that has one.
            io::ErrorKind::UnexpectedEof => Cause::Vanished,
            kind => Cause::Failed(kind),
        }
    }

    /// The close code of either side; 1005 for a close without one, 1006 for an end without a close
    /// (RFC 6455 §7.4.1).
    pub fn code(&self) -> u16 {
        match self {
            Cause::Peer(frame) | Cause::Server(frame) => frame.code.map_or(1005, CloseCode::as_u16),
            Cause::Protocol(error) => error.close_code().as_u16(),
            Cause::Vanished | Cause::Failed(_) => 1006,
            Cause::NoPong => CloseCode::POLICY.as_u16(),
            Cause::TooSlow(_) => CloseCode::TRY_AGAIN_LATER.as_u16(),
        }
    }

    /// The same in words, without what differs from one client to the next: by it ends are counted.
    pub fn kind(&self) -> String {
        match self {
            Cause::TooSlow(_) => "closed with 1013: too slow".to_owned(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Peer(CloseFrame { code: None, .. }) => {
                formatter.write_str("the peer closed without a code")
            }
            Cause::Peer(CloseFrame { code: Some(code), reason }) => {
                write!(formatter, "the peer closed with {}: {reason}", code.as_u16())
            }
            Cause::Server(CloseFrame { code, reason }) => {
                write!(formatter, "closed with {}: {reason}", code.map_or(1005, CloseCode::as_u16))
            }
            Cause::Protocol(error) => {
                write!(formatter, "closed with {}: {error}", error.close_code().as_u16())
            }
            Cause::Vanished => formatter.write_str("the peer hung up without a close frame"),
            Cause::Failed(kind) => write!(formatter, "the socket failed: {kind}"),
            Cause::NoPong => formatter.write_str("closed with 1008: no answer to a ping"),
            Cause::TooSlow(backlog) => write!(formatter, "closed with 1013: too slow, {backlog}"),
        }
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} messages, {} bytes behind", self.messages, self.bytes)
    }
}
