//! The server's inner parts without a kernel: what a mask, a frame, a batch and a fan-out cost.

use std::io::{self, Write};
use std::num::NonZeroU64;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use wsloop::clock::Time;
use wsloop::connection::{Outbox, SendOutcome, Sink};
use wsloop::delivery::{Batch, BatchBuilder, Encodings};
use wsloop::http::Request;
use wsloop::websocket::{Agreement, Decoder, Deflater, Item, Kind, MessageLimits, encode, handshake, mask};

const NOW: Time = Time::from_millis(1);
const LIMITS: MessageLimits = MessageLimits { message_bytes_max: 1 << 20, fragments_max: 1024 };
/// What the server keeps of a batch's memory for the next turn.
const KEPT_BYTES_MAX: usize = 64 * 1024;
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
#[divan::bench(name = "encode", args = [1, 10, 100])]
fn encode_batch(bencher: Bencher<'_, '_>, count: usize) {
    let mut builder = BatchBuilder::default();
    let payload = [b'x'; 64];
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        for _ in 0..count {
            encode::push_message(&mut builder, Kind::Text, &[divan::black_box(payload.as_slice())], None);
        }
        let batch = builder.seal();
        divan::black_box(batch.bytes());
        builder.recycle(batch, KEPT_BYTES_MAX);
    });
}

/// The same of a room that numbers its messages.
#[divan::bench(args = [1, 100])]
fn encode_numbered(bencher: Bencher<'_, '_>, count: u64) {
    let mut builder = BatchBuilder::default();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let batch = batch_of(&mut builder, count, 1);
        divan::black_box(batch.bytes());
        builder.recycle(batch, KEPT_BYTES_MAX);
    });
}

/// A socket that takes so much at a time, and then is full.
struct Pipe {
    room: usize,
    taken: usize,
}

impl Sink for Pipe {}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.taken += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Messages of 64 bytes, numbered from `first` on; zero: not.
fn batch_of(builder: &mut BatchBuilder, count: u64, first: u64) -> Batch {
    for index in 0..count {
        let number = if first == 0 { None } else { NonZeroU64::new(first + index) };
        encode::push_message(builder, Kind::Text, &[divan::black_box([b'x'; 64].as_slice())], number);
    }
    builder.seal()
}

fn batch(count: u64) -> Batch {
    batch_of(&mut BatchBuilder::default(), count, 0)
}

fn clients(count: usize, room: usize) -> Vec<(Outbox, Pipe)> {
    let pair = || (Outbox::default(), Pipe { room, taken: 0 });
    std::iter::repeat_with(pair).take(count).collect()
}

/// One batch to 1,000 clients: what fan-out costs beside the system calls.
#[divan::bench(args = [false, true])]
fn fan_out_to_1000(bencher: Bencher<'_, '_>, is_full: bool) {
    let batch = batch(1);
    let whole = 0..batch.bytes().len();
    let mut deflater = Deflater::new(usize::MAX);
    bencher
        .counter(ItemsCount::new(1000_usize))
        .with_inputs(|| clients(1000, if is_full { 0 } else { usize::MAX }))
        .bench_local_refs(|clients| {
            let mut encodings = Encodings::new(&batch, whole.clone());
            for (outbox, pipe) in clients.iter_mut() {
                let encoding = encodings.of(None, &mut deflater);
                let sent = outbox.send(NOW, encoding.batch(), encoding.range(&whole), pipe);
                assert!(sent.is_ok());
            }
        });
}

/// The same where all have agreed on compression: what finding the one that was made costs.
#[divan::bench]
fn fan_out_deflated_to_1000(bencher: Bencher<'_, '_>) {
    let batch = batch(100);
    let whole = 0..batch.bytes().len();
    let mut deflater = Deflater::new(0);
    let window_bits = window_bits();
    let mut encodings = Encodings::new(&batch, whole.clone());
    encodings.of(window_bits, &mut deflater);
    bencher.counter(ItemsCount::new(1000_usize)).with_inputs(|| clients(1000, usize::MAX)).bench_local_refs(
        |clients| {
            for (outbox, pipe) in clients.iter_mut() {
                let encoding = encodings.of(window_bits, &mut deflater);
                let sent = outbox.send(NOW, encoding.batch(), encoding.range(&whole), pipe);
                assert!(sent.is_ok());
            }
        },
    );
}

fn window_bits() -> Option<u8> {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = Request::parse(head).expect("a request");
    handshake::accept(&request, &[], true).expect("a handshake").compression().map(Agreement::window_bits)
}

/// A busy turn: messages made, sealed and handed to 100 clients of which none takes more than so many bytes.
#[divan::bench(args = [(1, usize::MAX), (1, 0), (100, usize::MAX), (100, 0), (100, 4000)])]
fn turn_for_100(bencher: Bencher<'_, '_>, (count, room): (u64, usize)) {
    let mut builder = BatchBuilder::default();
    bencher.counter(ItemsCount::new(100_usize)).with_inputs(|| clients(100, room)).bench_local_refs(
        |clients| {
            let batch = batch_of(&mut builder, count, 1);
            let whole = 0..batch.bytes().len();
            for (outbox, pipe) in clients.iter_mut() {
                assert!(outbox.send(NOW, &batch, whole.clone(), pipe).is_ok());
            }
            if room == usize::MAX {
                builder.recycle(batch, KEPT_BYTES_MAX);
            }
        },
    );
}

/// A batch of 100 messages that leaves in pieces of so many bytes.
#[divan::bench(args = [50, 1000])]
fn drain_slowly(bencher: Bencher<'_, '_>, room: usize) {
    let batch = batch(100);
    let whole = 0..batch.bytes().len();
    bencher
        .counter(BytesCount::new(whole.len()))
        .with_inputs(|| (Outbox::default(), Pipe { room, taken: 0 }))
        .bench_local_refs(|(outbox, pipe)| {
            assert!(outbox.send(NOW, &batch, whole.clone(), pipe).is_ok());
            while !outbox.is_empty() {
                outbox.unblock();
                assert!(outbox.flush(NOW, pipe).is_ok());
            }
        });
}

/// Parts of a batch of 100 numbered messages to clients that take nothing: the first half refers to it, the
/// last tenth is copied.
#[divan::bench(args = [(0, 50), (90, 100)])]
fn queue_a_part(bencher: Bencher<'_, '_>, (from, to): (usize, usize)) {
    let batch = batch_of(&mut BatchBuilder::default(), 100, 1);
    bencher.with_inputs(|| clients(100, 0)).counter(ItemsCount::new(100_usize)).bench_local_refs(|clients| {
        for (outbox, _) in clients.iter_mut() {
            let part = from * 66..to * 66;
            divan::black_box(batch.count_messages(part.clone()));
            let _ = divan::black_box(outbox.queue(NOW, &batch, part));
        }
    });
}

/// Skips what 100 numbered batches of so many messages hold.
#[divan::bench(args = [1, 100])]
fn skip_100_batches(bencher: Bencher<'_, '_>, count: u64) {
    let batch = batch_of(&mut BatchBuilder::default(), count, 1);
    let whole = 0..batch.bytes().len();
    let filled = || {
        let mut outbox = Outbox::default();
        (0..100).for_each(|_| {
            assert!(matches!(outbox.queue(NOW, &batch, whole.clone()), SendOutcome::Queued(_)));
        });
        outbox
    };
    bencher.with_inputs(filled).bench_local_refs(|outbox| divan::black_box(outbox.skip(0)));
}
