//! As much of HTTP/1.1 (RFC 9112) as a WebSocket server needs: one request head in, one response
//! out, then the connection is closed or becomes a WebSocket. Bytes in, bytes out; no I/O.

mod refusal;
mod request;
mod response;

pub use refusal::Refusal;
pub use request::{Authority, HEAD_BYTES_MAX, HEADERS_MAX, HeadScanner, Request, is_token};
pub use response::Response;
