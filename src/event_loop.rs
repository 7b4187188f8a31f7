//! The one thread: mio's `Poll`, the listener, signals and the clock. Everything else is told what
//! happened and what time it is.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{Clock, Now, Time};
use crate::server::{
    Acceptor, Environment, Listener, Pulse, Readiness, Server, ServerLimits, Site, Stream, Surface,
};
use crate::{logging, process};

/// Clients' tokens are their slots, counted from zero.
const SIGNALS: Token = Token(usize::MAX - 1);
const USERS: Token = Token(usize::MAX - 2);
const OPERATORS: Token = Token(usize::MAX - 3);
/// Connections that the kernel holds until they are accepted; it caps this by net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Readiness that one poll can report: so much that no client waits a turn for being noticed.
const EVENTS_MAX: usize = 65_536;
/// Bytes of one client that the kernel holds and has not sent: enough to keep a line busy while the loop is at
/// others, few enough to see that a slow reader takes some.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 16 * 1024;
/// How often the server keeps how it is.
const PULSE: Duration = Duration::from_secs(1);
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
    /// The address of these options cannot be listened on.
    Listen(Listening, SocketAddr, io::Error),
    /// The kernel refuses something that every kernel has.
    System(&'static str, io::Error),
    /// A second signal came before all was delivered.
    Interrupted,
}

impl fmt::Display for LoopError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoopError::Listen(listening, address, error) => {
                let (host, port, both) = match listening {
                    Listening::Users => ("--host", "--port", "--host and --port"),
                    Listening::Operators => ("--admin", "--admin", "--admin"),
                };
                write!(formatter, "cannot listen on {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        write!(
                            formatter,
                            "the port is taken; choose another with {port}, or 0 for a free one"
                        )
                    }
                    io::ErrorKind::PermissionDenied => {
                        write!(formatter, "permission denied; choose a port above 1023 with {port}")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        write!(
                            formatter,
                            "this machine has no such address; choose one of its own with {host}"
                        )
                    }
                    io::ErrorKind::Unsupported => {
                        write!(
                            formatter,
                            "nobody can connect to a broadcast address; choose another with {host}"
                        )
                    }
                    _ => write!(formatter, "{error}; see {both}"),
                }
            }
            LoopError::System(what, error) => write!(formatter, "cannot {what}: {error}"),
            LoopError::Interrupted => {
                formatter.write_str("stopped by a second signal, before all clients had gone")
            }
        }
    }
}

/// For whom an address is listened on, and so which options named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// `--host` and `--port`.
    Users,
    /// `--admin`.
    Operators,
}

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenAddresses {
    /// For everybody.
    pub users: SocketAddr,
    /// For operators, if they have one of their own: then the reports are there only.
    pub operators: Option<SocketAddr>,
    /// The kernel's buffer for what one client has not taken yet.
    pub send_buffer: usize,
}

/// Serves at an address until a signal stops it. `warnings` are logged behind the address, or before the reason why
/// there is none.
///
/// # Errors
/// If it cannot start, or was stopped before all was delivered.
pub fn run(
    addresses: ListenAddresses,
    limits: ServerLimits,
    site: Site,
    warnings: &[String],
) -> Result<(), LoopError> {
    let started = EventLoop::start(addresses, limits, site);
    warnings.iter().for_each(|warning| warn!("{warning}"));
    started?.run()
}

struct EventLoop {
    poll: Poll,
    events: Events,
    /// None once nobody is taken any more.
    listen_sockets: Vec<ListenSocket>,
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
    pulse: PulseMeter,
}

/// What the loop lives through, from one second to the next.
#[derive(Debug, Default)]
struct PulseMeter {
    /// When the next second is over.
    due: Time,
    /// What the clocks showed when this one began.
    began: Reading,
    /// How much of it the loop has slept.
    idle: Duration,
}

/// What the clocks show: that of the machine, that of the thread, and how long of the former it has stood still.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    elapsed: Duration,
    worked: Duration,
    stood: Duration,
}

/// Where connections come in.
struct ListenSocket {
    token: Token,
    listener: TcpListener,
    acceptor: Acceptor,
    surface: Surface,
}

/// A listener, and what is needed to take connections from it.
struct AcceptSource<'a> {
    listener: &'a TcpListener,
    surface: Surface,
    registry: &'a Registry,
    reserve: &'a mut Option<File>,
}

