//! Clients that do nothing: what does one cost?

use std::time::{Duration, Instant};

use super::run::Run;
use crate::client::{Fleet, PING};

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    // Memory is read when all are connected and greeted.
    let mut fleet = run.connect(|_| true)?;
    run.begin_window();
    let time = Duration::from_secs_f64(run.plan.seconds);
    let started = Instant::now();
    while started.elapsed() < time {
        fleet.wait((time - started.elapsed()).min(Duration::from_millis(100)), |_, _| {})?;
        fleet.check_all_there()?;
        run.progress.set("waiting", run.share());
    }
    run.end_window(0, 0);
    call_the_roll(run, &mut fleet)
}

/// A server that serves nobody any more is as quiet as one that has nothing to do. So at last each client sends
/// a ping, which every server answers with the same bytes (RFC 6455 §5.5.3).
fn call_the_roll(run: &mut Run, fleet: &mut Fleet) -> Result<(), String> {
    for index in 0..fleet.len() {
        let bytes = run.hearing.next_ping(index);
        fleet.queue(index, PING, bytes.len(), |out| out.extend(bytes));
        fleet.flush(index);
    }
    let owed = vec![1; fleet.len()];
    run.await_rest(fleet, &owed, |_| {})?;
    run.judge_end(fleet, &owed)?;
    run.measurement.answered = Some(run.hearing.total);
    Ok(())
}
