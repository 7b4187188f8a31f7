//! A stream that seals what is written into records, as TLS does, and hides nothing: it takes the contract of
//! `server::Stream` at its word, and panics where the server breaks it. The client's side opens the records naively,
//! and shares no code with it.
//!
//! Both sides say `hello` first, in four bytes. Then come records: length (2), kind (1), checksum (4), content. The
//! content is masked with the record's number and the number of its key; a record that is torn, doubled, in another
//! order or under another key does not open.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use wsloop::server::Stream;

use crate::network::{Network, SimulatedStream, Taken};
use crate::support::random::Random;

/// So much longer if a stream has something to say itself: while nothing else waits nobody misses anything, until a ping
/// does.
pub(crate) const STALL_OF_RECORDS: u64 = 20_000;
const RECORD_BYTES_MAX: usize = 16 * 1024;
const HEADER_BYTES: usize = 7;
const CLIENT_HELLO: [u8; 4] = *b"helo";
const SERVER_HELLO: [u8; 4] = *b"HELO";
/// Half of what a handshake may take.
const HELLO_MILLIS_MAX: u64 = 5_000;
const DATA: u8 = 0;
/// The next record of this direction is under another key, and so is to be the next one of the other direction.
const KEY_UPDATE: u8 = 1;
const GOODBYE: u8 = 2;

// ---------------------------------------------------------------- the server's side

/// A simulated socket, with records or without.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: SimulatedStream,
    session: Option<Session>,
}

/// What a sealing stream keeps.
#[derive(Debug)]
struct Session {
    is_shaking: bool,
    record_bytes_max: usize,
    sealer: Key,
    opener: Key,
    /// What was read and is no whole record.
    sealed: Vec<u8>,
    /// What was opened and not asked for yet.
    opened: Vec<u8>,
    /// The last read has emptied the socket.
    is_emptied: bool,
    has_ended: bool,
    /// The rest of a record that has left in part, and all that is in it.
    tail: Vec<u8>,
    tail_content: Vec<u8>,
    /// What the stream has to say itself; it goes behind the tail.
    own: Vec<u8>,
    said_goodbye: bool,
    has_moved: bool,
}

/// What the next record is masked with.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    key: u8,
    number: u32,
}

impl Key {
    fn mask(self, place: usize) -> u8 {
        let low = (self.number as usize * 31 + place * 7) % 256;
        self.key.wrapping_mul(13) ^ u8::try_from(low).expect("below 256") ^ 0x5A
    }

    fn check(self, kind: u8, content: &[u8]) -> u32 {
        let sum = |sum: u32, byte: &u8| sum.rotate_left(5) ^ u32::from(*byte);
        content.iter().fold(self.number.wrapping_mul(257) ^ u32::from(kind) << 24 ^ u32::from(self.key), sum)
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("a record is small");
        let mut record = length.to_be_bytes().to_vec();
        record.push(kind);
        record.extend(self.check(kind, content).to_be_bytes());
        record.extend(content.iter().enumerate().map(|(place, byte)| byte ^ self.mask(place)));
        self.advance(kind);
        record
    }

    /// The first record and its length, if all of it is there.
    fn open(&mut self, bytes: &[u8]) -> io::Result<Option<(u8, Vec<u8>, usize)>> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[0], header[1]]));
        let Some(content) = rest.get(..length) else { return Ok(None) };
        let content: Vec<u8> = content.iter().enumerate().map(|(at, byte)| byte ^ self.mask(at)).collect();
        if self.check(header[2], &content).to_be_bytes() != header[3..] {
            return Err(ErrorKind::InvalidData.into());
        }
        self.advance(header[2]);
        Ok(Some((header[2], content, HEADER_BYTES + length)))
    }

    fn advance(&mut self, kind: u8) {
        self.number += 1;
        self.key = self.key.wrapping_add(u8::from(kind == KEY_UPDATE));
    }
}

impl Transport {
    pub(crate) fn plain(socket: SimulatedStream) -> Transport {
        Transport { socket, session: None }
    }

    pub(crate) fn sealing(socket: SimulatedStream, random: &mut Random) -> Transport {
        let session = Session {
            is_shaking: true,
            record_bytes_max: *random.pick(&[RECORD_BYTES_MAX, 700, 90]),
            sealer: Key::default(),
            opener: Key::default(),
            sealed: Vec::new(),
            opened: Vec::new(),
            is_emptied: false,
            has_ended: false,
            tail: Vec::new(),
            tail_content: Vec::new(),
            own: Vec::new(),
            said_goodbye: false,
            has_moved: false,
        };
        Transport { socket, session: Some(session) }
    }

    pub(crate) fn register(&self, token: usize) {
        self.socket.register(token);
    }
}

