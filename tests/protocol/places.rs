//! Places and addresses: whatever clients do, each is counted while it is there, and no longer.

use std::net::SocketAddr;
use std::rc::Rc;

use proptest::prelude::*;
use wsloop::server::{ServerLimits, Surface};

use crate::peer::LIMITS;
use crate::support::memory::{MemoryClient, MemoryServer, Wire};
use crate::{HANDSHAKE, frame};

const CLIENTS_MAX: usize = 12;
const GUESTS_MAX: usize = 32;
const OPERATORS_MAX: usize = 16;
const WEBSOCKETS_MAX: u32 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// From one of a few addresses, at one of the two listeners.
    Connect(u8, bool),
    /// One of those who are there does something.
    Upgrade(usize),
    Get(usize),
    Begin(usize),
    Break(usize),
    Close(usize),
    HangUp(usize),
    /// A few connect within one turn.
    Crowd(u8, u8),
    /// So many milliseconds pass.
    Wait(u16),
}

struct Client {
    there: MemoryClient,
    address: u8,
    is_operator: bool,
}

impl Client {
    fn is_here(&self) -> bool {
        self.there.is_held()
    }

    fn is_websocket(&self) -> bool {
        self.is_here() && self.there.wire.borrow().taken.starts_with(b"HTTP/1.1 101 ")
    }
}

struct World {
    server: MemoryServer,
    clients: Vec<Client>,
}

impl World {
    fn new() -> World {
        let limits =
            ServerLimits { clients_max: CLIENTS_MAX, address_clients_max: Some(WEBSOCKETS_MAX), ..LIMITS };
        World { server: MemoryServer::new(limits), clients: Vec::new() }
    }

    /// As the loop does it.
    fn connect(&mut self, address: u8, is_operator: bool) {
        let surface = if is_operator { Surface::Operators } else { Surface::Everything };
        if !self.server.server.can_accept(surface) {
            self.turn();
        }
        assert!(self.server.server.can_accept(surface), "a turn later the next one is heard");
        let ip = SocketAddr::from(([192, 0, 2, address], 4242));
        self.server.server.make_room(ip, surface);
        if let Some(there) = self.server.connect(ip, surface, Wire::default()) {
            self.clients.push(Client { there, address, is_operator });
        }
        self.clients.retain(Client::is_here);
        assert!(self.clients.len() <= CLIENTS_MAX + GUESTS_MAX + OPERATORS_MAX);
    }

    fn send(&mut self, number: usize, bytes: &[u8]) {
        if self.clients.is_empty() {
            return;
        }
        self.server.send(&self.clients[number % self.clients.len()].there, bytes);
    }

    fn hang_up(&mut self, number: usize) {
        if self.clients.is_empty() {
            return;
        }
        self.server.end(&self.clients[number % self.clients.len()].there);
    }

    fn turn(&mut self) {
        self.server.settle();
        self.clients.retain(Client::is_here);
        let operators = self.clients.iter().filter(|client| client.is_operator).count();
        assert!(operators <= OPERATORS_MAX);
        assert!(self.clients.len() - operators <= CLIENTS_MAX + GUESTS_MAX);
        assert_eq!(self.server.server.client_count(), self.clients.len());
        for address in 0..=u8::MAX {
            assert!(self.websockets_of(address) <= WEBSOCKETS_MAX as usize);
        }
    }

    fn websockets_of(&self, address: u8) -> usize {
        let of_address = |client: &&Client| client.address == address && client.is_websocket();
        self.clients.iter().filter(of_address).count()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect(address, is_operator) => self.connect(address, is_operator),
            Step::Crowd(address, count) => (0..count).for_each(|_| self.connect(address, false)),
            Step::Upgrade(number) => self.send(number, HANDSHAKE.as_bytes()),
            Step::Get(number) => self.send(number, b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            Step::Begin(number) => self.send(number, b"GET /st"),
            Step::Break(number) => self.send(number, b"\0\0\0"),
            Step::Close(number) => self.send(number, &frame(0x88, &[0x03, 0xe8])),
            Step::HangUp(number) => self.hang_up(number),
            Step::Wait(milliseconds) => self.server.time += u64::from(milliseconds),
        }
        self.turn();
    }
}

fn step() -> impl Strategy<Value = Step> {
    let address = || 1..4u8;
    prop_oneof![
        4 => (address(), any::<bool>()).prop_map(|(address, is_operator)| Step::Connect(address, is_operator)),
        1 => (address(), 1..50u8).prop_map(|(address, count)| Step::Crowd(address, count)),
        4 => any::<usize>().prop_map(Step::Upgrade),
        2 => any::<usize>().prop_map(Step::Get),
        1 => any::<usize>().prop_map(Step::Begin),
        1 => any::<usize>().prop_map(Step::Break),
        1 => any::<usize>().prop_map(Step::Close),
        2 => any::<usize>().prop_map(Step::HangUp),
        1 => (0..6_000u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_has_gone_is_not_counted(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        for number in 0..world.clients.len() {
            world.hang_up(number);
        }
        world.turn();
        world.server.time += 60_000;
        world.turn();
        prop_assert_eq!(world.server.server.client_count(), 0);
        // All are as free as on the first day: so many may open a WebSocket, and one more is told why not.
        for address in 1..4 {
            for number in 0..=WEBSOCKETS_MAX as usize {
                world.connect(address, false);
                world.send(world.clients.len() - 1, HANDSHAKE.as_bytes());
                world.turn();
                prop_assert_eq!(world.websockets_of(address), number.min(2) + 1);
            }
        }
    }
}

/// An operator's request that takes a moment is heard, whoever dials without end from elsewhere.
#[test]
fn who_dials_without_end_displaces_itself() {
    let mut world = World::new();
    for address in 10..10 + u8::try_from(CLIENTS_MAX).expect("few") {
        world.connect(address, false);
        world.step(Step::Upgrade(world.clients.len() - 1));
    }
    for is_operator in [false, true] {
        world.connect(1, is_operator);
        let operator = Rc::clone(&world.clients.last().expect("it is there").there.wire);
        for _ in 0..500 {
            world.connect(2, is_operator);
        }
        let place = world.clients.iter().position(|client| Rc::ptr_eq(&client.there.wire, &operator));
        world.step(Step::Get(place.expect("it is still there")));
        assert!(operator.borrow().taken.starts_with(b"HTTP/1.1 200 "));
    }
}
