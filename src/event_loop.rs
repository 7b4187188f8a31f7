//! The one thread: mio's `Poll`, the listener, signals and the clock. Everything else is told what
//! happened and what time it is.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use log::info;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{Clock, Now, Time};
use crate::server::{Acceptor, Access, Limits, Listener, Outside, Readiness, Server, Site, Stream};
use crate::{logging, process};

/// Clients' tokens are their slots, counted from zero.
const SIGNALS: Token = Token(usize::MAX - 1);
const USERS: Token = Token(usize::MAX - 2);
const OPERATORS: Token = Token(usize::MAX - 3);
/// Connections that the kernel holds until they are accepted; it caps this by net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Readiness that one poll can report: so much that no client waits a turn for being noticed.
const EVENTS_MAX: usize = 65_536;
/// Costs nothing but its descriptor.
const RESERVE: &str = "/dev/null";

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Why the loop could not start or go on.
#[derive(Debug)]
pub enum LoopError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The kernel refuses something that every kernel has.
    System(&'static str, io::Error),
    /// A second signal came before all was delivered.
    Interrupted,
}

impl fmt::Display for LoopError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoopError::Listen(address, error) => {
                let (what, advice) = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        ("the port is taken", "choose another with --port, or 0 for a free one")
                    }
                    io::ErrorKind::PermissionDenied => {
                        ("permission denied", "choose a port above 1023 with --port")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        ("this machine has no such address", "choose one of its own with --host")
                    }
                    _ => {
                        return write!(
                            formatter,
                            "cannot listen on {address}: {error}; see --host and --port"
                        );
                    }
                };
                write!(formatter, "cannot listen on {address}: {what}; {advice}")
            }
            LoopError::System(what, error) => write!(formatter, "cannot {what}: {error}"),
            LoopError::Interrupted => {
                formatter.write_str("stopped by a second signal, before all clients had gone")
            }
        }
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For everybody.
    pub users: SocketAddr,
    /// For operators, if they have one of their own: then the reports are there only.
    pub operators: Option<SocketAddr>,
    /// The kernel's buffer for what one client has not taken yet.
    pub send_buffer: usize,
}

/// Serves at an address until a signal stops it.
///
/// # Errors
/// If it cannot start, or was stopped before all was delivered.
pub fn run(addresses: Addresses, limits: Limits, site: Site) -> Result<(), LoopError> {
    EventLoop::start(addresses, limits, site)?.run()
}

struct EventLoop {
    poll: Poll,
    events: Events,
    /// None once nobody is taken any more.
    entrances: Vec<Entrance>,
    /// A descriptor kept for the day on which there is no other: it is given up for as long as it takes to
    /// tell one client so.
    reserve: Option<File>,
    signals: Signals,
    /// Looking for signals costs a system call and a hundred atomic operations: only when one came.
    is_signalled: bool,
    is_stopping: bool,
    server: Server<TcpStream>,
    started: Instant,
    clock: Clock,
}

/// Where connections come in.
struct Entrance {
    token: Token,
    listener: TcpListener,
    acceptor: Acceptor,
    access: Access,
}

/// A listener, and what is needed to take connections from it.
struct Door<'a> {
    listener: &'a TcpListener,
    access: Access,
    registry: &'a Registry,
    reserve: &'a mut Option<File>,
}

impl EventLoop {
    fn start(addresses: Addresses, limits: Limits, site: Site) -> Result<EventLoop, LoopError> {
        let system = |what| move |error| LoopError::System(what, error);
        let poll = Poll::new().map_err(system("create a poll"))?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(system("catch signals"))?;
        let registry = poll.registry();
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(system("poll signals"))?;
        let access = addresses.operators.map_or(Access::Everything, |_| Access::Users);
        let mut entrances = vec![Entrance::open(registry, addresses.users, &addresses, USERS, access)?];
        let address = entrances[0].listener.local_addr().map_err(system("read the listener's address"))?;
        info!("listening on {address}: open {}", url(address));
        if let Some(address) = addresses.operators {
            let entrance = Entrance::open(registry, address, &addresses, OPERATORS, Access::Operators)?;
            let address = entrance.listener.local_addr().map_err(system("read the listener's address"))?;
            info!("operators: open {}dashboard (--admin)", url(address));
            entrances.push(entrance);
        }
        info!("up to {} clients (--max-clients)", limits.clients_max);
        let zone = jiff::tz::TimeZone::system();
        let started = Instant::now();
        // Two servers do not start in the same nanosecond with the same process number.
        let nanoseconds = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        let seed = u64::from_le_bytes(*nanoseconds.first_chunk().expect("sixteen bytes"))
            ^ u64::from(std::process::id()) << 40;
        let stopwatch = Box::new(move || started.elapsed());
        let outside = Outside { stopwatch, process: process::facts, log_losses: logging::losses, seed };
        Ok(EventLoop {
            poll,
            events: Events::with_capacity(limits.clients_max.saturating_add(8).min(EVENTS_MAX)),
            entrances,
            reserve: File::open(RESERVE).ok(),
            signals,
            is_signalled: false,
            is_stopping: false,
            server: Server::new(limits, site, zone, outside),
            started,
            clock: Clock::default(),
        })
    }

