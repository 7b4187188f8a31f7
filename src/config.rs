//! What was typed, and what it means: options, their environment variables, and the limits of
//! each layer that come of them.

mod environment;
mod values;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use log::LevelFilter;

use crate::connection;
use crate::event_loop::ListenAddresses;
use crate::server::{self, Rate, Site, SlowPolicy};
use crate::websocket;
use environment::{Given, Variables};
use values::{
    parse_admin, parse_buffered_size, parse_count, parse_history, parse_host, parse_level, parse_name,
    parse_origin, parse_port, parse_positive_time, parse_queue_size, parse_rate, parse_send_buffer,
    parse_size, parse_slow, parse_time, size_text,
};

/// Files that are not clients: 32 guests of a full server, 16 connections of operators, one that is being accepted;
/// three standard streams, poll, two listeners, two for signals, the reserve; up to three for a look into /proc.
/// These are 61. (Redis keeps 32.)
const OTHER_FILES: u64 = 64;
/// Fewer clients are served only if --max-clients asks for so few: nobody wants a chat for three by mistake.
const CLIENTS_LEAST: u64 = 16;
/// Fewer are worth a word.
const CLIENTS_WARNED: u64 = 256;
/// What is advised where the limit of open files is too low.
const FILES_ADVISED: u64 = 4096;

/// A WebSocket chat and broadcast server on one thread.
///
/// Open the URL of the first log line in a browser, or connect a WebSocket client: /ROOM is a chat
/// room, /echo sends every message back, /broadcast[/TOPIC] sends it to everybody on the topic.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Options {
    /// The port to listen on; 0 takes a free one
    #[arg(long, env = "WSLOOP_PORT", value_name = "PORT", default_value = "8080", value_parser = parse_port)]
    port: u16,

    /// The address to listen on; 0.0.0.0 or :: for all of the machine's
    #[arg(long, env = "WSLOOP_HOST", value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_host)]
    host: IpAddr,

    /// The largest message, after reassembly; sizes take K or M
    #[arg(long, env = "WSLOOP_MAX_MESSAGE", value_name = "SIZE", default_value = "64K", value_parser = parse_size)]
    max_message: usize,

    /// Frames that one message may come in
    #[arg(long, env = "WSLOOP_MAX_FRAGMENTS", value_name = "N", default_value = "16384", value_parser = parse_count)]
    max_fragments: u32,

    /// Bytes that may wait for a client that reads slowly, before it is closed with 1013; at least
    /// twice --max-message [default: 1M, or twice --max-message]
    #[arg(long, env = "WSLOOP_MAX_QUEUE", value_name = "SIZE", value_parser = parse_queue_size)]
    max_queue: Option<usize>,

    /// What becomes of a client that is over --max-queue: close (with 1013), or skip (the oldest messages go,
    /// and in a room it is told how many); each may choose for itself with ?slow=
    #[arg(long, env = "WSLOOP_SLOW", value_name = "POLICY", default_value = "close", value_parser = parse_slow)]
    slow: SlowPolicy,

    /// Memory that what waits for clients may take in all; over it, those with the most waiting are closed
    /// first, or skip all [default: 256M, or twice --max-queue]
    #[arg(long, env = "WSLOOP_MAX_BUFFERED", value_name = "SIZE", value_parser = parse_buffered_size)]
    max_buffered: Option<usize>,

    /// The kernel's buffer for what one client has not taken yet; it keeps up to twice as much
    #[arg(long, env = "WSLOOP_SEND_BUFFER", value_name = "SIZE", default_value = "256K", value_parser = parse_send_buffer)]
    send_buffer: usize,

    /// Messages that a room remembers, for newcomers who ask and for those who come back; 256 KiB at most
    #[arg(long, env = "WSLOOP_HISTORY", value_name = "N", default_value = "100", value_parser = parse_history)]
    history: u32,

    /// Compress no messages, whatever clients offer
    #[arg(long, env = "WSLOOP_NO_COMPRESSION")]
    no_compression: bool,

    /// Leave messages shorter than this uncompressed
    #[arg(long, env = "WSLOOP_MIN_COMPRESS", value_name = "SIZE", default_value = "128", value_parser = parse_size)]
    min_compress: usize,

    /// Clients at the same time; more are refused with 503 [default: the open-file limit less 64]
    #[arg(long, env = "WSLOOP_MAX_CLIENTS", value_name = "N", value_parser = parse_count)]
    max_clients: Option<u32>,

    /// Clients of one address at the same time, of IPv6 of one /64; more are refused with 429 [default: no limit]
    #[arg(long, env = "WSLOOP_MAX_PER_IP", value_name = "N", value_parser = parse_count)]
    max_per_ip: Option<u32>,

    /// Messages a second of one client, and after a colon how many may come at once (for instance 10:50;
    /// twice as many if not given); who is over it is read no faster, and closed after 10 s of it [default: no limit]
    #[arg(long, env = "WSLOOP_RATE", value_name = "N[:BURST]", value_parser = parse_rate)]
    rate: Option<Rate>,

    /// From accepting a connection to its whole request; times take ms, s or m
    #[arg(long, env = "WSLOOP_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_positive_time)]
    handshake_timeout: Duration,

    /// From one ping to the next; 0 sends none
    #[arg(long, env = "WSLOOP_PING_INTERVAL", value_name = "TIME", default_value = "20s", value_parser = parse_time)]
    ping_interval: Duration,

    /// How long a pinged client may be silent before it is given up
    #[arg(long, env = "WSLOOP_PONG_TIMEOUT", value_name = "TIME", default_value = "25s", value_parser = parse_positive_time)]
    pong_timeout: Duration,

    /// How long queued messages may take to leave when the server is stopped
    #[arg(long, env = "WSLOOP_DRAIN_TIMEOUT", value_name = "TIME", default_value = "8s", value_parser = parse_time)]
    drain_timeout: Duration,

    /// Let pages of this origin connect too, for instance https://example.com; may be repeated
    #[arg(long, env = "WSLOOP_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = parse_origin)]
    origin: Vec<String>,

    /// Answer to this name in the Host header too; may be repeated
    #[arg(long, env = "WSLOOP_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    allow_host: Vec<String>,

    /// Serve /stats, /metrics and /dashboard at this address and nowhere else, for instance 127.0.0.1:9090 [default: at
    /// the same address as all]
    #[arg(long, env = "WSLOOP_ADMIN", value_name = "ADDRESS:PORT", value_parser = parse_admin)]
    admin: Option<SocketAddr>,

    /// How much to log: off, error, warn, info, debug or trace [default: RUST_LOG, or info]
    #[arg(long, env = "WSLOOP_LOG_LEVEL", value_name = "LEVEL", value_parser = parse_level)]
    log_level: Option<LevelFilter>,
}

