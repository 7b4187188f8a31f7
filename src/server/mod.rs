//! `Server<S>`: a slab of clients, and the five phases of a turn. It knows no clock and no poll,
//! so that the same code runs on sockets and on a simulated network.
//!
//! 1. **read**: what the ready clients sent becomes events, and each event is routed at once to
//!    the chat, since it borrows from the read buffer. A turn that has enough to do stops within the
//!    bytes of a read, and goes on there in the next one.
//! 2. **route**: what is due by the clock is routed too; all effects are in `outgoing`.
//! 3. **deliver**: each room's batch goes to its members, at once where nothing waits.
//! 4. **flush**: one write for each client that has more to get.
//! 5. **reap**: who has gone leaves the rooms; slots are freed last, so that a token cannot change
//!    owner within a turn.
//!
//! **Nothing is written while reading, and nothing is removed while iterating.**

mod acceptor;
mod addresses;
mod answers;
mod counters;
mod deadlines;
mod drain;
mod environment;
mod ledger;
mod log_limiter;
mod metrics;
mod outgoing;
mod phases;
mod places;
mod prices;
mod rate;
mod read;
mod read_queue;
mod redact;
mod site;
mod slow;
mod stats;
mod times;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::chat::{self, Chat};
use crate::clock::{Now, Time};
use crate::connection::{self, Connection, SendOutcome};
use crate::delivery::Meter;
use crate::http::Refusal;
use crate::id::ClientId;
use crate::planted::planted;
use crate::websocket::{Deflater, Inflater};
pub use acceptor::{Acceptor, Listener};
use addresses::{AddressCounts, Verdict};
use counters::Counters;
use deadlines::Deadlines;
use drain::Drain;
pub use environment::{Environment, LogLosses, Process};
pub use ledger::Account;
use ledger::{AccountId, Ledger};
use log_limiter::LogLimiter;
use outgoing::Outgoing;
use places::{Places, Pool};
pub use rate::Rate;
use rate::RateLimiter;
use read_queue::ReadQueue;
pub use site::{Site, Surface};
pub use slow::SlowPolicy;

/// What this server calls itself in reports.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The first read of a connection: a chat message fits, and an idle client costs nothing.
const FIRST_READ_BYTES: u32 = 128;
/// The largest read, and the size of the one buffer that all reads go through.
const LAST_READ_BYTES: u32 = 64 * 1024;
/// A read that fills its chunk makes the next one so many times larger; a short one shrinks it.
const READ_FACTOR: u32 = 8;

/// What the server may cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// What one connection may cost.
    pub connection: connection::ConnectionLimits,
    /// Clients connected at the same time.
    pub clients_max: usize,
    /// WebSockets of one address at the same time.
    pub address_clients_max: Option<u32>,
    /// How fast one client may speak.
    pub rate: Option<Rate>,
    /// Messages shorter than this are not compressed.
    pub compress_bytes_min: usize,
    /// Messages that a room remembers.
    pub history_messages_max: usize,
    /// What becomes of clients that read too slowly, unless they say it themselves.
    pub slow: SlowPolicy,
    /// Memory that what waits for clients may take in all.
    pub buffered_bytes_max: usize,
    /// How long queued messages may take to leave when the server stops.
    pub drain_timeout: Duration,
}

/// A stream of bytes that can say that it will send no more.
pub trait Stream: Read + Write {
    /// Ends our direction; the peer reads all that was written, then the end.
    ///
    /// # Errors
    /// Those of the socket.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

/// What a poll says of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be something to read, or an error to find.
    pub is_readable: bool,
    /// There may be room to write.
    pub is_writable: bool,
    /// The peer has ended its direction: reading must go on until the end is seen, since no
    /// further edge tells of it.
    pub is_read_closed: bool,
}

/// The server, for streams of any kind.
#[derive(Debug)]
pub struct Server<S> {
    clients: Slab<Client<S>>,
    addresses: AddressCounts,
    places: Places,
    chat: Chat,
    outgoing: Outgoing,
    deadlines: Deadlines,
    rate_limiter: RateLimiter,
    ledger: Ledger,
    counters: Counters,
    log_limiter: LogLimiter,
    /// Memory that queues hold.
    buffered: Meter,
    /// Clients that are, or were, WebSockets.
    websockets: usize,
    site: Site,
    limits: ServerLimits,
    environment: Environment,
    /// Clients with something to read. Those who ask for little come before the busy ones: newcomers and pings
    /// do not wait for a flood.
    read_queue: ReadQueue,
    /// Clients with something to write, or to end.
    flushable: VecDeque<ClientId>,
    /// Clients whose conversation ended after this turn's messages were delivered.
    leaving: Vec<ClientId>,
    /// Clients whose slot can be freed.
    finished: Vec<ClientId>,
    /// What became of messages that did not leave at once. Empty but in deliver.
    outcomes: Vec<(ClientId, u32, io::Result<SendOutcome>)>,
    scratch: Box<[u8]>,
    /// Shared by all: no context outlives a message.
    inflater: Inflater,
    deflater: Deflater,
    mode: Mode,
    /// Of the last turn.
    time: Time,
}

