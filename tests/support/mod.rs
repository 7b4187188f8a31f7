//! What the tests share: limits, frames, a server in memory, the built server as a process, and clients of several kinds.

// Every test binary compiles this module and uses a part of it.
#![allow(dead_code)]
// `pub` marks what a test may use; a test binary exports nothing, so all of it is unreachable.
#![allow(unreachable_pub)]

pub mod attacker;
pub mod browser;
pub mod client;
pub mod cost;
pub mod frames;
pub mod handshake;
pub mod http;
pub mod json;
pub mod key;
pub mod limits;
pub mod memory;
pub mod pointer;
pub mod random;
pub mod raw;
pub mod server;
pub mod wire;
pub mod witness;
