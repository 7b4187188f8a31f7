//! The one thread: mio's `Poll`, the listener, signals and the clock. Everything else is told what
//! happened and what time it is.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{Now, Time};
use crate::server::{Account, Limits, Readiness, Server, Site, Stream};

/// Clients' tokens are their slots, counted from zero.
const LISTENER: Token = Token(usize::MAX - 1);
const SIGNALS: Token = Token(usize::MAX - 2);
/// Connections that the kernel holds until they are accepted; it caps this by net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Connections accepted in a turn before the clients have theirs.
const ACCEPTS_MAX: u32 = 64;
/// How long accepting rests after it failed for want of something (open files, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures to accept are logged at most so often.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Readiness that one poll can report: so much that no client waits a turn for being noticed.
const EVENTS_MAX: usize = 65_536;

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
                formatter.write_str("stopped by a second signal; queued messages are lost")
            }
        }
    }
}

/// Serves at an address until a signal stops it.
///
/// # Errors
/// If it cannot start, or was stopped before all was delivered.
pub fn run(address: SocketAddr, limits: Limits, site: Site) -> Result<(), LoopError> {
    EventLoop::start(address, limits, site)?.run()
}

struct EventLoop {
    poll: Poll,
    events: Events,
    /// None once the server is stopping.
    listener: Option<TcpListener>,
    accepting: Accepting,
    /// A descriptor kept for the day on which there is no other: it is given up for as long as it takes to
    /// tell one client so. Without it the others would wait in the kernel for nothing.
    reserve: Option<File>,
    accept_logged: Option<Time>,
    signals: Signals,
    /// Looking for signals costs a system call and a hundred atomic operations: only when one came.
    is_signalled: bool,
    server: Server<TcpStream>,
    started: Instant,
}

/// Whether there may be connections to accept. The listener is edge-triggered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Drained,
    Ready,
    /// Something ran out; the connections wait in the kernel.
    PausedUntil(Time),
}

impl EventLoop {
    fn start(address: SocketAddr, limits: Limits, site: Site) -> Result<EventLoop, LoopError> {
        let system = |what| move |error| LoopError::System(what, error);
        let poll = Poll::new().map_err(system("create a poll"))?;
        let mut listener = listen(address).map_err(|error| LoopError::Listen(address, error))?;
        let address = listener.local_addr().map_err(system("read the listener's address"))?;
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(system("catch signals"))?;
        let registry = poll.registry();
        registry
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(system("poll the listener"))?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(system("poll signals"))?;
        info!("listening on {address}: open {}", url(address));
        info!("up to {} clients (--max-clients)", limits.clients_max);
        let zone = jiff::tz::TimeZone::system();
        Ok(EventLoop {
            poll,
            events: Events::with_capacity(limits.clients_max.saturating_add(8).min(EVENTS_MAX)),
            listener: Some(listener),
            accepting: Accepting::Ready,
            reserve: open_reserve(),
            accept_logged: None,
            signals,
            is_signalled: false,
            server: Server::new(limits, site, zone),
            started: Instant::now(),
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
            self.accept(now);
            self.server.turn(now);
            if self.server.is_drained(now) {
                self.log_account();
                match self.server.client_count() {
                    0 => info!("stopped: every client has got what it was owed"),
                    count => warn!("stopped: {count} clients did not take what they were owed in time"),
                }
                return Ok(());
            }
        }
    }

    /// The ledger's last page.
    fn log_account(&self) {
        let Account { accepted, delivered, dropped, lost, queued } = self.server.account();
        info!(
            "deliveries: {accepted} accepted = {delivered} delivered + {dropped} dropped + {} lost",
            lost + queued
        );
    }

    fn now(&self) -> Now {
        Now { time: self.time(), wall: jiff::Timestamp::now() }
    }

    fn time(&self) -> Time {
        Time::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long the poll may sleep.
    fn timeout(&self) -> Option<Duration> {
        let accept_at = match self.accepting {
            Accepting::Ready => return Some(Duration::ZERO),
            Accepting::PausedUntil(time) => time,
            Accepting::Drained => Time::NEVER,
        };
        if self.server.has_work() {
            return Some(Duration::ZERO);
        }
        let wake_at = self.server.deadline().min(accept_at);
        (wake_at != Time::NEVER).then(|| wake_at.since(self.time()))
    }

    fn note_readiness(&mut self) {
        for event in &self.events {
            match event.token() {
                LISTENER if self.accepting == Accepting::Drained => self.accepting = Accepting::Ready,
                LISTENER => {}
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
            let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
            if self.listener.take().is_none() {
                return Err(LoopError::Interrupted);
            }
            info!("{name}: no new clients; a second signal stops at once");
            self.accepting = Accepting::Drained;
            self.server.begin_shutdown(now);
        }
        Ok(())
    }

    /// Accepts what waits, within the turn's budget. No error ends the loop.
    fn accept(&mut self, now: Now) {
        match self.accepting {
            Accepting::Drained => return,
            Accepting::PausedUntil(time) if time > now.time => return,
            Accepting::Ready | Accepting::PausedUntil(_) => self.accepting = Accepting::Ready,
        }
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((stream, address)) => self.take(now, stream, address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting = Accepting::Drained;
                    return;
                }
                // The peer has gone already, or a signal came.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    self.log_accept_error(now, &error);
                    if !(is_out_of_descriptors(&error) && self.turn_away(now)) {
                        self.accepting = Accepting::PausedUntil(now.time + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    /// Tells one client that there is no descriptor for it, with the help of the reserve. `false`: there was
    /// none, or nobody is waiting.
    fn turn_away(&mut self, now: Now) -> bool {
        let Some(listener) = self.listener.as_ref().filter(|_| self.reserve.take().is_some()) else {
            // Perhaps there is one by now.
            self.reserve = open_reserve();
            return false;
        };
        let is_told = match listener.accept() {
            Ok((mut stream, _)) => {
                // It may not have asked yet; whatever it asks, this is the answer. What it has sent is read,
                // or the answer might be lost with it (RFC 1122 §4.2.2.13).
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write(&Server::<TcpStream>::full(now));
                let _ = stream.shutdown_write();
                true
            }
            Err(_) => false,
        };
        self.reserve = open_reserve();
        is_told
    }

    fn take(&mut self, now: Now, mut stream: TcpStream, address: SocketAddr) {
        // Frames are whole: waiting for more would only delay them. A socket that fails here has
        // lost its peer, and the first read will say so.
        let _ = stream.set_nodelay(true);
        let token = Token(self.server.next_token());
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self.poll.registry().register(&mut stream, token, interest) {
            Ok(()) => {
                if !self.server.accept(now, stream, address) {
                    self.log_accept_error(
                        now,
                        &io::Error::other(
                            "more clients than --max-clients or --max-per-ip, and many more wait",
                        ),
                    );
                }
            }
            Err(error) => self.log_accept_error(now, &error),
        }
    }

    fn log_accept_error(&mut self, now: Now, error: &io::Error) {
        if self.accept_logged.is_none_or(|logged| now.time.since(logged) >= ACCEPT_LOG_INTERVAL) {
            self.accept_logged = Some(now.time);
            warn!("cannot take a client: {error} (said at most every 10 s)");
        }
    }
}

fn open_reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Of the process, or of the whole machine (accept(2)).
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` means all addresses, those of IPv4 too.
        socket.set_only_v6(false)?;
    }
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
