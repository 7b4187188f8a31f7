//! A whole server over sockets in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use wsloop::clock::{Now, Time};
use wsloop::connection;
use wsloop::server::{Environment, Readiness, Server, ServerLimits, Site, SlowPolicy, Stream, Surface};

use super::LIMITS;

/// A socket in memory.
#[derive(Default)]
struct Wire {
    arrived: VecDeque<u8>,
    has_ended: bool,
    room: usize,
}

struct MemoryStream(Rc<RefCell<Wire>>);

impl Read for MemoryStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.arrived.is_empty() && !wire.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(wire.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(wire.arrived.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        let taken = bytes.len().min(wire.room);
        wire.room -= taken;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for MemoryStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each step takes two bytes: what happens, and to whom or how much;
/// bytes that arrive follow. The server's own assertions are what must hold.
pub(super) fn run(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    while let [step, argument, behind @ ..] = rest {
        rest = world.step(*step, *argument, behind);
        world.turn();
    }
}

struct World {
    server: Server<MemoryStream>,
    wires: Vec<(usize, Rc<RefCell<Wire>>)>,
    time: u64,
}

impl World {
    fn new() -> World {
        let limits = ServerLimits {
            connection: connection::ConnectionLimits {
                websocket: LIMITS,
                handshake_timeout: Duration::from_secs(10),
                ping_interval: Duration::from_secs(20),
                pong_timeout: Duration::from_secs(25),
                outbox_bytes_max: 2000,
            },
            clients_max: 3,
            address_clients_max: None,
            rate: None,
            compress_bytes_min: 16,
            history_messages_max: 100,
            slow: SlowPolicy::Close,
            buffered_bytes_max: 256 << 20,
            drain_timeout: Duration::from_secs(8),
        };
        let site = Site::new(vec!["localhost".to_owned()], Vec::new(), true);
        World {
            server: Server::new(limits, site, jiff::tz::TimeZone::UTC, Environment::nothing()),
            wires: Vec::new(),
            time: 0,
        }
    }

    fn now(&self) -> Now {
        Now { time: Time::from_millis(self.time), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    /// Does one thing, and returns the bytes that it did not take.
    fn step<'a>(&mut self, step: u8, argument: u8, mut rest: &'a [u8]) -> &'a [u8] {
        let wire = self.wires.get(usize::from(argument) % self.wires.len().max(1)).cloned();
        match (step % 6, wire) {
            (0, _) if self.wires.len() < 64 => self.connect(argument),
            (1, Some((token, wire))) => {
                let (arrived, behind) = rest.split_at(usize::from(step / 6).min(rest.len()));
                rest = behind;
                wire.borrow_mut().arrived.extend(arrived);
                self.tell(token, &wire, Readiness { is_readable: true, ..Readiness::default() });
            }
            (2, Some((token, wire))) => {
                wire.borrow_mut().room += usize::from(step) * 4;
                self.tell(token, &wire, Readiness { is_writable: true, ..Readiness::default() });
            }
            (3, Some((token, wire))) => {
                wire.borrow_mut().has_ended = true;
                let readiness = Readiness { is_readable: true, is_writable: true, is_read_closed: true };
                self.tell(token, &wire, readiness);
            }
            (4, _) => self.time += u64::from(argument) * 100,
            _ if argument == 255 => self.server.begin_shutdown(self.now()),
            _ => {}
        }
        rest
    }

    fn connect(&mut self, argument: u8) {
        const TARGETS: [&str; 4] = ["/", "/?name=a", "/echo", "/broadcast?self=0"];
        let target = TARGETS[usize::from(argument) % TARGETS.len()];
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        let wire = Wire { arrived: request.into_bytes().into(), has_ended: false, room: 300 };
        let wire = Rc::new(RefCell::new(wire));
        let token = self.server.next_token();
        let address = "192.0.2.7:4242".parse().expect("an address");
        if self.server.accept(self.now(), MemoryStream(Rc::clone(&wire)), address, Surface::Everything) {
            self.tell(
                token,
                &wire,
                Readiness { is_readable: true, is_writable: true, ..Readiness::default() },
            );
            self.wires.push((token, wire));
        }
    }

    /// A socket that the server has closed tells nothing any more; its token may be another's.
    fn tell(&mut self, token: usize, wire: &Rc<RefCell<Wire>>, readiness: Readiness) {
        let holders = self.wires.iter().filter(|(_, other)| Rc::ptr_eq(other, wire)).count();
        // Beside the list, the step that tells of it holds it.
        if Rc::strong_count(wire) > holders + 1 {
            self.server.handle_ready(token, readiness);
        }
    }

    fn turn(&mut self) {
        self.server.turn(self.now());
        for _ in 0..1000 {
            if !self.server.has_work() {
                return;
            }
            self.server.turn(self.now());
        }
        panic!("the server does not come to rest");
    }
}
