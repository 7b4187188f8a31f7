//! Well-behaved clients who talk all the while: nothing may be lost, doubled or out of order for them, and
//! how long each message takes is measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::support::client::without_time;
use crate::support::raw::{PATIENCE, PING, PONG, RawClient, TEXT, frame};

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(5);

/// Pairs of witnesses, one on a topic and one in a room.
pub(crate) struct Witnesses {
    is_over: Arc<AtomicBool>,
    times: Arc<Mutex<Histogram<u64>>>,
    pairs: Vec<JoinHandle<u64>>,
}

/// How messages of witnesses fared, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) messages: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Witnesses {
    /// Starts pairs that connect at an address.
    pub(crate) fn start(address: SocketAddr) -> Witnesses {
        let is_over = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::new(Histogram::new(3).expect("three digits")));
        let pairs = ["/broadcast/witness", "/witness?name=witness"].map(|path| {
            let pair = [RawClient::upgrade_at(address, path), RawClient::upgrade_at(address, path)];
            let (is_over, times) = (Arc::clone(&is_over), Arc::clone(&times));
            thread::spawn(move || talk(pair, &is_over, &times))
        });
        Witnesses { is_over, times, pairs: pairs.into() }
    }

    /// The figures since the last call.
    pub(crate) fn take(&self) -> Figures {
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

    /// Lets them talk for a while, and says how they fared.
    pub(crate) fn observe(&self, time: Duration) -> Figures {
        self.take();
        thread::sleep(time);
        self.take()
    }

    /// Ends them; returns how many messages came as they should. Anything else is a panic.
    pub(crate) fn finish(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.pairs.into_iter().map(|pair| pair.join().expect("a witness missed something")).sum()
    }
}

/// Says one number after the other and hears each at both ends, once and in order.
fn talk(
    [mut speaker, mut listener]: [RawClient; 2],
    is_over: &AtomicBool,
    times: &Mutex<Histogram<u64>>,
) -> u64 {
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
        thread::sleep(PAUSE);
    }
    said
}

/// The next text that somebody said; pings are answered, joins and leaves passed over.
fn hear(client: &mut RawClient) -> String {
    loop {
        // Who is stopped for a while may take long.
        let frame_heard = client.next_frame(PATIENCE * 20).expect("witnesses are not closed");
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
