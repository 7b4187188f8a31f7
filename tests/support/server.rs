//! The built server as a child process on a port of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to say where it listens, and a command to end.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How often a condition without a notification of its own is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running server, killed when dropped.
pub struct Wsloop {
    child: Child,
    log: Arc<Log>,
    port: u16,
}

/// What the server wrote to its standard error so far.
#[derive(Default)]
struct Log {
    text: Mutex<LogText>,
    grown: Condvar,
}

#[derive(Default)]
struct LogText {
    text: String,
    ended: bool,
}

impl Wsloop {
    /// Starts the server on a free port unless `args` names one.
    pub fn start(args: &[&str]) -> Wsloop {
        Wsloop::start_with(args, &[])
    }

    /// As `start`, with these variables in an environment that has no other `WSLOOP_` one.
    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Wsloop {
        let names_port = args.iter().any(|arg| *arg == "--port" || arg.starts_with("--port="))
            || env.iter().any(|(name, _)| *name == "WSLOOP_PORT");
        let mut command = command(args, env);
        if !names_port {
            command.args(["--port", "0"]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built server can be started");
        let stderr = child.stderr.take().expect("stderr was piped");
        let log = Arc::new(Log::default());
        let writer = Arc::clone(&log);
        thread::spawn(move || writer.collect(stderr));

        let mut server = Wsloop { child, log, port: 0 };
        let first = server.log.wait_for(START_TIME_MAX, |text| text.contains('\n'));
        let port = first.as_deref().and_then(port_in_first_line);
        server.port = port.unwrap_or_else(|| {
            panic!(
                "the first log line should give the URL within {START_TIME_MAX:?}; the log is {:?}",
                server.log()
            )
        });
        server
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The URL of `path`, which starts with a slash, for a browser or an HTTP client.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{}", self.port, rooted(path))
    }

    /// The URL of `path`, which starts with a slash, for a WebSocket client.
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{}", self.port, rooted(path))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal of that name without `SIG`, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: a minimal Debian has no other.
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
            .arg(self.pid().to_string())
            .status()
            .expect("the shell can be run");
        assert!(status.success(), "kill -s {name} {}: {status}", self.pid());
    }

    /// Its exit code once it has ended by itself, or nothing when it still runs after `within`.
    /// A process that a signal ended has no exit code and gives -1.
    /// Its log is whole by then.
    pub fn wait_exit(&mut self, within: Duration) -> Option<i32> {
        let status = wait_child(&mut self.child, within)?;
        // Its last lines may still be in the pipe.
        self.log.wait_for_end(START_TIME_MAX);
        Some(status.code().unwrap_or(-1))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().text.clone()
    }

    /// Waits until the log satisfies `condition` and returns it; panics with the log otherwise.
    pub fn wait_for_log(&self, within: Duration, condition: impl Fn(&str) -> bool) -> String {
        match self.log.wait_for(within, condition) {
            Some(text) => text,
            None => panic!("not in the log within {within:?}; the log is:\n{}", self.log()),
        }
    }

    /// Whether the process is there still; one that is about to abort is for a moment.
    pub fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // Its state stands behind the name; one that has ended waits to be collected.
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
    }

    /// A number of kibibytes from the process's status, such as `VmRSS` or `VmHWM`.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the process runs");
        status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {field} in the status of the process"))
    }

    /// How many sockets it holds open: those of its own, which it has from the start, and one for each client that it
    /// has not seen go.
    pub fn open_sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process runs");
        let links = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// How many descriptors the process holds open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process runs").count()
    }
}

// The harness captures what a test prints and shows it for one that failed.
#[allow(clippy::print_stderr)]
impl Drop for Wsloop {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, only to collect.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the end of the log of the server on port {}:", self.port);
            for line in tail.iter().rev() {
                eprintln!("  {line}");
            }
        }
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, LogText> {
        self.text.lock().expect("no thread panics while it holds the log")
    }

    /// Appends whole lines as they come, so that no reader sees half of one.
    fn collect(&self, stderr: impl Read) {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).unwrap_or(0);
            let mut log = self.lock();
            // A line that is no text must not pass for one: it gets a mark that no log may have.
            let text = String::from_utf8(std::mem::take(&mut line))
                .unwrap_or_else(|error| format!("\u{1}not UTF-8: {:?}\n", error.as_bytes()));
            log.text.push_str(&text);
            log.ended = length == 0;
            self.grown.notify_all();
            if log.ended {
                return;
            }
        }
    }

    fn wait_for_end(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut log = self.lock();
        while !log.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the process has ended, and somebody else holds its stderr open");
            log = self.grown.wait_timeout(log, left).expect("no thread panics while it holds the log").0;
        }
    }

    fn wait_for(&self, within: Duration, condition: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + within;
        let mut log = self.lock();
        loop {
            if condition(&log.text) {
                return Some(log.text.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || log.ended {
                return None;
            }
            log = self.grown.wait_timeout(log, left).expect("no thread panics while it holds the log").0;
        }
    }
}

/// Runs the server's command to its end, for `--help` and for starts that must fail.
pub fn run_to_end(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut child = command(args, env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built server can be started");
    if wait_child(&mut child, START_TIME_MAX).is_none() {
        let _ = child.kill();
        let output = child.wait_with_output().expect("a killed child ends");
        panic!("wsloop {args:?} did not end by itself: {output:?}");
    }
    child.wait_with_output().expect("the child has ended")
}

/// A port that is free and stays so until a server takes it: below those that the kernel gives to clients and to
/// who asks for any, of whom another test may have many. For servers that come back at the same port.
pub fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    // Processes of tests that run side by side begin at places of their own.
    let start = u16::try_from(std::process::id() * 37 % 20_000).expect("below the number of ports");
    (0..1_000)
        .map(|_| PORTS.start + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("of a thousand ports one is free")
}

/// Polls `condition` until it holds; panics with `what` when it does not within the time.
pub fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// The server's command, in an environment that has no variable of its.
pub fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsloop"));
    let inherited: BTreeMap<_, _> = std::env::vars_os().collect();
    for name in inherited.keys() {
        let text = name.to_string_lossy();
        if text.starts_with("WSLOOP_") || text == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.env("TZ", "UTC").args(args).envs(env.iter().copied());
    command
}

fn wait_child(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        let ended = child.try_wait().expect("the child is ours to wait for");
        if ended.is_some() || Instant::now() >= deadline {
            return ended;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The port in `open http://HOST:PORT/`.
fn port_in_first_line(log: &str) -> Option<u16> {
    let line = log.lines().next()?;
    let (_, url) = line.split_once("open http://")?;
    let (authority, _) = url.split_once('/')?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_string() } else { format!("/{path}") }
}
