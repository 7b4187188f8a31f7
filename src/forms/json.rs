//! The JSON form, subprotocol `wsloop.json`: the only place that knows its shape.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU64;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{Form, Rendered};
use crate::chat::{
    BadCommand, Command, Counts, LimitsTold, Profile, Reason, Refused, Reply, RoomEvent, Said, Welcome, Wish,
};
use crate::id::PersonId;
use crate::websocket::Kind;

/// Longer references are nobody's.
const REF_BYTES_MAX: usize = 64;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// JSON objects, one a text message: subprotocol `wsloop.json`.
#[derive(Debug)]
pub struct Json;

impl Form for Json {
    fn subprotocols(&self) -> &'static [&'static str] {
        &["wsloop.json"]
    }

    fn render<'a>(&self, event: &'a RoomEvent<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        let object = match event {
            // It is no form of topics, whose bytes do not change.
            RoomEvent::Passed { kind, payload } => return Some(Rendered { kind: *kind, payload }),
            RoomEvent::Said(said) => Object::from(said),
            RoomEvent::Joined { person, count } => Object::Join { person: person.into(), count: *count },
            RoomEvent::Left { person, count, .. } => Object::Leave { person: person.into(), count: *count },
            RoomEvent::Renamed { id, name, was } => Object::Name { id: IdObject(*id), name, was },
            RoomEvent::Counted { counts, count, members, .. } => {
                Object::presence(*count, *counts, members.as_deref().map(objects), false)
            }
        };
        Some(object.write(scratch))
    }

    fn render_reply<'a>(&self, reply: &'a Reply<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        let object = match reply {
            Reply::Event(event) => return self.render(event, scratch),
            Reply::Welcome(welcome) => Object::from(&**welcome),
            Reply::Acknowledged { reference, seq } => Object::Ack { reference, seq: *seq },
            Reply::History { before, messages, more } => {
                let messages = messages.iter().map(Object::from).collect();
                Object::History { before: *before, messages, more: *more }
            }
            Reply::Members { count, members, more } => {
                Object::Members { count: *count, members: objects(members), more: *more }
            }
            // Who comes and goes may have been among it, so it is told anew.
            Reply::Gap { numbers, count, members, more, .. } => match numbers {
                Some((first, last)) => {
                    let (first, last, members) = (*first, *last, objects(members));
                    Object::Gap { first, last, count: *count, members, more: *more }
                }
                None => Object::presence(*count, Counts::default(), Some(objects(members)), *more),
            },
            Reply::Refused(Refused { reason, advice, reference, .. }) => {
                Object::Error { code: code(*reason), text: advice, reference: *reference }
            }
            Reply::Pong { reference } => Object::Pong { reference: *reference },
        };
        Some(object.write(scratch))
    }

    fn read<'a>(&self, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>> {
        if kind == Kind::Binary {
            return Ok(Command { wish: Wish::Say(kind, Cow::Borrowed(payload)), reference: None });
        }
        let request = ClientObject::parse(payload).map_err(|text| BadCommand {
            reason: Reason::Malformed,
            advice: Cow::Owned(text),
            reference: None,
        })?;
        request.into_command()
    }

    fn measure(&self, said: &Said<'_>) -> usize {
        let mut count = ByteCounter(0);
        serde_json::to_writer(&mut count, &Object::from(said)).expect("strings and numbers can be written");
        // With a comma.
        count.0 + 1
    }

    fn names_guests(&self) -> bool {
        true
    }

    fn has_numbers(&self) -> bool {
        true
    }
}

/// The name of a reason.
fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed => "bad_json",
        Reason::UnknownType => "unknown_type",
        Reason::NoText => "no_text",
        Reason::BadName => "bad_name",
        Reason::BadReference => "bad_ref",
        Reason::BadId => "bad_id",
        Reason::Rate => "rate",
        Reason::Unavailable => "unavailable",
    }
}

/// What a client says.
#[derive(Debug, Deserialize)]
struct ClientObject<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "ref", default)]
    reference: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "whole_number")]
    before: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    limit: Option<u64>,
    #[serde(borrow, default)]
    after: Option<Cow<'a, str>>,
}

