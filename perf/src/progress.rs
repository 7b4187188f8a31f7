//! What is going on, on standard error; nothing where nobody looks.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

const STEPS: u64 = 1000;

/// A bar for one run.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn new(is_quiet: bool) -> Progress {
        let is_seen = !is_quiet && std::io::stderr().is_terminal();
        Progress(is_seen.then(|| {
            let style = ProgressStyle::with_template("{msg:20} {wide_bar} {percent:>3} %");
            ProgressBar::new(STEPS).with_style(style.expect("a constant that parses"))
        }))
    }

    /// Shows what is done now, and which share of it is.
    pub(crate) fn set(&self, what: &'static str, share: f64) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1,000")]
            bar.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
