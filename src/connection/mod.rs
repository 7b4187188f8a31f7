//! One peer's protocol state: bytes and time in, events out. It sees no socket but to write.
//!
//! ```text
//! AwaitingHandshake --open--> Open --close, peer's close, error--> Closing
//!    |    '-----------------respond (HTTP, refusal)------------------^
//!    '--decide_later--> Deciding --open or respond, as above
//! ```

mod cause;
mod entry;
mod limits;
mod outbox;
mod outcome;
mod patience;
mod sink;
mod slow_policy;
mod state;

use std::borrow::Cow;
use std::io;
use std::time::Duration;

pub use cause::Cause;
use limits::due;
pub use limits::{
    CLOSE_TIMEOUT, CONTROL_FRAMES_MAX, ConnectionLimits, MESSAGE_TIMEOUT, RESPONSE_TIMEOUT, WRITE_TIMEOUT,
};
pub use outbox::Outbox;
pub use outcome::{Backlog, Gap, SendOutcome};
pub use sink::Sink;
pub use slow_policy::SlowPolicy;

use state::{Handshake, Liveness, Stage, State};

use crate::clock::Time;
use crate::delivery::{Batch, Meter};
use crate::http::{HeadScanner, Refusal};
use crate::websocket::{Agreement, CloseCode, CloseFrame, Decoder, Inflater, Item, Kind, ProtocolError};

/// The protocol state of one peer, and what it has still to get.
#[derive(Debug)]
pub struct Connection {
    state: State,
    // Beside the state, not in it: an event borrows from the decoder while the state changes.
    decoder: Decoder,
    outbox: Outbox,
    /// Pings and pongs since the start of the second that `control_second` counts.
    control_frames: u16,
    control_second: u32,
    compression: Option<Agreement>,
}

