//! The load's clients: many connections on one thread and one mio `Poll`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::http::Uri;

use crate::progress::Progress;
use crate::receiver::{Incoming, Inflater, Receiver};

/// Opcodes (RFC 6455 §5.2).
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;
const PONG: u8 = 10;

/// Handshakes that are under way at the same time while connecting.
const HANDSHAKES_AT_ONCE: usize = 64;
/// The longest answer to a handshake.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct ServerUrl {
    pub(crate) address: SocketAddr,
    host: String,
    path: String,
}

impl ServerUrl {
    /// A URL such as `ws://127.0.0.1:8080/broadcast`. `{}` in its path becomes the number of each client.
    ///
    /// # Errors
    /// If it is none that can be connected to.
    pub(crate) fn new(url: &str) -> Result<ServerUrl, String> {
        const ADVICE: &str = "--url wants something like ws://127.0.0.1:8080/broadcast";
        // Braces are not allowed in a URI, and stand for a number.
        let uri: Uri =
            url.replace("{}", "%7B%7D").parse().map_err(|error| format!("{url}: {error}; {ADVICE}"))?;
        if uri.scheme_str() != Some("ws") {
            return Err(format!("{url}: only ws:// can be measured; {ADVICE}"));
        }
        let host = uri.host().ok_or_else(|| format!("{url}: no host; {ADVICE}"))?;
        let port = uri.port_u16().unwrap_or(80);
        let address = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .map_err(|error| format!("{url}: {error}; {ADVICE}"))?
            .next()
            .ok_or_else(|| format!("{url}: no address; {ADVICE}"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).replace("%7B%7D", "{}");
        Ok(ServerUrl { address, host: format!("{host}:{port}"), path })
    }

    /// The request of one client, and the key that the answer must show (RFC 6455 §4.1).
    pub(crate) fn request(&self, index: usize, compression: bool) -> (Vec<u8>, String) {
        let key = generate_key();
        let path = self.path.replace("{}", &index.to_string());
        let offer = if compression {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        } else {
            ""
        };
        let host = &self.host;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        (request.into_bytes(), derive_accept_key(key.as_bytes()))
    }
}

/// The length of a response's head, if it is whole; an error if it is not the upgrade that was asked for.
///
/// # Errors
/// With the server's status line.
pub(crate) fn check_response(bytes: &[u8], accept: &str) -> Result<Option<usize>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4) else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        return Err(format!("the server refuses: {status}"));
    }
    let is_right = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept);
    if is_right { Ok(Some(end)) } else { Err("the server's Sec-WebSocket-Accept is wrong".to_owned()) }
}

/// Appends a masked frame whose payload `write` appends. The key is fresh for each (RFC 6455 §5.3).
pub(crate) fn push_frame(opcode: u8, out: &mut Vec<u8>, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(0x80 | opcode);
    match size {
        0..126 => out.push(0x80 | u8::try_from(size).expect("below 126")),
        126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(size).expect("below 65,536").to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((size as u64).to_be_bytes());
        }
    }
    let key = fastrand::u32(..).to_ne_bytes();
    out.extend(key);
    let start = out.len();
    write(out);
    assert_eq!(out.len() - start, size, "as long as announced");
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed(u16),
    HungUp,
    Failed(io::ErrorKind),
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    receiver: Receiver,
    outbox: Vec<u8>,
    end: Option<End>,
}

/// All clients of a run.
#[derive(Debug)]
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Box<[u8]>,
    inflater: Inflater,
    /// The first that lost the server.
    lost: Option<usize>,
}

