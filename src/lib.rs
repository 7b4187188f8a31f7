//! wsloop: a WebSocket chat and broadcast server on one thread and one mio `Poll` loop.

pub mod chat;
pub mod clock;
pub mod connection;
pub mod http;
pub mod websocket;
