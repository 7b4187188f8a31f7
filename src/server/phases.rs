//! The five phases, in their order.

use std::io;
use std::ops::Range;
use std::time::Duration;

use log::{debug, info};

use super::counters::{Counted, DropReason};
use super::ledger::Posting;
use super::log_limiter::LogLimiter;
use super::outgoing::{Change, parts_of};
use super::prices;
use super::read_queue::Load;
use super::redact::printable;
use super::{Client, Reprieve, Server, Stream};
use crate::chat::Form;
use crate::clock::{Now, Time};
use crate::connection::{Cause, Event, SendOutcome};
use crate::delivery::{Batch, Encodings};
use crate::id::{ChannelId, ClientId};
use crate::planted::planted;
use crate::websocket::Agreement;

impl<S: Stream> Server<S> {
    /// What a connection did without bytes: it ended, failed, or its time was up.
    pub(super) fn handle_event(&mut self, now: Now, id: ClientId, event: Option<Event<'static>>) {
        match event {
            Some(Event::Closed(cause)) => {
                self.note_end(now, id, &cause, DropReason::Stalled);
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
    pub(super) fn tick(&mut self, now: Now) {
        self.drain(now);
        let clients = &self.clients;
        let counts = |id: ClientId, time| clients.get(id.index()).is_some_and(|client| client.armed == time);
        self.deadlines.compact(clients.len(), counts);
        let mut count = 0;
        // A crowd whose time is up all at once waits for some turns.
        while count < prices::TURN_TIMEOUTS_MIN || !self.outgoing.is_full() {
            let Some((time, id)) = self.deadlines.pop_due(now.time) else { break };
            let Some(client) = self.clients.get_mut(id.index()).filter(|client| client.armed == time) else {
                continue;
            };
            client.armed = Time::NEVER;
            if self.rate_limiter.paused_until(now.time, id).is_some() {
                self.arm(now, id);
                continue;
            }
            if self.rate_limiter.release(now.time, id) {
                self.mark_runnable(id);
            }
            let client = &mut self.clients[id.index()];
            if client.connection.deadline() > now.time {
                client.reprieve = Reprieve::None;
            } else if !client.has_reprieve() {
                client.reprieve = Reprieve::None;
                // What it says has just been read: who has more is flooding, and so is who made much work lately.
                let is_flooding = client.is_runnable || client.load(now.time) == Load::Busy;
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
        let started = (self.environment.stopwatch)();
        if let Some((batch, parts)) = self.outgoing.seal_private() {
            for (id, part) in &parts {
                let owed = u64::from(batch.count_messages(part.clone()));
                self.ledger.record(self.clients[id.index()].account, Posting::Accepted(owed));
                let mut encodings = Encodings::new(&batch, part.clone());
                self.hand_out(now, *id, &mut encodings, std::slice::from_ref(part));
                // A welcome or an acknowledgement has no number: no gap would tell of it.
                if self.chat.hears_json(*id) {
                    self.clients[id.index()].connection.outbox().mark_newest_undroppable();
                }
            }
            self.outgoing.recycle_private(batch, parts);
        }
        while let Some((room, form, turn)) = self.outgoing.pop_room() {
            self.ledger.record(self.ledger.of_room(room), Posting::Accepted(turn.owed()));
            let (batch, changes) = turn.seal();
            self.deliver_room(now, room, form, &batch, &changes);
            self.outgoing.recycle_room(batch);
        }
        self.counters.fanouts.record(now.time, (self.environment.stopwatch)().saturating_sub(started));
    }

    fn deliver_room(
        &mut self,
        now: Now,
        room: ChannelId,
        form: Form,
        batch: &Batch,
        changes: &[(ClientId, Change)],
    ) {
        let whole = 0..batch.bytes().len();
        let messages = batch.count_messages(whole.clone());
        let mut encodings = Encodings::new(batch, whole.clone());
        for (id, _) in changes {
            self.clients[id.index()].gets_part = true;
        }
        let mut served: u64 = 0;
        for &id in self.chat.members(room, form) {
            let client = &mut self.clients[id.index()];
            if client.gets_part {
                continue;
            }
            // The hot loop: one write a member, and for most of them nothing else.
            let encoding =
                encodings.of(client.connection.compression().map(Agreement::window_bits), &mut self.deflater);
            let outbox = client.connection.outbox();
            let stream = &mut Counted { stream: &mut client.stream, bytes: &mut self.counters.sent_bytes };
            match outbox.send(now.time, encoding.batch(), encoding.range(&whole), stream) {
                Ok(SendOutcome::Delivered) => served += 1,
                result => self.outcomes.push((id, messages, result)),
            }
        }
        self.ledger.record(self.ledger.of_room(room), Posting::Delivered(served * u64::from(messages)));
        self.settle(now);
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let id = of_one[0].0;
            self.clients[id.index()].gets_part = false;
            let parts: Vec<_> = parts_of(of_one, whole.end).collect();
            self.hand_out(now, id, &mut encodings, &parts);
        }
        self.outgoing.note_windows(room, form, encodings.recoded_count());
    }

    /// Gives a client some parts of a batch. One part leaves at once, several with one write later.
    fn hand_out(
        &mut self,
        now: Now,
        id: ClientId,
        encodings: &mut Encodings<'_, u8>,
        parts: &[Range<usize>],
    ) {
        let client = &mut self.clients[id.index()];
        let encoding =
            encodings.of(client.connection.compression().map(Agreement::window_bits), &mut self.deflater);
        let is_finished = client.connection.is_finished();
        let (batch, outbox) = (encoding.batch(), client.connection.outbox());
        for part in parts.iter().map(|part| encoding.range(part)) {
            let messages = batch.count_messages(part.clone());
            let result = match parts {
                _ if is_finished => Ok(SendOutcome::Lost),
                [_] => {
                    let bytes = &mut self.counters.sent_bytes;
                    outbox.send(now.time, batch, part, &mut Counted { stream: &mut client.stream, bytes })
                }
                _ => Ok(outbox.queue(now.time, batch, part)),
            };
            self.outcomes.push((id, messages, result));
        }
        self.settle(now);
    }

    /// Notes what became of messages. Whoever has something left is flushed later, or has failed.
    fn settle(&mut self, now: Now) {
        while let Some((id, messages, result)) = self.outcomes.pop() {
            if !matches!(result, Ok(SendOutcome::Delivered | SendOutcome::Queued(_))) && messages > 0 {
                self.note_short(id);
            }
            let account = self.clients[id.index()].account;
            let mut record =
                |entry: fn(u64) -> Posting, count: u32| self.ledger.record(account, entry(count.into()));
            match result {
                Ok(SendOutcome::Delivered) => record(Posting::Delivered, messages),
                Ok(SendOutcome::Dropped) => {
                    record(Posting::Dropped, messages);
                    self.counters.note_dropped(DropReason::QueueFull, messages.into());
                }
                Ok(SendOutcome::Lost) => record(Posting::Lost, messages),
                Ok(SendOutcome::Queued(queued)) => {
                    record(Posting::Delivered, messages - queued);
                    record(Posting::Queued, queued);
                    self.mark_flushable(id);
                }
                Err(error) => {
                    record(Posting::Lost, messages);
                    self.fail(now, id, &error);
                }
            }
        }
    }

    /// A socket failed while it was written to: its client leaves the rooms at the end of the turn.
    pub(super) fn fail(&mut self, now: Now, id: ClientId, error: &io::Error) {
        let client = &mut self.clients[id.index()];
        if let Some(Event::Closed(cause)) = client.connection.handle_failure(error) {
            client.log_end(now, &mut self.log_limiter, &cause);
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
            self.ledger.record(client.account, Posting::Unqueued(left));
            self.ledger.record(client.account, Posting::Delivered(left));
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
                self.ledger.record(client.account, Posting::Unqueued(lost));
                if !planted!("loss_not_counted") {
                    self.ledger.record(client.account, Posting::Lost(lost));
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
    pub(super) fn note_end(&mut self, now: Now, id: ClientId, cause: &Cause, reason: DropReason) {
        self.clients[id.index()].log_end(now, &mut self.log_limiter, cause);
        self.counters.note_end(cause);
        if let Cause::TooSlow(backlog) = cause {
            self.note_dropped(id, reason, backlog.messages);
        }
    }

    /// Writes off messages that waited for a client which is gone.
    pub(super) fn note_lost(&mut self, id: ClientId, messages: u64) {
        let account = self.clients[id.index()].account;
        self.ledger.record(account, Posting::Unqueued(messages));
        self.ledger.record(account, Posting::Lost(messages));
        if messages > 0 {
            self.note_short(id);
        }
    }

    /// Writes off messages that waited for a client which was to stay.
    pub(super) fn note_dropped(&mut self, id: ClientId, reason: DropReason, messages: u64) {
        let account = self.clients[id.index()].account;
        self.ledger.record(account, Posting::Unqueued(messages));
        self.ledger.record(account, Posting::Dropped(messages));
        self.counters.note_dropped(reason, messages);
        if reason != DropReason::Skipped && messages > 0 {
            self.note_short(id);
        }
    }
}

impl<S> Client<S> {
    /// Whether what it says still matters.
    fn is_heard(&self) -> bool {
        self.connection.is_open() || self.connection.is_awaiting_handshake()
    }

    /// Whether a deadline that has passed waits for one more look at what may have come in time.
    pub(super) fn has_reprieve(&mut self) -> bool {
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

    pub(super) fn log_end(&self, now: Now, log_limiter: &mut LogLimiter, cause: &Cause) {
        match cause {
            // What a peer may do at any time is nobody's business but who debugs.
            Cause::Peer(_) | Cause::Vanished => {
                debug!("{}: {}", self.address, printable(cause.to_string().as_bytes()));
            }
            _ => {
                if let Some(withheld) = log_limiter.admit(now.time) {
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
