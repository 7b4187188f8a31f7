//! wsloop: a WebSocket chat and broadcast server on one thread and one mio `Poll` loop.

pub mod chat;
pub mod clock;
pub mod config;
pub mod connection;
pub mod event_loop;
pub mod http;
pub mod server;
pub mod websocket;
