//! What one client has still to get: references to batches, a cursor, and control frames.
//!
//! Invariant: bytes leave in the order of the entries, and nothing is ever put inside a frame
//! that has begun to leave, or before bytes that are sealed already ([`Sink::sealed`]).

mod replacing;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::time::Duration;

use super::entry::{ENTRY_BYTES, OutboxEntry};
use super::outcome::{Backlog, Gap, SendOutcome};
use super::patience::Patience;
use super::sink::Sink;
use crate::clock::Time;
use crate::delivery::{Batch, BatchBuilder};
use crate::websocket::{CloseFrame, Opcode, encode};

/// Pieces handed to one `writev`. More rarely wait, and then another call does no harm.
const SLICES_MAX: usize = 16;
/// The queue of one client. Small while nothing waits, which is nearly always.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The socket took less than all; nothing is tried before it says that it is writable.
    is_blocked: bool,
    /// Messages were thrown away, so none may follow: behind a gap there is only the close frame.
    is_cut: bool,
    control: Option<Box<Control>>,
    front: Option<OutboxEntry>,
    /// Boxed: eight bytes a client instead of thirty-two, since it is hardly ever there.
    #[expect(clippy::box_collection, reason = "the size of a quiet client counts, see above")]
    rest: Option<Box<VecDeque<OutboxEntry>>>,
    queued_bytes: usize,
    /// Messages whose last byte has not left.
    queued_messages: u32,
    patience: Patience,
    /// When the last byte left, or the first one began to wait.
    taken_at: Time,
}

/// Control frames that wait for the end of a frame. To a peer that does not read, one pong at most
/// waits here: the newest (RFC 6455 §5.5.3), so that a flood of pings cannot fill memory.
#[derive(Debug, Default)]
struct Control {
    ping: Option<[u8; 8]>,
    pongs: BatchBuilder,
    close: Option<CloseFrame>,
}

impl Outbox {
    /// Queues whole frames of a batch; none any more after [`Outbox::cut`].
    pub fn queue(&mut self, now: Time, batch: &Batch, range: Range<usize>) -> SendOutcome {
        if self.is_cut {
            return SendOutcome::Dropped;
        }
        let before = self.queued_messages;
        if !range.is_empty() {
            self.push_back(now, OutboxEntry::new(batch, range));
        }
        SendOutcome::Queued(self.queued_messages - before)
    }

    /// Sends whole frames at once where nothing waits before them, and queues what is left.
    ///
    /// # Errors
    /// Those of the socket, except that it is full.
    // Inlined into the walk over a room: after each system call a return is a branch that nobody has foreseen.
    #[inline(always)]
    pub fn send(
        &mut self,
        now: Time,
        batch: &Batch,
        range: Range<usize>,
        stream: &mut impl Sink,
    ) -> io::Result<SendOutcome> {
        if !self.is_idle() || self.is_cut {
            return Ok(self.queue(now, batch, range));
        }
        let bytes = &batch.bytes()[range.clone()];
        match stream.write(bytes) {
            Ok(written) if written == bytes.len() => {
                self.note_taken(now, written);
                Ok(SendOutcome::Delivered)
            }
            result => {
                let outcome = self.keep_rest(now, batch, range, result);
                self.note_sealed(stream.sealed());
                outcome
            }
        }
    }

    /// Notes how many bytes at the front are sealed; all of them, after each write.
    #[inline(always)]
    fn note_sealed(&mut self, bytes: usize) {
        if bytes > 0 {
            self.begin_sealed(bytes);
        }
    }

    /// What is sealed has begun to leave.
    #[cold]
    fn begin_sealed(&mut self, bytes: usize) {
        assert!(bytes <= self.queued_bytes, "what is sealed was offered, and has not left");
        let mut left = bytes;
        let entries = self.front.iter_mut().chain(self.rest.iter_mut().flat_map(|rest| rest.iter_mut()));
        for entry in entries {
            let sealed = left.min(entry.bytes().len());
            if sealed == 0 {
                break;
            }
            entry.seal(sealed);
            left -= sealed;
        }
    }

