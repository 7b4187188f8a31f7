//! What a connection writes to.

use std::io::Write;

/// Takes bytes in their order. `write` returns bytes that have left: of those that leave in sealed records, the ones
/// whose record has left as a whole. It takes less than it is offered only if it is full, and an edge tells of room.
///
/// What a plain socket says is constant, and costs nothing.
pub trait Sink: Write {
    /// So many bytes at the front of the next write are sealed already: a part of their record has left. They must
    /// be offered again, unchanged and first; until they have left nothing else is sealed.
    #[inline(always)]
    fn sealed(&self) -> usize {
        0
    }

    /// Whether the last write moved a part of a record and nothing whole: the peer takes something, if slowly.
    #[inline(always)]
    fn has_moved(&self) -> bool {
        false
    }

    /// Whether the peer must be told that nothing follows before the socket is closed, and has not been.
    #[inline(always)]
    fn needs_goodbye(&self) -> bool {
        false
    }
}

impl Sink for Vec<u8> {}

impl Sink for &mut [u8] {}
