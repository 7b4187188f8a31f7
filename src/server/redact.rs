//! What the log shows of a request: its first line, on one printable line, without anybody's key.

use crate::site::is_secret;

/// At most so many bytes of a peer's text get into a line of the log.
const BYTES_MAX: usize = 256;

/// Text of a peer for a log: one printable line of at most 256 bytes.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut line = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        let escaped = char.escape_debug();
        if line.len() + escaped.clone().map(char::len_utf8).sum::<usize>() > BYTES_MAX - '…'.len_utf8() {
            line.push('…');
            break;
        }
        line.extend(escaped);
    }
    line
}

/// The first line of a request that is not empty, for the log.
pub(super) fn first_line(head: &[u8]) -> String {
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    printable(&without_keys(line))
}

/// A person's key is nobody else's business, who reads the log included. What is logged was often refused, so
/// no grammar is relied on: whatever stands between marks that may separate parameters counts as one, and
/// a key's value goes on to the next `&`, or to the version at the end.
fn without_keys(line: &[u8]) -> Vec<u8> {
    let (mut rest, version) = line.split_at(version_start(line));
    let mut shown = Vec::with_capacity(line.len());
    while !rest.is_empty() {
        let is_mark = |byte: u8| byte.is_ascii_whitespace() || b"/?&#;=".contains(&byte);
        let end = rest.iter().position(|&byte| is_mark(byte)).map_or(rest.len(), |mark| mark + 1);
        let (piece, behind) = rest.split_at(end);
        shown.extend_from_slice(piece);
        rest = behind;
        if piece.strip_suffix(b"=").is_some_and(is_secret) {
            shown.extend_from_slice("…".as_bytes());
            rest = &rest[rest.iter().position(|&byte| byte == b'&').unwrap_or(rest.len())..];
        }
    }
    shown.extend_from_slice(version);
    shown
}

/// Where ` HTTP/1.1` begins, or the end of a line that has no version.
fn version_start(line: &[u8]) -> usize {
    let last_space = line.iter().rposition(|&byte| byte == b' ');
    last_space.filter(|&space| line[space + 1..].starts_with(b"HTTP/")).unwrap_or(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_logged() {
        for (line, shown) in [
            ("GET /tea?name=a HTTP/1.1", "GET /tea?name=a HTTP/1.1"),
            ("GET /tea?key=secret&name=a HTTP/1.1", "GET /tea?key=…&name=a HTTP/1.1"),
            ("GET /tea?name=a&key=secret HTTP/1.1", "GET /tea?name=a&key=… HTTP/1.1"),
            ("\r\nGET /tea?key=secret HTTP/1.1\r\nHost: a\r\n", "GET /tea?key=… HTTP/1.1"),
            // Not the first, several, encoded; what only looks like it stays.
            ("GET /?xkey=&key=secret HTTP/1.1", "GET /?xkey=&key=… HTTP/1.1"),
            ("GET /?xkey=1&keys=2&KEY=3 HTTP/1.1", "GET /?xkey=1&keys=2&KEY=3 HTTP/1.1"),
            ("GET /?key=secret&key=secret HTTP/1.1", "GET /?key=…&key=… HTTP/1.1"),
            ("GET /?k%65y=secret HTTP/1.1", "GET /?k%65y=… HTTP/1.1"),
            ("GET /?%6b%65%79=secret&a HTTP/1.1", "GET /?%6b%65%79=…&a HTTP/1.1"),
            ("GET /?%6B%65%79=secret HTTP/1.1", "GET /?%6B%65%79=… HTTP/1.1"),
            ("GET /?k%2565y=1&+key=2 HTTP/1.1", "GET /?k%2565y=1&+key=2 HTTP/1.1"),
            ("GET /?key=secret=secret?secret#secret;secret&a=b HTTP/1.1", "GET /?key=…&a=b HTTP/1.1"),
            // Forms that are refused, or begin elsewhere.
            ("GET /tea?key=secret", "GET /tea?key=…"),
            ("GET /?key=secret secret HTTP/1.1", "GET /?key=… HTTP/1.1"),
            ("GET /?key=secret\tsecret\rsecret HTTP/1.1", "GET /?key=… HTTP/1.1"),
            ("GET http://a/b?key=secret HTTP/1.1", "GET http://a/b?key=… HTTP/1.1"),
            ("GET /a?b?key=secret HTTP/1.1", "GET /a?b?key=… HTTP/1.1"),
            ("GET /a?b=c#key=secret HTTP/1.1", "GET /a?b=c#key=… HTTP/1.1"),
            ("GET /a?b=key=secret HTTP/1.1", "GET /a?b=key=… HTTP/1.1"),
            ("GET /a?b;key=secret HTTP/2.0", "GET /a?b;key=… HTTP/2.0"),
            ("GET /key=secret HTTP/1.1", "GET /key=… HTTP/1.1"),
            ("key=secret", "key=…"),
            ("Referer: http://a/?key=secret", "Referer: http://a/?key=…"),
            ("GET /?key= HTTP/1.1", "GET /?key=… HTTP/1.1"),
            ("GET /?key HTTP/1.1", "GET /?key HTTP/1.1"),
        ] {
            assert_eq!(first_line(line.as_bytes()), shown);
        }
    }

    #[test]
    fn no_key_is_logged_wherever_the_line_is_cut() {
        let line = format!("GET /?{}&k%65y=SSSS&key=SSSS HTTP/1.1", "a".repeat(230));
        for end in 0..=line.len() {
            let shown = first_line(&line.as_bytes()[..end]);
            assert!(!shown.contains('S') && shown.len() <= BYTES_MAX, "{shown}");
        }
    }

    #[test]
    fn what_a_peer_says_is_one_printable_line_in_the_log() {
        for (bytes, wanted) in [
            (b"GET / HTTP/1.1".as_slice(), "GET / HTTP/1.1"),
            (b"a\r\n\x1b[31mb", "a\\r\\n\\u{1b}[31mb"),
            ("你好\u{202e}\u{200b}".as_bytes(), "你好\\u{202e}\\u{200b}"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(printable(bytes), wanted);
        }
        let long = printable(&[b'\n'; 1000]);
        assert!(long.len() <= 256 && long.ends_with("\\n…"), "{long}");
    }
}
