//! What was typed, and what it means: options, their environment variables, and the limits of
//! each layer that come of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use log::LevelFilter;

use crate::connection;
use crate::event_loop::Addresses;
use crate::server::{self, Rate, Site, Slow};
use crate::websocket;

/// Files that are not clients: 32 guests of a full server, 16 connections of operators, one that is being accepted;
/// three standard streams, poll, two listeners, two for signals, the reserve; up to three for a look into /proc.
/// These are 61. (Redis keeps 32.)
const OTHER_FILES: u64 = 64;
/// The largest message that can be allowed.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// A WebSocket chat and broadcast server on one thread.
///
/// Open the URL of the first log line in a browser, or connect a WebSocket client: /ROOM is a chat
/// room, /echo sends every message back, /broadcast[/TOPIC] sends it to everybody on the topic.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Options {
    /// The port to listen on; 0 takes a free one
    #[arg(long, env = "WSLOOP_PORT", value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// The address to listen on; 0.0.0.0 or :: for all of the machine's
    #[arg(long, env = "WSLOOP_HOST", value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_host)]
    host: IpAddr,

    /// The largest message, after reassembly; sizes take K or M
    #[arg(long, env = "WSLOOP_MAX_MESSAGE", value_name = "SIZE", default_value = "64K", value_parser = parse_size)]
    max_message: usize,

    /// Frames that one message may come in
    #[arg(long, env = "WSLOOP_MAX_FRAGMENTS", value_name = "N", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..))]
    max_fragments: u32,

    /// Bytes that may wait for a client that reads slowly, before it is closed with 1013; at least
    /// twice --max-message [default: 1M, or twice --max-message]
    #[arg(long, env = "WSLOOP_MAX_QUEUE", value_name = "SIZE", value_parser = parse_size)]
    max_queue: Option<usize>,

    /// What becomes of a client that is over --max-queue: close (with 1013), or skip (the oldest messages go,
    /// and in a room it is told how many); each may choose for itself with ?slow=
    #[arg(long, env = "WSLOOP_SLOW", value_name = "POLICY", default_value = "close", value_parser = parse_slow)]
    slow: Slow,

    /// Memory that what waits for clients may take in all; over it, those with the most waiting are closed
    /// first, or skip all [default: 256M, or twice --max-queue]
    #[arg(long, env = "WSLOOP_MAX_BUFFERED", value_name = "SIZE", value_parser = parse_size)]
    max_buffered: Option<usize>,

    /// The kernel's buffer for what one client has not taken yet; it keeps up to twice as much
    #[arg(long, env = "WSLOOP_SEND_BUFFER", value_name = "SIZE", default_value = "256K", value_parser = parse_send_buffer)]
    send_buffer: usize,

    /// Messages that a room remembers, for newcomers who ask and for those who come back; 256 KiB at most
    #[arg(long, env = "WSLOOP_HISTORY", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=10_000))]
    history: u32,

    /// Compress no messages, whatever clients offer
    #[arg(long, env = "WSLOOP_NO_COMPRESSION", value_parser = clap::builder::FalseyValueParser::new())]
    no_compression: bool,

    /// Leave messages shorter than this uncompressed
    #[arg(long, env = "WSLOOP_MIN_COMPRESS", value_name = "SIZE", default_value = "128", value_parser = parse_size)]
    min_compress: usize,

    /// Clients at the same time; more are refused with 503 [default: the open-file limit less 64]
    #[arg(long, env = "WSLOOP_MAX_CLIENTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: Option<u32>,

    /// Clients of one address at the same time, of IPv6 of one /64; more are refused with 429 [default: no limit]
    #[arg(long, env = "WSLOOP_MAX_PER_IP", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
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
    #[arg(long, env = "WSLOOP_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
}

/// What the server is to do.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub addresses: Addresses,
    /// What the server may cost.
    pub limits: server::Limits,
    /// The page, which hosts are answered to, and which origins may connect.
    pub site: Site,
    /// How much to log; `None` leaves it to RUST_LOG.
    pub log_level: Option<LevelFilter>,
}

