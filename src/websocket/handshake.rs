//! The opening handshake, seen from the server (RFC 6455 §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::deflate::{self, Agreement};
use crate::http::{Refusal, Request, Response, is_token};

/// RFC 6455 §1.3: what makes an accept key a WebSocket's.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that will be answered with 101.
#[derive(Debug, PartialEq, Eq)]
pub struct Acceptance {
    accept_key: String,
    subprotocol: Option<&'static str>,
    compression: Option<Agreement>,
}

impl Acceptance {
    /// What the messages mean, if the client named anything known.
    pub fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol
    }

    /// How messages may be compressed, if they may.
    pub fn compression(&self) -> Option<Agreement> {
        self.compression
    }

    /// The response that opens the WebSocket.
    pub fn response(self) -> Response {
        let mut response = Response::new(101)
            .with_header("Upgrade", "websocket")
            .with_header("Connection", "Upgrade")
            .with_header("Sec-WebSocket-Accept", self.accept_key);
        if let Some(subprotocol) = self.subprotocol {
            response = response.with_header("Sec-WebSocket-Protocol", subprotocol);
        }
        if let Some(agreement) = self.compression {
            response = response.with_header("Sec-WebSocket-Extensions", agreement.element());
        }
        response
    }
}

/// Whether a request asks for a WebSocket, rightly or not. Another upgrade (`h2c`) may be ignored
/// (RFC 9110 §7.8).
pub fn is_wanted(request: &Request<'_>) -> bool {
    request.lists("Upgrade", "websocket")
}

/// Whether a plain request bears the marks of a handshake that lost its Upgrade header on the way.
pub fn is_broken(request: &Request<'_>) -> bool {
    !is_wanted(request) && request.all("Sec-WebSocket-Key").next().is_some()
}

/// Checks a handshake, chooses the first subprotocol of the client's list that is `known`, and agrees
/// on compression if it `compresses` and the client offers it.
///
/// # Errors
/// What RFC 6455 §4.2.1 demands and is not there, as a refusal that names it.
pub fn accept(
    request: &Request<'_>,
    known: &[&'static str],
    compresses: bool,
) -> Result<Acceptance, Refusal> {
    if request.is_head {
        return Err(Refusal::MethodNotAllowed);
    }
    if !request.is_http_1_1 {
        return Err(Refusal::Malformed("a WebSocket needs HTTP/1.1"));
    }
    if !request.lists("Connection", "upgrade") {
        return Err(Refusal::Malformed(
            "`Connection: Upgrade` is missing; a proxy on the way may have dropped it",
        ));
    }
    let version = request.only("Sec-WebSocket-Version", "Sec-WebSocket-Version stands twice")?;
    if version != Some(b"13") {
        return Err(Refusal::UpgradeRequired("only `Sec-WebSocket-Version: 13` is spoken here"));
    }
    let key = request
        .only("Sec-WebSocket-Key", "Sec-WebSocket-Key stands twice")?
        .ok_or(Refusal::Malformed("Sec-WebSocket-Key is missing: this is not a WebSocket handshake"))?;
    if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        return Err(Refusal::Malformed("Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    // Read even if nothing is to be agreed on: a malformed header is refused either way.
    let compression = deflate::negotiate(request)?.filter(|_| compresses);
    let subprotocol = choose_subprotocol(request, known)?;
    Ok(Acceptance { accept_key: accept_key(key), subprotocol, compression })
}

/// The proof that the server read the handshake (RFC 6455 §4.2.2, step 5.4).
fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn choose_subprotocol(
    request: &Request<'_>,
    known: &[&'static str],
) -> Result<Option<&'static str>, Refusal> {
    let mut chosen = None;
    for element in request.all("Sec-WebSocket-Protocol").flat_map(|value| value.split(|&byte| byte == b',')) {
        let element = element.trim_ascii();
        if element.is_empty() || !element.iter().all(|&byte| is_token(byte)) {
            return Err(Refusal::Malformed("Sec-WebSocket-Protocol is not a list of names"));
        }
        // RFC 6455 §4.1: subprotocols are compared as they are written.
        chosen = chosen.or_else(|| known.iter().find(|name| name.as_bytes() == element).copied());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

    /// Accepts a handshake of these header lines.
    fn accept_text(head: &str) -> Result<String, Refusal> {
        let head = format!("{head}\r\n");
        let request = Request::parse(head.as_bytes()).expect("a well-formed request");
        assert!(is_wanted(&request), "{head}");
        accept(&request, &["chat", "other"], true)
            .map(|acceptance| String::from_utf8(acceptance.response().encode(None, true)).expect("ASCII"))
    }

    #[test]
    fn the_sample_of_rfc_6455_section_1_3() {
        assert_eq!(
            accept_text(GOOD).expect("good"),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
    }

    #[test]
    fn the_first_subprotocol_that_is_known_wins() {
        for (lines, wanted) in [
            ("Sec-WebSocket-Protocol: chat, superchat\r\n", Some("chat")),
            ("Sec-WebSocket-Protocol: superchat,other , chat\r\n", Some("other")),
            ("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: chat\r\n", Some("chat")),
            ("Sec-WebSocket-Protocol: Chat\r\n", None),
            ("", None),
        ] {
            let response = accept_text(&format!("{GOOD}{lines}")).expect(lines);
            let line = response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
            assert_eq!(line, wanted, "{lines}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused_by_name() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let version = "Sec-WebSocket-Version: 13\r\n";
        for (head, status, word) in [
            (GOOD.replace(key, ""), 400, "Sec-WebSocket-Key is missing"),
            (GOOD.replace(key, &key.repeat(2)), 400, "twice"),
            (GOOD.replace("==", ""), 400, "base64"),
            (GOOD.replace("dGhl", ""), 400, "16 bytes"),
            (GOOD.replace(version, ""), 426, "13"),
            (GOOD.replace("13", "8"), 426, "13"),
            (GOOD.replace("13", "13, 8"), 426, "13"),
            (GOOD.replace(version, &version.repeat(2)), 400, "twice"),
            (GOOD.replace("Connection: Upgrade", "Connection: close"), 400, "Connection"),
            (GOOD.replace("HTTP/1.1", "HTTP/1.0"), 400, "HTTP/1.1"),
            (GOOD.replace("GET", "HEAD"), 405, "GET"),
            (format!("{GOOD}Sec-WebSocket-Protocol: a b\r\n"), 400, "list"),
            (format!("{GOOD}Sec-WebSocket-Protocol: \r\n"), 400, "list"),
        ] {
            let refusal = accept_text(&head).expect_err(&head);
            assert_eq!(refusal.status(), status, "{head}: {refusal:?}");
            assert!(refusal.advice().contains(word), "{refusal:?} says nothing of {word}");
        }
    }

    #[test]
    fn other_upgrades_and_lost_headers_are_told_apart() {
        let parse = |head: &'static str| Request::parse(head.as_bytes()).expect(head);
        let h2c = parse("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
        assert!(!is_wanted(&h2c) && !is_broken(&h2c));
        let lost = parse("GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        assert!(!is_wanted(&lost) && is_broken(&lost));
    }
}
