//! tungstenite as a client, by raw frames, so that messages are cut anywhere. It knows no compression.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Message, WebSocket};

use crate::support::random::Random;

const MESSAGE_BYTES_MAX: usize = 1 << 20;
const IN_FLIGHT_MAX: usize = 6;
/// Nothing for so long means that something was lost.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 128, 65_535, 65_536, MESSAGE_BYTES_MAX];
const TEXTS: [&str; 7] = ["hello ", "{\"type\":\"say\"}", "é", "你好，世界", "\u{1F600}", "\u{10FFFF}", "\0"];

/// A text or binary message of some size.
fn message(random: &mut Random, largest: usize) -> Message {
    let size = match random.below(50) {
        0..3 => *random.pick(&SIZES),
        3 => random.below(largest),
        _ => random.below(2000),
    };
    let size = size.min(largest);
    if random.is_one_of(2) {
        let mut text: String = (0..size / 20).map(|_| *random.pick(&TEXTS)).collect();
        text.push_str(&"x".repeat(size.saturating_sub(text.len())));
        return Message::text(text);
    }
    Message::binary((0..size).map(|_| random.below(256).to_le_bytes()[0]).collect::<Vec<u8>>())
}

struct Client {
    socket: WebSocket<TcpStream>,
    pings: usize,
    /// The newest ping that was answered.
    answered: usize,
}

impl Client {
    fn connect(url: &str) -> Client {
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).expect("a URL");
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket takes it");
        stream.set_read_timeout(Some(SILENCE_MAX)).expect("the time is not zero");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        Client { socket, pings: 0, answered: 0 }
    }

    /// Sends a message whole, or in fragments that may cut a character, with pings in between.
    fn send(&mut self, random: &mut Random, message: Message) {
        if !random.is_one_of(3) {
            return self.socket.send(message).expect("the server reads");
        }
        let mut opcode = OpCode::Data(if message.is_text() { Data::Text } else { Data::Binary });
        let payload = message.into_data();
        let mut cuts: Vec<usize> = (0..=random.below(6)).map(|_| random.below(payload.len() + 1)).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for cut in cuts {
            self.send_frame(Frame::message(payload.slice(from..cut), opcode, false));
            (from, opcode) = (cut, OpCode::Data(Data::Continue));
            if random.is_one_of(30) {
                self.pings += 1;
                self.send_frame(Frame::ping(self.pings.to_string()));
            }
        }
        self.send_frame(Frame::message(payload.slice(from..), opcode, true));
    }

    fn send_frame(&mut self, frame: Frame) {
        self.socket.send(Message::Frame(frame)).expect("the server reads");
    }

    /// The next message; pongs are checked on the way.
    fn read(&mut self) -> Message {
        loop {
            match self.socket.read().expect("the server goes on") {
                Message::Pong(payload) => self.take_pong(&payload),
                message => return message,
            }
        }
    }

    /// Of pings that wait together the newest alone may be answered (RFC 6455 §5.5.3).
    fn take_pong(&mut self, payload: &[u8]) {
        let ping = std::str::from_utf8(payload).ok().and_then(|number| number.parse().ok());
        let ping = ping.unwrap_or_else(|| panic!("a pong that answers nothing: {payload:?}"));
        assert!(
            (self.answered + 1..=self.pings).contains(&ping),
            "pong {ping} after {}, of {}",
            self.answered,
            self.pings
        );
        self.answered = ping;
    }

    /// Reads until the newest ping is answered, when nothing else is to come.
    fn finish_pings(&mut self) {
        while self.answered < self.pings {
            match self.socket.read().expect("the newest ping is answered") {
                Message::Pong(payload) => self.take_pong(&payload),
                other => panic!("nothing said this: {} bytes", other.len()),
            }
        }
    }

    /// The code that the server closes with.
    fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.read().expect("a close frame comes") {
                Message::Close(Some(frame)) => return frame.code.into(),
                other => assert!(!other.is_close(), "a close frame without a code"),
            }
        }
    }
}

/// Sends to an echo and compares, with several messages on their way at a time.
pub(crate) fn echo(url: &str, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    let mut client = Client::connect(url);
    let mut expected = VecDeque::new();
    for number in 0..count + IN_FLIGHT_MAX {
        if number < count {
            let message = message(&mut random, MESSAGE_BYTES_MAX);
            expected.push_back(message.clone());
            client.send(&mut random, message);
        }
        if number >= IN_FLIGHT_MAX {
            let wanted = expected.pop_front().expect("as many as were sent");
            let came = client.read();
            let lengths = (wanted.len(), came.len());
            assert!(came == wanted, "seed {seed}, message {}: {lengths:?}", number - IN_FLIGHT_MAX);
        }
    }
    client.finish_pings();
    let frame = CloseFrame { code: CloseCode::from(4321), reason: "done".into() };
    client.socket.close(Some(frame)).expect("the server reads");
    assert_eq!(client.close_code(), 4321, "seed {seed}");
}

/// What is refused, and with which code.
pub(crate) fn refusals(url: &str) {
    for (what, first, rest, wanted) in [
        ("a byte over the limit in two frames", vec![b'x'; MESSAGE_BYTES_MAX], vec![b'x'], 1009),
        ("text that is none", vec![0xE4, 0xBD], vec![0xFF], 1007),
    ] {
        let mut client = Client::connect(url);
        client.send_frame(Frame::message(first, OpCode::Data(Data::Text), false));
        client.send_frame(Frame::message(rest, OpCode::Data(Data::Continue), true));
        assert_eq!(client.close_code(), wanted, "{what}");
    }
}

/// A client on a topic where others are.
pub(crate) struct Cross(Client);

impl Cross {
    pub(crate) fn connect(url: &str) -> Cross {
        Cross(Client::connect(url))
    }

    /// Speaks, and listens to all. Reads after each message of its own, for the rest at the end.
    pub(crate) fn run(mut self, seed: u64, count: usize, total: usize) -> Value {
        let mut random = Random::new(seed);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let message = message(&mut random, 100_000);
            sent.push(digest(&message));
            self.0.send(&mut random, message);
            received.push(digest(&self.0.read()));
        }
        while received.len() < total {
            received.push(digest(&self.0.read()));
        }
        json!({ "sent": sent, "received": received })
    }
}

fn digest(message: &Message) -> String {
    let kind = if message.is_text() { "text" } else { "binary" };
    let hash: String =
        Sha1::digest(message.clone().into_data()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind} {} {hash}", message.len())
}