    fn run(mut self) -> Result<(), LoopError> {
        loop {
            let timeout = self.timeout();
            match self.poll.poll(&mut self.events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(LoopError::System("poll", error));
                }
                _ => {}
            }
            let now = self.now();
            self.note_readiness();
            self.handle_signals(now)?;
            for Entrance { listener, acceptor, access, .. } in &mut self.entrances {
                let registry = self.poll.registry();
                let mut door = Door { listener, access: *access, registry, reserve: &mut self.reserve };
                acceptor.accept(now, &mut door, &mut self.server);
            }
            self.server.turn(now);
            if !self.server.is_accepting() {
                self.entrances.clear();
            }
            if self.server.is_drained(now) {
                self.server.log_last_words();
                return Ok(());
            }
        }
    }

    fn now(&mut self) -> Now {
        Now { time: self.time(), wall: jiff::Timestamp::now() }
    }

    fn time(&mut self) -> Time {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock.at(elapsed)
    }

    /// How long the poll may sleep.
    fn timeout(&mut self) -> Option<Duration> {
        if self.server.has_work() {
            return Some(Duration::ZERO);
        }
        let clients = self.server.client_count();
        let accept_at = self.entrances.iter().map(|entrance| entrance.acceptor.deadline(clients)).min();
        let wake_at = self.server.deadline().min(accept_at.unwrap_or(Time::NEVER));
        let now = self.time();
        self.clock.sleep_until(wake_at);
        (wake_at != Time::NEVER).then(|| wake_at.since(now))
    }

    fn note_readiness(&mut self) {
        for event in &self.events {
            match event.token() {
                token @ (USERS | OPERATORS) => {
                    let entrance = self.entrances.iter_mut().find(|entrance| entrance.token == token);
                    entrance.into_iter().for_each(|entrance| entrance.acceptor.handle_ready());
                }
                SIGNALS => self.is_signalled = true,
                Token(token) => {
                    let readiness = Readiness {
                        is_readable: event.is_readable() || event.is_error(),
                        is_writable: event.is_writable(),
                        is_read_closed: event.is_read_closed() || event.is_error(),
                    };
                    self.server.handle_ready(token, readiness);
                }
            }
        }
    }

    fn handle_signals(&mut self, now: Now) -> Result<(), LoopError> {
        if !std::mem::take(&mut self.is_signalled) {
            return Ok(());
        }
        for signal in self.signals.pending() {
            let name = match signal {
                SIGHUP => {
                    // Its default would end the process, be it only since a terminal was closed.
                    info!("SIGHUP: ignored, since there is nothing to reload");
                    continue;
                }
                SIGINT => "SIGINT",
                _ => "SIGTERM",
            };
            if std::mem::replace(&mut self.is_stopping, true) {
                self.server.log_last_words();
                return Err(LoopError::Interrupted);
            }
            info!("{name}: no new clients; a second signal stops at once");
            self.server.begin_shutdown(now);
        }
        Ok(())
    }
}

impl Entrance {
    fn open(
        registry: &Registry,
        address: SocketAddr,
        addresses: &Addresses,
        token: Token,
        access: Access,
    ) -> Result<Entrance, LoopError> {
        let wrong = |error| LoopError::Listen(address, error);
        let mut listener = listen(address, addresses.send_buffer).map_err(wrong)?;
        registry.register(&mut listener, token, Interest::READABLE).map_err(wrong)?;
        Ok(Entrance { token, listener, acceptor: Acceptor::default(), access })
    }
}

impl Listener<TcpStream> for Door<'_> {
    fn access(&self) -> Access {
        self.access
    }

    fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept()
    }

    fn register(&mut self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        // Frames are whole: waiting for more would only delay them. A socket that fails here has lost its
        // peer, and the first read will say so.
        let _ = stream.set_nodelay(true);
        self.registry.register(stream, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    fn give_up_reserve(&mut self) -> bool {
        self.reserve.take().is_some()
    }

    fn keep_reserve(&mut self) {
        *self.reserve = File::open(RESERVE).ok();
    }
}

fn listen(address: SocketAddr, send_buffer: usize) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` means all addresses, those of IPv4 too.
        socket.set_only_v6(false)?;
    }
    // Every accepted socket inherits it. Without it the kernel would keep megabytes for each slow client.
    socket.set_send_buffer_size(send_buffer)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Where a browser on this machine finds the page.
fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv6() { [0, 0, 0, 0, 0, 0, 0, 1].into() } else { [127, 0, 0, 1].into() };
        address.set_ip(loopback);
    }
    format!("http://{address}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_up_errors_say_what_to_do() {
        let address: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let text = |kind: io::ErrorKind| LoopError::Listen(address, kind.into()).to_string();
        assert_eq!(
            text(io::ErrorKind::PermissionDenied),
            "cannot listen on 127.0.0.1:80: permission denied; choose a port above 1023 with --port"
        );
        assert!(text(io::ErrorKind::AddrInUse).contains("choose another with --port"));
        assert!(text(io::ErrorKind::AddrNotAvailable).contains("--host"));
    }

    #[test]
    fn the_url_can_be_opened_on_this_machine() {
        for (address, wanted) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:80", "http://[::1]:80/"),
            ("192.0.2.1:80", "http://192.0.2.1:80/"),
        ] {
            assert_eq!(url(address.parse().expect("an address")), wanted);
        }
    }
}
