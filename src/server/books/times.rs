//! How long things take: since the start, and lately.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Time;

/// "Lately" is this window and the one before.
const WINDOW: Duration = Duration::from_secs(10);
/// In microseconds. Shorter and longer times count as these.
const SHORTEST: u64 = 1;
const LONGEST: u64 = 60_000_000;
/// Significant digits: a hundredth is exact enough for times.
const DIGITS: u8 = 2;
/// Upper ends of the buckets that are shown to Prometheus, in microseconds.
const BUCKETS: [u64; 17] = [
    20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    5_000_000, 20_000_000,
];

/// How long something took, each time.
#[derive(Debug)]
pub(crate) struct Times {
    all: Histogram<u64>,
    sum: u64,
    recent: [Histogram<u64>; 2],
    window: u64,
    /// The longest since that was last asked.
    longest: u64,
}

/// A few figures of the last ten to twenty seconds, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// All since the start, as Prometheus wants it.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) count: u64,
    /// In seconds.
    pub(crate) sum: f64,
    /// The upper end of each in seconds, and how many are in it and in none before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Default for Times {
    fn default() -> Times {
        let empty =
            || Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS).expect("these bounds are accepted");
        Times { all: empty(), sum: 0, recent: [empty(), empty()], window: 0, longest: 0 }
    }
}

impl Times {
    /// Notes that it took so long.
    pub(crate) fn record(&mut self, now: Time, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.turn_over(now);
        self.all.saturating_record(microseconds.max(SHORTEST));
        self.recent[0].saturating_record(microseconds.max(SHORTEST));
        self.sum = self.sum.saturating_add(microseconds);
        self.longest = self.longest.max(microseconds);
    }

    /// What was noted lately.
    pub(crate) fn recent(&mut self, now: Time) -> Summary {
        self.turn_over(now);
        let mut both = self.recent[0].clone();
        both.add(&self.recent[1]).expect("of the same bounds");
        if both.is_empty() {
            return Summary::default();
        }
        Summary {
            count: both.len(),
            p50: both.value_at_quantile(0.5),
            p99: both.value_at_quantile(0.99),
            max: both.max(),
        }
    }

    /// The longest that was noted since this was last asked.
    pub(crate) fn take_longest(&mut self) -> u64 {
        std::mem::take(&mut self.longest)
    }

    /// What was noted since the start.
    pub(crate) fn buckets(&self) -> Buckets {
        let ends = BUCKETS.iter().map(|end| *end as f64 / 1e6).chain([f64::INFINITY]);
        let lasts = BUCKETS.iter().copied().chain([LONGEST * 2]);
        let mut below = 0;
        let buckets = ends.zip(lasts).map(|(end, last)| {
            let up_to = self.all.count_between(0, last);
            let count = up_to.saturating_sub(below);
            below = up_to.max(below);
            (end, count)
        });
        Buckets { count: self.all.len(), sum: self.sum as f64 / 1e6, buckets: buckets.collect() }
    }

    /// Begins a new window when it is time. Nothing is noted in the windows in which nothing happened.
    fn turn_over(&mut self, now: Time) {
        let window = now.as_millis() / u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        if window == self.window {
            return;
        }
        self.recent.swap(0, 1);
        self.recent[0].reset();
        if window != self.window + 1 {
            self.recent[1].reset();
        }
        self.window = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lately_is_ten_to_twenty_seconds() {
        let mut times = Times::default();
        let at = Time::from_millis;
        (1..=100).for_each(|number| times.record(at(9_999), Duration::from_micros(number)));
        assert_eq!(times.recent(at(9_999)), Summary { count: 100, p50: 50, p99: 99, max: 100 });
        times.record(at(19_999), Duration::from_millis(7));
        let both = times.recent(at(19_999));
        assert!(both.count == 101 && both.p50 == 51 && both.max.abs_diff(7_000) <= 70, "{both:?}");
        assert_eq!(times.recent(at(20_000)).count, 1);
        assert_eq!(times.recent(at(30_000)).count, 0);
        assert_eq!([times.take_longest(), times.take_longest()], [7_000, 0]);
        times.record(at(31_000), Duration::ZERO);
        assert_eq!(times.recent(at(100_000)), Summary::default());
        assert_eq!(times.buckets().count, 102);
    }

    #[test]
    fn each_time_is_in_one_bucket_and_the_longest_are_not_left_out() {
        let mut times = Times::default();
        for microseconds in [0, 1, 20, 30, 400, 1_900, 5_000_000, 3_600_000_000] {
            times.record(Time::from_millis(0), Duration::from_micros(microseconds));
        }
        let Buckets { count, sum, buckets } = times.buckets();
        assert_eq!((count, buckets.iter().map(|(_, count)| count).sum::<u64>()), (8, 8));
        assert!((sum - 3_605.002_351).abs() < 1e-9, "{sum}");
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        let ends = [(20e-6, 3), (50e-6, 1), (500e-6, 1), (2e-3, 1), (5.0, 1), (f64::INFINITY, 1)];
        assert_eq!(filled, ends);
    }
}