/// One connected peer.
#[derive(Debug)]
struct Client<S> {
    stream: S,
    address: SocketAddr,
    connection: Connection,
    /// The deadline entry that counts.
    armed: Time,
    read_bytes: u32,
    account: AccountId,
    slow: SlowPolicy,
    surface: Surface,
    pool: Pool,
    is_websocket: bool,
    is_read_closed: bool,
    /// In `read_queue`, in `flushable`, and among those who get a part of a batch.
    is_runnable: bool,
    is_flushable: bool,
    gets_part: bool,
    reprieve: Reprieve,
    /// Until when it counts as busy: the work that it has caused, many times as long. The lower half of the
    /// milliseconds does; who is taken for busy wrongly, once in weeks, is read a little later.
    busy_until: u32,
    /// What `read_queue` counts of its unfinished request or message.
    unfinished_bytes: u32,
}

/// A deadline that has passed waits once, for one look at what may have come in time: a process that was stopped
/// for a while must not hold that against its clients. Once: or who sends on and on would evade every deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reprieve {
    #[default]
    None,
    /// Until it is read, or written to.
    Granted,
    /// That was done.
    Used,
}

/// Whether the server takes clients.
#[derive(Debug)]
enum Mode {
    Serving,
    Draining(Drain),
}

impl<S: Stream> Server<S> {
    /// A server without clients.
    pub fn new(limits: ServerLimits, site: Site, zone: TimeZone, environment: Environment) -> Server<S> {
        let buffered = Meter::new();
        let room = chat::ChannelLimits {
            history_messages_max: limits.history_messages_max,
            outbox_bytes_max: limits.connection.outbox_bytes_max,
            message_bytes_max: limits.connection.websocket.message_bytes_max,
            rate: limits.rate.map(|rate| rate.per_second),
        };
        Server {
            clients: Slab::new(),
            addresses: AddressCounts::default(),
            places: Places::default(),
            chat: Chat::new(zone, room, environment.seed),
            outgoing: Outgoing::new(buffered.clone(), limits.compress_bytes_min),
            deadlines: Deadlines::default(),
            rate_limiter: RateLimiter::new(limits.rate),
            ledger: Ledger::default(),
            counters: Counters::default(),
            log_limiter: LogLimiter::default(),
            buffered,
            websockets: 0,
            site,
            limits,
            environment,
            read_queue: ReadQueue::default(),
            flushable: VecDeque::new(),
            leaving: Vec::new(),
            finished: Vec::new(),
            outcomes: Vec::new(),
            scratch: vec![0; LAST_READ_BYTES as usize].into_boxed_slice(),
            inflater: Inflater::default(),
            deflater: Deflater::new(limits.compress_bytes_min),
            mode: Mode::Serving,
            time: Time::default(),
        }
    }

    /// The token under which the next stream is to be registered.
    pub fn next_token(&self) -> usize {
        self.clients.vacant_key()
    }

    /// Takes a stream that was registered under [`Server::next_token`]. `false`: it is not even told why it has
    /// no place.
    pub fn accept(&mut self, now: Now, stream: S, address: SocketAddr, surface: Surface) -> bool {
        let pool = self.pool_of_newcomer(surface);
        self.counters.accepted += 1;
        if self.is_pool_full(pool) {
            return self.turn_down();
        }
        let verdict = match pool {
            Pool::Operators => Verdict::Welcome,
            _ => self.addresses.arrive(address, self.limits.address_clients_max),
        };
        if verdict == Verdict::Ignored {
            self.counters.note_refusal(Refusal::TooManyConnections);
            return false;
        }
        let id = ClientId::new(self.clients.insert(Client {
            stream,
            address,
            connection: Connection::new(now.time, &self.limits.connection),
            armed: Time::NEVER,
            read_bytes: FIRST_READ_BYTES,
            account: AccountId::NONE,
            slow: self.limits.slow,
            surface,
            pool,
            is_websocket: false,
            is_read_closed: false,
            is_runnable: false,
            is_flushable: false,
            gets_part: false,
            reprieve: Reprieve::None,
            busy_until: 0,
            unfinished_bytes: 0,
        }));
        self.rate_limiter.reset(id);
        self.places.enter(pool, id);
        if verdict == Verdict::Refused {
            self.refuse(now, id, Refusal::TooManyConnections, b"");
            self.mark_flushable(id);
        }
        self.arm(now, id);
        true
    }

    /// What a client is told for which there is not even a descriptor.
    pub fn turn_away(&mut self, now: Now) -> Vec<u8> {
        self.counters.note_rejection("descriptors");
        Refusal::Full.response().encode(Some(now.wall), true)
    }

    /// Notes that no connection could be taken.
    pub fn note_accept_error(&mut self, error: &io::Error) {
        *self.counters.accept_errors.entry(error.raw_os_error().unwrap_or(0)).or_default() += 1;
    }

