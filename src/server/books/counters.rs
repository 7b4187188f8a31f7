//! What the server counts beside the ledger. Layers below return facts; only the server counts them.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, Write};

use super::ledger::AccountId;
use super::times::Times;
use crate::connection::{Cause, Sink};
use crate::http::Refusal;
use crate::server::stream::Stream;

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that were taken from the kernel.
    pub(crate) accepted: u64,
    /// Connections and requests that were refused, by reason.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// WebSockets that were opened.
    pub(crate) opened: u64,
    /// WebSockets whose conversation has ended, by close code.
    pub(crate) closed: BTreeMap<&'static str, u64>,
    /// Attempts to accept that failed, by error number.
    pub(crate) accept_errors: BTreeMap<i32, u64>,
    /// Messages that came from clients.
    pub(crate) messages_received: u64,
    /// Bytes from and to sockets.
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Deliveries that were thrown away.
    pub(crate) dropped: [u64; DropReason::ALL.len()],
    /// Of these, those of rooms and topics for whom nobody had chosen to skip: what an echo does not take concerns
    /// nobody else.
    pub(crate) missed: u64,
    /// Clients of rooms and topics that were closed since they read too slowly.
    pub(crate) cut: u64,
    /// A turn; handing out a turn's batches; from a ping to its pong.
    pub(crate) turns: Times,
    pub(crate) fanouts: Times,
    pub(crate) round_trips: Times,
}

/// Why a message was thrown away that a client was to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The client was closed: more waited for it than `--max-queue`.
    QueueFull,
    /// The client stays, and is told.
    Skipped,
    /// More waited for all together than `--max-buffered`, and most of it for this client.
    BufferFull,
    /// The client had taken no byte for too long.
    Stalled,
}

impl DropReason {
    pub(crate) const ALL: [DropReason; 4] =
        [DropReason::QueueFull, DropReason::Skipped, DropReason::BufferFull, DropReason::Stalled];

    /// The reason's name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DropReason::QueueFull => "queue_full",
            DropReason::Skipped => "skipped",
            DropReason::BufferFull => "buffer_full",
            DropReason::Stalled => "stalled",
        }
    }
}

/// A stream whose written bytes are counted.
pub(crate) struct Counted<'a, S> {
    pub(crate) stream: &'a mut S,
    pub(crate) bytes: &'a mut u64,
}

impl<S: Write> Counted<'_, S> {
    // Inlined for the same reason as the write that it counts.
    #[inline(always)]
    fn count(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        if let Ok(length) = result {
            *self.bytes += length as u64;
        }
        result
    }
}

impl<S: Write> Write for Counted<'_, S> {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stream.write(bytes);
        self.count(result)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.stream.write_vectored(slices);
        self.count(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Stream> Sink for Counted<'_, S> {
    #[inline(always)]
    fn sealed(&self) -> usize {
        self.stream.sealed()
    }

    #[inline(always)]
    fn has_moved(&self) -> bool {
        self.stream.has_moved()
    }

    #[inline(always)]
    fn needs_goodbye(&self) -> bool {
        self.stream.needs_goodbye()
    }
}

impl Counters {
    pub(crate) fn note_refusal(&mut self, refusal: Refusal) {
        self.note_rejection(refusal.name());
    }

    pub(crate) fn note_rejection(&mut self, reason: &'static str) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    /// Counts an end, and gives the name of its code.
    pub(crate) fn note_end(&mut self, cause: &Cause) -> &'static str {
        let name = code_name(cause.code());
        *self.closed.entry(name).or_default() += 1;
        name
    }

    pub(crate) fn note_dropped(&mut self, account: AccountId, reason: DropReason, messages: u64) {
        self.dropped[reason as usize] += messages;
        if account != AccountId::NONE && reason != DropReason::Skipped {
            self.missed += messages;
        }
    }

    /// A client was closed since it read too slowly.
    pub(crate) fn note_cut(&mut self, account: AccountId) {
        self.cut += u64::from(account != AccountId::NONE);
    }

    /// WebSockets that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.closed.values().sum()
    }
}

/// A close code in reports. Peers choose codes freely from 3000 on: a thousand names for nothing.
fn code_name(code: u16) -> &'static str {
    match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1010 => "1010",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        1014 => "1014",
        3000..4000 => "3xxx",
        4000..5000 => "4xxx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_few_names() {
        for (code, name) in [(1000, "1000"), (1006, "1006"), (1014, "1014"), (3000, "3xxx"), (4999, "4xxx")] {
            assert_eq!(code_name(code), name);
        }
        let names: std::collections::BTreeSet<_> = (0..=u16::MAX).map(code_name).collect();
        assert_eq!(names.len(), 17);
        for code in 1000..1015 {
            assert!(code_name(code) == code.to_string() || [1004].contains(&code), "{code}");
        }
    }

    #[test]
    fn each_reason_has_its_place() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
    }
}
