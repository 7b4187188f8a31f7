//! A request head: found as its bytes arrive, then parsed once and strictly.

use std::net::IpAddr;

use super::Refusal;

/// A head may be this long; browsers stay under 4 KiB, cookies included. (nginx and Apache: 8 KiB.)
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// And have this many header fields (Apache: 100).
pub const HEADERS_MAX: usize = 100;

/// Finds the end of a head, looking at each byte once, however the bytes are split.
#[derive(Debug, Default)]
pub struct HeadScanner {
    bytes_seen: usize,
    place: ScanState,
}

/// Where in the head the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScanState {
    /// Before the request line. One empty line is allowed there (RFC 9112 §2.2).
    #[default]
    Start,
    StartAfterCr,
    RequestLine,
    InLine,
    AfterCr,
    LineStart,
    LastCr,
}

impl HeadScanner {
    /// Looks at the next bytes. `Some(n)`: the head ends with the first `n` of them.
    ///
    /// # Errors
    /// What cannot be a head is refused at its first wrong byte: a TLS hello does not wait for a
    /// time-out, and a bare CR or LF (RFC 9112 §2.2, a way to smuggle requests) goes no further.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.bytes_seen == HEAD_BYTES_MAX {
                return Err(Refusal::HeadTooLarge(
                    "the request head is over 8 KiB; send fewer or shorter headers",
                ));
            }
            self.bytes_seen += 1;
            self.place = match (self.place, byte) {
                (ScanState::LastCr, b'\n') => return Ok(Some(index + 1)),
                (ScanState::Start, b'\r') => ScanState::StartAfterCr,
                (ScanState::StartAfterCr, b'\n') => ScanState::RequestLine,
                (ScanState::AfterCr, b'\n') => ScanState::LineStart,
                (ScanState::StartAfterCr | ScanState::AfterCr | ScanState::LastCr, _) | (_, b'\n') => {
                    return Err(Refusal::Malformed("every line of a request ends with CR LF"));
                }
                (ScanState::LineStart, b'\r') => ScanState::LastCr,
                (ScanState::RequestLine, b'\r') => {
                    return Err(Refusal::Malformed("the request line is empty; send GET /PATH HTTP/1.1"));
                }
                (_, b'\r') => ScanState::AfterCr,
                (_, b'\t' | b' '..=b'~' | 0x80..) => ScanState::InLine,
                (_, _) => {
                    return Err(Refusal::Malformed(
                        "this is no HTTP request; connect with http:// or ws://, not https:// or wss://",
                    ));
                }
            };
        }
        Ok(None)
    }

    /// Whether any byte of a request has come.
    pub fn has_begun(&self) -> bool {
        self.bytes_seen > 0
    }
}

/// A whole request head. It borrows from the bytes it was parsed from.
#[derive(Debug)]
pub struct Request<'a> {
    /// `GET` or `HEAD`.
    pub is_head: bool,
    /// HTTP/1.1, without which there is no upgrade (RFC 6455 §4.1).
    pub is_http_1_1: bool,
    /// The path as sent, still percent-encoded, starting with `/`.
    pub path: &'a str,
    /// What followed the first `?`, or nothing.
    pub query: &'a str,
    /// The host asked for; `None` only in HTTP/1.0.
    pub host: Option<Authority<'a>>,
    headers: Vec<httparse::Header<'a>>,
}

