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
    fn arithmetic_saturates() {
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Time::from_millis(1) + Duration::MAX, Time::NEVER);
        assert_eq!(Time::from_millis(1).since(Time::from_millis(9)), Duration::ZERO);
        assert_eq!(Time::from_millis(9).since(Time::from_millis(1)), Duration::from_millis(8));
    }
}
