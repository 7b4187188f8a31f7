//! What all clients share to be read and written: no byte and no context outlives a message.

use super::clients::READ_BYTES_MAX;
use crate::websocket::{Deflater, Inflater};

/// One of each for all, since there is one thread.
#[derive(Debug)]
pub(super) struct Codec {
    /// The one buffer that all reads go through.
    pub(super) scratch: Box<[u8]>,
    pub(super) inflater: Inflater,
    pub(super) deflater: Deflater,
}

impl Codec {
    /// Messages shorter than `compress_bytes_min` are not deflated.
    pub(super) fn new(compress_bytes_min: usize) -> Codec {
        Codec {
            scratch: vec![0; READ_BYTES_MAX as usize].into_boxed_slice(),
            inflater: Inflater::default(),
            deflater: Deflater::new(compress_bytes_min),
        }
    }
}
