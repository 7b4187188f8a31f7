//! A tenth of the clients never reads. What do the others get, and what does the server keep?

use std::time::{Duration, Instant};

use super::plan::{Plan, STALLED_EVERY, due_within};
use super::run::Run;
use crate::client::{End, Fleet};
use crate::measurement::Stalled;

/// How long a server may hold the sender back beyond the schedule.
const CATCH_UP: Duration = Duration::from_secs(5);

fn is_stalled(index: usize) -> bool {
    index % STALLED_EVERY == STALLED_EVERY - 1
}

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    let mut fleet = run.connect(|index| !is_stalled(index))?;
    let plan = run.plan.clone();
    let readers = (0..plan.clients).filter(|&index| !is_stalled(index)).count() as u64;
    let interval = Duration::from_secs_f64(1.0 / plan.rate);
    let total = due_within(plan.seconds, plan.rate);
    let epoch = Instant::now();
    run.hearing.epoch = epoch;
    run.begin_window();
    let end = Duration::from_secs_f64(plan.seconds) + CATCH_UP;
    let mut sent = 0;
    while sent < total && epoch.elapsed() < end {
        // A server that cannot keep up holds the sender back; then it says less.
        while sent < total && interval * sent <= epoch.elapsed() && !fleet.is_sending(0) {
            run.say(&mut fleet, 0);
            fleet.flush(0);
            sent += 1;
        }
        let timeout = (interval * sent).saturating_sub(epoch.elapsed()).min(Duration::from_millis(100));
        let hearing = &mut run.hearing;
        fleet.wait(timeout.max(Duration::from_millis(1)), |index, incoming| {
            hearing.note(index, incoming);
        })?;
        fleet
            .check_all_there()
            .map_err(|problem| format!("a client that reads was thrown out: {problem}"))?;
        run.progress.set("measuring", epoch.elapsed().div_duration_f64(end));
    }
    // What was said is owed to those that read.
    let owed: Vec<u64> =
        (0..plan.clients).map(|index| if is_stalled(index) { 0 } else { u64::from(sent) }).collect();
    run.await_rest(&mut fleet, &owed, |_| {})?;
    run.end_window(u64::from(sent), run.hearing.total);
    let mut stalled =
        Stalled { owed: u64::from(total) * readers, delivered: run.hearing.total, ..Stalled::default() };
    let end = run.judge_end(&mut fleet, &owed);
    let woken = wake_up(&mut fleet, &plan, &mut stalled);
    run.measurement.stalled = Some(stalled);
    end.map_err(|problem| format!("a client that reads was thrown out: {problem}")).and(woken)
}

/// Those that never read do so at last, and find out how their connections ended.
fn wake_up(fleet: &mut Fleet, plan: &Plan, stalled: &mut Stalled) -> Result<(), String> {
    let sleepers: Vec<usize> = (0..plan.clients).filter(|&index| is_stalled(index)).collect();
    stalled.clients = sleepers.len();
    fleet.listen(sleepers.iter().copied())?;
    let (woken, mut last_heard) = (Instant::now(), Instant::now());
    // One that is still being served gets bytes all the time; one that was cut gets the end.
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