/// What a peer did.
#[derive(Debug)]
pub enum Event<'a> {
    /// Sent a whole request head. Answer with [`Connection::open`] or [`Connection::respond`].
    Request(Vec<u8>),
    /// Sent what cannot be answered, or too slowly; and what came of the request, up to the read that
    /// broke a rule. Answer with [`Connection::respond`].
    Refused(Refusal, Vec<u8>),
    /// Sent a message.
    Message {
        /// Text or binary.
        kind: Kind,
        /// The payload; text is UTF-8.
        payload: &'a [u8],
    },
    /// Sent a ping; the pong is queued.
    Ping,
    /// Sent a pong, perhaps that of a ping of ours: then it took so long.
    Pong(Option<Duration>),
    /// Ended the conversation, or made us end it. Comes once.
    Closed(Cause),
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(now: Time, limits: &ConnectionLimits) -> Connection {
        let handshake = Handshake {
            head: Vec::new(),
            scanner: HeadScanner::default(),
            since: now,
            until: now + limits.handshake_timeout,
        };
        Connection {
            state: State::AwaitingHandshake(Box::new(handshake)),
            decoder: Decoder::default(),
            outbox: Outbox::default(),
            control_frames: 0,
            control_second: 0,
            compression: None,
        }
    }

    /// Takes the next event off the front of `input`; `None` once all input is used. Answer each
    /// event before the next call.
    pub fn receive<'event, 'input: 'event>(
        &'event mut self,
        now: Time,
        limits: &ConnectionLimits,
        inflater: &'event mut Inflater,
        input: &mut &'input mut [u8],
    ) -> Option<Event<'event>> {
        let inflater = self.compression.map(|_| inflater);
        match &mut self.state {
            State::AwaitingHandshake(handshake) => return handshake.receive(input),
            // What comes behind the request waits for its answer.
            State::Deciding { .. } => return None,
            State::Closing { .. } => {
                self.receive_last(now, limits, inflater, input);
                return None;
            }
            State::Open(liveness) => {
                // Whatever it is, it shows that the peer is there.
                if matches!(liveness, Liveness::DeadAt(_)) && !input.is_empty() {
                    *liveness = Liveness::next_ping(now, limits);
                }
            }
        }
        match self.decoder.decode(now, &limits.websocket, inflater, input) {
            Ok(None) => None,
            Ok(Some(Item::Message { kind, payload })) => Some(Event::Message { kind, payload }),
            Ok(Some(item @ (Item::Ping(_) | Item::Pong(_)))) => {
                let second = u32::try_from(now.as_millis() / 1000).unwrap_or(u32::MAX);
                if second != self.control_second {
                    (self.control_second, self.control_frames) = (second, 0);
                }
                self.control_frames += 1;
                if u32::from(self.control_frames) > CONTROL_FRAMES_MAX {
                    return Some(fail(
                        &mut self.state,
                        &mut self.outbox,
                        now,
                        ProtocolError::TooManyControlFrames,
                    ));
                }
                match item {
                    Item::Ping(payload) => {
                        self.outbox.queue_pong(payload);
                        Some(Event::Ping)
                    }
                    Item::Pong(payload) => Some(Event::Pong(limits.round_trip(now, payload))),
                    _ => unreachable!("a control frame that is no close frame"),
                }
            }
            Ok(Some(Item::Close(frame))) => {
                self.outbox.queue_close(frame.reply());
                self.state = State::Closing { stage: Stage::after_close(input), until: now + CLOSE_TIMEOUT };
                Some(Event::Closed(Cause::Peer(frame)))
            }
            Err(error) => Some(fail(&mut self.state, &mut self.outbox, now, error)),
        }
    }

    /// The peer will send nothing more.
    pub fn handle_end(&mut self, now: Time) -> Option<Event<'static>> {
        match &mut self.state {
            State::AwaitingHandshake(_) | State::Deciding { .. } => {
                self.finish();
                None
            }
            State::Open(_) => {
                let until = now + CLOSE_TIMEOUT;
                self.state = State::Closing { stage: Stage::FlushingLast, until };
                Some(Event::Closed(Cause::Vanished))
            }
            State::Closing { stage, .. } => {
                *stage = match stage {
                    Stage::AwaitingClose | Stage::Flushing | Stage::FlushingLast => Stage::FlushingLast,
                    Stage::AwaitingEnd | Stage::Finished => Stage::Finished,
                };
                None
            }
        }
    }

    /// The socket failed: nothing more can be sent or received.
    pub fn handle_failure(&mut self, error: &io::Error) -> Option<Event<'static>> {
        let was_open = self.is_open();
        self.finish();
        was_open.then(|| Event::Closed(Cause::of_failure(error.kind())))
    }

    /// Does what is due at `now`, which is [`Connection::deadline`] or later.
    ///
    /// `is_flooding`: it says more than it is read, and gets no more time for what it does not take.
    pub fn handle_timeout(&mut self, now: Time, is_flooding: bool) -> Option<Event<'static>> {
        let seems_stalled = self.outbox.stalled_at(WRITE_TIMEOUT) <= now;
        let stalled = seems_stalled && (is_flooding || !self.outbox.extend_patience(now, WRITE_TIMEOUT));
        if seems_stalled && !stalled && self.deadline() > now {
            return None;
        }
        match &mut self.state {
            State::AwaitingHandshake(handshake) => {
                Some(Event::Refused(Refusal::HandshakeTimeout, std::mem::take(&mut handshake.head)))
            }
            State::Deciding { .. } => Some(Event::Refused(Refusal::Unavailable, Vec::new())),
            State::Closing { .. } => {
                self.finish();
                None
            }
            State::Open(_) if stalled => {
                let what = format!("took no byte for {} s", self.outbox.idle_for(now).as_secs());
                Some(Event::Closed(self.cut(now, &what)))
            }
            State::Open(_) if self.decoder.unfinished().is_some_and(|message| due(message) <= now) => {
                Some(fail(&mut self.state, &mut self.outbox, now, ProtocolError::MessageTooSlow))
            }
            State::Open(Liveness::PingAt(_)) => {
                // A pong is not matched to its ping, so any payload does; the time helps who traces.
                self.outbox.queue_ping(now.as_millis().to_be_bytes());
                self.state = State::Open(Liveness::PingLeaving);
                None
            }
            State::Open(Liveness::PingLeaving) => None,
            State::Open(Liveness::DeadAt(_)) => {
                // If it is there after all, it learns why; no end of it is waited for.
                self.outbox.queue_close(CloseFrame::new(CloseCode::POLICY, "no answer to a ping"));
                self.state = State::Closing { stage: Stage::FlushingLast, until: now + CLOSE_TIMEOUT };
                Some(Event::Closed(Cause::NoPong))
            }
        }
    }

    /// When [`Connection::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Time {
        let stalled_at = self.outbox.stalled_at(WRITE_TIMEOUT);
        match &self.state {
            State::AwaitingHandshake(handshake) => handshake.until,
            State::Deciding { until } => *until,
            State::Closing { stage: Stage::Finished, .. } => Time::NEVER,
            State::Closing { until, .. } => stalled_at.min(*until),
            State::Open(liveness) => {
                let time = match liveness {
                    Liveness::PingAt(time) | Liveness::DeadAt(time) => *time,
                    Liveness::PingLeaving => Time::NEVER,
                };
                stalled_at.min(time).min(self.decoder.unfinished().map_or(Time::NEVER, due))
            }
        }
    }

    /// The request is answered later, within the rest of its time; until then nothing of the peer is heard.
    pub fn decide_later(&mut self) {
        if let State::AwaitingHandshake(handshake) = &self.state {
            self.state = State::Deciding { until: handshake.until };
        }
        assert!(self.is_deciding(), "a request that is there is answered once");
    }

    /// Answers a handshake: from here on frames are spoken, compressed ones if that was agreed on.
    pub fn open(
        &mut self,
        now: Time,
        limits: &ConnectionLimits,
        meter: &Meter,
        response: Vec<u8>,
        compression: Option<Agreement>,
    ) {
        assert!(self.is_awaiting_handshake(), "a handshake is answered once");
        self.compression = compression;
        self.queue_response(now, meter, response.into());
        self.state = State::Open(Liveness::next_ping(now, limits));
    }

    /// Answers a request with a response, after which the connection is closed: when the peer hangs
    /// up too, or at once.
    pub fn respond(
        &mut self,
        now: Time,
        meter: &Meter,
        (head, body): (Vec<u8>, Cow<'static, [u8]>),
        waits_for_end: bool,
    ) {
        assert!(self.is_awaiting_handshake(), "a request is answered once");
        self.queue_response(now, meter, head.into());
        self.queue_response(now, meter, body);
        let stage = if waits_for_end { Stage::Flushing } else { Stage::FlushingLast };
        self.state = State::Closing { stage, until: now + RESPONSE_TIMEOUT };
    }

    /// Begins the closing handshake. What is queued leaves before the close frame.
    pub fn close(&mut self, until: Time, frame: CloseFrame) -> Cause {
        assert!(self.is_open(), "an open connection is closed once");
        self.outbox.queue_close(frame.clone());
        self.state = State::Closing { stage: Stage::AwaitingClose, until };
        Cause::Server(frame)
    }

    /// Ends the conversation with a peer whose unfinished message takes memory that is not there, and gives
    /// that back at once.
    pub fn give_up_message(&mut self, now: Time) -> Cause {
        assert!(self.is_open(), "an open connection is closed once");
        self.decoder = Decoder::default();
        let reason =
            "too much memory waits for the rest of unfinished messages; send it again, without pauses";
        let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason);
        self.outbox.queue_close(frame.clone());
        self.state = State::Closing { stage: Stage::Flushing, until: now + CLOSE_TIMEOUT };
        Cause::Server(frame)
    }

    /// Memory of what has come and is not whole: of a request or a message.
    pub fn unfinished_bytes(&self) -> usize {
        let head = match &self.state {
            State::AwaitingHandshake(handshake) => handshake.head.capacity(),
            State::Deciding { .. } | State::Open(_) | State::Closing { .. } => 0,
        };
        head + self.decoder.unfinished_bytes()
    }

    /// For how long what is not whole has been arriving, as far as that is known.
    pub fn unfinished_for(&self, now: Time) -> Duration {
        match &self.state {
            State::AwaitingHandshake(handshake) => now.since(handshake.since),
            _ => self.decoder.unfinished().map_or(Duration::ZERO, |(since, _)| now.since(since)),
        }
    }

    /// Cuts a peer that reads too slowly: what has not begun to leave is thrown away, and the peer
    /// is told how much that was.
    pub fn cut(&mut self, now: Time, what: &str) -> Cause {
        let backlog = self.outbox.cut(now);
        let reason = format!("{what}; {backlog}");
        let _ = self.close(now + CLOSE_TIMEOUT, CloseFrame::new(CloseCode::TRY_AGAIN_LATER, &reason));
        Cause::TooSlow(backlog)
    }

    /// Writes what the socket takes. `true`: all is said, and our direction can be shut; then comes
    /// [`Connection::handle_shut`], or this again.
    ///
    /// # Errors
    /// Those of the socket, except that it is full.
    pub fn flush(
        &mut self,
        now: Time,
        limits: &ConnectionLimits,
        stream: &mut impl Sink,
    ) -> io::Result<bool> {
        self.outbox.flush(now, stream)?;
        if matches!(self.state, State::Open(Liveness::PingLeaving)) && !self.outbox.has_ping() {
            // It stands behind what the peer's kernel has taken and the peer has not read.
            self.state = State::Open(Liveness::DeadAt(now + self.outbox.unread() + limits.pong_timeout));
        }
        if !self.outbox.is_empty() {
            return Ok(false);
        }
        match &mut self.state {
            // Tried in vain, since there was no room for a goodbye, it is tried again when there is.
            State::Closing { stage: Stage::Flushing, .. } => Ok(!self.outbox.is_blocked()),
            State::Closing { stage: Stage::FlushingLast, .. } if stream.needs_goodbye() => {
                Ok(!self.outbox.is_blocked())
            }
            State::Closing { stage: stage @ Stage::FlushingLast, .. } => {
                *stage = Stage::Finished;
                Ok(false)
            }
            State::Closing { stage: Stage::AwaitingClose, until } => {
                // Our close frame has left; from here the peer has the usual time.
                *until = (*until).min(now + CLOSE_TIMEOUT);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Our direction is shut.
    pub fn handle_shut(&mut self, now: Time) {
        if let State::Closing { stage, until } = &mut self.state {
            *stage = stage.after_shut();
            *until = (*until).min(now + CLOSE_TIMEOUT);
        }
    }

    /// What the peer has still to get.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Messages that the peer has still to get.
    pub fn queued_messages(&self) -> u32 {
        self.outbox.queued_messages()
    }

    /// Bytes that the peer has still to get.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Whether something waits for the socket, or its end for the last of it.
    pub fn wants_flush(&self) -> bool {
        let is_leaving =
            matches!(self.state, State::Closing { stage: Stage::Flushing | Stage::FlushingLast, .. });
        is_leaving || !self.outbox.is_empty()
    }

    /// Whether something waits that the socket, as far as is known, would take.
    pub fn can_flush(&self) -> bool {
        !self.outbox.is_empty() && !self.outbox.is_blocked()
    }

    /// How messages to the peer may be compressed, if they may.
    pub fn compression(&self) -> Option<Agreement> {
        self.compression
    }

    /// Whether messages can be exchanged.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the request has not been answered yet.
    pub fn is_awaiting_handshake(&self) -> bool {
        matches!(self.state, State::AwaitingHandshake(_) | State::Deciding { .. })
    }

    /// Whether the request is there, and its answer is being found out.
    pub fn is_deciding(&self) -> bool {
        matches!(self.state, State::Deciding { .. })
    }

    /// Whether the peer takes nothing of what waits for it.
    pub fn is_stalled(&self, now: Time) -> bool {
        self.outbox.stalled_at(WRITE_TIMEOUT) <= now
    }

    /// Whether nothing of a request has come.
    pub fn is_silent(&self) -> bool {
        matches!(&self.state, State::AwaitingHandshake(handshake) if handshake.head.is_empty())
    }

    /// Whether the peer has got all, and only has to hang up.
    pub fn has_said_all(&self) -> bool {
        matches!(self.state, State::Closing { stage: Stage::AwaitingEnd | Stage::Finished, .. })
    }

    /// Whether the socket can be closed.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Closing { stage: Stage::Finished, .. })
    }

    /// Input after the end of the conversation: only the peer's close frame matters.
    fn receive_last(
        &mut self,
        now: Time,
        limits: &ConnectionLimits,
        mut inflater: Option<&mut Inflater>,
        input: &mut &mut [u8],
    ) {
        if let State::Closing { stage: stage @ Stage::AwaitingClose, .. } = &mut self.state {
            // Nobody hears what these messages say, so it is not found out.
            if let Some(inflater) = &mut inflater {
                inflater.set_discarding(true);
            }
            let is_over = loop {
                match self.decoder.decode(now, &limits.websocket, inflater.as_deref_mut(), input) {
                    Ok(None) => break false,
                    Ok(Some(Item::Close(_))) | Err(_) => break true,
                    Ok(Some(_)) => {}
                }
            };
            if let Some(inflater) = inflater {
                inflater.set_discarding(false);
            }
            if !is_over {
                return;
            }
            *stage = Stage::after_close(input);
        }
        // RFC 6455 §1.4: after a close frame, any further data is discarded.
        *input = &mut [];
    }

    fn queue_response(&mut self, now: Time, meter: &Meter, response: Cow<'static, [u8]>) {
        let range = 0..response.len();
        let handed = self.outbox.queue(now, &Batch::answer(response, meter), range);
        assert_eq!(handed, SendOutcome::Queued(0), "a response is no message");
    }

    fn finish(&mut self) {
        self.decoder = Decoder::default();
        self.state = State::Closing { stage: Stage::Finished, until: Time::NEVER };
    }
}

/// Fails the connection (RFC 6455 §7.1.7). The decoder cannot go on, so no close frame of the peer
/// is waited for. Not a method: an event may borrow the decoder meanwhile.
fn fail(state: &mut State, outbox: &mut Outbox, now: Time, error: ProtocolError) -> Event<'static> {
    outbox.queue_close(CloseFrame::new(error.close_code(), &error.to_string()));
    *state = State::Closing { stage: Stage::Flushing, until: now + CLOSE_TIMEOUT };
    Event::Closed(Cause::Protocol(error))
}

#[cfg(test)]
mod tests;