    /// Notes what a poll says of a client.
    pub fn handle_ready(&mut self, token: usize, readiness: Readiness) {
        let Some(client) = self.clients.get_mut(token) else { return };
        let id = ClientId::new(token);
        client.is_read_closed |= readiness.is_read_closed;
        if readiness.is_readable || readiness.is_read_closed {
            self.mark_runnable(id);
        }
        let client = &mut self.clients[token];
        if readiness.is_writable && !planted!("room_not_noticed") {
            client.connection.outbox().unblock();
            self.mark_flushable(id);
        }
    }

    /// Does all that can be done at `now`, in five phases.
    pub fn turn(&mut self, now: Now) {
        let started = (self.environment.stopwatch)();
        self.time = now.time;
        self.places.begin_turn();
        self.read(now);
        self.tick(now);
        self.deliver(now);
        self.flush(now);
        self.limit_buffers(now);
        self.limit_unfinished(now);
        self.reap(now);
        self.assert_settled();
        self.counters.turns.record(now.time, (self.environment.stopwatch)().saturating_sub(started));
    }

    /// When the next turn is due even if no client does anything.
    pub fn deadline(&self) -> Time {
        let drained = match &self.mode {
            Mode::Serving => Time::NEVER,
            Mode::Draining(drain) => drain.deadline(),
        };
        self.deadlines.next().min(self.chat.deadline()).min(drained)
    }

    /// Whether the next turn is due at once.
    pub fn has_work(&self) -> bool {
        !self.read_queue.is_empty()
            || !self.flushable.is_empty()
            || !self.outgoing.is_empty()
            || self.is_last_call_due()
    }

    /// Whether a client is not read now, since it is over its rate.
    pub fn is_held_back(&self, now: Now, token: usize) -> bool {
        self.rate_limiter.paused_until(now.time, ClientId::new(token)).is_some()
    }

    /// Clients that are connected, in whatever state.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Rooms and topics with members.
    pub fn room_count(&self) -> usize {
        self.chat.room_count()
    }

    /// The same, with those that are kept for their history.
    pub fn kept_room_count(&self) -> usize {
        self.chat.kept_room_count()
    }

    /// Memory of requests and messages that are not whole, and of what was read and not yet looked at.
    pub fn unfinished_bytes(&self) -> usize {
        self.read_queue.unfinished_bytes()
    }

    /// Memory that what waits for clients takes.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered.bytes()
    }

    /// What was owed to all receivers so far, and what became of it.
    pub fn account(&self) -> Account {
        self.ledger.whole()
    }

    fn mark_runnable(&mut self, id: ClientId) {
        let client = &mut self.clients[id.index()];
        if !client.is_runnable {
            client.is_runnable = true;
            self.read_queue.push(id, client.load(self.time));
        }
    }

    fn mark_flushable(&mut self, id: ClientId) {
        let client = &mut self.clients[id.index()];
        if client.connection.wants_flush() && !client.is_flushable {
            client.is_flushable = true;
            self.flushable.push_back(id);
        }
    }

    fn arm(&mut self, now: Now, id: ClientId) {
        let client = &mut self.clients[id.index()];
        // What is due while it is held back waits: it may have answered a ping, and was not heard.
        let resume = self.rate_limiter.paused_until(now.time, id);
        let deadline = resume.unwrap_or_else(|| client.connection.deadline());
        self.deadlines.arm(id, deadline, &mut client.armed);
    }

    /// Every turn ends settled. What reap itself announced waits for the next turn, which is then
    /// due at once, and so does what was too much to be written in one.
    fn assert_settled(&self) {
        assert!(self.leaving.is_empty(), "who has gone has left the rooms");
        assert!(self.finished.is_empty(), "slots are free");
        self.ledger.assert_balanced();
        assert_eq!(self.counters.dropped.iter().sum::<u64>(), self.ledger.whole().dropped, "a reason each");
        debug_assert_eq!(
            self.counters.opened,
            self.counters.ended()
                + self.clients.iter().filter(|(_, client)| client.connection.is_open()).count() as u64,
            "each conversation ends once, for one cause"
        );
        debug_assert!(
            self.limits.address_clients_max.is_none()
                || self.addresses.total() == (self.clients.len() - self.places.operators(), self.websockets),
            "each connection is counted once"
        );
        debug_assert_eq!(
            self.read_queue.unfinished_bytes(),
            self.clients
                .iter()
                .map(|(index, client)| {
                    client.unfinished_bytes as usize + self.read_queue.carried_bytes(ClientId::new(index))
                })
                .sum::<usize>(),
        );
        debug_assert_eq!(
            self.ledger.whole().queued,
            self.clients
                .iter()
                .map(|(_, client)| u64::from(client.connection.queued_messages()))
                .sum::<u64>(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_client_is_small() {
        // With its deadline (16), seat (12) and place in a room (4), under 256 bytes.
        assert!(size_of::<Client<[u8; 4]>>() <= 192, "{}", size_of::<Client<[u8; 4]>>());
    }
}
