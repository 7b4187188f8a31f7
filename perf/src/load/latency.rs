//! An open loop: messages go by schedule, whatever has arrived. A stall of the server cannot hold back the
//! load, and what was late is late (no coordinated omission).

use std::time::{Duration, Instant};

use super::firehose::Firehose;
use super::{Hearing, Run, due_within, histogram, say};
use crate::measurement::Latency;

/// Messages of the first so many seconds are not measured.
const WARM_UP: f64 = 1.0;

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|_| true)?;
    let plan = run.plan.clone();
    let firehose = plan.firehose.as_deref().map(Firehose::start).transpose()?;
    let interval = Duration::from_secs_f64(1.0 / plan.rate);
    let (warm_up, total) = (due_within(WARM_UP, plan.rate), due_within(WARM_UP + plan.seconds, plan.rate));
    let senders = u32::try_from(plan.senders.max(1)).unwrap_or(u32::MAX);
    let epoch = Instant::now();
    let due = |number: u32| interval * number;
    let mut hearing = Hearing::new(&plan, epoch);
    let mut scheduled = histogram();
    let mut sent = 0;
    let mut has_begun = false;
    let mut last_heard = Instant::now();
    while sent < total || hearing.total < u64::from(total) * fleet.len() as u64 {
        if !has_begun && epoch.elapsed() >= due(warm_up) {
            has_begun = true;
            hearing.latency.reset();
            scheduled.reset();
            run.begin_window();
        }
        while sent < if has_begun { total } else { warm_up } && due(sent) <= epoch.elapsed() {
            let sender = (sent % senders) as usize;
            say(&mut fleet, &plan, sender, sent / senders, epoch.elapsed());
            fleet.flush(sender);
            sent += 1;
        }
        let timeout =
            if sent < total { due(sent).saturating_sub(epoch.elapsed()) } else { Duration::from_secs(1) };
        let before = hearing.total;
        fleet.wait(timeout, |index, incoming| {
            if let Some(Some(message)) = hearing.note(index, incoming) {
                let number = message.number * senders + message.sender;
                let late = epoch.elapsed().saturating_sub(due(number));
                scheduled.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
            }
        })?;
        fleet.check_all_there()?;
        if hearing.total > before || sent < total {
            last_heard = Instant::now();
        } else if last_heard.elapsed() > plan.patience {
            let missing = u64::from(total) * fleet.len() as u64 - hearing.total;
            hearing.complain(format!("{missing} deliveries never came"));
            break;
        }
        run.progress.set("measuring", f64::from(sent) / f64::from(total));
    }
    run.end_window(
        u64::from(total - warm_up),
        hearing.total.saturating_sub(u64::from(warm_up) * fleet.len() as u64),
    );
    run.measurement.firehose = firehose.map(Firehose::stop).transpose()?;
    run.measurement.latency = Latency::of(&hearing.latency);
    run.measurement.scheduled_latency = Latency::of(&scheduled);
    run.measurement.problems = hearing.into_problems();
    Ok(())
}