    /// Queues what an attempt to write it all has left.
    #[cold]
    fn keep_rest(
        &mut self,
        now: Time,
        batch: &Batch,
        range: Range<usize>,
        attempt: io::Result<usize>,
    ) -> io::Result<SendOutcome> {
        let is_interrupted = matches!(&attempt, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        let written = if is_interrupted { 0 } else { taken(attempt)? };
        self.is_blocked = !is_interrupted;
        self.push_back(now, OutboxEntry::new(batch, range));
        self.advance(now, written);
        Ok(SendOutcome::Queued(self.queued_messages))
    }

    /// Queues a ping.
    pub fn queue_ping(&mut self, payload: [u8; 8]) {
        self.control_mut().ping = Some(payload);
    }

    /// Queues a pong; to a peer that does not read, in place of the one that waits already.
    pub fn queue_pong(&mut self, payload: &[u8]) {
        let is_blocked = self.is_blocked;
        let pongs = &mut self.control_mut().pongs;
        if is_blocked {
            *pongs = BatchBuilder::default();
        }
        encode::push_control(pongs, Opcode::Pong, payload);
    }

    /// Queues the last frame: it goes behind everything else.
    pub fn queue_close(&mut self, frame: CloseFrame) {
        self.control_mut().close = Some(frame);
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// Those of the socket, except that it is full.
    pub fn flush(&mut self, now: Time, stream: &mut impl Sink) -> io::Result<()> {
        while !self.is_blocked {
            self.admit_control(now);
            let Some(front) = &self.front else { return Ok(()) };
            let (written, wanted) = match self.rest.as_deref().filter(|rest| !rest.is_empty()) {
                None => {
                    let bytes = front.bytes();
                    (write_once(|| stream.write(bytes))?, bytes.len())
                }
                Some(rest) => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let entries = std::iter::once(front).chain(rest);
                    let count = slices
                        .iter_mut()
                        .zip(entries)
                        .map(|(slice, entry)| *slice = IoSlice::new(entry.bytes()))
                        .count();
                    let wanted = slices[..count].iter().map(|slice| slice.len()).sum();
                    (write_once(|| stream.write_vectored(&slices[..count]))?, wanted)
                }
            };
            self.is_blocked = written < wanted;
            self.advance(now, written);
            self.note_sealed(stream.sealed());
            if stream.has_moved() {
                self.note_taken(now, 0);
            }
        }
        Ok(())
    }

    /// The socket is full, though not of what is here: its stream has something to say itself.
    pub fn block(&mut self) {
        self.is_blocked = true;
    }

    /// The socket says that it is writable again.
    pub fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Whether the socket was full, and has not said since that it is writable.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Throws away every message that has not begun to leave, and says how much that was. What is
    /// kept has its time anew, or the peer could not be told why.
    pub fn cut(&mut self, now: Time) -> Backlog {
        self.note_taken(now, 0);
        self.is_cut = true;
        let mut backlog = Backlog { messages: 0, bytes: 0 };
        let mut kept = VecDeque::new();
        for mut entry in self.front.take().into_iter().chain(*self.rest.take().unwrap_or_default()) {
            let begun_messages = entry.begun_messages();
            backlog.messages += u64::from(entry.messages - begun_messages);
            backlog.bytes += entry.end - entry.begun_until();
            if entry.has_begun {
                assert!(kept.is_empty() || entry.is_sealed(), "one frame at a time can have begun to leave");
                entry.end = entry.begun_until();
                entry.messages = begun_messages;
                kept.push_back(entry);
            }
        }
        self.queued_bytes -= backlog.bytes;
        self.queued_messages = kept.iter().map(|entry| entry.messages).sum();
        self.front = kept.pop_front();
        self.rest = (!kept.is_empty()).then(|| Box::new(kept));
        self.assert_invariants();
        backlog
    }

    /// Throws the oldest messages away that have not begun to leave, whole entries at a time, until no more
    /// than `kept_bytes` wait, or none is left that may go.
    pub fn skip(&mut self, kept_bytes: usize) -> Gap {
        let mut gap = Gap::default();
        let (mut is_whole, mut cost) = (true, self.cost());
        let mut stays = |entry: &OutboxEntry| {
            let told = entry.batch.skipped();
            let is_control = entry.messages == 0;
            if entry.has_begun || told.is_none() && (is_control || entry.is_undroppable || cost <= kept_bytes)
            {
                gap.place += usize::from(is_whole);
                return true;
            }
            is_whole = false;
            cost -= entry.bytes().len() + ENTRY_BYTES;
            match told {
                Some(told) => gap.untold = gap.untold.and(told),
                None => gap.skipped = gap.skipped.and(entry.batch.messages_in(entry.start..entry.end)),
            }
            false
        };
        let all = self.front.take().into_iter().chain(*self.rest.take().unwrap_or_default());
        let mut kept: VecDeque<OutboxEntry> = all.filter(|entry| stays(entry)).collect();
        self.front = kept.pop_front();
        self.rest = (!kept.is_empty()).then(|| Box::new(kept));
        self.queued_bytes = cost - self.entries() * ENTRY_BYTES;
        self.queued_messages -= gap.skipped.messages;
        self.assert_invariants();
        gap
    }

    /// Queues the notice of a gap, in its place.
    pub fn queue_notice(&mut self, gap: Gap, notice: Batch) {
        let entry = OutboxEntry::whole(notice);
        self.queued_bytes += entry.bytes().len();
        // It stands for what waited before: a peer that takes nothing has no more time for it.
        let Some(front) = &mut self.front else {
            self.front = Some(entry);
            return;
        };
        let rest = self.rest.get_or_insert_default();
        match gap.place.checked_sub(1) {
            Some(place) => rest.insert(place, entry),
            None => rest.push_front(std::mem::replace(front, entry)),
        }
    }

    /// What was queued last, if anything waits, is for this client alone, and is not to be skipped.
    pub fn mark_newest_undroppable(&mut self) {
        let newest = self.rest.as_mut().and_then(|rest| rest.back_mut()).or(self.front.as_mut());
        newest.into_iter().for_each(|entry| entry.is_undroppable = true);
    }

    /// Memory that this queue takes: its bytes, though others may share them, and its entries.
    pub fn cost(&self) -> usize {
        self.queued_bytes + self.entries() * ENTRY_BYTES
    }

    fn entries(&self) -> usize {
        usize::from(self.front.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Throws everything away: the client is gone. Returns the messages that it does not get.
    pub fn abandon(&mut self) -> u32 {
        let messages = self.queued_messages;
        *self = Outbox { is_cut: true, ..Outbox::default() };
        messages
    }

    /// Whether nothing waits and the socket is not known to be full.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && !self.is_blocked
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.front.is_none() && self.control.is_none()
    }

    /// Bytes that wait, without control frames that have no place yet.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Messages whose last byte has not left.
    pub fn queued_messages(&self) -> u32 {
        self.queued_messages
    }

    /// When the peer will have taken no byte for `timeout`, though some wait.
    pub fn stalled_at(&self, timeout: Duration) -> Time {
        match self.front {
            None => Time::NEVER,
            Some(_) if self.patience.is_extended() => self.taken_at + timeout + self.unread(),
            Some(_) => self.taken_at + timeout,
        }
    }

    /// Gives a peer that seems to be stalled the time in which a slow reader reads what was taken last.
    /// `false`: it has had that, or took nothing worth mentioning.
    pub fn extend_patience(&mut self, now: Time, timeout: Duration) -> bool {
        self.patience = self.patience.extended();
        self.stalled_at(timeout) > now
    }

    /// How long a slow reader takes to read what was taken, counted from when the last of it was. In whole
    /// seconds: a few messages are nothing.
    pub fn unread(&self) -> Duration {
        self.patience.unread()
    }

    /// How long no byte has been taken.
    pub fn idle_for(&self, now: Time) -> Duration {
        now.since(self.taken_at)
    }

    /// Whether a ping waits to leave.
    pub fn has_ping(&self) -> bool {
        let goes_first = |entry: &&OutboxEntry| entry.is_urgent || entry.has_begun;
        self.control.as_ref().is_some_and(|control| control.ping.is_some())
            || self.all_entries().take_while(goes_first).any(|entry| entry.is_ping)
    }

    /// Whether more than `bytes_max` waits. What a client asked for in one breath is left out, once, and so is a single
    /// frame of more than half of that: a message that may be said may be long in one form, what was missed may be more
    /// than a queue, and nobody is too slow who has had no time to take it.
    pub fn is_over(&self, bytes_max: usize) -> bool {
        self.cost() > bytes_max && is_over(bytes_max, self.cost(), self.all_entries())
    }

    /// The same, of what no policy drops though it has not begun to leave.
    pub fn is_undroppable_over(&self, bytes_max: usize) -> bool {
        let undroppable = || self.all_entries().filter(|entry| entry.is_undroppable && !entry.has_begun);
        let cost = undroppable().map(|entry| entry.bytes().len() + ENTRY_BYTES).sum();
        is_over(bytes_max, cost, undroppable())
    }

    fn all_entries(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.front.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    #[inline(always)]
    fn note_taken(&mut self, now: Time, bytes: usize) {
        self.patience = self.patience.after(now.as_millis().saturating_sub(self.taken_at.as_millis()), bytes);
        self.taken_at = now;
    }

    fn control_mut(&mut self) -> &mut Control {
        self.control.get_or_insert_default()
    }

    /// Gives the waiting control frames their places: pings and pongs before the first entry that
    /// has not begun to leave, the close frame behind all.
    fn admit_control(&mut self, now: Time) {
        let Some(control) = self.control.take() else { return };
        let Control { ping, mut pongs, close } = *control;
        if !pongs.is_empty() {
            self.push_urgent(now, OutboxEntry::whole(pongs.seal_uncounted()));
        }
        if let Some(payload) = ping {
            let mut entry = OutboxEntry::whole(encode::control(Opcode::Ping, &payload));
            entry.is_ping = true;
            self.push_urgent(now, entry);
        }
        if let Some(frame) = close {
            self.push_back(now, OutboxEntry::whole(encode::control(Opcode::Close, &frame.payload())));
        }
    }

    /// Puts a control frame before the first entry that has not begun to leave, but behind control
    /// frames that wait there already: pongs answer pings in their order.
    fn push_urgent(&mut self, now: Time, mut entry: OutboxEntry) {
        entry.is_urgent = true;
        let Some(front) = &mut self.front else { return self.push_back(now, entry) };
        self.queued_bytes += entry.bytes().len();
        let goes_first = |other: &OutboxEntry| other.is_urgent || other.has_begun;
        if goes_first(front) {
            let rest = self.rest.get_or_insert_default();
            let place = rest.iter().position(|other| !goes_first(other)).unwrap_or(rest.len());
            rest.insert(place, entry);
        } else {
            let second = std::mem::replace(front, entry);
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    fn push_back(&mut self, now: Time, entry: OutboxEntry) {
        self.queued_bytes += entry.bytes().len();
        self.queued_messages += entry.messages;
        if self.front.is_none() {
            self.note_taken(now, 0);
            self.front = Some(entry);
        } else {
            self.rest.get_or_insert_default().push_back(entry);
        }
    }

    /// Moves the cursor behind bytes that have left.
    fn advance(&mut self, now: Time, mut written: usize) {
        if written == 0 {
            return;
        }
        self.note_taken(now, written);
        self.queued_bytes -= written;
        while let Some(front) = &mut self.front {
            let length = front.bytes().len();
            if written < length {
                let before = front.messages;
                front.advance(written);
                self.queued_messages -= before - front.messages;
                break;
            }
            written -= length;
            self.queued_messages -= front.messages;
            self.front = self.rest.as_mut().and_then(|rest| rest.pop_front());
        }
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
        self.assert_invariants();
    }

    fn assert_invariants(&self) {
        assert!(self.front.is_some() || self.rest.is_none(), "the front entry is the first");
        assert!(self.front.is_some() || self.queued_bytes == 0, "no entry, no bytes");
        assert!(self.front.is_some() || self.queued_messages == 0, "no entry, no messages");
        debug_assert_eq!(
            self.queued_bytes,
            self.all_entries().map(|entry| entry.bytes().len()).sum::<usize>(),
        );
    }
}

fn is_over<'a>(bytes_max: usize, cost: usize, entries: impl Iterator<Item = &'a OutboxEntry>) -> bool {
    let exempt = |entry: &OutboxEntry| match entry.is_undroppable {
        true => entry.bytes().len(),
        false => Some(entry.largest_piece()).filter(|bytes| *bytes > bytes_max / 2).unwrap_or(0),
    };
    cost - entries.map(exempt).max().unwrap_or(0) > bytes_max
}

/// One attempt; a signal changes nothing.
fn write_once(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return taken(result),
        }
    }
}

/// What a socket took: of a full one nothing.
fn taken(attempt: io::Result<usize>) -> io::Result<usize> {
    match attempt {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;
    use crate::delivery::{Meter, Replacements, Skipped};
    use crate::websocket::{CloseCode, Kind};

    const NOW: Time = Time::from_millis(5);

    /// A socket that takes only so many bytes, then is full until more are granted.
    #[derive(Default)]
    struct Pipe {
        room: usize,
        taken: Vec<u8>,
        calls: usize,
    }

    impl Sink for Pipe {}

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            let before = self.room;
            for slice in slices {
                let taken = slice.len().min(self.room);
                self.taken.extend_from_slice(&slice[..taken]);
                self.room -= taken;
            }
            if before == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(before - self.room) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batch(payloads: &[&[u8]]) -> Batch {
        let mut builder = BatchBuilder::default();
        for payload in payloads {
            encode::push_message(&mut builder, Kind::Text, &[payload], None);
        }
        builder.seal()
    }

    fn all(batch: &Batch) -> Range<usize> {
        0..batch.bytes().len()
    }

    /// Queues a whole batch, of which all messages must wait.
    fn queue(outbox: &mut Outbox, batch: &Batch) {
        let messages = batch.count_messages(all(batch));
        assert_eq!(outbox.queue(NOW, batch, all(batch)), SendOutcome::Queued(messages));
    }

    /// Sends a whole batch to a socket that does not fail.
    fn send(outbox: &mut Outbox, batch: &Batch, pipe: &mut Pipe) -> SendOutcome {
        outbox.send(NOW, batch, all(batch), pipe).expect("a pipe does not fail")
    }

    #[test]
    fn an_idle_client_is_written_to_at_once_and_keeps_nothing() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 100, ..Pipe::default() });
        let batch = batch(&[b"one", b"two"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Delivered);
        assert!(outbox.is_idle());
        assert_eq!(pipe.taken, batch.bytes());
        assert!(size_of::<Outbox>() <= 80, "{}", size_of::<Outbox>());
    }

    #[test]
    fn a_full_socket_is_not_asked_again_before_it_is_writable() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        let batch = batch(&[b"one", b"two"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(2));
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(2));
        outbox.flush(NOW, &mut pipe).expect("no room");
        assert_eq!((pipe.calls, outbox.queued_bytes()), (1, 17));
        pipe.room = 100;
        outbox.unblock();
        outbox.flush(NOW, &mut pipe).expect("room");
        assert_eq!(pipe.calls, 2, "both batches leave in one writev");
        assert_eq!(pipe.taken, [batch.bytes(), batch.bytes()].concat());
        assert!(outbox.is_idle());
    }

