//! A network in memory, with the readiness of Linux: sockets, `epoll` in edge-triggered mode, and
//! what mio makes of it.
//!
//! An edge comes with bytes, with an end or a reset, and with room after a write that found too
//! little. It is reported once, late perhaps, with all that holds by then. A read takes what has
//! arrived: one that gets less than it asked for has emptied the socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;

use wsloop::server::{Readiness, Stream};

use crate::support::random::Random;
pub(crate) use crate::weather::Weather;

/// The loop may wake a second late, twice.
const STALL_MAX: u64 = 17_100;
/// So much longer for each KiB that a client took lately and may be about to read: 4 KiB a second.
const STALL_PER_KIB: u64 = 250;
/// The most of that.
const STALL_FOR_BYTES_MAX: u64 = 30_000;

/// All connections, by number.
#[derive(Debug)]
pub(crate) struct Network {
    links: Vec<Link>,
    random: Random,
    pub(crate) weather: Weather,
    /// Of all bytes that the server has written, with their connections: the trace of a run.
    pub(crate) hash: u64,
    /// Counts the turns of the server.
    turn: u64,
    /// The server's, in milliseconds.
    time: u64,
    pub(crate) read_in_turn: usize,
    pub(crate) stall_max: u64,
    pub(crate) calls: Calls,
}

/// System calls of the server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// Reads that found nothing, though the read before had told that nothing was left.
    pub(crate) idle_reads: usize,
    /// The most writes to one client in one turn.
    pub(crate) writes_a_turn_max: usize,
}

/// One connection.
#[derive(Debug, Default)]
struct Link {
    // From the client to the server.
    in_flight: VecDeque<u8>,
    end_in_flight: bool,
    arrived: VecDeque<u8>,
    end_arrived: bool,
    end_taken: bool,
    // From the server to the client: all buffers on the way are one.
    sent: VecDeque<u8>,
    window: usize,
    is_shut: bool,
    /// A write found too little room, and waits for an edge.
    wants_room: bool,
    /// The same, until an edge was reported: the server must not try before.
    is_blocked: bool,
    /// Since when it has taken nothing though something waits.
    full_since: Option<u64>,
    /// When the last byte was taken, and what a reader of 4 KiB a second had not read then: the server sees no faster.
    unread: (u64, u64),
    // The connection.
    token: Option<usize>,
    is_reset: bool,
    reset_taken: bool,
    has_vanished: bool,
    /// Nothing comes through, for a while.
    is_down: bool,
    /// The server has closed its socket.
    is_dropped: bool,
    // What epoll holds for the next report.
    has_edge: bool,
    last_read_filled: bool,
    written_in_turn: (u64, usize),
}

/// What a client finds on its side.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    pub(crate) has_ended: bool,
    pub(crate) is_reset: bool,
}

impl Network {
    pub(crate) fn new(random: Random, weather: Weather) -> Network {
        Network {
            links: Vec::new(),
            random,
            weather,
            hash: 0xCBF2_9CE4_8422_2325,
            turn: 0,
            time: 0,
            read_in_turn: 0,
            stall_max: STALL_MAX,
            calls: Calls::default(),
        }
    }

    // ------------------------------------------------------------ the client's side

    /// Connects. The server may have so many bytes on the way before its socket is full.
    pub(crate) fn connect(&mut self, window: usize) -> usize {
        self.links.push(Link { window, ..Link::default() });
        self.links.len() - 1
    }

    pub(crate) fn send(&mut self, link: usize, bytes: &[u8]) {
        let link = &mut self.links[link];
        assert!(!link.end_in_flight && !link.end_arrived, "a client does not send behind its end");
        link.in_flight.extend(bytes);
    }

    /// The client sends no more. It may still read.
    pub(crate) fn end(&mut self, link: usize) {
        self.links[link].end_in_flight = true;
    }

