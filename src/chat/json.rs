//! The JSON form, subprotocol `wsloop.json`: the only place that knows its shape.

use std::borrow::Cow;
use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::channel::Counts;
use super::history::Said;
use super::identity::{Member, PersonId};
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
    #[serde(default, deserialize_with = "whole_number")]
    pub(super) before: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(super) limit: Option<u64>,
    #[serde(borrow, default)]
    pub(super) after: Option<Cow<'a, str>>,
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
        /// The first hundred, and whether there are more.
        members: Vec<Person<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        limits: ToldLimits,
        rights: &'static [&'static str],
        server: &'static str,
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
        #[serde(skip_serializing_if = "is_zero")]
        renamed: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Person<'a>>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
    },
    Name {
        id: PersonId,
        name: &'a str,
        was: &'a str,
    },
    Members {
        count: usize,
        members: Vec<Person<'a>>,
        more: bool,
    },
    Gap {
        first: u64,
        last: u64,
        count: usize,
        members: Vec<Person<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
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

/// What a client may ask of a room.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ToldLimits {
    /// Bytes of a message.
    pub(super) message: usize,
    /// Messages with a `ref` that it may have said without an answer.
    pub(super) unacknowledged: usize,
    /// Messages a second.
    pub(super) rate: Option<u32>,
    /// Messages that are held.
    pub(super) history: usize,
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
        let wrong = |what: &str| Err(format!("send one JSON object a message: {what}"));
        match payload.trim_ascii_start().first() {
            Some(b'{') => {}
            None => return wrong("this is empty"),
            Some(b'[') => return wrong("this is a list"),
            Some(b'"') => return wrong("this is a string"),
            Some(b'-' | b'0'..=b'9') => return wrong("this is a number"),
            Some(_) => {
                return match payload.trim_ascii() {
                    b"null" => wrong("this is null"),
                    b"true" | b"false" => wrong("this is true or false"),
                    _ => wrong("this is plain text; lines are spoken without the subprotocol"),
                };
            }
        }
        serde_json::from_slice(payload).or_else(|error| wrong(&error.to_string()))
    }
}

/// A number without a fraction, however it is written: some write 50 as `50.0`.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Whole;
    impl Visitor<'_> for Whole {
        type Value = Option<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number from 0 on")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<u64>, E> {
            Ok(Some(number))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<u64>, E> {
            // Beyond 2^53 a fraction cannot be told from its neighbour.
            let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
            let whole = is_whole.then(|| format!("{:.0}", number.abs()).parse().ok()).flatten();
            whole.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))
        }
    }
    deserializer.deserialize_any(Whole)
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

    /// Who has come and gone, where it is counted; and who is here, where it is told.
    pub(super) fn presence(
        count: usize,
        counts: Counts,
        members: Option<Vec<Person<'a>>>,
        more: bool,
    ) -> Event<'a> {
        let Counts { joined, left, renamed } = counts;
        Event::Presence { count, joined, left, renamed, members, more }
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

impl<'a> From<&'a Member> for Person<'a> {
    fn from(member: &'a Member) -> Person<'a> {
        Person { id: member.id, name: &member.who }
    }
}

impl Said {
    /// Bytes that it takes in an answer, with a comma. They are counted once.
    pub(super) fn encoded_bytes(&self) -> usize {
        if self.encoded_bytes.get() == 0 {
            let mut count = ByteCounter(0);
            serde_json::to_writer(&mut count, &Event::from(self))
                .expect("strings and numbers can be written");
            self.encoded_bytes.set(u32::try_from(count.0 + 1).unwrap_or(u32::MAX));
        }
        self.encoded_bytes.get() as usize
    }
}

/// Counts what is written.
struct ByteCounter(usize);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
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

