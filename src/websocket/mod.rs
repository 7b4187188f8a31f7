//! RFC 6455 without its I/O: frames, messages, the handshake and close codes, as pure functions
//! and small state machines. Extensions are refused, so RSV bits must be zero.

mod batch;
mod close;
mod decoder;
mod frame;
pub mod handshake;
mod mask;
mod message;

pub use batch::{Batch, BatchBuilder};
pub use close::{CloseCode, CloseFrame, ProtocolError, REASON_BYTES_MAX};
pub use decoder::{Decoder, Item, Limits};
pub use frame::{CONTROL_PAYLOAD_BYTES_MAX, FrameHeader, Opcode};
pub use message::Kind;
