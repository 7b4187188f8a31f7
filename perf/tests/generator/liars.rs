//! Every scenario against servers that lie in every way that somebody thought of: each has to be found out, by
//! name, and nothing of it may be called verified.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::{Floor, run};

/// Runs at the same time: most of the time they wait.
const AT_ONCE: usize = 4;
/// Places in a payload of the load: a digit of the mark, of sender, number and time, and a letter behind them.
const MARK: usize = 1;
const SENDER: usize = 11;
const NUMBER: usize = 19;
const TIME: usize = 30;
const LETTER: usize = 60;

/// What a server does besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Nothing,
    /// The handshake is not answered, or only half of the answer comes.
    NoAnswer,
    HalfAnswer,
    /// No frame comes: to nobody, to every second client, to one of them.
    Silent,
    SilentToHalf,
    SilentToOne,
    /// Frames come to all, and then no more.
    FirstOnly,
    /// What comes last does not come.
    LoseLast,
    /// One frame to one client.
    LoseOne,
    Double,
    Swap,
    Change(usize),
    Opcode,
    Longer,
    Shorter,
    Close,
    HangUp,
    /// What one client sent goes back to another, and the other way round.
    Cross,
}

/// A scenario: the floor that serves it, and where a lie strikes.
#[derive(Clone, Copy)]
struct Case {
    mode: &'static str,
    arguments: &'static [&'static str],
    /// The client that something is done to, counted as they come.
    client: usize,
    /// And to which of its frames; from then on where it is done to all.
    frame: usize,
    /// What of each client is the last frame, where that is known; else what comes after this time is.
    last: Result<usize, Duration>,
}

const FANOUT: Case = Case {
    mode: "direct",
    arguments: &["fanout", "--clients", "5", "--in-flight", "4", "--seconds", "0.3"],
    client: 2,
    frame: 9,
    last: Err(Duration::from_millis(180)),
};
const WIDE: Case = Case {
    mode: "batch",
    arguments: &["wide", "--clients", "6", "--senders", "2", "--in-flight", "2", "--seconds", "0.3"],
    ..FANOUT
};
const ECHO: Case = Case {
    mode: "echo",
    arguments: &["echo", "--clients", "4", "--in-flight", "4", "--seconds", "0.3"],
    ..FANOUT
};
const LATENCY: Case = Case {
    arguments: &["latency", "--clients", "5", "--rate", "20", "--seconds", "0.5"],
    last: Ok(29),
    ..FANOUT
};
const STALLED: Case = Case {
    arguments: &["stalled", "--clients", "12", "--rate", "50", "--seconds", "0.4", "--size", "64"],
    last: Ok(19),
    ..FANOUT
};
/// One frame a client: its pong.
const IDLE: Case =
    Case { arguments: &["idle", "--clients", "5", "--seconds", "0.1"], frame: 0, last: Ok(0), ..FANOUT };
/// One frame a client: its word.
const CHURN: Case = Case {
    mode: "echo",
    arguments: &["churn", "--clients", "4", "--seconds", "0.3"],
    client: 6,
    frame: 0,
    last: Err(Duration::from_millis(150)),
};

const LOST: &[&str] = &["they are lost", "nothing comes any more"];
const CHANGED: &[&str] =
    &["nobody said", "were changed", "another client's", "lost before", "again", "not those of its ping"];
const GONE: &[&str] = &["lost the server", "hung up", "the server closed"];
const UNANSWERED: &[&str] =
    &["the answer to the handshake", "no answer to the handshake", "is at AwaitsAnswer"];

/// Lies that are counted, and found without looking at bytes.
const OF_COUNTS: [(Lie, &[&str]); 14] = [
    (Lie::Nothing, &[]),
    (Lie::NoAnswer, UNANSWERED),
    (Lie::HalfAnswer, UNANSWERED),
    (Lie::Silent, LOST),
    (Lie::SilentToHalf, LOST),
    (Lie::SilentToOne, LOST),
    (Lie::FirstOnly, LOST),
    (Lie::LoseLast, LOST),
    (Lie::LoseOne, LOST),
    (Lie::Double, &["but only", "again, or out of order", "2 times"]),
    (
        Lie::Opcode,
        &["they are lost", "heard as text", "another opcode", "nobody said", "nothing comes any more"],
    ),
    (Lie::Longer, &["nobody said", "heard 65", "not those of its ping"]),
    (Lie::Shorter, &["nobody said", "heard 63", "not those of its ping"]),
    (Lie::Close, GONE),
];
const OF_BYTES: [(Lie, &[&str]); 8] = [
    (Lie::HangUp, GONE),
    (Lie::Swap, &["lost before number", "out of order"]),
    (Lie::Change(MARK), CHANGED),
    (Lie::Change(SENDER), &["nobody said", "another client's", "lost before", "is at AwaitsEcho"]),
    (Lie::Change(NUMBER), CHANGED),
    (Lie::Change(TIME), CHANGED),
    (Lie::Change(LETTER), &["were changed"]),
    (Lie::Cross, &["another client's"]),
];

#[test]
fn liars_in_a_fanout() {
    check(FANOUT, &[Lie::Cross]);
}

#[test]
fn liars_in_a_wide_fanout() {
    check(WIDE, &[Lie::Cross]);
}

#[test]
fn liars_that_echo() {
    check(ECHO, &[]);
}

#[test]
fn liars_by_schedule() {
    check(LATENCY, &[Lie::Cross]);
}

#[test]
fn liars_with_stalled_readers() {
    check(STALLED, &[Lie::Cross]);
}

#[test]
fn liars_to_idle_clients() {
    // A pong has eight bytes, and there is one.
    let none = [Lie::Swap, Lie::Cross];
    let outside = [SENDER, NUMBER, TIME, LETTER].map(Lie::Change);
    check(IDLE, &[&none[..], &outside].concat());
}

