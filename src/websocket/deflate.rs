//! permessage-deflate (RFC 7692), always without context takeover: each message is compressed on
//! its own, so an idle client holds no compressor, and a broadcast is compressed once for all.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::ProtocolError;
use crate::http::{Refusal, Request, is_token};

/// What ends every message and is left out on the wire: an empty stored block (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// The windows that can be agreed on (RFC 7692 §7.1.2), as powers of two.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=15;
/// How hard to try. Of chat-like JSON of 128, 512 and 4,096 bytes, level 1 leaves 85, 57 and 43 % in
/// 10, 14 and 27 µs, level 2 leaves 77, 46 and 31 % in 16, 22 and 55 µs, and level 6 hardly less.
const LEVEL: u32 = 2;
/// Memory over this is given back rather than kept for the next message.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Streams that a message may consist of: a block may be the last of its stream, and others follow
/// (RFC 7692 §7.2.3.4). Each costs a reset, so nobody gets one for every two bytes.
const STREAMS_MAX: u32 = 16;

/// What was agreed on with one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// How far back our compressed messages may refer, as a power of two.
    window_bits: u8,
    /// Whether the client asked for that, so that the answer has to name it.
    is_window_asked_for: bool,
}

impl Agreement {
    /// How far back our compressed messages may refer, as a power of two.
    pub fn window_bits(self) -> u8 {
        self.window_bits
    }

    /// The element of `Sec-WebSocket-Extensions` that says what was agreed on.
    pub fn element(self) -> String {
        let mut element =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        if self.is_window_asked_for {
            element.push_str(&format!("; server_max_window_bits={}", self.window_bits));
        }
        element
    }
}

/// Chooses the first offer that can be accepted. An offer that is wrong or unknown is declined and
/// harms no other (RFC 7692 §7).
///
/// # Errors
/// A header that is not to the grammar of RFC 6455 §9.1 fails the handshake.
pub(super) fn negotiate(request: &Request<'_>) -> Result<Option<Agreement>, Refusal> {
    let mut agreement = None;
    for value in request.all("Sec-WebSocket-Extensions") {
        let offers = parse_offers(value)
            .ok_or(Refusal::Malformed("Sec-WebSocket-Extensions is not a list of extensions"))?;
        agreement = agreement.or_else(|| offers.iter().find_map(accept));
    }
    Ok(agreement)
}

/// One element of `Sec-WebSocket-Extensions`.
struct Offer<'a> {
    name: &'a [u8],
    parameters: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

fn accept(offer: &Offer<'_>) -> Option<Agreement> {
    if offer.name != b"permessage-deflate" {
        return None;
    }
    let mut agreement = Agreement { window_bits: *WINDOW_BITS.end(), is_window_asked_for: false };
    for (index, (name, value)) in offer.parameters.iter().enumerate() {
        if offer.parameters[..index].iter().any(|(earlier, _)| earlier == name) {
            return None;
        }
        match (*name, value) {
            (b"server_no_context_takeover" | b"client_no_context_takeover", None) => {}
            (b"server_max_window_bits", Some(value)) => {
                agreement.window_bits = window_bits(value)?;
                agreement.is_window_asked_for = true;
            }
            // How much the client may use is its own affair: every window can be inflated here.
            (b"client_max_window_bits", None) => {}
            (b"client_max_window_bits", Some(value)) => {
                window_bits(value)?;
            }
            _ => return None,
        }
    }
    Some(agreement)
}

/// A whole number from 8 to 15 without leading zeros (RFC 7692 §7.1.2.1).
fn window_bits(value: &[u8]) -> Option<u8> {
    WINDOW_BITS.into_iter().find(|bits| bits.to_string().as_bytes() == value)
}

/// The list of RFC 6455 §9.1, in one walk over its bytes.
fn parse_offers(value: &[u8]) -> Option<Vec<Offer<'_>>> {
    let mut rest = value.trim_ascii();
    let mut offers = Vec::new();
    while !rest.is_empty() {
        // An element may be empty (RFC 9110 §5.6.1.2).
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let mut offer = Offer { name: take_token(&mut rest)?, parameters: Vec::new() };
        while let Some(behind) = rest.strip_prefix(b";") {
            rest = behind.trim_ascii_start();
            let name = take_token(&mut rest)?;
            let value = match rest.strip_prefix(b"=") {
                None => None,
                Some(behind) => {
                    rest = behind.trim_ascii_start();
                    Some(take_value(&mut rest)?)
                }
            };
            offer.parameters.push((name, value));
        }
        offers.push(offer);
        if !rest.is_empty() && rest[0] != b',' {
            return None;
        }
    }
    (!offers.is_empty()).then_some(offers)
}

