//! Closed loops: the next messages go when the last ones have arrived. They show what a delivery costs; their
//! rate is no capacity, since nobody is ever kept waiting.

use std::time::{Duration, Instant};

use super::run::Run;
use crate::client::Fleet;

/// What is done before the measured time begins, as a share of it.
const WARM_UP_SHARE: f64 = 0.2;

/// Senders say so many messages each; when all have heard all, the next round begins.
pub(super) fn fanout(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    let time = Duration::from_secs_f64(run.plan.seconds);
    let in_a_round = (run.plan.senders * run.plan.in_flight) as u64;
    let mut rounds = Rounds { run, fleet: &mut fleet, in_a_round, count: 0 };
    rounds.go_on(time.mul_f64(WARM_UP_SHARE), "warming up")?;
    let (count_before, heard_before) = (rounds.count, rounds.run.hearing.total);
    rounds.run.hearing.latency.reset();
    rounds.run.begin_window();
    rounds.go_on(time, "measuring")?;
    let messages = (rounds.count - count_before) * in_a_round;
    let heard = rounds.run.hearing.total - heard_before;
    rounds.run.end_window(messages, heard);
    let owed = vec![rounds.count * in_a_round; run.plan.clients];
    run.judge_end(&mut fleet, &owed)
}

struct Rounds<'a> {
    run: &'a mut Run,
    fleet: &'a mut Fleet,
    in_a_round: u64,
    count: u64,
}

impl Rounds<'_> {
    /// Whole rounds, until the time is over.
    fn go_on(&mut self, time: Duration, what: &'static str) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < time {
            self.one_round()?;
            self.run.progress.set(what, started.elapsed().div_duration_f64(time));
        }
        Ok(())
    }

    fn one_round(&mut self) -> Result<(), String> {
        for sender in 0..self.run.plan.senders {
            for _ in 0..self.run.plan.in_flight {
                self.run.say(self.fleet, sender);
            }
            self.fleet.flush(sender);
        }
        self.count += 1;
        // What each receiver has to have heard by now.
        let each = self.count * self.in_a_round;
        let wanted = each * self.fleet.len() as u64;
        let mut last_heard = Instant::now();
        while self.run.hearing.total < wanted {
            let hearing = &mut self.run.hearing;
            let before = hearing.total;
            let left = self.run.plan.patience.saturating_sub(last_heard.elapsed());
            self.fleet.wait(left.min(Duration::from_millis(500)), |index, incoming| {
                hearing.note(index, incoming);
            })?;
            self.fleet.check_all_there()?;
            if hearing.total > before {
                last_heard = Instant::now();
            } else if last_heard.elapsed() >= self.run.plan.patience {
                let index = hearing.received.iter().position(|&heard| heard < each).unwrap_or(0);
                return Err(format!(
                    "receiver {index} has {} of {each} messages: {}, or the server does not send a sender its own",
                    hearing.received[index],
                    hearing.lost(),
                ));
            }
        }
        Ok(())
    }
}

/// Each client for itself: what comes back is sent again.
pub(super) fn echo(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    for client in 0..run.plan.senders {
        (0..run.plan.in_flight).for_each(|_| run.say(&mut fleet, client));
        fleet.flush(client);
    }
    let time = Duration::from_secs_f64(run.plan.seconds);
    let began = Instant::now();
    let mut heard_before = None;
    let mut last_heard = Instant::now();
    let mut back = Vec::new();
    loop {
        if heard_before.is_none() && began.elapsed() >= time.mul_f64(WARM_UP_SHARE) {
            heard_before = Some(run.hearing.total);
            run.hearing.latency.reset();
            run.begin_window();
        }
        if heard_before.is_some() && run.started.elapsed() >= time {
            break;
        }
        let hearing = &mut run.hearing;
        fleet.wait(Duration::from_millis(100).min(time), |index, incoming| {
            back.extend(hearing.note(index, incoming).map(|_| index));
        })?;
        fleet.check_all_there()?;
        if !back.is_empty() {
            last_heard = Instant::now();
        } else if last_heard.elapsed() > run.plan.patience {
            return Err(format!("of {} clients none hears itself: {}", run.plan.senders, run.hearing.lost()));
        }
        for client in back.drain(..) {
            run.say(&mut fleet, client);
            fleet.flush(client);
        }
        run.progress.set("measuring", began.elapsed().div_duration_f64(time.mul_f64(1.0 + WARM_UP_SHARE)));
    }
    let echoes = run.hearing.total - heard_before.unwrap_or(0);
    run.end_window(echoes, echoes);
    // What is on its way at the end is owed like all else.
    let owed: Vec<u64> = run.hearing.said.iter().map(|&said| u64::from(said)).collect();
    run.await_rest(&mut fleet, &owed, |_| {})?;
    run.judge_end(&mut fleet, &owed)
}