/// Writes until all is gone. `false`: the socket is full.
fn push(socket: &mut SimulatedStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(length) => {
                let is_full = length < bytes.len();
                bytes.drain(..length);
                return Ok(!is_full);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl Session {
    fn write(&mut self, socket: &mut SimulatedStream, offered: &[u8]) -> io::Result<usize> {
        self.has_moved = false;
        assert!(!self.is_shaking, "nothing is written before the handshake is over");
        assert!(!self.said_goodbye, "nothing is written behind the goodbye");
        let mut taken = 0;
        if !self.tail.is_empty() {
            let again = offered.get(..self.tail_content.len());
            assert_eq!(
                again,
                Some(&*self.tail_content),
                "what is sealed is offered again, unchanged and first"
            );
            let before = self.tail.len();
            if !push(socket, &mut self.tail)? {
                self.has_moved = self.tail.len() < before;
                return Err(ErrorKind::WouldBlock.into());
            }
            taken = self.tail_content.len();
            self.tail_content.clear();
        }
        // What else it has to say stands before the next record.
        let mut has_room = taken == offered.len() || push(socket, &mut self.own)?;
        while has_room && taken < offered.len() {
            let content = &offered[taken..(taken + self.record_bytes_max).min(offered.len())];
            let mut record = self.sealer.seal(DATA, content);
            let length = record.len();
            has_room = push(socket, &mut record)?;
            if record.is_empty() {
                taken += content.len();
            } else {
                self.has_moved = record.len() < length;
                (self.tail, self.tail_content) = (record, content.to_vec());
            }
        }
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Opens what is whole.
    fn open(&mut self) -> io::Result<()> {
        if self.is_shaking {
            if self.sealed.len() < CLIENT_HELLO.len() {
                return Ok(());
            }
            assert!(self.sealed.starts_with(&CLIENT_HELLO), "a client says hello first");
            self.sealed.drain(..CLIENT_HELLO.len());
            self.own.extend(SERVER_HELLO);
            self.is_shaking = false;
        }
        while let Some((kind, content, length)) = self.opener.open(&self.sealed)? {
            self.sealed.drain(..length);
            match kind {
                KEY_UPDATE if !self.said_goodbye => self.own.extend(self.sealer.seal(KEY_UPDATE, &[])),
                KEY_UPDATE => {}
                GOODBYE => self.has_ended = true,
                _ => self.opened.extend(content),
            }
        }
        Ok(())
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Transport { socket, session: Some(session) } = self else { return self.socket.read(buffer) };
        // An edge may have come since the socket was emptied.
        session.is_emptied = false;
        loop {
            if !session.opened.is_empty() {
                let length = buffer.len().min(session.opened.len());
                buffer[..length].copy_from_slice(&session.opened[..length]);
                session.opened.drain(..length);
                return Ok(length);
            }
            let mut raw = [0; 1000];
            match socket.read(&mut raw) {
                Ok(0) if session.has_ended => return Ok(0),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    session.is_emptied = length < raw.len();
                    session.sealed.extend_from_slice(&raw[..length]);
                    session.open()?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && session.has_ended => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.session {
            Some(session) => session.write(&mut self.socket, bytes),
            None => self.socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.session {
            Some(session) => {
                let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                session.write(&mut self.socket, &offered)
            }
            None => self.socket.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        assert!(session.tail.is_empty(), "a record is not interrupted");
        if push(&mut self.socket, &mut session.own)? { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
    }
}

impl Stream for Transport {
    fn shutdown_write(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            assert!(session.tail.is_empty(), "the goodbye goes behind all that was said");
            if !session.said_goodbye {
                session.said_goodbye = true;
                session.own.extend(session.sealer.seal(GOODBYE, &[]));
            }
            self.flush()?;
        }
        self.socket.shutdown_write()
    }

    fn sealed(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.tail_content.len())
    }

    fn has_moved(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.has_moved)
    }

    fn wants_write(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.own.is_empty() && session.tail.is_empty())
    }

    fn is_shaking(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_shaking)
    }

    fn is_drained(&self, read: usize, asked: usize) -> bool {
        match &self.session {
            Some(session) => session.is_emptied && session.opened.is_empty(),
            None => self.socket.is_drained(read, asked),
        }
    }

    fn needs_goodbye(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !(session.said_goodbye && session.own.is_empty()))
    }
}

// ---------------------------------------------------------------- the client's side

/// How a client sends and takes, with records or without.
#[derive(Debug, Default)]
pub(crate) struct Tunnel(Option<Peer>);

#[derive(Debug)]
struct Peer {
    random: Random,
    /// So many bytes of the server's hello have come.
    greeted: usize,
    /// When it said hello, and when the server did.
    greeted_at: (u64, u64),
    sent: u32,
    heard: u32,
    key_of_mine: u8,
    key_of_theirs: u8,
    bytes: Vec<u8>,
    has_goodbye: bool,
}

impl Tunnel {
    pub(crate) fn sealed(random: Random) -> Tunnel {
        let (bytes, has_goodbye) = (Vec::new(), false);
        let (sent, heard, key_of_mine, key_of_theirs) = (0, 0, 0, 0);
        let peer = Peer {
            random,
            greeted: 0,
            greeted_at: (0, 0),
            sent,
            heard,
            key_of_mine,
            key_of_theirs,
            bytes,
            has_goodbye,
        };
        Tunnel(Some(peer))
    }

    /// What a client sends first.
    pub(crate) fn greet(&mut self, network: &mut Network, link: usize, time: u64) {
        if let Some(peer) = &mut self.0 {
            peer.greeted_at.0 = time;
            network.send(link, &CLIENT_HELLO);
        }
    }

    /// Whether the server has said hello.
    pub(crate) fn is_open(&self) -> bool {
        self.0.as_ref().is_none_or(|peer| peer.greeted == SERVER_HELLO.len())
    }

    /// Whether the server has said it in time for a request: one that stood still in between has not, and refuses who
    /// could not ask.
    pub(crate) fn was_prompt(&self) -> bool {
        let in_time = |(mine, theirs): (u64, u64)| theirs <= mine + HELLO_MILLIS_MAX;
        self.is_open() && self.0.as_ref().is_none_or(|peer| in_time(peer.greeted_at))
    }

    pub(crate) fn send(&mut self, network: &mut Network, link: usize, mut bytes: &[u8]) {
        let Some(peer) = &mut self.0 else { return network.send(link, bytes) };
        while !bytes.is_empty() {
            if peer.random.chance(5) {
                network.send(link, &peer.record(KEY_UPDATE, b""));
            }
            let most = *peer.random.pick(&[20, 300, RECORD_BYTES_MAX]);
            let (one, rest) = bytes.split_at(bytes.len().min(peer.random.between(1, most)));
            network.send(link, &peer.record(DATA, one));
            bytes = rest;
        }
    }

    /// Takes at most so many bytes, and returns what could be opened with them. The hello is taken by all, or they
    /// could not say anything.
    pub(crate) fn take(&mut self, network: &mut Network, link: usize, most: usize, time: u64) -> Taken {
        let Some(peer) = &mut self.0 else { return network.take(link, most) };
        let missing = SERVER_HELLO.len() - peer.greeted;
        let mut taken = network.take(link, if missing > 0 { missing } else { most });
        let bytes = std::mem::take(&mut taken.bytes);
        if missing > 0 {
            assert_eq!(bytes, SERVER_HELLO[peer.greeted..][..bytes.len()], "the server says hello first");
            peer.greeted += bytes.len();
            peer.greeted_at.1 = time;
        } else {
            peer.bytes.extend(bytes);
            taken.bytes = peer.opened();
        }
        taken
    }

    /// Sends no more.
    pub(crate) fn end(&mut self, network: &mut Network, link: usize, is_polite: bool) {
        if let Some(peer) = &mut self.0
            && (is_polite || peer.random.chance(80))
        {
            network.send(link, &peer.record(GOODBYE, b""));
        }
        network.end(link);
    }

    /// Nothing more will come: the last record was a goodbye, and is whole.
    pub(crate) fn assert_whole(&self, client: usize) {
        if let Some(peer) = &self.0 {
            assert!(peer.bytes.is_empty(), "client {client}: its stream ends inside a record");
            assert!(peer.has_goodbye, "client {client}: its stream ends without a goodbye");
        }
    }
}

impl Peer {
    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut check = (self.sent * 257) ^ (u32::from(kind) * 0x0100_0000) ^ u32::from(self.key_of_mine);
        let mut masked = Vec::new();
        for (place, byte) in content.iter().enumerate() {
            check = check.rotate_left(5) ^ u32::from(*byte);
            masked.push(byte ^ masked_with(self.key_of_mine, self.sent, place));
        }
        self.sent += 1;
        if kind == KEY_UPDATE {
            self.key_of_mine += 1;
        }
        let length = u16::try_from(content.len()).expect("a record is small").to_be_bytes();
        [&length[..], &[kind], &check.to_be_bytes(), &masked].concat()
    }

    /// The content of all records that are whole.
    fn opened(&mut self) -> Vec<u8> {
        let mut contents = Vec::new();
        while self.bytes.len() >= HEADER_BYTES {
            let length = usize::from(self.bytes[0]) * 256 + usize::from(self.bytes[1]);
            if self.bytes.len() < HEADER_BYTES + length {
                break;
            }
            assert!(length <= RECORD_BYTES_MAX, "a record of {length} bytes");
            assert!(!self.has_goodbye, "a record behind the goodbye");
            let record: Vec<u8> = self.bytes.drain(..HEADER_BYTES + length).collect();
            let mut check =
                (self.heard * 257) ^ (u32::from(record[2]) * 0x0100_0000) ^ u32::from(self.key_of_theirs);
            for (place, byte) in record[HEADER_BYTES..].iter().enumerate() {
                let byte = byte ^ masked_with(self.key_of_theirs, self.heard, place);
                check = check.rotate_left(5) ^ u32::from(byte);
                contents.push(byte);
            }
            assert_eq!(record[3..HEADER_BYTES], check.to_be_bytes(), "record {} does not open", self.heard);
            self.heard += 1;
            match record[2] {
                KEY_UPDATE => self.key_of_theirs += 1,
                GOODBYE => self.has_goodbye = true,
                _ => {}
            }
        }
        contents
    }
}

fn masked_with(key: u8, number: u32, place: usize) -> u8 {
    let rolling = u8::try_from((number as usize * 31 + place * 7) % 256).expect("below 256");
    rolling ^ key.wrapping_mul(13) ^ 0x5A
}
