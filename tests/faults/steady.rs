//! Honest clients that read slowly, but always: with the default options and the default buffers of the kernel.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::stage::{Figures, Gate, Stage};
use crate::support::attacker::{Attacker, Manner};
use crate::support::frames::{CLOSE, PING, PONG, TEXT, frame, next_frame};
use crate::support::raw::{PATIENCE, RawClient};

/// As long as that: several times each deadline.
const TIME: Duration = Duration::from_secs(120);
/// Bytes a second, one reader each.
const RATES: [(usize, &str); 4] = [
    (4_000, "4 KB/s: read"),
    (10_000, "10 KB/s: read"),
    (25_000, "25 KB/s: read"),
    (50_000, "50 KB/s: read"),
];
/// What the room says: four times what the fastest of them reads.
const SIZE: usize = 2_000;
const PAUSE: Duration = Duration::from_millis(10);
/// Between two reads.
const TICK: Duration = Duration::from_millis(100);

/// What became of a reader: how much it read, and how it ended if it did.
type Outcome = (usize, Option<(Duration, String)>);

/// They are there at the end, since they take what they can; one that takes nothing at all is cut by then.
pub(crate) fn readers() -> Figures {
    let stage = Stage::start(&[]);
    stage.watch.take();
    let is_over = AtomicBool::new(false);
    let silent = RawClient::upgrade(&stage.server, "/busy?name=silent&slow=skip");
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let readers = RATES.map(|(rate, _)| {
            let client = RawClient::upgrade(&stage.server, &format!("/busy?name=at{rate}&slow=skip"));
            let is_over = &is_over;
            scope.spawn(move || read(client, rate, is_over))
        });
        talk(&stage);
        is_over.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().expect("it reads")).collect()
    });
    let mut problems = Vec::new();
    let mut figures = Vec::new();
    for ((rate, name), (bytes, end)) in RATES.into_iter().zip(outcomes) {
        if let Some((after, how)) = end {
            problems.push(format!("who reads {rate} bytes a second is gone after {after:.0?}: {how}"));
        }
        figures.push((name, format!("{} KB in {} s", bytes / 1000, TIME.as_secs())));
    }
    let address = silent.local_address().to_string();
    let log = stage.server.log();
    match log.lines().find(|line| line.contains(&address) && line.contains("closed")) {
        Some(line) => figures
            .push(("who reads nothing", line.rsplit_once("127.0.0.1:").expect("an address").1.to_owned())),
        None => problems.push("who takes no byte is there still".to_owned()),
    }
    assert!(problems.is_empty(), "{}", problems.join("; "));
    drop(silent);
    stage.end(Gate::Slow, 10, figures)
}

/// Somebody says more than they can read.
fn talk(stage: &Stage) {
    let mut speaker = Attacker::connect(&stage.server, Manner::at("/busy?name=speaker"));
    let started = Instant::now();
    let text = frame(TEXT, &[b'x'; SIZE]);
    for number in 1.. {
        if started.elapsed() >= TIME {
            return;
        }
        speaker.send(&text, PATIENCE).expect("who speaks and reads stays");
        thread::sleep((PAUSE * number).saturating_sub(started.elapsed()));
    }
}

/// Reads so much a second, and answers pings when it comes to them.
fn read(mut client: RawClient, rate: usize, is_over: &AtomicBool) -> Outcome {
    let started = Instant::now();
    let mut stream = client.stream().try_clone().expect("a descriptor");
    stream.set_read_timeout(Some(TICK)).expect("the time is not zero");
    let mut buffer = vec![0; rate / 10];
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for tick in 1.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, Some((started.elapsed(), "the connection has ended".to_owned()))),
            Ok(length) => {
                bytes += length;
                kept.extend_from_slice(&buffer[..length]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return (bytes, Some((started.elapsed(), error.to_string()))),
        }
        let mut start = 0;
        while let Some((heard, length)) = next_frame(&kept[start..]) {
            match heard.first {
                PING => drop(client.try_send(&frame(PONG, &heard.payload))),
                CLOSE => return (bytes, Some((started.elapsed(), heard.close().1))),
                _ => {}
            }
            start += length;
        }
        kept.drain(..start);
        thread::sleep((TICK * tick).saturating_sub(started.elapsed()));
    }
    (bytes, None)
}
