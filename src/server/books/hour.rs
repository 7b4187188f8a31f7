//! The last hour, for who comes to look when it has happened: a sample of every five seconds, in a ring of fixed size.
//! 720 samples take 144 KB, and some 100 KB as the JSON of `/stats/history`.
//!
//! What is counted stands there as it was counted, since the start: who draws it makes rates of it. Of what goes up
//! and down the worst of the five seconds is kept.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::VERSION;
use crate::clock::{Now, Time};
use crate::http::Response;
use crate::server::environment::Pulse;

/// From one sample to the next.
const STEP: Duration = Duration::from_secs(5);
/// An hour of them.
const SAMPLES_MAX: usize = 720;
/// The last minute, in samples.
const MINUTE: usize = 12;
/// A wall clock that goes wrong by less than this does not move the start.
const DRIFT: Duration = Duration::from_secs(2);
/// CPU and idleness are those of so many pulses, a second each.
const PULSES_MAX: usize = 10;

/// How the server was. Times are in microseconds, shares in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) clients: u64,
    pub(crate) websockets: u64,
    pub(crate) messages_received: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: [u64; 4],
    pub(crate) lost: u64,
    pub(crate) refused: u64,
    /// Of those refused, for whom there was no place.
    pub(crate) turned_away: u64,
    pub(crate) closed: u64,
    pub(crate) accept_errors: u64,
    pub(crate) log_lines_lost: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) queued_messages: u64,
    pub(crate) buffered_bytes: u64,
    pub(crate) turn_p99: u64,
    pub(crate) turn_max: u64,
    pub(crate) fanout_p99: u64,
    pub(crate) ping_p99: u64,
    pub(crate) cpu: u64,
    pub(crate) idle: u64,
    /// The longest time that the loop stood still, in milliseconds.
    pub(crate) pause: u64,
}

