//! A client that sends the bytes it is told to, right or wrong, and reads frames strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::frames::{COMPRESSED, next_frame};
// What it sends and reads; each test needs a part of it.
#[allow(unused_imports)]
pub use super::frames::{
    BINARY, BINARY_START, CLOSE, CONTINUATION, CONTINUATION_END, Frame, PING, PONG, TEXT, TEXT_START, close,
    frame, header,
};
use super::http::{Request, Response, SAMPLE_ACCEPT};
use super::server::Wsloop;

/// How long anything that must come is waited for, on a machine that is busy with something else too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How much is read at once, where nothing has to stay unread.
const CHUNK_BYTES: usize = 16 * 1024;

/// A connection of which every byte is the test's own.
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl RawClient {
    /// Connects and sends nothing yet.
    pub fn connect(server: &Wsloop) -> RawClient {
        RawClient::connect_at(server.address())
    }

    /// Connects to another address that leads to the server.
    pub fn connect_at(address: SocketAddr) -> RawClient {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server takes the connection");
        // Without it the kernel would gather the bytes that a test sends one by one.
        stream.set_nodelay(true).expect("a TCP socket takes it");
        RawClient { stream, received: Vec::new(), ended: false }
    }

    /// Connects with a receive buffer of so many bytes, so that the kernel takes next to nothing for it.
    pub fn connect_narrow(server: &Wsloop, bytes: usize) -> RawClient {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
        socket.set_recv_buffer_size(bytes).expect("a TCP socket takes it");
        socket.connect(&server.address().into()).expect("the server takes the connection");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a TCP socket takes it");
        RawClient { stream, received: Vec::new(), ended: false }
    }

    /// Connects and upgrades on `path`.
    pub fn upgrade(server: &Wsloop, path: &str) -> RawClient {
        RawClient::upgrade_at(server.address(), path)
    }

    /// The same at another address that leads to the server.
    pub fn upgrade_at(address: SocketAddr, path: &str) -> RawClient {
        let mut client = RawClient::connect_at(address);
        client.send(&Request::upgrade_at(address, path).bytes());
        client.expect_upgraded();
        client
    }

    /// Upgrades on a chat path and reads its own welcome.
    pub fn join(server: &Wsloop, path: &str) -> RawClient {
        let mut client = RawClient::upgrade(server, path);
        let welcome = client.read_frame();
        assert!(welcome.text().starts_with("Welcome "), "{welcome:?}");
        client
    }

    /// Reads the response to an upgrade request that must succeed.
    pub fn expect_upgraded(&mut self) -> Response {
        let response = self.read_head();
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(
            response.header("Sec-WebSocket-Accept"),
            Some(SAMPLE_ACCEPT),
            "the answer to the sample key of RFC 6455 §1.3"
        );
        response
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// This client's side of the connection.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has one")
    }

    /// Writes all these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes the bytes");
    }

    /// Writes all these bytes to a server that may have closed already.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE))?;
        self.stream.write_all(bytes)
    }

    /// Ends this client's sending side, as a peer does that half-closes.
    pub fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the socket is connected");
    }

    /// Goes away with a reset. Linux sends one when a socket is closed while received bytes wait
    /// unread in it, so the caller makes sure that there are some and this waits for them.
    pub fn reset(self) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket takes it");
        let waiting = self.stream.peek(&mut [0]).expect("bytes come to be left unread");
        assert_eq!(waiting, 1, "the server did not end the connection before");
    }

    /// Whether something waits to be read, or the end does.
    pub fn has_received(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a TCP socket takes it");
        let waits = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).expect("a TCP socket takes it");
        waits || !self.received.is_empty()
    }

    /// Whether a close frame has come, among what has been received so far; nothing is waited for.
    pub fn has_received_close(&mut self) -> bool {
        if self.has_received() && !self.ended {
            self.receive(Instant::now() + PATIENCE);
        }
        while let Some((frame, length)) = parse_frame(&self.received) {
            self.received.drain(..length);
            if frame.first == CLOSE {
                return true;
            }
        }
        self.ended
    }

    /// Reads a response head. What follows it stays unread in the socket, for `reset`.
    pub fn read_head(&mut self) -> Response {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(head) = self.received.strip_suffix(b"\r\n\r\n") {
                let head = std::str::from_utf8(head).expect("a response head is text");
                let response = Response::parse_head(head);
                self.received.clear();
                return response;
            }
            assert!(
                self.receive_up_to(1, deadline),
                "the connection ended within the response head: {:?}",
                String::from_utf8_lossy(&self.received)
            );
        }
    }

    /// What comes up to the end of a response head, or of the connection.
    pub fn read_to_head_or_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while !self.received.ends_with(b"\r\n\r\n") && self.receive_up_to(1, deadline) {}
        std::mem::take(&mut self.received)
    }

    /// Reads a response with the body that its length announces.
    pub fn read_response(&mut self, bodiless: bool) -> Response {
        let mut response = self.read_head();
        let deadline = Instant::now() + PATIENCE;
        let length = match response.header("Content-Length") {
            _ if bodiless || matches!(response.status, 101 | 304) => 0,
            Some(length) => length.parse().expect("a length is a number"),
            None => panic!("a response says how long it is: {response:?}"),
        };
        while self.received.len() < length {
            assert!(self.receive(deadline), "the body is cut: {response:?}");
        }
        response.body = self.received.drain(..length).collect();
        response
    }

    /// Reads the next frame and panics when the connection ends instead.
    pub fn read_frame(&mut self) -> Frame {
        self.next_frame(PATIENCE).expect("a frame comes before the connection ends")
    }

    /// Reads the next frame, or nothing when the connection ended; panics when neither happens in time.
    pub fn next_frame(&mut self, within: Duration) -> Option<Frame> {
        let deadline = Instant::now() + within;
        loop {
            if let Some((frame, length)) = parse_frame(&self.received) {
                self.received.drain(..length);
                return Some(frame);
            }
            if !self.receive(deadline) {
                assert!(self.received.is_empty(), "the connection ended within a frame: {:?}", self.received);
                return None;
            }
        }
    }

    /// The next frame must be this one.
    pub fn expect_frame(&mut self, first: u8, payload: &[u8]) {
        let got = self.read_frame();
        assert!(
            got.first == first && got.payload == payload,
            "{first:#04x} with {} bytes is due, but got {:#04x} with {} bytes",
            payload.len(),
            got.first,
            got.payload.len()
        );
    }

    /// Sends a ping and expects its pong as the very next frame: proof that everything sent before
    /// was handled and that it caused no other frame.
    pub fn expect_quiet(&mut self, mark: &str) {
        self.send(&frame(PING, mark.as_bytes()));
        self.expect_frame(PONG, mark.as_bytes());
    }

    /// The next frame must be a close with this code; answers it, expects the end, returns the reason.
    pub fn expect_close(&mut self, code: u16) -> String {
        let (got, reason) = self.read_frame().close();
        assert_eq!(got, code, "close code, with the reason {reason:?}");
        // The peer may have closed its side after a violation.
        let _ = self.try_send(&frame(CLOSE, &got.to_be_bytes()));
        self.expect_end();
        reason
    }

    /// Closes with 1000, and expects the answer and the end.
    pub fn expect_close_of_ours(&mut self) -> String {
        self.send(&close(1000, ""));
        let (code, reason) = self.read_frame().close();
        assert_eq!(code, 1000, "the answer to our close: {reason:?}");
        self.expect_end();
        reason
    }

    /// Nothing more comes but the end of the connection.
    pub fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "after the last frame: {rest:?}");
    }

    /// All that still comes, to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.receive(deadline) {}
        std::mem::take(&mut self.received)
    }

    /// Reads once; false at the end of the connection, a panic at the deadline.
    fn receive(&mut self, deadline: Instant) -> bool {
        self.receive_up_to(CHUNK_BYTES, deadline)
    }

    fn receive_up_to(&mut self, bytes_max: usize, deadline: Instant) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        while !self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "nothing came in time; unfinished: {:?}",
                String::from_utf8_lossy(&self.received)
            );
            self.stream.set_read_timeout(Some(left)).expect("the time left is not zero");
            match self.stream.read(&mut chunk[..bytes_max]) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    self.received.extend(&chunk[..length]);
                    return true;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    // What came before a reset has been read; for the reader it is an end.
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.ended = true,
                    _ => panic!("cannot read: {error}"),
                },
            }
        }
        false
    }
}

/// One whole frame and its length, once it is there. Where compression was agreed on, an `Attacker` listens.
fn parse_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (frame, length) = next_frame(bytes)?;
    assert_eq!(frame.first & COMPRESSED, 0, "RFC 6455 §5.2: no compression was agreed on");
    Some((frame, length))
}