fn take_token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.iter().position(|&byte| !is_token(byte)).unwrap_or(rest.len());
    let (token, behind) = rest.split_at(length);
    *rest = behind.trim_ascii_start();
    (!token.is_empty()).then_some(token)
}

/// A token, or one in quotes. No token needs an escape, so a quoted one has none here.
fn take_value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let Some(behind) = rest.strip_prefix(b"\"") else { return take_token(rest) };
    let length = behind.iter().position(|&byte| !is_token(byte))?;
    let (token, behind) = behind.split_at(length);
    *rest = behind.strip_prefix(b"\"")?.trim_ascii_start();
    (!token.is_empty()).then_some(token)
}

/// Inflates messages, one after the other, for all clients.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    message: Vec<u8>,
    inflated: Inflated,
    is_discarding: bool,
}

/// Work that an [`Inflater`] has done: small payloads can ask for much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inflated {
    /// Deflate streams, whole or not: one a message, or a few.
    pub streams: usize,
    /// Bytes that went in.
    pub compressed_bytes: usize,
    /// Bytes that came out, also of messages that turned out to be wrong.
    pub bytes: usize,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater {
            stream: Decompress::new(false),
            message: Vec::new(),
            inflated: Inflated::default(),
            is_discarding: false,
        }
    }
}

impl Inflater {
    /// Inflates a message. Memory grows with what comes out and ends at `bytes_max` + 1.
    ///
    /// # Errors
    /// What is no deflate stream, or inflates to more than `bytes_max`.
    pub(super) fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<&[u8], ProtocolError> {
        self.message.clear();
        if self.is_discarding {
            return Ok(&self.message);
        }
        self.stream.reset(false);
        self.message.shrink_to(KEPT_BYTES_MAX);
        let result = [payload, &TAIL].into_iter().try_for_each(|input| self.feed(input, bytes_max));
        self.inflated.streams += 1;
        self.inflated.compressed_bytes += payload.len();
        self.inflated.bytes += self.message.len();
        result.map(|()| self.message.as_slice())
    }

    /// From here on messages are only to be passed over: each comes out empty, and costs nothing.
    pub fn set_discarding(&mut self, is_discarding: bool) {
        self.is_discarding = is_discarding;
    }

    /// The work since the last call.
    pub fn take_inflated(&mut self) -> Inflated {
        std::mem::take(&mut self.inflated)
    }

    fn feed(&mut self, mut input: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        for _ in 0..STREAMS_MAX {
            let status = loop {
                if self.message.len() == self.message.capacity() {
                    let step = self.message.len().clamp(1024, KEPT_BYTES_MAX);
                    self.message.reserve_exact(step.min(bytes_max + 1 - self.message.len()));
                }
                let used_before = self.stream.total_in();
                let status = self.stream.decompress_vec(input, &mut self.message, FlushDecompress::Sync);
                let used = self.stream.total_in() - used_before;
                input = &input[usize::try_from(used).expect("no more than the input")..];
                // Before what is wrong with the stream: it may be wrong behind the limit only.
                if self.message.len() > bytes_max {
                    return Err(ProtocolError::MessageTooBig);
                }
                let status = status.map_err(|_| ProtocolError::InvalidDeflate)?;
                // A full buffer may hide more output; with room left there is none.
                if status == Status::StreamEnd || self.message.len() < self.message.capacity() {
                    break status;
                }
            };
            if status == Status::StreamEnd {
                self.stream.reset(false);
                self.inflated.streams += 1;
            }
            if input.is_empty() {
                return Ok(());
            }
            if status != Status::StreamEnd {
                break;
            }
        }
        Err(ProtocolError::InvalidDeflate)
    }
}

/// Deflates messages, one after the other, for all clients: a compressor for each window in use.
#[derive(Debug)]
pub struct Deflater {
    streams: [Option<Compress>; 8],
    bytes_min: usize,
    out: Vec<u8>,
}

impl Deflater {
    /// Leaves messages shorter than `bytes_min` as they are.
    pub fn new(bytes_min: usize) -> Deflater {
        Deflater { streams: Default::default(), bytes_min, out: Vec::new() }
    }

