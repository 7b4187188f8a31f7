//! What the server asks of the world outside, so that it needs no clock and no kernel of its own.

use std::fmt;
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
