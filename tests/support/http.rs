//! Requests as text and their responses, one exchange a connection.

use std::net::SocketAddr;

pub use super::handshake::{SAMPLE_ACCEPT, SAMPLE_KEY};
use super::raw::RawClient;
use super::server::Wsloop;

/// A request head under construction, for cases that differ from a good one in one thing.
#[derive(Clone, Debug)]
pub struct Request {
    line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A plain request with nothing but `Host` and `Connection: close`.
    pub fn plain(server: &Wsloop, method: &str, path: &str) -> Request {
        Request {
            line: format!("{method} {path} HTTP/1.1"),
            headers: vec![
                ("Host".into(), server.address().to_string()),
                ("Connection".into(), "close".into()),
            ],
        }
    }

    /// A WebSocket upgrade that must succeed where `path` takes one.
    pub fn upgrade(server: &Wsloop, path: &str) -> Request {
        Request::upgrade_at(server.address(), path)
    }

    /// The same at another address that leads to the server.
    pub fn upgrade_at(address: SocketAddr, path: &str) -> Request {
        Request {
            line: format!("GET {path} HTTP/1.1"),
            headers: vec![
                ("Host".into(), address.to_string()),
                ("Upgrade".into(), "websocket".into()),
                ("Connection".into(), "Upgrade".into()),
                ("Sec-WebSocket-Key".into(), SAMPLE_KEY.into()),
                ("Sec-WebSocket-Version".into(), "13".into()),
            ],
        }
    }

    /// Replaces the request line.
    pub fn line(mut self, line: &str) -> Request {
        self.line = line.into();
        self
    }

    /// Replaces the value of a header, or adds the header.
    pub fn set(self, name: &str, value: &str) -> Request {
        self.without(name).add(name, value)
    }

    /// Adds a header even where one of that name is present.
    pub fn add(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    /// How many headers it has.
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    /// The head as sent, with its closing empty line.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// A response; the body is empty until `RawClient::read_response` has read it.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Parses a response head without its closing empty line.
    pub fn parse_head(head: &str) -> Response {
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("split gives at least one piece");
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let headers = lines
            .map(|line| {
                let (name, value) =
                    line.split_once(':').unwrap_or_else(|| panic!("not a header line: {line:?}"));
                (name.to_ascii_lowercase(), value.trim().to_string())
            })
            .collect();
        Response { status, headers, body: Vec::new() }
    }

    /// The value of a header that must not be there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(present, _)| present.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {self:?}");
        first
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// Gets `path` on a connection of its own.
pub fn get(server: &Wsloop, path: &str) -> Response {
    exchange(server, &Request::plain(server, "GET", path).bytes())
}

/// Sends these bytes, reads one response and checks that the server ends the connection
/// without a further byte.
pub fn exchange(server: &Wsloop, request: &[u8]) -> Response {
    let mut client = RawClient::connect(server);
    // A server that has refused already may have closed; its answer is still there to read.
    let _ = client.try_send(request);
    let bodiless = request.starts_with(b"HEAD ");
    let response = client.read_response(bodiless);
    if response.status == 101 {
        // Upgraded, which never is what was wanted here; the caller's check of the status says so.
        return response;
    }
    let rest = client.read_to_end();
    assert!(
        rest.is_empty(),
        "nothing follows the response {response:?}, but there is {:?}",
        String::from_utf8_lossy(&rest)
    );
    response
}

/// As `exchange`, and checks what every refusal has: the status, and plain text that says what to do.
pub fn refusal(server: &Wsloop, request: &[u8], status: u16) -> Response {
    let response = exchange(server, request);
    let request = String::from_utf8_lossy(&request[..request.len().min(300)]);
    assert_eq!(response.status, status, "to {request:?}: {response:?}");
    let content_type = response.header("Content-Type").unwrap_or_default();
    assert!(
        content_type.starts_with("text/plain"),
        "a refusal is plain text, not {content_type:?}: {request:?}"
    );
    assert!(
        response.text().split_whitespace().count() >= 3,
        "a refusal says what to do: {response:?} to {request:?}"
    );
    response
}