/// What a client hears.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Object<'a> {
    Welcome {
        room: &'a str,
        you: PersonObject<'a>,
        epoch: &'a str,
        seq: u64,
        count: usize,
        /// The first hundred, and whether there are more.
        members: Vec<PersonObject<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        limits: LimitsObject,
        rights: &'static [&'static str],
        server: &'static str,
    },
    Say {
        seq: NonZeroU64,
        time: Stamp,
        from: PersonObject<'a>,
        text: &'a str,
    },
    Data {
        seq: NonZeroU64,
        time: Stamp,
        from: PersonObject<'a>,
        base64: Base64<'a>,
    },
    Join {
        #[serde(flatten)]
        person: PersonObject<'a>,
        count: usize,
    },
    Leave {
        #[serde(flatten)]
        person: PersonObject<'a>,
        count: usize,
    },
    Presence {
        count: usize,
        joined: u32,
        left: u32,
        #[serde(skip_serializing_if = "is_zero")]
        renamed: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<PersonObject<'a>>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
    },
    Name {
        id: IdObject,
        name: &'a str,
        was: &'a str,
    },
    Members {
        count: usize,
        members: Vec<PersonObject<'a>>,
        more: bool,
    },
    Gap {
        first: NonZeroU64,
        last: NonZeroU64,
        count: usize,
        members: Vec<PersonObject<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        more: bool,
    },
    Ack {
        #[serde(rename = "ref")]
        reference: &'a str,
        seq: NonZeroU64,
    },
    History {
        before: u64,
        messages: Vec<Object<'a>>,
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
struct LimitsObject {
    /// Bytes of a message.
    message: usize,
    /// Messages with a `ref` that it may have said without an answer.
    unacknowledged: usize,
    /// Messages a second.
    rate: Option<u32>,
    /// Messages that are held.
    history: usize,
}

/// Somebody, as the others see it.
#[derive(Clone, Copy, Debug, Serialize)]
struct PersonObject<'a> {
    id: IdObject,
    name: &'a str,
}

/// A person's number, `c7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IdObject(PersonId);

/// Bytes that are written as base64 when they are written.
#[derive(Clone, Copy, Debug)]
struct Base64<'a>(&'a [u8]);

/// RFC 3339, with milliseconds.
#[derive(Clone, Copy, Debug)]
struct Stamp(Timestamp);

impl<'a> ClientObject<'a> {
    /// Reads an object; what it means is for others. The error says what is wrong and where.
    fn parse(payload: &'a [u8]) -> Result<ClientObject<'a>, String> {
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

    /// What it asks for.
    fn into_command(self) -> Result<Command<'a>, BadCommand<'a>> {
        let ClientObject { kind, reference, text, name, before, limit, after } = self;
        let bad =
            |reason, advice, reference| Err(BadCommand { reason, advice: Cow::Borrowed(advice), reference });
        if reference.as_ref().is_some_and(|name| name.is_empty() || name.len() > REF_BYTES_MAX) {
            return bad(Reason::BadReference, "a `ref` is 1 to 64 bytes", None);
        }
        let wish = match &*kind {
            "say" => match text.filter(|text| !text.is_empty()) {
                Some(Cow::Borrowed(text)) => Wish::Say(Kind::Text, Cow::Borrowed(text.as_bytes())),
                Some(Cow::Owned(text)) => Wish::Say(Kind::Text, Cow::Owned(text.into_bytes())),
                None => return bad(Reason::NoText, "`say` wants a `text` that is not empty", reference),
            },
            "name" => match name {
                Some(name) => Wish::Rename(name),
                None => return bad(Reason::BadName, "`name` wants a `name`", reference),
            },
            "history" => Wish::History { before, limit },
            "members" => match after.as_deref().map(IdObject::read) {
                None => Wish::Members { after: None, limit },
                Some(Some(IdObject(id))) => Wish::Members { after: Some(id), limit },
                Some(None) => {
                    return bad(Reason::BadId, "`after` is the `id` of a member, such as c7", reference);
                }
            },
            "ping" => Wish::Ping,
            _ => return bad(Reason::UnknownType, "`type` is say, name, history, members or ping", reference),
        };
        Ok(Command { wish, reference })
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

impl<'a> Object<'a> {
    /// Who has come and gone, where it is counted; and who is here, where it is told.
    fn presence(
        count: usize,
        counts: Counts,
        members: Option<Vec<PersonObject<'a>>>,
        more: bool,
    ) -> Object<'a> {
        let Counts { joined, left, renamed } = counts;
        Object::Presence { count, joined, left, renamed, members, more }
    }

    /// As a text message.
    fn write(&self, scratch: &'a mut Vec<u8>) -> Rendered<'a> {
        serde_json::to_writer(&mut *scratch, self).expect("strings and numbers can be written");
        Rendered { kind: Kind::Text, payload: scratch }
    }
}

impl<'a> From<&Said<'a>> for Object<'a> {
    fn from(said: &Said<'a>) -> Object<'a> {
        let Said { seq, time, id, who, kind, payload } = *said;
        let (time, from) = (Stamp(time), PersonObject { id: IdObject(id), name: who });
        match kind {
            // Text was checked when it came.
            Kind::Text => {
                Object::Say { seq, time, from, text: std::str::from_utf8(payload).unwrap_or_default() }
            }
            Kind::Binary => Object::Data { seq, time, from, base64: Base64(payload) },
        }
    }
}

impl<'a> From<&'a Welcome<'a>> for Object<'a> {
    fn from(welcome: &'a Welcome<'a>) -> Object<'a> {
        let Welcome { room, you, epoch, seq, count, members, more, recovered, limits, rights } = welcome;
        let LimitsTold { message_bytes, unacknowledged, rate, history } = *limits;
        Object::Welcome {
            room,
            you: you.into(),
            epoch,
            seq: *seq,
            count: *count,
            members: objects(members),
            more: *more,
            recovered: *recovered,
            limits: LimitsObject { message: message_bytes, unacknowledged, rate, history },
            rights,
            server: VERSION,
        }
    }
}

impl<'a> From<&Profile<'a>> for PersonObject<'a> {
    fn from(person: &Profile<'a>) -> PersonObject<'a> {
        PersonObject { id: IdObject(person.id), name: person.who }
    }
}

fn objects<'a>(people: &[Profile<'a>]) -> Vec<PersonObject<'a>> {
    people.iter().map(PersonObject::from).collect()
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

impl Serialize for IdObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("c{}", self.0.0))
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

