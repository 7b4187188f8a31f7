//! Drives a server as the loop does: it is told what a poll says, accepts, and gets a turn only if
//! something happened, if it has work, or if its deadline has come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use wsloop::broker::Broker;
use wsloop::clock::{Clock, Now, Time};
use wsloop::forms::Forms;
use wsloop::server::{Acceptor, Environment, Listener, Server, ServerLimits, Site, Surface};

use crate::network::{Network, Weather};
use crate::sealing::Transport;
use crate::support::random::Random;
use crate::swarm::Faults;

/// The listener: connections that wait to be accepted, and what can go wrong with that.
pub(crate) struct AcceptSource {
    network: Rc<RefCell<Network>>,
    backlog: VecDeque<(usize, SocketAddr)>,
    /// There is news for the poll.
    has_edge: bool,
    is_open: bool,
    has_reserve: bool,
    random: Random,
    pub(crate) faults: Faults,
    /// An attempt to accept has failed for no reason of the clients: what waits may wait a moment.
    has_failed: bool,
    /// Not more wait than a turn takes, so that whoever waits after it has no reason to.
    waits_in_vain: bool,
    /// Streams seal what is written, each in its own way.
    pub(crate) sealing: Option<Random>,
}

const EMFILE: i32 = 24;
/// EINTR, EMFILE, ECONNABORTED, ENOBUFS, ENOMEM, ENETDOWN (accept(2)).
const ACCEPT_ERRORS: [i32; 6] = [4, EMFILE, 103, 105, 12, 100];
/// Newcomers to a full server that may ask for reports, as `src/OPERATING.md` has it; half as many are taken in a turn.
const GUESTS_MAX: usize = 32;
/// 256 KiB, and what the last client of a turn has more.
const TURN_READ_BYTES_MAX: usize = 320 * 1024;
/// An edge may be reported late, but not by so much: in milliseconds.
const PROMPT_AFTER: u64 = 100;
/// Turns at one moment: more, and the server runs in circles.
const TURNS_AT_ONCE_MAX: usize = 10_000;

/// A server on a simulated network.
pub(crate) struct Driver {
    limits: ServerLimits,
    pub(crate) server: Server<Transport>,
    pub(crate) network: Rc<RefCell<Network>>,
    /// Milliseconds since the start.
    pub(crate) time: u64,
    last_pass: u64,
    clock: Clock,
    /// The server's time, which stands still when it does.
    current: Time,
    /// In seconds; the time of day is not the clock.
    pub(crate) wall_offset: i64,
    acceptor: Acceptor,
    pub(crate) door: AcceptSource,
    /// The signal came.
    pub(crate) is_stopping: bool,
    /// How many there were at this time; of them, those that only a deadline called for.
    turns: (u64, usize),
    timer_turns: (u64, usize),
}

impl Driver {
    pub(crate) fn new(limits: ServerLimits, random: Random, weather: Weather) -> Driver {
        Driver::with_broker(limits, random, weather, None)
    }

    /// The same, whose channels are kept by somebody else.
    pub(crate) fn with_broker(
        limits: ServerLimits,
        mut random: Random,
        weather: Weather,
        broker: Option<Box<dyn Broker>>,
    ) -> Driver {
        let for_door = Random::new(random.next());
        let network = Rc::new(RefCell::new(Network::new(random, weather)));
        let door = AcceptSource {
            network: Rc::clone(&network),
            backlog: VecDeque::new(),
            has_edge: false,
            is_open: true,
            has_reserve: true,
            random: for_door,
            faults: Faults::default(),
            has_failed: false,
            waits_in_vain: false,
            sealing: None,
        };
        let site = Site::new(vec!["localhost".to_owned()], Vec::new(), true);
        Driver {
            limits,
            server: match broker {
                None => Server::new(limits, site, jiff::tz::TimeZone::UTC, Environment::nothing()),
                Some(broker) => {
                    let forms = Forms::standard(jiff::tz::TimeZone::UTC);
                    Server::with(limits, site, forms, broker, Environment::nothing())
                }
            },
            network,
            time: 0,
            last_pass: 0,
            clock: Clock::default(),
            current: Time::default(),
            wall_offset: 0,
            acceptor: Acceptor::default(),
            door,
            is_stopping: false,
            turns: (0, 0),
            timer_turns: (0, 0),
        }
    }

    /// A client connects. `None`: nobody listens any more.
    pub(crate) fn connect(&mut self, address: SocketAddr, window: usize) -> Option<usize> {
        if !self.door.is_open {
            return None;
        }
        let link = self.network.borrow_mut().connect(window);
        self.door.backlog.push_back((link, address));
        self.door.has_edge = true;
        Some(link)
    }