/// A column of the report: its name, and where it is in a sample.
type Column = (&'static str, fn(&Sample) -> u64);

/// In the order of the report.
const COLUMNS: &[Column] = &[
    ("time_ms", |sample| sample.time),
    ("clients", |sample| sample.clients),
    ("websockets", |sample| sample.websockets),
    ("messages_received", |sample| sample.messages_received),
    ("delivered", |sample| sample.delivered),
    ("dropped_queue_full", |sample| sample.dropped[0]),
    ("dropped_skipped", |sample| sample.dropped[1]),
    ("dropped_buffer_full", |sample| sample.dropped[2]),
    ("dropped_stalled", |sample| sample.dropped[3]),
    ("lost", |sample| sample.lost),
    ("refused", |sample| sample.refused),
    ("turned_away", |sample| sample.turned_away),
    ("closed", |sample| sample.closed),
    ("accept_errors", |sample| sample.accept_errors),
    ("log_lines_lost", |sample| sample.log_lines_lost),
    ("sent_bytes", |sample| sample.sent_bytes),
    ("queued_messages", |sample| sample.queued_messages),
    ("buffered_bytes", |sample| sample.buffered_bytes),
    ("turn_p99_us", |sample| sample.turn_p99),
    ("turn_max_us", |sample| sample.turn_max),
    ("fanout_p99_us", |sample| sample.fanout_p99),
    ("ping_p99_us", |sample| sample.ping_p99),
    ("cpu_permille", |sample| sample.cpu),
    ("idle_permille", |sample| sample.idle),
    ("pause_ms", |sample| sample.pause),
];

/// The samples of an hour, and what the loop has lived through lately.
#[derive(Debug)]
pub(crate) struct Hour {
    /// When the first sample was taken: the start; and what the wall clock of today makes of that, for people.
    first: Option<Time>,
    started: Option<jiff::Timestamp>,
    /// The oldest first; the last one is of the five seconds that are not over.
    samples: VecDeque<Sample>,
    /// When the last one began.
    began: Time,
    /// What the pulses of these five seconds add up to.
    step: Pulse,
    /// The last ten seconds.
    pulses: VecDeque<Pulse>,
    /// What all pulses add up to.
    total: Pulse,
    /// The longest turn, in microseconds, and when it was.
    worst_turn: Option<(u64, jiff::Timestamp)>,
}

impl Default for Hour {
    /// Its memory is taken at once, so that it never is more.
    fn default() -> Hour {
        Hour {
            first: None,
            started: None,
            samples: VecDeque::with_capacity(SAMPLES_MAX),
            began: Time::default(),
            step: Pulse::default(),
            pulses: VecDeque::with_capacity(PULSES_MAX),
            total: Pulse::default(),
            worst_turn: None,
        }
    }
}

impl Hour {
    /// Notes how the server is, once a second; `sample` has neither `time` nor what follows from the pulse.
    pub(crate) fn note(&mut self, now: Now, pulse: Pulse, sample: Sample) {
        self.first.get_or_insert(now.time);
        if self.pulses.len() == PULSES_MAX {
            self.pulses.pop_front();
        }
        self.pulses.push_back(pulse);
        self.total = self.total + pulse;
        self.note_start(now);
        if sample.turn_max > self.worst_turn.map_or(0, |(most, _)| most) {
            self.worst_turn = Some((sample.turn_max, now.wall));
        }
        let goes_on = !self.samples.is_empty() && now.time.since(self.began) < STEP;
        let before = if goes_on { self.samples.pop_back() } else { None };
        if before.is_none() {
            if self.samples.len() == SAMPLES_MAX {
                self.samples.pop_front();
            }
            (self.began, self.step) = (now.time, Pulse::default());
        }
        self.step = self.step + pulse;
        self.samples.push_back(
            Sample {
                time: u64::try_from(now.wall.as_millisecond()).unwrap_or(0),
                cpu: permille(self.step.cpu()),
                idle: permille(self.step.idle()),
                pause: u64::try_from(pulse.stood.as_millis()).unwrap_or(u64::MAX),
                ..sample
            }
            .with_worst_of(before.unwrap_or_default()),
        );
    }

    /// How long ago that was, by a clock that nobody sets; what it stood still is part of it.
    pub(crate) fn uptime(&self, now: Time) -> Duration {
        self.first.map_or(Duration::ZERO, |first| now.since(first) + self.total.stood)
    }

    /// The start for people follows the wall clock when that is set, and otherwise stays as it was told.
    fn note_start(&mut self, now: Now) {
        let Ok(started) = now.wall.checked_sub(self.uptime(now.time)) else { return };
        let is_right = |known: jiff::Timestamp| known.duration_since(started).unsigned_abs() <= DRIFT;
        if !self.started.is_some_and(is_right) {
            self.started = Some(started);
        }
    }

    /// When the first sample was taken.
    pub(crate) fn started(&self) -> Option<jiff::Timestamp> {
        self.started
    }

    /// The last ten seconds together.
    pub(crate) fn lately(&self) -> Pulse {
        self.pulses.iter().fold(Pulse::default(), |sum, pulse| sum + *pulse)
    }

    /// All of it together.
    pub(crate) fn total(&self) -> Pulse {
        self.total
    }

    /// The longest turn, in microseconds, and when it was.
    pub(crate) fn worst_turn(&self) -> Option<(u64, jiff::Timestamp)> {
        self.worst_turn
    }

    /// A figure that goes up and down: the most that it was in the last minute.
    pub(crate) fn most(&self, of: fn(&Sample) -> u64) -> u64 {
        self.samples.iter().rev().take(MINUTE).map(of).max().unwrap_or(0)
    }

    /// `/stats/history`: a list for each column.
    pub(crate) fn report(&self) -> Response {
        // A figure has four digits or so.
        let mut text = String::with_capacity(256 + self.samples.len() * COLUMNS.len() * 6);
        let started = self.started.map_or(0, jiff::Timestamp::as_millisecond);
        let seconds = STEP.as_secs();
        let head = format!(
            "{{\n\"version\": \"{VERSION}\",\n\"started_ms\": {started},\n\"step_seconds\": {seconds}"
        );
        text.push_str(&head);
        for (name, of) in COLUMNS {
            write!(text, ",\n\"{name}\": [").expect("a string takes everything");
            for (index, sample) in self.samples.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(text, "{comma}{}", of(sample)).expect("a string takes everything");
            }
            text.push(']');
        }
        text.push_str("\n}\n");
        Response::new(200)
            .with_body("application/json", text.into_bytes())
            .with_header("Cache-Control", "no-store")
            .with_header("X-Content-Type-Options", "nosniff")
    }
}

