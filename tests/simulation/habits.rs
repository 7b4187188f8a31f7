//! What clients of the simulation are drawn from: what they want, how fast they are, and how they end.

/// What a client connects for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Room(String),
    Topic {
        name: String,
        hears_self: bool,
    },
    Echo,
    /// A request that is no handshake, and the status of its answer.
    Request(&'static str, u16),
}

/// How a client ends, once it has said all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Stays until it is asked to leave, then closes.
    Stay,
    Close(u16),
    /// The word `quit`, in a room.
    Quit,
    /// Ends its direction without a close frame, and reads on.
    HangUp,
    Reset,
    Vanish,
    /// One of [`crate::speech::VIOLATIONS`].
    Violate(usize),
}

/// How fast a client reads and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Eager,
    /// Reads a few bytes at a time, and has small buffers.
    Slow,
    /// Sends a few bytes at a time.
    Dribble,
    /// Reads nothing before this time.
    Late(u64),
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Waiting,
    Speaking,
    Leaving,
    Gone,
}
