//! Why a request is not answered with what it asked for, and what the client can do about it.

use super::Response;

/// A request that is refused. Each becomes plain text that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes break RFC 9112, or the handshake breaks RFC 6455 §4.1: 400.
    Malformed(&'static str),
    /// The page that wants in was served by another site: 403.
    OriginNotAllowed,
    /// No page and no room has this path: 404.
    NoSuchPath(&'static str),
    /// The same, for a person at a browser.
    NoSuchPage(&'static str),
    /// Something else than GET or HEAD: 405.
    MethodNotAllowed,
    /// The request did not arrive in time: 408.
    HandshakeTimeout,
    /// The `Host` header names another machine (DNS rebinding): 421.
    HostNotAllowed,
    /// Only a WebSocket can be had here: 426.
    UpgradeRequired(&'static str),
    /// This address has as many connections as one may have: 429.
    TooManyConnections,
    /// The request head is over a limit: 431.
    HeadTooLarge(&'static str),
    /// All places are taken: 503.
    Full,
    /// The server is about to stop: 503.
    Draining,
    /// What the request is for cannot be reached at the moment: 503.
    Unavailable,
}

impl Refusal {
    /// Each of the names, for reports that tell of all.
    #[rustfmt::skip]
    pub const NAMES: [&str; 12] = [
        "malformed", "origin", "not_found", "method", "timeout", "host", "upgrade", "address_full", "head_too_large",
        "full", "draining", "unavailable",
    ];

    /// The status code of RFC 9110 §15.
    pub fn status(self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::OriginNotAllowed => 403,
            Refusal::NoSuchPath(_) | Refusal::NoSuchPage(_) => 404,
            Refusal::MethodNotAllowed => 405,
            Refusal::HandshakeTimeout => 408,
            Refusal::HostNotAllowed => 421,
            Refusal::UpgradeRequired(_) => 426,
            Refusal::TooManyConnections => 429,
            Refusal::HeadTooLarge(_) => 431,
            Refusal::Full | Refusal::Draining | Refusal::Unavailable => 503,
        }
    }

    /// The reason in one word, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Malformed(_) => "malformed",
            Refusal::OriginNotAllowed => "origin",
            Refusal::NoSuchPath(_) | Refusal::NoSuchPage(_) => "not_found",
            Refusal::MethodNotAllowed => "method",
            Refusal::HandshakeTimeout => "timeout",
            Refusal::HostNotAllowed => "host",
            Refusal::UpgradeRequired(_) => "upgrade",
            Refusal::TooManyConnections => "address_full",
            Refusal::HeadTooLarge(_) => "head_too_large",
            Refusal::Full => "full",
            Refusal::Draining => "draining",
            Refusal::Unavailable => "unavailable",
        }
    }

    /// What is wrong and what to do, in a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Refusal::Malformed(advice)
            | Refusal::NoSuchPath(advice)
            | Refusal::NoSuchPage(advice)
            | Refusal::UpgradeRequired(advice)
            | Refusal::HeadTooLarge(advice) => advice,
            Refusal::OriginNotAllowed => {
                "this page's Origin may not connect here; open the page from this server, or start the server with --origin"
            }
            Refusal::MethodNotAllowed => "only GET and HEAD are answered here",
            Refusal::HandshakeTimeout => {
                "the request took too long to arrive; send it at once after connecting"
            }
            Refusal::HostNotAllowed => {
                "this server does not answer to that Host; use its IP address or name, or start it with --allow-host"
            }
            Refusal::TooManyConnections => {
                "this address has as many connections as one may have; close some, or try again later"
            }
            Refusal::Full => "all places are taken; try again later",
            Refusal::Draining => "the server is shutting down; try again shortly",
            Refusal::Unavailable => "what keeps messages cannot be reached at the moment; try again shortly",
        }
    }

    /// The whole answer.
    pub fn response(self) -> Response {
        if let Refusal::NoSuchPage(advice) = self {
            return page(self.status(), advice);
        }
        let response = Response::text(self.status(), format!("{} {}\n", self.status(), self.advice()));
        match self {
            Refusal::MethodNotAllowed => response.with_header("Allow", "GET, HEAD"),
            // RFC 6455 §4.4: name the version that we speak.
            Refusal::UpgradeRequired(_) => {
                response.with_header("Upgrade", "websocket").with_header("Sec-WebSocket-Version", "13")
            }
            Refusal::Full | Refusal::TooManyConnections => response.with_header("Retry-After", "10"),
            Refusal::Draining | Refusal::Unavailable => response.with_header("Retry-After", "2"),
            _ => response,
        }
    }
}

/// A page that says the same and leads back to the chat. The advice is our own text, without markup.
fn page(status: u16, advice: &str) -> Response {
    debug_assert!(!advice.contains(['<', '&']), "the advice is put in as it is");
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{status} · wsloop</title>\n</head>\n<body>\n\
         <h1>Nothing is at this address</h1>\n<p>{status} {advice}</p>\n<p><a href=\"/\">To the chat</a></p>\n</body>\n</html>\n"
    );
    Response::new(status)
        .with_body("text/html; charset=utf-8", body.into_bytes())
        .with_header("Cache-Control", "no-store")
        .with_header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_left_out() {
        // What `name` can give stands behind the arrows of its arms.
        let source = include_str!("refusal.rs").split("pub fn name(").nth(1).expect("the function");
        let body = source.split("\n    }\n").next().expect("its end");
        let given: Vec<&str> =
            body.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).collect();
        assert_eq!(given, Refusal::NAMES);
    }

    #[test]
    fn every_refusal_carries_what_its_status_demands() {
        for (refusal, wanted) in [
            (Refusal::MethodNotAllowed, "\r\nAllow: GET, HEAD\r\n"),
            (Refusal::UpgradeRequired("use ws://"), "\r\nSec-WebSocket-Version: 13\r\n"),
            (Refusal::UpgradeRequired("use ws://"), "\r\nConnection: upgrade, close\r\n"),
            (Refusal::Full, "\r\nRetry-After: 10\r\n"),
            (Refusal::TooManyConnections, "HTTP/1.1 429 Too Many Requests\r\n"),
            (Refusal::TooManyConnections, "\r\nRetry-After: 10\r\n"),
            (Refusal::Draining, "\r\nRetry-After: 2\r\n"),
            (Refusal::Unavailable, "\r\nRetry-After: 2\r\n"),
            (Refusal::OriginNotAllowed, "\r\nConnection: close\r\n"),
        ] {
            let text = String::from_utf8(refusal.response().encode(None, true)).expect("ASCII");
            assert!(text.contains(wanted), "{refusal:?} lacks {wanted:?}: {text}");
            assert!(text.starts_with(&format!("HTTP/1.1 {} ", refusal.status())), "{text}");
            assert!(text.ends_with(&format!("{} {}\n", refusal.status(), refusal.advice())), "{text}");
        }
    }
}