impl IdObject {
    /// The number that a client writes so.
    fn read(text: &str) -> Option<IdObject> {
        let digits = text.strip_prefix('c')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().map(|number| IdObject(PersonId(number)))
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

    /// What users are told.
    const PROTOCOL: &str = include_str!("PROTOCOL.md");
    const ALICE: Profile<'static> = Profile { id: PersonId(7), who: "alice", short: "alice" };
    const BOB: Profile<'static> = Profile { id: PersonId(8), who: "bob", short: "bob" };

    fn number(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).expect("from one on")
    }

    fn time() -> Timestamp {
        "2026-11-20T12:03:07.123456Z".parse().expect("a time")
    }

    fn check(reply: &Reply<'_>, wanted: &str) {
        let mut scratch = Vec::new();
        let rendered = Json.render_reply(reply, &mut scratch).expect("all is told");
        assert_eq!((rendered.kind, String::from_utf8_lossy(rendered.payload)), (Kind::Text, wanted.into()));
    }

    #[test]
    fn a_welcome_as_it_is_documented() {
        let limits = LimitsTold { message_bytes: 65_536, unacknowledged: 500, rate: None, history: 100 };
        #[rustfmt::skip]
        let welcome = |members, more, recovered| Reply::Welcome(Box::new(Welcome {
            room: "lobby", you: ALICE, epoch: "ab".into(), seq: 120, count: 3,
            members, more, recovered, limits, rights: &["read", "say"],
        }));
        let start = r#"{"type":"welcome","room":"lobby","you":{"id":"c7","name":"alice"},"epoch":"ab","seq":120,"count":3,"#;
        let end = format!(
            r#""limits":{{"message":65536,"unacknowledged":500,"rate":null,"history":100}},"rights":["read","say"],"server":"{VERSION}"}}"#
        );
        check(
            &welcome(vec![ALICE], false, None),
            &format!(r#"{start}"members":[{{"id":"c7","name":"alice"}}],{end}"#),
        );
        check(
            &welcome(vec![], true, Some(true)),
            &format!(r#"{start}"members":[],"more":true,"recovered":true,{end}"#),
        );
    }

    #[test]
    fn each_event_as_it_is_documented() {
        let counts = |joined, left, renamed| Counts { joined, left, renamed };
        let counted = |counts, count, members| RoomEvent::Counted {
            time: time(),
            counts,
            connections: 9,
            count,
            members,
        };
        for (event, wanted) in [
            (
                RoomEvent::Joined { person: BOB, count: 4 },
                r#"{"type":"join","id":"c8","name":"bob","count":4}"#,
            ),
            (
                RoomEvent::Left { time: time(), person: BOB, count: 3 },
                r#"{"type":"leave","id":"c8","name":"bob","count":3}"#,
            ),
            (
                counted(counts(37, 12, 0), 5120, None),
                r#"{"type":"presence","count":5120,"joined":37,"left":12}"#,
            ),
            (
                counted(counts(0, 0, 3), 2, Some(vec![BOB])),
                r#"{"type":"presence","count":2,"joined":0,"left":0,"renamed":3,"members":[{"id":"c8","name":"bob"}]}"#,
            ),
            (
                RoomEvent::Renamed { id: PersonId(8), name: "bobby", was: "bob" },
                r#"{"type":"name","id":"c8","name":"bobby","was":"bob"}"#,
            ),
        ] {
            check(&Reply::Event(event), wanted);
        }
    }

    #[test]
    fn each_answer_as_it_is_documented() {
        let gap = |numbers| {
            let (count, members, more) = (200, vec![BOB], true);
            Reply::Gap { time: time(), messages: 9, numbers, count, members, more }
        };
        for (reply, wanted) in [
            (
                Reply::Members { count: 5120, members: vec![BOB], more: true },
                r#"{"type":"members","count":5120,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
            ),
            (
                gap(Some((number(130), number(161)))),
                r#"{"type":"gap","first":130,"last":161,"count":200,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
            ),
            (
                gap(None),
                r#"{"type":"presence","count":200,"joined":0,"left":0,"members":[{"id":"c8","name":"bob"}],"more":true}"#,
            ),
            (
                Reply::Acknowledged { reference: "a1", seq: number(121) },
                r#"{"type":"ack","ref":"a1","seq":121}"#,
            ),
            (
                Reply::History { before: 121, messages: vec![], more: true },
                r#"{"type":"history","before":121,"messages":[],"more":true}"#,
            ),
            (Reply::Pong { reference: None }, r#"{"type":"pong"}"#),
        ] {
            check(&reply, wanted);
        }
        for (reason, code) in [
            (Reason::Malformed, "bad_json"),
            (Reason::UnknownType, "unknown_type"),
            (Reason::NoText, "no_text"),
            (Reason::BadName, "bad_name"),
            (Reason::BadReference, "bad_ref"),
            (Reason::BadId, "bad_id"),
            (Reason::Rate, "rate"),
            (Reason::Unavailable, "unavailable"),
        ] {
            assert!(PROTOCOL.contains(&format!("| `{code}` |")), "PROTOCOL.md lacks {code}");
            let refused = Refused { reason, advice: "do this", time: time(), reference: Some("x") };
            let wanted = format!(r#"{{"type":"error","code":"{code}","text":"do this","ref":"x"}}"#);
            check(&Reply::Refused(refused), &wanted);
        }
    }

    #[test]
    fn each_message_as_it_is_documented() {
        let said = |seq, kind, payload| {
            let (seq, time) = (number(seq), time());
            Said { seq, time, id: PersonId(7), who: "alice", kind, payload }
        };
        let start = |kind, seq| {
            format!(
                r#"{{"type":"{kind}","seq":{seq},"time":"2026-11-20T12:03:07.123Z","from":{{"id":"c7","name":"alice"}},"#
            )
        };
        for (said, wanted) in [
            (
                said(121, Kind::Text, "h\"i\n你".as_bytes()),
                format!(r#"{}"text":"h\"i\n你"}}"#, start("say", 121)),
            ),
            (said(122, Kind::Binary, &[0, 255]), format!(r#"{}"base64":"AP8="}}"#, start("data", 122))),
        ] {
            check(&Reply::Event(RoomEvent::Said(said)), &wanted);
            assert_eq!(Json.measure(&said), wanted.len() + 1, "with a comma");
            let history = Reply::History { before: 1, messages: vec![said, said], more: false };
            check(
                &history,
                &format!(r#"{{"type":"history","before":1,"messages":[{wanted},{wanted}],"more":false}}"#),
            );
        }
    }

    #[test]
    fn requests_with_more_than_is_known_are_read_and_others_are_told_what_is_wrong() {
        let request =
            ClientObject::parse(r#"{"type":"say","text":"a\u00e9","ref":"1","later":{"x":[1]}}"#.as_bytes());
        let request = request.expect("an object");
        assert_eq!(
            (&*request.kind, request.text.as_deref(), request.reference.as_deref()),
            ("say", Some("aé"), Some("1"))
        );
        assert_eq!(ClientObject::parse(b"{}").expect("an object").kind, "");
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
            let error = ClientObject::parse(bad.as_bytes()).expect_err(bad);
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
            let error = ClientObject::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(error, format!("send one JSON object a message: {wanted}"));
        }
        let deep = "[".repeat(100_000);
        assert!(
            ClientObject::parse(format!(r#"{{"x":{deep}"#).as_bytes()).is_err(),
            "and it does not fall over"
        );
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
            let limit = ClientObject::parse(request.as_bytes()).map(|request| request.limit);
            assert_eq!(limit.ok(), read, "{written}");
        }
        let error = ClientObject::parse(br#"{"limit":"x"}"#).expect_err("no number");
        assert!(error.contains("expected a whole number from 0 on"), "{error}");
    }
}
