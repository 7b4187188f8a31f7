//! Well-behaved clients who talk all the while: nothing may be lost, doubled or out of order for them, and
//! how long each message takes is measured, beside the same on a server that nobody disturbs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::client::without_time;
use super::cost::Cost;
use super::raw::{PING, PONG, RawClient, TEXT, frame};
use super::server::{Wsloop, wait_until};

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a witness waits for a message: who is stopped for a while may take long.
const PATIENCE: Duration = Duration::from_secs(200);

/// Under a flood, in microseconds. The development profile is several times slower.
const FLOOD_MEDIAN_MAX: u64 = if cfg!(debug_assertions) { 30_000 } else { 10_000 };
const FLOOD_MAX: u64 = if cfg!(debug_assertions) { 200_000 } else { 100_000 };

/// Below this, in microseconds, a p99 is the scheduler's as much as the server's.
const NOISE: u64 = 10_000;

/// A figure of a machine that is busy with something else may be so many times that of the control beside it.
const CONTROL_RATIO: u64 = 3;

/// Pairs of witnesses, one on a topic and one in a room.
pub struct Witnesses {
    is_over: Arc<AtomicBool>,
    times: Arc<Mutex<Histogram<u64>>>,
    /// Messages of each pair so far.
    said: [Arc<AtomicU64>; 2],
    pairs: Vec<JoinHandle<(u64, [RawClient; 2])>>,
}

/// What pairs have said: each message was heard by both, once and in order. They stay until this is dropped.
pub struct Testimony {
    /// On the topic, and in the room.
    pub said: [u64; 2],
    _clients: Vec<[RawClient; 2]>,
}

/// How messages of witnesses fared, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub messages: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// Witnesses on a server, and in the same time on another one that has nothing else to do: what a busy machine does
/// to messages, it does to both.
pub struct Watch {
    subject: Witnesses,
    control: Witnesses,
    _idle: Wsloop,
}

/// Both figures of one time.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    pub subject: Figures,
    pub control: Figures,
}

impl Watch {
    /// Starts witnesses on a server, and on an idle one.
    pub fn start(server: &Wsloop) -> Watch {
        let idle = Wsloop::start(&[]);
        let control = Witnesses::start(idle.address());
        Watch { subject: Witnesses::start(server.address()), control, _idle: idle }
    }

    /// Waits until all of them have talked for a moment.
    pub fn settle(&self) {
        let enough = |witnesses: &Witnesses| witnesses.said_so_far().iter().all(|said| *said > 20);
        wait_until("the witnesses talk", PATIENCE, || enough(&self.subject) && enough(&self.control));
    }

    /// The figures since the last call.
    pub fn take(&self) -> Watched {
        Watched { subject: self.subject.take(), control: self.control.take() }
    }

    /// Lets them talk for a while, and says how they fared.
    pub fn observe(&self, time: Duration) -> Watched {
        self.take();
        thread::sleep(time);
        self.take()
    }

    /// Messages of each pair of the subject's so far.
    pub fn said_so_far(&self) -> [u64; 2] {
        self.subject.said_so_far()
    }

    /// Ends them; anything but each message once and in order is a panic.
    pub fn finish(self) -> Testimony {
        self.control.finish();
        self.subject.finish()
    }

    /// Starts witnesses on another server in the place of the subject's, with the same control.
    pub fn turn_to(&mut self, server: &Wsloop) -> Testimony {
        let before = std::mem::replace(&mut self.subject, Witnesses::start(server.address()));
        self.control.take();
        before.finish()
    }
}

impl Watched {
    /// What is wrong with latencies under a flood: the median and the maximum have limits, for a server that had a
    /// processor when it needed one.
    pub fn under_a_flood(&self, cost: &Cost) -> Vec<String> {
        let Watched { subject, control } = self;
        [
            ("median", subject.p50, FLOOD_MEDIAN_MAX, control.p50),
            ("maximum", subject.max, FLOOD_MAX, control.max),
        ]
        .into_iter()
        .filter_map(|(name, found, most, control)| {
            too_slow(name, found, stretched(most, cost).max(CONTROL_RATIO * control), control)
        })
        .collect()
    }

