//! The simulated network must not be kinder than the real one: the same conversations, once in memory and
//! once with the built binary on loopback, word for word.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::judge::{Heard, Judge};
use crate::speech::{self, VIOLATIONS};
use crate::support::random::Random;
use crate::support::raw::PATIENCE;
use crate::support::server::Wsloop;

/// Conversations, and what happens in each.
const CONVERSATIONS: u64 = 60;
const STEPS: usize = 40;

/// One who does what the script says, and notes what it hears.
trait Stage {
    /// Somebody connects.
    fn connect(&mut self);
    /// A client sends bytes.
    fn send(&mut self, client: usize, bytes: &[u8]);
    /// A client ends its direction.
    fn end(&mut self, client: usize);
    /// What a client has heard since; on a real network, at least so much is waited for.
    fn hear(&mut self, client: usize, awaited: usize) -> Vec<Heard>;
    /// Whether the server has hung up.
    fn is_over(&mut self, client: usize) -> bool;
}

impl Stage for Bench {
    fn connect(&mut self) {
        Bench::connect(self);
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        Bench::send(self, client, bytes);
    }

    fn end(&mut self, client: usize) {
        Bench::end(self, client);
    }

    fn hear(&mut self, client: usize, _: usize) -> Vec<Heard> {
        Bench::hear(self, client)
    }

    fn is_over(&mut self, client: usize) -> bool {
        self.is_shut(client) || self.is_dropped(client)
    }
}

/// Clients of a real server.
struct Loopback<'a> {
    server: &'a Wsloop,
    clients: Vec<(TcpStream, Judge)>,
}

impl Stage for Loopback<'_> {
    fn connect(&mut self) {
        let stream = TcpStream::connect(self.server.address()).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket takes it");
        self.clients.push((stream, Judge::default()));
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        self.clients[client].0.write_all(bytes).expect("the server takes the bytes");
    }

    fn end(&mut self, client: usize) {
        self.clients[client].0.shutdown(std::net::Shutdown::Write).expect("connected");
    }

    fn hear(&mut self, client: usize, awaited: usize) -> Vec<Heard> {
        let (stream, judge) = &mut self.clients[client];
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while heard.len() < awaited && Instant::now() < deadline {
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("not zero");
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => heard.extend(judge.hear(&buffer[..length])),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("client {client}: {error}"),
            }
        }
        heard
    }

    fn is_over(&mut self, client: usize) -> bool {
        let (stream, _) = &mut self.clients[client];
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("not zero");
        matches!(stream.read(&mut [0; 64]), Ok(0))
    }
}

/// What a script has done to a client, so that it is not asked for the impossible.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Talking,
    Done,
}

/// Plays a conversation on both stages at once.
fn play(seed: u64, bench: &mut Bench, loopback: &mut Loopback<'_>) {
    let mut random = Random::new(seed);
    let mut doing: Vec<Doing> = Vec::new();
    for step in 0..STEPS {
        let talking: Vec<usize> =
            (0..doing.len()).filter(|&client| doing[client] == Doing::Talking).collect();
        let is_new = talking.is_empty() || talking.len() < 6 && random.chance(25);
        let client = if is_new { doing.len() } else { *random.pick(&talking) };
        if is_new {
            doing.push(Doing::Talking);
            bench.connect();
            loopback.connect();
        }
        let stages: [&mut dyn Stage; 2] = [bench, loopback];
        if is_new {
            let (request, is_websocket) = request(&mut random, seed, client);
            stages.into_iter().for_each(|stage| stage.send(client, &request));
            doing[client] = if is_websocket { Doing::Talking } else { Doing::Done };
        } else {
            doing[client] = speak(&mut random, client, stages);
        }
        for other in 0..doing.len() {
            let wanted = bench.hear(other);
            let found = loopback.hear(other, wanted.len());
            let context = format!("conversation {seed}, step {step}, client {other}");
            assert_eq!(without_times(found), without_times(wanted), "{context}");
        }
    }
    for (client, doing) in doing.into_iter().enumerate() {
        if Stage::is_over(bench, client) {
            assert!(loopback.is_over(client), "conversation {seed}: the server hangs up on client {client}");
        } else if doing == Doing::Talking {
            // Nothing is left unheard.
            let ping = speech::frame(&mut random, 0x89, b"still there?");
            loopback.send(client, &ping);
            assert_eq!(loopback.hear(client, 1), [Heard::Pong(b"still there?".to_vec())], "{seed}");
        }
    }
}

fn request(random: &mut Random, seed: u64, client: usize) -> (Vec<u8>, bool) {
    let place = format!("p{seed}-{}", random.below(2));
    let compression = random.chance(30).then(|| random.chance(50).then_some(12));
    let target = match random.below(10) {
        0..5 => format!("/{place}?name=n{client}"),
        5 | 6 => format!("/broadcast/{place}"),
        7 => format!("/broadcast/{place}?self=0"),
        8 => "/echo".to_owned(),
        _ => {
            let (head, _) = *random.pick(&[
                ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
                ("GET /nothing/here HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
                ("GET /echo HTTP/1.1\nHost: localhost\n\n", 400),
                ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
                ("GET /echo HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
            ]);
            return (head.as_bytes().to_vec(), false);
        }
    };
    (speech::offer(&target, compression), true)
}

fn speak(random: &mut Random, client: usize, stages: [&mut dyn Stage; 2]) -> Doing {
    let bytes = match random.below(20) {
        0 => [&1000_u16.to_be_bytes(), b"bye".as_slice()].concat(),
        1 => VIOLATIONS[random.below(VIOLATIONS.len())].0.to_vec(),
        2 => {
            stages.into_iter().for_each(|stage| stage.end(client));
            return Doing::Done;
        }
        3 => speech::frame(random, 0x81, b"quit"),
        4 => speech::frame(random, 0x81, b""),
        number => {
            let message = speech::message(random, client, number, 60);
            speech::frames(random, &message, false, &mut Vec::new())
        }
    };
    let is_close = bytes.starts_with(&1000_u16.to_be_bytes());
    let is_violation = VIOLATIONS.iter().any(|(violation, _)| *violation == bytes);
    let bytes = if is_close { speech::frame(random, 0x88, &bytes) } else { bytes };
    stages.into_iter().for_each(|stage| stage.send(client, &bytes));
    // A word that ends it in a room is a message elsewhere; either way this client says no more.
    let is_quit = bytes.len() == 10 && bytes[0] == 0x81;
    if is_close || is_violation || is_quit { Doing::Done } else { Doing::Talking }
}

fn without_times(heard: Vec<Heard>) -> Vec<Heard> {
    let mut heard = heard;
    for one in &mut heard {
        if let Heard::Message(message) = one
            && message.payload.get(8) == Some(&b' ')
            && message.payload[2] == b':'
        {
            message.payload[..8].copy_from_slice(b"00:00:00");
        }
    }
    heard
}

#[test]
fn the_simulation_says_what_the_real_server_says() {
    let server = Wsloop::start(&[]);
    for seed in 0..CONVERSATIONS {
        let mut bench = Bench::new();
        let mut loopback = Loopback { server: &server, clients: Vec::new() };
        play(seed, &mut bench, &mut loopback);
    }
}
