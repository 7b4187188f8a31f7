//! Taking connections from the kernel. No error ends it: what runs out comes back.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use log::warn;

use super::{Server, Stream, Surface};
use crate::clock::{Now, Time};

/// Connections accepted in a turn before the clients have theirs.
const ACCEPTS_MAX: u32 = 64;
/// How long accepting rests after it failed for want of something; a client that goes ends the rest.
const PAUSE: Duration = Duration::from_millis(100);
/// Failures are logged at most so often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Where connections come from.
pub trait Listener<S> {
    /// Who comes this way.
    fn surface(&self) -> Surface;

    /// Takes the next one; `WouldBlock` says that an edge will tell of it.
    ///
    /// # Errors
    /// Those of accept(2).
    fn accept(&mut self) -> io::Result<(S, SocketAddr)>;

    /// Asks for the readiness of a stream, under a token.
    ///
    /// # Errors
    /// Those of the poll.
    fn register(&mut self, stream: &mut S, token: usize) -> io::Result<()>;

    /// Gives up the descriptor that is kept for the day on which there is no other. `false`: there is none.
    fn give_up_reserve(&mut self) -> bool;

    /// Keeps one again, if it can be had.
    fn keep_reserve(&mut self);
}

/// Whether there may be connections to take. The listener is edge-triggered, as all sockets are.
#[derive(Debug)]
pub struct Acceptor {
    state: AcceptState,
    logged: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptState {
    Drained,
    Ready,
    /// Something ran out while there were so many clients; the connections wait in the kernel.
    Paused {
        until: Time,
        clients: usize,
    },
}

impl Default for Acceptor {
    /// What came before the first edge is not forgotten.
    fn default() -> Acceptor {
        Acceptor { state: AcceptState::Ready, logged: None }
    }
}

impl Acceptor {
    /// The poll says that there is something. While something has run out, that is no news.
    pub fn handle_ready(&mut self) {
        if self.state == AcceptState::Drained {
            self.state = AcceptState::Ready;
        }
    }

    /// When [`Acceptor::accept`] wants to be called.
    pub fn deadline(&self, clients: usize) -> Time {
        match self.state {
            AcceptState::Drained => Time::NEVER,
            AcceptState::Paused { until, clients: before } if clients >= before => until,
            AcceptState::Ready | AcceptState::Paused { .. } => Time::default(),
        }
    }

    /// Takes what waits, within a turn's budget.
    pub fn accept<S: Stream>(&mut self, now: Now, listener: &mut impl Listener<S>, server: &mut Server<S>) {
        if self.deadline(server.client_count()) > now.time {
            return;
        }
        self.state = AcceptState::Ready;
        for _ in 0..ACCEPTS_MAX {
            if !server.can_accept(listener.surface()) {
                return;
            }
            let error = match listener.accept() {
                Ok((stream, address)) => {
                    self.take(now, stream, address, listener, server);
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::WouldBlock => {
                    self.state = AcceptState::Drained;
                    return;
                }
                ErrorKind::Interrupted => continue,
                _ => server.note_accept_error(&error),
            }
            // Its peer has gone already, which concerns nobody else.
            if error.kind() == ErrorKind::ConnectionAborted {
                continue;
            }
            self.log(now, &error);
            let pause = AcceptState::Paused { until: now.time + PAUSE, clients: server.client_count() };
            self.state = match is_out_of_descriptors(&error) {
                true => turn_away(now, listener, server).unwrap_or(pause),
                false => pause,
            };
            if self.state != AcceptState::Ready {
                return;
            }
        }
    }

    fn take<S: Stream>(
        &mut self,
        now: Now,
        mut stream: S,
        address: SocketAddr,
        listener: &mut impl Listener<S>,
        server: &mut Server<S>,
    ) {
        server.make_room(address, listener.surface());
        match listener.register(&mut stream, server.next_token()) {
            Ok(()) if server.accept(now, stream, address, listener.surface()) => {}
            Ok(()) => {
                let what = "its address has more than --max-per-ip, and has been told so often enough";
                self.log(now, &io::Error::other(what));
            }
            Err(error) => {
                server.note_accept_error(&error);
                self.log(now, &error);
            }
        }
    }

    fn log(&mut self, now: Now, error: &io::Error) {
        if self.logged.is_none_or(|logged| now.time.since(logged) >= LOG_INTERVAL) {
            self.logged = Some(now.time);
            warn!("cannot take a client: {error} (said at most every 10 s)");
        }
    }
}

/// Tells one client that there is no descriptor for it, with the help of the reserve; without, all would wait
/// in the kernel for nothing. `None`: there was no reserve either.
fn turn_away<S: Stream>(
    now: Now,
    listener: &mut impl Listener<S>,
    server: &mut Server<S>,
) -> Option<AcceptState> {
    if !listener.give_up_reserve() {
        // Perhaps there is one by now.
        listener.keep_reserve();
        return None;
    }
    let state = match listener.accept() {
        Ok((mut stream, _)) => {
            // It may not have asked yet; whatever it asks, this is the answer. What it has sent is read,
            // or the answer might be lost with it (RFC 1122 §4.2.2.13).
            let _ = stream.read(&mut [0; 1024]);
            let answer = server.turn_away(now);
            if !stream.is_shaking() && stream.write(&answer).is_ok_and(|length| length == answer.len()) {
                let _ = stream.shutdown_write();
            }
            Some(AcceptState::Ready)
        }
        // Nobody waits: the next one will be an edge.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(AcceptState::Drained),
        Err(_) => None,
    };
    listener.keep_reserve();
    state
}

/// Of the process, or of the whole machine (accept(2)).
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