impl Fleet {
    /// Connects `count` clients. `keeps` says of which the payloads are looked at; the others' are counted. Each has
    /// its answer within the `patience`.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses.
    pub(crate) fn connect(
        server: &ServerUrl,
        count: usize,
        compression: bool,
        keeps: impl Fn(usize) -> bool,
        patience: Duration,
        progress: &Progress,
    ) -> Result<Fleet, String> {
        let failed = |error: io::Error| format!("cannot poll: {error}");
        let mut fleet = Fleet {
            poll: Poll::new().map_err(failed)?,
            events: Events::with_capacity(count.max(64)),
            clients: Vec::with_capacity(count),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            inflater: Inflater::new(),
            lost: None,
        };
        while fleet.clients.len() < count {
            let first = fleet.clients.len();
            let some = (first..count).take(HANDSHAKES_AT_ONCE);
            let begun = some
                .map(|index| begin_handshake(server, index, compression, patience))
                .collect::<Result<Vec<_>, _>>();
            let deadline = Instant::now() + patience;
            for (stream, accept) in begun.map_err(|error| format!("client {first}: {error}"))? {
                let index = fleet.clients.len();
                let mut receiver = Receiver::new(keeps(index));
                let rest = end_handshake(&stream, &accept, deadline)
                    .map_err(|error| format!("client {index}: {error}"))?;
                // What came with the answer are a chat's first lines.
                receiver.feed(&rest, &mut fleet.inflater, |_| {})?;
                stream.set_nonblocking(true).map_err(failed)?;
                let stream = TcpStream::from_std(stream);
                fleet.clients.push(Client { stream, receiver, outbox: Vec::new(), end: None });
            }
            progress.set("connecting", fleet.clients.len() as f64 / count as f64);
        }
        Ok(fleet)
    }

    /// Begins to listen to some clients. One that is not listened to never reads.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn listen(&mut self, indexes: impl Iterator<Item = usize>) -> Result<(), String> {
        for index in indexes {
            self.poll
                .registry()
                .register(
                    &mut self.clients[index].stream,
                    Token(index),
                    Interest::READABLE | Interest::WRITABLE,
                )
                .map_err(|error| format!("cannot poll client {index}: {error}"))?;
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// How a client's connection ended, if it did.
    pub(crate) fn end(&self, index: usize) -> Option<End> {
        self.clients[index].end
    }

    /// Queues a frame; [`Fleet::flush`] sends it.
    pub(crate) fn queue(&mut self, index: usize, opcode: u8, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        push_frame(opcode, &mut self.clients[index].outbox, size, write);
    }

    /// Sends what is queued, as far as the socket takes it; the rest goes when it is writable again.
    pub(crate) fn flush(&mut self, index: usize) {
        let client = &mut self.clients[index];
        while !client.outbox.is_empty() && client.end.is_none() {
            match client.stream.write(&client.outbox) {
                Ok(written) => drop(client.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => client.end = Some(End::Failed(error.kind())),
            }
        }
        if client.end.is_some() {
            self.lost.get_or_insert(index);
        }
    }

    /// Whether something waits for room in the socket.
    pub(crate) fn is_sending(&self, index: usize) -> bool {
        !self.clients[index].outbox.is_empty()
    }

    /// Waits for input, at most so long, and hands out what came. Pings are answered.
    ///
    /// # Errors
    /// If a server sends what is not WebSocket.
    pub(crate) fn wait(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(usize, &Incoming<'_>),
    ) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(format!("cannot poll: {error}"));
            }
            _ => {}
        }
        let mut writable = Vec::new();
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            if event.is_writable() && !client.outbox.is_empty() {
                writable.push(index);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                client
                    .read(event.is_read_closed(), &mut self.buffer, &mut self.inflater, |incoming| {
                        each(index, incoming);
                    })
                    .map_err(|error| format!("client {index}: {error}"))?;
                if client.end.is_some() {
                    self.lost.get_or_insert(index);
                }
                if !client.outbox.is_empty() {
                    writable.push(index);
                }
            }
        }
        writable.into_iter().for_each(|index| self.flush(index));
        Ok(())
    }

    /// Asserts that nobody was thrown out.
    ///
    /// # Errors
    /// With the first that was, and how.
    pub(crate) fn check_all_there(&self) -> Result<(), String> {
        match self.lost.and_then(|index| Some((index, self.clients[index].end?))) {
            None => Ok(()),
            Some((index, end)) => Err(format!("client {index} lost the server: {end:?}")),
        }
    }
}

