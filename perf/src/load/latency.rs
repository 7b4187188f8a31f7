//! An open loop: messages go by schedule, whatever has arrived. A stall of the server cannot hold back the
//! load, and what was late is late (no coordinated omission).

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::firehose::Firehose;
use super::plan::due_within;
use super::run::Run;
use crate::measurement::{Latency, histogram};
use crate::message::Message;

/// Messages of the first so many seconds are not measured.
const WARM_UP_SECONDS: f64 = 1.0;

/// When each message is due, and how late they were.
struct Schedule {
    epoch: Instant,
    interval: Duration,
    senders: u32,
    lateness: Histogram<u64>,
}

impl Schedule {
    fn due(&self, number: u32) -> Duration {
        self.interval * number
    }

    fn note(&mut self, message: Message) {
        let due = self.due(message.number * self.senders + message.sender);
        let late = self.epoch.elapsed().saturating_sub(due);
        self.lateness.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
    }
}

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    let firehose = run.plan.firehose.clone();
    let firehose = firehose.map(|url| Firehose::start(&url, &run.plan)).transpose()?;
    let warm_up = due_within(WARM_UP_SECONDS, run.plan.rate);
    // Something has to be due in the measured time.
    let total = due_within(WARM_UP_SECONDS + run.plan.seconds, run.plan.rate).max(warm_up + 1);
    let senders = u32::try_from(run.plan.senders).unwrap_or(u32::MAX);
    let epoch = Instant::now();
    run.hearing.epoch = epoch;
    let interval = Duration::from_secs_f64(1.0 / run.plan.rate);
    let mut schedule = Schedule { epoch, interval, senders, lateness: histogram() };
    let mut sent = 0;
    let mut has_begun = false;
    while sent < total {
        if !has_begun && epoch.elapsed() >= schedule.due(warm_up) {
            has_begun = true;
            run.hearing.latency.reset();
            schedule.lateness.reset();
            run.begin_window();
            // What is due from here on is measured, however late this is noticed.
            run.started = epoch + schedule.due(warm_up);
        }
        while sent < if has_begun { total } else { warm_up } && schedule.due(sent) <= epoch.elapsed() {
            let sender = (sent % senders) as usize;
            run.say(&mut fleet, sender);
            fleet.flush(sender);
            sent += 1;
        }
        let timeout = schedule.due(sent).saturating_sub(epoch.elapsed());
        let hearing = &mut run.hearing;
        fleet.wait(timeout, |index, incoming| {
            hearing.note(index, incoming).flatten().into_iter().for_each(|message| schedule.note(message));
        })?;
        fleet.check_all_there()?;
        run.progress.set("measuring", f64::from(sent) / f64::from(total));
    }
    let owed = vec![u64::from(total); run.plan.clients];
    run.await_rest(&mut fleet, &owed, |message| schedule.note(message))?;
    let warmed_up = u64::from(warm_up) * fleet.len() as u64;
    run.end_window(u64::from(total - warm_up), run.hearing.total.saturating_sub(warmed_up));
    run.measurement.scheduled_latency = Latency::of(&schedule.lateness);
    if let Some(firehose) = firehose {
        run.measurement.firehose = Some(firehose.stop()?);
        if run.measurement.firehose == Some(0) {
            run.hearing.complain("the firehose got nothing back".to_owned());
        }
    }
    run.judge_end(&mut fleet, &owed)
}
