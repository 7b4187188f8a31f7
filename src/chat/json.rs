//! The JSON form, subprotocol `wsloop.json`: the only place that knows its shape.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::history::Said;
use super::person::{PersonId, Voice};
use crate::websocket::Kind;

/// Longer references are nobody's.
pub(super) const REF_BYTES_MAX: usize = 64;

/// What a client says.
#[derive(Debug, Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, rename = "ref", default)]
    pub(super) reference: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) before: Option<u64>,
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

/// What a client hears.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Event<'a> {
    Welcome {
        room: &'a str,
        you: Person<'a>,
        epoch: Epoch,
        seq: u64,
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Person<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
    },
    Say {
        seq: u64,
        time: Stamp,
        from: Person<'a>,
        text: &'a str,
    },
    Data {
        seq: u64,
        time: Stamp,
        from: Person<'a>,
        base64: String,
    },
    Join {
        #[serde(flatten)]
        person: Person<'a>,
        count: usize,
    },
    Leave {
        #[serde(flatten)]
        person: Person<'a>,
        count: usize,
    },
    Presence {
        count: usize,
        joined: u32,
        left: u32,
    },
    Name {
        id: PersonId,
        from: &'a str,
        to: &'a str,
    },
    Gap {
        from: u64,
        to: u64,
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Person<'a>>>,
    },
    Ack {
        #[serde(rename = "ref")]
        reference: &'a str,
        seq: u64,
    },
    History {
        before: u64,
        messages: Vec<Event<'a>>,
        more: bool,
    },
    Error {
        code: &'static str,
        text: &'a str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Pong {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// Somebody, as the others see it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Person<'a> {
    id: PersonId,
    name: &'a str,
}

/// Which count of messages a `seq` belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(pub(super) u64);

/// RFC 3339, with milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(pub(super) Timestamp);

impl<'a> Request<'a> {
    /// Reads an object; what it means is for others. The error says what is wrong and where.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Request<'a>, String> {
        // A list would do for the library, each value in its place.
        let is_object = payload.trim_ascii_start().starts_with(b"{");
        let read = serde_json::from_slice(payload);
        let wrong = |error: String| format!("send one JSON object a message: {error}");
        match read {
            Ok(request) if is_object => Ok(request),
            Ok(_) => Err(wrong("this is none".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

impl<'a> Event<'a> {
    /// A message that was accepted.
    pub(super) fn said(
        seq: u64,
        time: Timestamp,
        from: Person<'a>,
        kind: Kind,
        payload: &'a [u8],
    ) -> Event<'a> {
        let time = Stamp(time);
        match kind {
            // Text was checked when it came.
            Kind::Text => {
                Event::Say { seq, time, from, text: std::str::from_utf8(payload).unwrap_or_default() }
            }
            Kind::Binary => Event::Data { seq, time, from, base64: STANDARD.encode(payload) },
        }
    }

    /// The bytes of a text message.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written")
    }
}

impl<'a> From<&'a Said> for Event<'a> {
    fn from(said: &'a Said) -> Event<'a> {
        let from = Person { id: said.id, name: &said.who };
        Event::said(said.seq, said.time, from, said.kind, &said.payload)
    }
}

impl<'a> From<&'a Voice> for Person<'a> {
    fn from(voice: &'a Voice) -> Person<'a> {
        Person { id: voice.id, name: &voice.who }
    }
}

impl Serialize for PersonId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("c{}", self.0))
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl Epoch {
    /// Whether this is how a client writes it.
    pub(super) fn is(self, text: &str) -> bool {
        format!("{:016x}", self.0) == text
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_as_it_is_documented() {
        let (alice, bob) =
            (Person { id: PersonId(7), name: "alice" }, Person { id: PersonId(8), name: "bob" });
        let time: Timestamp = "2026-11-20T12:03:07.123456Z".parse().expect("a time");
        let welcome = |members, recovered| Event::Welcome {
            room: "lobby",
            you: alice,
            epoch: Epoch(0xab),
            seq: 120,
            count: 3,
            members,
            recovered,
        };
        for (event, wanted) in [
            (
                welcome(Some(vec![alice]), None),
                r#"{"type":"welcome","room":"lobby","you":{"id":"c7","name":"alice"},"epoch":"00000000000000ab","seq":120,"count":3,"members":[{"id":"c7","name":"alice"}]}"#,
            ),
            (
                welcome(None, Some(true)),
                r#"{"type":"welcome","room":"lobby","you":{"id":"c7","name":"alice"},"epoch":"00000000000000ab","seq":120,"count":3,"recovered":true}"#,
            ),
            (
                Event::said(121, time, alice, Kind::Text, "h\"i\n你".as_bytes()),
                r#"{"type":"say","seq":121,"time":"2026-11-20T12:03:07.123Z","from":{"id":"c7","name":"alice"},"text":"h\"i\n你"}"#,
            ),
            (
                Event::said(122, time, alice, Kind::Binary, &[0, 255]),
                r#"{"type":"data","seq":122,"time":"2026-11-20T12:03:07.123Z","from":{"id":"c7","name":"alice"},"base64":"AP8="}"#,
            ),
            (Event::Join { person: bob, count: 4 }, r#"{"type":"join","id":"c8","name":"bob","count":4}"#),
            (Event::Leave { person: bob, count: 3 }, r#"{"type":"leave","id":"c8","name":"bob","count":3}"#),
            (
                Event::Presence { count: 5120, joined: 37, left: 12 },
                r#"{"type":"presence","count":5120,"joined":37,"left":12}"#,
            ),
            (
                Event::Name { id: PersonId(8), from: "bob", to: "bobby" },
                r#"{"type":"name","id":"c8","from":"bob","to":"bobby"}"#,
            ),
            (
                Event::Gap { from: 130, to: 161, count: 200, members: None },
                r#"{"type":"gap","from":130,"to":161,"count":200}"#,
            ),
            (Event::Ack { reference: "a1", seq: 121 }, r#"{"type":"ack","ref":"a1","seq":121}"#),
            (
                Event::History { before: 121, messages: vec![], more: true },
                r#"{"type":"history","before":121,"messages":[],"more":true}"#,
            ),
            (
                Event::Error { code: "bad_name", text: "choose another", reference: Some("x") },
                r#"{"type":"error","code":"bad_name","text":"choose another","ref":"x"}"#,
            ),
            (Event::Pong { reference: None }, r#"{"type":"pong"}"#),
        ] {
            assert_eq!(String::from_utf8(event.encode()).expect("text"), wanted);
        }
    }

    #[test]
    fn requests_with_more_than_is_known_are_read_and_others_are_told_what_is_wrong() {
        let request =
            Request::parse(r#"{"type":"say","text":"a\u00e9","ref":"1","later":{"x":[1]}}"#.as_bytes());
        let request = request.expect("an object");
        assert_eq!(
            (&*request.kind, request.text.as_deref(), request.reference.as_deref()),
            ("say", Some("aé"), Some("1"))
        );
        assert_eq!(Request::parse(b"{}").expect("an object").kind, "");
        for bad in [
            "",
            "hi",
            "[]",
            "{",
            "7",
            r#"{"type":1}"#,
            r#"{"type":"say","text":5}"#,
            r#"{"type":"history","before":-1}"#,
        ] {
            let error = Request::parse(bad.as_bytes()).expect_err(bad);
            assert!(error.starts_with("send one JSON object a message: "), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(Request::parse(format!(r#"{{"x":{deep}"#).as_bytes()).is_err(), "and it does not fall over");
    }
}
