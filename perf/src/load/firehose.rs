//! One client that sends as fast as the server reads, beside a scenario: what do the others notice?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::plan::Plan;
use crate::client::{BINARY, Fleet, ServerUrl};
use crate::progress::Progress;
use crate::receiver::Incoming;

/// Messages queued at a time: some 64 KiB with their headers.
const MESSAGES: usize = 900;
/// Of one of its messages; another where the load beside it has this size, or one could pass for the other.
const SIZES: [usize; 2] = [64, 63];

/// A thread of its own, so that the load beside it is not held up by it.
pub(super) struct Firehose {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Firehose {
    pub(super) fn start(url: &str, plan: &Plan) -> Result<Firehose, String> {
        let server = ServerUrl::new(url)?;
        let mut fleet = Fleet::connect(&server, 1, false, |_| false, plan.patience, &Progress::new(true))
            .map_err(|error| format!("--firehose: {error}"))?;
        let size = SIZES[usize::from(plan.size == SIZES[0])];
        fleet.listen(0..1)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let is_seen_over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut heard = 0;
            while !is_seen_over.load(Ordering::Relaxed) {
                if !fleet.is_sending(0) {
                    for _ in 0..MESSAGES {
                        fleet.queue(0, BINARY, size, |out| out.resize(out.len() + size, b'x'));
                    }
                    fleet.flush(0);
                }
                fleet.wait(Duration::from_millis(1), |_, incoming| {
                    heard += u64::from(matches!(incoming, Incoming::Message { .. }));
                })?;
                fleet.check_all_there()?;
            }
            Ok(heard)
        });
        Ok(Firehose { is_over, thread })
    }

    /// Ends it, and says how many of its messages came back.
    pub(super) fn stop(self) -> Result<u64, String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| "the firehose broke off".to_owned())?
            .map_err(|error| format!("firehose: {error}"))
    }
}