impl Client {
    fn read(
        &mut self,
        is_read_closed: bool,
        buffer: &mut [u8],
        inflater: &mut Inflater,
        mut each: impl FnMut(&Incoming<'_>),
    ) -> Result<(), String> {
        while !matches!(self.end, Some(End::HungUp | End::Failed(_))) {
            let length = match self.stream.read(buffer) {
                Ok(0) => {
                    self.end.get_or_insert(End::HungUp);
                    return Ok(());
                }
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.end.get_or_insert(End::Failed(error.kind()));
                    return Ok(());
                }
            };
            let (outbox, end) = (&mut self.outbox, &mut self.end);
            self.receiver.feed(&buffer[..length], inflater, |incoming| {
                match &incoming {
                    Incoming::Ping(payload) => {
                        push_frame(PONG, outbox, payload.len(), |out| out.extend_from_slice(payload));
                    }
                    Incoming::Close(code) => *end = Some(End::Closed(*code)),
                    Incoming::Message { .. } | Incoming::Pong(_) => {}
                }
                each(&incoming);
            })?;
            if length < buffer.len() && !is_read_closed {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn begin_handshake(
    server: &ServerUrl,
    index: usize,
    compression: bool,
    patience: Duration,
) -> Result<(BlockingStream, String), String> {
    let failed = |error: io::Error| format!("cannot reach {}: {error}", server.address);
    let mut stream = BlockingStream::connect_timeout(&server.address, patience).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (request, accept) = server.request(index, compression);
    stream.write_all(&request).map_err(failed)?;
    Ok((stream, accept))
}

/// Returns what came behind the answer.
fn end_handshake(mut stream: &BlockingStream, accept: &str, deadline: Instant) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if let Some(end) = check_response(&bytes, accept)? {
            return Ok(bytes.split_off(end));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err("the answer to the handshake does not end".to_owned());
        }
        // A timeout of zero would be none.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)) {
            Ok(0) => return Err("the server hung up in the handshake".to_owned()),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if Instant::now() < deadline => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if bytes.is_empty() => {
                    return Err("no answer to the handshake in time (--patience)".to_owned());
                }
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    return Err("the answer to the handshake is not whole in time (--patience)".to_owned());
                }
                _ => return Err(format!("no answer to the handshake: {error}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let server = ServerUrl::new("ws://127.0.0.1:8080/room?name=load{}").expect("a URL");
        assert_eq!(server.address, "127.0.0.1:8080".parse().expect("an address"));
        let (request, _) = server.request(7, false);
        let request = String::from_utf8(request).expect("text");
        assert!(
            request.starts_with("GET /room?name=load7 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"),
            "{request}"
        );
        assert!(ServerUrl::new("ws://[::1]:9/").expect("a URL").address.is_ipv6());
        for bad in ["wss://127.0.0.1/", "127.0.0.1:8080", "ws://", "ws://no such host/"] {
            assert!(ServerUrl::new(bad).expect_err(bad).contains("--url wants"), "{bad}");
        }
    }

    #[test]
    fn responses() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept:  abc= \r\n\r\n\x81\x00";
        assert_eq!(check_response(good, "abc="), Ok(Some(good.len() - 2)));
        assert_eq!(check_response(&good[..40], "abc="), Ok(None));
        assert!(check_response(good, "abd=").expect_err("another key").contains("Accept"));
        let refused = check_response(b"HTTP/1.1 503 Full\r\n\r\n", "abc=").expect_err("refused");
        assert!(refused.contains("503"), "{refused}");
    }

    #[test]
    fn frames_are_masked_with_fresh_keys() {
        for size in [0, 3, 125, 126, 65_535, 65_536] {
            let mut frames = [Vec::new(), Vec::new()];
            for frame in &mut frames {
                push_frame(BINARY, frame, size, |out| out.resize(out.len() + size, b'x'));
                let header = frame.len() - size;
                assert_eq!(
                    header,
                    6 + if size < 126 {
                        0
                    } else if size < 0x1_0000 {
                        2
                    } else {
                        8
                    }
                );
                let key: [u8; 4] = frame[header - 4..header].try_into().expect("four");
                assert!(frame[header..].iter().zip(key.iter().cycle()).all(|(byte, key)| byte ^ key == b'x'));
            }
            assert_ne!(frames[0], frames[1], "a key of its own each");
        }
    }
}