impl Sample {
    /// With the worst of what goes up and down of an earlier one.
    fn with_worst_of(self, before: Sample) -> Sample {
        Sample {
            clients: self.clients.max(before.clients),
            websockets: self.websockets.max(before.websockets),
            queued_messages: self.queued_messages.max(before.queued_messages),
            buffered_bytes: self.buffered_bytes.max(before.buffered_bytes),
            turn_p99: self.turn_p99.max(before.turn_p99),
            turn_max: self.turn_max.max(before.turn_max),
            fanout_p99: self.fanout_p99.max(before.fanout_p99),
            ping_p99: self.ping_p99.max(before.ping_p99),
            pause: self.pause.max(before.pause),
            ..self
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is between 0 and 1")]
fn permille(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        let wall = jiff::Timestamp::from_second(1_790_000_000 + i64::try_from(seconds).expect("few"));
        Now { time: Time::from_millis(seconds * 1_000), wall: wall.expect("a time") }
    }

    fn pulse(worked: u64, idle: u64) -> Pulse {
        let elapsed = Duration::from_secs(1);
        let (worked, idle) = (Duration::from_millis(worked), Duration::from_millis(idle));
        Pulse { elapsed, worked, idle, ..Pulse::default() }
    }

    fn column(hour: &Hour, name: &str) -> Vec<u64> {
        let (_, of) = COLUMNS.iter().find(|(known, _)| *known == name).expect("a column");
        hour.samples.iter().map(of).collect()
    }

    #[test]
    fn five_seconds_are_a_sample_with_their_worst_and_their_last_count() {
        let mut hour = Hour::default();
        for second in 0..11 {
            let (clients, turn_max) = (second % 5, if second == 6 { 9_000 } else { 10 });
            let sample = Sample { clients, turn_max, delivered: second * 100, ..Sample::default() };
            hour.note(at(second), pulse(if second < 5 { 100 } else { 700 }, 250), sample);
        }
        assert_eq!(column(&hour, "delivered"), [400, 900, 1_000]);
        assert_eq!(column(&hour, "clients"), [4, 4, 0]);
        assert_eq!(column(&hour, "turn_max_us"), [10, 9_000, 10]);
        assert_eq!(column(&hour, "cpu_permille"), [100, 700, 700]);
        assert_eq!(column(&hour, "idle_permille"), [250; 3]);
        assert_eq!(hour.worst_turn(), Some((9_000, at(6).wall)));
        assert_eq!(hour.started(), Some(at(0).wall));
        assert!(
            (hour.lately().cpu() - 0.46).abs() < 1e-9,
            "ten seconds, four of them quiet: {:?}",
            hour.lately()
        );
        assert_eq!(hour.total().elapsed, Duration::from_secs(11));
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut hour = Hour::default();
        let most = SAMPLES_MAX as u64 * 5;
        for second in 0..2 * most {
            hour.note(at(second), pulse(1, 999), Sample { delivered: second, ..Sample::default() });
        }
        let delivered = column(&hour, "delivered");
        assert_eq!((delivered.len(), delivered[0], delivered[719]), (720, most + 4, 2 * most - 1));
        assert_eq!((hour.samples.capacity(), hour.pulses.capacity()), (SAMPLES_MAX, PULSES_MAX));
        assert_eq!(hour.samples.capacity() * size_of::<Sample>(), 144_000, "as documents say");
    }

    #[test]
    fn a_pause_is_what_it_stood_still_and_is_told_for_a_minute() {
        let mut hour = Hour::default();
        assert_eq!(hour.most(|sample| sample.pause), 0);
        for second in 0..200 {
            let stood = Duration::from_secs(if second == 100 { 90 } else { 0 });
            hour.note(at(second), Pulse { stood, ..pulse(100, 900) }, Sample::default());
            let wanted = if (100..160).contains(&second) { 90_000 } else { 0 };
            assert_eq!(hour.most(|sample| sample.pause), wanted, "after {second} s");
            assert!(hour.lately().starved() < 1e-9, "nobody else had the processor: {:?}", hour.lately());
        }
        assert_eq!(hour.uptime(at(200).time), Duration::from_secs(290));
    }

    #[test]
    fn a_wall_clock_that_is_set_does_not_change_for_how_long_it_is_up() {
        let mut hour = Hour::default();
        let mut note = |second, wall| {
            hour.note(Now { wall, ..at(second) }, pulse(0, 1_000), Sample::default());
            (hour.uptime(at(second).time).as_secs(), hour.started().expect("it has started").as_second())
        };
        let start = at(0).wall.as_second();
        assert_eq!(note(0, at(0).wall), (0, start));
        let ahead = at(101).wall;
        assert_eq!(note(100, ahead), (100, start), "a little wrong");
        let day = 86_400;
        assert_eq!(note(110, at(110 + day).wall), (110, start + 86_400), "set ahead by a day");
        assert_eq!(note(120, jiff::Timestamp::UNIX_EPOCH), (120, -120), "a machine without a battery");
        assert_eq!(note(130, at(130).wall), (130, start), "and it is right again");
    }

    #[test]
    fn the_report_has_a_list_for_each_column_and_a_gap_where_nothing_was_lived_through() {
        let mut hour = Hour::default();
        hour.note(at(0), pulse(0, 0), Sample { clients: 3, ..Sample::default() });
        // The process was stopped: its own time has hardly gone on.
        let later = Now { wall: at(300).wall, time: Time::from_millis(6_000) };
        hour.note(later, Pulse { stood: Duration::from_secs(300), ..pulse(0, 0) }, Sample::default());
        let times = column(&hour, "time_ms");
        assert_eq!(times[1] - times[0], 300_000);
        let response = hour.report().encode(None, true);
        let text = String::from_utf8(response).expect("text");
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
        for (name, _) in COLUMNS {
            assert_eq!(value[*name].as_array().map(Vec::len), Some(2), "{name}");
        }
        assert_eq!(value["pause_ms"][1], 300_000);
        assert_eq!(value["step_seconds"], 5);
    }
}
