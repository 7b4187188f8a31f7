//! Frames to send: what a server appends to a batch, and how such frames become deflated ones.

use std::num::NonZeroU64;

use super::deflate::Deflater;
use super::frame::{self, Opcode};
use super::message::Kind;
use crate::delivery::{Batch, BatchBuilder, Meter, Recoder, Skipped};

/// Appends a message as one frame; its payload is the parts, joined.
#[inline]
pub fn push_message(builder: &mut BatchBuilder, kind: Kind, parts: &[&[u8]], number: Option<NonZeroU64>) {
    builder.push(number, |out| write_frame(Opcode::Data(kind), parts, out));
}

/// Appends a control frame to others, which are a batch of their own.
pub fn push_control(builder: &mut BatchBuilder, opcode: Opcode, payload: &[u8]) {
    assert!(opcode.is_control(), "a message is counted");
    builder.push(None, |out| write_frame(opcode, &[payload], out));
}

/// One control frame.
pub fn control(opcode: Opcode, payload: &[u8]) -> Batch {
    let mut builder = BatchBuilder::default();
    push_control(&mut builder, opcode, payload);
    builder.seal_uncounted()
}

/// A message of our own that tells a client of others that it does not get. It is not counted itself.
pub fn notice(kind: Kind, payload: &[u8], skipped: Skipped, meter: &Meter) -> Batch {
    let mut bytes = Vec::new();
    write_frame(Opcode::Data(kind), &[payload], &mut bytes);
    Batch::notice(bytes, skipped, meter)
}

fn write_frame(opcode: Opcode, parts: &[&[u8]], out: &mut Vec<u8>) {
    let payload_bytes = parts.iter().map(|part| part.len()).sum();
    frame::encode_header(opcode, payload_bytes, out);
    for part in parts {
        out.extend_from_slice(part);
    }
}

impl Recoder for Deflater {
    /// The bits of the window that was agreed on.
    type Key = u8;

