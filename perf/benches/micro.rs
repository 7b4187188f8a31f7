//! The server's inner parts without a kernel: what a mask, a frame, a batch and a fan-out cost.

use std::io::{self, Write};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use wsloop::clock::Time;
use wsloop::connection::Outbox;
use wsloop::websocket::{Batch, BatchBuilder, Decoder, Deflater, Encodings, Item, Kind, MessageLimits, mask};

const NOW: Time = Time::from_millis(1);
const LIMITS: MessageLimits = MessageLimits { message_bytes_max: 1 << 20, fragments_max: 1024 };
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

fn main() {
    divan::main();
}

/// A client's frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[divan::bench(args = [16, 64, 1024, 65_536])]
fn unmask(bencher: Bencher<'_, '_>, length: usize) {
    let mut bytes = vec![b'x'; length];
    bencher
        .counter(BytesCount::new(length))
        .bench_local(|| mask::apply(KEY, 0, divan::black_box(&mut bytes)));
}

/// Frames that lie whole in the read buffer.
#[divan::bench(args = [("text", 64), ("text", 1024), ("text", 65_536), ("binary", 64), ("binary", 65_536)])]
fn decode(bencher: Bencher<'_, '_>, (kind, length): (&str, usize)) {
    let frame = masked(if kind == "text" { 0x81 } else { 0x82 }, &vec![b'x'; length]);
    let frames = frame.repeat((65_536 / length).clamp(1, 100));
    let count = frames.len() / frame.len();
    bencher
        .counter(ItemsCount::new(count))
        .counter(BytesCount::new(frames.len()))
        .with_inputs(|| (frames.clone(), Decoder::default()))
        .bench_local_refs(|(bytes, decoder)| {
            let mut input = &mut bytes[..];
            let mut messages = 0;
            while let Ok(Some(Item::Message { payload, .. })) = decoder.decode(NOW, &LIMITS, None, &mut input)
            {
                divan::black_box(payload);
                messages += 1;
            }
            assert_eq!(messages, count);
        });
}

/// One message of 64 KiB that arrives in reads of 128 bytes.
#[divan::bench]
fn decode_in_small_reads(bencher: Bencher<'_, '_>) {
    let frame = masked(0x81, &[b'x'; 65_536]);
    bencher
        .counter(BytesCount::new(frame.len()))
        .with_inputs(|| (frame.clone(), Decoder::default()))
        .bench_local_refs(|(bytes, decoder)| {
            let mut messages = 0;
            for chunk in bytes.chunks_mut(128) {
                let mut input = chunk;
                while let Ok(Some(item)) = decoder.decode(NOW, &LIMITS, None, &mut input) {
                    divan::black_box(item);
                    messages += 1;
                }
            }
            assert_eq!(messages, 1);
        });
}

/// A turn's messages into one batch, in memory that is used again.
#[divan::bench(args = [1, 10, 100])]
fn encode(bencher: Bencher<'_, '_>, count: usize) {
    let mut builder = BatchBuilder::default();
    let payload = [b'x'; 64];
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        for _ in 0..count {
            builder.push(Kind::Text, &[divan::black_box(&payload)]);
        }
        let batch = builder.seal();
        divan::black_box(batch.bytes());
        builder.recycle(batch);
    });
}

/// A socket that takes everything, or nothing.
struct Pipe {
    is_full: bool,
    taken: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.taken += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::default();
    builder.push(Kind::Text, &[&[b'x'; 64]]);
    builder.seal()
}

/// One batch to 1,000 clients: what fan-out costs beside the system calls.
#[divan::bench(args = [false, true])]
fn fan_out_to_1000(bencher: Bencher<'_, '_>, is_full: bool) {
    let batch = batch();
    let whole = 0..batch.bytes().len();
    let mut deflater = Deflater::new(usize::MAX);
    bencher
        .counter(ItemsCount::new(1000_usize))
        .with_inputs(|| {
            let pair = || (Outbox::default(), Pipe { is_full, taken: 0 });
            std::iter::repeat_with(pair).take(1000).collect::<Vec<_>>()
        })
        .bench_local_refs(|clients| {
            let mut encodings = Encodings::new(&batch, whole.clone());
            for (outbox, pipe) in clients.iter_mut() {
                let encoding = encodings.of(None, &mut deflater);
                let sent = outbox.send(NOW, encoding.batch(), encoding.range(&whole), pipe);
                assert!(sent.is_ok());
            }
        });
}