impl<'a> Request<'a> {
    /// Parses a head that [`HeadScanner`] found the end of.
    ///
    /// # Errors
    /// A method other than GET and HEAD is 405, too many fields are 431, everything else that is
    /// not to the letter of RFC 9112 is 400: also any body, since none is ever wanted here.
    pub fn parse(head: &'a [u8]) -> Result<Request<'a>, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Refusal::Malformed("the request head is not complete")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::HeadTooLarge("the request has more than 100 headers; send fewer"));
            }
            Err(httparse::Error::Token) if has_raw_target(head) => return Err(NOT_ENCODED),
            Err(httparse::Error::Token) => {
                return Err(Refusal::Malformed("this is no HTTP request; send GET /PATH HTTP/1.1"));
            }
            Err(httparse::Error::Version) => {
                return Err(Refusal::Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here"));
            }
            Err(_) => return Err(Refusal::Malformed("a header line is not to RFC 9112; send `Name: value`")),
        }
        let is_head = match parsed.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Refusal::MethodNotAllowed),
        };
        let (authority, path, query) = split_target(parsed.path.unwrap_or_default())?;
        let mut request = Request {
            is_head,
            is_http_1_1: parsed.version == Some(1),
            path,
            query,
            host: None,
            headers: parsed.headers.to_vec(),
        };
        request.refuse_body()?;
        request.host = request.find_host(authority)?;
        Ok(request)
    }

    /// The only field of this name, its value as sent.
    ///
    /// # Errors
    /// Two fields of a name that may stand only once are 400, with the caller's advice.
    pub fn only(&self, name: &str, twice: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::Malformed(twice)),
            (value, None) => Ok(value),
        }
    }

    /// The values of all fields of this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// Whether one of the comma-separated elements of this field is `token`, in any case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    fn refuse_body(&self) -> Result<(), Refusal> {
        if self.all("Transfer-Encoding").next().is_some() {
            return Err(Refusal::Malformed("a request here has no body; leave out Transfer-Encoding"));
        }
        match self.only("Content-Length", "Content-Length stands twice; send no body")? {
            None | Some(b"0") => Ok(()),
            Some(_) => Err(Refusal::Malformed("a request here has no body; leave out Content-Length")),
        }
    }

    /// RFC 9112 §3.2: exactly one Host in HTTP/1.1; a target in absolute form overrides it.
    fn find_host(&self, target: Option<Authority<'a>>) -> Result<Option<Authority<'a>>, Refusal> {
        let field = self.only("Host", "Host stands twice; send it once")?;
        if field.is_none() && self.is_http_1_1 {
            return Err(Refusal::Malformed("HTTP/1.1 needs a Host header"));
        }
        let host = match field {
            None => None,
            Some(value) => Some(
                Authority::parse(value)
                    .ok_or(Refusal::Malformed("the Host header is not a host and port"))?,
            ),
        };
        Ok(target.or(host))
    }
}

const NOT_ENCODED: Refusal = Refusal::Malformed(
    "percent-encode the UTF-8 of what is not ASCII in the path and the query; for instance, write %C3%A9 for \u{e9}",
);

/// Whether there is something in the request line that is not ASCII.
fn has_raw_target(head: &[u8]) -> bool {
    head.trim_ascii_start().split(|&byte| byte == b'\n').next().is_some_and(|line| !line.is_ascii())
}

