//! The five phases, in their order.

use std::io;
use std::ops::Range;
use std::time::Duration;

use log::{debug, info};

use super::counters::{Counted, Drop};
use super::journal::Journal;
use super::ledger::Entry;
use super::outgoing::{Change, parts_of};
use super::prices::{self, Work};
use super::read_queue::Load;
use super::redact::printable;
use super::{Client, FIRST_READ_BYTES, LAST_READ_BYTES, READ_FACTOR, Reprieve, Server, Stream};
use crate::chat::{ClientId, Form, RoomId};
use crate::clock::{Now, Time};
use crate::connection::{CLOSE_TIMEOUT, Cause, Event, Handed};
use crate::planted::planted;
use crate::websocket::{Batch, CloseCode, CloseFrame, Encodings};

/// How much a client may do when it is read.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    bytes: usize,
    /// Even if the turn has enough to do.
    is_owed: bool,
}

impl<S: Stream> Server<S> {
    /// Reads from every client that is ready, within the turn's budget: first once from each of those who ask for
    /// little, and from newcomers, then from the busy ones, in turn, for as long as there is room. Who is not
    /// reached comes first in the next turn.
    pub(super) fn read(&mut self, now: Now) {
        let mut used = 0;
        // A crowd of light ones must not keep others from talking: these have half of what is read, and
        // their first has his turn even if the batches are full.
        for (load, budget) in
            [(Load::Light, prices::TURN_READ_BYTES / 2), (Load::Busy, prices::TURN_READ_BYTES)]
        {
            let mut is_owed = load == Load::Busy;
            while used < budget && (is_owed || !self.outgoing.is_full()) {
                let Some(id) = self.read_queue.pop(load) else { break };
                let Some(client) = self.clients.get(id.index()).filter(|client| client.is_runnable) else {
                    continue;
                };
                // A request takes more than one read, and is not what floods are made of.
                let is_newcomer = client.connection.is_awaiting_handshake();
                let budget = if load == Load::Busy || is_newcomer { prices::CLIENT_READ_BYTES } else { 1 };
                // Whose turn it is certainly gets on, by as much as a client may do.
                used += self.read_client(now, id, Allowance { bytes: budget, is_owed });
                is_owed = false;
                self.mark_flushable(id);
                self.arm(now, id);
            }
        }
    }

    /// Reads from one client until it has no more or its budget is used; returns how many bytes it used.
    fn read_client(&mut self, now: Now, id: ClientId, allowance: Allowance) -> usize {
        let client = &mut self.clients[id.index()];
        client.is_runnable = false;
        if client.reprieve == Reprieve::Granted {
            client.reprieve = Reprieve::Used;
        }
        self.outgoing.set_deflating(client.connection.compression().is_some());
        let before = self.outgoing.work();
        let (used, has_more) = self.read_within(now, id, allowance);
        let work = self.outgoing.work() - before;
        let client = &mut self.clients[id.index()];
        client.note_work(now.time, work);
        if has_more && !planted!("cut_off_and_forgotten") {
            client.is_runnable = true;
            self.read_queue.push(id, client.load(now.time));
        }
        self.note_unfinished(id);
        used
    }

