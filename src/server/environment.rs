//! What the server asks of the world outside, so that it needs no clock and no kernel of its own.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// What the server asks of the world outside.
pub struct Environment {
    /// A stopwatch that runs: the time since some moment.
    pub stopwatch: Box<dyn Fn() -> Duration>,
    /// What the kernel knows of this process.
    pub process: fn() -> Process,
    /// What the log could not take.
    pub log_losses: fn() -> LogLosses,
    /// A number that no other server has, nor this one after a restart.
    pub seed: u64,
}

/// What the loop has lived through in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// How long that was, without what it stood still.
    pub elapsed: Duration,
    /// Of that, how long the loop waited in its poll for something to do.
    pub idle: Duration,
    /// Of that, how long the thread had a processor.
    pub worked: Duration,
    /// Beside that, how long it stood still: the process was stopped, or the machine.
    pub stood: Duration,
}

/// What a kernel knows of a process, as far as it tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Processor time, user's and system's.
    pub cpu_seconds: Option<f64>,
    /// Since 1970.
    pub start_time_seconds: Option<f64>,
    /// Memory in use.
    pub resident_memory_bytes: Option<u64>,
    /// Address space.
    pub virtual_memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// The soft limit of open files.
    pub open_files_max: Option<u64>,
}

/// Lines that were left out of the log, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLosses {
    /// Too many waited to be written.
    pub queue_full: u64,
    /// Stderr did not take them.
    pub write_failed: u64,
}

impl Pulse {
    /// The share of a processor that the thread had.
    pub(crate) fn cpu(&self) -> f64 {
        self.share(self.worked)
    }

    /// The share of the time in which there was nothing to do.
    pub(crate) fn idle(&self) -> f64 {
        self.share(self.idle)
    }

    /// The share of the time in which it had something to do, and no processor.
    pub(crate) fn starved(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { (1.0 - self.idle() - self.cpu()).max(0.0) }
    }

    fn share(&self, part: Duration) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { (part.as_secs_f64() / self.elapsed.as_secs_f64()).min(1.0) }
    }
}

impl Add for Pulse {
    type Output = Pulse;

    fn add(self, other: Pulse) -> Pulse {
        Pulse {
            elapsed: self.elapsed + other.elapsed,
            idle: self.idle + other.idle,
            worked: self.worked + other.worked,
            stood: self.stood + other.stood,
        }
    }
}

impl Environment {
    /// A world in which no time passes, and of which nothing is known: for tests.
    pub fn nothing() -> Environment {
        Environment {
            stopwatch: Box::new(|| Duration::ZERO),
            process: Process::default,
            log_losses: LogLosses::default,
            seed: 7,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Environment")
    }
}
