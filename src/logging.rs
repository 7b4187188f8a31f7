//! The log's way to stderr. It never blocks, panics or grows: a disk may be full, and the reader of a pipe may
//! have gone or stand still, which is no reason to keep clients waiting.
//!
//! - **Front:** `simple_logger` reads the level, or RUST_LOG, and decides what is logged. Its own output is not
//!   used: it shows the time of writing, and panics where stderr fails. A record becomes a line of the same form
//!   at the moment of the event, and goes into a bounded queue; if that is full, it is counted and forgotten.
//! - **Back:** a thread of its own takes one line after the other and writes it with one `write`. Nobody else
//!   touches stderr, since its lock would be the next place to wait.
//!
//! What was left out is said in the log at the place where it is missing, as soon as lines can be written again.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use std::{panic, thread};

use jiff::Timestamp;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use crate::server::LogLosses;

/// Lines that may wait: over a minute of clients that misbehave, of which 200 at once and 10 a second are logged.
const LINES_MAX: usize = 1024;
/// Bytes that they may take: a line seldom has more than 256.
const BYTES_MAX: usize = 256 * 1024;
/// What waits at the exit has so long to leave.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Somebody may have made stderr non-blocking, since it is shared with other processes: then it is tried so often.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

static QUEUE: Queue = Queue::new();

/// The log is written to its end when this is dropped, or as far as it can be within a second.
#[derive(Debug)]
pub struct Logging(());

impl Logging {
    /// Starts to write what is logged. From here on a panic is told in the same way.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start() -> io::Result<Logging> {
        static ONCE: Once = Once::new();
        thread::Builder::new().name("log".to_owned()).spawn(|| Writer::new(io::stderr()).run(&QUEUE))?;
        ONCE.call_once(|| panic::set_hook(Box::new(|panic| tell(&Told(panic)))));
        Ok(Logging(()))
    }

    /// Logs what is of this level or above it; without one, RUST_LOG or `info` counts.
    pub fn set_level(&self, level: Option<LevelFilter>) {
        let front = SimpleLogger::new().with_level(LevelFilter::Info);
        let front = match level {
            Some(level) => front.with_level(level),
            None => front.env(),
        };
        log::set_max_level(front.max_level());
        // A second one changes nothing, and nobody calls for it.
        let _ =
            log::set_boxed_logger(Box::new(Front { filter: front, is_colored: io::stderr().is_terminal() }));
    }

    /// Says something on stderr, whatever the log level is.
    pub fn tell(&self, text: &dyn Display) {
        tell(text);
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        QUEUE.wait_until_written(EXIT_TIMEOUT);
    }
}

fn tell(text: &dyn Display) {
    QUEUE.push(text.to_string());
}

/// Lines that were not written, since the start.
pub(crate) fn losses() -> LogLosses {
    QUEUE.lock().losses
}

/// A panic, with the trace if that was asked for.
struct Told<'a, 'b>(&'a panic::PanicHookInfo<'b>);

impl Display for Told<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = thread::current();
        write!(formatter, "thread '{}' {}", thread.name().unwrap_or_default(), self.0)?;
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured { write!(formatter, "\n{trace}") } else { Ok(()) }
    }
}

/// Makes lines of records.
struct Front {
    filter: SimpleLogger,
    is_colored: bool,
}

impl Log for Front {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let (level, target) = (record.level(), record.target());
            QUEUE.push(line(Timestamp::now(), level, self.is_colored, target, record.args()));
        }
    }

    fn flush(&self) {}
}

