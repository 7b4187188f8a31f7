//! RFC 6455 §8.1: text is UTF-8, and the first byte that cannot be ends the conversation.

use super::End::{Fails, Open};
use super::{check, frame, row};

/// Each of these is wrong at its last byte and right before it.
const WRONG_AT_THE_END: [(&str, &[u8]); 14] = [
    ("a continuation byte alone", b"\x80"),
    ("a continuation byte behind a whole character", b"\xc3\xa9\xa9"),
    ("an overlong slash of two bytes", b"\xc0"),
    ("an overlong NUL", b"\xc1"),
    ("an overlong of three bytes", b"\xe0\x9f"),
    ("an overlong of four bytes", b"\xf0\x8f"),
    ("a UTF-16 surrogate", b"\xed\xa0"),
    ("the last surrogate", b"\xed\xbf"),
    ("beyond U+10FFFF", b"\xf4\x90"),
    ("a lead byte that nothing follows", b"\xf5"),
    ("0xFE", b"\xfe"),
    ("0xFF", b"\xff"),
    ("a character cut short by a letter", b"\xe4\xbda"),
    ("a character cut short by another", b"\xf0\x9f\x98\xf0"),
];

/// The frame announces more; what is wrong is closed before the rest is sent.
#[test]
fn bad_text_fails_at_its_first_bad_byte() {
    for (what, bytes) in WRONG_AT_THE_END {
        for before in [0, 1, 2, 3, 5, 130] {
            let text = [&vec![b'a'; before], bytes].concat();
            let whole = frame(0x81, &[text.as_slice(), &[b'z'; 30]].concat());
            let cut = whole[..whole.len() - 30].to_vec();
            let what = format!("{what}, behind {before} letters");
            check(&row("§8.1", &what, &[cut], b"", Fails(1007)));
        }
    }
}

#[test]
fn bad_text_fails_in_fragments_too_wherever_they_are_cut() {
    for (what, bytes) in WRONG_AT_THE_END {
        for cut in 0..bytes.len() {
            let rest = frame(0x80, &[&bytes[cut..], b"zz"].concat());
            let sent = [frame(0x01, &bytes[..cut]), frame(0x8A, b""), rest[..rest.len() - 2].to_vec()];
            check(&row("§8.1", &format!("{what}, cut at {cut}"), &sent, b"", Fails(1007)));
        }
    }
}

/// A character may not be left unfinished at the end of a message, though each byte was right.
#[test]
fn text_must_not_end_inside_a_character() {
    for start in [b"\xc3".as_slice(), b"\xe4\xbd", b"\xf0\x9f\x98", b"ok\xe4", b"\xe4\xbd\xa0\xe5\xa5"] {
        check(&row("§8.1", "the end of a frame", &[frame(0x81, start)], b"", Fails(1007)));
        let sent = [frame(0x01, start), frame(0x80, b"")];
        check(&row("§8.1", "the end of the last fragment", &sent, b"", Fails(1007)));
    }
}

#[test]
fn characters_may_be_cut_by_fragments_anywhere() {
    // The smallest and the largest character of each length, and both neighbours of the surrogates.
    let text = "\u{0}\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}你好".as_bytes();
    let length = u8::try_from(text.len()).expect("a short text");
    let wanted = [&[0x81, length], text].concat();
    for cut in 0..=text.len() {
        let sent = [frame(0x01, &text[..cut]), frame(0x80, &text[cut..])];
        check(&row("§8.1", &format!("cut at {cut}"), &sent, &wanted, Open));
    }
    let letters: Vec<Vec<u8>> = text
        .iter()
        .enumerate()
        .map(|(index, byte)| frame(if index == 0 { 0x01 } else { 0x00 }, &[*byte]))
        .chain([frame(0x80, b"")])
        .collect();
    check(&row("§8.1", "a fragment for each byte", &letters, &wanted, Open));
}

#[test]
fn binary_is_not_text() {
    for (what, bytes) in WRONG_AT_THE_END {
        let length = u8::try_from(bytes.len()).expect("short");
        check(&row("§5.6", what, &[frame(0x82, bytes)], &[&[0x82, length], bytes].concat(), Open));
    }
}