    /// The client is gone, and its kernel says so. What has arrived stays readable, or is lost.
    pub(crate) fn reset(&mut self, link: usize) {
        let keeps = self.random.chance(50);
        let link = &mut self.links[link];
        link.in_flight.clear();
        link.sent.clear();
        if !keeps {
            link.arrived.clear();
        }
        link.is_reset = true;
        link.has_edge = true;
    }

    /// The client is gone, and nobody says so.
    pub(crate) fn vanish(&mut self, link: usize) {
        let link = &mut self.links[link];
        link.in_flight.clear();
        link.has_vanished = true;
    }

    /// Nothing comes through, in either direction.
    pub(crate) fn set_down(&mut self, link: usize, is_down: bool) {
        self.links[link].is_down = is_down;
    }

    pub(crate) fn is_down(&self, link: usize) -> bool {
        self.links[link].is_down
    }

    /// Nobody will ever take this connection.
    pub(crate) fn turn_down(&mut self, link: usize) {
        let link = &mut self.links[link];
        link.is_dropped = true;
        link.is_reset = true;
    }

    pub(crate) fn set_window(&mut self, link: usize, window: usize) {
        self.links[link].window = window;
    }

    /// Takes at most so many bytes that the server has sent.
    pub(crate) fn take(&mut self, link: usize, most: usize) -> Taken {
        let link = &mut self.links[link];
        if link.is_down {
            return Taken { bytes: Vec::new(), has_ended: false, is_reset: false };
        }
        let length = most.min(link.sent.len());
        let bytes: Vec<u8> = link.sent.drain(..length).collect();
        let has_ended = link.sent.is_empty() && (link.is_shut || link.is_dropped) && !link.is_reset;
        Taken { bytes, has_ended, is_reset: link.sent.is_empty() && link.is_reset }
    }

    /// Bytes that the client has not taken yet.
    pub(crate) fn waiting(&self, link: usize) -> usize {
        self.links[link].sent.len()
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self, link: usize) -> usize {
        self.links[link].in_flight.len() + self.links[link].arrived.len()
    }

    /// Whether the client would learn something by taking.
    pub(crate) fn has_news(&self, link: usize) -> bool {
        let link = &self.links[link];
        !link.is_down && (!link.sent.is_empty() || link.is_shut || link.is_dropped || link.is_reset)
    }

    /// Whether the server has closed its socket.
    pub(crate) fn is_dropped(&self, link: usize) -> bool {
        self.links[link].is_dropped
    }

    /// Whether the server took the connection for no longer than it takes to say that there is no room.
    pub(crate) fn was_turned_away(&self, link: usize) -> bool {
        self.links[link].token.is_none() && self.links[link].is_dropped
    }

    /// Whether the server has ended its direction.
    pub(crate) fn is_shut(&self, link: usize) -> bool {
        self.links[link].is_shut
    }

    // ------------------------------------------------------------ the way between

    /// Moves what is on its way, all or a part.
    pub(crate) fn transfer(&mut self) {
        let Network { links, random, weather, .. } = self;
        for link in links.iter_mut().filter(|link| !link.has_vanished && !link.is_down) {
            if link.is_dropped {
                link.meet_closed_socket(random);
                continue;
            }
            let on_the_way = link.in_flight.len();
            let length =
                if weather.splits && on_the_way > 0 { random.below(on_the_way + 1) } else { on_the_way };
            if length > 0 {
                link.arrived.extend(link.in_flight.drain(..length));
                link.has_edge = true;
            }
            if link.end_in_flight && link.in_flight.is_empty() && !(weather.splits && random.chance(30)) {
                link.end_in_flight = false;
                link.end_arrived = true;
                link.has_edge = true;
            }
            if link.wants_room && link.sent.len() < link.window && !(weather.late_edges && random.chance(30))
            {
                link.wants_room = false;
                link.has_edge = true;
            }
        }
    }

    pub(crate) fn begin_turn(&mut self, time: u64) {
        self.turn += 1;
        self.time = time;
        self.read_in_turn = 0;
    }

