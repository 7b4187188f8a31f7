//! A proxy that does to bytes what networks do: it splits them, delays them, holds them, cuts them off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::random::Random;

/// What happens to the bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chaos {
    /// Pieces of one to so many bytes.
    pub(crate) piece_max: usize,
    /// Between two pieces, at most.
    pub(crate) delay_max: Duration,
    /// The connection is reset when so many bytes have passed in one direction.
    pub(crate) reset_after: Option<u64>,
}

impl Chaos {
    /// Nothing happens.
    pub(crate) const NONE: Chaos =
        Chaos { piece_max: usize::MAX, delay_max: Duration::ZERO, reset_after: None };
}

/// A proxy in front of a server. Ends with its connections when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    chaos: Chaos,
    is_holding: AtomicBool,
    is_over: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(server: SocketAddr, chaos: Chaos) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            server,
            chaos,
            is_holding: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let proxy = Proxy { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming()) {
                if shared.is_over.load(Ordering::Relaxed) {
                    return;
                }
                client.into_iter().for_each(|client| connect(&shared, &client, number));
            }
        });
        proxy
    }

    /// Nothing passes in either direction: the link is down, or the clients are stopped.
    pub(crate) fn hold(&self, holds: bool) {
        self.shared.is_holding.store(holds, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(shared: &Arc<Shared>, client: &TcpStream, number: u64) {
    let Ok(server) = TcpStream::connect(shared.server) else { return };
    for (direction, from, to) in [(0, client, &server), (1, &server, client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        let shared = Arc::clone(shared);
        let random = Random::new(number * 2 + direction);
        thread::spawn(move || pump(&shared, random, from, to));
    }
}

/// Moves the bytes of one direction until it ends.
fn pump(shared: &Shared, mut random: Random, mut from: TcpStream, mut to: TcpStream) {
    let chaos = shared.chaos;
    let _ = to.set_nodelay(true);
    let _ = from.set_read_timeout(Some(Duration::from_millis(200)));
    let mut passed = 0;
    let mut buffer = [0; 16 * 1024];
    while !shared.is_over.load(Ordering::Relaxed) {
        if shared.is_holding.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let mut rest: &[u8] = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return reset(&from, &to),
        };
        while !rest.is_empty() {
            let length = random.between(1, chaos.piece_max.min(rest.len()));
            let (piece, later) = rest.split_at(length);
            let microseconds = usize::try_from(chaos.delay_max.as_micros()).expect("short");
            if microseconds > 0 {
                thread::sleep(Duration::from_micros(random.below(microseconds) as u64));
            }
            passed += length as u64;
            if chaos.reset_after.is_some_and(|most| passed > most) || to.write_all(piece).is_err() {
                return reset(&from, &to);
            }
            rest = later;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Both sides get a reset: closing a socket that lingers for no time sends one.
fn reset(one: &TcpStream, other: &TcpStream) {
    for stream in [one, other] {
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        let _ = stream.shutdown(Shutdown::Both);
    }
}
