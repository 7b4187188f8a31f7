//! Closed loops: the next messages go when the last ones have arrived. They show what a delivery costs; their
//! rate is no capacity, since nobody is ever kept waiting.

use std::time::{Duration, Instant};

use super::{Hearing, Run, say};
use crate::client::Fleet;
use crate::measurement::Latency;

/// What is done before the measured time begins, as a part of it.
const WARM_UP: f64 = 0.2;

/// Senders say so many messages each; when all have heard all, the next round begins.
pub(super) fn fanout(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    let plan = run.plan.clone();
    let epoch = Instant::now();
    let mut hearing = Hearing::new(&plan, epoch);
    let mut rounds = Rounds { run, fleet: &mut fleet, hearing: &mut hearing, epoch, round: 0 };
    rounds.go_on(Duration::from_secs_f64(plan.seconds * WARM_UP), "warming up")?;
    let (rounds_before, heard_before) = (rounds.round, rounds.hearing.total);
    rounds.hearing.latency.reset();
    rounds.run.begin_window();
    rounds.go_on(Duration::from_secs_f64(plan.seconds), "measuring")?;
    let messages = (rounds.round - rounds_before) * (plan.senders * plan.in_flight) as u64;
    let heard = rounds.hearing.total - heard_before;
    rounds.run.end_window(messages, heard);
    let each = rounds.each();
    for index in 0..hearing.received.len() {
        if hearing.received[index] != each {
            hearing
                .complain(format!("receiver {index} heard {} of {each} messages", hearing.received[index]));
        }
    }
    finish(run, &mut fleet, hearing)
}

struct Rounds<'a> {
    run: &'a mut Run,
    fleet: &'a mut Fleet,
    hearing: &'a mut Hearing,
    epoch: Instant,
    round: u64,
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

    /// What each receiver has to have heard by now.
    fn each(&self) -> u64 {
        self.round * (self.run.plan.senders * self.run.plan.in_flight) as u64
    }

    fn one_round(&mut self) -> Result<(), String> {
        let plan = &self.run.plan;
        let (senders, in_flight) = (plan.senders, plan.in_flight as u64);
        for sender in 0..senders {
            for number in self.round * in_flight..(self.round + 1) * in_flight {
                say(
                    self.fleet,
                    plan,
                    sender,
                    u32::try_from(number).unwrap_or(u32::MAX),
                    self.epoch.elapsed(),
                );
            }
            self.fleet.flush(sender);
        }
        self.round += 1;
        let each = self.each();
        let wanted = each * self.fleet.len() as u64;
        let mut last_heard = Instant::now();
        while self.hearing.total < wanted {
            let before = self.hearing.total;
            let hearing = &mut *self.hearing;
            self.fleet.wait(Duration::from_millis(500), |index, incoming| {
                hearing.note(index, incoming);
            })?;
            self.fleet.check_all_there()?;
            if self.hearing.total > before {
                last_heard = Instant::now();
            } else if last_heard.elapsed() > self.run.plan.patience {
                let index = self.hearing.received.iter().position(|&heard| heard < each).unwrap_or(0);
                return Err(format!(
                    "receiver {index} has {} of {each} messages, and nothing comes any more: they are lost, or the \
                     server does not send a sender his own",
                    self.hearing.received[index],
                ));
            }
        }
        Ok(())
    }
}

/// Each client for itself: what comes back is sent again.
pub(super) fn echo(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    let plan = run.plan.clone();
    let epoch = Instant::now();
    let mut hearing = Hearing::new(&plan, epoch);
    let mut sent = vec![0_u32; plan.clients];
    for (client, sent) in sent.iter_mut().enumerate().take(plan.senders) {
        for _ in 0..plan.in_flight {
            say(&mut fleet, &plan, client, *sent, epoch.elapsed());
            *sent += 1;
        }
        fleet.flush(client);
    }
    let warm_up = Duration::from_secs_f64(plan.seconds * WARM_UP);
    let end = warm_up + Duration::from_secs_f64(plan.seconds);
    let mut heard_before = None;
    let mut last_heard = Instant::now();
    let mut back = Vec::new();
    while epoch.elapsed() < end {
        if heard_before.is_none() && epoch.elapsed() >= warm_up {
            heard_before = Some(hearing.total);
            hearing.latency.reset();
            run.begin_window();
        }
        fleet.wait(Duration::from_millis(100), |index, incoming| {
            back.extend(hearing.note(index, incoming).map(|_| index));
        })?;
        if back.is_empty() {
            fleet.check_all_there()?;
            if last_heard.elapsed() > plan.patience {
                return Err("nothing comes back any more".to_owned());
            }
            continue;
        }
        last_heard = Instant::now();
        for client in back.drain(..) {
            say(&mut fleet, &plan, client, sent[client], epoch.elapsed());
            sent[client] += 1;
            fleet.flush(client);
        }
        run.progress.set("measuring", epoch.elapsed().div_duration_f64(end));
    }
    let echoes = hearing.total - heard_before.unwrap_or(0);
    run.end_window(echoes, echoes);
    finish(run, &mut fleet, hearing)
}

/// Nothing may come that nobody sent.
fn finish(run: &mut Run, fleet: &mut Fleet, mut hearing: Hearing) -> Result<(), String> {
    run.measurement.latency = Latency::of(&hearing.latency);
    let before = hearing.total;
    if run.measurement.scenario != "echo" {
        fleet.wait(Duration::from_millis(50), |index, incoming| {
            hearing.note(index, incoming);
        })?;
        if hearing.total > before {
            hearing.complain(format!("{} messages more than were sent", hearing.total - before));
        }
    }
    run.measurement.problems = hearing.into_problems();
    Ok(())
}