/// What the server is to do.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub addresses: ListenAddresses,
    /// What the server may cost.
    pub limits: server::ServerLimits,
    /// The page, which hosts are answered to, and which origins may connect.
    pub site: Site,
    /// How much to log; `None` leaves it to RUST_LOG.
    pub log_level: Option<LevelFilter>,
    /// What was given and is not followed, or hardly can be meant so: to be logged when there is a log.
    pub warnings: Vec<String>,
}

/// The open-file limit does not suffice for the clients that were asked for.
#[derive(Debug)]
pub struct TooFewFiles(String);

impl fmt::Display for TooFewFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Config {
    /// Reads the command line and the environment. Usage errors and `--help` end the process here
    /// (exit codes 2 and 0).
    ///
    /// # Errors
    /// If the machine does not allow as many open files as `--max-clients` needs.
    pub fn from_arguments() -> Result<Config, TooFewFiles> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        // More open files than the usual 1,024 are the very point of an event loop.
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        match Config::read(&arguments, &std::env::vars_os().collect(), files) {
            Ok(config) => Ok(config),
            Err(Wrong::Usage(error)) => error.exit(),
            Err(Wrong::Files(error)) => Err(error),
        }
    }

    fn read(arguments: &[OsString], variables: &Variables, files: u64) -> Result<Config, Wrong> {
        let command = Options::command();
        let given = Given::read(&command, arguments, variables).map_err(Wrong::Usage)?;
        let options = Options::from_arg_matches(&given.matches).map_err(Wrong::Usage)?;
        let mut warnings = environment::warn_of_unknown(&command, variables);
        warnings.extend(warn_of_log_level(options.log_level, variables));
        Config::new(options, files, warnings).map_err(|error| match error {
            Error::Usage(text) => Wrong::Usage(
                command.clone().error(clap::error::ErrorKind::ValueValidation, given.name(&text)),
            ),
            Error::Files(text) => Wrong::Files(TooFewFiles(given.name(&text))),
        })
    }

    fn new(options: Options, files: u64, mut warnings: Vec<String>) -> Result<Config, Error> {
        let (outbox_bytes_max, buffered_bytes_max) = options.queues()?;
        let clients = options.clients(files, &mut warnings)?;
        options.check_addresses()?;
        let machine = gethostname::gethostname().to_string_lossy().into_owned();
        Ok(Config {
            addresses: ListenAddresses {
                users: SocketAddr::new(options.host, options.port),
                operators: options.admin,
                send_buffer: options.send_buffer,
            },
            limits: server::ServerLimits {
                connection: connection::ConnectionLimits {
                    websocket: websocket::MessageLimits {
                        message_bytes_max: options.max_message,
                        fragments_max: options.max_fragments,
                    },
                    handshake_timeout: options.handshake_timeout,
                    ping_interval: options.ping_interval,
                    pong_timeout: options.pong_timeout,
                    outbox_bytes_max,
                },
                // A slot has a 32-bit number.
                clients_max: usize::try_from(clients.min(1 << 31)).unwrap_or(1 << 31),
                address_clients_max: options.max_per_ip,
                rate: options.rate,
                compress_bytes_min: options.min_compress,
                history_messages_max: usize::try_from(options.history).unwrap_or(usize::MAX),
                slow: options.slow,
                buffered_bytes_max,
                drain_timeout: options.drain_timeout,
            },
            site: Site::new(
                [vec!["localhost".to_owned(), machine], options.allow_host].concat(),
                options.origin,
                !options.no_compression,
            ),
            log_level: options.log_level,
            warnings,
        })
    }
}

