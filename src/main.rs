//! The `wsloop` binary: flags, logger, loop, exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use wsloop::config::Config;
use wsloop::event_loop;
use wsloop::logging::Logging;

fn main() -> ExitCode {
    let logging = match Logging::start() {
        Ok(logging) => logging,
        Err(error) => {
            let _ = writeln!(io::stderr(), "wsloop: cannot start the thread that writes the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&logging) {
        Ok(()) => ExitCode::SUCCESS,
        // Why nothing goes on must be seen even if logging is off.
        Err(error) => {
            logging.tell(&format_args!("wsloop: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(logging: &Logging) -> Result<(), Box<dyn Display>> {
    let config = Config::from_arguments().map_err(boxed)?;
    logging.set_level(config.log_level);
    event_loop::run(config.addresses, config.limits, config.site, &config.warnings).map_err(boxed)
}

fn boxed(error: impl Display + 'static) -> Box<dyn Display> {
    Box::new(error)
}