    /// SIGTERM comes.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
        self.current = self.clock.at(self.time, || 0);
        let now = self.now();
        self.server.begin_shutdown(now);
    }

    /// Once round the loop, without sleeping. `false`: there was no reason for a turn.
    pub(crate) fn pass(&mut self) -> bool {
        self.current = self.clock.at(self.time, || 0);
        let now = self.now();
        // Who has slept finds all that has happened meanwhile.
        let is_prompt = self.time > self.last_pass + PROMPT_AFTER;
        self.last_pass = self.time;
        let events = self.network.borrow_mut().poll(is_prompt);
        let is_due = self.deadline() <= self.time;
        let has_edge = std::mem::take(&mut self.door.has_edge);
        let is_told = !events.is_empty() || has_edge || self.server.has_work();
        if !is_told && !is_due {
            self.clock.sleep_until(self.wake_at());
            return false;
        }
        if !is_told && self.server.deadline() <= now.time {
            self.count_timer(now);
        }
        if has_edge {
            self.acceptor.handle_ready();
        }
        for (token, readiness) in events {
            self.server.handle_ready(token, readiness);
        }
        self.door.waits_in_vain = self.door.backlog.len() < GUESTS_MAX / 2;
        if self.door.is_open {
            self.acceptor.accept(now, &mut self.door, &mut self.server);
        }
        self.network.borrow_mut().begin_turn(now.time.as_millis());
        self.server.turn(now);
        if !self.server.is_accepting() && self.door.is_open {
            self.door.is_open = false;
            // The kernel resets those who still wait to be taken.
            for (link, _) in self.door.backlog.drain(..) {
                self.network.borrow_mut().turn_down(link);
            }
        }
        self.assert_after_turn();
        if !self.server.has_work() {
            self.clock.sleep_until(self.wake_at());
        }
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
        while self.deadline() <= time && !self.is_drained() {
            self.time = self.time.max(self.deadline());
            self.settle();
        }
        self.time = time;
        self.settle();
    }

    /// When the loop wants to wake, in milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        self.clock.reading_at(self.wake_at())
    }

    fn wake_at(&self) -> Time {
        let accept_at = match self.door.is_open {
            true => self.acceptor.deadline(self.server.client_count()),
            false => Time::NEVER,
        };
        self.server.deadline().min(accept_at)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let wants_to_accept = self.door.has_edge || self.wake_at() == Time::default();
        !wants_to_accept && !self.server.has_work() && self.network.borrow().is_quiet()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.server.is_drained(self.now())
    }

    pub(crate) fn now(&self) -> Now {
        let wall = jiff::Timestamp::from_second(1_795_176_187 + self.wall_offset).expect("in range");
        Now { time: self.current, wall: wall + Duration::from_millis(self.time) }
    }

    fn assert_after_turn(&mut self) {
        let buffered = self.server.buffered_bytes();
        assert!(buffered <= self.limits.buffered_bytes_max, "{buffered} bytes wait: that is over the budget");
        let clients_max = self.limits.clients_max + GUESTS_MAX;
        assert!(self.server.client_count() <= clients_max, "more clients than are allowed");
        if self.limits.rate.is_none() {
            self.network.borrow().assert_no_stall();
        }
        let has_waited = self.door.waits_in_vain
            && !self.door.has_failed
            && !self.door.backlog.is_empty()
            && self.door.is_open;
        assert!(!has_waited, "who waits is served or told, whatever has run out");
        let read = self.network.borrow().read_in_turn;
        assert!(read <= TURN_READ_BYTES_MAX, "{read} bytes were read in a turn");
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

impl Listener<Transport> for AcceptSource {
    fn surface(&self) -> Surface {
        Surface::Everything
    }

    fn accept(&mut self) -> io::Result<(Transport, SocketAddr)> {
        if self.backlog.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let held = self.network.borrow().held() + usize::from(self.has_reserve);
        if held >= self.faults.files_max {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if self.random.chance(self.faults.accept_errors) {
            self.has_failed = true;
            return Err(io::Error::from_raw_os_error(*self.random.pick(&ACCEPT_ERRORS)));
        }
        let (link, address) = self.backlog.pop_front().expect("not empty");
        let socket = Network::open(&self.network, link);
        let stream = match &mut self.sealing {
            Some(random) => Transport::sealing(socket, random),
            None => Transport::plain(socket),
        };
        Ok((stream, address))
    }

    fn register(&mut self, stream: &mut Transport, token: usize) -> io::Result<()> {
        stream.register(token);
        Ok(())
    }

    fn give_up_reserve(&mut self) -> bool {
        std::mem::take(&mut self.has_reserve)
    }

    fn keep_reserve(&mut self) {
        self.has_reserve = self.network.borrow().held() < self.faults.files_max;
    }
}
