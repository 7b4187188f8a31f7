//! What the server asks of a stream of bytes, and what a poll says of one.

use std::io::{self, Read, Write};

/// A stream of bytes that can say that it will send no more.
pub trait Stream: Read + Write {
    /// Ends our direction; the peer reads all that was written, then the end.
    ///
    /// # Errors
    /// Those of the socket.
    fn shutdown_write(&mut self) -> io::Result<()>;
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
