//! Who is served when there is more to do than can be done: a room is flooded, and others want something.

use wsloop::server::{ServerLimits, Surface};

use super::peer::LIMITS;
use crate::support::frames::{BINARY, frame};
use crate::support::handshake::handshake;
use crate::support::memory::{MemoryClient, MemoryServer, Wire};

const MEMBERS: usize = 10_000;
/// The same wherever many are flooded: turns until a newcomer has its answer, and a ping its pong.
const TURNS_MAX: usize = 10;

struct Crowd {
    server: MemoryServer,
    /// By token.
    clients: Vec<MemoryClient>,
}

impl Crowd {
    fn gather(members: usize, path: &str) -> Crowd {
        let limits = ServerLimits { clients_max: members + 10, ..LIMITS };
        let mut crowd = Crowd { server: MemoryServer::new(limits), clients: Vec::new() };
        for _ in 0..members {
            crowd.join(path);
        }
        while crowd.server.server.has_work() {
            crowd.turn();
        }
        for client in &crowd.clients {
            let mut wire = client.wire.borrow_mut();
            assert!(wire.taken.starts_with(b"HTTP/1.1 101"));
            (wire.forgets, wire.taken, wire.taken_count) = (true, Vec::new(), 0);
        }
        crowd
    }

    /// Each takes some milliseconds.
    fn turn(&mut self) {
        self.server.time += 4;
        self.server.turn();
    }

    /// Connects somebody, who is greeted in some later turn.
    fn join(&mut self, path: &str) -> usize {
        let address = "192.0.2.7:4242".parse().expect("an address");
        let client =
            self.server.connect(address, Surface::Everything, Wire::default()).expect("there is room");
        let token = client.token;
        assert_eq!(token, self.clients.len(), "nobody has left");
        self.clients.push(client);
        self.send(token, handshake(path, &[]).as_bytes());
        token
    }

    fn send(&mut self, token: usize, bytes: &[u8]) {
        self.server.send(&self.clients[token], bytes);
    }

    fn taken_count(&self, token: usize) -> usize {
        self.clients[token].wire.borrow().taken_count
    }

    fn unread(&self, token: usize) -> usize {
        self.clients[token].wire.borrow().arrived.len()
    }

    /// Lets some senders always have more to say, does a turn, and returns what it handed out.
    fn flooded_turn(&mut self, senders: usize, message: &[u8]) -> usize {
        const ENOUGH: usize = 128 * 1024;
        for token in 0..senders {
            while self.unread(token) < ENOUGH {
                self.send(token, message);
            }
        }
        let count =
            |crowd: &Crowd| (0..crowd.clients.len()).map(|token| crowd.taken_count(token)).sum::<usize>();
        let before = count(self);
        self.turn();
        count(self) - before
    }
}

fn binary(length: usize) -> Vec<u8> {
    frame(BINARY, &vec![b'x'; length])
}

#[test]
fn newcomers_and_pings_do_not_wait_for_a_flood() {
    let mut crowd = Crowd::gather(MEMBERS, "/broadcast/big");
    for senders in [1, 100] {
        let message = binary(200);
        // The flood is at its height.
        (0..30).for_each(|_| assert!(crowd.flooded_turn(senders, &message) > 0));
        let newcomer = crowd.join("/echo");
        let pinger = MEMBERS - 1;
        crowd.clients[pinger].wire.borrow_mut().forgets = false;
        crowd.send(pinger, b"\x89\x84\0\0\0\0ping");
        let turns = (1..).find(|_| {
            crowd.flooded_turn(senders, &message);
            let pong = crowd.clients[pinger].wire.borrow().taken.windows(6).any(|six| six == b"\x8A\x04ping");
            pong && crowd.clients[newcomer].wire.borrow().taken.starts_with(b"HTTP/1.1 101")
        });
        assert!(turns.is_some_and(|turns| turns <= TURNS_MAX), "{turns:?} turns with {senders} senders");
        crowd.clients[pinger].wire.borrow_mut().forgets = true;
    }
}

#[test]
fn a_turn_in_a_flooded_room_stays_short_and_everybody_gets_on() {
    const SENDERS: usize = 20;
    for members in [1000, MEMBERS] {
        let mut crowd = Crowd::gather(members, "/broadcast/big");
        let message = binary(200);
        (0..30).for_each(|_| assert!(crowd.flooded_turn(SENDERS, &message) > 0));
        let left: Vec<usize> = (0..SENDERS).map(|sender| crowd.unread(sender)).collect();
        let mut served = [false; SENDERS];
        for _ in 0..SENDERS * 3 {
            let copied = crowd.flooded_turn(SENDERS, &message);
            // A batch that is worth its system calls, or what fits a turn, and one read more.
            let most = (16 << 20).max(members * 8192) + (16 << 20);
            assert!(copied <= most, "{copied} bytes in a turn for {members} receivers, {most} at most");
            assert!(copied >= most / 8, "{copied} bytes in a turn: the flood gets on");
            for (sender, was_served) in served.iter_mut().enumerate() {
                *was_served |= crowd.unread(sender) != left[sender];
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
    let begun = binary(60_000);
    (1..QUIET).for_each(|token| crowd.send(token, &begun[..DRIP]));
    (0..4).for_each(|_| crowd.turn());
    crowd.send(0, &binary(200));
    crowd.turn();
    let mut silent_turns = 0;
    for _ in 0..60 {
        (1..QUIET).for_each(|token| crowd.send(token, &[b'x'; DRIP]));
        crowd.send(0, &binary(200));
        let before = crowd.taken_count(1);
        crowd.turn();
        let was_heard = crowd.taken_count(1) > before;
        silent_turns = if was_heard { 0 } else { silent_turns + 1 };
        assert!(silent_turns < TURNS_MAX, "nothing is said any more");
    }
}

#[test]
fn messages_of_quiet_ones_do_not_keep_others_from_talking() {
    const TALKER: usize = 9000;
    let mut crowd = Crowd::gather(MEMBERS, "/broadcast/big");
    let message = binary(4000);
    crowd.send(TALKER, &message);
    (0..4).for_each(|_| crowd.turn());
    crowd.send(TALKER, &message.repeat(20));
    for turn in 0..20 {
        // Some that have said nothing yet; together they make a batch worthwhile.
        (turn * 100..turn * 100 + 100).for_each(|token| crowd.send(token, &binary(100)));
        // Who has been heard all the while hears the talker's messages, which are larger than all others together.
        let before = crowd.taken_count(MEMBERS - 1);
        crowd.turn();
        let heard = crowd.taken_count(MEMBERS - 1) - before;
        assert!(heard >= 4000, "turn {turn}: {heard} bytes");
    }
}
