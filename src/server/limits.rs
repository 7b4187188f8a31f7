//! What the server may cost.

use std::time::Duration;

use super::clients::Rate;
use crate::connection::{self, SlowPolicy};

/// What the server may cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// What one connection may cost.
    pub connection: connection::ConnectionLimits,
    /// Clients connected at the same time.
    pub clients_max: usize,
    /// WebSockets of one address at the same time.
    pub address_clients_max: Option<u32>,
    /// How fast one client may speak.
    pub rate: Option<Rate>,
    /// Messages shorter than this are not compressed.
    pub compress_bytes_min: usize,
    /// Messages that a room remembers.
    pub history_messages_max: usize,
    /// What becomes of clients that read too slowly, unless they say it themselves.
    pub slow: SlowPolicy,
    /// Memory that what waits for clients may take in all.
    pub buffered_bytes_max: usize,
    /// How long queued messages may take to leave when the server stops.
    pub drain_timeout: Duration,
}