    /// Nobody is kept who takes nothing: ten seconds, the time for what it took before, and five for its close.
    pub(crate) fn assert_no_stall(&self) {
        for (number, link) in self.links.iter().enumerate().filter(|(_, link)| !link.is_dropped) {
            let stalled = link.full_since.map_or(0, |since| self.time - since);
            let most = self.stall_max + (link.unread.1 * STALL_PER_KIB / 1024).min(STALL_FOR_BYTES_MAX);
            assert!(stalled <= most, "connection {number} has taken nothing for {stalled} ms");
        }
    }

    /// What the server's poll says, each edge once.
    pub(crate) fn poll(&mut self, is_prompt: bool) -> Vec<(usize, Readiness)> {
        let Network { links, random, weather, .. } = self;
        let mut events = Vec::new();
        for link in links.iter_mut().filter(|link| !link.is_dropped) {
            let Some(token) = link.token else { continue };
            if link.has_edge && (is_prompt || !(weather.late_edges && random.chance(25))) {
                link.has_edge = false;
                let readiness = link.readiness();
                link.is_blocked &= !readiness.is_writable;
                if readiness != Readiness::default() {
                    events.push((token, readiness));
                }
            } else if weather.false_edges && random.chance(2) {
                link.is_blocked = false;
                link.last_read_filled = true;
                events
                    .push((token, Readiness { is_readable: true, is_writable: true, is_read_closed: false }));
            }
        }
        random.shuffle(&mut events);
        events
    }

    /// Whether bytes are on their way to the server that will arrive.
    pub(crate) fn is_on_the_way(&self) -> bool {
        let is_up = |link: &&Link| !link.has_vanished && !link.is_down && !link.is_dropped;
        self.links.iter().filter(is_up).any(|link| !link.in_flight.is_empty() || link.end_in_flight)
    }

    /// Whether nothing will happen unless somebody does something.
    pub(crate) fn is_quiet(&self) -> bool {
        self.links.iter().all(|link| {
            let is_up = !link.has_vanished && !link.is_down;
            let is_on_the_way = is_up && (!link.in_flight.is_empty() || link.end_in_flight);
            let has_room = is_up && link.wants_room && link.sent.len() < link.window;
            let is_alive = !link.is_dropped && link.token.is_some();
            !is_on_the_way && !(is_alive && (link.has_edge || has_room))
        })
    }

    // ------------------------------------------------------------ the server's side

    /// The server accepts a connection.
    pub(crate) fn open(network: &Rc<RefCell<Network>>, link: usize) -> SimulatedStream {
        SimulatedStream { network: Rc::clone(network), link }
    }

    /// Connections whose socket the server holds.
    pub(crate) fn held(&self) -> usize {
        self.links.iter().filter(|link| link.token.is_some() && !link.is_dropped).count()
    }

