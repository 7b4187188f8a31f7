//! Thousands of receivers on one topic: some read all, some slowly, some never. One thread, one poll.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::support::frames::{BINARY, CLOSE, PING, PONG, frame, next_frame};
use crate::support::http::Request;

/// How a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    All,
    Never,
    /// So many bytes a second.
    Slowly(usize),
}

/// What a member heard.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) reads: Reads,
    /// Messages, and those missing between them.
    pub(crate) heard: u64,
    pub(crate) missing: u64,
    last: Option<u64>,
    pub(crate) closed: Option<u16>,
    is_gone: bool,
    stream: TcpStream,
    received: Vec<u8>,
}

/// Members, who listen until they are asked what they heard.
pub(crate) struct Crowd {
    is_over: Arc<AtomicBool>,
    /// Those who never read begin to.
    is_awake: Arc<AtomicBool>,
    /// Messages heard by those who read all.
    heard: Arc<AtomicU64>,
    thread: JoinHandle<Vec<Member>>,
}

/// What a slow reader's kernel takes for it.
const RECEIVE_BUFFER: usize = 4096;

/// A message of the crowd: its number, and filling that depends on it.
pub(crate) fn message(number: u64, size: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size.max(9), number.to_be_bytes()[7]);
    frame(BINARY, &payload)
}

impl Crowd {
    /// Connects so many of each kind to a path.
    pub(crate) fn gather(address: SocketAddr, path: &str, kinds: &[(usize, Reads)]) -> Crowd {
        let request = Request::upgrade_at(address, path).bytes();
        let members: Vec<Member> = kinds
            .iter()
            .flat_map(|&(count, reads)| std::iter::repeat_n(reads, count))
            .map(|reads| Member::connect(address, &request, reads))
            .collect();
        let [is_over, is_awake] = [false; 2].map(|flag| Arc::new(AtomicBool::new(flag)));
        let heard = Arc::new(AtomicU64::new(0));
        let thread = thread::spawn({
            let (is_over, is_awake, heard) =
                (Arc::clone(&is_over), Arc::clone(&is_awake), Arc::clone(&heard));
            move || listen(members, &is_over, &is_awake, &heard)
        });
        Crowd { is_over, is_awake, heard, thread }
    }

    /// Messages that those who read all have heard so far, together.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Those who never read begin to, and find out why they were cut.
    pub(crate) fn wake(&self) {
        self.is_awake.store(true, Ordering::Relaxed);
    }

    /// Lets the slow ones catch up for a moment, and returns all.
    pub(crate) fn dismiss(self) -> Vec<Member> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("nobody heard anything wrong")
    }
}

impl Member {
    fn connect(address: SocketAddr, request: &[u8], reads: Reads) -> Member {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a descriptor");
        if reads != Reads::All {
            socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a TCP socket takes it");
        }
        socket.connect(&address.into()).expect("the server takes the connection");
        let mut stream = std::net::TcpStream::from(socket);
        stream.write_all(request).expect("the server takes the request");
        // Byte by byte: what stands behind the head is for later.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        stream.set_nonblocking(true).expect("a TCP socket takes it");
        let stream = TcpStream::from_std(stream);
        Member {
            reads,
            heard: 0,
            missing: 0,
            last: None,
            closed: None,
            is_gone: false,
            stream,
            received: Vec::new(),
        }
    }

    /// Reads at most so many bytes; returns the messages among them.
    fn read(&mut self, most: usize, buffer: &mut [u8]) -> u64 {
        let before = self.heard;
        let mut left = most;
        while left > 0 && !self.is_gone {
            let length = left.min(buffer.len());
            match self.stream.read(&mut buffer[..length]) {
                Ok(0) => self.is_gone = true,
                Ok(length) => {
                    left -= length;
                    self.take(&buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_gone = true,
            }
        }
        self.heard - before
    }

    fn take(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        let mut start = 0;
        while let Some((frame, length)) = next_frame(&self.received[start..]) {
            start += length;
            self.note(frame.first, &frame.payload);
        }
        self.received.drain(..start);
    }

    fn note(&mut self, first: u8, payload: &[u8]) {
        match first {
            BINARY => {
                let number = u64::from_be_bytes(payload[..8].try_into().expect("eight bytes"));
                let filling = payload[7];
                assert!(payload[8..].iter().all(|byte| *byte == filling), "message {number} is torn");
                if let Some(last) = self.last {
                    assert!(number > last, "message {number} behind {last}");
                    self.missing += number - last - 1;
                }
                self.last = Some(number);
                self.heard += 1;
            }
            PING => drop(self.stream.write(&frame(PONG, payload))),
            CLOSE => {
                self.closed = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                drop(self.stream.write(&frame(CLOSE, &payload[..2])));
            }
            other => panic!("a frame that begins with {other:#x}"),
        }
    }

    /// Reads what is still there, for one who has not read, until the end.
    fn read_rest(&mut self, buffer: &mut [u8]) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.is_gone && self.closed.is_none() && Instant::now() < deadline {
            if self.read(usize::MAX, buffer) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn listen(
    mut members: Vec<Member>,
    is_over: &AtomicBool,
    is_awake: &AtomicBool,
    heard: &AtomicU64,
) -> Vec<Member> {
    const TICK: Duration = Duration::from_millis(100);
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(4096);
    let mut buffer = vec![0; 256 * 1024];
    for (number, member) in members.iter_mut().enumerate().filter(|(_, member)| member.reads == Reads::All) {
        let registry = poll.registry();
        registry.register(&mut member.stream, Token(number), Interest::READABLE).expect("a socket");
    }
    let mut ticked = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(TICK / 4)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.expect("the poll works"),
        }
        for event in &events {
            let count = members[event.token().0].read(usize::MAX, &mut buffer);
            heard.fetch_add(count, Ordering::Relaxed);
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            for member in &mut members {
                match member.reads {
                    Reads::Slowly(rate) => drop(member.read(rate / 10, &mut buffer)),
                    Reads::Never if is_awake.load(Ordering::Relaxed) => {
                        member.read(usize::MAX, &mut buffer);
                    }
                    _ => {}
                }
            }
        }
    }
    for member in members.iter_mut().filter(|member| member.reads == Reads::Never) {
        member.read_rest(&mut buffer);
    }
    members
}
