//! What goes wrong in a run, drawn from its seed: each run has some of it, so that nothing hides behind
//! something else. From a certain time on nothing goes wrong any more: what is owed then has to arrive.

use wsloop::server::{Rate, ServerLimits, SlowPolicy};

use crate::client::{Client, Ending, Pace, Stage, Wish};
use crate::driver::Driver;
use crate::network::Weather;
use crate::support::random::Random;

/// The faults of a run.
#[derive(Debug)]
pub(crate) struct Swarm {
    random: Random,
    /// The process stands still now and then, for up to so many milliseconds.
    pauses: Option<usize>,
    /// The links of some clients go down for moments.
    holes: bool,
    /// The time of day jumps.
    wall_jumps: bool,
    /// When all this is over, in milliseconds; the end of the pause of this moment.
    heals_at: u64,
    pub(crate) has_healed: bool,
    pub(crate) paused_until: u64,
}

/// How long a link is down at most. Who takes nothing for ten seconds is closed for a reason, and a closing
/// handshake has five.
const HOLE_MAX: usize = 3_000;

impl Swarm {
    /// Draws the faults of a seed, apart from everything else that is drawn.
    pub(crate) fn new(seed: u64, may_pause: bool) -> Swarm {
        let mut random = Random::new(seed ^ 0x5EED_0F5A_A5F0_DEE5);
        let pauses = (may_pause && random.chance(20)).then(|| *random.pick(&[300, 12_000, 90_000]));
        let heals_at = *random.pick(&[0_u64, 50, 500, 5_000]);
        Swarm {
            pauses,
            holes: random.chance(25),
            wall_jumps: random.chance(20),
            heals_at,
            has_healed: false,
            paused_until: 0,
            random,
        }
    }

    /// ServerLimits that matter in some runs only.
    pub(crate) fn limit(
        &mut self,
        limits: &mut ServerLimits,
        clients: &mut [Client],
        driver_faults: &mut Faults,
    ) {
        if self.random.chance(20) {
            let (per_second, burst) = *self.random.pick(&[(200, 1), (500, 3), (5000, 50)]);
            limits.rate = Some(Rate { per_second, burst });
        }
        if self.random.chance(30) {
            limits.slow = SlowPolicy::Skip;
        }
        for client in clients.iter_mut() {
            let chosen = self.random.chance(30).then(|| *self.random.pick(&["close", "skip"]));
            client.slow = chosen;
            let skips = if limits.slow == SlowPolicy::Skip {
                chosen != Some("close")
            } else {
                chosen == Some("skip")
            };
            client.skips = skips;
            if matches!(client.wish, Wish::Room(_)) && self.random.chance(30) {
                client.is_json = true;
                client.name = Some(format!("guest{}", client.number));
                // The word is one like any other there.
                if client.ending == Ending::Quit {
                    client.ending = Ending::Close(1000);
                }
            }
        }
        if self.random.chance(25) {
            driver_faults.accept_errors = *self.random.pick(&[5, 30, 60]);
        }
        if self.random.chance(10) {
            driver_faults.files_max = self.random.between(2, clients.len() + 1);
        }
    }

    /// Does what goes wrong at this moment, until all is well again.
    pub(crate) fn act(&mut self, driver: &mut Driver, clients: &mut [Client]) {
        if self.has_healed {
            return;
        }
        if driver.time >= self.heals_at && self.paused_until <= driver.time {
            return self.heal(driver, clients);
        }
        if let Some(most) = self.pauses.filter(|_| self.paused_until <= driver.time)
            && self.random.below(60) == 0
        {
            self.paused_until = driver.time + self.random.between(1, most) as u64;
        }
        if self.wall_jumps && self.random.below(40) == 0 {
            driver.wall_offset = self.random.between(0, 172_800) as i64 - 86_400;
        }
        for client in clients.iter_mut() {
            let Some(link) = client.link.filter(|_| client.stage != Stage::Gone) else { continue };
            if client.hole_until != 0 {
                driver.network.borrow_mut().set_down(link, driver.time < client.hole_until);
            } else if self.holes && self.random.below(80) == 0 {
                client.hole_until = driver.time + self.random.between(1, HOLE_MAX) as u64;
                driver.network.borrow_mut().set_down(link, true);
            }
        }
    }

    /// When something changes by itself.
    pub(crate) fn next_time(&self, time: u64, clients: &[Client]) -> u64 {
        let holes = clients.iter().map(|client| client.hole_until).filter(|until| *until > time).min();
        let heals_at = if self.has_healed { u64::MAX } else { self.heals_at.max(time) };
        heals_at.min(holes.unwrap_or(u64::MAX))
    }

    fn heal(&mut self, driver: &mut Driver, clients: &mut [Client]) {
        self.has_healed = true;
        driver.network.borrow_mut().weather = Weather::default();
        driver.door.faults = Faults::default();
        for client in clients {
            client.hole_until = client.hole_until.min(driver.time);
            if let Some(link) = client.link {
                driver.network.borrow_mut().set_down(link, false);
            }
        }
    }
}

/// What goes wrong where connections are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Descriptors that clients and the reserve may have.
    pub(crate) files_max: usize,
    /// Of a hundred attempts to accept so many fail.
    pub(crate) accept_errors: usize,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults { files_max: usize::MAX, accept_errors: 0 }
    }
}

/// Where queues are short, only who does not read, or skips, may miss something: all others take everything
/// at once.
pub(crate) fn talk_much_and_read_all(client: &mut Client) {
    client.messages_left *= 2;
    client.typical_bytes = 400;
    if matches!(client.pace, Pace::Eager | Pace::Slow | Pace::Dribble) && !client.skips {
        client.pace = Pace::Eager;
        client.window = 1 << 20;
    }
}