impl PersonId {
    /// The number that a client writes so.
    pub(super) fn read(text: &str) -> Option<PersonId> {
        let digits = text.strip_prefix('c')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().map(PersonId)
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
        let limits = ToldLimits { message: 65_536, unacknowledged: 500, rate: None, history: 100 };
        #[rustfmt::skip]
        let welcome = |members, more, recovered| Event::Welcome {
            room: "lobby", you: alice, epoch: Epoch(0xab), seq: 120, count: 3,
            members, more, recovered, limits, rights: &["read", "say"], server: "0.1.0",
        };
        for (event, wanted) in [
            (
                welcome(vec![alice], false, None),
                r#"{"type":"welcome","room":"lobby","you":{"id":"c7","name":"alice"},"epoch":"00000000000000ab","seq":120,"count":3,"members":[{"id":"c7","name":"alice"}],"limits":{"message":65536,"unacknowledged":500,"rate":null,"history":100},"rights":["read","say"],"server":"0.1.0"}"#,
            ),
            (
                welcome(vec![], true, Some(true)),
                r#"{"type":"welcome","room":"lobby","you":{"id":"c7","name":"alice"},"epoch":"00000000000000ab","seq":120,"count":3,"members":[],"more":true,"recovered":true,"limits":{"message":65536,"unacknowledged":500,"rate":null,"history":100},"rights":["read","say"],"server":"0.1.0"}"#,
            ),
            (Event::Join { person: bob, count: 4 }, r#"{"type":"join","id":"c8","name":"bob","count":4}"#),
            (Event::Leave { person: bob, count: 3 }, r#"{"type":"leave","id":"c8","name":"bob","count":3}"#),
            (
                Event::presence(5120, Counts { joined: 37, left: 12, renamed: 0 }, None, false),
                r#"{"type":"presence","count":5120,"joined":37,"left":12}"#,
            ),
            (
                Event::presence(2, Counts { joined: 0, left: 0, renamed: 3 }, Some(vec![bob]), true),
                r#"{"type":"presence","count":2,"joined":0,"left":0,"renamed":3,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
            ),
            (
                Event::Name { id: PersonId(8), name: "bobby", was: "bob" },
                r#"{"type":"name","id":"c8","name":"bobby","was":"bob"}"#,
            ),
            (
                Event::Members { count: 5120, members: vec![bob], more: true },
                r#"{"type":"members","count":5120,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
            ),
            (
                Event::Gap { first: 130, last: 161, count: 200, members: vec![bob], more: true },
                r#"{"type":"gap","first":130,"last":161,"count":200,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
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
    fn each_message_as_it_is_documented() {
        let alice = Person { id: PersonId(7), name: "alice" };
        let time: Timestamp = "2026-11-20T12:03:07.123456Z".parse().expect("a time");
        for (event, wanted) in [
            (
                Event::said(121, time, alice, Kind::Text, "h\"i\n你".as_bytes()),
                r#"{"type":"say","seq":121,"time":"2026-11-20T12:03:07.123Z","from":{"id":"c7","name":"alice"},"text":"h\"i\n你"}"#,
            ),
            (
                Event::said(122, time, alice, Kind::Binary, &[0, 255]),
                r#"{"type":"data","seq":122,"time":"2026-11-20T12:03:07.123Z","from":{"id":"c7","name":"alice"},"base64":"AP8="}"#,
            ),
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
        for (bad, wanted) in [
            ("null", "this is null"),
            (" [1, 2]", "this is a list"),
            ("50", "this is a number"),
            ("true ", "this is true or false"),
            ("\"hi\"", "this is a string"),
            ("", "this is empty"),
            ("hi", "this is plain text; lines are spoken without the subprotocol"),
        ] {
            let error = Request::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(error, format!("send one JSON object a message: {wanted}"));
        }
        let deep = "[".repeat(100_000);
        assert!(Request::parse(format!(r#"{{"x":{deep}"#).as_bytes()).is_err(), "and it does not fall over");
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_fraction_of_nothing() {
        for (written, read) in [
            ("50", Some(Some(50))),
            ("50.0", Some(Some(50))),
            ("5e1", Some(Some(50))),
            ("0", Some(Some(0))),
            ("-0.0", Some(Some(0))),
            ("null", Some(None)),
            ("18446744073709551615", Some(Some(u64::MAX))),
            ("50.5", None),
            ("-1", None),
            ("-1.0", None),
            ("1e300", None),
            ("\"50\"", None),
            ("[50]", None),
        ] {
            let request = format!(r#"{{"type":"history","limit":{written}}}"#);
            let limit = Request::parse(request.as_bytes()).map(|request| request.limit);
            assert_eq!(limit.ok(), read, "{written}");
        }
        let error = Request::parse(br#"{"limit":"x"}"#).expect_err("no number");
        assert!(error.contains("expected a whole number from 0 on"), "{error}");
    }
}