    /// When all is quiet, nothing may lie unread: no edge will ever tell of it again. Who is held back is
    /// read when its time has come.
    pub(crate) fn assert_all_is_read(&self, is_held_back: impl Fn(usize) -> bool) {
        for (number, link) in self.links.iter().enumerate() {
            if link.token.is_some_and(|token| !is_held_back(token)) && !link.is_dropped {
                assert!(
                    link.arrived.is_empty(),
                    "connection {number}: {} bytes lie unread",
                    link.arrived.len()
                );
                assert!(link.end_taken || !link.end_arrived, "connection {number}: its end was not seen");
                assert!(!link.is_reset, "connection {number}: its reset was not seen");
            }
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) -> io::Result<usize> {
        if self.weather.interrupts && self.random.chance(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.calls.reads += 1;
        let link = &mut self.links[number];
        if link.arrived.is_empty() {
            if link.is_reset && !link.reset_taken {
                link.reset_taken = true;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if link.end_arrived || link.is_reset {
                link.end_taken = true;
                return Ok(0);
            }
            self.calls.idle_reads += usize::from(!link.last_read_filled);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(link.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(link.arrived.drain(..length)) {
            *place = byte;
        }
        link.last_read_filled = length == buffer.len();
        self.read_in_turn += length;
        Ok(length)
    }

    fn write(&mut self, number: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.weather.interrupts && self.random.chance(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let link = &mut self.links[number];
        self.calls.writes += 1;
        link.written_in_turn = match link.written_in_turn {
            (turn, count) if turn == self.turn => (turn, count + 1),
            _ => (self.turn, 1),
        };
        self.calls.writes_a_turn_max = self.calls.writes_a_turn_max.max(link.written_in_turn.1);
        if link.is_reset {
            let kind =
                if link.reset_taken { io::ErrorKind::BrokenPipe } else { io::ErrorKind::ConnectionReset };
            link.reset_taken = true;
            return Err(kind.into());
        }
        assert!(!link.is_shut, "connection {number}: a write behind the end of our direction");
        assert!(!link.is_blocked, "connection {number}: a full socket was tried again before it had room");
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(wanted > 0, "connection {number}: a write of nothing");
        let mut length = wanted.min(link.window.saturating_sub(link.sent.len()));
        if self.weather.short_writes && length > 0 && self.random.chance(25) {
            length = self.random.below(length + 1);
        }
        match link.full_since {
            _ if length == wanted => link.full_since = None,
            Some(_) if length == 0 => {}
            _ => link.full_since = Some(self.time),
        }
        if length < wanted {
            link.wants_room = true;
            link.is_blocked = true;
        }
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read_since = (self.time - link.unread.0) * 1024 / STALL_PER_KIB;
        link.unread = (self.time, link.unread.1.saturating_sub(read_since) + length as u64);
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).take(length);
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(byte) ^ (number as u64) << 8).wrapping_mul(0x0100_0000_01B3);
            link.sent.push_back(byte);
        }
        Ok(length)
    }
}

impl Link {
    /// What epoll says of a socket, as mio and the loop read it.
    fn readiness(&self) -> Readiness {
        let has_ended = self.end_arrived || self.is_reset;
        Readiness {
            is_readable: !self.arrived.is_empty() || has_ended,
            is_writable: self.sent.len() < self.window || self.is_shut || self.is_reset,
            is_read_closed: has_ended,
        }
    }

    /// The server's socket is closed: bytes that still come are answered with a reset, which may
    /// overtake what the client has not taken (RFC 1122 §4.2.2.13).
    fn meet_closed_socket(&mut self, random: &mut Random) {
        if !self.in_flight.is_empty() || !self.arrived.is_empty() {
            self.in_flight.clear();
            self.arrived.clear();
            let kept = random.below(self.sent.len() + 1);
            self.sent.truncate(kept);
            self.is_reset = true;
        }
        self.end_in_flight = false;
    }
}

impl SimulatedStream {
    /// The server asks for readiness under a token: that is an edge, if anything holds.
    pub(crate) fn register(&self, token: usize) {
        let mut network = self.network.borrow_mut();
        let taken = network.links.iter().any(|other| other.token == Some(token) && !other.is_dropped);
        assert!(!taken, "token {token} belongs to a living connection");
        network.links[self.link].token = Some(token);
        network.links[self.link].has_edge = true;
    }
}

/// The server's end of a connection. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct SimulatedStream {
    network: Rc<RefCell<Network>>,
    link: usize,
}

impl Read for SimulatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.borrow_mut().read(self.link, buffer)
    }
}

impl Write for SimulatedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.network.borrow_mut().write(self.link, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.network.borrow_mut().write(self.link, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for SimulatedStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        let link = &mut self.network.borrow_mut().links[self.link];
        assert!(!link.is_shut, "our direction ends once");
        link.is_shut = true;
        // The state of the socket has changed, and epoll tells of it.
        link.has_edge = true;
        if link.is_reset { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        // While a failed run unwinds, the network may be in use.
        if let Ok(mut network) = self.network.try_borrow_mut() {
            network.links[self.link].is_dropped = true;
        }
    }
}
