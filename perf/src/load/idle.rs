//! Clients that do nothing: what does one cost?

use std::time::{Duration, Instant};

use super::Run;

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
    Ok(())
}