    #[test]
    fn control_frames_go_between_frames_and_to_a_blocked_peer_only_the_newest_pong() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        let batch = batch(&[b"one"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(1));
        queue(&mut outbox, &batch);
        outbox.queue_pong(b"old");
        outbox.queue_pong(b"new");
        outbox.queue_ping([1; 8]);
        outbox.queue_close(CloseFrame::new(CloseCode::NORMAL, ""));
        pipe.room = 100;
        outbox.unblock();
        outbox.flush(NOW, &mut pipe).expect("room");
        let wanted: &[&[u8]] = &[
            b"\x81\x03one",
            b"\x8A\x03new",
            b"\x89\x08\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x81\x03one",
            b"\x88\x02\x03\xe8",
        ];
        assert_eq!(pipe.taken, wanted.concat());
    }

    #[test]
    fn a_newer_pong_does_not_overtake_one_that_waits() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        let batch = batch(&[b"one"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(1));
        queue(&mut outbox, &batch);
        for (pong, room) in [(b"A", 1), (b"B", 100)] {
            outbox.queue_pong(pong);
            pipe.room = room;
            outbox.unblock();
            outbox.flush(NOW, &mut pipe).expect("some room");
        }
        assert_eq!(pipe.taken, b"\x81\x03one\x8A\x01A\x8A\x01B\x81\x03one");
    }

