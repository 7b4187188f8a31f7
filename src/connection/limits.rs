//! What a connection may cost, and how long what it does may take.

use std::time::Duration;

use crate::clock::Time;
use crate::websocket::MessageLimits;

/// The closing handshake, and the wait for a peer to hang up afterwards (Tomcat waited for ever:
/// CVE-2024-23672).
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that takes no byte for so long is cut; one that does not flood us meanwhile has the time of a slow
/// reader beside it, see [`super::Outbox::extend_patience`].
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// From a message's first byte to its last, for the first 64 KiB of it.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// What comes of a message in that time; from there on it may come as slowly as this.
const MESSAGE_BYTES_FREE: usize = 64 * 1024;
const MESSAGE_BYTES_PER_SECOND: u64 = 16 * 1024;
/// Pings and pongs a second; browsers send none of their own, libraries one in some seconds.
pub const CONTROL_FRAMES_MAX: u32 = 200;
/// A page is some 30 KB: enough for the slowest of phones.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection may cost, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// What a message may cost.
    pub websocket: MessageLimits,
    /// From accepting a connection to its whole request; not extended by bytes.
    pub handshake_timeout: Duration,
    /// From one ping to the next; zero: never.
    pub ping_interval: Duration,
    /// A peer from which nothing came for so long after a ping is dead.
    pub pong_timeout: Duration,
    /// Bytes that may wait for a peer that reads slowly.
    pub outbox_bytes_max: usize,
}

impl ConnectionLimits {
    /// The time since the ping that this pong answers, if it is one of ours. A peer can lie about it, and changes
    /// nothing but a figure.
    pub(super) fn round_trip(&self, now: Time, payload: &[u8]) -> Option<Duration> {
        let sent = Time::from_millis(u64::from_be_bytes(payload.try_into().ok()?));
        let took = now.since(sent);
        (sent <= now && took <= self.ping_interval + self.pong_timeout).then_some(took)
    }
}

/// When a message that began at a time, and of which so much is there, has taken too long.
pub(super) fn due((since, bytes): (Time, usize)) -> Time {
    let further = bytes.saturating_sub(MESSAGE_BYTES_FREE) as u64;
    since + MESSAGE_TIMEOUT + Duration::from_millis(further * 1000 / MESSAGE_BYTES_PER_SECOND)
}