    /// The same; also whether it may have more.
    fn read_within(&mut self, now: Now, id: ClientId, allowance: Allowance) -> (usize, bool) {
        let before = self.outgoing.work();
        let mut used = 0;
        loop {
            if self.clients[id.index()].connection.is_finished() {
                return (used, false);
            }
            if self.usages.hold_back(now.time, id) {
                // Its deadline wakes it up.
                return (used, false);
            }
            if used > 0 && (used >= allowance.bytes || self.is_enough(before, allowance)) {
                return (used, true);
            }
            if let Some(mut carried) = self.read_queue.take_carried(id) {
                let length = carried.bytes().len();
                let left = self.handle_bytes(now, id, carried.bytes(), allowance);
                carried.advance_to(left);
                self.read_queue.keep(id, carried);
                used += length - left;
                continue;
            }
            // Who is counted is read in small pieces, so that he is not far over his rate before he is held back.
            let client = &mut self.clients[id.index()];
            let chunk =
                if self.usages.rate().is_some() { FIRST_READ_BYTES } else { client.read_bytes } as usize;
            match client.stream.read(&mut self.scratch[..chunk]) {
                Ok(0) => {
                    let event = client.connection.handle_end(now.time);
                    self.handle_event(now, id, event);
                    return (used, false);
                }
                Ok(length) => {
                    used += length;
                    self.counters.received_bytes += length as u64;
                    let is_carrying = self.handle_scratch(now, id, length, chunk, allowance);
                    // A short read has emptied the socket; the next byte is a new edge. Only an
                    // end that is already there brings none.
                    let is_read_closed = self.clients[id.index()].is_read_closed;
                    if length < chunk && !is_carrying && (!is_read_closed || planted!("end_not_looked_for")) {
                        return (used, false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (used, false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if planted!("interrupted_and_forgotten") {
                        return (used, false);
                    }
                }
                Err(error) => {
                    let event = client.connection.handle_failure(&error);
                    self.handle_event(now, id, event);
                    return (used, false);
                }
            }
        }
    }

    /// Looks at what a read has brought. `true`: a part of it is kept for later.
    fn handle_scratch(
        &mut self,
        now: Now,
        id: ClientId,
        length: usize,
        chunk: usize,
        allowance: Allowance,
    ) -> bool {
        // Taken out, so that the bytes are not a part of the server that answers them.
        let mut scratch = std::mem::take(&mut self.scratch);
        let before = self.outgoing.work();
        self.outgoing.charge(length * prices::BYTE_READ);
        let left = self.handle_bytes(now, id, &mut scratch[..length], allowance);
        self.read_queue.carry(id, &scratch[length - left..length]);
        self.scratch = scratch;
        if self.usages.rate().is_none() {
            // What cannot be looked at now should not have been read.
            let work = if left > 0 { prices::TURN + 1 } else { self.outgoing.work() - before };
            self.clients[id.index()].adapt(length, chunk, work);
        }
        left > 0
    }

    /// Hands bytes to the connection, and each event that they make to whoever answers it, for as long as the turn
    /// and the client have room. Returns how many bytes are left.
    fn handle_bytes(&mut self, now: Now, id: ClientId, mut input: &mut [u8], allowance: Allowance) -> usize {
        let before = self.outgoing.work();
        loop {
            let limits = &self.limits.connection;
            let connection = &mut self.clients[id.index()].connection;
            match connection.receive(now.time, limits, &mut self.inflater, &mut input) {
                Some(Event::Message { kind, payload }) => {
                    self.counters.messages_received += 1;
                    self.chat
                        .handle_message(now, id, kind, payload, &mut |effect| self.outgoing.apply(effect));
                    self.note_message(now, id);
                }
                Some(Event::Pong(Some(took))) => self.counters.round_trips.record(now.time, took),
                Some(Event::Ping | Event::Pong(None)) => {}
                Some(Event::Closed(cause)) => {
                    self.clients[id.index()].log_end(now, &mut self.journal, &cause);
                    self.counters.note_end(&cause);
                    self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
                }
                Some(Event::Refused(refusal, head)) => self.refuse(now, id, refusal, &head),
                Some(Event::Request(head)) => {
                    self.outgoing.charge(prices::REQUEST);
                    self.answer(now, id, &head);
                }
                None => return 0,
            }
            self.outgoing.charge(prices::MESSAGE + prices::inflated(self.inflater.take_inflated()));
            if self.is_enough(before, allowance) && !input.is_empty() && !planted!("turn_not_bounded") {
                return input.len();
            }
        }
    }

    /// Whether a client has caused enough work since `before`, or the turn has enough to do.
    fn is_enough(&self, before: Work, allowance: Allowance) -> bool {
        self.outgoing.work() - before >= prices::CLIENT || !allowance.is_owed && self.outgoing.is_full()
    }

    /// What follows from a client having said something, whatever it was.
    fn note_message(&mut self, now: Now, id: ClientId) {
        let client = &mut self.clients[id.index()];
        if let Some(frame) = self.outgoing.take_close(id) {
            let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
            self.counters.note_end(&cause);
        }
        if !self.usages.count(now.time, id) && client.connection.is_open() {
            let reason = "too many messages a second for 10 s; see --rate";
            let frame = CloseFrame::new(CloseCode::POLICY, reason);
            let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
            client.log_end(now, &mut self.journal, &cause);
            self.counters.note_end(&cause);
            // From here on it is read to be forgotten.
            self.usages.reset(id);
            self.chat.warn_of_rate(id, &mut |effect| self.outgoing.apply(effect));
            self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
        }
    }

    /// What a connection did without bytes: it ended, failed, or its time was up.
    fn handle_event(&mut self, now: Now, id: ClientId, event: Option<Event<'static>>) {
        match event {
            Some(Event::Closed(cause)) => {
                self.note_end(now, id, &cause, Drop::Stalled);
                self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
            }
            Some(Event::Refused(refusal, head)) => self.refuse(now, id, refusal, &head),
            _ => {}
        }
        if self.clients[id.index()].connection.is_finished() {
            self.finished.push(id);
        }
    }

    /// Routes what the clock brings: deadlines of clients, counts of rooms.
    pub(super) fn route(&mut self, now: Now) {
        self.drain(now);
        let mut count = 0;
        // A crowd whose time is up all at once waits for some turns.
        while count < prices::TURN_TIMEOUTS_MIN || !self.outgoing.is_full() {
            let Some((time, id)) = self.deadlines.pop_due(now.time) else { break };
            let Some(client) = self.clients.get_mut(id.index()).filter(|client| client.armed == time) else {
                continue;
            };
            client.armed = Time::NEVER;
            if self.usages.paused_until(now.time, id).is_some() {
                self.arm(now, id);
                continue;
            }
            if self.usages.release(now.time, id) {
                self.mark_runnable(id);
            }
            let client = &mut self.clients[id.index()];
            if client.connection.deadline() > now.time {
                client.reprieve = Reprieve::None;
            } else if !client.has_reprieve() {
                client.reprieve = Reprieve::None;
                // What it says has just been read: who has more is flooding.
                let is_flooding = client.is_runnable;
                let event = client.connection.handle_timeout(now.time, is_flooding);
                count += 1;
                self.outgoing.charge(prices::TIMEOUT);
                self.handle_event(now, id, event);
                self.note_unfinished(id);
                self.mark_flushable(id);
            }
            let client = &mut self.clients[id.index()];
            // Not in this turn again, or it would not end.
            let next = client.connection.deadline().max(now.time + Duration::from_millis(1));
            self.deadlines.arm(id, next, &mut client.armed);
        }
        self.chat.handle_timeout(now, &mut |effect| self.outgoing.apply(effect));
    }

    /// Hands out the turn's batches: to who waits for nothing, at once.
    pub(super) fn deliver(&mut self, now: Now) {
        self.outgoing.begin_delivery();
        if self.outgoing.is_empty() {
            return;
        }
        let started = (self.outside.stopwatch)();
        if let Some((batch, parts)) = self.outgoing.seal_private() {
            for (id, part) in &parts {
                let owed = u64::from(batch.count_messages(part.clone()));
                self.ledger.record(self.clients[id.index()].account, Entry::Accepted(owed));
                let mut encodings = Encodings::new(&batch, part.clone());
                self.hand_out(now, *id, &mut encodings, std::slice::from_ref(part));
                // A welcome or an acknowledgement has no number: no gap would tell of it.
                if self.chat.hears_json(*id) {
                    self.clients[id.index()].connection.outbox().owe_newest();
                }
            }
            self.outgoing.recycle_private(batch, parts);
        }
        while let Some((room, form, turn)) = self.outgoing.pop_room() {
            self.ledger.record(self.ledger.of_room(room), Entry::Accepted(turn.owed()));
            let (batch, changes) = turn.seal();
            self.deliver_room(now, room, form, &batch, &changes);
            self.outgoing.recycle_room(batch);
        }
        self.counters.fanouts.record(now.time, (self.outside.stopwatch)().saturating_sub(started));
    }

    fn deliver_room(
        &mut self,
        now: Now,
        room: RoomId,
        form: Form,
        batch: &Batch,
        changes: &[(ClientId, Change)],
    ) {
        let whole = 0..batch.bytes().len();
        let messages = batch.count_messages(whole.clone());
        let mut encodings = Encodings::new(batch, whole.clone());
        for (id, _) in changes {
            self.clients[id.index()].is_special = true;
        }
        let mut served: u64 = 0;
        for &id in self.chat.members(room, form) {
            let client = &mut self.clients[id.index()];
            if client.is_special {
                continue;
            }
            // The hot loop: one write a member, and for most of them nothing else.
            let encoding = encodings.of(client.connection.compression(), &mut self.deflater);
            let outbox = client.connection.outbox();
            let stream = &mut Counted { stream: &mut client.stream, bytes: &mut self.counters.sent_bytes };
            match outbox.send(now.time, encoding.batch(), encoding.range(&whole), stream) {
                Ok(Handed::Delivered) => served += 1,
                result => self.troubled.push((id, messages, result)),
            }
        }
        self.ledger.record(self.ledger.of_room(room), Entry::Delivered(served * u64::from(messages)));
        self.settle(now);
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let id = of_one[0].0;
            self.clients[id.index()].is_special = false;
            let parts: Vec<_> = parts_of(of_one, whole.end).collect();
            self.hand_out(now, id, &mut encodings, &parts);
        }
        self.outgoing.note_windows(room, form, encodings.deflated_count());
    }

    /// Gives a client some parts of a batch. One part leaves at once, several with one write later.
    fn hand_out(&mut self, now: Now, id: ClientId, encodings: &mut Encodings<'_>, parts: &[Range<usize>]) {
        let client = &mut self.clients[id.index()];
        let encoding = encodings.of(client.connection.compression(), &mut self.deflater);
        let is_finished = client.connection.is_finished();
        let (batch, outbox) = (encoding.batch(), client.connection.outbox());
        for part in parts.iter().map(|part| encoding.range(part)) {
            let messages = batch.count_messages(part.clone());
            let result = match parts {
                _ if is_finished => Ok(Handed::Lost),
                [_] => {
                    let bytes = &mut self.counters.sent_bytes;
                    outbox.send(now.time, batch, part, &mut Counted { stream: &mut client.stream, bytes })
                }
                _ => Ok(outbox.queue(now.time, batch, part)),
            };
            self.troubled.push((id, messages, result));
        }
        self.settle(now);
    }

    /// Notes what became of messages. Whoever has something left is flushed later, or has failed.
    fn settle(&mut self, now: Now) {
        while let Some((id, messages, result)) = self.troubled.pop() {
            if !matches!(result, Ok(Handed::Delivered | Handed::Queued(_))) && messages > 0 {
                self.note_short(id);
            }
            let account = self.clients[id.index()].account;
            let mut record =
                |entry: fn(u64) -> Entry, count: u32| self.ledger.record(account, entry(count.into()));
            match result {
                Ok(Handed::Delivered) => record(Entry::Delivered, messages),
                Ok(Handed::Dropped) => {
                    record(Entry::Dropped, messages);
                    self.counters.note_dropped(Drop::QueueFull, messages.into());
                }
                Ok(Handed::Lost) => record(Entry::Lost, messages),
                Ok(Handed::Queued(queued)) => {
                    record(Entry::Delivered, messages - queued);
                    record(Entry::Queued, queued);
                    self.mark_flushable(id);
                }
                Err(error) => {
                    record(Entry::Lost, messages);
                    self.fail(now, id, &error);
                }
            }
        }
    }

    /// A socket failed while it was written to: its client leaves the rooms at the end of the turn.
    pub(super) fn fail(&mut self, now: Now, id: ClientId, error: &io::Error) {
        let client = &mut self.clients[id.index()];
        if let Some(Event::Closed(cause)) = client.connection.handle_failure(error) {
            client.log_end(now, &mut self.journal, &cause);
            self.counters.note_end(&cause);
            if !planted!("leave_not_told") {
                self.leaving.push(id);
            }
        }
        self.finished.push(id);
    }

    /// One write for each client that has something to get or to end, within the turn's budget: a crowd of slow
    /// readers who all find time at once waits for some turns.
    pub(super) fn flush(&mut self, now: Now) {
        let mut work = 0;
        while work < prices::TURN {
            let Some(id) = self.flushable.pop_front() else { break };
            // It may be gone since the turn in which that was found out.
            let Some(client) = self.clients.get_mut(id.index()).filter(|client| client.is_flushable) else {
                continue;
            };
            client.is_flushable = false;
            if client.reprieve == Reprieve::Granted && !(client.is_runnable && client.is_heard()) {
                client.reprieve = Reprieve::Used;
            }
            let sent_before = self.counters.sent_bytes;
            let before = client.connection.queued_messages();
            let bytes = &mut self.counters.sent_bytes;
            let stream = &mut Counted { stream: &mut client.stream, bytes };
            let is_over = match client.connection.flush(now.time, &self.limits.connection, stream) {
                Ok(false) => Ok(()),
                Ok(true) => client.stream.shutdown_write(),
                Err(error) => Err(error),
            };
            let sent = self.counters.sent_bytes - sent_before;
            work += prices::WRITE + usize::try_from(sent).unwrap_or(usize::MAX);
            let left = u64::from(before - client.connection.queued_messages());
            self.ledger.record(client.account, Entry::Unqueued(left));
            self.ledger.record(client.account, Entry::Delivered(left));
            if let Err(error) = is_over {
                self.fail(now, id, &error);
                continue;
            }
            self.limit_queue(now, id);
            if self.clients[id.index()].connection.is_finished() {
                self.finished.push(id);
            }
            if !planted!("stall_not_timed") {
                self.arm(now, id);
            }
        }
    }

    /// Takes who has gone out of the rooms, and frees what nobody holds any more.
    pub(super) fn reap(&mut self, now: Now) {
        let leaving = std::mem::take(&mut self.leaving);
        self.chat.leave(now, &leaving, &mut |effect| self.outgoing.apply(effect));
        while let Some(id) = self.finished.pop() {
            // Noted twice if two things went wrong in one turn; freed once.
            if let Some(client) = self.clients.try_remove(id.index()) {
                assert!(client.connection.is_finished(), "a slot is freed after its connection");
                let lost = u64::from(client.connection.queued_messages());
                self.ledger.record(client.account, Entry::Unqueued(lost));
                if !planted!("loss_not_counted") {
                    self.ledger.record(client.account, Entry::Lost(lost));
                }
                if lost > 0 {
                    self.note_short(id);
                }
                self.ledger.detach(client.account);
                self.release(id, &client);
                debug!("{} is gone", client.address);
            }
        }
        self.chat.forget_rooms(now, &mut |room| self.ledger.forget_room(room));
    }

    /// Notes how much memory the unfinished request or message of a client takes now.
    pub(super) fn note_unfinished(&mut self, id: ClientId) {
        let client = &mut self.clients[id.index()];
        let bytes = u32::try_from(client.connection.unfinished_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut client.unfinished_bytes, bytes);
        self.read_queue.note_unfinished(before as usize, bytes as usize);
    }

    /// Notes why a conversation ended, and writes off what the client will not get, with the reason for it.
    pub(super) fn note_end(&mut self, now: Now, id: ClientId, cause: &Cause, reason: Drop) {
        self.clients[id.index()].log_end(now, &mut self.journal, cause);
        self.counters.note_end(cause);
        if let Cause::TooSlow(backlog) = cause {
            self.note_dropped(id, reason, backlog.messages);
        }
    }

    /// Writes off messages that waited for a client which is gone.
    pub(super) fn note_lost(&mut self, id: ClientId, messages: u64) {
        let account = self.clients[id.index()].account;
        self.ledger.record(account, Entry::Unqueued(messages));
        self.ledger.record(account, Entry::Lost(messages));
        if messages > 0 {
            self.note_short(id);
        }
    }

    /// Writes off messages that waited for a client which was to stay.
    pub(super) fn note_dropped(&mut self, id: ClientId, reason: Drop, messages: u64) {
        let account = self.clients[id.index()].account;
        self.ledger.record(account, Entry::Unqueued(messages));
        self.ledger.record(account, Entry::Dropped(messages));
        self.counters.note_dropped(reason, messages);
        if reason != Drop::Skipped && messages > 0 {
            self.note_short(id);
        }
    }
}

impl<S> Client<S> {
    /// Whether what it says still matters.
    fn is_heard(&self) -> bool {
        self.connection.is_open() || self.connection.is_awaiting_handshake()
    }

    /// How much it has asked for lately.
    pub(super) fn load(&self, now: Time) -> Load {
        if self.busy_for(now) > 0 { Load::Busy } else { Load::Light }
    }

    /// For how many milliseconds it still counts as busy.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "as a clock face turns over"
    )]
    fn busy_for(&self, now: Time) -> u32 {
        let left = self.busy_until.wrapping_sub(now.as_millis() as u32) as i32;
        left.max(0).unsigned_abs()
    }

