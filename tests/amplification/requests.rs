//! The requests: all that a client may ask, as bytes.

use std::fmt;

use crate::support::frames::{BINARY, PING, PONG, TEXT, compressed, frame};
use crate::support::limits::MESSAGE_BYTES_MAX;

/// What a client may say at once.
const PACKET_BYTES: usize = 64 * 1024;

/// Takes six bytes for one in JSON, and nearly none compressed.
const CONTROL: u8 = 1;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    Topic,
    Echo,
    /// A connection for each packet.
    Http,
}

/// A client that sends packets of one kind for a while.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) form: Form,
    pub(crate) name: String,
    pub(crate) is_compressed: bool,
    pub(crate) reads: bool,
    /// Sent at once, again and again.
    pub(crate) packet: Packet,
    /// Bytes made by byte sent, where the design bounds them.
    pub(crate) made_max: Option<f64>,
}

/// What is sent at once.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Frames(Vec<u8>),
    /// A request that begins a connection, by its line; and as often as it fits, or once.
    Plain {
        path: &'static str,
        is_repeated: bool,
    },
    /// A WebSocket that is opened, with what stands in the query; `EPOCH` is that of the room.
    Upgrade {
        path: &'static str,
        protocol: Option<&'static str>,
    },
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format!("{:?}", self.form).to_lowercase();
        let compressed = if self.is_compressed { "deflate" } else { "-" };
        let reads = if self.reads { "reads" } else { "silent" };
        write!(formatter, "{form:<5} {:<49} {compressed:<7} {reads:<6}", self.name)
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for form in [Form::Text, Form::Json, Form::Topic, Form::Echo] {
        for is_compressed in [false, true] {
            for message in messages(form, is_compressed) {
                for reads in [true, false] {
                    cases.push(message.case(form, is_compressed, reads));
                }
            }
        }
    }
    cases.extend(connections());
    cases
}

/// A message, as often as a packet holds it.
struct Message {
    name: String,
    packet: Vec<u8>,
    made_max: Option<f64>,
}

impl Message {
    fn case(&self, form: Form, is_compressed: bool, reads: bool) -> Case {
        Case {
            form,
            name: self.name.clone(),
            is_compressed,
            reads,
            packet: Packet::Frames(self.packet.clone()),
            made_max: self.made_max,
        }
    }
}

