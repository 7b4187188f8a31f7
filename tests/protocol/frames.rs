//! RFC 6455 §5.1 to §5.3 and §5.7: the frame itself.

use super::End::{Fails, Open};
use super::{check, frame, row};

/// The bytes that §5.7 quotes, from both sides: what a client may send is sent, and what only a
/// server may send must come back.
#[test]
fn the_samples_of_section_5_7() {
    let bytes_256: Vec<u8> = (0..=255).collect();
    let bytes_64k: Vec<u8> = (0..=255).cycle().take(65_536).collect();
    for row in [
        row(
            "§5.7",
            "a single-frame masked text message, and its unmasked form",
            &[b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()],
            b"\x81\x05\x48\x65\x6c\x6c\x6f",
            Open,
        ),
        row(
            "§5.7",
            "a fragmented text message, `Hel` and `lo`",
            &[frame(0x01, b"\x48\x65\x6c"), frame(0x80, b"\x6c\x6f")],
            b"\x81\x05\x48\x65\x6c\x6c\x6f",
            Open,
        ),
        row(
            "§5.7",
            "a ping request and its response, whose bodies are the same",
            &[b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()],
            b"\x8a\x05\x48\x65\x6c\x6c\x6f",
            Open,
        ),
        row(
            "§5.7",
            "a masked pong is not answered",
            &[b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()],
            b"",
            Open,
        ),
        row(
            "§5.7",
            "256 bytes of binary in a single frame",
            &[frame(0x82, &bytes_256)],
            &[b"\x82\x7e\x01\x00", bytes_256.as_slice()].concat(),
            Open,
        ),
        row(
            "§5.7",
            "64 KiB of binary in a single frame",
            &[frame(0x82, &bytes_64k)],
            &[b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", bytes_64k.as_slice()].concat(),
            Open,
        ),
    ] {
        check(&row);
    }
}

#[test]
fn text_binary_and_empty_come_back_as_they_were() {
    let text = "h\u{e9} 你好 \u{1f600}".as_bytes();
    let echo = [b"\x81\x0f", text].concat();
    check(&row("§5.6", "text", &[frame(0x81, text)], &echo, Open));
    let binary = frame(0x82, b"\x00\xff\x80");
    check(&row("§5.6", "binary that is no text", &[binary], b"\x82\x03\x00\xff\x80", Open));
    check(&row("§5.6", "empty text", &[frame(0x81, b"")], b"\x81\x00", Open));
    check(&row("§5.6", "empty binary", &[frame(0x82, b"")], b"\x82\x00", Open));
}

/// §5.2: the minimal number of bytes for each length, and the largest message at all.
#[test]
fn the_three_lengths_at_their_boundaries() {
    for (length, header) in [
        (1, b"\x82\x01".as_slice()),
        (124, b"\x82\x7c"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (127, b"\x82\x7e\x00\x7f"),
        (128, b"\x82\x7e\x00\x80"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        let wanted = [header, &payload].concat();
        check(&row("§5.2", &format!("{length} bytes"), &[frame(0x82, &payload)], &wanted, Open));
    }
}

#[test]
fn several_frames_in_a_row() {
    let sent: Vec<Vec<u8>> = (0..40_u8).map(|index| frame(0x81, &[b'a' + index % 26; 9])).collect();
    let wanted: Vec<u8> =
        (0..40_u8).flat_map(|index| [vec![0x81, 9], vec![b'a' + index % 26; 9]].concat()).collect();
    check(&row("§5.2", "forty messages are forty messages", &sent, &wanted, Open));
}

/// §5.3: the mask is the client's choice, another one for each frame.
#[test]
fn masks() {
    for mask in [[0; 4], [0xFF; 4], [0x80, 0, 0, 0], [0, 0, 0, 1], [1, 2, 3, 4]] {
        for length in [1_usize, 2, 3, 4, 5, 7, 8, 9, 63, 100] {
            let payload: Vec<u8> = (b' '..b'~').cycle().take(length).collect();
            let masked = payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
            let length = u8::try_from(length).expect("short");
            let sent = [vec![0x81, 0x80 | length], mask.to_vec(), masked];
            let wanted = [vec![0x81, length], payload].concat();
            check(&row("§5.3", &format!("mask {mask:x?}, {length} bytes"), &sent, &wanted, Open));
        }
    }
    let mixed = [b"\x81\x82\x00\x00\x00\x00ab".to_vec(), b"\x81\x82\xff\xff\xff\xff\x9c\x9b".to_vec()];
    check(&row("§5.3", "each frame has a mask of its own", &mixed, b"\x81\x02ab\x81\x02cd", Open));
}

/// Each row ends with the byte that breaks the rule: before it nothing is closed, at it all is.
#[test]
fn frames_that_break_a_rule() {
    let good = frame(0x81, b"good");
    let echo = b"\x81\x04good";
    for (section, what, bytes) in [
        ("§5.1", "a text frame without a mask", b"\x81\x05".as_slice()),
        ("§5.1", "an empty frame without a mask", b"\x82\x00"),
        ("§5.1", "a ping without a mask", b"\x89\x00"),
        ("§5.1", "a close frame without a mask", b"\x88\x02"),
        ("§5.2", "RSV1, as if permessage-deflate had been agreed", b"\xc1"),
        ("§5.2", "RSV2", b"\xa1"),
        ("§5.2", "RSV3", b"\x91"),
        ("§5.2", "all three", b"\xf2"),
        ("§5.2", "RSV1 on a ping", b"\xc9"),
        ("§5.2", "126 bytes in four bytes more than they need", b"\x82\xff\0\0\0\0\0\0\0\x7e"),
        ("§5.2", "125 bytes in a 16-bit length", b"\x81\xfe\x00\x7d"),
        ("§5.2", "no bytes in a 16-bit length", b"\x81\xfe\x00\x00"),
        ("§5.2", "65,535 bytes in a 64-bit length", b"\x82\xff\0\0\0\0\0\0\xff\xff"),
        ("§5.2", "no bytes in a 64-bit length", b"\x82\xff\0\0\0\0\0\0\0\0"),
        ("§5.2", "a 64-bit length with its top bit set", b"\x82\xff\x80"),
        ("§5.5", "a ping in fragments", b"\x09"),
        ("§5.5", "a pong in fragments", b"\x0a"),
        ("§5.5", "a close frame in fragments", b"\x08"),
        ("§5.5", "a ping of 126 bytes", b"\x89\xfe"),
        ("§5.5", "a pong of 126 bytes", b"\x8a\xfe"),
        ("§5.5", "a close frame of 126 bytes", b"\x88\xfe"),
        ("§5.5", "a ping with a 64-bit length", b"\x89\xff"),
        ("§5.4", "a continuation of nothing", b"\x80\x80\x01\x02\x03\x04"),
        ("§5.4", "a continuation of nothing, to be continued", b"\x00\x81\x01\x02\x03\x04"),
    ] {
        check(&row(section, what, &[bytes.to_vec()], b"", Fails(1002)));
        check(&row(
            section,
            &format!("{what}, behind a good one"),
            &[good.clone(), bytes.to_vec()],
            echo,
            Fails(1002),
        ));
    }
}

#[test]
fn reserved_opcodes() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF_u8] {
        for fin in [0x00, 0x80] {
            let first = fin | opcode;
            check(&row("§5.2", &format!("a first byte of {first:#x}"), &[vec![first]], b"", Fails(1002)));
        }
    }
}

/// The limit is known from the header: not a byte of the payload is waited for.
#[test]
fn too_big_is_said_at_the_header() {
    let first = frame(0x02, &[7; 40_000]);
    let echo = frame(0x81, b"good");
    for (what, before, bytes) in [
        ("65,537 bytes", &[][..], b"\x82\xff\0\0\0\0\0\x01\0\x01\x01\x02\x03\x04".as_slice()),
        ("2^63 - 1 bytes", &[], b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04"),
        ("25,537 bytes behind 40,000", &first, b"\x80\xfe\x63\xc1\x01\x02\x03\x04"),
        ("25,537 bytes to be continued behind 40,000", &first, b"\x00\xfe\x63\xc1\x01\x02\x03\x04"),
    ] {
        let sent = [echo.clone(), before.to_vec(), bytes.to_vec()];
        check(&row("§7.4.1", what, &sent, b"\x81\x04good", Fails(1009)));
    }
    let exactly = [first, frame(0x80, &[7; 25_536])];
    let wanted = [b"\x82\x7f\0\0\0\0\0\x01\0\0".as_slice(), &[7; 65_536]].concat();
    check(&row("§10.4", "65,536 bytes in two fragments", &exactly, &wanted, Open));
}
