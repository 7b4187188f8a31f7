//! `Server<S>`: a slab of clients, and the five phases of a turn. It knows no clock and no poll,
//! so that the same code runs on sockets and on a simulated network.
//!
//! 1. **read**: what the ready clients sent becomes events, and each event is routed at once to
//!    the chat, since it borrows from the read buffer.
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
mod journal;
mod ledger;
mod metrics;
mod outgoing;
mod phases;
mod rate;
mod site;
mod slow;
mod stats;
mod times;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use slab::Slab;

use crate::chat::{self, Chat, ClientId};
use crate::clock::{Now, Time};
use crate::connection::{self, Connection, Handed};
use crate::http::Refusal;
use crate::planted::planted;
use crate::websocket::{Deflater, Inflater, Meter};
pub use acceptor::{Acceptor, Listener};
use addresses::{Addresses, Verdict};
use counters::Counters;
use deadlines::Deadlines;
use drain::Drain;
use journal::Journal;
pub use ledger::Account;
use ledger::{AccountId, Ledger};
use outgoing::Outgoing;
pub use rate::Rate;
use rate::Usages;
pub use site::{Access, Site};
pub use slow::Slow;

/// What this server calls itself in reports.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The first read of a connection: a chat message fits, and an idle client costs nothing.
const FIRST_READ_BYTES: u32 = 128;
/// The largest read, and the size of the one buffer that all reads go through.
const LAST_READ_BYTES: u32 = 64 * 1024;
/// A read that fills its chunk makes the next one so many times larger; a short one shrinks it.
const READ_FACTOR: u32 = 8;
/// What one client may send in a turn before the others have theirs.
const CLIENT_READ_BYTES: usize = 64 * 1024;
/// What is read in a turn, before it is delivered.
const TURN_READ_BYTES: usize = 256 * 1024;
/// What a turn hands to the kernel, counted for each receiver: it bounds how long the others wait.
const TURN_COPY_BYTES: usize = 16 * 1024 * 1024;
/// The queues of those who have something to read.
const QUIET: usize = 0;
const TALKING: usize = 1;
/// Refused clients that are let in to read why; further ones are closed at once.
const REFUSED_MAX: usize = 32;

/// What the server may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What one connection may cost.
    pub connection: connection::Limits,
    /// Clients connected at the same time.
    pub clients_max: usize,
    /// Clients of one address at the same time.
    pub address_clients_max: Option<u32>,
    /// How fast one client may speak.
    pub rate: Option<Rate>,
    /// Messages shorter than this are not compressed.
    pub compress_bytes_min: usize,
    /// Messages that a room remembers.
    pub history_messages_max: usize,
    /// What becomes of clients that read too slowly, unless they say it themselves.
    pub slow: Slow,
    /// Memory that what waits for clients may take in all.
    pub buffered_bytes_max: usize,
    /// How long queued messages may take to leave when the server stops.
    pub drain_timeout: Duration,
}

/// What the server asks of the world outside.
pub struct Outside {
    /// A stopwatch that runs: the time since some moment.
    pub stopwatch: Box<dyn Fn() -> Duration>,
    /// What the kernel knows of this process.
    pub process: fn() -> Process,
    /// A number that no other server has, nor this one after a restart.
    pub seed: u64,
}

/// What a kernel knows of a process, as far as it tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Processor time, user's and system's.
    pub cpu_seconds: Option<f64>,
    /// Since 1970.
    pub start_time_seconds: Option<f64>,
    /// Memory in use.
    pub resident_memory_bytes: Option<u64>,
    /// Address space.
    pub virtual_memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// The soft limit of open files.
    pub open_files_max: Option<u64>,
}

impl Outside {
    /// A world in which no time passes, and of which nothing is known: for tests.
    pub fn nothing() -> Outside {
        Outside { stopwatch: Box::new(|| Duration::ZERO), process: Process::default, seed: 7 }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Outside")
    }
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
    addresses: Addresses,
    chat: Chat,
    outgoing: Outgoing,
    deadlines: Deadlines,
    usages: Usages,
    ledger: Ledger,
    counters: Counters,
    journal: Journal,
    /// Memory that queues hold.
    buffered: Meter,
    /// Clients that are, or were, WebSockets.
    websockets: usize,
    site: Site,
    limits: Limits,
    outside: Outside,
    /// Clients with something to read; also those whom a budget has cut off. The quiet ones come before
    /// those who talk: newcomers and pings do not wait for a flood.
    runnable: [VecDeque<ClientId>; 2],
    /// Clients with something to write, or to end.
    flushable: Vec<ClientId>,
    /// Clients whose conversation ended after this turn's messages were delivered.
    leaving: Vec<ClientId>,
    /// Clients whose slot can be freed.
    finished: Vec<ClientId>,
    /// What became of messages that did not leave at once. Empty but in deliver.
    troubled: Vec<(ClientId, u32, io::Result<Handed>)>,
    scratch: Box<[u8]>,
    /// Shared by all: no context outlives a message.
    inflater: Inflater,
    deflater: Deflater,
    mode: Mode,
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
    slow: Slow,
    access: Access,
    is_websocket: bool,
    is_read_closed: bool,
    /// In `runnable`, in `flushable`, and among those who get a part of a batch.
    is_runnable: bool,
    is_flushable: bool,
    is_special: bool,
    /// The last read brought messages, or not all that there was.
    is_talking: bool,
}

/// Whether the server takes clients.
#[derive(Debug)]
enum Mode {
    Serving,
    Draining(Drain),
}

