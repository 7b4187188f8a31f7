//! How fast one client may speak.

use std::time::Duration;

use crate::clock::Time;
use crate::id::ClientId;

/// A client that is over its rate is not read for so long at most: its pongs wait as well.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Who is held back for so long without a break is closed: it does not mean to stop.
const HELD_BACK_MAX: Duration = Duration::from_secs(10);
const MICROSECONDS: u64 = 1_000_000;

/// Messages a second, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// After a silence.
    pub burst: u32,
}

/// What each client has used, by slot. Empty where there is no limit, so that it costs nobody anything.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    rate: Option<Rate>,
    rate_limiter: Vec<Usage>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Option<Rate>) -> RateLimiter {
        RateLimiter { rate, rate_limiter: Vec::new() }
    }

    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Somebody new has this slot.
    pub(crate) fn reset(&mut self, client: ClientId) {
        if self.rate.is_none() {
            return;
        }
        if self.rate_limiter.len() <= client.index() {
            self.rate_limiter.resize(client.index() + 1, Usage::default());
        }
        self.rate_limiter[client.index()] = Usage::default();
    }

    /// Counts a message. `false`: the client has been held back for too long.
    pub(crate) fn count(&mut self, now: Time, client: ClientId) -> bool {
        self.rate.is_none_or(|rate| self.rate_limiter[client.index()].count(now, rate))
    }

    /// When the client may be read again, if that is not now.
    pub(crate) fn paused_until(&self, now: Time, client: ClientId) -> Option<Time> {
        self.rate_limiter[..].get(client.index())?.paused_until(now, self.rate?)
    }

    /// The client has something to read, and is held back. `false`: it may be read.
    pub(crate) fn hold_back(&mut self, now: Time, client: ClientId) -> bool {
        let is_paused = self.paused_until(now, client).is_some();
        if is_paused {
            self.rate_limiter[client.index()].is_waiting = true;
        }
        is_paused
    }

    /// Whether the client was held back, and is no more.
    pub(crate) fn release(&mut self, now: Time, client: ClientId) -> bool {
        let is_paused = self.paused_until(now, client).is_some();
        let usage = self.rate_limiter.get_mut(client.index()).filter(|_| !is_paused);
        usage.is_some_and(|usage| std::mem::take(&mut usage.is_waiting))
    }
}

/// What one client has used of its rate: the generic cell rate algorithm (ITU-T I.371), which needs one
/// number, the time at which all that was said would have been due.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// In microseconds.
    due: u64,
    /// For how long the client was held back since it last kept its rate, in milliseconds.
    held_back: u16,
    /// It has something to read.
    is_waiting: bool,
}

impl Usage {
    /// Counts a message. `false`: the client has been held back for too long.
    fn count(&mut self, now: Time, rate: Rate) -> bool {
        let now = microseconds(now);
        if self.due <= now {
            (self.due, self.held_back) = (now, 0);
        }
        let before = self.pause(now, rate);
        self.due += MICROSECONDS / u64::from(rate.per_second);
        let pause_max = u64::try_from(PAUSE_MAX.as_micros()).unwrap_or(u64::MAX);
        self.due = self.due.min(now + tolerance(rate) + pause_max);
        let pause = (self.pause(now, rate) - before) / 1000;
        self.held_back = self.held_back.saturating_add(u16::try_from(pause).unwrap_or(u16::MAX));
        u128::from(self.held_back) <= HELD_BACK_MAX.as_millis()
    }

    /// When the client may be read again, if that is not now.
    fn paused_until(&self, now: Time, rate: Rate) -> Option<Time> {
        let pause = self.pause(microseconds(now), rate).div_ceil(1000);
        (pause > 0).then(|| now + Duration::from_millis(pause))
    }

    /// In microseconds from now.
    fn pause(&self, now: u64, rate: Rate) -> u64 {
        self.due.saturating_sub(now + tolerance(rate))
    }
}

fn microseconds(time: Time) -> u64 {
    time.as_millis().saturating_mul(1000)
}

/// How far ahead of its time a client may be.
fn tolerance(rate: Rate) -> u64 {
    u64::from(rate.burst) * MICROSECONDS / u64::from(rate.per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    fn at(milliseconds: u64) -> Time {
        Time::from_millis(milliseconds)
    }

    /// Says as much as it may, and returns how much that was until `end`.
    fn speak(usage: &mut Usage, from: u64, end: u64) -> u64 {
        let (mut now, mut said) = (from, 0);
        while now < end {
            match usage.paused_until(at(now), RATE) {
                Some(time) => now = time.as_millis(),
                None => {
                    said += 1;
                    if !usage.count(at(now), RATE) {
                        return said;
                    }
                }
            }
        }
        said
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut usage = Usage::default();
        for _ in 0..RATE.burst {
            assert!(usage.count(at(1000), RATE));
            assert_eq!(usage.paused_until(at(1000), RATE), None);
        }
        assert!(usage.count(at(1000), RATE));
        assert_eq!(usage.paused_until(at(1000), RATE), Some(at(1100)));
        assert_eq!(usage.paused_until(at(1099), RATE), Some(at(1100)));
        assert_eq!(usage.paused_until(at(1100), RATE), None);
        let mut usage = Usage::default();
        let said = speak(&mut usage, 1000, 6000);
        assert!((55..=57).contains(&said), "{said}: 5 at once and 50 in five seconds");
    }

    #[test]
    fn who_keeps_the_rate_is_never_held_back_and_who_never_stops_is_closed() {
        let mut usage = Usage::default();
        for number in 0..10_000 {
            assert!(usage.count(at(1000 + number * 100), RATE));
            assert_eq!(usage.paused_until(at(1000 + number * 100), RATE), None);
        }
        let mut usage = Usage::default();
        let said = speak(&mut usage, 1000, 1_000_000);
        // Ten seconds of being held back.
        assert!((105..=108).contains(&said), "{said}");
        // A break in between, and it starts again.
        let mut usage = Usage::default();
        for second in 0..50 {
            let said = speak(&mut usage, second * 20_000, second * 20_000 + 9_000);
            assert!((94..=97).contains(&said), "{said}");
        }
    }

    #[test]
    fn much_at_once_pauses_for_a_while_and_no_longer() {
        let mut usage = Usage::default();
        (0..1000).for_each(|_| assert!(usage.count(at(0), RATE)));
        assert_eq!(usage.paused_until(at(0), RATE), Some(Time::from_millis(0) + PAUSE_MAX));
    }

    #[test]
    fn a_slot_starts_anew_and_without_a_limit_nothing_is_kept() {
        let client = ClientId::new(7);
        let mut rate_limiter = RateLimiter::new(Some(RATE));
        rate_limiter.reset(client);
        while rate_limiter.paused_until(at(0), client).is_none() {
            assert!(rate_limiter.count(at(0), client));
        }
        assert!(rate_limiter.hold_back(at(0), client) && !rate_limiter.release(at(99), client));
        assert!(rate_limiter.release(at(100), client) && !rate_limiter.release(at(100), client), "once");
        assert!(!rate_limiter.hold_back(at(100), client));
        assert!(rate_limiter.count(at(100), client) && rate_limiter.hold_back(at(100), client));
        rate_limiter.reset(client);
        assert_eq!(
            (rate_limiter.hold_back(at(100), client), rate_limiter.release(at(200), client)),
            (false, false)
        );

        let mut rate_limiter = RateLimiter::new(None);
        rate_limiter.reset(client);
        assert!((0..100_000).all(|_| rate_limiter.count(at(0), client)));
        assert!(!rate_limiter.hold_back(at(0), client) && rate_limiter.rate_limiter.is_empty());
    }
}
