//! The `wsloop` binary: flags, logger, loop, exit code.

use std::process::ExitCode;

use log::LevelFilter;
use simple_logger::SimpleLogger;
use wsloop::config::Config;
use wsloop::event_loop;

fn main() -> ExitCode {
    let config = match Config::from_arguments() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let logger = SimpleLogger::new().with_level(LevelFilter::Info).with_utc_timestamps();
    let logger = match config.log_level {
        Some(level) => logger.with_level(level),
        None => logger.env(),
    };
    if let Err(error) = logger.init() {
        return fail(&error);
    }
    match event_loop::run(config.addresses, config.limits, config.site, &config.warnings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says on stderr why nothing goes on, whatever the log level is.
#[expect(clippy::print_stderr, reason = "the last word must be seen even if logging is off")]
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("wsloop: {error}");
    ExitCode::FAILURE
}
