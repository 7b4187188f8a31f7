//! What a client hears, as lines to read.

use crate::support::frames::{BINARY, CLOSE, COMPRESSED, Frame, PING, PONG, TEXT, next_frame};
use crate::support::handshake::end_of_head;
use crate::support::http::Response;

/// A letter that stands so often is written once, with how often.
const RUN_MIN: usize = 40;

/// One client's view of the bytes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    is_open: bool,
    is_over: bool,
}

/// What a client has heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A line to show.
    Line(String),
    /// To be answered, as every client does.
    Ping(Vec<u8>),
    /// The same, with its code; and a line to show.
    Closed(Vec<u8>, String),
}

impl Reader {
    /// Whether the server has ended the conversation, in words.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes bytes as they come, and says what became whole with them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.bytes.extend_from_slice(bytes);
        let mut heard = Vec::new();
        if !self.is_open && !self.is_over {
            let Some(end) = end_of_head(&self.bytes) else { return heard };
            let head = String::from_utf8(self.bytes[..end - 4].to_vec()).expect("a head is ASCII");
            let response = Response::parse_head(&head);
            self.is_open = response.status == 101;
            self.is_over = !self.is_open;
            let body: Vec<u8> = self.bytes.split_off(end);
            self.bytes.clear();
            if self.is_over {
                let body = String::from_utf8(body).expect("a refusal is text");
                heard.push(Heard::Line(format!("refused: {}", body.trim_end())));
                return heard;
            }
            self.bytes = body;
        }
        while let Some((frame, length)) = next_frame(&self.bytes) {
            self.bytes.drain(..length);
            assert!(!self.is_over, "a frame behind the close frame: {frame:?}");
            self.is_over = frame.first == CLOSE;
            heard.push(read(&frame));
        }
        heard
    }
}

fn read(frame: &Frame) -> Heard {
    let message = frame.message();
    match frame.first & !COMPRESSED {
        TEXT => Heard::Line(show_text(&String::from_utf8(message).expect("text is UTF-8"))),
        BINARY => Heard::Line(show_binary(&message)),
        PING => Heard::Ping(message),
        PONG => Heard::Line(format!("pong {}", show_text(&String::from_utf8_lossy(&message)))),
        _ => {
            let (code, reason) = frame.close();
            let shown = if reason.is_empty() {
                format!("closed: {code}")
            } else {
                format!("closed: {code} {reason}")
            };
            Heard::Closed(message.into_iter().take(2).collect(), shown)
        }
    }
}

/// As it is, if that is one line that can be seen.
fn show_text(text: &str) -> String {
    let is_plain = !text.is_empty() && text == text.trim() && !text.chars().any(char::is_control);
    if is_plain {
        return shorten(text);
    }
    format!("text {}", serde_json::Value::from(shorten(text)))
}

fn show_binary(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "binary, empty".to_owned();
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("binary {}", shorten(&hex))
}

/// Long runs of a letter in the notation of commands: `{x*300}`.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let end = rest.find(|other| other != letter).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        let count = run.chars().count();
        if count >= RUN_MIN {
            short.push_str(&format!("{{{letter}*{count}}}"));
        } else {
            short.push_str(run);
        }
        rest = behind;
    }
    short
}

/// An object without some of its members, wherever they stand in it.
pub(crate) fn without_members(json: &str, names: &[String]) -> String {
    let mut json = json.to_owned();
    if !json.starts_with('{') {
        return json;
    }
    for name in names {
        let key = format!("\"{name}\":");
        while let Some(start) = json.find(&key) {
            let end = start + key.len() + value_length(&json[start + key.len()..]);
            // With the comma behind it, or the one before it.
            match (json[end..].starts_with(','), json[..start].ends_with(',')) {
                (true, _) => json.replace_range(start..=end, ""),
                (false, true) => json.replace_range(start - 1..end, ""),
                (false, false) => json.replace_range(start..end, ""),
            }
        }
    }
    json
}

/// How long the value is that text begins with.
fn value_length(json: &str) -> usize {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for (place, letter) in json.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            _ if is_string => {}
            '{' | '[' => depth += 1,
            ',' | '}' | ']' if depth == 0 => return place,
            '}' | ']' => depth -= 1,
            _ => {}
        }
    }
    json.len()
}

#[test]
fn members_are_left_out_whole() {
    let json = r#"{"a":{"b":[1,"}"],"c":2},"d":"x\"y","e":3}"#;
    for (name, wanted) in [
        ("a", r#"{"d":"x\"y","e":3}"#),
        ("d", r#"{"a":{"b":[1,"}"],"c":2},"e":3}"#),
        ("e", r#"{"a":{"b":[1,"}"],"c":2},"d":"x\"y"}"#),
        ("b", r#"{"a":{"c":2},"d":"x\"y","e":3}"#),
        ("f", json),
    ] {
        assert_eq!(without_members(json, &[name.to_owned()]), wanted);
    }
}
