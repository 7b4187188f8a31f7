//! The text lines of a chat room, byte for byte.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::channel::Counts;
use super::identity::Member;

impl Member {
    /// `Welcome NAME !`
    pub(super) fn welcome(&self) -> [&[u8]; 3] {
        [b"Welcome ", self.name().as_bytes(), b" !"]
    }

    /// `HH:MM:SS WHO say: TEXT`
    pub(super) fn say<'a>(&'a self, time: &'a [u8], text: &'a [u8]) -> [&'a [u8]; 5] {
        [time, b" ", self.who.as_bytes(), b" say: ", text]
    }

    /// `HH:MM:SS WHO say: NAME Logout`
    pub(super) fn logout<'a>(&'a self, time: &'a [u8]) -> [&'a [u8]; 6] {
        [time, b" ", self.who.as_bytes(), b" say: ", self.name().as_bytes(), b" Logout"]
    }
}

/// A message without the line ending that line-based tools (websocat) send with each.
pub(super) fn text_of(payload: &[u8]) -> &[u8] {
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    line.strip_suffix(b"\r").filter(|_| line.len() < payload.len()).unwrap_or(line)
}

/// A text as one line: whatever breaks it becomes ` ⏎ `, so that nobody speaks in another's name. Most texts hold
/// nothing of that kind, and are not copied.
pub(super) fn one_line(text: &[u8]) -> Cow<'_, [u8]> {
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

/// `HH:MM:SS 3 joined, 2 left, 117 here`: joins and leaves of a large room, together.
pub(super) fn counts(time: &[u8], counts: Counts, here: usize) -> String {
    let Counts { joined, left, .. } = counts;
    format!("{} {joined} joined, {left} left, {here} here", String::from_utf8_lossy(time))
}

/// `HH:MM:SS 37 messages were skipped, since you read too slowly`: to one who did not get them.
pub(super) fn skipped(time: &[u8], messages: u32) -> String {
    let time = String::from_utf8_lossy(time);
    match messages {
        1 => format!("{time} 1 message was skipped, since you read too slowly"),
        _ => format!("{time} {messages} messages were skipped, since you read too slowly"),
    }
}

/// Local time of day, written out once a second.
#[derive(Debug)]
pub(super) struct LocalTime {
    zone: TimeZone,
    second: i64,
    text: [u8; 8],
}

impl LocalTime {
    pub(super) fn new(zone: TimeZone) -> LocalTime {
        // No turn happens in this second, so the first one is written out.
        LocalTime { zone, second: i64::MIN, text: *b"00:00:00" }
    }

    /// `HH:MM:SS` at this moment.
    pub(super) fn at(&mut self, wall: Timestamp) -> &[u8; 8] {
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
    use crate::chat::identity::PersonId;

    fn text(parts: &[&[u8]]) -> String {
        String::from_utf8(parts.concat()).expect("lines are UTF-8")
    }

    #[test]
    fn the_lines_of_somebody_without_a_name() {
        for (address, who, name) in [
            ("10.0.0.7:4242", "('10.0.0.7', 4242)", "10.0.0.7"),
            ("[::1]:9", "('::1', 9)", "::1"),
            ("[::ffff:10.0.0.7]:4242", "('10.0.0.7', 4242)", "10.0.0.7"),
        ] {
            let voice = Member::new(PersonId(1), address.parse().expect("an address"), None, false);
            assert_eq!(text(&voice.welcome()), format!("Welcome {name} !"));
            assert_eq!(text(&voice.say(b"12:00:01", "你好".as_bytes())), format!("12:00:01 {who} say: 你好"));
            assert_eq!(text(&voice.logout(b"12:00:02")), format!("12:00:02 {who} say: {name} Logout"));
        }
    }

    #[test]
    fn a_name_stands_for_both() {
        let voice =
            Member::new(PersonId(1), "10.0.0.7:4242".parse().expect("an address"), Some("alice"), false);
        assert_eq!(text(&voice.welcome()), "Welcome alice !");
        assert_eq!(text(&voice.say(b"12:00:01", b"hi")), "12:00:01 alice say: hi");
        assert_eq!(text(&voice.logout(b"12:00:02")), "12:00:02 alice say: alice Logout");
        assert_eq!(
            counts(b"12:00:03", Counts { joined: 3, left: 2, renamed: 1 }, 117),
            "12:00:03 3 joined, 2 left, 117 here"
        );
        assert_eq!(skipped(b"12:00:04", 37), "12:00:04 37 messages were skipped, since you read too slowly");
        assert_eq!(skipped(b"12:00:05", 1), "12:00:05 1 message was skipped, since you read too slowly");
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
