//! One run: a server, a network and clients, all of one seed.

use std::cell::Cell;
use std::rc::Rc;

use wsloop::broker::Broker;
use wsloop::server::ServerLimits;

use crate::actor::{Actor, Temper};

use crate::client::{Client, Ending, Pace, Stage, Wish};
use crate::driver::Driver;
use crate::network::Weather;
use crate::order;
use crate::sealing::{STALL_OF_RECORDS, Tunnel};
use crate::speech::VIOLATIONS;
use crate::support::limits::LIMITS;
use crate::support::random::Random;
use crate::swarm::{Faults, Swarm, talk_much_and_read_all};

/// Steps of a run; a server or a client that waits for ever is found before.
const STEPS_MAX: usize = 200_000;

/// For so long the history of a room is kept in which nobody is.
const ROOM_KEPT: u64 = 600_001;

/// A run in progress.
pub(crate) struct World {
    random: Random,
    driver: Driver,
    swarm: Swarm,
    clients: Vec<Client>,
    /// When SIGTERM comes, in some runs.
    stops_at: Option<u64>,
    /// The machine is busy: the loop wakes late, and much is due in one turn.
    is_sluggish: bool,
    /// Fast clients wait for their turn, and for what they said.
    may_hold_back: bool,
    /// Requests that a broker elsewhere has not answered.
    pending: Rc<Cell<usize>>,
    is_traced: bool,
}

/// Runs a seed to its end, and returns the trace of all bytes that the server wrote.
pub(crate) fn run(seed: u64, is_traced: bool) -> u64 {
    let mut world = World::new(seed, is_traced);
    world.run_until(World::is_calm);
    if world.stops_at.is_some() {
        world.run_until(|world| world.driver.is_drained());
        world.let_clients_finish();
        world.check_stopped();
    } else {
        order::check(&world.clients, false);
        world.check_endings();
        let World { clients, random, .. } = &mut world;
        let staying = clients.iter_mut().filter(|client| client.stage != Stage::Gone);
        staying.for_each(|client| client.leave(random));
        world.run_until(|world| world.clients.iter().all(|client| client.stage == Stage::Gone));
        world.driver.settle();
        assert_eq!(world.driver.server.client_count(), 0, "everybody has gone");
        world.check_endings();
    }
    if world.driver.server.client_count() == 0 {
        assert_eq!(world.driver.server.channel_count(), 0, "rooms go with their last member");
        if world.stops_at.is_none() {
            let time = world.driver.time;
            world.driver.advance_to(time + ROOM_KEPT);
            assert_eq!(world.driver.server.kept_channel_count(), 0, "and their history a while later");
        }
        assert_eq!(world.driver.server.account().queued, 0, "nothing waits for nobody");
        assert_eq!(world.driver.server.buffered_bytes(), 0, "and takes no memory");
    }
    world.driver.network.borrow().hash
}

impl World {
    fn new(seed: u64, is_traced: bool) -> World {
        let mut random = Random::new(seed);
        let mut weather = Weather {
            splits: random.chance(80),
            short_writes: random.chance(60),
            late_edges: random.chance(60),
            false_edges: random.chance(40),
            interrupts: random.chance(30),
        };
        let count = if random.chance(10) { random.between(10, 24) } else { random.between(2, 9) };
        let mut limits: ServerLimits = LIMITS;
        if random.chance(10) {
            limits.clients_max = random.between(1, count);
        }
        let places = random.between(1, 3);
        let mut clients: Vec<Client> = (0..count).map(|number| client(&mut random, number, places)).collect();
        limits.compress_bytes_min = *random.pick(&[1, 30, 128]);
        let stops_at = random.chance(15).then(|| random.below(60) as u64);
        let is_sluggish = stops_at.is_none() && random.chance(30);
        let mut swarm = Swarm::new(seed, stops_at.is_none());
        let mut faults = Faults::default();
        swarm.limit(&mut limits, &mut clients, &mut faults);
        // Short queues, or little room for all queues together.
        match random.below(20) {
            0..3 => limits.connection.outbox_bytes_max = random.between(500, 8_000),
            3..5 => limits.buffered_bytes_max = random.between(8_000, 30_000),
            _ => {}
        }
        if limits.connection.outbox_bytes_max < 10_000 || limits.buffered_bytes_max < 100_000 {
            weather.short_writes = false;
            clients.iter_mut().for_each(talk_much_and_read_all);
            let is_tight = limits.buffered_bytes_max < 100_000;
            // A welcome alone may be more than a queue of this length; it is owed, so it is not skipped.
            let is_too_much = |client: &Client| client.skips && (is_tight || client.is_json);
            clients.iter_mut().for_each(|client| client.is_expendable = is_too_much(client));
        }
        let pending = Rc::new(Cell::new(0));
        let (broker, uses_refs) = broker(seed, &pending);
        clients.iter_mut().for_each(|client| client.uses_refs = uses_refs);
        let mut driver = Driver::with_broker(limits, Random::new(random.next()), weather, broker);
        driver.door.faults = faults;
        seal(seed, &mut driver, &mut clients);
        let may_hold_back = limits.rate.is_some();
        let world = World {
            random,
            driver,
            swarm,
            clients,
            stops_at,
            is_sluggish,
            may_hold_back,
            pending,
            is_traced,
        };
        world.trace(|| format!("{:?}", Temper::drawn(seed)));
        world.trace(|| format!("{:?}, {faults:?}", world.swarm));
        world.trace(|| format!("{weather:?}, stops at {stops_at:?}, {limits:?}"));
        world
    }