    /// Notes work that it has caused.
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    fn note_work(&mut self, now: Time, work: Work) {
        const BUSY_MILLIS_MAX: u64 = 60_000;
        let millis = (u64::from(self.busy_for(now)) + prices::busy_millis(work)).min(BUSY_MILLIS_MAX);
        self.busy_until = (now.as_millis() + millis) as u32;
    }

    /// Whether a deadline that has passed waits for one more look at what may have come in time.
    fn has_reprieve(&mut self) -> bool {
        let may_have_moved = self.is_runnable && self.is_heard()
            || self.connection.can_flush() && !planted!("expired_before_written");
        match self.reprieve {
            _ if !may_have_moved => false,
            Reprieve::Used => planted!("floods_evade_deadlines"),
            Reprieve::None | Reprieve::Granted => {
                self.reprieve = Reprieve::Granted;
                true
            }
        }
    }

    /// The size of the next read: a message larger than the chunk is not fetched in crumbs, many small
    /// clients do not each claim a large one, and what one read makes fits a turn.
    fn adapt(&mut self, length: usize, chunk: usize, work: Work) {
        let factor = READ_FACTOR as usize;
        let (most, least) = (LAST_READ_BYTES as usize, FIRST_READ_BYTES as usize);
        let next = if length <= chunk / factor || work > prices::TURN {
            chunk / factor
        } else if length == chunk && work * factor <= prices::TURN {
            chunk * factor
        } else {
            chunk
        };
        self.read_bytes = u32::try_from(next.clamp(least, most)).unwrap_or(LAST_READ_BYTES);
    }

    fn log_end(&self, now: Now, journal: &mut Journal, cause: &Cause) {
        match cause {
            // What a peer may do at any time is nobody's business but who debugs.
            Cause::Peer(_) | Cause::Vanished => {
                debug!("{}: {}", self.address, printable(cause.to_string().as_bytes()));
            }
            _ => {
                if let Some(withheld) = journal.admit(now.time) {
                    note_withheld(withheld);
                    info!("{}: {}", self.address, printable(cause.to_string().as_bytes()));
                }
            }
        }
    }
}

pub(super) fn note_withheld(lines: u64) {
    if lines > 0 {
        info!("{lines} lines about clients were left out: there were too many");
    }
}
