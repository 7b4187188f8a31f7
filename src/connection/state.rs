//! What a connection is about: a request that arrives, frames, or its end.

use super::{ConnectionLimits, Event};
use crate::clock::Time;
use crate::http::HeadScanner;

#[derive(Debug)]
pub(super) enum State {
    AwaitingHandshake(Box<Handshake>),
    /// The request is there, and whether it is granted is being found out: until a time.
    Deciding {
        until: Time,
    },
    Open(Liveness),
    Closing {
        stage: Stage,
        until: Time,
    },
}

/// A request that is arriving.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) head: Vec<u8>,
    pub(super) scanner: HeadScanner,
    pub(super) since: Time,
    pub(super) until: Time,
}

/// Whether the peer has to prove that it is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Liveness {
    PingAt(Time),
    /// A ping waits behind what the peer has not taken: its answer is not due before it has left.
    PingLeaving,
    DeadAt(Time),
}

/// How far the end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Our close frame is queued; the peer's is awaited, and nothing else of it is heard.
    AwaitingClose,
    /// All is said; what is queued has to leave. Input is thrown away.
    Flushing,
    /// The same, but then the socket is closed at once: the peer has ended, or is not waited for.
    FlushingLast,
    /// Our direction is shut; the peer has to hang up. Closing now would reset the connection if
    /// bytes of the peer are unread, and the peer might lose our last words (RFC 1122 §4.2.2.13).
    AwaitingEnd,
    /// The socket can be closed.
    Finished,
}

impl Stage {
    /// After both close frames the server closes at once (RFC 6455 §7.1.1), unless the peer sends
    /// on though it must not: then its bytes have to be read, or they would reset the connection.
    pub(super) fn after_close(rest: &[u8]) -> Stage {
        if rest.is_empty() { Stage::FlushingLast } else { Stage::Flushing }
    }

    /// After the end of our direction, which comes behind all that was queued.
    pub(super) fn after_shut(self) -> Stage {
        match self {
            Stage::Flushing => Stage::AwaitingEnd,
            Stage::FlushingLast => Stage::Finished,
            Stage::AwaitingClose | Stage::AwaitingEnd | Stage::Finished => {
                unreachable!("our direction ends once, when all is said")
            }
        }
    }
}

impl Handshake {
    pub(super) fn receive(&mut self, input: &mut &mut [u8]) -> Option<Event<'static>> {
        let bytes = std::mem::take(input);
        match self.scanner.scan(bytes) {
            Err(refusal) => {
                self.head.extend_from_slice(bytes);
                Some(Event::Refused(refusal, std::mem::take(&mut self.head)))
            }
            Ok(None) => {
                self.head.extend_from_slice(bytes);
                None
            }
            Ok(Some(end)) => {
                let (head, rest) = bytes.split_at_mut(end);
                self.head.extend_from_slice(head);
                *input = rest;
                Some(Event::Request(std::mem::take(&mut self.head)))
            }
        }
    }
}

impl Liveness {
    pub(super) fn next_ping(now: Time, limits: &ConnectionLimits) -> Liveness {
        let never = limits.ping_interval.is_zero();
        Liveness::PingAt(if never { Time::NEVER } else { now + limits.ping_interval })
    }
}