    /// What is wrong with latencies beside slow or silent clients: they are as without them.
    pub fn beside_slow_ones(&self, idle: &Watched, cost: &Cost) -> Vec<String> {
        let before = (CONTROL_RATIO * idle.subject.p99).max(NOISE);
        let most = stretched(before, cost).max(CONTROL_RATIO * self.control.p99);
        too_slow("p99", self.subject.p99, most, self.control.p99).into_iter().collect()
    }
}

fn stretched(microseconds: u64, cost: &Cost) -> u64 {
    let time = Duration::from_micros(microseconds).mul_f64(cost.stretch());
    u64::try_from(time.as_micros()).expect("not for ever")
}

fn too_slow(name: &str, found: u64, most: u64, control: u64) -> Option<String> {
    let [found_ms, most, control] = [found, most, control].map(|time| time as f64 / 1000.0);
    let text = format!(
        "witnesses' {name} is {found_ms:.1} ms, at most {most:.1} (beside it, undisturbed: {control:.1})"
    );
    (found_ms > most).then_some(text)
}

impl Witnesses {
    /// Starts pairs that connect at an address.
    pub fn start(address: SocketAddr) -> Witnesses {
        let is_over = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::new(Histogram::new(3).expect("three digits")));
        let said = [Arc::default(), Arc::default()];
        let paths = ["/broadcast/witness", "/witness?name=witness"];
        let start = |(path, said): (&str, &Arc<AtomicU64>)| {
            let pair = [RawClient::upgrade_at(address, path), RawClient::upgrade_at(address, path)];
            let (is_over, times, said) = (Arc::clone(&is_over), Arc::clone(&times), Arc::clone(said));
            thread::spawn(move || talk(pair, &is_over, &times, &said))
        };
        let pairs = paths.into_iter().zip(&said).map(start).collect();
        Witnesses { is_over, times, said, pairs }
    }

    /// The figures since the last call, with those of the messages that are on their way now.
    pub fn take(&self) -> Figures {
        for ((pair, said), before) in self.pairs.iter().zip(&self.said).zip(self.said_so_far()) {
            let deadline = Instant::now() + PATIENCE;
            while said.load(Ordering::Relaxed) == before && !pair.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let mut times = self.times.lock().expect("a witness has failed");
        let figures = Figures {
            messages: times.len(),
            p50: times.value_at_quantile(0.5),
            p99: times.value_at_quantile(0.99),
            max: times.max(),
        };
        times.reset();
        figures
    }

    /// Messages of each pair so far.
    pub fn said_so_far(&self) -> [u64; 2] {
        self.said.each_ref().map(|said| said.load(Ordering::Relaxed))
    }

    /// Ends them; anything but each message once and in order is a panic.
    pub fn finish(self) -> Testimony {
        self.is_over.store(true, Ordering::Relaxed);
        let (said, clients): (Vec<u64>, Vec<_>) =
            self.pairs.into_iter().map(|pair| pair.join().expect("a witness missed something")).unzip();
        Testimony { said: said.try_into().expect("two pairs"), _clients: clients }
    }
}

/// Says one number after the other and hears each at both ends, once and in order.
fn talk(
    [mut speaker, mut listener]: [RawClient; 2],
    is_over: &AtomicBool,
    times: &Mutex<Histogram<u64>>,
    count: &AtomicU64,
) -> (u64, [RawClient; 2]) {
    let mut said = 0;
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        speaker.send(&frame(TEXT, said.to_string().as_bytes()));
        for client in [&mut listener, &mut speaker] {
            assert_eq!(hear(client), said.to_string());
        }
        let took = u64::try_from(started.elapsed().as_micros()).expect("not for ever");
        times.lock().expect("no panic").record(took.max(1)).expect("it grows");
        said += 1;
        count.store(said, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
    (said, [speaker, listener])
}

/// The next text that somebody said; pings are answered, joins and leaves passed over.
fn hear(client: &mut RawClient) -> String {
    loop {
        let frame_heard = client.next_frame(PATIENCE).expect("witnesses are not closed");
        match frame_heard.first {
            PING => client.send(&frame(PONG, &frame_heard.payload)),
            TEXT => {
                let text = frame_heard.text();
                if !text.starts_with("Welcome ") {
                    let text = if text.contains(' ') { without_time(text) } else { text };
                    return text.strip_prefix("witness say: ").unwrap_or(text).to_owned();
                }
            }
            other => panic!("{other:#x}: {frame_heard:?}"),
        }
    }
}