impl<S: Stream> Server<S> {
    /// A server without clients.
    pub fn new(limits: Limits, site: Site, zone: TimeZone, outside: Outside) -> Server<S> {
        let buffered = Meter::new();
        let room = chat::Limits {
            history_messages_max: limits.history_messages_max,
            outbox_bytes_max: limits.connection.outbox_bytes_max,
            message_bytes_max: limits.connection.websocket.message_bytes_max,
            rate: limits.rate.map(|rate| rate.per_second),
        };
        Server {
            clients: Slab::new(),
            addresses: Addresses::default(),
            chat: Chat::new(zone, room, outside.seed),
            outgoing: Outgoing::new(buffered.clone()),
            deadlines: Deadlines::default(),
            usages: Usages::new(limits.rate),
            ledger: Ledger::default(),
            counters: Counters::default(),
            journal: Journal::default(),
            buffered,
            websockets: 0,
            site,
            limits,
            outside,
            runnable: Default::default(),
            flushable: Vec::new(),
            leaving: Vec::new(),
            finished: Vec::new(),
            troubled: Vec::new(),
            scratch: vec![0; LAST_READ_BYTES as usize].into_boxed_slice(),
            inflater: Inflater::default(),
            deflater: Deflater::new(limits.compress_bytes_min),
            mode: Mode::Serving,
        }
    }

    /// The token under which the next stream is to be registered.
    pub fn next_token(&self) -> usize {
        self.clients.vacant_key()
    }

    /// Takes a stream that was registered under [`Server::next_token`]. A full server refuses it;
    /// `false`: without even keeping it.
    pub fn accept(&mut self, now: Now, stream: S, address: SocketAddr, access: Access) -> bool {
        // Operators want to look when everything is full.
        let is_full = self.clients.len() >= self.limits.clients_max && access != Access::Operators;
        self.counters.accepted += 1;
        if self.clients.len() >= self.limits.clients_max.saturating_add(REFUSED_MAX) {
            self.counters.note_refusal(Refusal::Full);
            return false;
        }
        let verdict = self.addresses.arrive(address, self.limits.address_clients_max);
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
            access,
            is_websocket: false,
            is_read_closed: false,
            is_runnable: false,
            is_flushable: false,
            is_special: false,
            is_talking: false,
        }));
        self.usages.reset(id);
        let refusal = match verdict {
            _ if is_full => Some(Refusal::Full),
            Verdict::Refused => Some(Refusal::TooManyConnections),
            Verdict::Welcome | Verdict::Ignored => None,
        };
        if let Some(refusal) = refusal {
            self.refuse(now, id, refusal, b"");
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
        let started = (self.outside.stopwatch)();
        self.read(now);
        self.route(now);
        self.deliver(now);
        self.flush(now);
        self.limit_buffers(now);
        self.reap(now);
        self.assert_settled();
        self.counters.turns.record(now.time, (self.outside.stopwatch)().saturating_sub(started));
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
        self.runnable.iter().any(|queue| !queue.is_empty())
            || !self.outgoing.is_empty()
            || self.is_last_call_due()
    }

    /// Whether a client is not read now, since it is over its rate.
    pub fn is_held_back(&self, now: Now, token: usize) -> bool {
        self.usages.paused_until(now.time, ClientId::new(token)).is_some()
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
            self.runnable[usize::from(client.is_talking)].push_back(id);
        }
    }

    fn mark_flushable(&mut self, id: ClientId) {
        let client = &mut self.clients[id.index()];
        if client.connection.wants_flush() && !client.is_flushable {
            client.is_flushable = true;
            self.flushable.push(id);
        }
    }

    fn arm(&mut self, now: Now, id: ClientId) {
        let client = &mut self.clients[id.index()];
        // What is due while it is held back waits: it may have answered a ping, and was not heard.
        let resume = self.usages.paused_until(now.time, id);
        let deadline = resume.unwrap_or_else(|| client.connection.deadline());
        self.deadlines.arm(id, deadline, &mut client.armed);
    }

    /// Every turn ends settled. What reap itself announced waits for the next turn, which is then
    /// due at once.
    fn assert_settled(&self) {
        assert!(self.flushable.is_empty(), "all that could leave has left");
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
        debug_assert_eq!(
            self.ledger.whole().queued,
            self.clients
                .iter()
                .map(|(_, client)| u64::from(client.connection.queued_messages()))
                .sum::<u64>(),
        );
    }
}

/// Text of a peer for a log: one printable line of at most 256 bytes.
fn printable(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 256;
    let mut line = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        let escaped = char.escape_debug();
        if line.len() + escaped.clone().map(char::len_utf8).sum::<usize>() > BYTES_MAX - '…'.len_utf8() {
            line.push('…');
            break;
        }
        line.extend(escaped);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_client_is_small() {
        // With its deadline (16), seat (12) and place in a room (4), under 256 bytes.
        assert!(size_of::<Client<[u8; 4]>>() <= 192, "{}", size_of::<Client<[u8; 4]>>());
    }

    #[test]
    fn what_a_peer_says_is_one_printable_line_in_the_log() {
        for (bytes, wanted) in [
            (b"GET / HTTP/1.1".as_slice(), "GET / HTTP/1.1"),
            (b"a\r\n\x1b[31mb", "a\\r\\n\\u{1b}[31mb"),
            ("你好\u{202e}\u{200b}".as_bytes(), "你好\\u{202e}\\u{200b}"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(printable(bytes), wanted);
        }
        let long = printable(&[b'\n'; 1000]);
        assert!(long.len() <= 256 && long.ends_with("\\n…"), "{long}");
    }
}
