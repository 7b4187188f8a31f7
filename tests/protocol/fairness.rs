//! Who is served when there is more to do than can be done: a room is flooded, and others want something.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wsloop::clock::Now;
use wsloop::server::{Readiness, Server, ServerLimits, Surface};

use super::HANDSHAKE;
use super::peer::{LIMITS, MemoryStream, Wire, new_server, now};

const READABLE: Readiness = Readiness { is_readable: true, is_writable: false, is_read_closed: false };
const MEMBERS: usize = 10_000;
/// The same wherever many are flooded: turns until a newcomer has its answer, and a ping its pong.
const TURNS_MAX: usize = 10;

struct Crowd {
    server: Server<MemoryStream>,
    wires: Vec<Rc<RefCell<Wire>>>,
    /// Turns so far: each takes some milliseconds.
    turns: u64,
}

impl Crowd {
    fn gather(members: usize, path: &str) -> Crowd {
        let limits = ServerLimits { clients_max: members + 10, ..LIMITS };
        let mut crowd = Crowd { server: new_server(limits), wires: Vec::new(), turns: 0 };
        for _ in 0..members {
            crowd.join(path);
        }
        while crowd.server.has_work() {
            crowd.turn();
        }
        assert!(crowd.wires.iter().all(|wire| wire.borrow().taken.starts_with(b"HTTP/1.1 101")));
        for wire in &crowd.wires {
            let mut wire = wire.borrow_mut();
            (wire.forgets, wire.taken, wire.taken_count) = (true, Vec::new(), 0);
        }
        crowd
    }

    fn turn(&mut self) {
        self.turns += 1;
        let start = now();
        self.server.turn(Now { time: start.time + Duration::from_millis(self.turns * 4), ..start });
    }

    /// Connects somebody, who is greeted in some later turn.
    fn join(&mut self, path: &str) -> usize {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let token = self.server.next_token();
        assert_eq!(token, self.wires.len(), "nobody has left");
        let address = "192.0.2.7:4242".parse().expect("an address");
        assert!(
            self.server.accept(now(), MemoryStream(Rc::clone(&wire)), address, Surface::Everything),
            "there is room"
        );
        self.wires.push(wire);
        self.send(token, HANDSHAKE.replace("/echo", path).as_bytes());
        token
    }

    fn send(&mut self, token: usize, bytes: &[u8]) {
        self.wires[token].borrow_mut().arrived.extend(bytes);
        self.server.handle_ready(token, READABLE);
    }

    /// Lets some senders always have more to say, does a turn, and returns what it handed out.
    fn flooded_turn(&mut self, senders: usize, message: &[u8]) -> usize {
        const ENOUGH: usize = 128 * 1024;
        for token in 0..senders {
            while self.wires[token].borrow().arrived.len() < ENOUGH {
                self.send(token, message);
            }
        }
        let count = |crowd: &Crowd| crowd.wires.iter().map(|wire| wire.borrow().taken_count).sum::<usize>();
        let before = count(self);
        self.turn();
        count(self) - before
    }
}