    /// Deflates a message; `None` if it is short or would not become shorter.
    pub(super) fn deflate(&mut self, window_bits: u8, payload: &[u8]) -> Option<&[u8]> {
        assert!(WINDOW_BITS.contains(&window_bits), "only these are agreed on");
        if payload.len() < self.bytes_min.max(1) {
            return None;
        }
        // There is no compressor for 2^8 (zlib's manual). But no message refers farther back than its
        // own start, so short ones are within that window whatever compresses them.
        if window_bits == 8 && payload.len() > 1 << 8 {
            return None;
        }
        let bits = window_bits.max(9);
        let stream = self.streams[usize::from(window_bits - WINDOW_BITS.start())]
            .get_or_insert_with(|| Compress::new_with_window_bits(Compression::new(LEVEL), false, bits));
        stream.reset();
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES_MAX);
        // Always room for all of it: zlib-rs 0.6 may panic when the output of a flush does not fit.
        self.out.reserve_exact(payload.len() + payload.len() / 8 + 1024);
        let status = stream.compress_vec(payload, &mut self.out, FlushCompress::Sync).ok()?;
        assert!(status == Status::Ok && self.out.len() < self.out.capacity(), "there was room for all");
        assert!(self.out.ends_with(&TAIL), "a flush ends with an empty block");
        let length = self.out.len().saturating_sub(TAIL.len());
        (length < payload.len()).then(|| &self.out[..length])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is answered to these header values: a status, nothing, or the element.
    fn answer(lines: &[&str]) -> String {
        let header: String =
            lines.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n");
        let request = Request::parse(head.as_bytes()).expect("a well-formed request");
        match negotiate(&request) {
            Err(refusal) => refusal.status().to_string(),
            Ok(agreement) => agreement.map(Agreement::element).unwrap_or_default(),
        }
    }

    #[test]
    fn offers() {
        const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let with = |bits: u8| format!("{PLAIN}; server_max_window_bits={bits}");
        let declined = String::new();
        for (offer, wanted) in [
            ("permessage-deflate", PLAIN.to_owned()),
            ("permessage-deflate; client_max_window_bits", PLAIN.to_owned()),
            ("permessage-deflate;client_max_window_bits=8", PLAIN.to_owned()),
            ("permessage-deflate ; client_max_window_bits = \"15\" ", PLAIN.to_owned()),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", PLAIN.to_owned()),
            ("permessage-deflate; server_max_window_bits=10", with(10)),
            ("permessage-deflate; server_max_window_bits=8; client_max_window_bits=9", with(8)),
            ("permessage-deflate; server_max_window_bits=15", with(15)),
            // A wrong offer is declined, and the next one has its chance.
            ("permessage-deflate; server_max_window_bits", declined.clone()),
            ("permessage-deflate; server_max_window_bits=7", declined.clone()),
            ("permessage-deflate; server_max_window_bits=16", declined.clone()),
            ("permessage-deflate; server_max_window_bits=08", declined.clone()),
            ("permessage-deflate; server_max_window_bits=1e1", declined.clone()),
            ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", declined.clone()),
            ("permessage-deflate; client_max_window_bits=0", declined.clone()),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", declined.clone()),
            ("permessage-deflate; server_no_context_takeover=1", declined.clone()),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", declined.clone()),
            ("permessage-deflate; unknown", declined.clone()),
            ("x-webkit-deflate-frame, permessage-bzip2", declined.clone()),
            ("Permessage-Deflate", declined.clone()),
            (
                "foo; a=\"b\", permessage-deflate; server_max_window_bits=99, permessage-deflate",
                PLAIN.to_owned(),
            ),
            ("permessage-deflate; server_max_window_bits=9, permessage-deflate", with(9)),
            (", ,permessage-deflate,", PLAIN.to_owned()),
            // What is not to the grammar fails the handshake (RFC 6455 §9.1).
            ("", "400".to_owned()),
            (",", "400".to_owned()),
            ("permessage-deflate;", "400".to_owned()),
            ("permessage-deflate; =9", "400".to_owned()),
            ("permessage-deflate; client_max_window_bits=", "400".to_owned()),
            ("permessage-deflate; client_max_window_bits=\"9", "400".to_owned()),
            ("permessage-deflate; client_max_window_bits=\"\"", "400".to_owned()),
            ("permessage-deflate; client_max_window_bits=\"9\"9", "400".to_owned()),
            ("permessage-deflate client_max_window_bits", "400".to_owned()),
            ("permessage deflate", "400".to_owned()),
            ("permessage-deflate@", "400".to_owned()),
        ] {
            assert_eq!(answer(&[offer]), wanted, "{offer:?}");
        }
        assert_eq!(answer(&["foo", "permessage-deflate; server_max_window_bits=9"]), with(9));
        assert_eq!(answer(&["permessage-deflate", "@"]), "400");
        assert_eq!(answer(&[]), "");
    }

    #[test]
    fn the_examples_of_rfc_7692_section_7_2_3() {
        for payload in [
            b"\xf2\x48\xcd\xc9\xc9\x07\x00".as_slice(),
            // §7.2.3.3, a stored block; §7.2.3.4, a final block; §7.2.3.5, two blocks.
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            assert_eq!(Inflater::default().inflate(payload, 100), Ok(b"Hello".as_slice()), "{payload:x?}");
        }
        assert_eq!(Inflater::default().inflate(b"\x00", 100), Ok(b"".as_slice()), "§7.2.3.6, no bytes");
    }

