//! The limits that tests start from. A test that is about a limit writes what it changes:
//! `ServerLimits { clients_max: 8, ..LIMITS }`.

use std::time::Duration;

use wsloop::connection::ConnectionLimits;
use wsloop::server::{ServerLimits, SlowPolicy};
use wsloop::websocket::MessageLimits;

/// The default of `--max-message`.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// As the command line sets them, where a process may open so many files.
pub const LIMITS: ServerLimits = ServerLimits {
    connection: ConnectionLimits {
        websocket: MessageLimits { message_bytes_max: MESSAGE_BYTES_MAX, fragments_max: 16_384 },
        handshake_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(20),
        pong_timeout: Duration::from_secs(25),
        outbox_bytes_max: 1 << 20,
    },
    clients_max: 1_000,
    address_clients_max: None,
    rate: None,
    compress_bytes_min: 128,
    history_messages_max: 100,
    slow: SlowPolicy::Close,
    buffered_bytes_max: 256 << 20,
    drain_timeout: Duration::from_secs(8),
};