fn frame(first: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(length @ 0..126) = u8::try_from(length) {
        frame.push(0x80 | length);
    } else {
        frame.push(0x80 | 126);
        frame.extend(u16::try_from(length).expect("small").to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.resize(frame.len() + length, b'x');
    frame
}

#[test]
fn newcomers_and_pings_do_not_wait_for_a_flood() {
    let mut crowd = Crowd::gather(MEMBERS, "/broadcast/big");
    for senders in [1, 100] {
        let message = frame(0x82, 200);
        // The flood is at its height.
        (0..30).for_each(|_| assert!(crowd.flooded_turn(senders, &message) > 0));
        let newcomer = crowd.join("/echo");
        let pinger = MEMBERS - 1;
        crowd.wires[pinger].borrow_mut().forgets = false;
        crowd.send(pinger, b"\x89\x84\0\0\0\0ping");
        let turns = (1..).find(|_| {
            crowd.flooded_turn(senders, &message);
            let pong = crowd.wires[pinger].borrow().taken.windows(6).any(|six| six == b"\x8A\x04ping");
            pong && crowd.wires[newcomer].borrow().taken.starts_with(b"HTTP/1.1 101")
        });
        assert!(turns.is_some_and(|turns| turns <= TURNS_MAX), "{turns:?} turns with {senders} senders");
        crowd.wires[pinger].borrow_mut().forgets = true;
    }
}

#[test]
fn a_turn_in_a_flooded_room_stays_short_and_everybody_gets_on() {
    const SENDERS: usize = 20;
    for members in [1000, MEMBERS] {
        let mut crowd = Crowd::gather(members, "/broadcast/big");
        let message = frame(0x82, 200);
        (0..30).for_each(|_| assert!(crowd.flooded_turn(SENDERS, &message) > 0));
        let left: Vec<usize> =
            crowd.wires[..SENDERS].iter().map(|wire| wire.borrow().arrived.len()).collect();
        let mut served = [false; SENDERS];
        for _ in 0..SENDERS * 3 {
            let copied = crowd.flooded_turn(SENDERS, &message);
            // A batch that is worth its system calls, or what fits a turn, and one read more.
            let most = (16 << 20).max(members * 8192) + (16 << 20);
            assert!(copied <= most, "{copied} bytes in a turn for {members} receivers, {most} at most");
            assert!(copied >= most / 8, "{copied} bytes in a turn: the flood gets on");
            for (sender, was_served) in served.iter_mut().enumerate() {
                *was_served |= crowd.wires[sender].borrow().arrived.len() != left[sender];
            }
        }
        assert!(served.iter().all(|&was_served| was_served), "{served:?}");
    }
}

#[test]
fn a_crowd_of_quiet_ones_does_not_keep_others_from_talking() {
    const QUIET: usize = 3000;
    const DRIP: usize = 100;
    let mut crowd = Crowd::gather(QUIET, "/broadcast/big");
    // Each turn brings more than a turn reads, and nobody of them ever ends its message.
    let begun = frame(0x82, 60_000);
    (1..QUIET).for_each(|token| crowd.send(token, &begun[..DRIP]));
    (0..4).for_each(|_| crowd.turn());
    crowd.send(0, &frame(0x82, 200));
    crowd.turn();
    let mut silent_turns = 0;
    for _ in 0..60 {
        (1..QUIET).for_each(|token| crowd.send(token, &[b'x'; DRIP]));
        crowd.send(0, &frame(0x82, 200));
        let before = crowd.wires[1].borrow().taken_count;
        crowd.turn();
        let was_heard = crowd.wires[1].borrow().taken_count > before;
        silent_turns = if was_heard { 0 } else { silent_turns + 1 };
        assert!(silent_turns < TURNS_MAX, "nothing is said any more");
    }
}

#[test]
fn messages_of_quiet_ones_do_not_keep_others_from_talking() {
    const TALKER: usize = 9000;
    let mut crowd = Crowd::gather(MEMBERS, "/broadcast/big");
    let message = frame(0x82, 4000);
    crowd.send(TALKER, &message);
    (0..4).for_each(|_| crowd.turn());
    crowd.send(TALKER, &message.repeat(20));
    for turn in 0..20 {
        // Some that have said nothing yet; together they make a batch worthwhile.
        (turn * 100..turn * 100 + 100).for_each(|token| crowd.send(token, &frame(0x82, 100)));
        // Who has been heard all the while hears the talker's messages, which are larger than all others together.
        let before = crowd.wires[MEMBERS - 1].borrow().taken_count;
        crowd.turn();
        let heard = crowd.wires[MEMBERS - 1].borrow().taken_count - before;
        assert!(heard >= 4000, "turn {turn}: {heard} bytes");
    }
}