impl EventLoop {
    fn start(addresses: ListenAddresses, limits: ServerLimits, site: Site) -> Result<EventLoop, LoopError> {
        let system = |what| move |error| LoopError::System(what, error);
        let poll = Poll::new().map_err(system("create a poll"))?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(system("catch signals"))?;
        let registry = poll.registry();
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(system("poll signals"))?;
        let surface = addresses.operators.map_or(Surface::Everything, |_| Surface::Users);
        // All that can fail comes before the first line that says where to come.
        let mut listen_sockets =
            vec![ListenSocket::open(registry, addresses.users, &addresses, USERS, surface)?];
        if let Some(address) = addresses.operators {
            listen_sockets.push(ListenSocket::open(
                registry,
                address,
                &addresses,
                OPERATORS,
                Surface::Operators,
            )?);
        }
        for ListenSocket { listener, surface, .. } in &listen_sockets {
            let address = listener.local_addr().map_err(system("read the listener's address"))?;
            match surface {
                Surface::Operators => info!("operators: open {}dashboard (--admin)", url(address)),
                Surface::Everything | Surface::Users => {
                    info!("listening on {address}: open {}", url(address));
                }
            }
        }
        info!("up to {} clients (--max-clients)", limits.clients_max);
        let zone = jiff::tz::TimeZone::system();
        let started = Instant::now();
        // Two servers do not start in the same nanosecond with the same process number.
        let nanoseconds = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        let seed = u64::from_le_bytes(*nanoseconds.first_chunk().expect("sixteen bytes"))
            ^ u64::from(std::process::id()) << 40;
        let stopwatch = Box::new(move || started.elapsed());
        let environment =
            Environment { stopwatch, process: process::facts, log_losses: logging::losses, seed };
        Ok(EventLoop {
            poll,
            events: Events::with_capacity(limits.clients_max.saturating_add(8).min(EVENTS_MAX)),
            listen_sockets,
            reserve: File::open(RESERVE).ok(),
            signals,
            is_signalled: false,
            is_stopping: false,
            server: Server::new(limits, site, zone, environment),
            started,
            clock: Clock::default(),
            pulse: PulseMeter::default(),
        })
    }

    fn run(mut self) -> Result<(), LoopError> {
        let now = self.now();
        self.sample_if_due(now);
        loop {
            let now = self.wait()?;
            self.sample_if_due(now);
            self.note_readiness();
            self.handle_signals(now)?;
            for ListenSocket { listener, acceptor, surface, .. } in &mut self.listen_sockets {
                let registry = self.poll.registry();
                let mut door =
                    AcceptSource { listener, surface: *surface, registry, reserve: &mut self.reserve };
                acceptor.accept(now, &mut door, &mut self.server);
            }
            self.server.turn(now);
            if !self.server.is_accepting() {
                self.listen_sockets.clear();
            }
            if self.server.is_drained(now) {
                self.server.log_last_words();
                return Ok(());
            }
        }
    }