/// The open-file limit does not suffice for the clients that were asked for.
#[derive(Debug)]
pub struct TooFewFiles {
    clients: u64,
    files: u64,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFewFiles { clients, files } = self;
        let needed = clients + OTHER_FILES;
        write!(
            formatter,
            "{clients} clients need {needed} open files, but the limit is {files}; \
             raise it with `ulimit -n {needed}` or lower --max-clients"
        )
    }
}

impl Config {
    /// Reads the command line and the environment. Usage errors and `--help` end the process here
    /// (exit codes 2 and 0).
    ///
    /// # Errors
    /// If the machine does not allow as many open files as `--max-clients` needs.
    pub fn from_arguments() -> Result<Config, TooFewFiles> {
        let options = Options::parse();
        // More open files than the usual 1,024 are the very point of an event loop.
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        Config::new(options, files).unwrap_or_else(|error| error.exit())
    }

    fn new(options: Options, files: u64) -> Result<Result<Config, TooFewFiles>, UsageError> {
        let queue_bytes_least = options.max_message.saturating_mul(2);
        let outbox_bytes_max = options.max_queue.unwrap_or(queue_bytes_least.max(1 << 20));
        if outbox_bytes_max < queue_bytes_least {
            return Err(UsageError(format!(
                "--max-queue must be at least twice --max-message, here {queue_bytes_least}"
            )));
        }
        // Double the queue may be in use before a turn ends, and the default must not fail.
        let buffered_least = outbox_bytes_max.saturating_mul(2);
        let buffered_bytes_max = options.max_buffered.unwrap_or(buffered_least.max(256 << 20));
        if buffered_bytes_max < buffered_least {
            return Err(UsageError(format!(
                "--max-buffered must be at least twice --max-queue, here {buffered_least}"
            )));
        }
        let clients = options.max_clients.map_or(files.saturating_sub(OTHER_FILES).max(1), u64::from);
        if clients.saturating_add(OTHER_FILES) > files && options.max_clients.is_some() {
            return Ok(Err(TooFewFiles { clients, files }));
        }
        let machine = gethostname::gethostname().to_string_lossy().into_owned();
        Ok(Ok(Config {
            addresses: Addresses {
                users: SocketAddr::new(options.host, options.port),
                operators: options.admin,
                send_buffer: options.send_buffer,
            },
            limits: server::Limits {
                connection: connection::Limits {
                    websocket: websocket::Limits {
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
        }))
    }
}

/// Options that are well formed each, but not together.
#[derive(Debug)]
struct UsageError(String);

impl UsageError {
    fn exit(self) -> ! {
        Options::command().error(clap::error::ErrorKind::ValueValidation, self.0).exit()
    }
}

fn parse_host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        _ => text.parse().map_err(|_| "give an IP address, for instance 127.0.0.1, 0.0.0.0 or ::".to_owned()),
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    parse_number(number)
        .and_then(|number| number.checked_mul(factor))
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (1..=MESSAGE_BYTES_MAX * 2).contains(size))
        .ok_or_else(|| {
            "give a size from 1 to 2048M: a whole number of bytes, or with K or M, for instance 64K"
                .to_owned()
        })
}

/// Below, the kernel would round up without saying so (socket(7)).
fn parse_send_buffer(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        size @ 4096..=0x4000_0000 => Ok(size),
        _ => Err("give a size from 4K to 1024M".to_owned()),
    }
}

fn parse_admin(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse()
        .map_err(|_| "give an IP address and a port, for instance 127.0.0.1:9090 or [::1]:9090".to_owned())
}

fn parse_slow(text: &str) -> Result<Slow, String> {
    Slow::from_name(text).ok_or_else(|| "give close or skip".to_owned())
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    const ADVICE: &str = "give messages a second, and if you like a burst, from 1 to 1000000: 10, or 10:50";
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let number = |text: &str| {
        let number = parse_number(text).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (1..=1_000_000).contains(number)).ok_or_else(|| ADVICE.to_owned())
    };
    let per_second = number(rate)?;
    Ok(Rate { per_second, burst: burst.map_or(Ok(per_second.saturating_mul(2)), number)? })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, factor) = if text == "0" {
        ("0", 1)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1000)
    } else {
        (text.strip_suffix('m').unwrap_or_default(), 60_000)
    };
    parse_number(number)
        .and_then(|number| number.checked_mul(factor))
        .map(Duration::from_millis)
        .ok_or_else(|| "give a time: a whole number with ms, s or m, for instance 10s".to_owned())
}