fn line(time: Timestamp, level: Level, is_colored: bool, target: &str, text: &dyn Display) -> String {
    let color = match level {
        _ if !is_colored => "",
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[36m",
        Level::Debug => "\x1b[35m",
        Level::Trace => "\x1b[39m",
    };
    let end = if is_colored { "\x1b[0m" } else { "" };
    let time = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    format!("{time} {color}{level:<5}{end} [{target}] {text}")
}

/// Lines on their way. The lock is held for a push or a pop, never for a write.
#[derive(Debug)]
struct Queue {
    lines: Mutex<Lines>,
    /// There is something to write.
    filled: Condvar,
    /// All is written.
    emptied: Condvar,
}

#[derive(Debug)]
struct Lines {
    waiting: VecDeque<Line>,
    bytes: usize,
    /// Lines behind the last of those that wait for which there was no room.
    left_out: u64,
    is_writing: bool,
    losses: LogLosses,
}

#[derive(Debug)]
struct Line {
    /// Lines that are missing before this one.
    left_out: u64,
    /// None: there is nothing else to say.
    text: Option<String>,
}

impl Queue {
    const fn new() -> Queue {
        let losses = LogLosses { queue_full: 0, write_failed: 0 };
        let lines = Lines { waiting: VecDeque::new(), bytes: 0, left_out: 0, is_writing: false, losses };
        Queue { lines: Mutex::new(lines), filled: Condvar::new(), emptied: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Nothing here panics half-way; if it did, a log with a wrong count is better than none.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or counts it.
    fn push(&self, text: String) {
        let mut lines = self.lock();
        if lines.waiting.len() >= LINES_MAX || lines.bytes + text.len() > BYTES_MAX {
            lines.left_out += 1;
            lines.losses.queue_full += 1;
            return;
        }
        lines.bytes += text.len();
        let left_out = std::mem::take(&mut lines.left_out);
        lines.waiting.push_back(Line { left_out, text: Some(text) });
        self.filled.notify_one();
    }

    /// The next line, when there is one. The one before it has been written, or will not be.
    fn next(&self) -> Line {
        let mut lines = self.lock();
        lines.is_writing = false;
        if lines.is_empty() {
            self.emptied.notify_all();
        }
        let is_empty = |lines: &mut Lines| lines.is_empty();
        let mut lines = self.filled.wait_while(lines, is_empty).unwrap_or_else(PoisonError::into_inner);
        lines.is_writing = true;
        let next = lines.waiting.pop_front();
        let next = next.unwrap_or_else(|| Line { left_out: std::mem::take(&mut lines.left_out), text: None });
        lines.bytes -= next.text.as_ref().map_or(0, String::len);
        next
    }

    fn note_failure(&self) {
        self.lock().losses.write_failed += 1;
    }

    fn wait_until_written(&self, within: Duration) {
        let is_busy = |lines: &mut Lines| lines.is_writing || !lines.is_empty();
        let _ = self.emptied.wait_timeout_while(self.lock(), within, is_busy);
    }
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.left_out == 0
    }
}

/// Writes lines, and knows which of them are missing.
#[derive(Debug)]
struct Writer<W> {
    sink: W,
    /// Not said yet.
    missing: LogLosses,
    /// Half of a line has been written.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    fn new(sink: W) -> Writer<W> {
        Writer { sink, missing: LogLosses::default(), is_torn: false }
    }

    fn run(mut self, queue: &Queue) {
        loop {
            let line = queue.next();
            self.handle(line, queue);
        }
    }

    /// Writes a line; before it, what is missing there.
    fn handle(&mut self, next: Line, queue: &Queue) {
        self.missing.queue_full += next.left_out;
        if self.missing != LogLosses::default() {
            let notice = Missing(self.missing);
            if self.write(&line(Timestamp::now(), Level::Warn, false, module_path!(), &notice)) {
                self.missing = LogLosses::default();
            }
        }
        // What has just failed is not tried twice; and no line may come before the word of those before it.
        let is_working = self.missing == LogLosses::default();
        if let Some(text) = next.text
            && !(is_working && self.write(&text))
        {
            self.missing.write_failed += 1;
            queue.note_failure();
        }
    }

    /// Whether the whole line could be written.
    fn write(&mut self, line: &str) -> bool {
        let start = if self.is_torn { "\n" } else { "" };
        let line = format!("{start}{line}\n");
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => break,
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_INTERVAL),
                Err(_) => break,
            }
        }
        let written = line.len() - rest.len();
        if written > 0 {
            self.is_torn = !rest.is_empty() && written > start.len();
        }
        rest.is_empty()
    }
}

/// What is said of lines that are missing.
struct Missing(LogLosses);

