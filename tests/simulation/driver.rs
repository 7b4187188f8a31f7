//! Drives a server as the loop does: it is told what a poll says, accepts, and gets a turn only if
//! something happened, if it has work, or if its deadline has come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use wsloop::clock::{Now, Time};
use wsloop::server::{Limits, Server, Site};
use wsloop::{connection, websocket};

use crate::network::{Network, SimulatedStream, Weather};
use crate::random::Random;

/// As the command line sets them.
pub(crate) const LIMITS: Limits = Limits {
    connection: connection::Limits {
        websocket: websocket::Limits { message_bytes_max: 65_536, fragments_max: 16_384 },
        handshake_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(20),
        pong_timeout: Duration::from_secs(25),
        outbox_bytes_max: 1 << 20,
    },
    clients_max: 1_000,
    address_clients_max: None,
    rate: None,
    compress_bytes_min: 128,
    drain_timeout: Duration::from_secs(8),
};

/// Turns at one moment: more, and the server runs in circles.
const TURNS_AT_ONCE_MAX: usize = 10_000;

/// A server on a simulated network.
pub(crate) struct Driver {
    pub(crate) server: Server<SimulatedStream>,
    pub(crate) network: Rc<RefCell<Network>>,
    /// Milliseconds since the start.
    pub(crate) time: u64,
    /// Connections that wait to be accepted.
    backlog: VecDeque<(usize, SocketAddr)>,
    /// The signal came: nothing is accepted any more.
    pub(crate) is_stopping: bool,
    /// How many there were at this time; of them, those that only a deadline called for.
    turns: (u64, usize),
    timer_turns: (u64, usize),
}

impl Driver {
    pub(crate) fn new(limits: Limits, random: Random, weather: Weather) -> Driver {
        let site = Site::new(vec!["localhost".to_owned()], Vec::new(), true);
        Driver {
            server: Server::new(limits, site, jiff::tz::TimeZone::UTC),
            network: Rc::new(RefCell::new(Network::new(random, weather))),
            time: 0,
            backlog: VecDeque::new(),
            is_stopping: false,
            turns: (0, 0),
            timer_turns: (0, 0),
        }
    }

    /// A client connects. `None`: nobody listens any more.
    pub(crate) fn connect(&mut self, address: SocketAddr, window: usize) -> Option<usize> {
        if self.is_stopping {
            return None;
        }
        let link = self.network.borrow_mut().connect(window);
        self.backlog.push_back((link, address));
        Some(link)
    }

    /// SIGTERM comes.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
        let now = self.now();
        self.server.begin_shutdown(now);
    }

    /// Once round the loop, without sleeping. `false`: there was no reason for a turn.
    pub(crate) fn pass(&mut self) -> bool {
        let now = self.now();
        let events = self.network.borrow_mut().poll();
        let is_due = self.server.deadline() <= now.time;
        let has_backlog = !self.backlog.is_empty() && !self.is_stopping;
        let is_told = !events.is_empty() || has_backlog || self.server.has_work();
        if !is_told && !is_due {
            return false;
        }
        if !is_told {
            self.count_timer(now);
        }
        for (token, readiness) in events {
            self.server.handle_ready(token, readiness);
        }
        if has_backlog {
            self.accept(now);
        }
        self.network.borrow_mut().turn += 1;
        self.server.turn(now);
        self.assert_after_turn();
        true
    }

    /// Lets everything happen that happens at this moment.
    pub(crate) fn settle(&mut self) {
        loop {
            self.network.borrow_mut().transfer();
            if self.is_drained() || (!self.pass() && self.is_quiet()) {
                return;
            }
        }
    }

    /// Lets time pass until `time`, waking the server when it asked for it and at no other time.
    pub(crate) fn advance_to(&mut self, time: u64) {
        self.settle();
        while self.server.deadline().as_millis() <= time && !self.is_drained() {
            self.time = self.time.max(self.server.deadline().as_millis());
            self.settle();
        }
        self.time = time;
        self.settle();
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let has_backlog = !self.backlog.is_empty() && !self.is_stopping;
        !has_backlog && !self.server.has_work() && self.network.borrow().is_quiet()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.server.is_drained(self.now())
    }

    pub(crate) fn now(&self) -> Now {
        let wall = jiff::Timestamp::from_second(1_795_176_187).expect("in range");
        Now { time: Time::from_millis(self.time), wall: wall + Duration::from_millis(self.time) }
    }

    fn accept(&mut self, now: Now) {
        while let Some((link, address)) = self.backlog.pop_front() {
            let token = self.server.next_token();
            let stream = Network::register(&self.network, link, token);
            self.server.accept(now, stream, address);
        }
    }

    fn assert_after_turn(&mut self) {
        let held = self.network.borrow().held();
        assert_eq!(self.server.client_count(), held, "a client is a socket, and a socket a client");
        self.turns = match self.turns {
            (time, count) if time == self.time => (time, count + 1),
            _ => (self.time, 1),
        };
        assert!(self.turns.1 < TURNS_AT_ONCE_MAX, "the server does not come to rest at {}", self.time);
    }

    /// A turn whose only reason is a deadline. What is due is done by then, or by one turn more.
    fn count_timer(&mut self, now: Now) {
        self.timer_turns = match self.timer_turns {
            (time, count) if time == now.time.as_millis() => (time, count + 1),
            _ => (now.time.as_millis(), 1),
        };
        assert!(
            self.timer_turns.1 <= 2,
            "the server asks for the same moment again and again: {}",
            self.time
        );
    }
}