#[test]
fn liars_to_visitors() {
    check(CHURN, &[Lie::Swap, Lie::Cross]);
}

/// Each lie but those that have no meaning here, those of counts without a look at bytes as well.
fn check(case: Case, meaningless: &[Lie]) {
    let with = OF_COUNTS.iter().chain(&OF_BYTES).map(|(lie, wanted)| (*lie, *wanted, true));
    let without = OF_COUNTS.iter().map(|(lie, wanted)| (*lie, *wanted, false));
    let all: Vec<_> = with.chain(without).filter(|(lie, ..)| !meaningless.contains(lie)).collect();
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(lie, wanted, verify)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = check_one(case, lie, wanted, verify);
                    complaints.lock().expect("nobody panics").extend(result.err());
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("nobody panics");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn check_one(case: Case, lie: Lie, wanted: &[&str], verify: bool) -> Result<(), String> {
    // An honest server may be slow.
    let patiences: &[&str] = if lie == Lie::Nothing { &["60"] } else { &["1", "5", "20"] };
    let mut all = String::new();
    for patience in patiences {
        let floor = Floor::start(case.mode);
        let more: &[&str] =
            if verify { &["--patience", patience, "--verify"] } else { &["--patience", patience] };
        let output = run(lying(floor.1, case, lie), &[case.arguments, more].concat());
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        all = format!("{}, {lie:?}, verify {verify}, {wanted:?}: {said}", case.arguments[0]);
        let one: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let problems = one["problems"].as_array().map_or(0, Vec::len);
        if lie == Lie::Nothing {
            let is_right = output.status.success() && problems == 0 && one["verified"] == verify;
            return if is_right { Ok(()) } else { Err(all) };
        }
        if output.status.success() || one["verified"] == true || !(one.is_null() || problems > 0) {
            return Err(all);
        }
        if wanted.iter().any(|words| said.contains(words)) {
            return Ok(());
        }
        // Some other failure: a machine that is busy lies too, by being late. With more patience it does not.
    }
    Err(all)
}

/// Stands before a server and lies.
struct Liar {
    case: Case,
    lie: Lie,
    /// When the first frame came.
    began: OnceLock<Instant>,
    /// The first two clients, to cross them.
    pair: [OnceLock<TcpStream>; 2],
}

fn lying(server: SocketAddr, case: Case, lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let liar = Arc::new(Liar { case, lie, began: OnceLock::new(), pair: Default::default() });
    thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            // The load may have gone meanwhile, and the floor with it.
            let Ok(server) = TcpStream::connect(server) else { return };
            let copies = [client.try_clone(), server.try_clone(), client.try_clone()];
            let [Ok(mut from), Ok(mut to), Ok(copy)] = copies else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            if let Some(place) = liar.pair.get(number) {
                let _ = place.set(copy);
            }
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                to.shutdown(Shutdown::Write)
            });
            let liar = Arc::clone(&liar);
            thread::spawn(move || {
                let _ = liar.relay(number, &server, &client);
                client.shutdown(Shutdown::Both)
            });
        }
    });
    address
}

impl Liar {
    fn relay(&self, client: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let is_late_visit = self.case.frame == 0 && client >= self.case.client;
        match self.lie {
            Lie::NoAnswer => head.clear(),
            Lie::HalfAnswer => head.truncate(40),
            _ => {}
        }
        to.write_all(&head)?;
        let mut held = Vec::new();
        for number in 0.. {
            let frame = read_frame(from)?;
            let is_late = self.is_late(number);
            let is_struck = client == self.case.client && number == self.case.frame;
            let out = match self.lie {
                Lie::NoAnswer | Lie::HalfAnswer | Lie::Silent => continue,
                Lie::SilentToHalf if client % 2 == 1 => continue,
                Lie::SilentToOne if client == self.case.client => continue,
                Lie::FirstOnly if number > self.case.frame || is_late_visit => continue,
                Lie::LoseLast if is_late => continue,
                Lie::Cross if client < 2 => {
                    let other = self.pair[1 - client].get();
                    other.map_or(Ok(()), |mut other| other.write_all(&frame))?;
                    continue;
                }
                _ if !is_struck => frame,
                Lie::LoseOne => continue,
                Lie::Double => [frame.as_slice(), &frame].concat(),
                Lie::Swap => {
                    held = frame;
                    continue;
                }
                Lie::Change(place) => change(frame, |frame| frame[2 + place] ^= 1),
                // Text for binary, and a ping for a pong.
                Lie::Opcode => change(frame, |frame| frame[0] ^= 3),
                Lie::Longer => change(frame, |frame| {
                    frame[1] += 1;
                    frame.push(b'x');
                }),
                Lie::Shorter => change(frame, |frame| {
                    frame[1] -= 1;
                    frame.pop();
                }),
                Lie::Close => vec![0x88, 2, 0x03, 0xE8],
                Lie::HangUp => return Ok(()),
                _ => frame,
            };
            to.write_all(&out)?;
            to.write_all(&std::mem::take(&mut held))?;
        }
        Ok(())
    }

    fn is_late(&self, number: usize) -> bool {
        let began = self.began.get_or_init(Instant::now);
        self.case.last.map_or_else(|late| began.elapsed() > late, |last| number >= last)
    }
}

fn change(mut frame: Vec<u8>, how: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    how(&mut frame);
    frame
}

/// A frame of the floor's, all of which are short here.
fn read_frame(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame)?;
    assert!(frame[1] < 126, "a short frame");
    frame.resize(2 + usize::from(frame[1]), 0);
    from.read_exact(&mut frame[2..])?;
    Ok(frame)
}
