//! How much work a client has caused lately, by the price list: eight bytes a client, for who asks who makes the
//! server busy. What was done counts half after eight seconds, and half again after eight more.

use crate::clock::Time;
use crate::server::prices::{self, Work};

/// In milliseconds. A power of two: it is looked at with every read.
const HALF_LIFE: u64 = 8_192;
/// Work is kept in so many of its units, so that a minute of the thread fits.
const GRAIN: u64 = 64;

/// Work of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lately {
    /// In grains.
    work: u32,
    /// The half-life in which it was noted.
    period: u32,
}

impl Lately {
    /// Notes work.
    pub(crate) fn note(&mut self, now: Time, work: Work) {
        *self = self.at(now);
        self.work = self.work.saturating_add(u32::try_from(work as u64 / GRAIN).unwrap_or(u32::MAX));
    }

    /// The share of the thread that the work takes, if it has gone on like this.
    pub(crate) fn share(self, now: Time) -> f64 {
        let work = u64::from(self.at(now).work) * GRAIN;
        // What is left of all periods before is as much as one of them.
        let milliseconds = HALF_LIFE + now.as_millis() % HALF_LIFE;
        work as f64 / prices::MILLISECOND as f64 / milliseconds as f64
    }

    #[expect(clippy::cast_possible_truncation, reason = "a thousand years of periods")]
    fn at(self, now: Time) -> Lately {
        let period = (now.as_millis() / HALF_LIFE) as u32;
        let halvings = period.saturating_sub(self.period);
        Lately { work: self.work.checked_shr(halvings).unwrap_or(0), period }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_share_is_told_as_it_is_and_forgotten_when_it_ends() {
        for share in [1, 10, 500] {
            let mut lately = Lately::default();
            let mut now = 0;
            while now < 60_000 {
                lately.note(Time::from_millis(now), prices::MILLISECOND * 10 * share / 1_000);
                now += 10;
                let told = lately.share(Time::from_millis(now)) * 1_000.0 / share as f64;
                assert!(now < 40_000 || (0.95..1.05).contains(&told), "{share}: {told} at {now}");
            }
            assert!(lately.share(Time::from_millis(80_000)) < 0.2 * share as f64 / 1_000.0);
            assert_eq!(lately.share(Time::from_millis(3_600_000)).to_bits(), 0.0_f64.to_bits());
        }
    }
}
