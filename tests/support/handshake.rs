//! The handshake of RFC 6455 §1.3 as text, for clients that are bytes in memory.

/// The key of RFC 6455 §1.3 and what a server has to make of it.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to `SAMPLE_KEY`.
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request with that key, for `/echo`. A row of a table replaces what it is about.
pub const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The same for any path, with further header lines.
pub fn handshake(target: &str, lines: &[&str]) -> String {
    let request = HANDSHAKE.replacen("/echo", target, 1);
    let further: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{}{further}\r\n", &request[..request.len() - 2])
}

/// Where the head of a response ends, once all of it is there.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4)
}
