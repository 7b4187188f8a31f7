//! The reader of a server's frames, which nearly all tests use, is no judge before it has noticed every lie.

use std::panic::catch_unwind;

use crate::support::frames::{Frame, compressed, deflated, frame, header, inflated, next_frame, span};

#[test]
fn frames_are_read_once_they_are_whole() {
    for (payload, start) in
        [(vec![7; 125], 2), (vec![7; 126], 4), (vec![7; 65_535], 4), (vec![7; 65_536], 10)]
    {
        // As a server sends it: without the mask.
        let mut sent = header(0x82, payload.len() as u64);
        sent.truncate(sent.len() - 4);
        sent[1] &= 0x7f;
        sent.extend(&payload);
        assert_eq!(
            span(&sent).map(|span| (span.first, span.start, span.end)),
            Some((0x82, start, sent.len()))
        );
        assert!((0..start).all(|length| span(&sent[..length]).is_none()), "a header cut short");
        assert_eq!(next_frame(&sent[..sent.len() - 1]), None);
        let length = sent.len();
        sent.extend(b"\x89\x00");
        assert_eq!(next_frame(&sent), Some((Frame { first: 0x82, payload }, length)));
    }
}

#[test]
fn what_a_server_must_not_send_is_noticed() {
    for (what, bytes) in [
        ("must not mask", frame(0x81, b"hi")),
        ("reserved bits", b"\xa1\x00".to_vec()),
        ("reserved bits", b"\x91\x00".to_vec()),
        ("one message is one frame", b"\x01\x00".to_vec()),
        ("the 16-bit form for 125", b"\x82\x7e\x00\x7d".to_vec()),
        ("the 64-bit form for 65535", b"\x82\x7f\0\0\0\0\0\0\xff\xff".to_vec()),
        ("a control frame of 126 bytes", b"\x89\x7e\x00\x7e".to_vec()),
        ("a control frame is not compressed", b"\xc9\x00".to_vec()),
        ("opcode 0", b"\x80\x00".to_vec()),
        ("opcode 3", b"\x83\x00".to_vec()),
        ("opcode 11", b"\x8b\x00".to_vec()),
    ] {
        let panic = catch_unwind(|| span(&bytes)).expect_err(what);
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        assert!(text.as_ref().is_some_and(|text| text.contains(what)), "{what}: {text:?}");
    }
}

#[test]
fn a_mask_hides_every_byte_and_what_is_deflated_inflates() {
    let payload: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let sent = frame(0x82, &payload);
    let (header, masked) = sent.split_at(sent.len() - payload.len());
    let mask = header.last_chunk::<4>().expect("it ends with the mask");
    assert!(masked.iter().zip(&payload).all(|(byte, plain)| byte != plain));
    assert!(masked.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).eq(payload.iter().copied()));
    assert_eq!(inflated(&deflated(&payload)), payload);
    assert_eq!(compressed(0x82, b"x")[0], 0xc2);
}