    /// Steps until `is_over` holds in a moment when nothing moves.
    fn run_until(&mut self, is_over: fn(&World) -> bool) {
        for _ in 0..STEPS_MAX {
            self.step();
            let is_quiet = self.is_quiet();
            if is_quiet {
                self.check_quiet();
            }
            if (is_quiet || self.driver.is_drained()) && is_over(self) {
                return;
            }
            if self.driver.is_drained() {
                return;
            }
            if is_quiet {
                self.sleep();
            }
        }
        let ends =
            self.clients.iter().map(|client| (client.number, client.stage, client.ending, client.pace));
        panic!("the run does not come to an end: {:?}", ends.collect::<Vec<_>>());
    }

    fn step(&mut self) {
        if self.stops_at.is_some_and(|time| time <= self.driver.time) && !self.driver.is_stopping {
            self.trace(|| "SIGTERM".to_owned());
            self.driver.stop();
        }
        self.swarm.act(&mut self.driver, &mut self.clients);
        let mut order: Vec<usize> = (0..self.clients.len()).collect();
        self.random.shuffle(&mut order);
        for index in order {
            if self.random.chance(70) {
                self.act(index);
            }
        }
        self.driver.network.borrow_mut().transfer();
        if self.swarm.paused_until > self.driver.time {
            return self.stand_still();
        }
        if !self.driver.is_drained() {
            let has_turned = self.driver.pass();
            if has_turned && self.is_traced {
                let count = self.driver.server.client_count();
                self.trace(|| format!("a turn; {count} clients"));
            }
        }
        self.driver.time += self.random.below(3) as u64;
    }

    /// The process is stopped (SIGSTOP); the kernel goes on taking what comes.
    fn stand_still(&mut self) {
        let driver = &mut self.driver;
        driver.time += 1;
        let time = driver.time;
        let is_busy = self.clients.iter().any(|client| client.wants_to_act(driver));
        if !is_busy && !driver.network.borrow().is_on_the_way() {
            let next = self.clients.iter().map(|client| client.next_time(time)).min().unwrap_or(u64::MAX);
            let next = next.min(self.swarm.next_time(time, &self.clients).max(time));
            driver.time = next.clamp(time, self.swarm.paused_until.max(time));
        }
        if self.swarm.paused_until <= driver.time && (is_busy || driver.network.borrow().is_on_the_way()) {
            // What was sent while it stood has arrived when it goes on.
            self.swarm.paused_until = driver.time + 1;
        }
    }

    fn act(&mut self, index: usize) {
        let World { clients, driver, random, .. } = self;
        let before = (clients[index].stage, clients[index].heard.len(), clients[index].sent.len());
        if clients[index].act(driver, random) {
            clients[index].sent_by_others = clients.iter().map(|client| client.sent.len()).collect();
        }
        let client = &self.clients[index];
        if self.is_traced && before != (client.stage, client.heard.len(), client.sent.len()) {
            let heard = client.heard[before.1..].iter().map(|message| shown(&message.payload));
            let heard = heard.collect::<Vec<_>>().join(" | ");
            let sent = client.sent[before.2..].iter().map(|message| shown(&message.payload));
            let sent = sent.collect::<Vec<_>>().join(" | ");
            self.trace(|| {
                format!(
                    "client {index} is {:?} {:?}; sent [{sent}]; heard [{heard}]",
                    client.stage, client.closed
                )
            });
        }
    }

    fn is_quiet(&self) -> bool {
        self.driver.is_quiet() && !self.clients.iter().any(|client| client.wants_to_act(&self.driver))
    }

