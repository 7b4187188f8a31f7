//! A whole server without a kernel: its clients are bytes in memory, and time passes when a test says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use wsloop::broker::Broker;
use wsloop::clock::{Now, Time};
use wsloop::forms::Forms;
use wsloop::server::{Environment, Readiness, Server, ServerLimits, Site, Stream, Surface};

/// There is something to read.
pub const READABLE: Readiness = Readiness { is_readable: true, is_writable: false, is_read_closed: false };
/// There is room to write.
pub const WRITABLE: Readiness = Readiness { is_readable: false, is_writable: true, is_read_closed: false };
/// The client has ended its direction.
pub const ENDED: Readiness = Readiness { is_readable: true, is_writable: true, is_read_closed: true };

/// Turns until nothing is left to do: more, and the server runs in circles.
const TURNS_MAX: usize = 100_000;
/// The time of day at the start: 12:03:07 of a Friday, in UTC.
const START: i64 = 1_795_176_187;

/// Both directions between a client and the server.
#[derive(Debug)]
pub struct Wire {
    pub arrived: VecDeque<u8>,
    pub has_ended: bool,
    pub taken: Vec<u8>,
    /// Bytes taken; nothing else is kept of them by one who forgets.
    pub taken_count: usize,
    pub forgets: bool,
    /// Bytes that the kernels between them still take for the client.
    pub room: usize,
    /// The server has ended its direction.
    pub is_shut: bool,
    /// The server has closed its socket.
    pub is_dropped: bool,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire {
            arrived: VecDeque::new(),
            has_ended: false,
            taken: Vec::new(),
            taken_count: 0,
            forgets: false,
            room: usize::MAX,
            is_shut: false,
            is_dropped: false,
        }
    }
}

/// The server's end of a wire.
pub struct MemoryStream(Rc<RefCell<Wire>>);

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
        let wire = &mut *wire;
        assert!(!wire.is_shut, "nothing is written after the end of our direction");
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = offered.min(wire.room);
        if count == 0 && offered > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut left = count;
        for slice in slices.iter().filter(|_| !wire.forgets) {
            let length = slice.len().min(left);
            wire.taken.extend_from_slice(&slice[..length]);
            left -= length;
        }
        wire.room -= count;
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

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.0.borrow_mut().is_dropped = true;
    }
}

/// A client's end of a wire.
#[derive(Clone, Debug)]
pub struct MemoryClient {
    pub token: usize,
    pub wire: Rc<RefCell<Wire>>,
}

impl MemoryClient {
    /// Whether the server holds its end still.
    pub fn is_held(&self) -> bool {
        !self.wire.borrow().is_dropped
    }

    /// What has come since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.wire.borrow_mut().taken)
    }
}

/// A server, and its time.
pub struct MemoryServer {
    pub server: Server<MemoryStream>,
    /// Milliseconds.
    pub time: u64,
}

fn site() -> Site {
    Site::new(vec!["localhost".to_owned()], vec!["https://friend.example".to_owned()], true)
}

impl MemoryServer {
    pub fn new(limits: ServerLimits) -> MemoryServer {
        let server = Server::new(limits, site(), jiff::tz::TimeZone::UTC, Environment::nothing());
        MemoryServer { server, time: 0 }
    }

    /// The same, whose channels are kept by this broker.
    pub fn with_broker(limits: ServerLimits, broker: Box<dyn Broker>) -> MemoryServer {
        let forms = Forms::standard(jiff::tz::TimeZone::UTC);
        let server = Server::with(limits, site(), forms, broker, Environment::nothing());
        MemoryServer { server, time: 0 }
    }

    /// The time of day goes as the clock does.
    pub fn now(&self) -> Now {
        let wall = jiff::Timestamp::from_second(START).expect("in range");
        // Like a clock that has run for a moment.
        Now { time: Time::from_millis(1_000 + self.time), wall: wall + Duration::from_millis(self.time) }
    }

    /// Takes a client, if there is a place; the server looks at it in the next turn.
    pub fn connect(&mut self, address: SocketAddr, surface: Surface, wire: Wire) -> Option<MemoryClient> {
        let client = MemoryClient { token: self.server.next_token(), wire: Rc::new(RefCell::new(wire)) };
        let stream = MemoryStream(Rc::clone(&client.wire));
        let is_taken = self.server.accept(self.now(), stream, address, surface);
        is_taken.then(|| {
            self.server.handle_ready(client.token, WRITABLE);
            client
        })
    }

    /// Says what a poll would say of a client. One that the server has closed tells nothing any more; its token may
    /// be another's.
    pub fn tell(&mut self, client: &MemoryClient, readiness: Readiness) {
        if client.is_held() {
            self.server.handle_ready(client.token, readiness);
        }
    }

    /// Bytes of a client arrive, in one piece.
    pub fn send(&mut self, client: &MemoryClient, bytes: &[u8]) {
        client.wire.borrow_mut().arrived.extend(bytes);
        self.tell(client, READABLE);
    }

    /// A client hangs up.
    pub fn end(&mut self, client: &MemoryClient) {
        client.wire.borrow_mut().has_ended = true;
        self.tell(client, ENDED);
    }

    /// So many bytes more find room on the way to a client.
    pub fn make_room(&mut self, client: &MemoryClient, bytes: usize) {
        let mut wire = client.wire.borrow_mut();
        wire.room = wire.room.saturating_add(bytes);
        drop(wire);
        self.tell(client, WRITABLE);
    }

    pub fn turn(&mut self) {
        self.server.turn(self.now());
    }

    /// Turns until nothing is left to do at this moment.
    pub fn settle(&mut self) {
        self.settle_within(TURNS_MAX);
    }

    /// The same; more than one and so many more turns are a server that does not come to rest.
    pub fn settle_within(&mut self, turns_max: usize) {
        self.turn();
        for _ in 0..turns_max {
            if !self.server.has_work() {
                return;
            }
            self.turn();
        }
        panic!("the server does not come to rest");
    }
}
