//! wsloop: a WebSocket chat and broadcast server on one thread and one mio `Poll` loop.
//!
//! From the socket upwards, each module using only those below it:
//!
//! | module | what it knows |
//! |---|---|
//! | [`config`] | what was typed and what it means |
//! | [`event_loop`] | mio's `Poll`, tokens, accept, signals, the clock |
//! | [`logging`] | the log's way to stderr, which never blocks |
//! | `process` | what the kernel knows of this process |
//! | [`server`] | a slab of clients and the six phases of a turn |
//! | [`site`] | what is at which path, and who may have it |
//! | [`forms`] | lines of text and JSON: how what happens is told, and read |
//! | [`connection`] | one peer: bytes and time in, events out |
//! | [`chat`] | rooms, topics, echo: messages in, effects out |
//! | [`broker`] | who orders and keeps what channels accept |
//! | [`websocket`] | RFC 6455 and RFC 7692, without I/O |
//! | [`delivery`] | bytes that many get, made once, with the ends of their messages |
//! | [`http`] | one request head in, one response out |
//! | [`id`] | clients and channels as small numbers |
//! | `secret` | numbers that nobody outside can foresee |
//! | [`clock`] | time as an argument |
//!
//! Below `event_loop` nothing touches a clock, a poll or a socket: the tests run the same
//! [`server::Server`] on a simulated network. `src/README.md` tells how it works and where to change what.

pub mod broker;
pub mod chat;
pub mod clock;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod event_loop;
pub mod forms;
pub mod http;
pub mod id;
pub mod logging;
mod process;
mod secret;
pub mod server;
pub mod site;
pub mod websocket;
