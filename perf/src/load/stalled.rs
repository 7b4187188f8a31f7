//! A tenth of the clients never reads. What do the others get, and what does the server keep?

use std::time::{Duration, Instant};

use super::{Hearing, Plan, Run, due_within, say};
use crate::client::{End, Fleet};
use crate::measurement::{Latency, Stalled};

/// One client of so many never reads: the last of each ten.
const STALLED_EVERY: usize = 10;
/// How long the others may take to catch up after the last message.
const CATCH_UP: Duration = Duration::from_secs(5);

fn is_stalled(index: usize) -> bool {
    index % STALLED_EVERY == STALLED_EVERY - 1
}

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|index| !is_stalled(index))?;
    let plan = run.plan.clone();
    let readers = (0..plan.clients).filter(|&index| !is_stalled(index)).count();
    let interval = Duration::from_secs_f64(1.0 / plan.rate);
    let total = due_within(plan.seconds, plan.rate);
    let owed = u64::from(total) * readers as u64;
    let epoch = Instant::now();
    let mut hearing = Hearing::new(&plan, epoch);
    let mut sent = 0;
    run.begin_window();
    let end = Duration::from_secs_f64(plan.seconds) + CATCH_UP;
    while hearing.total < owed && epoch.elapsed() < end {
        // A server that cannot keep up holds the sender back; then it says less.
        while sent < total && interval * sent <= epoch.elapsed() && !fleet.is_sending(0) {
            say(&mut fleet, &plan, 0, sent, epoch.elapsed());
            fleet.flush(0);
            sent += 1;
        }
        let next = if sent < total { interval * sent } else { end };
        let timeout = next.saturating_sub(epoch.elapsed()).min(Duration::from_millis(100));
        fleet.wait(timeout.max(Duration::from_millis(1)), |index, incoming| {
            hearing.note(index, incoming);
        })?;
        run.progress.set("measuring", epoch.elapsed().div_duration_f64(end));
    }
    run.end_window(u64::from(sent), hearing.total);
    if let Err(problem) = fleet.check_all_there() {
        hearing.complain(format!("a client that reads was thrown out: {problem}"));
    }
    run.measurement.latency = Latency::of(&hearing.latency);
    let mut stalled = Stalled { owed, delivered: hearing.total, ..Stalled::default() };
    wake_up(&mut fleet, &plan, &mut stalled)?;
    run.measurement.stalled = Some(stalled);
    run.measurement.problems = hearing.into_problems();
    Ok(())
}

/// Those who never read do so at last, and find out how their connections ended.
fn wake_up(fleet: &mut Fleet, plan: &Plan, stalled: &mut Stalled) -> Result<(), String> {
    let sleepers: Vec<usize> = (0..plan.clients).filter(|&index| is_stalled(index)).collect();
    stalled.clients = sleepers.len();
    fleet.listen(sleepers.iter().copied())?;
    let (woken, mut last_heard) = (Instant::now(), Instant::now());
    // Who is still being served gets bytes all the time; who was cut gets the end.
    while last_heard.elapsed() < Duration::from_secs(1) && woken.elapsed() < plan.patience {
        fleet.wait(Duration::from_millis(200), |index, _| {
            if is_stalled(index) {
                last_heard = Instant::now();
            }
        })?;
    }
    for index in sleepers {
        let code = match fleet.end(index) {
            None => continue,
            Some(End::Closed(code)) => code.to_string(),
            Some(End::HungUp | End::Failed(_)) => "none".to_owned(),
        };
        stalled.cut += 1;
        *stalled.close_codes.entry(code).or_default() += 1;
    }
    Ok(())
}
