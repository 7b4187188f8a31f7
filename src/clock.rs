//! Time as an argument: no layer but the loop asks a clock.

use std::ops::Add;
use std::time::Duration;

/// Milliseconds since the loop started. Arithmetic saturates: a clock that jumps or stands still
/// can delay a deadline, it cannot overflow one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// Later than every deadline.
    pub const NEVER: Time = Time(u64::MAX);

    /// The time `milliseconds` after the start of the loop.
    pub const fn from_millis(milliseconds: u64) -> Time {
        Time(milliseconds)
    }

    /// Milliseconds since the start of the loop.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// More than this behind what it had planned without having worked, and the loop has stood still: the process was
/// stopped, or the machine slept.
const STANDSTILL: u64 = 1_000;
/// Asking how much the thread has worked is a system call: it is made so often at most, and the answer may be as old.
const WORKED_INTERVAL: u64 = 100;

/// Makes the time of the loop from a clock that runs on while the process stands still. Such a time does not
/// count, or every client would be found silent at the end of it. The time of a long turn does: under overload
/// deadlines must still pass.
#[derive(Debug, Default)]
pub struct Clock {
    /// Milliseconds that the loop did not live through.
    lost: u64,
    /// When the loop looked at the clock, and when it meant to do so again, by the clock.
    looked: u64,
    awaited: u64,
    /// How much the thread had worked, and when that was found out.
    worked: u64,
    worked_at: u64,
}

impl Clock {
    /// The time, when the clock shows so many milliseconds. `worked` says how many of them the thread has had a
    /// processor.
    pub fn at(&mut self, milliseconds: u64, worked: impl FnOnce() -> u64) -> Time {
        let is_late = milliseconds.saturating_sub(self.awaited) > STANDSTILL;
        if is_late || milliseconds.saturating_sub(self.worked_at) >= WORKED_INTERVAL {
            let before = std::mem::replace(&mut self.worked, worked());
            self.worked_at = milliseconds;
            // It may have begun right after the last look.
            let gap = milliseconds.saturating_sub(self.looked);
            let stood = gap.saturating_sub(self.worked.saturating_sub(before));
            if is_late && stood > STANDSTILL {
                self.lost += stood;
            }
        }
        (self.looked, self.awaited) = (milliseconds, milliseconds);
        Time(milliseconds.saturating_sub(self.lost))
    }

    /// The loop sleeps, until this time at the latest.
    pub fn sleep_until(&mut self, time: Time) {
        self.awaited = self.awaited.max(self.reading_at(time));
    }

    /// How long the loop has stood still so far.
    pub fn stood(&self) -> Duration {
        Duration::from_millis(self.lost)
    }

    /// What the clock shows at a time that lies ahead.
    pub fn reading_at(&self, time: Time) -> u64 {
        time.0.saturating_add(self.lost)
    }
}

/// The moment of a turn: one clock for deadlines, one for people.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Never goes back; all deadlines are counted in it.
    pub time: Time,
    /// The time of day. It may jump, so it is only shown.
    pub wall: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_loop_stands_still_no_time_passes() {
        let mut clock = Clock::default();
        let at = Time::from_millis;
        assert_eq!(clock.at(5, || 0), at(5));
        clock.sleep_until(at(20_000));
        assert_eq!(clock.at(7, || 0), at(7), "woken by an event");
        clock.sleep_until(at(20_000));
        assert_eq!(clock.at(21_000, || 0), at(21_000), "a little late");
        clock.sleep_until(at(30_000));
        assert_eq!(clock.at(120_000, || 0), at(21_000), "stopped for ninety seconds");
        assert_eq!((clock.reading_at(at(22_000)), clock.stood()), (121_000, Duration::from_secs(99)));
        clock.sleep_until(at(22_000));
        assert_eq!(clock.at(121_001, || 0), at(22_001), "and goes on from there");
        assert_eq!(clock.at(121_900, || 0), at(22_900), "a long turn");
        assert_eq!(clock.at(125_000, || 0), at(22_900), "stopped in the middle of a turn");
        clock.sleep_until(Time::NEVER);
        assert_eq!(clock.at(1_000_000, || 0), at(897_900), "nothing was to be done meanwhile");
    }

    #[test]
    fn a_long_turn_is_time_like_any_other() {
        let mut clock = Clock::default();
        let at = Time::from_millis;
        assert_eq!(clock.at(1_000, || 900), at(1_000));
        assert_eq!(clock.at(4_000, || 3_600), at(4_000), "three seconds, and it worked in most of them");
        assert_eq!(clock.at(9_000, || 6_000), at(6_400), "five, but half of them it had no processor");
        assert_eq!(clock.at(9_900, || 6_001), at(7_300));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Time::from_millis(1) + Duration::MAX, Time::NEVER);
        assert_eq!(Time::from_millis(1).since(Time::from_millis(9)), Duration::ZERO);
        assert_eq!(Time::from_millis(9).since(Time::from_millis(1)), Duration::from_millis(8));
    }
}
