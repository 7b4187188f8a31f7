//! Servers as child processes: started, waited for until they listen, and ended by their own process id.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server starts sooner, Python and a JVM included.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A child process that listens, and is ended when this is dropped.
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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
pub(crate) fn own_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("where is this program? {error}"))
}
