//! The text lines of a chat room, byte for byte; and on a topic the messages themselves.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Form, Rendered};
use crate::chat::{BadCommand, Change, Changed, Command, Counts, Reason, Reply, RoomEvent, Said, Wish};
use crate::websocket::Kind;

/// Lines of text: no subprotocol, or `chat`.
#[derive(Debug)]
pub struct Text {
    time: RefCell<LocalTime>,
}

impl Text {
    /// Lines with the local time of this zone.
    pub fn new(zone: TimeZone) -> Text {
        Text { time: RefCell::new(LocalTime::new(zone)) }
    }

    fn time(&self, wall: Timestamp) -> [u8; 8] {
        *self.time.borrow_mut().at(wall)
    }
}

impl Form for Text {
    fn subprotocols(&self) -> &'static [&'static str] {
        &["chat"]
    }

    fn render<'a>(&self, event: &'a RoomEvent<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| scratch.extend_from_slice(part));
        match event {
            RoomEvent::Passed { kind, payload } => return Some(Rendered { kind: *kind, payload }),
            RoomEvent::Said(Said { kind: Kind::Binary, payload, .. }) => {
                return Some(Rendered { kind: Kind::Binary, payload });
            }
            // `HH:MM:SS WHO say: TEXT`
            RoomEvent::Said(Said { time, who, payload, .. }) => {
                line(&[&self.time(*time), b" ", who.as_bytes(), b" say: ", &one_line(payload)]);
            }
            // `Welcome NAME !`
            RoomEvent::Joined { person, .. } => line(&[b"Welcome ", person.short.as_bytes(), b" !"]),
            // `HH:MM:SS WHO say: NAME Logout`
            RoomEvent::Left { time, person, .. } => {
                let (who, short) = (person.who.as_bytes(), person.short.as_bytes());
                line(&[&self.time(*time), b" ", who, b" say: ", short, b" Logout"]);
            }
            // `HH:MM:SS 3 joined, 2 left, 117 here`
            RoomEvent::Counted { time, counts: Counts { joined, left, .. }, connections, .. } => {
                line(&[&self.time(*time)]);
                write!(scratch, " {joined} joined, {left} left, {connections} here").ok()?;
            }
            // `HH:MM:SS WHO edits: TEXT`
            RoomEvent::Changed(Changed {
                time, who, change: Change::Edited { text, deleted: None }, ..
            }) => {
                line(&[&self.time(*time), b" ", who.as_bytes(), b" edits: ", &one_line(text)]);
            }
            RoomEvent::Renamed { .. } | RoomEvent::Changed(_) | RoomEvent::Typing { .. } => return None,
        }
        Some(Rendered { kind: Kind::Text, payload: scratch })
    }

    fn render_reply<'a>(&self, reply: &'a Reply<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| scratch.extend_from_slice(part));
        match reply {
            Reply::Event(event) => return self.render(event, scratch),
            Reply::Welcome(welcome) => line(&[b"Welcome ", welcome.you.short.as_bytes(), b" !"]),
            // `HH:MM:SS 37 messages were skipped, since you read too slowly`
            Reply::Gap { time, messages, .. } => {
                line(&[&self.time(*time)]);
                let what = if *messages == 1 { "message was" } else { "messages were" };
                write!(scratch, " {messages} {what} skipped, since you read too slowly").ok()?;
            }
            Reply::Refused(refused) if refused.reason == Reason::Unavailable => {
                line(&[&self.time(refused.time), b" ", refused.advice.as_bytes()]);
            }
            // Nobody asks for these in lines.
            Reply::Acknowledged { .. }
            | Reply::History { .. }
            | Reply::Members { .. }
            | Reply::Refused(_)
            | Reply::Pong { .. } => return None,
        }
        Some(Rendered { kind: Kind::Text, payload: scratch })
    }

    fn read<'a>(&self, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>> {
        let wish = match (kind, text_of(payload)) {
            (Kind::Binary, _) => Wish::say(kind, payload),
            // An empty message keeps a connection alive; it says nothing.
            (Kind::Text, b"") => Wish::Nothing,
            (Kind::Text, b"quit") => Wish::Quit,
            (Kind::Text, text) => Wish::say(kind, text),
        };
        Ok(Command { wish, reference: None })
    }

    fn measure(&self, said: &Said<'_>) -> usize {
        said.payload.len()
    }

    fn names_guests(&self) -> bool {
        false
    }

    fn has_numbers(&self) -> bool {
        false
    }
}