    /// Deflates the message that is this frame, if that makes it shorter.
    fn recode(&mut self, window_bits: u8, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let payload = &frame[frame::own_header_bytes(frame.len())..];
        let Some(shorter) = self.deflate(window_bits, payload) else { return false };
        // RSV1 marks a compressed message (RFC 7692 §6).
        frame::push_header(frame[0] | 0x40, shorter.len(), out);
        out.extend_from_slice(shorter);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Encodings;

    fn push(builder: &mut BatchBuilder, kind: Kind, parts: &[&[u8]]) {
        push_message(builder, kind, parts, None);
    }

    #[test]
    fn frames_are_found_again_in_a_batch() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, Kind::Text, &[b"a", b"", b"bc"]);
        push(&mut builder, Kind::Binary, &[&[0; 200]]);
        push(&mut builder, Kind::Binary, &[&[0; 70_000]]);
        let batch = builder.seal();
        assert!(builder.is_empty());
        assert_eq!(&batch.bytes()[..5], b"\x81\x03abc");
        let ends = [5, 5 + 204, 5 + 204 + 70_010];
        assert_eq!([0, 1, 2].map(|index| batch.piece_end(index)), ends);
        assert_eq!(batch.bytes().len(), ends[2]);
        assert_eq!(batch.count_messages(0..ends[2]), 3);
        assert_eq!(batch.count_messages(ends[0]..ends[1]), 1);
        let pong = control(Opcode::Pong, b"x");
        assert_eq!((pong.bytes(), pong.count_messages(0..3)), (b"\x8A\x01x".as_slice(), 0));
    }

    #[test]
    #[should_panic(expected = "a message is counted")]
    fn a_message_is_not_sent_as_control_frames_are() {
        control(Opcode::Data(Kind::Text), b"x");
    }

    #[test]
    fn a_notice_is_a_frame_and_no_message() {
        let skipped = Skipped { messages: 7, numbers: None };
        let notice = notice(Kind::Text, b"ab", skipped, &Meter::default());
        assert_eq!(notice.bytes(), b"\x81\x02ab");
        assert!(notice.skipped() == Some(skipped) && !notice.is_answer() && !notice.are_messages());
        assert_eq!((notice.count_messages(0..4), notice.piece_end(0)), (0, 4));
    }

    #[test]
    fn each_window_is_compressed_once_and_ranges_are_found_again() {
        let mut builder = BatchBuilder::default();
        for payload in [[b'a'; 200].as_slice(), b"short", &[b'b'; 300]] {
            push(&mut builder, Kind::Text, &[payload]);
        }
        let plain = builder.seal();
        let ends = [204, 211, 515];
        assert_eq!(plain.bytes().len(), ends[2]);
        let mut deflater = Deflater::new(50);
        let mut encodings = Encodings::new(&plain, 0..ends[2]);

        let encoding = encodings.of(None, &mut deflater);
        assert_eq!(
            (encoding.batch().bytes().len(), encoding.range(&(ends[0]..ends[1]))),
            (ends[2], ends[0]..ends[1])
        );

        let encoding = encodings.of(Some(15), &mut deflater);
        let short = encoding.range(&(ends[0]..ends[1]));
        assert_eq!(&encoding.batch().bytes()[short], b"\x81\x05short", "not worth it");
        assert_eq!(encoding.batch().bytes()[0], 0xC1, "RSV1");
        let last = encoding.range(&(ends[1]..ends[2]));
        assert!(last.len() < 30 && last.end == encoding.batch().bytes().len());
        let first = encoding.batch().bytes().as_ptr();
        assert_eq!(encodings.of(Some(15), &mut deflater).batch().bytes().as_ptr(), first, "made once");
        encodings.of(Some(9), &mut deflater);
        assert_eq!(encodings.recoded_count(), 2);
    }

    #[test]
    fn what_does_not_become_shorter_is_not_copied() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, Kind::Text, &[b"short"]);
        let plain = builder.seal();
        let mut encodings = Encodings::new(&plain, 0..7);
        let encoding = encodings.of(Some(15), &mut Deflater::new(1));
        assert_eq!(encoding.batch().bytes().as_ptr(), plain.bytes().as_ptr());
        assert_eq!(encoding.range(&(0..7)), 0..7);
    }

    /// The frames of a batch, as they are read by somebody who has only the bytes, and how many are messages.
    fn parsed(bytes: &[u8]) -> (Vec<std::ops::Range<usize>>, u32) {
        let (mut frames, mut messages, mut start) = (Vec::new(), 0, 0);
        while start < bytes.len() {
            let (header_bytes, payload_bytes) = frame::own_frame(&bytes[start..]);
            let end = start + header_bytes + payload_bytes;
            messages += u32::from(frame::is_message(bytes[start]));
            frames.push(start..end);
            start = end;
        }
        (frames, messages)
    }

    /// Around where headers become longer, and anything below.
    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        let length = prop_oneof![8 => 0_usize..300, 2 => 120_usize..130, 1 => 65_530_usize..65_540];
        prop::collection::vec(length, 1..12)
    }

    proptest! {
        #[test]
        fn walking_by_ends_is_what_a_parser_finds(lengths in lengths(), is_control: bool) {
            let meter = Meter::new();
            let mut builder = BatchBuilder::measured(&meter);
            for length in &lengths {
                match is_control {
                    true => push_control(&mut builder, Opcode::Pong, &vec![b'x'; *length % 126]),
                    false => push(&mut builder, Kind::Text, &[&vec![b'x'; *length]]),
                }
            }
            let plain = if is_control { builder.seal_uncounted() } else { builder.seal() };
            let whole = 0..plain.bytes().len();
            let (frames, messages) = parsed(plain.bytes());
            prop_assert_eq!(plain.pieces(whole.clone()).collect::<Vec<_>>(), frames.clone());
            prop_assert_eq!(plain.count_messages(whole.clone()), messages);

            let mut encodings = Encodings::new(&plain, whole.clone());
            let deflated = encodings.of(Some(15), &mut Deflater::new(100));
            if !is_control {
                let (found, messages) = parsed(deflated.batch().bytes());
                let ranges: Vec<_> = frames.iter().map(|frame| deflated.range(frame)).collect();
                prop_assert_eq!(&ranges, &found);
                prop_assert_eq!(deflated.batch().count_messages(0..deflated.batch().bytes().len()), messages);
                for (frame, range) in frames.iter().zip(ranges) {
                    let first = deflated.batch().bytes()[range.start];
                    let wanted = if range.len() < frame.len() { 0xC1 } else { 0x81 };
                    prop_assert_eq!(first, wanted, "RSV1 on what is deflated, and on nothing else");
                }
            }
            drop(encodings);
            builder.recycle(plain, 1024);
            prop_assert_eq!(meter.bytes(), 0);
        }
    }
}
