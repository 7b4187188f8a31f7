//! A client that sends what it likes, and reads all of it or nothing: frames are counted, not looked into.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::frames::{CLOSE, PING, PONG, Span, TEXT, frame, span};
use super::http::Request;
use super::raw::{PATIENCE, RawClient};
use super::server::Wsloop;

/// How an attacker connects.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    pub path: &'a str,
    pub protocol: Option<&'a str>,
    /// It agrees to permessage-deflate.
    pub is_compressed: bool,
    /// It reads all that comes, as fast as it can.
    pub reads: bool,
}

/// A connected attacker.
pub struct Attacker {
    stream: TcpStream,
    heard: Arc<Heard>,
    reader: Option<JoinHandle<()>>,
}

/// What has come so far, if it reads.
#[derive(Debug, Default)]
struct Heard {
    pongs: AtomicU64,
    /// The code of a close frame.
    closed: AtomicU16,
}

impl Manner<'_> {
    /// On a path, without a subprotocol or compression, reading.
    pub fn at(path: &str) -> Manner<'_> {
        Manner { path, protocol: None, is_compressed: false, reads: true }
    }
}

impl Attacker {
    /// Connects.
    pub fn connect(server: &Wsloop, manner: Manner<'_>) -> Attacker {
        let mut request = Request::upgrade(server, manner.path);
        if let Some(protocol) = manner.protocol {
            request = request.add("Sec-WebSocket-Protocol", protocol);
        }
        if manner.is_compressed {
            request = request.add("Sec-WebSocket-Extensions", "permessage-deflate");
        }
        let mut client = RawClient::connect(server);
        client.send(&request.bytes());
        client.expect_upgraded();
        let stream = client.stream().try_clone().expect("a descriptor");
        stream.set_read_timeout(None).expect("a TCP socket takes it");
        let heard = Arc::new(Heard::default());
        let reader = manner.reads.then(|| {
            let (stream, heard) = (stream.try_clone().expect("a descriptor"), Arc::clone(&heard));
            thread::spawn(move || listen(stream, &heard))
        });
        Attacker { stream, heard, reader }
    }

    /// This client's address.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has one")
    }

    /// Sends all of it, if the server takes it within the time.
    pub fn send(&mut self, bytes: &[u8], within: Duration) -> io::Result<()> {
        self.stream.set_write_timeout(Some(within))?;
        self.stream.write_all(bytes)
    }

    /// Waits until all that was sent before was handled, or the server has ended the connection.
    pub fn settle(&mut self, within: Duration) -> bool {
        let before = self.heard.pongs.load(Ordering::Relaxed);
        if self.send(&frame(PING, b"all of it"), within).is_err() {
            return true;
        }
        let deadline = Instant::now() + within;
        while self.heard.pongs.load(Ordering::Relaxed) == before && !self.has_ended() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Floods until the server ends the connection; how long that took, or nothing when it takes too long.
    pub fn flood(&mut self, bytes: &[u8], within: Duration) -> Option<Duration> {
        let started = Instant::now();
        while started.elapsed() < within {
            match self.send(bytes, within) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return None;
                }
                Err(_) => return Some(started.elapsed()),
            }
        }
        None
    }

    /// The code of the close frame that came, if one did and it reads.
    pub fn closed(&self) -> Option<u16> {
        Some(self.heard.closed.load(Ordering::Relaxed)).filter(|code| *code != 0)
    }

    /// Whether the connection has ended, for one that reads.
    fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // The reader is asleep in the socket; it may have ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Says messages in a room until its history is full of them, and leaves.
pub fn fill_history(server: &Wsloop, room: &str, payload: &[u8], count: usize) {
    let mut speaker = RawClient::join(server, &format!("{room}?name=speaker"));
    for _ in 0..count {
        speaker.send(&frame(TEXT, payload));
        // It hears itself: one after the other, so that it is never behind.
        assert_eq!(speaker.next_frame(PATIENCE).expect("it stays").first, TEXT);
    }
}

fn listen(mut stream: TcpStream, heard: &Heard) {
    let mut buffer = vec![0; 256 * 1024];
    let mut kept = Vec::new();
    // Of a long frame the rest is passed over.
    let mut skip = 0;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let passed = skip.min(length);
        skip -= passed;
        kept.extend_from_slice(&buffer[passed..length]);
        let mut start = 0;
        // Of a control frame all is needed, of a message its length.
        while let Some(Span { first, start: from, end: to }) = span(&kept[start..])
            && (first & 0x08 == 0 || kept.len() >= start + to)
        {
            match first {
                PONG => drop(heard.pongs.fetch_add(1, Ordering::Relaxed)),
                CLOSE => {
                    let code = kept.get(start + from..start + from + 2).map(|code| [code[0], code[1]]);
                    heard.closed.store(code.map_or(1005, u16::from_be_bytes), Ordering::Relaxed);
                }
                _ => {}
            }
            start += to;
            if start > kept.len() {
                skip = start - kept.len();
                start = kept.len();
            }
        }
        kept.drain(..start);
    }
}