/// Splits a request target of origin or absolute form (RFC 9112 §3.2; RFC 6455 §4.1 allows both).
fn split_target(target: &str) -> Result<(Option<Authority<'_>>, &str, &str), Refusal> {
    const ADVICE: Refusal = Refusal::Malformed("the request target is not a path; send GET /PATH HTTP/1.1");
    if !target.is_ascii() {
        return Err(NOT_ENCODED);
    }
    if target.contains('#') {
        return Err(Refusal::Malformed(
            "a fragment is not sent; leave out the # and what is behind it, or write %23",
        ));
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let (scheme, rest) = target.split_once("://").ok_or(ADVICE)?;
        if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(ADVICE);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        (Some(Authority::parse(&rest.as_bytes()[..end]).ok_or(ADVICE)?), &rest[end..])
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

/// A host and, if it was named, a port (RFC 3986 §3.2, without user information).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port, if one was named.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for anything else.
    pub fn parse(bytes: &'a [u8]) -> Option<Authority<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        } else {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(is_name) {
                return None;
            }
            (host, rest)
        };
        let port = match port {
            // RFC 3986 §3.2.3: an empty port is the default one.
            "" | ":" => None,
            _ => Some(parse_port(port.strip_prefix(':')?)?),
        };
        Some(Authority { host, port })
    }

    /// Whether the host is an address rather than a name.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// The characters of a token (RFC 9110 §5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits only: `u16::from_str` would take a plus sign.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8], chunk: usize) -> Result<Option<usize>, Refusal> {
        let mut scanner = HeadScanner::default();
        let mut before = 0;
        for piece in bytes.chunks(chunk) {
            if let Some(end) = scanner.scan(piece)? {
                return Ok(Some(before + end));
            }
            before += piece.len();
        }
        Ok(None)
    }

    fn status_of(result: Result<Option<usize>, Refusal>) -> Result<Option<usize>, u16> {
        result.map_err(Refusal::status)
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_split() {
        let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'x'; HEAD_BYTES_MAX]].concat();
        for (bytes, wanted) in [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest".as_slice(), Ok(Some(27))),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(20))),
            (b"GET / HTTP/1.1\r\n", Ok(None)),
            (b"\r\n\r\n", Err(400)),
            (b"GET / HTTP/1.1\nHost: a\n\n", Err(400)),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\n", Err(400)),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n", Err(400)),
            (b"\x16\x03\x01\x02\x00\x01", Err(400)),
            (b"GET / HTTP/1.1\r\nA: \0", Err(400)),
            (&long, Err(431)),
        ] {
            for chunk in [1, 2, 3, 7, 128, usize::MAX] {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
                assert_eq!(status_of(scan(bytes, chunk)), wanted, "{shown:?} by {chunk}");
            }
        }
    }

    #[test]
    fn a_head_of_the_largest_size_passes_and_one_byte_more_does_not() {
        let head = |size: usize| {
            let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
            head.resize(size - 4, b'x');
            head.extend_from_slice(b"\r\n\r\n");
            head
        };
        assert_eq!(status_of(scan(&head(HEAD_BYTES_MAX), 100)), Ok(Some(HEAD_BYTES_MAX)));
        assert_eq!(status_of(scan(&head(HEAD_BYTES_MAX + 1), 100)), Err(431));
    }

    #[test]
    fn heads_that_are_refused() {
        let many =
            |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
        for (head, wanted) in [
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (&many(101), 431),
        ] {
            let refusal = Request::parse(head.as_bytes()).expect_err(head);
            assert_eq!(refusal.status(), wanted, "{head:?}: {refusal:?}");
        }
        for head in [
            many(100).as_str(),
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "\r\nHEAD / HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
        ] {
            assert!(Request::parse(head.as_bytes()).is_ok(), "{head:?}");
        }
    }

    #[test]
    fn targets() {
        for (target, path, query, host) in [
            ("/", "/", "", "a"),
            ("/room?name=x?y", "/room", "name=x?y", "a"),
            ("http://b:80/echo?x", "/echo", "x", "b"),
            ("HTTPS://b", "/", "", "b"),
            ("http://b?x", "/", "x", "b"),
            ("//b/c", "//b/c", "", "a"),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let request = Request::parse(head.as_bytes()).expect(target);
            assert_eq!((request.path, request.query), (path, query), "{target}");
            assert_eq!(request.host.expect("given").host, host, "{target}");
        }
    }

    #[test]
    fn authorities() {
        for (text, wanted) in [
            ("a.example", Some(("a.example", None))),
            ("a.example:8080", Some(("a.example", Some(8080)))),
            ("127.0.0.1:", Some(("127.0.0.1", None))),
            ("[::1]:9", Some(("::1", Some(9)))),
            ("[::1]", Some(("::1", None))),
            ("[::1", None),
            ("[a]", None),
            ("::1", None),
            ("a:+80", None),
            ("a:65536", None),
            ("a:8:8", None),
            ("", None),
            (":80", None),
            ("a/b", None),
            ("a\u{e9}", None),
        ] {
            let parsed = Authority::parse(text.as_bytes());
            assert_eq!(parsed.map(|authority| (authority.host, authority.port)), wanted, "{text:?}");
        }
    }

    #[test]
    fn list_fields_are_searched_element_by_element() {
        let head =
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , UPGRADE\r\nUpgrade: xwebsocket\r\n\r\n";
        let request = Request::parse(head).expect("well formed");
        assert!(request.lists("connection", "upgrade"));
        assert!(!request.lists("upgrade", "websocket"));
    }

    #[test]
    fn what_is_not_encoded_is_told_how_to() {
        for (target, wanted) in [
            ("/caf\u{e9}".as_bytes(), "percent-encode"),
            ("/?name=\u{4f60}".as_bytes(), "percent-encode"),
            (b"/\xff", "percent-encode"),
            (b"/?name=\xe9", "percent-encode"),
            (b"/a#b", "%23"),
            (b"*", "is not a path"),
        ] {
            let head = [b"GET ".as_slice(), target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let refusal = Request::parse(&head).expect_err("no path");
            assert!(refusal.advice().contains(wanted), "{}", refusal.advice());
        }
    }
}