/// A message without the line ending that line-based tools (websocat) send with each.
fn text_of(payload: &[u8]) -> &[u8] {
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    line.strip_suffix(b"\r").filter(|_| line.len() < payload.len()).unwrap_or(line)
}

/// A text as one line: whatever breaks it becomes ` ⏎ `, so that nobody speaks in another's name. Most texts hold
/// nothing of that kind, and are not copied.
fn one_line(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.chunks(64).any(may_break) {
        return Cow::Borrowed(text);
    }
    let mut line = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(&first) = rest.first() {
        match break_length(rest) {
            0 => {
                line.push(first);
                rest = &rest[1..];
            }
            length => {
                line.extend_from_slice(" ⏎ ".as_bytes());
                rest = &rest[length..];
            }
        }
    }
    Cow::Owned(line)
}

/// Whether one of these bytes may begin a line break. No branch within: it is done for many bytes at once.
fn may_break(chunk: &[u8]) -> bool {
    chunk
        .iter()
        .fold(false, |found, &byte| found | (byte.wrapping_sub(b'\n') < 4) | (byte == 0xC2) | (byte == 0xE2))
}

/// Bytes of the line break that a text begins with; zero if it begins with something else.
fn break_length(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        // Line feed, vertical tab, form feed, carriage return.
        [b'\n'..=b'\r', ..] => 1,
        // U+0085, next line.
        [0xC2, 0x85, ..] => 2,
        // U+2028 and U+2029, line and paragraph separator.
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

/// Local time of day, written out once a second.
#[derive(Debug)]
struct LocalTime {
    zone: TimeZone,
    second: i64,
    text: [u8; 8],
}

impl LocalTime {
    fn new(zone: TimeZone) -> LocalTime {
        // No turn happens in this second, so the first one is written out.
        LocalTime { zone, second: i64::MIN, text: *b"00:00:00" }
    }

    /// `HH:MM:SS` at this moment.
    fn at(&mut self, wall: Timestamp) -> &[u8; 8] {
        if wall.as_second() != self.second {
            self.second = wall.as_second();
            let time = self.zone.to_datetime(wall).time();
            let text = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
            self.text.copy_from_slice(text.as_bytes());
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Fate, Profile, Refused};
    use crate::id::PersonId;
    use std::num::NonZeroU64;

    fn check(event: RoomEvent<'_>, wanted: &str) {
        let (mut scratch, reply) = (Vec::new(), Reply::Event(event));
        let rendered = Text::new(TimeZone::UTC);
        let rendered = rendered.render_reply(&reply, &mut scratch).expect("it is told");
        assert_eq!((rendered.kind, String::from_utf8_lossy(rendered.payload)), (Kind::Text, wanted.into()));
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn said<'a>(who: &'a str, kind: Kind, payload: &'a [u8]) -> RoomEvent<'a> {
        let (seq, time) = (NonZeroU64::MIN, second(43_201));
        let (re, fate, reactions) = (None, Fate::AsSaid, &[][..]);
        RoomEvent::Said(Said { seq, time, id: PersonId(1), who, kind, payload, re, fate, reactions })
    }

    #[test]
    fn the_lines_of_somebody_with_a_name_and_without() {
        for (who, short) in
            [("('10.0.0.7', 4242)", "10.0.0.7"), ("('::1', 9)", "::1"), ("alice", "alice"), ("你", "你")]
        {
            let person = Profile { id: PersonId(1), who, short };
            check(RoomEvent::Joined { person, count: 1 }, &format!("Welcome {short} !"));
            check(said(who, Kind::Text, "你好".as_bytes()), &format!("12:00:01 {who} say: 你好"));
            check(
                RoomEvent::Left { time: second(43_202), person, count: 0 },
                &format!("12:00:02 {who} say: {short} Logout"),
            );
        }
        let counts = Counts { joined: 3, left: 2, renamed: 1 };
        let (time, members) = (second(43_203), None);
        check(
            RoomEvent::Counted { time, counts, connections: 117, count: 100, members },
            "12:00:03 3 joined, 2 left, 117 here",
        );
    }

    #[test]
    fn what_one_client_is_told_in_lines() {
        let text = Text::new(TimeZone::UTC);
        let told = |reply: &Reply<'_>| {
            let mut scratch = Vec::new();
            let rendered = text.render_reply(reply, &mut scratch);
            rendered.map(|rendered| String::from_utf8_lossy(rendered.payload).into_owned())
        };
        let gap = |messages| {
            let (time, members) = (second(43_204), Vec::new());
            Reply::Gap { time, messages, numbers: None, count: 1, members, more: false }
        };
        let skipped = "12:00:04 37 messages were skipped, since you read too slowly";
        assert_eq!(told(&gap(37)).as_deref(), Some(skipped));
        let skipped = "12:00:04 1 message was skipped, since you read too slowly";
        assert_eq!(told(&gap(1)).as_deref(), Some(skipped));
        let refused = |reason| {
            Reply::Refused(Refused { reason, advice: "say it later", time: second(43_205), reference: None })
        };
        assert_eq!(told(&refused(Reason::Unavailable)).as_deref(), Some("12:00:05 say it later"));
        assert_eq!(told(&refused(Reason::Rate)), None, "the close says why");
        assert_eq!(told(&Reply::Pong { reference: None }), None);
        let renamed = RoomEvent::Renamed { id: PersonId(1), name: "a", was: "b" };
        assert_eq!(told(&Reply::Event(renamed)), None);
    }

    #[test]
    fn what_is_binary_or_of_a_topic_is_not_copied() {
        let payload = b"\nquit\n".as_slice();
        let passed = |kind| RoomEvent::Passed { kind, payload };
        for event in [said("alice", Kind::Binary, payload), passed(Kind::Text), passed(Kind::Binary)] {
            let (text, mut scratch) = (Text::new(TimeZone::UTC), Vec::new());
            let rendered = text.render(&event, &mut scratch).expect("it is told");
            assert_eq!(rendered.payload.as_ptr(), payload.as_ptr(), "{event:?}");
        }
    }

    #[test]
    fn what_is_said_in_lines() {
        let read = |kind, payload| {
            let command = Text::new(TimeZone::UTC).read(kind, payload).map(|command| command.wish);
            format!("{:?}", command.expect("a line is never wrong"))
        };
        for (payload, wanted) in [
            (b"hi".as_slice(), Wish::say(Kind::Text, b"hi")),
            (b"hi\r\n", Wish::say(Kind::Text, b"hi")),
            (b"quit\n", Wish::Quit),
            (b"quit ", Wish::say(Kind::Text, b"quit ")),
            (b"\n", Wish::Nothing),
            (b"", Wish::Nothing),
        ] {
            assert_eq!(read(Kind::Text, payload), format!("{wanted:?}"));
        }
        let binary = Wish::say(Kind::Binary, b"quit");
        assert_eq!(read(Kind::Binary, b"quit"), format!("{binary:?}"));
    }

    #[test]
    fn one_line_ending_is_not_part_of_a_text() {
        for (payload, text) in [
            ("hi", "hi"),
            ("hi\n", "hi"),
            ("hi\r\n", "hi"),
            ("hi\n\n", "hi\n"),
            ("hi\r", "hi\r"),
            ("a\nb", "a\nb"),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(text_of(payload.as_bytes()), text.as_bytes(), "{payload:?}");
        }
    }

    #[test]
    fn a_text_is_one_line_whatever_breaks_it() {
        let long = "x".repeat(100);
        let broken = format!("{long}\n{long}");
        let shown = format!("{long} ⏎ {long}");
        for (text, wanted) in [
            ("hi", "hi"),
            ("a\nb", "a ⏎ b"),
            ("a\r\nb\rc", "a ⏎ b ⏎ c"),
            ("a\n\rb", "a ⏎  ⏎ b"),
            ("a\u{b}b\u{c}c", "a ⏎ b ⏎ c"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a ⏎ b ⏎ c ⏎ d"),
            ("a\tb\u{e}c", "a\tb\u{e}c"),
            ("“a” £5 † é", "“a” £5 † é"),
            ("hi\n12:34:56 alice say: I quit", "hi ⏎ 12:34:56 alice say: I quit"),
            (&broken, &shown),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&one_line(text.as_bytes())), wanted, "{text:?}");
        }
        assert!(matches!(one_line(long.as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn local_time_follows_zone_and_second() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let mut time = LocalTime::new(zone);
        let at = |second| Timestamp::from_second(second).expect("in range");
        assert_eq!(time.at(at(0)), b"08:00:00");
        assert_eq!(time.at(at(57_599)), b"23:59:59");
        assert_eq!(time.at(at(57_600)), b"00:00:00");
        assert_eq!(time.at(at(0)), b"08:00:00", "clocks are set back");
    }
}