fn messages(form: Form, is_compressed: bool) -> Vec<Message> {
    let encode = |first: u8, payload: &[u8]| {
        if is_compressed { compressed(first, payload) } else { frame(first, payload) }
    };
    // What is compressed may become a thousand times longer by design. Each message of a room goes to its sender and
    // to a member who hears JSON: some 150 bytes for one, and six for each of the control characters.
    let bound = |tiny: f64, large: f64, length: usize| {
        (!is_compressed).then_some(if length < 200 { tiny } else { large })
    };
    let mut messages = Vec::new();
    let mut add = |name: &str, frames: Vec<u8>, made_max: Option<f64>| {
        let packet = frames.repeat((PACKET_BYTES / frames.len()).max(1));
        messages.push(Message { name: name.to_owned(), packet, made_max });
    };
    let (tiny, large) = if matches!(form, Form::Text | Form::Json) { (60.0, 12.0) } else { (2.0, 2.0) };
    for (name, payload) in payloads(form) {
        add(&name, encode(TEXT, &payload), bound(tiny, large, payload.len()));
    }
    for (name, length) in
        [("binary, a byte", 1), ("binary, 1 KiB", 1024), ("binary, 64 KiB", MESSAGE_BYTES_MAX)]
    {
        add(name, encode(BINARY, &vec![CONTROL; length]), bound(tiny, large, length));
    }
    if form == Form::Json {
        // What was said before with the same ref is not said again; a name that is one's own is none.
        for (name, length) in [("a byte", 1), ("1 KiB", 1024), ("64 KiB", MESSAGE_BYTES_MAX - 100)] {
            let mut frames = Vec::new();
            for number in 0..2_000 {
                frames.extend(encode(TEXT, &say(&"x".repeat(length), &format!(r#","ref":"{number}""#))));
                if frames.len() >= PACKET_BYTES || number > 8 && length > 1024 {
                    break;
                }
            }
            add(&format!("say with other refs, {name}"), frames, bound(tiny, large, length));
        }
        let names = ["somebody", "nobody"].map(|name| format!(r#"{{"type":"name","name":"{name}"}}"#));
        add("names", names.map(|name| encode(TEXT, name.as_bytes())).concat(), bound(tiny, large, 0));
    }
    add("empty", encode(TEXT, b""), bound(tiny, large, 0));
    if is_compressed {
        let over = vec![CONTROL; MESSAGE_BYTES_MAX + 1];
        add("a byte over the limit", encode(BINARY, &over), None);
    } else {
        // Control frames are never compressed.
        add("ping frames", frame(PING, b"x"), Some(2.0));
        add("pong frames", frame(PONG, b"x"), Some(2.0));
    }
    messages
}

/// Texts, with what they are.
fn payloads(form: Form) -> Vec<(String, Vec<u8>)> {
    if form == Form::Json {
        return json();
    }
    let mut payloads: Vec<(String, Vec<u8>)> = [
        ("say, a byte", vec![b'x']),
        ("say, 1 KiB", vec![b'x'; 1024]),
        ("say, 64 KiB", vec![b'x'; MESSAGE_BYTES_MAX]),
        ("say, 64 KiB of control characters", vec![CONTROL; MESSAGE_BYTES_MAX]),
    ]
    .map(|(name, payload)| (name.to_owned(), payload))
    .into();
    if form == Form::Text {
        payloads.push(("quit".to_owned(), b"quit".to_vec()));
    }
    payloads
}

fn json() -> Vec<(String, Vec<u8>)> {
    let reference = r#","ref":"r""#;
    // As many as fit into a message.
    let controls = "\\u0001".repeat((MESSAGE_BYTES_MAX - 100) / 6);
    let long = "x".repeat(MESSAGE_BYTES_MAX - 100);
    let mut said = Vec::new();
    for (name, text) in [
        ("a byte", "x"),
        ("1 KiB", &"x".repeat(1024)),
        ("64 KiB", &long),
        ("64 KiB of control characters", &controls),
    ] {
        said.push((format!("say, {name}"), say(text, "")));
        said.push((format!("say with the same ref, {name}"), say(text, reference)));
    }
    let mut texts = Vec::new();
    for (limit, text) in [
        ("no limit", r#"{"type":"history"}"#.to_owned()),
        ("limit 1", r#"{"type":"history","limit":1}"#.to_owned()),
        ("limit 50", r#"{"type":"history","limit":50}"#.to_owned()),
        ("limit 100", r#"{"type":"history","limit":100}"#.to_owned()),
        ("before 3", r#"{"type":"history","before":3}"#.to_owned()),
    ] {
        texts.push((format!("history, {limit}"), text));
    }
    texts.push(("name, the same".to_owned(), r#"{"type":"name","name":"somebody"}"#.to_owned()));
    texts.push(("members".to_owned(), r#"{"type":"members"}"#.to_owned()));
    texts.push(("typing".to_owned(), r#"{"type":"typing"}"#.to_owned()));
    for (name, of) in
        [("the first", 1), ("the tenth", 10), ("the hundredth", 100), ("none that is there", 1_u64 << 40)]
    {
        texts.push((format!("react, {name}"), format!(r#"{{"type":"react","seq":{of},"emoji":"👍"}}"#)));
        texts.push((format!("answer, {name}"), format!(r#"{{"type":"say","text":"x","re":{of}}}"#)));
        texts.push((format!("edit, {name}"), format!(r#"{{"type":"edit","seq":{of},"text":"x"}}"#)));
        texts.push((format!("delete, {name}"), format!(r#"{{"type":"delete","seq":{of}}}"#)));
    }
    texts.push(("ping".to_owned(), r#"{"type":"ping"}"#.to_owned()));
    texts.push(("ping with ref".to_owned(), format!(r#"{{"type":"ping","ref":"{}"}}"#, "r".repeat(64))));
    texts.push(("unknown type".to_owned(), r#"{"type":"x"}"#.to_owned()));
    texts.push(("unknown type, 64 KiB".to_owned(), format!(r#"{{"type":"{long}"}}"#)));
    texts.push(("bad JSON".to_owned(), "{".to_owned()));
    texts.push(("bad JSON, 64 KiB of brackets".to_owned(), "[".repeat(MESSAGE_BYTES_MAX)));
    said.extend(texts.into_iter().map(|(name, text)| (name, text.into_bytes())));
    said
}

fn say(text: &str, reference: &str) -> Vec<u8> {
    format!(r#"{{"type":"say","text":"{text}"{reference}}}"#).into_bytes()
}

/// What begins a connection: requests of each path, joins and leaves, and resuming.
fn connections() -> Vec<Case> {
    let mut cases = Vec::new();
    for reads in [true, false] {
        let mut add = |name: String, packet: Packet, made_max: Option<f64>| {
            cases.push(Case { form: Form::Http, name, is_compressed: false, reads, packet, made_max });
        };
        for path in [
            "/",
            "/tea",
            "/assets/uplot.js",
            "/healthz",
            "/readyz",
            "/stats",
            "/stats/history",
            "/metrics",
            "/dashboard",
            "/echo",
            "/no/such",
        ] {
            add(format!("GET {path}"), Packet::Plain { path, is_repeated: false }, None);
        }
        add("GET /, 64 KiB of them".to_owned(), Packet::Plain { path: "/", is_repeated: true }, Some(2.0));
        for (name, path, protocol) in [
            ("join and leave, text", "/full?name=x", None),
            ("join and leave, JSON", "/full?name=x", Some("wsloop.json")),
            ("resume, text", "/full?name=x&since=0&epoch=EPOCH", None),
            ("resume, JSON", "/full?name=x&since=0&epoch=EPOCH", Some("wsloop.json")),
        ] {
            add(name.to_owned(), Packet::Upgrade { path, protocol }, None);
        }
    }
    cases
}

/// A message that makes the next read as large as any: reads grow from 128 bytes eightfold to 64 KiB.
pub(crate) fn primer() -> Vec<u8> {
    frame(BINARY, &[b'x'; 9_300])
}
