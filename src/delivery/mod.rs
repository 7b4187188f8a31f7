//! What is sent to many: bytes that are made once and shared by all who get them, the same in the encodings that
//! receivers agreed on, and a meter of the memory that all this takes.
//!
//! A [`Batch`] consists of pieces: frames of RFC 6455, events of a stream, one answer of HTTP. This layer knows where
//! each piece ends, whether it counts as a message and which number it has, and nothing of what is in it. Whoever
//! makes a piece tells that once ([`BatchBuilder::push`]); no byte is read again to find it out.
//!
//! Messages and what stands between them (pings, pongs, close frames) never share a batch, so whether pieces are
//! messages is said once a batch, when it is sealed: to count the messages of a part is to subtract two places in the
//! table of ends. The table has a word a piece, and a batch of one piece has none: it ends where its bytes end.
//!
//! The other encodings of a batch are made by a [`Recoder`], which turns one whole piece into other bytes:
//! `websocket` has the one that deflates frames. [`Encodings`] asks it for each key at most once and only when
//! somebody needs it; what a key stands for (there: the bits of a window) is the recoder's affair.

mod batch;
mod encodings;
mod meter;
mod pieces;
mod replacements;

pub use batch::{Batch, BatchBuilder, Skipped};
pub use encodings::{Encoding, Encodings, Recoder};
pub use meter::Meter;
pub use replacements::Replacements;
