//! The JSON form, subprotocol `wsloop.json`: the only place that knows its shape.

mod object;
mod request;

use std::borrow::Cow;
use std::io;

use super::{Form, Rendered};
use crate::chat::{BadCommand, Command, Counts, Reason, Refused, Reply, RoomEvent, Said, Wish};
use crate::websocket::Kind;
use object::{IdObject, Object, objects};
use request::ClientObject;

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
            RoomEvent::Said(said) => Object::said(said, None),
            RoomEvent::Changed(changed) => Object::from(changed),
            RoomEvent::Typing { id } => Object::Typing { id: IdObject(*id) },
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
            Reply::History { before, viewer, messages, more } => {
                let messages = messages.iter().map(|said| Object::said(said, Some(*viewer))).collect();
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
            return Ok(Command { wish: Wish::say(kind, payload), reference: None });
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
        serde_json::to_writer(&mut count, &Object::said(said, None))
            .expect("strings and numbers can be written");
        // Whoever asks may have reacted with all of them: `,"mine":[]`, and each with its quotes and a comma.
        let mine = said.reactions.iter().map(|reaction| reaction.emoji.len() + 3).sum::<usize>();
        // With a comma.
        count.0 + 1 + if mine > 0 { mine + 10 } else { 0 }
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
        Reason::BadNumber => "bad_seq",
        Reason::NotHeld => "not_held",
        Reason::NotYours => "not_yours",
        Reason::BadEmoji => "bad_emoji",
        Reason::TooMany => "too_many",
        Reason::Rate => "rate",
        Reason::Unavailable => "unavailable",
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use jiff::Timestamp;

    use super::object::VERSION;
    use super::*;
    use crate::chat::{Change, Changed, Fate, LimitsTold, Profile, Reaction, Welcome};
    use crate::id::PersonId;

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
                Reply::History { before: 121, viewer: PersonId(7), messages: vec![], more: true },
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
            (Reason::BadNumber, "bad_seq"),
            (Reason::NotHeld, "not_held"),
            (Reason::NotYours, "not_yours"),
            (Reason::BadEmoji, "bad_emoji"),
            (Reason::TooMany, "too_many"),
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
            let (re, fate, reactions) = (None, Fate::AsSaid, &[][..]);
            Said { seq, time, id: PersonId(7), who: "alice", kind, payload, re, fate, reactions }
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
            let history =
                Reply::History { before: 1, viewer: PersonId(7), messages: vec![said, said], more: false };
            check(
                &history,
                &format!(r#"{{"type":"history","before":1,"messages":[{wanted},{wanted}],"more":false}}"#),
            );
        }
    }

    #[test]
    fn a_message_says_what_it_answers_and_what_has_become_of_it() {
        let reactions = [
            Reaction { emoji: "👍".into(), people: vec![PersonId(7), PersonId(8)] },
            Reaction { emoji: "🎉".into(), people: vec![PersonId(8)] },
        ];
        let said = |fate, payload, reactions| {
            let (seq, time, id, who) = (number(121), time(), PersonId(7), "alice");
            Said { seq, time, id, who, kind: Kind::Text, payload, re: Some(number(119)), fate, reactions }
        };
        let start =
            r#"{"type":"say","seq":121,"time":"2026-11-20T12:03:07.123Z","from":{"id":"c7","name":"alice"}"#;
        let edited = said(Fate::Edited(number(130)), b"new", &reactions);
        for (said, viewer, wanted) in [
            (edited, 7, r#","text":"new","re":119,"edited":130,"reactions":{"👍":2,"🎉":1},"mine":["👍"]}"#),
            (
                edited,
                8,
                r#","text":"new","re":119,"edited":130,"reactions":{"👍":2,"🎉":1},"mine":["👍","🎉"]}"#,
            ),
            (edited, 9, r#","text":"new","re":119,"edited":130,"reactions":{"👍":2,"🎉":1}}"#),
            (said(Fate::Deleted(number(131)), b"", &[]), 7, r#","text":"","re":119,"deleted":131}"#),
        ] {
            let history =
                Reply::History { before: 1, viewer: PersonId(viewer), messages: vec![said], more: false };
            check(
                &history,
                &format!(r#"{{"type":"history","before":1,"messages":[{start}{wanted}],"more":false}}"#),
            );
            assert!(Json.measure(&said) > start.len() + wanted.len(), "whoever asks");
        }
        check(
            &Reply::Event(RoomEvent::Said(Said { reactions: &[], ..edited })),
            &format!(r#"{start},"text":"new","re":119,"edited":130}}"#),
        );
    }

    #[test]
    fn each_change_as_it_is_documented() {
        let end = r#""from":{"id":"c8","name":"bob"},"time":"2026-11-20T12:03:07.123Z"}"#;
        for (change, wanted) in [
            (
                Change::Edited { text: b"new", deleted: None },
                r#"{"type":"edit","seq":130,"of":121,"text":"new","#,
            ),
            (
                Change::Edited { text: b"", deleted: Some(number(131)) },
                r#"{"type":"edit","seq":130,"of":121,"text":"","deleted":131,"#,
            ),
            (Change::Deleted, r#"{"type":"delete","seq":130,"of":121,"#),
            (
                Change::Reacted { emoji: "👍", is_on: true, count: 2 },
                r#"{"type":"react","seq":130,"of":121,"emoji":"👍","on":true,"count":2,"#,
            ),
        ] {
            let (seq, of, id, who) = (number(130), number(121), PersonId(8), "bob");
            let changed = Changed { seq, time: time(), id, who, of, change };
            check(&Reply::Event(RoomEvent::Changed(changed)), &format!("{wanted}{end}"));
        }
        check(&Reply::Event(RoomEvent::Typing { id: PersonId(8) }), r#"{"type":"typing","id":"c8"}"#);
    }
}
