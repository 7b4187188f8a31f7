//! What one option's text means, or what to write instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use log::LevelFilter;

use crate::http::Authority;
use crate::server::{Rate, SlowPolicy};

const MEBIBYTE: u64 = 1 << 20;
/// The largest message that can be allowed, and the most that other limits have to hold of it: a queue two, all
/// queues together two queues, and more where there is memory.
const MESSAGE_BYTES_MAX: u64 = 1024 * MEBIBYTE;
const QUEUE_BYTES_MAX: u64 = 2 * MESSAGE_BYTES_MAX;
const BUFFERED_BYTES_MAX: u64 = 64 * MESSAGE_BYTES_MAX;

/// Messages that a room may be told to remember.
const HISTORY_MAX: u32 = 10_000;

pub(super) fn parse_host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        _ => text
            .parse()
            .map_err(|_| "give an IP address, for instance 127.0.0.1, 0.0.0.0 or ::".to_owned())
            .and_then(check_unicast),
    }
}

/// The kernel lets a listener have an address of many, and nobody can ever connect to it.
fn check_unicast(address: IpAddr) -> Result<IpAddr, String> {
    let kind = match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::BROADCAST) => "broadcast",
        canonical if canonical.is_multicast() => "multicast",
        _ => return Ok(address),
    };
    Err(format!(
        "nobody can connect to a {kind} address; give one of this machine's, or 0.0.0.0 or :: for all"
    ))
}

pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    parse_size_within(text, 1, MESSAGE_BYTES_MAX)
}

pub(super) fn parse_queue_size(text: &str) -> Result<usize, String> {
    parse_size_within(text, 1, QUEUE_BYTES_MAX)
}

pub(super) fn parse_buffered_size(text: &str) -> Result<usize, String> {
    parse_size_within(text, 1, BUFFERED_BYTES_MAX)
}

/// Below, the kernel would round up without saying so (socket(7)).
pub(super) fn parse_send_buffer(text: &str) -> Result<usize, String> {
    parse_size_within(text, 4096, MESSAGE_BYTES_MAX)
}

fn parse_size_within(text: &str, least: u64, most: u64) -> Result<usize, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], MEBIBYTE),
        _ => (text, 1),
    };
    parse_number(number)
        .and_then(|number| number.checked_mul(factor))
        .filter(|size| (least..=most).contains(size))
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| {
            format!(
                "give a size from {} to {}: a whole number of bytes, or with K or M, for instance 64K",
                size_text(least),
                size_text(most)
            )
        })
}

/// A size as it can be written: 64K, 128M.
pub(super) fn size_text(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(MEBIBYTE) => format!("{}M", bytes / MEBIBYTE),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

pub(super) fn parse_admin(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "give an IP address and a port, for instance 127.0.0.1:9090 or [::1]:9090".to_owned())?;
    check_unicast(address.ip()).map(|_| address)
}

pub(super) fn parse_port(text: &str) -> Result<u16, String> {
    let port = parse_number(text).and_then(|number| u16::try_from(number).ok());
    port.ok_or_else(|| "give a port from 1 to 65535, or 0 for a free one".to_owned())
}

/// A limit that lets something through.
pub(super) fn parse_count(text: &str) -> Result<u32, String> {
    let count = parse_number(text).and_then(|number| u32::try_from(number).ok());
    count.filter(|&count| count > 0).ok_or_else(|| format!("give a whole number from 1 to {}", u32::MAX))
}

pub(super) fn parse_history(text: &str) -> Result<u32, String> {
    let count = parse_number(text).and_then(|number| u32::try_from(number).ok());
    count
        .filter(|&count| count <= HISTORY_MAX)
        .ok_or_else(|| format!("give a whole number from 0 to {HISTORY_MAX}"))
}

pub(super) fn parse_level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "give off, error, warn, info, debug or trace".to_owned())
}

pub(super) fn parse_slow(text: &str) -> Result<SlowPolicy, String> {
    SlowPolicy::from_name(text).ok_or_else(|| "give close or skip".to_owned())
}

pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    const ADVICE: &str = "give messages a second, and if you like a burst, from 1 to 1000000: 10, or 10:50";
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let number = |text: &str| {
        let number = parse_number(text).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (1..=1_000_000).contains(number)).ok_or_else(|| ADVICE.to_owned())
    };
    let per_second = number(rate)?;
    Ok(Rate { per_second, burst: burst.map_or(Ok(per_second.saturating_mul(2)), number)? })
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
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

pub(super) fn parse_positive_time(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        Duration::ZERO => Err("give more than no time, for instance 10s".to_owned()),
        time => Ok(time),
    }
}

/// Digits only: no sign, no spaces.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// An origin as browsers send it (RFC 6454 §6.2): lower case, without the scheme's own port, and nothing behind it.
/// What is only spelt otherwise is put right; what can never come from a browser is refused.
pub(super) fn parse_origin(text: &str) -> Result<String, String> {
    const ADVICE: &str =
        "give an origin as browsers send it: a scheme and a host, for instance https://example.com";
    let wrong = |why: &str| Err(format!("{why}; {ADVICE}"));
    let text = text.trim();
    if text.contains('*') {
        return wrong("there are no wildcards, each origin is listed");
    }
    if text.eq_ignore_ascii_case("null") {
        return wrong("`null` is sent by any file and any sandboxed page, so it names nobody");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Err(ADVICE.to_owned()) };
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let default_port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        "ws" | "wss" => return wrong("it is the page's own address that counts, https: rather than wss:"),
        "file" => return wrong("pages from files have no origin"),
        _ if is_scheme => None,
        _ => return Err(ADVICE.to_owned()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return wrong("an origin has no path, no query and no user");
    }
    if !rest.is_ascii() {
        return wrong("browsers send names of other scripts in their ASCII form, which begins with xn--");
    }
    let Some(Authority { host, port }) = Authority::parse(rest.as_bytes()).filter(|_| !rest.ends_with(':'))
    else {
        return Err(ADVICE.to_owned());
    };
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_ascii_lowercase(),
    };
    match port {
        Some(0) => wrong("nothing is served on port 0"),
        Some(port) if Some(port) != default_port => Ok(format!("{scheme}://{host}:{port}")),
        _ => Ok(format!("{scheme}://{host}")),
    }
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    match Authority::parse(text.as_bytes()) {
        Some(authority) if authority.port.is_none() && authority.host == text => Ok(text.to_owned()),
        _ => Err("give a host name without a port, for instance chat.example.com".to_owned()),
    }
}
