//! The servers of a comparison: the floor, wsloop in some variants, and peers. Each is started anew for each
//! measurement, on a free port, and ended by its own process id.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::{Running, own_program};
use crate::floor::Mode;
use crate::peers::{self, Installed, Peer};

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
                let mut command = Command::new(own_program()?);
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

/// One that was started: it is ended when this is dropped.
pub(crate) struct Server {
    process: Running,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Installs the peers that are asked for: those that are there now, and why others are not.
pub(crate) fn install_peers(names: &[String], folder: &Path) -> (Vec<Contender>, Vec<(String, String)>) {
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