    /// Nothing moves: then nothing that could have been delivered may be missing.
    fn check_quiet(&self) {
        if self.driver.is_drained() {
            return;
        }
        let (server, now) = (&self.driver.server, self.driver.now());
        // Time has passed since its last turn; what has become due meanwhile comes with the next.
        if server.deadline() > now.time {
            self.driver.network.borrow().assert_all_is_read(|token| server.is_held_back(now, token));
        }
        for client in &self.clients {
            if client.link.is_some_and(|link| self.driver.network.borrow().is_down(link)) {
                continue;
            }
            let may_wait = self.driver.is_stopping || self.may_hold_back || self.pending.get() > 0;
            assert!(client.has_all_pongs() || may_wait, "client {} waits for a pong", client.number);
            assert!(
                client.has_all_of_its_own() || may_wait,
                "client {} waits for its own messages: {} of {} have come",
                client.number,
                client.own_heard,
                client.sent.len()
            );
        }
    }

    /// To the next moment at which the server or a client wants to do something.
    fn sleep(&mut self) {
        let time = self.driver.time;
        let next = self.clients.iter().map(|client| client.next_time(time)).min().unwrap_or(u64::MAX);
        let next = next.min(self.driver.deadline()).min(self.swarm.next_time(time, &self.clients));
        let next = self.stops_at.filter(|_| !self.driver.is_stopping).map_or(next, |at| at.min(next));
        assert!(next != u64::MAX, "nothing will ever happen again");
        self.driver.time = time.max(next);
        if self.is_sluggish && self.random.chance(30) {
            self.driver.time += self.random.below(2_000) as u64;
        }
    }

    /// All who do not stay have gone, for the server too; who stays has said all.
    fn is_calm(&self) -> bool {
        let is_settled = |client: &Client| match client.stage {
            Stage::Gone => client.link.is_none_or(|link| self.driver.network.borrow().is_dropped(link)),
            _ => client.ending == Ending::Stay && client.reads(self.driver.time) && client.messages_left == 0,
        };
        self.stops_at.is_none()
            && self.swarm.has_healed
            && !self.holds_back()
            && self.pending.get() == 0
            && self.clients.iter().all(is_settled)
    }

    /// Somebody is not read now, or has not been since the time came.
    fn holds_back(&self) -> bool {
        let (server, now) = (&self.driver.server, self.driver.now());
        let mut tokens = 0..self.clients.len();
        self.may_hold_back
            && (server.deadline() <= now.time || tokens.any(|token| server.is_held_back(now, token)))
    }

    /// The server has stopped; what it sent may still be read.
    fn let_clients_finish(&mut self) {
        for index in 0..self.clients.len() {
            for _ in 0..10_000 {
                if self.clients[index].link.is_some() {
                    self.act(index);
                }
            }
        }
    }

    /// How each client ended is how it had to.
    fn check_endings(&self) {
        for client in self.clients.iter().filter(|client| client.stage == Stage::Gone) {
            let closed = client.closed.as_ref().map(|(code, _)| code.unwrap_or(1005));
            let context = format!("client {}, {:?}, {:?}", client.number, client.ending, client.wish);
            let network = self.driver.network.borrow();
            if client.link.is_some_and(|link| network.was_turned_away(link)) {
                // There was no descriptor for it: it was told so if the answer got there before the end.
                continue;
            }
            assert!(!client.was_reset || !client.is_good(), "{context}: a good client is never reset");
            if let Wish::Request(_, status) = client.wish {
                let is_answered = client.answered == Some(status) || client.answered == Some(503);
                assert!(is_answered || !client.is_good(), "{context}: {:?}", client.answered);
            }
            if !client.is_open {
                assert!(!client.is_good() || client.answered.is_some(), "{context}: no answer");
                continue;
            }
            match client.ending {
                Ending::Close(code) if client.is_good() => assert_eq!(closed, Some(code), "{context}"),
                Ending::Quit if client.is_good() => assert_eq!(closed, Some(1000), "{context}"),
                Ending::HangUp if client.is_good() => assert_eq!(closed, None, "{context}"),
                // Who can be reached is told.
                Ending::Violate(index)
                    if client.pace == Pace::Eager && client.hole_until == 0 && !client.is_expendable =>
                {
                    assert_eq!(closed, Some(VIOLATIONS[index].1), "{context}");
                }
                _ if closed == Some(1013) => self.check_cut(client, &context),
                Ending::Stay if client.is_good() => {
                    panic!("{context}: it kept to all rules, wants to stay, and is gone: {:?}", client.closed)
                }
                _ => {}
            }
        }
    }

