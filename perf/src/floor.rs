//! The kernel floor: the least that an epoll server can do. No checks, no limits, no timers; a client that
//! speaks wrongly gets nonsense. What a real server costs above it is its own.

use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 1 << 20;
const BACKLOG: i32 = 4096;

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// To everybody, with one `send` a receiver and message.
    Direct,
    /// All messages of a wake-up joined, and one `send` a receiver.
    Batch,
    /// Back to the sender.
    Echo,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// What is done with a message.
    #[arg(long, value_enum)]
    pub(crate) mode: Mode,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
}

struct Client {
    stream: TcpStream,
    is_open: bool,
    /// The start of a frame, or of the request, whose rest has not come.
    partial: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

struct Floor {
    mode: Mode,
    poll: Poll,
    clients: Slab<Client>,
    buffer: Vec<u8>,
    /// Frames of this wake-up, for everybody.
    batch: Vec<u8>,
}

/// Serves until it is killed.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    serve(options).map_err(|error| format!("the floor on port {}: {error}", options.port))
}

fn serve(options: &Options) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], options.port)).into())?;
    socket.listen(BACKLOG)?;
    let mut listener = TcpListener::from_std(socket.into());
    let mut floor = Floor {
        mode: options.mode,
        poll: Poll::new()?,
        clients: Slab::new(),
        buffer: vec![0; BUFFER_BYTES],
        batch: Vec::new(),
    };
    let mut events = Events::with_capacity(65_536);
    floor.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?.port());
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener)?,
                Token(index) => {
                    if event.is_writable() {
                        floor.flush(index);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        floor.read(index, event.is_read_closed() || event.is_error());
                    }
                }
            }
        }
        if !floor.batch.is_empty() {
            let batch = std::mem::take(&mut floor.batch);
            floor.send_to_all(&batch);
            floor.batch = batch;
            floor.batch.clear();
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            let token = Token(self.clients.vacant_key());
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.clients.insert(Client { stream, is_open: false, partial: Vec::new(), unsent: Vec::new() });
        }
        Ok(())
    }

    fn read(&mut self, index: usize, is_over: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(client) = self.clients.get_mut(index) {
            match client.stream.read(&mut buffer) {
                Ok(0) => drop(self.clients.remove(index)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => drop(self.clients.remove(index)),
                Ok(length) => {
                    if client.partial.is_empty() {
                        let used = self.serve_frames(index, &mut buffer[..length]);
                        if let Some(client) = self.clients.get_mut(index) {
                            client.partial.extend_from_slice(&buffer[used..length]);
                        }
                    } else {
                        let mut bytes = std::mem::take(&mut client.partial);
                        bytes.extend_from_slice(&buffer[..length]);
                        let used = self.serve_frames(index, &mut bytes);
                        if let Some(client) = self.clients.get_mut(index) {
                            bytes.drain(..used);
                            client.partial = bytes;
                        }
                    }
                    if length < buffer.len() && !is_over {
                        break;
                    }
                }
            }
        }
        self.buffer = buffer;
    }

    /// Answers the handshake, serves whole frames, and says how many bytes they were.
    fn serve_frames(&mut self, index: usize, bytes: &mut [u8]) -> usize {
        let Some(client) = self.clients.get_mut(index) else { return 0 };
        let mut used = 0;
        if !client.is_open {
            let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return 0 };
            used = head + 4;
            client.is_open = true;
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                derive_accept_key(key_of(&bytes[..head]))
            );
            client.send(response.as_bytes());
        }
        let mut out = std::mem::take(&mut self.batch);
        let start = out.len();
        while let Some((header, length)) = frame_at(&bytes[used..]) {
            let frame = out.len();
            unmask(&bytes[used..used + header + length], header, &mut out);
            used += header + length;
            match self.mode {
                // A close frame is answered by hanging up, so that connections come and go.
                _ if out[frame] & 0x0F == 8 => {
                    self.clients.remove(index);
                    out.truncate(frame);
                    break;
                }
                // A ping is answered, or nobody could tell an idle floor from a dead one.
                _ if out[frame] & 0x0F == 9 => {
                    out[frame] = 0x8A;
                    if let Some(client) = self.clients.get_mut(index) {
                        client.send(&out[frame..]);
                    }
                    out.truncate(frame);
                }
                // A pong is not said to everybody.
                _ if out[frame] & 0x08 != 0 => out.truncate(frame),
                Mode::Direct => {
                    self.send_to_all(&out[frame..]);
                    out.truncate(frame);
                }
                Mode::Batch | Mode::Echo => {}
            }
        }
        if self.mode == Mode::Echo {
            if let Some(client) = self.clients.get_mut(index).filter(|_| out.len() > start) {
                client.send(&out[start..]);
            }
            out.truncate(start);
        }
        self.batch = out;
        used
    }

    fn send_to_all(&mut self, bytes: &[u8]) {
        for (_, client) in &mut self.clients {
            client.send(bytes);
        }
    }

    fn flush(&mut self, index: usize) {
        if let Some(client) = self.clients.get_mut(index)
            && !client.unsent.is_empty()
        {
            let bytes = std::mem::take(&mut client.unsent);
            client.send(&bytes);
        }
    }
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        let sent = if self.unsent.is_empty() { self.stream.write(bytes).unwrap_or(0) } else { 0 };
        if sent < bytes.len() {
            self.unsent.extend_from_slice(&bytes[sent..]);
        }
    }
}

/// Header and payload length of the whole frame at the start of `bytes`.
fn frame_at(bytes: &[u8]) -> Option<(usize, usize)> {
    let (header, length) = match *bytes.get(1)? & 0x7F {
        126 => (8, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (14, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (6, usize::from(length)),
    };
    (bytes.len() - header.min(bytes.len()) >= length && bytes.len() >= header).then_some((header, length))
}

/// Appends the same frame as a server sends it.
fn unmask(frame: &[u8], header: usize, out: &mut Vec<u8>) {
    let key = [frame[header - 4], frame[header - 3], frame[header - 2], frame[header - 1]];
    out.push(frame[0]);
    out.push(frame[1] & 0x7F);
    out.extend_from_slice(&frame[2..header - 4]);
    let start = out.len();
    out.extend_from_slice(&frame[header..]);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}

fn key_of(head: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"sec-websocket-key:";
    head.split(|&byte| byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .map_or(b"", |line| line[NAME.len()..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_and_unmasked() {
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        for short in 0..masked.len() {
            assert_eq!(frame_at(&masked[..short]), None);
        }
        assert_eq!(frame_at(masked), Some((6, 5)));
        let mut out = Vec::new();
        unmask(masked, 6, &mut out);
        assert_eq!(out, b"\x81\x05Hello");
        let mut long = vec![0x82, 0xFE, 1, 0, 0, 0, 0, 0];
        long.resize(8 + 256, b'y');
        assert_eq!(frame_at(&long), Some((8, 256)));
        out.clear();
        unmask(&long, 8, &mut out);
        assert_eq!(out[..5], [0x82, 126, 1, 0, b'y']);
    }

    #[test]
    fn the_key_is_found() {
        assert_eq!(key_of(b"GET / HTTP/1.1\r\nSEC-WebSocket-Key:  abc== \r\nHost: x"), b"abc==");
        assert_eq!(key_of(b"GET / HTTP/1.1"), b"");
    }
}
