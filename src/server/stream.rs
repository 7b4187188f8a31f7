//! What the server asks of a stream of bytes, and what a poll says of one.

use std::io::{self, Read, Write};

/// A stream of bytes that can say that it will send no more: a socket, or one that seals what is written into records
/// and opens those that it reads. What is said here of records is constant for a plain socket, and costs it nothing.
///
/// - **`read`** gives plaintext, of whole and genuine records only. `WouldBlock` means that the socket is empty and
///   nothing that was read waits; a read that brings records without plaintext is that too, never `Ok(0)`. `Ok(0)` is
///   the end of which the peer has told; one that comes without a goodbye is `UnexpectedEof`.
/// - **`write`** returns bytes that have left: whose record the kernel has taken to its last byte. It takes less than it
///   is offered only if the socket is full. Of a record that has left in part the rest is kept, and nothing else is
///   sealed before that has left; see [`Stream::sealed`].
/// - **`flush`** writes what the stream has to say itself, see [`Stream::wants_write`]; `WouldBlock` if not all of it
///   has left. A `write` does that first.
pub trait Stream: Read + Write {
    /// Ends our direction; the peer reads all that was written, then the end. A stream with a goodbye says it first.
    ///
    /// # Errors
    /// Those of the socket. `WouldBlock`: there was no room for the goodbye; it is tried again when there is.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// So many bytes at the front of the next write are sealed already, and a part of their record has left. They are
    /// offered again, unchanged and first.
    #[inline(always)]
    fn sealed(&self) -> usize {
        0
    }

    /// Whether the last write moved a part of a record though it returned nothing.
    #[inline(always)]
    fn has_moved(&self) -> bool {
        false
    }

    /// Whether bytes of its own wait to be written: of a handshake, an alert, a key update.
    #[inline(always)]
    fn wants_write(&self) -> bool {
        false
    }

    /// Whether the handshake of the stream is not over: nothing is written before.
    #[inline(always)]
    fn is_shaking(&self) -> bool {
        false
    }

    /// Whether the last read, which asked for so many bytes and got so many, has emptied the socket and the stream: then
    /// the next byte is a new edge. A short read says so of a socket; of records it says nothing. A read that only gave
    /// what was opened before did not look at the socket, for which an edge may have come meanwhile: it drained nothing.
    #[inline(always)]
    fn is_drained(&self, read: usize, asked: usize) -> bool {
        read < asked
    }

    /// Whether the peer takes an end without a goodbye for an attack, and none was said: then
    /// [`Stream::shutdown_write`] comes before the stream is dropped.
    #[inline(always)]
    fn needs_goodbye(&self) -> bool {
        false
    }
}

/// What a poll says of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be something to read, or an error to find.
    pub is_readable: bool,
    /// There may be room to write.
    pub is_writable: bool,
    /// The peer has ended its direction: reading must go on until the end is seen, since no
    /// further edge tells of it.
    pub is_read_closed: bool,
}