    #[test]
    fn inflating_ends_one_byte_over_the_limit() {
        let mut stream = Compress::new(Compression::best(), false);
        let mut bomb = Vec::with_capacity(1 << 17);
        let zeros = vec![0; 64 << 20];
        stream.compress_vec(&zeros, &mut bomb, FlushCompress::Sync).expect("room");
        assert_eq!(stream.total_in(), 64 << 20, "all of it in some 64 KiB");
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&bomb[..bomb.len() - 4], 1 << 16), Err(ProtocolError::MessageTooBig));
        assert!(inflater.message.capacity() <= (1 << 16) + 1, "{}", inflater.message.capacity());

        for (size, allowed) in [(1000, true), (1001, false)] {
            let deflated = Deflater::new(1).deflate(15, &vec![7; size]).expect("shorter").to_vec();
            assert_eq!(inflater.inflate(&deflated, 1000).is_ok(), allowed, "{size}");
        }
    }

    #[test]
    fn what_is_no_deflate_stream_is_refused_and_the_next_message_is_not_harmed() {
        let mut inflater = Inflater::default();
        for payload in [b"\xff\xff\xff\xff".as_slice(), b"\x06", b"\x00\x05\x00\x00\x00Hello"] {
            assert_eq!(inflater.inflate(payload, 100), Err(ProtocolError::InvalidDeflate), "{payload:x?}");
            assert_eq!(inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 100), Ok(b"Hello".as_slice()));
        }
        // Empty final blocks, each the end of a stream: a reset for every two bytes.
        let streams = |count| b"\x03\x00".repeat(count);
        assert_eq!(inflater.inflate(&streams(15), 100), Ok(b"".as_slice()));
        assert_eq!(inflater.inflate(&streams(100), 100), Err(ProtocolError::InvalidDeflate));
    }

    /// Inflates with a window of so many bits, one byte of output at a time, so that nothing but the
    /// window can be referred to.
    fn inflate_within(bits: u8, deflated: &[u8]) -> Vec<u8> {
        let mut stream = Decompress::new_with_window_bits(false, bits);
        let input = [deflated, &TAIL].concat();
        let mut message = Vec::new();
        loop {
            let used = usize::try_from(stream.total_in()).expect("short");
            let (mut byte, before) = ([0], stream.total_out());
            let status = stream.decompress(&input[used..], &mut byte, FlushDecompress::Sync);
            status.expect("refers to the window only");
            if stream.total_out() == before {
                return message;
            }
            message.extend_from_slice(&byte);
        }
    }

    #[test]
    fn no_message_refers_farther_back_than_its_window() {
        // Repeats itself at every distance that a window could hold.
        let text: Vec<u8> =
            (0..40_000_u32).map(|index| ((index * index) >> 7).to_le_bytes()[0] & 0x1F).collect();
        let payload = [text.as_slice(), &text].concat();
        let mut deflater = Deflater::new(1);
        for bits in 9..=15 {
            let deflated = deflater.deflate(bits, &payload).expect("it repeats itself").to_vec();
            assert!(inflate_within(bits, &deflated) == payload, "a window of {bits} bits");
        }
        assert!(deflater.deflate(8, &payload[..256]).is_some(), "no farther than its own start");
        assert_eq!(deflater.deflate(8, &[0; 257]), None);
    }

    #[test]
    fn short_and_random_messages_stay_as_they_are() {
        let mut deflater = Deflater::new(100);
        assert_eq!(deflater.deflate(15, &[b'a'; 99]), None);
        assert!(deflater.deflate(15, &[b'a'; 100]).is_some());
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(5000)
        .collect();
        assert_eq!(deflater.deflate(15, &noise), None);
        assert_eq!(Deflater::new(0).deflate(15, b""), None);
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates_to_itself(
            payload in prop::collection::vec(0_u8..4, 0..3000),
            bits in 8_u8..=15,
        ) {
            let mut deflater = Deflater::new(1);
            if let Some(deflated) = deflater.deflate(bits, &payload) {
                prop_assert!(deflated.len() < payload.len());
                let mut inflater = Inflater::default();
                prop_assert_eq!(inflater.inflate(deflated, 3000), Ok(payload.as_slice()));
            }
        }

        #[test]
        fn no_bytes_break_the_inflater(payload in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut inflater = Inflater::default();
            if let Ok(message) = inflater.inflate(&payload, 1000) {
                prop_assert!(message.len() <= 1000);
            }
        }
    }
}