    /// Only who does not read is cut, and is told how far behind it was.
    fn check_cut(&self, client: &Client, context: &str) {
        let may_be_cut = matches!(client.pace, Pace::Late(_)) || client.is_expendable;
        assert!(may_be_cut, "{context}: cut with 1013, though it reads");
        let reason = &client.closed.as_ref().expect("closed").1;
        assert!(reason.contains(" messages, ") && reason.contains(" bytes behind"), "{context}: {reason}");
    }

    /// After SIGTERM: in time, and everybody who could be told was told.
    fn check_stopped(&self) {
        let stopped_at = self.stops_at.expect("this run is stopped");
        assert!(self.driver.time <= stopped_at.max(1) + 8_000 + 10, "stopped at {}", self.driver.time);
        order::check(&self.clients, true);
        for client in self.clients.iter().filter(|client| client.is_good() && client.is_open) {
            let code = client.closed.as_ref().and_then(|(code, _)| *code);
            // A slow reader may not get there within the drain timeout.
            let has_time = client.pace != Pace::Slow || self.driver.server.client_count() == 0;
            let is_told = client.ending != Ending::Stay || code == Some(1012) || !has_time;
            assert!(is_told, "client {} was not told: {:?}", client.number, client.closed);
            assert!(!client.was_reset, "client {} was reset", client.number);
        }
    }

    #[expect(clippy::print_stderr, reason = "whoever replays a seed wants to see it")]
    fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            eprintln!("{:>8} ms  {}", self.driver.time, line());
        }
    }
}

/// A broker that is elsewhere, in some runs; and whether it may refuse what has a `ref`.
fn broker(seed: u64, pending: &Rc<Cell<usize>>) -> (Option<Box<dyn Broker>>, bool) {
    let temper = Temper::drawn(seed);
    let broker = temper.map(|temper| Actor::boxed(seed, temper, pending));
    (broker, temper.is_some_and(|temper| temper.refuses > 0))
}

/// In a third of the runs all streams seal what they carry. Drawn apart from everything else, so that the other seeds
/// keep their runs.
fn seal(seed: u64, driver: &mut Driver, clients: &mut [Client]) {
    let mut sealing = Random::new(seed ^ 0x5EA1_ED5E_A1ED_5EA1);
    if sealing.is_one_of(3) {
        for client in clients {
            client.tunnel = Tunnel::sealed(Random::new(sealing.next()));
        }
        driver.door.sealing = Some(sealing);
        driver.network.borrow_mut().stall_max += STALL_OF_RECORDS;
    }
}

fn client(random: &mut Random, number: usize, places: usize) -> Client {
    let place = format!("place{}", random.below(places));
    let wish = match random.below(20) {
        0..10 => Wish::Room(place),
        10..15 => Wish::Topic { name: place, hears_self: random.chance(70) },
        15..18 => Wish::Echo,
        18 => Wish::Request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        _ => {
            let (request, status) = *random.pick(&[
                ("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
                ("GET /echo HTTP/1.1\nHost: localhost\n\n", 400),
                ("GET /echo HTTP/1.1\r\nHost: loc", 408),
                ("", 408),
            ]);
            Wish::Request(request, status)
        }
    };
    let ending = match random.below(20) {
        0..9 => Ending::Stay,
        9..12 => Ending::Close(*random.pick(&[1000, 1001, 3000, 4000])),
        12 if matches!(wish, Wish::Room(_)) => Ending::Quit,
        12..14 => Ending::HangUp,
        14 => Ending::Reset,
        15 => Ending::Vanish,
        _ => Ending::Violate(random.below(VIOLATIONS.len())),
    };
    let pace = match random.below(20) {
        0..12 => Pace::Eager,
        12..15 => Pace::Slow,
        15..17 => Pace::Dribble,
        17 | 18 => Pace::Late(random.between(20, 14_000) as u64),
        _ => Pace::Never,
    };
    let mut client = Client::new(number, wish, ending, pace);
    client.name = random.chance(40).then(|| format!("guest{number}"));
    client.window = match pace {
        Pace::Slow => random.between(40, 400),
        Pace::Late(_) | Pace::Never => random.between(1, 1_000),
        Pace::Eager | Pace::Dribble => *random.pick(&[300, 4_000, 1 << 20]),
    };
    if !matches!(client.ending, Ending::Violate(_)) && random.chance(40) {
        client.compression =
            Some(random.chance(50).then(|| u8::try_from(random.between(8, 15)).expect("small")));
    }
    client.is_hasty = random.chance(30);
    client.next_at = random.below(40) as u64;
    client.messages_left = random.below(12);
    client.pause = if random.chance(20) { 3_000 } else { 6 };
    client
}

/// The beginning of a payload, on one line.
fn shown(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(48)]).escape_debug().to_string()
}