    #[test]
    fn every_ping_of_a_peer_that_reads_is_answered_in_order() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 100, ..Pipe::default() });
        [b"a", b"b", b"c"].iter().for_each(|payload| outbox.queue_pong(*payload));
        outbox.flush(NOW, &mut pipe).expect("room");
        assert_eq!((pipe.taken.as_slice(), pipe.calls), (b"\x8A\x01a\x8A\x01b\x8A\x01c".as_slice(), 1));
    }

    #[test]
    fn the_response_of_the_handshake_goes_before_any_frame() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 100, ..Pipe::default() });
        let response = Batch::answer(b"HTTP/1.1 101\r\n\r\n".as_slice().into(), &Meter::default());
        queue(&mut outbox, &response);
        outbox.queue_pong(b"x");
        outbox.flush(NOW, &mut pipe).expect("room");
        assert_eq!(pipe.taken, b"HTTP/1.1 101\r\n\r\n\x8A\x01x");
    }

    #[test]
    fn a_cut_finishes_the_frame_that_has_begun_and_counts_the_rest() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 7, ..Pipe::default() });
        let batch = batch(&[b"one", b"two", b"three"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(2));
        queue(&mut outbox, &batch);
        assert_eq!(outbox.queued_messages(), 5);
        assert_eq!(outbox.cut(NOW), Backlog { messages: 4, bytes: 7 + 17 });
        assert_eq!(outbox.queued_messages(), 1, "the one that has begun");
        assert_eq!(outbox.queue(NOW, &batch, all(&batch)), SendOutcome::Dropped);
        outbox.queue_close(CloseFrame::new(CloseCode::TRY_AGAIN_LATER, ""));
        pipe.room = 100;
        outbox.unblock();
        outbox.flush(NOW, &mut pipe).expect("room");
        assert_eq!(pipe.taken, b"\x81\x03one\x81\x03two\x88\x02\x03\xf5");
    }

    #[test]
    fn a_skip_drops_the_oldest_and_says_once_how_many() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        let of = |messages| Skipped { messages, numbers: None };
        let notice = |gap: Gap| {
            let all = gap.untold.and(gap.skipped);
            encode::notice(Kind::Text, format!("{} missing", all.messages).as_bytes(), all, &Meter::default())
        };
        assert_eq!(send(&mut outbox, &batch(&[b"one"]), &mut pipe), SendOutcome::Queued(1));
        queue(&mut outbox, &batch(&[b"two", b"2.5"]));
        outbox.queue_ping([1; 8]);
        outbox.admit_control(NOW);
        queue(&mut outbox, &batch(&[b"three"]));
        queue(&mut outbox, &batch(&[b"four"]));
        // What is begun stays, and what is urgent; of the rest as much as fits.
        let keep = outbox.cost() - ENTRY_BYTES - 1;
        let first = outbox.skip(keep);
        assert_eq!(first, Gap { skipped: of(2), untold: of(0), place: 2 });
        outbox.queue_notice(first, notice(first));
        assert_eq!(outbox.queued_messages(), 3);
        let second = outbox.skip(outbox.cost() - 60);
        assert_eq!(second, Gap { skipped: of(1), untold: of(2), place: 2 });
        outbox.queue_notice(second, notice(second));
        outbox.queue_close(CloseFrame::new(CloseCode::NORMAL, ""));
        pipe.room = 15;
        outbox.unblock();
        outbox.flush(NOW, &mut pipe).expect("some room");
        // The notice has begun to leave: a later gap is told by another one.
        let third = outbox.skip(0);
        assert_eq!((third.skipped, third.untold), (of(1), of(0)));
        outbox.queue_notice(third, notice(third));
        pipe.room = 100;
        outbox.unblock();
        outbox.flush(NOW, &mut pipe).expect("room");
        let wanted: &[&[u8]] = &[
            b"\x81\x03one",
            b"\x89\x08\x01\x01\x01\x01\x01\x01\x01\x01",
            b"\x81\x093 missing",
            b"\x81\x091 missing",
            b"\x88\x02\x03\xe8",
        ];
        assert_eq!(String::from_utf8_lossy(&pipe.taken), String::from_utf8_lossy(&wanted.concat()));
        assert!(outbox.is_idle() && outbox.queued_messages() == 0);
    }

    #[test]
    fn what_is_undroppable_stays_in_its_place_and_the_gap_is_told_behind_it() {
        let (mut outbox, mut pipe) = (Outbox { is_blocked: true, ..Outbox::default() }, Pipe::default());
        outbox.mark_newest_undroppable();
        queue(&mut outbox, &batch(&[b"welcome"]));
        outbox.mark_newest_undroppable();
        queue(&mut outbox, &batch(&[b"one"]));
        queue(&mut outbox, &batch(&[b"ack"]));
        outbox.mark_newest_undroppable();
        queue(&mut outbox, &batch(&[b"two"]));
        let gap = outbox.skip(0);
        assert_eq!((gap.skipped.messages, gap.place), (2, 1));
        outbox.queue_notice(gap, encode::notice(Kind::Text, b"gap", gap.skipped, &Meter::default()));
        outbox.unblock();
        pipe.room = 100;
        outbox.flush(NOW, &mut pipe).expect("room");
        assert_eq!(pipe.taken, b"\x81\x07welcome\x81\x03gap\x81\x03ack");
    }

    #[test]
    fn entries_are_measured_with_their_batches() {
        let meter = Meter::new();
        let mut builder = BatchBuilder::measured(&meter);
        encode::push_message(&mut builder, Kind::Text, &[&[b'x'; 100]], None);
        let batch = builder.seal();
        let bytes = meter.bytes();
        let mut boxes: Vec<Outbox> =
            (0..3).map(|_| Outbox { is_blocked: true, ..Outbox::default() }).collect();
        boxes.iter_mut().for_each(|outbox| queue(outbox, &batch));
        drop(batch);
        assert_eq!(meter.bytes(), bytes + 3 * ENTRY_BYTES, "the bytes are shared");
        assert_eq!(boxes[0].cost(), 102 + ENTRY_BYTES);
        let _ = (boxes[0].cut(NOW), boxes[1].skip(0));
        assert_eq!(meter.bytes(), bytes + ENTRY_BYTES);
        drop(boxes);
        assert_eq!(meter.bytes(), 0);
    }

    #[test]
    fn a_few_frames_of_a_large_batch_are_copied() {
        let mut outbox = Outbox { is_blocked: true, ..Outbox::default() };
        let batch = batch(&[b"small", &[b'x'; 1000]]);
        assert_eq!(outbox.queue(NOW, &batch, 0..7), SendOutcome::Queued(1));
        assert_eq!(outbox.front.as_ref().expect("queued").batch.bytes(), b"\x81\x05small");
        queue(&mut outbox, &batch);
        let mut builder = BatchBuilder::default();
        builder.recycle(batch, 1024);
        assert_eq!(outbox.queued_bytes(), 7 + 7 + 1004);
    }

    #[test]
    fn stalling_is_counted_from_the_last_byte_that_left() {
        let timeout = Duration::from_millis(100);
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        assert_eq!(outbox.stalled_at(timeout), Time::NEVER);
        let batch = batch(&[b"one"]);
        assert_eq!(send(&mut outbox, &batch, &mut pipe), SendOutcome::Queued(1));
        assert_eq!(outbox.stalled_at(timeout), Time::from_millis(105));
        outbox.unblock();
        outbox.flush(Time::from_millis(50), &mut pipe).expect("no room");
        assert_eq!(outbox.stalled_at(timeout), Time::from_millis(105), "no byte left");
        pipe.room = 1;
        outbox.unblock();
        outbox.flush(Time::from_millis(60), &mut pipe).expect("some room");
        assert_eq!(outbox.stalled_at(timeout), Time::from_millis(160));
        assert!(!outbox.extend_patience(Time::from_millis(160), timeout), "it took nothing worth mentioning");
    }

    #[test]
    fn a_slow_reader_has_the_time_to_read_what_its_kernel_took() {
        let (timeout, second) = (Duration::from_secs(10), 1_000);
        let large = batch(&[&vec![b'x'; 1_000_000]]);
        // Taken at once, and how many seconds beside the ten it has for that: at 4 KiB a second, 30 at most.
        for (taken, seconds) in [(1, 0), (4_095, 0), (4_096, 1), (65_536, 16), (122_880, 30), (900_000, 30)] {
            let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: taken, ..Pipe::default() });
            let _ = send(&mut outbox, &large, &mut pipe);
            let strict = NOW + timeout;
            assert_eq!(outbox.stalled_at(timeout), strict, "who floods has no more");
            assert_eq!(outbox.extend_patience(strict, timeout), seconds > 0, "{taken}");
            let due = strict + Duration::from_secs(seconds);
            assert_eq!((outbox.stalled_at(timeout), outbox.unread().as_secs()), (due, seconds), "{taken}");
            assert!(!outbox.extend_patience(due, timeout), "once");
            // Progress ends the patience, and what was read meanwhile is no more unread.
            pipe.room = 4_096;
            outbox.unblock();
            outbox.flush(due, &mut pipe).expect("some room");
            assert_eq!((outbox.stalled_at(timeout), outbox.unread().as_secs()), (due + timeout, 1));
        }
        // What leaves at once counts as well, while it cannot have been read.
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: usize::MAX, ..Pipe::default() });
        for number in 0..10 {
            let batch = batch(&[&[b'x'; 1024]]);
            let now = Time::from_millis(number * 125);
            let _ = outbox.send(now, &batch, all(&batch), &mut pipe).expect("room");
        }
        assert_eq!(outbox.unread(), Duration::from_secs(1));
        assert_eq!(outbox.idle_for(Time::from_millis(9 * 125 + second)), Duration::from_secs(1));
    }

    #[test]
    fn a_queue_is_over_by_what_waits_beside_its_largest_frame() {
        let mut outbox = Outbox { is_blocked: true, ..Outbox::default() };
        queue(&mut outbox, &batch(&[&[b'x'; 60_000]]));
        assert!(outbox.cost() > 1_000 && !outbox.is_over(1_000), "one message alone is what a limit allows");
        queue(&mut outbox, &batch(&[&[b'x'; 500], &[b'y'; 200]]));
        assert!(!outbox.is_over(1_000) && outbox.is_over(700));
        queue(&mut outbox, &batch(&[&[b'x'; 60_000]]));
        assert!(outbox.is_over(1_000), "two are too many");
    }

    #[test]
    fn a_ping_waits_until_its_last_byte_has_left() {
        let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: 3, ..Pipe::default() });
        let _ = send(&mut outbox, &batch(&[b"one"]), &mut pipe);
        queue(&mut outbox, &batch(&[b"two"]));
        outbox.queue_ping([7; 8]);
        for (room, wanted) in [(0, true), (2, true), (9, true), (1, false), (5, false)] {
            assert!(outbox.has_ping() || !wanted);
            pipe.room = room;
            outbox.unblock();
            outbox.flush(NOW, &mut pipe).expect("a pipe does not fail");
            assert_eq!(outbox.has_ping(), wanted, "{room}");
        }
        assert!(outbox.is_empty());
    }

    /// A socket behind a stream that seals all that it is offered into one record, of which `room` bytes leave at a
    /// time. As many bytes as its content has a record has.
    #[derive(Default)]
    struct Sealing {
        room: usize,
        /// The content of the record that has left in part, and how much of that has.
        tail: Vec<u8>,
        gone: usize,
        has_moved: bool,
        taken: Vec<u8>,
    }

    impl Sink for Sealing {
        fn sealed(&self) -> usize {
            self.tail.len()
        }

        fn has_moved(&self) -> bool {
            self.has_moved
        }
    }

    impl Write for Sealing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            assert!(offered.starts_with(&self.tail), "offered again, unchanged and first");
            if self.tail.is_empty() {
                (self.tail, self.gone) = (offered, 0);
            }
            let length = self.room.min(self.tail.len() - self.gone);
            (self.room, self.gone) = (self.room - length, self.gone + length);
            self.has_moved = length > 0 && self.gone < self.tail.len();
            if self.gone < self.tail.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.append(&mut self.tail);
            Ok(self.gone)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_gap_gives_a_reader_that_takes_nothing_no_more_time() {
        let at = Time::from_millis;
        let timeout = Duration::from_secs(10);
        let mut outbox = Outbox::default();
        let frame = batch(&[b"x"]);
        // It takes one whole frame, so that nothing of the rest has begun.
        let mut pipe = Pipe { room: all(&frame).len(), ..Pipe::default() };
        for _ in 0..2 {
            let _ = outbox.queue(at(0), &frame, all(&frame));
        }
        outbox.flush(at(0), &mut pipe).expect("a pipe does not fail");
        for second in [4, 8] {
            let gap = outbox.skip(0);
            let notice = encode::notice(Kind::Text, b"gap", gap.skipped, &Meter::default());
            outbox.queue_notice(gap, notice);
            let _ = outbox.queue(at(second * 1_000), &frame, all(&frame));
        }
        assert_eq!(outbox.stalled_at(timeout), at(10_000));
    }

    /// Of three batches the last one may go.
    fn skip_one(outbox: &mut Outbox) {
        let gap = outbox.skip(0);
        assert_eq!((gap.skipped.messages, gap.place), (1, 2));
        outbox.queue_notice(gap, encode::notice(Kind::Text, b"gap", gap.skipped, &Meter::default()));
    }

    #[test]
    fn nothing_goes_inside_a_sealed_tail_or_before_it() {
        type Step = fn(&mut Outbox);
        // Two batches are sealed, and a third waits behind them: what goes between, and what is left of it.
        let steps: [(&str, Step, &[u8]); 6] = [
            ("nothing", |_| {}, b"\x81\x03ten"),
            ("a pong", |outbox| outbox.queue_pong(b"x"), b"\x8A\x01x\x81\x03ten"),
            ("a ping", |outbox| outbox.queue_ping(*b"12345678"), b"\x89\x0812345678\x81\x03ten"),
            (
                "a close",
                |outbox| outbox.queue_close(CloseFrame::new(CloseCode::NORMAL, "")),
                b"\x81\x03ten\x88\x02\x03\xe8",
            ),
            ("a cut", |outbox| assert_eq!(outbox.cut(NOW), Backlog { messages: 1, bytes: 5 }), b""),
            ("a skip", skip_one, b"\x81\x03gap"),
        ];
        for (what, step, wanted) in steps {
            for room in [0, 1, 7, 12] {
                let mut outbox = Outbox { is_blocked: true, ..Outbox::default() };
                let mut stream = Sealing { room, ..Sealing::default() };
                queue(&mut outbox, &batch(&[b"one", b"two"]));
                queue(&mut outbox, &batch(&[b"six"]));
                outbox.unblock();
                outbox.flush(NOW, &mut stream).expect("no room");
                queue(&mut outbox, &batch(&[b"ten"]));
                assert_eq!((outbox.queued_messages(), outbox.queued_bytes()), (4, 20), "no record has left");
                step(&mut outbox);
                stream.room = 1_000;
                while !outbox.is_empty() {
                    outbox.unblock();
                    outbox.flush(NOW, &mut stream).expect("room");
                }
                outbox.unblock();
                let wanted = [b"\x81\x03one\x81\x03two\x81\x03six", wanted].concat();
                assert_eq!(stream.taken, wanted, "{what}, {room} bytes");
                assert!(outbox.is_idle() && outbox.queued_messages() == 0, "{what}, {room} bytes");
            }
        }
    }

    #[test]
    fn a_cut_keeps_the_frames_of_which_a_part_is_sealed() {
        let mut outbox = Outbox { is_blocked: true, ..Outbox::default() };
        let batch = batch(&[b"one", b"two", b"six", b"ten"]);
        // Sealed bytes, the messages of them, and what is kept: to the end of the frame in which they end.
        for (sealed, messages, bytes) in
            [(1, 1, 5), (5, 1, 5), (6, 2, 10), (10, 2, 10), (11, 3, 15), (20, 4, 20)]
        {
            queue(&mut outbox, &batch);
            outbox.note_sealed(sealed);
            let backlog = Backlog { messages: 4 - messages, bytes: 20 - bytes };
            assert_eq!(outbox.cut(NOW), backlog, "{sealed}");
            assert_eq!((u64::from(outbox.queued_messages()), outbox.queued_bytes()), (messages, bytes));
            outbox = Outbox { is_blocked: true, ..Outbox::default() };
        }
    }

    #[test]
    fn a_part_of_a_record_that_moves_shows_that_the_peer_reads() {
        let timeout = Duration::from_secs(10);
        let (mut outbox, mut stream) = (Outbox::default(), Sealing { room: 3, ..Sealing::default() });
        let batch = batch(&[b"one"]);
        let sent = outbox.send(NOW, &batch, all(&batch), &mut stream).expect("a stream does not fail");
        assert_eq!(sent, SendOutcome::Queued(1));
        for (now, room, taken_at) in
            [(50, 0, NOW), (60, 1, Time::from_millis(60)), (70, 0, Time::from_millis(60))]
        {
            stream.room = room;
            outbox.unblock();
            outbox.flush(Time::from_millis(now), &mut stream).expect("no room");
            assert_eq!(outbox.stalled_at(timeout), taken_at + timeout, "{now}");
        }
        assert_eq!(outbox.queued_messages(), 1, "it is delivered when its record has left");
    }

    /// A message of this number and of so many bytes, in a batch of its own.
    fn numbered(number: NonZeroU64, length: usize) -> (NonZeroU64, Batch) {
        let mut builder = BatchBuilder::default();
        encode::push_message(&mut builder, Kind::Text, &[&vec![b'y'; length]], Some(number));
        (number, builder.seal())
    }

    proptest! {
        #[test]
        fn what_has_not_begun_to_leave_can_be_replaced(
            batches in prop::collection::vec(prop::collection::vec((0_usize..40, prop::bool::weighted(0.6)), 1..6), 1..12),
            granted in 0_usize..300,
            skipped in 0_usize..3,
            replaced in prop::collection::vec(((1_u64..60).prop_map(|number| NonZeroU64::MIN.saturating_add(number - 1)), 0_usize..60), 1..9),
        ) {
            let (mut outbox, mut pipe) = (Outbox::default(), Pipe { room: granted, ..Pipe::default() });
            // The pieces that it gets, each with its number if it has one.
            let (mut wanted, mut last): (Vec<(Option<NonZeroU64>, Vec<u8>)>, _) = (Vec::new(), 0);
            for (index, pieces) in batches.iter().enumerate() {
                let mut builder = BatchBuilder::default();
                for (length, has_number) in pieces {
                    last += u64::from(*has_number);
                    let number = NonZeroU64::new(last).filter(|_| *has_number);
                    encode::push_message(&mut builder, Kind::Text, &[&vec![b'x'; *length]], number);
                }
                let batch = builder.seal();
                // A part of some batches only.
                let first = if index % 2 == 0 { skipped.min(pieces.len() - 1) } else { 0 };
                let ranges: Vec<_> = batch.pieces(all(&batch)).skip(first).collect();
                for range in &ranges {
                    let number = batch.messages_in(range.clone()).numbers.map(|(number, _)| number);
                    wanted.push((number, batch.bytes()[range.clone()].to_vec()));
                }
                let part = ranges[0].start..batch.bytes().len();
                let sent = outbox.send(NOW, &batch, part, &mut pipe);
                prop_assert!(sent.is_ok());
            }
            for together in replaced.chunks(3) {
                let together: BTreeMap<_, _> = together.iter().copied().collect();
                let pieces: Vec<_> = together.into_iter().map(|(number, length)| numbered(number, length)).collect();
                let mut start = 0;
                for (of, bytes) in &mut wanted {
                    let new = pieces.iter().find(|(number, _)| Some(*number) == *of);
                    if let Some((_, piece)) = new.filter(|_| start >= pipe.taken.len()) {
                        *bytes = piece.bytes().to_vec();
                    }
                    start += bytes.len();
                }
                let before = outbox.queued_messages();
                outbox.replace(&mut Replacements::new(pieces));
                prop_assert_eq!(outbox.queued_messages(), before, "one for one");
                let left: usize = wanted.iter().map(|(_, bytes)| bytes.len()).sum();
                prop_assert_eq!(outbox.queued_bytes(), left - pipe.taken.len());
            }
            pipe.room = usize::MAX;
            outbox.unblock();
            outbox.flush(NOW, &mut pipe).expect("a pipe does not fail");
            let wanted: Vec<u8> = wanted.into_iter().flat_map(|(_, bytes)| bytes).collect();
            prop_assert_eq!(&pipe.taken, &wanted);
            prop_assert!(outbox.is_idle());
        }

        #[test]
        fn whatever_the_socket_takes_all_arrives_in_order(
            lengths in prop::collection::vec(0_usize..300, 1..12),
            grants in prop::collection::vec(0_usize..200, 0..40),
        ) {
            let (mut outbox, mut pipe) = (Outbox::default(), Pipe::default());
            let (mut wanted, mut ends) = (Vec::new(), Vec::new());
            let mut grants = grants.into_iter();
            for length in lengths {
                let batch = batch(&[&vec![b'x'; length], b"tail"]);
                wanted.extend_from_slice(batch.bytes());
                ends.extend([wanted.len() - 6, wanted.len()]);
                let before = outbox.queued_messages();
                let handed = send(&mut outbox, &batch, &mut pipe);
                let queued = outbox.queued_messages();
                let as_said = match handed {
                    SendOutcome::Queued(count) => queued == before + count,
                    _ => handed == SendOutcome::Delivered && queued == 0,
                };
                prop_assert!(as_said, "{handed:?}: {before} before, {queued} afterwards");
                pipe.room += grants.next().unwrap_or(0);
                outbox.unblock();
                outbox.flush(NOW, &mut pipe).expect("a pipe does not fail");
                prop_assert_eq!(outbox.queued_bytes(), wanted.len() - pipe.taken.len());
                // Counted naively: the ends of messages that have not been reached.
                let left = ends.iter().filter(|&&end| end > pipe.taken.len()).count();
                prop_assert_eq!(outbox.queued_messages() as usize, left);
            }
            pipe.room = usize::MAX;
            outbox.unblock();
            outbox.flush(NOW, &mut pipe).expect("a pipe does not fail");
            prop_assert_eq!(&pipe.taken, &wanted);
            prop_assert!(outbox.is_idle());
        }
    }
}
