//! RFC 6455 without its I/O: frames, messages, the handshake and close codes, as pure functions
//! and small state machines; and permessage-deflate (RFC 7692). What is to be sent is appended to
//! batches of [`crate::delivery`].

mod close;
mod decoder;
mod deflate;
pub mod encode;
mod frame;
pub mod handshake;
pub mod mask;
mod message;

pub use close::{CloseCode, CloseFrame, ProtocolError, REASON_BYTES_MAX};
pub use decoder::{Decoder, Item, MessageLimits};
pub use deflate::{Agreement, Deflater, Inflated, Inflater};
pub use frame::{CONTROL_PAYLOAD_BYTES_MAX, FrameHeader, Opcode};
pub use message::Kind;