impl Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogLosses { queue_full, write_failed } = self.0;
        write!(formatter, "{} lines were left out here: ", queue_full + write_failed)?;
        match (queue_full, write_failed) {
            (_, 0) => formatter.write_str("stderr was read too slowly"),
            (0, _) => formatter.write_str("stderr could not be written to"),
            _ => write!(
                formatter,
                "{queue_full} since stderr was read too slowly, {write_failed} since it could not be written to"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at once, and fails when its turn comes.
    #[derive(Default)]
    struct LogSink {
        taken: Vec<u8>,
        answers: VecDeque<io::Result<usize>>,
    }

    impl Write for LogSink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.answers.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn error(kind: ErrorKind) -> io::Result<usize> {
        Err(kind.into())
    }

    /// Lines that a sink of these answers got, without the time of those that speak of others.
    fn written(answers: Vec<io::Result<usize>>, lines: Vec<Line>) -> (String, u64) {
        let queue = Queue::new();
        let mut writer = Writer::new(LogSink { taken: Vec::new(), answers: answers.into() });
        lines.into_iter().for_each(|line| writer.handle(line, &queue));
        let text = String::from_utf8(writer.sink.taken).expect("text");
        let text: Vec<_> = text.lines().map(|line| line.split("::logging] ").last().expect("one")).collect();
        (text.join("|"), queue.lock().losses.write_failed)
    }

    fn said(text: &str) -> Line {
        Line { left_out: 0, text: Some(text.to_owned()) }
    }

    #[test]
    fn what_could_not_be_written_is_said_when_it_can() {
        use ErrorKind::{BrokenPipe, Interrupted, StorageFull, WouldBlock};
        let three = || vec![said("one"), said("two"), said("three")];
        for (answers, lines, wanted) in [
            (vec![], three(), ("one|two|three", 0)),
            (vec![Ok(1), error(Interrupted), error(WouldBlock), Ok(2)], three(), ("one|two|three", 0)),
            (
                vec![error(StorageFull)],
                three(),
                ("1 lines were left out here: stderr could not be written to|two|three", 1),
            ),
            (
                vec![Ok(4), error(BrokenPipe), error(BrokenPipe)],
                vec![said("one"), said("two"), said("and"), said("three")],
                ("one|2 lines were left out here: stderr could not be written to|three", 2),
            ),
            // A line that is torn in the middle does not swallow the next.
            (
                vec![Ok(2), error(StorageFull)],
                three(),
                ("on|1 lines were left out here: stderr could not be written to|two|three", 1),
            ),
            (
                vec![Ok(2), Ok(0), Ok(1), error(StorageFull)],
                three(),
                ("on|2 lines were left out here: stderr could not be written to|three", 2),
            ),
            (vec![error(StorageFull), error(StorageFull), error(StorageFull)], three(), ("", 3)),
            (
                vec![Ok(4)],
                vec![said("one"), Line { left_out: 7, text: None }],
                ("one|7 lines were left out here: stderr was read too slowly", 0),
            ),
            (
                vec![error(StorageFull)],
                vec![said("one"), Line { left_out: 7, ..said("two") }],
                (
                    "8 lines were left out here: 7 since stderr was read too slowly, 1 since it could not be written to|two",
                    1,
                ),
            ),
        ] {
            let (text, failed) = written(answers, lines);
            assert_eq!((text.as_str(), failed), wanted);
        }
    }

    #[test]
    fn the_queue_is_bounded_and_says_where_lines_are_missing() {
        let queue = Queue::new();
        for number in 0..LINES_MAX + 5 {
            queue.push(number.to_string());
        }
        assert_eq!(queue.lock().losses.queue_full, 5);
        assert_eq!(queue.next().text.as_deref(), Some("0"));
        queue.push("late".to_owned());
        queue.push("too late".to_owned());
        let rest: Vec<Line> = (0..=LINES_MAX).map(|_| queue.next()).collect();
        let missing: Vec<_> = rest.iter().filter(|line| line.left_out > 0).collect();
        assert!(
            matches!(missing[..], [Line { left_out: 5, text: Some(late) }, Line { left_out: 1, text: None }] if late == "late")
        );
        assert_eq!(queue.lock().bytes, 0);
        assert!(queue.lock().is_empty());

        let long = "x".repeat(BYTES_MAX / 2);
        (0..3).for_each(|_| queue.push(long.clone()));
        assert_eq!(queue.lock().losses.queue_full, 7);
        assert_eq!(queue.lock().waiting.len(), 2);
    }

    #[test]
    fn the_end_waits_for_what_is_being_written_and_no_longer_than_it_may() {
        let queue = Queue::new();
        let timeout = Duration::from_millis(50);
        let is_written = || {
            let started = std::time::Instant::now();
            queue.wait_until_written(timeout);
            started.elapsed() < timeout
        };
        assert!(is_written());
        queue.push("a line".to_owned());
        assert!(!is_written());
        assert!(queue.next().text.is_some());
        assert!(!is_written(), "it is on its way");
    }

    #[test]
    fn lines_have_the_form_of_simple_logger() {
        let time = Timestamp::from_millisecond(1_795_176_187_045).expect("in range");
        assert_eq!(
            line(time, Level::Info, false, "wsloop::server", &"ready"),
            "2026-11-20T12:03:07.045Z INFO  [wsloop::server] ready"
        );
        assert_eq!(
            line(time, Level::Warn, true, "a", &"b"),
            "2026-11-20T12:03:07.045Z \x1b[33mWARN \x1b[0m [a] b"
        );
    }
}