    /// Waits for something to do, and notes for how long. Gives the time at which it came.
    fn wait(&mut self) -> Result<Now, LoopError> {
        let timeout = self.timeout();
        // Who only looks does not wait.
        let asleep = (timeout != Duration::ZERO).then(Instant::now);
        let result = self.poll.poll(&mut self.events, Some(timeout));
        let slept = asleep.map_or(Duration::ZERO, |since| since.elapsed());
        let stood = self.clock.stood();
        let now = self.now();
        // Who is stopped does not wait either.
        self.pulse.idle += slept.saturating_sub(self.clock.stood().saturating_sub(stood));
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(LoopError::System("poll", error)),
            _ => Ok(now),
        }
    }

    /// Once a second the server is told what the loop has lived through.
    fn sample_if_due(&mut self, now: Now) {
        if now.time < self.pulse.due {
            return;
        }
        let (elapsed, worked, stood) = (self.started.elapsed(), thread_time(), self.clock.stood());
        let pulse = self.pulse.take(now.time, Reading { elapsed, worked, stood });
        self.server.sample(now, pulse);
    }

    fn now(&mut self) -> Now {
        Now { time: self.time(), wall: jiff::Timestamp::now() }
    }

    fn time(&mut self) -> Time {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock.at(elapsed, worked)
    }

    /// How long the poll may sleep.
    fn timeout(&mut self) -> Duration {
        if self.server.has_work() {
            return Duration::ZERO;
        }
        let clients = self.server.client_count();
        let accept_at =
            self.listen_sockets.iter().map(|listen_socket| listen_socket.acceptor.deadline(clients)).min();
        let wake_at = self.server.deadline().min(accept_at.unwrap_or(Time::NEVER)).min(self.pulse.due);
        let now = self.time();
        self.clock.sleep_until(wake_at);
        wake_at.since(now)
    }

    fn note_readiness(&mut self) {
        for event in &self.events {
            match event.token() {
                token @ (USERS | OPERATORS) => {
                    let listen_socket =
                        self.listen_sockets.iter_mut().find(|listen_socket| listen_socket.token == token);
                    listen_socket.into_iter().for_each(|listen_socket| listen_socket.acceptor.handle_ready());
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

/// Milliseconds for which this thread has had a processor.
fn worked() -> u64 {
    u64::try_from(thread_time().as_millis()).unwrap_or(0)
}

/// How long this thread has had a processor.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl PulseMeter {
    /// Ends a second, when the clocks show `reading`, and begins the next. The first one has not lived through
    /// anything.
    fn take(&mut self, now: Time, reading: Reading) -> Pulse {
        let next = PulseMeter { due: now + PULSE, began: reading, idle: Duration::ZERO };
        let PulseMeter { began, idle, .. } = std::mem::replace(self, next);
        if began.elapsed.is_zero() {
            return Pulse::default();
        }
        let stood = reading.stood.saturating_sub(began.stood);
        let elapsed = reading.elapsed.saturating_sub(began.elapsed).saturating_sub(stood);
        let worked = reading.worked.saturating_sub(began.worked).min(elapsed);
        Pulse { elapsed, idle: idle.min(elapsed.saturating_sub(worked)), worked, stood }
    }
}

impl ListenSocket {
    fn open(
        registry: &Registry,
        address: SocketAddr,
        addresses: &ListenAddresses,
        token: Token,
        surface: Surface,
    ) -> Result<ListenSocket, LoopError> {
        let listening = if surface == Surface::Operators { Listening::Operators } else { Listening::Users };
        let wrong = |error| LoopError::Listen(listening, address, error);
        let mut listener = listen(address, addresses.send_buffer).map_err(wrong)?;
        registry.register(&mut listener, token, Interest::READABLE).map_err(wrong)?;
        Ok(ListenSocket { token, listener, acceptor: Acceptor::default(), surface })
    }
}

impl Listener<TcpStream> for AcceptSource<'_> {
    fn surface(&self) -> Surface {
        self.surface
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
    if is_broadcast(address) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` means all addresses, those of IPv4 too.
        socket.set_only_v6(false)?;
    }
    // Every accepted socket inherits it. Without it the kernel would keep megabytes for each slow client.
    socket.set_send_buffer_size(send_buffer)?;
    keep_unsent_low(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// The kernel calls a socket writable as soon as little of it is unsent. By itself it would wait until a third of
/// the send buffer is free, and a peer that reads 4 KiB a second would seem to take nothing for 40 s.
#[cfg(target_os = "linux")]
fn keep_unsent_low(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Only Linux can.
#[cfg(not(target_os = "linux"))]
fn keep_unsent_low(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Whether an address is that of a whole network: a listener may have it, but nobody can connect to it. Only the
/// kernel knows, which lets no datagram socket speak to one that has not asked for it (ip(7)).
fn is_broadcast(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else { return false };
    let connected = Socket::new(Domain::IPV4, Type::DGRAM, None)
        .and_then(|socket| socket.connect(&SocketAddr::from((*address.ip(), 9)).into()));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
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
        let text =
            |listening, kind: io::ErrorKind| LoopError::Listen(listening, address, kind.into()).to_string();
        assert_eq!(
            text(Listening::Users, io::ErrorKind::PermissionDenied),
            "cannot listen on 127.0.0.1:80: permission denied; choose a port above 1023 with --port"
        );
        for (kind, users) in [
            (io::ErrorKind::PermissionDenied, "--port"),
            (io::ErrorKind::AddrInUse, "choose another with --port"),
            (io::ErrorKind::AddrNotAvailable, "--host"),
            (io::ErrorKind::Unsupported, "--host"),
            (io::ErrorKind::OutOfMemory, "see --host and --port"),
        ] {
            assert!(text(Listening::Users, kind).contains(users), "{kind}");
            let operators = text(Listening::Operators, kind);
            assert!(operators.contains("--admin"), "{operators}");
            assert!(!operators.contains("--port") && !operators.contains("--host"), "{operators}");
        }
    }

    #[test]
    fn a_standstill_is_no_part_of_the_second_in_which_it_was() {
        let ms = Duration::from_millis;
        let mut meter = PulseMeter::default();
        let reading =
            |elapsed, worked, stood| Reading { elapsed: ms(elapsed), worked: ms(worked), stood: ms(stood) };
        assert_eq!(meter.take(Time::from_millis(5), reading(5, 3, 0)), Pulse::default());
        assert_eq!(meter.due, Time::from_millis(1_005));
        meter.idle = ms(900);
        let pulse = meter.take(Time::from_millis(1_005), reading(1_005, 103, 0));
        assert_eq!(pulse, Pulse { elapsed: ms(1_000), idle: ms(900), worked: ms(100), stood: ms(0) });
        meter.idle = ms(300);
        let pulse = meter.take(Time::from_millis(2_005), reading(92_005, 803, 90_000));
        assert_eq!(pulse, Pulse { elapsed: ms(1_000), idle: ms(300), worked: ms(700), stood: ms(90_000) });
    }

    #[test]
    fn a_broadcast_address_is_known() {
        for (address, wanted) in
            [("127.255.255.255:1", true), ("127.0.0.1:1", false), ("0.0.0.0:1", false), ("[::1]:1", false)]
        {
            assert_eq!(is_broadcast(address.parse().expect("an address")), wanted, "{address}");
        }
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
