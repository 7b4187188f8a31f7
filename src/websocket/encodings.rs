//! One batch in every encoding that its receivers agreed on, each made at most once.

use std::ops::Range;

use super::batch::Batch;
use super::deflate::{Agreement, Deflater};
use super::frame;

/// Frames of a batch, plain and as far as somebody needs them compressed.
#[derive(Debug)]
pub struct Encodings<'a> {
    plain: &'a Batch,
    part: Range<usize>,
    /// By window; `None` where no message became shorter.
    deflated: Vec<(u8, Option<Deflated>)>,
}

/// The messages of a batch, compressed for one window where that makes them shorter.
#[derive(Debug)]
struct Deflated {
    batch: Batch,
    /// Where each frame starts before and after, and where the last one ends.
    places: Vec<(usize, usize)>,
}

/// What one receiver gets.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    plain: &'a Batch,
    deflated: Option<&'a Deflated>,
}

impl<'a> Encodings<'a> {
    /// The frames in `part` of a batch. Nothing is compressed before somebody needs it.
    pub fn new(plain: &'a Batch, part: Range<usize>) -> Encodings<'a> {
        Encodings { plain, part, deflated: Vec::new() }
    }

    /// For how many windows it was compressed, or tried to be.
    pub fn deflated_count(&self) -> usize {
        self.deflated.len()
    }

    /// The encoding for a receiver of this agreement.
    pub fn of(&mut self, compression: Option<Agreement>, deflater: &mut Deflater) -> Encoding<'_> {
        let Some(window_bits) = compression.map(Agreement::window_bits) else {
            return Encoding { plain: self.plain, deflated: None };
        };
        let index = self.deflated.iter().position(|(bits, _)| *bits == window_bits).unwrap_or_else(|| {
            let deflated = Deflated::new(self.plain, self.part.clone(), deflater, window_bits);
            self.deflated.push((window_bits, deflated));
            self.deflated.len() - 1
        });
        Encoding { plain: self.plain, deflated: self.deflated[index].1.as_ref() }
    }
}

impl<'a> Encoding<'a> {
    /// The frames, of which [`Encoding::range`] says where they are.
    pub fn batch(self) -> &'a Batch {
        self.deflated.map_or(self.plain, |deflated| &deflated.batch)
    }

    /// Where the frames of a range of the plain batch are.
    pub fn range(self, plain: &Range<usize>) -> Range<usize> {
        match self.deflated {
            None => plain.clone(),
            Some(deflated) => deflated.place(plain.start)..deflated.place(plain.end),
        }
    }
}

impl Deflated {
    /// Compresses the frames in `part`; `None` if none of them becomes shorter.
    fn new(plain: &Batch, part: Range<usize>, deflater: &mut Deflater, window_bits: u8) -> Option<Deflated> {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        let mut is_shorter = false;
        let mut start = part.start;
        while start < part.end {
            places.push((start, bytes.len()));
            let whole = &plain.bytes()[start..plain.frame_end(start)];
            let (header_bytes, _) = frame::own_frame(whole);
            match deflater.deflate(window_bits, &whole[header_bytes..]) {
                Some(shorter) => {
                    // RSV1 marks a compressed message (RFC 7692 §6).
                    frame::push_header(whole[0] | 0x40, shorter.len(), &mut bytes);
                    bytes.extend_from_slice(shorter);
                    is_shorter = true;
                }
                None => bytes.extend_from_slice(whole),
            }
            start += whole.len();
        }
        places.push((start, bytes.len()));
        is_shorter.then(|| Deflated { batch: plain.recoded(bytes, part), places })
    }

    fn place(&self, plain: usize) -> usize {
        let index = self.places.binary_search_by_key(&plain, |(before, _)| *before);
        self.places[index.expect("ranges hold whole frames")].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{BatchBuilder, Kind};

    const WHOLE: Agreement = Agreement::of_window(15);

    #[test]
    fn each_window_is_compressed_once_and_ranges_are_found_again() {
        let mut builder = BatchBuilder::default();
        for payload in [[b'a'; 200].as_slice(), b"short", &[b'b'; 300]] {
            builder.push(Kind::Text, &[payload]);
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

        let encoding = encodings.of(Some(WHOLE), &mut deflater);
        let short = encoding.range(&(ends[0]..ends[1]));
        assert_eq!(&encoding.batch().bytes()[short], b"\x81\x05short", "not worth it");
        assert_eq!(encoding.batch().bytes()[0], 0xC1, "RSV1");
        let last = encoding.range(&(ends[1]..ends[2]));
        assert!(last.len() < 30 && last.end == encoding.batch().bytes().len());
        let first = encoding.batch().bytes().as_ptr();
        assert_eq!(encodings.of(Some(WHOLE), &mut deflater).batch().bytes().as_ptr(), first, "made once");
        encodings.of(Some(Agreement::of_window(9)), &mut deflater);
        assert_eq!(encodings.deflated.len(), 2);
    }

    #[test]
    fn what_does_not_become_shorter_is_not_copied() {
        let mut builder = BatchBuilder::default();
        builder.push(Kind::Text, &[b"short"]);
        let plain = builder.seal();
        let mut encodings = Encodings::new(&plain, 0..7);
        let encoding = encodings.of(Some(WHOLE), &mut Deflater::new(1));
        assert_eq!(encoding.batch().bytes().as_ptr(), plain.bytes().as_ptr());
        assert_eq!(encoding.range(&(0..7)), 0..7);
    }
}