fn parse_positive_time(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        Duration::ZERO => Err("give more than no time, for instance 10s".to_owned()),
        time => Ok(time),
    }
}

/// Digits only: no sign, no spaces.
fn parse_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_origin(text: &str) -> Result<String, String> {
    let origin = text.strip_suffix('/').unwrap_or(text);
    match origin.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() && !rest.contains(['/', ' ']) => {
            Ok(origin.to_owned())
        }
        _ => Err("give an origin as browsers send it: a scheme and a host, for instance https://example.com"
            .to_owned()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    match crate::http::Authority::parse(text.as_bytes()) {
        Some(authority) if authority.port.is_none() && authority.host == text => Ok(text.to_owned()),
        _ => Err("give a host name without a port, for instance chat.example.com".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        let arguments = std::iter::once(&"wsloop").chain(arguments);
        let options = Options::try_parse_from(arguments).map_err(|error| error.to_string())?;
        match Config::new(options, 1000) {
            Err(UsageError(text)) => Err(text),
            Ok(result) => result.map_err(|error| error.to_string()),
        }
    }

    #[test]
    fn the_declaration_holds_together() {
        Options::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let config = config(&[]).expect("defaults are valid");
        assert_eq!(config.addresses.users.to_string(), "127.0.0.1:8080");
        let limits = config.limits.connection;
        assert_eq!(limits.websocket.message_bytes_max, 65_536);
        assert_eq!(limits.websocket.fragments_max, 16_384);
        assert_eq!(limits.outbox_bytes_max, 1 << 20);
        assert_eq!(config.limits.clients_max, 936);
    }

    #[test]
    fn sizes_and_times() {
        for (text, wanted) in [
            ("1", Some(1)),
            ("64K", Some(65_536)),
            ("2m", Some(2 << 20)),
            ("2048M", Some(2 << 30)),
            ("2049M", None),
            ("0", None),
            ("", None),
            ("K", None),
            ("-1", None),
            ("+1", None),
            ("1.5M", None),
            ("64KB", None),
            ("99999999999999999999M", None),
        ] {
            assert_eq!(parse_size(text).ok(), wanted, "{text:?}");
        }
        for (text, wanted) in [
            ("0", Some(0)),
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("2m", Some(120_000)),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1h", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text).ok(), wanted.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn the_queue_follows_the_message_and_is_never_too_small_for_it() {
        let queue =
            |arguments: &[&str]| config(arguments).map(|config| config.limits.connection.outbox_bytes_max);
        assert_eq!(queue(&["--max-message", "16M"]), Ok(32 << 20));
        assert_eq!(queue(&["--max-message", "16M", "--max-queue", "32M"]), Ok(32 << 20));
        assert!(
            queue(&["--max-message", "1M", "--max-queue", "1M"]).expect_err("too small").contains("twice")
        );
    }

    #[test]
    fn what_cannot_be_is_said_with_what_to_do() {
        for (arguments, word) in [
            (["--max-clients", "937"], "ulimit -n 1001"),
            (["--port", "65536"], "--port"),
            (["--host", "example.com"], "IP address"),
            (["--admin", "9090"], "IP address and a port"),
            (["--max-message", "64X"], "with K or M"),
            (["--ping-interval", "20"], "for instance 10s"),
            (["--handshake-timeout", "0"], "more than no time"),
            (["--pong-timeout", "0s"], "more than no time"),
            (["--origin", "example.com"], "https://example.com"),
            (["--origin", "https://example.com/page"], "https://example.com"),
            (["--allow-host", "a:80"], "without a port"),
            (["--log-level", "loud"], "--log-level"),
        ] {
            let error = config(&arguments).expect_err(arguments[1]);
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
        assert_eq!(config(&["--max-clients", "936"]).expect("just enough").limits.clients_max, 936);
        assert_eq!(parse_origin("https://a.example/").as_deref(), Ok("https://a.example"));
    }
}
