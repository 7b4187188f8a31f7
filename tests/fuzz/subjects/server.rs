//! A whole server over sockets in memory.

use wsloop::connection::ConnectionLimits;
use wsloop::server::{ServerLimits, Surface};

use super::LIMITS;
use super::broker::Later;
use super::handshake::handshake;
use super::limits;
use super::memory::{MemoryClient, MemoryServer, Wire};

/// Turns until nothing is left to do.
const TURNS_MAX: usize = 1_000;

/// Each step takes two bytes: what happens, and to whom or how much;
/// bytes that arrive follow. The server's own assertions are what must hold.
pub(super) fn run(bytes: &[u8]) {
    let mut world = World::new(None);
    let mut rest = bytes;
    while let [step, argument, behind @ ..] = rest {
        rest = world.step(*step, *argument, behind);
        world.server.settle_within(TURNS_MAX);
    }
}

/// The same, with a broker that answers when a step says so.
pub(super) fn run_with_broker(bytes: &[u8]) {
    let broker = Later::default();
    let mut world = World::new(Some(broker.clone()));
    let mut rest = bytes;
    while let [step, argument, behind @ ..] = rest {
        rest = world.step(*step, *argument, behind);
        if step % 6 == 5 {
            let argument = usize::from(*argument);
            broker.allow(argument % 8, argument / 8 % 4, argument / 32 == 3);
        }
        world.server.settle_within(TURNS_MAX);
    }
    // In the end all is answered.
    broker.allow(usize::MAX / 2, 0, false);
    world.server.settle_within(TURNS_MAX);
}

struct World {
    server: MemoryServer,
    clients: Vec<MemoryClient>,
}

impl World {
    fn new(broker: Option<Later>) -> World {
        let limits = ServerLimits {
            connection: ConnectionLimits {
                websocket: LIMITS,
                outbox_bytes_max: 2000,
                ..limits::LIMITS.connection
            },
            clients_max: 3,
            compress_bytes_min: 16,
            ..limits::LIMITS
        };
        let server = match broker {
            None => MemoryServer::new(limits),
            Some(broker) => MemoryServer::with_broker(limits, Box::new(broker)),
        };
        World { server, clients: Vec::new() }
    }

    /// Does one thing, and returns the bytes that it did not take.
    fn step<'a>(&mut self, step: u8, argument: u8, mut rest: &'a [u8]) -> &'a [u8] {
        let client = self.clients.get(usize::from(argument) % self.clients.len().max(1)).cloned();
        match (step % 6, client) {
            (0, _) if self.clients.len() < 64 => self.connect(argument),
            (1, Some(client)) => {
                let (arrived, behind) = rest.split_at(usize::from(step / 6).min(rest.len()));
                rest = behind;
                self.server.send(&client, arrived);
            }
            (2, Some(client)) => self.server.make_room(&client, usize::from(step) * 4),
            (3, Some(client)) => self.server.end(&client),
            (4, _) => self.server.time += u64::from(argument) * 100,
            _ if argument == 255 => self.server.server.begin_shutdown(self.server.now()),
            _ => {}
        }
        rest
    }

    fn connect(&mut self, argument: u8) {
        const TARGETS: [&str; 4] = ["/", "/?name=a", "/echo", "/broadcast?self=0"];
        let target = TARGETS[usize::from(argument) % TARGETS.len()];
        let form = if argument >= 128 { "Sec-WebSocket-Protocol: wsloop.json" } else { "X: y" };
        let request = handshake(target, &["Sec-WebSocket-Extensions: permessage-deflate", form]);
        let wire = Wire { forgets: true, room: 300, ..Wire::default() };
        let address = "192.0.2.7:4242".parse().expect("an address");
        if let Some(client) = self.server.connect(address, Surface::Everything, wire) {
            self.server.send(&client, request.as_bytes());
            self.clients.push(client);
        }
    }
}
