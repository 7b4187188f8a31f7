//! How much is logged of clients that misbehave: their number must not fill a disk.

use crate::clock::Time;

/// Lines after a silence.
const BURST: u64 = 200;
/// Lines a second in the long run.
const PER_SECOND: u64 = 10;

/// Counts lines.
#[derive(Debug)]
pub(crate) struct LogLimiter {
    /// Lines that may be written now, and since when that is so.
    allowed: u64,
    since: Time,
    /// Not said yet, and since the start.
    withheld: u64,
    withheld_total: u64,
}

impl Default for LogLimiter {
    fn default() -> LogLimiter {
        LogLimiter { allowed: BURST, since: Time::default(), withheld: 0, withheld_total: 0 }
    }
}

impl LogLimiter {
    /// Whether one more line may be written, and how many were withheld before it.
    pub(crate) fn admit(&mut self, now: Time) -> Option<u64> {
        let seconds = now.since(self.since).as_secs();
        if seconds > 0 {
            self.allowed = (self.allowed + seconds.saturating_mul(PER_SECOND)).min(BURST);
            self.since = now;
        }
        if self.allowed == 0 {
            self.withheld += 1;
            self.withheld_total += 1;
            return None;
        }
        self.allowed -= 1;
        Some(self.take_withheld())
    }

    /// Lines that were withheld and of which nothing has been said yet.
    pub(crate) fn take_withheld(&mut self) -> u64 {
        std::mem::take(&mut self.withheld)
    }

    /// Lines that were withheld since the start.
    pub(crate) fn withheld_total(&self) -> u64 {
        self.withheld_total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_short_and_counted() {
        let mut log_limiter = LogLimiter::default();
        let at = Time::from_millis;
        assert!((0..BURST).all(|_| log_limiter.admit(at(5)) == Some(0)));
        assert_eq!([log_limiter.admit(at(6)), log_limiter.admit(at(999))], [None, None]);
        assert_eq!(log_limiter.admit(at(1_500)), Some(2), "and says how many are missing");
        assert!((1..PER_SECOND).all(|_| log_limiter.admit(at(1_500)) == Some(0)));
        assert_eq!(log_limiter.admit(at(2_000)), None);
        assert_eq!(log_limiter.admit(at(3_600_000)), Some(1));
        assert!((1..BURST).all(|_| log_limiter.admit(at(3_600_000)) == Some(0)));
        assert_eq!(log_limiter.admit(at(3_600_000)), None);
        assert_eq!(
            (log_limiter.take_withheld(), log_limiter.take_withheld(), log_limiter.withheld_total()),
            (1, 0, 4)
        );
    }
}
