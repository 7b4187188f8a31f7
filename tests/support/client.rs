//! A well-behaved client, with framing by tungstenite.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Error, Message, WebSocket};

use super::raw::PATIENCE;
use super::server::Wsloop;

/// A connected client.
pub struct Client {
    socket: WebSocket<TcpStream>,
    local: SocketAddr,
}

impl Client {
    /// Connects to `path`.
    pub fn connect(server: &Wsloop, path: &str) -> Client {
        Client::connect_with(server, path, &[]).0
    }

    /// Connects with further headers; gives the response too.
    pub fn connect_with(server: &Wsloop, path: &str, headers: &[(&str, &str)]) -> (Client, Response) {
        let mut request = server.ws_url(path).into_client_request().expect("the path makes a URL");
        for (name, value) in headers {
            request.headers_mut().append(
                HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                HeaderValue::from_str(value).expect("a header value"),
            );
        }
        let stream =
            TcpStream::connect_timeout(&server.address(), PATIENCE).expect("the server takes the connection");
        stream.set_nodelay(true).expect("a TCP socket takes it");
        stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
        let local = stream.local_addr().expect("a connected socket has one");
        let (socket, response) = tungstenite::client(request, stream)
            .unwrap_or_else(|error| panic!("the upgrade on {path} failed: {error}"));
        (Client { socket, local }, response)
    }

    /// Connects to a chat path and reads up to its own welcome, which it must be the first to get.
    pub fn join(server: &Wsloop, path: &str) -> Client {
        let mut client = Client::connect(server, path);
        let welcome = client.read_text();
        let name = path.split_once("?name=").map_or("127.0.0.1", |(_, name)| name);
        if name.is_ascii() && !name.contains(['%', '&', '+']) {
            assert_eq!(welcome, format!("Welcome {name} !"));
        } else {
            assert!(welcome.starts_with("Welcome "), "{welcome:?}");
        }
        client
    }

    /// How chat lines name this client when it gave no name.
    pub fn who(&self) -> String {
        format!("('{}', {})", self.local.ip(), self.local.port())
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec()));
    }

    /// Sends any message.
    pub fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the server takes the message");
    }

    /// Sends a close frame with code 1000; the connection ends when the answer has been read.
    pub fn send_close(&mut self) {
        self.socket
            .close(Some(tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "".into() }))
            .expect("the server takes the close frame");
    }

    /// The next message that is no ping or pong; nothing at the deadline. Panics when the connection ends.
    pub fn read_within(&mut self, within: Duration) -> Option<Message> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.get_ref().set_read_timeout(Some(left)).expect("the time left is not zero");
            match self.socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return Some(message),
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{} lost the server: {error}", self.who()),
            }
        }
    }

    /// The next message; panics when none comes.
    pub fn read(&mut self) -> Message {
        match self.read_within(PATIENCE) {
            Some(message) => message,
            None => panic!("{} got nothing in time", self.who()),
        }
    }

    /// The next message, which must be text.
    pub fn read_text(&mut self) -> String {
        match self.read() {
            Message::Text(text) => text.to_string(),
            other => panic!("text is due, not {other:?}"),
        }
    }

    /// The next message, which must be binary.
    pub fn read_binary(&mut self) -> Vec<u8> {
        match self.read() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("binary is due, not {other:?}"),
        }
    }

    /// The next chat line that somebody said; joins, counts and leaves are passed over.
    pub fn read_said(&mut self) -> String {
        loop {
            let line = self.read_text();
            if line.contains(" say: ") && !line.ends_with(" Logout") {
                return line;
            }
        }
    }

    /// The text messages up to the close, and its code; nothing if it does not come.
    pub fn read_said_or_close(&mut self) -> (Vec<String>, Option<u16>) {
        let mut lines = Vec::new();
        loop {
            match self.read_within(PATIENCE) {
                Some(Message::Text(text)) => lines.push(text.to_string()),
                Some(Message::Close(frame)) => return (lines, frame.map(|frame| frame.code.into())),
                Some(other) => panic!("text or a close is due, not {other:?}"),
                None => return (lines, None),
            }
        }
    }

    /// Code and reason of the close that comes next; finishes the close handshake.
    pub fn read_close(&mut self) -> (u16, String) {
        let (code, reason) = match self.read() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            Message::Close(None) => (1005, String::new()),
            other => panic!("a close is due, not {other:?}"),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the server ends the connection after the close handshake");
            match self.socket.read() {
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return (code, reason),
                // A reset after the close frame is an end as well.
                Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset => {
                    return (code, reason);
                }
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                other => panic!("after a close frame: {other:?}"),
            }
        }
    }
}

/// Splits `HH:MM:SS REST` and checks the form of the time.
pub fn split_time(line: &str) -> (&str, &str) {
    let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("no time in {line:?}"));
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "00:00:00", "the time in {line:?}");
    (time, rest)
}

/// A chat line without its time, of which the form is checked.
pub fn without_time(line: &str) -> &str {
    split_time(line).1
}