impl Options {
    /// What may wait for one client, and for all.
    fn queues(&self) -> Result<(usize, usize), Error> {
        let text = |bytes: usize| size_text(bytes as u64);
        let queue_least = self.max_message.saturating_mul(2);
        let queue = self.max_queue.unwrap_or(queue_least.max(1 << 20));
        if queue < queue_least {
            return Err(Error::Usage(format!(
                "--max-queue must be at least twice --max-message, here {}",
                text(queue_least)
            )));
        }
        // Double the queue may be in use before a turn ends, and the default must not fail.
        let buffered_least = queue.saturating_mul(2);
        let buffered = self.max_buffered.unwrap_or(buffered_least.max(256 << 20));
        if buffered < buffered_least {
            return Err(Error::Usage(format!(
                "--max-buffered must be at least twice --max-queue, here {}",
                text(buffered_least)
            )));
        }
        Ok((queue, buffered))
    }

    /// How many clients the open files suffice for.
    fn clients(&self, files: u64, warnings: &mut Vec<String>) -> Result<u64, Error> {
        let left = files.saturating_sub(OTHER_FILES);
        let limit = format!("the limit of open files is {files}, of which {OTHER_FILES} are not for clients");
        match self.max_clients.map(u64::from) {
            Some(clients) if clients > left => {
                let needed = clients + OTHER_FILES;
                let lower =
                    if left > 0 { format!(" or lower --max-clients to {left}") } else { String::new() };
                Err(Error::Files(format!(
                    "--max-clients {clients} needs {needed} open files, and {limit}; raise it with \
                     `ulimit -n {needed}`{lower}"
                )))
            }
            Some(clients) => Ok(clients),
            None if left < CLIENTS_LEAST => Err(Error::Files(format!(
                "{limit}: that is too few for a server; raise it with `ulimit -n {FILES_ADVISED}`{}",
                if left > 0 {
                    format!(", or ask for no more than {left} with --max-clients")
                } else {
                    String::new()
                }
            ))),
            None => {
                if left < CLIENTS_WARNED {
                    warnings.push(format!(
                        "{limit}: no more than {left} clients; raise it with `ulimit -n {FILES_ADVISED}`"
                    ));
                }
                Ok(left)
            }
        }
    }

    fn check_addresses(&self) -> Result<(), Error> {
        match self.admin {
            Some(admin) if admin.port() != 0 && (admin.ip(), admin.port()) == (self.host, self.port) => {
                Err(Error::Usage(format!("--admin is at {admin}, where --port is too; give it another port")))
            }
            _ => Ok(()),
        }
    }
}

/// RUST_LOG belongs to all programs of its environment, and may say what is meant for others: it is no error, but
/// whoever meant this one has to hear that nothing comes of it.
fn warn_of_log_level(log_level: Option<LevelFilter>, variables: &Variables) -> Option<String> {
    let (_, value) = variables.iter().find(|(name, value)| name == "RUST_LOG" && !value.is_empty())?;
    let value = value.to_string_lossy();
    (log_level.is_none() && parse_level(&value).is_err()).then(|| {
        format!(
            "RUST_LOG is {:?}, which is not understood: give off, error, warn, info, debug or trace",
            value.chars().take(100).collect::<String>()
        )
    })
}

/// Options that are well formed each, but not together, or not on this machine.
#[derive(Debug)]
enum Error {
    Usage(String),
    Files(String),
}

/// Why there is no configuration, in the words for the user.
enum Wrong {
    Usage(clap::Error),
    Files(TooFewFiles),
}

#[cfg(test)]
mod tests;
