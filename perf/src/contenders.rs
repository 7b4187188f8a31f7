//! The servers of a comparison: the floor, wsloop in some variants, and peers. Each is started anew for each
//! measurement, on a free port, and ended by its own process id.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::floor::Mode;
use crate::peers::{self, Installed, Peer};

/// A server starts sooner, Python and a JVM included.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// What the clients of a scenario want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Broadcast,
    Echo,
}

/// How wsloop is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The verbatim paths, as the peers.
    Raw,
    /// A chat room: each message becomes a line with time and name.
    Room,
    /// The verbatim paths, with permessage-deflate.
    Compressed,
}

/// One server of the comparison.
pub(crate) enum Contender {
    Floor,
    Wsloop { program: PathBuf, variant: Variant },
    Peer { peer: Peer, installed: Installed },
}

impl Contender {
    pub(crate) fn name(&self) -> &str {
        match self {
            Contender::Floor => "floor",
            Contender::Wsloop { variant: Variant::Raw, .. } => "wsloop",
            Contender::Wsloop { variant: Variant::Room, .. } => "wsloop, chat room",
            Contender::Wsloop { variant: Variant::Compressed, .. } => "wsloop, compressed",
            Contender::Peer { peer, .. } => peer.name,
        }
    }

    pub(crate) fn variant(&self) -> Option<Variant> {
        match self {
            Contender::Wsloop { variant, .. } => Some(*variant),
            _ => None,
        }
    }

    /// Starts it, and waits until it can be connected to.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(&self, service: Service, mode: Mode) -> Result<Server, String> {
        let port = free_port()?;
        let url = |path: &str| format!("ws://127.0.0.1:{port}/{path}");
        let path = match service {
            Service::Broadcast => "broadcast",
            Service::Echo => "echo",
        };
        match self {
            Contender::Floor => {
                let mode = match mode {
                    Mode::Direct => "direct",
                    Mode::Batch => "batch",
                    Mode::Echo => "echo",
                };
                let mut command = own_program()?;
                command.args(["floor", "--mode", mode, "--port", &port.to_string()]);
                Ok(Server { process: Running::start("floor", command, port)?, url: url(path) })
            }
            Contender::Wsloop { program, variant } => {
                let mut command = Command::new(program);
                command.args(["--port", &port.to_string(), "--log-level", "error"]);
                let process = Running::start("wsloop", command, port)?;
                let path = if *variant == Variant::Room { "measured?name=load{}" } else { path };
                Ok(Server { process, url: url(path) })
            }
            Contender::Peer { peer, installed } => {
                let process = peer.start(installed, port)?;
                let path = match service {
                    Service::Broadcast => Some(peer.broadcast),
                    Service::Echo => peer.echo,
                };
                let path = path.ok_or_else(|| format!("{} has no echo", peer.name))?;
                Ok(Server { process, url: url(path) })
            }
        }
    }

    /// Whether it can do this at all.
    pub(crate) fn serves(&self, service: Service) -> bool {
        match self {
            Contender::Peer { peer, .. } => service == Service::Broadcast || peer.echo.is_some(),
            Contender::Wsloop { variant, .. } => service == Service::Broadcast || *variant == Variant::Raw,
            Contender::Floor => true,
        }
    }
}

/// A server that runs, until this is dropped.
pub(crate) struct Server {
    process: Running,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

/// A child process that is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a program and waits until its port can be connected to.
    ///
    /// # Errors
    /// If it ends before, or takes too long.
    pub(crate) fn start(name: &str, mut command: Command, port: u16) -> Result<Running, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name} does not start: {program}: {error}"))?;
        let mut running = Running { child };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(format!("{name} ended at its start: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("{name} does not listen on port {port} after {START_TIMEOUT:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A server with children of its own (nginx) ends them when it is asked to end, and not when it is killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program, to run another part of it.
///
/// # Errors
/// If the system does not know where it is.
pub(crate) fn own_program() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|error| format!("where is this program? {error}"))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// The peers that are asked for, installed; and why others are not there.
pub(crate) fn peers(names: &[String], folder: &Path) -> (Vec<Contender>, Vec<(String, String)>) {
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for peer in peers::all() {
        if !names.is_empty() && !names.iter().any(|name| name == peer.name) {
            continue;
        }
        eprintln!("preparing {}", peer.name);
        match peer.prepare(folder) {
            Ok(installed) => there.push(Contender::Peer { peer, installed }),
            Err(reason) => {
                eprintln!("  absent: {reason}");
                absent.push((peer.name.to_owned(), reason));
            }
        }
    }
    (there, absent)
}
