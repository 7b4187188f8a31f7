//! A response, built whole and sent once.

use std::borrow::Cow;
use std::fmt::Write as _;

/// An HTTP/1.1 response. Except for `101` it says `Connection: close`: no second request is read.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// A response with this status (RFC 9110 §15) and no body.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// Plain text for people and for tools.
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Response {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::new(status)
            .with_body("text/plain; charset=utf-8", body)
            .with_header("Cache-Control", "no-store")
            .with_header("X-Content-Type-Options", "nosniff")
    }

    /// Adds a header. Values are the server's own; none comes from a peer unchecked.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        let value = value.into();
        assert!(!value.contains(['\r', '\n', '\0']), "a header value is one line");
        self.headers.push((name, value));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        self.body = body.into();
        self.with_header("Content-Type", content_type)
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The bytes of the body.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The bytes to send. `date` is the time of day, where it is known (RFC 9110 §6.6.1); without
    /// `with_body` (the answer to HEAD) the headers are those of the whole answer.
    pub fn encode(&self, date: Option<jiff::Timestamp>, with_body: bool) -> Vec<u8> {
        let mut bytes = self.encode_head(date);
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The same in two pieces, so that a body that is compiled in is not copied for each who gets it.
    pub fn into_pieces(
        self,
        date: Option<jiff::Timestamp>,
        with_body: bool,
    ) -> (Vec<u8>, Cow<'static, [u8]>) {
        let head = self.encode_head(date);
        (head, if with_body { self.body } else { Cow::Borrowed(b"") })
    }

    fn encode_head(&self, date: Option<jiff::Timestamp>) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        let mut line = |name: &str, value: &str| {
            write!(head, "{name}: {value}\r\n").expect("writing to a String cannot fail");
        };
        if let Some(date) = date {
            line("Date", &date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if self.status != 101 {
            // 304 has no body of its own to measure (RFC 9110 §8.6).
            if self.status != 304 {
                line("Content-Length", &self.body.len().to_string());
            }
            // RFC 9110 §7.8: whoever sends Upgrade names it in Connection.
            let upgrade = self.headers.iter().any(|(name, _)| *name == "Upgrade");
            line("Connection", if upgrade { "upgrade, close" } else { "close" });
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        // RFC 9112 §4: the phrase may be empty.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_response() {
        let date = jiff::Timestamp::from_second(784_111_777).expect("in range");
        let response = Response::text(200, "ok\n");
        let whole = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
            X-Content-Type-Options: nosniff\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        assert_eq!(String::from_utf8(response.encode(Some(date), true)).expect("ASCII"), whole);
        assert_eq!(
            String::from_utf8(response.encode(Some(date), false)).expect("ASCII"),
            whole.trim_end_matches("ok\n"),
        );
    }

    #[test]
    fn switching_protocols_keeps_the_connection_and_has_no_length() {
        let text = String::from_utf8(Response::new(101).encode(None, true)).expect("ASCII");
        assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    }

    #[test]
    #[should_panic(expected = "one line")]
    fn a_header_cannot_be_split() {
        let _ = Response::new(200).with_header("X", "a\r\nSet-Cookie: b");
    }
}
