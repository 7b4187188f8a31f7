//! The first phase: what the ready clients sent becomes events, and each event is answered at once, since it
//! borrows from the read buffer. A turn that has enough to do stops within the bytes of a read.

use std::io;

use super::prices::{self, Work};
use super::read_queue::Load;
use super::{Client, FIRST_READ_BYTES, LAST_READ_BYTES, READ_FACTOR, Reprieve, Server, Stream};
use crate::broker::Outcome;
use crate::chat::Effect;
use crate::clock::{Now, Time};
use crate::connection::{CLOSE_TIMEOUT, Event};
use crate::id::ClientId;
use crate::planted::planted;
use crate::websocket::{CloseCode, CloseFrame};

/// For so long a client counts as busy at most, whatever it has asked for.
const BUSY_MILLIS_MAX: u32 = 60_000;

/// How much a client may do when it is read.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    bytes: usize,
    /// Even if the turn has enough to do.
    is_owed: bool,
}

impl<S: Stream> Server<S> {
    /// Reads from every client that is ready, within the turn's budget: first from those who ask for little, then
    /// from newcomers, then from the busy ones, in turn, for as long as there is room. Who is not reached comes
    /// first in the next turn.
    pub(super) fn read(&mut self, now: Now) {
        let mut used = 0;
        // A crowd of light ones must not keep others from coming or talking: these have a part of what is read, and
        // their first has its turn even if the batches are full.
        const QUARTER: usize = prices::TURN_READ_BYTES / 4;
        for (load, budget) in
            [(Load::Light, 2 * QUARTER), (Load::New, 3 * QUARTER), (Load::Busy, 4 * QUARTER)]
        {
            let mut is_owed = load != Load::Light;
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
        let before = self.outgoing.work_with_writes();
        let (used, has_more) = self.read_within(now, id, allowance);
        let work = self.outgoing.work_with_writes() - before;
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
            if self.rate_limiter.hold_back(now.time, id) {
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
            // Who is counted is read in small pieces, so that it is not far over its rate before it is held back.
            let client = &mut self.clients[id.index()];
            let chunk = if self.rate_limiter.rate().is_some() { FIRST_READ_BYTES } else { client.read_bytes }
                as usize;
            self.outgoing.charge(prices::READ);
            match client.stream.read(&mut self.scratch[..chunk]) {
                Ok(0) => {
                    self.outgoing.charge(prices::END);
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
                    self.outgoing.charge(prices::END);
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
        if self.rate_limiter.rate().is_none() {
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
                    self.outgoing.charge(prices::ENTRY_KEPT + payload.len() * prices::BYTE_HANDLED);
                    let sink = &mut |effect: Effect<'_>| self.outgoing.apply(effect);
                    if let Some(append) = self.chat.handle_message(now, id, kind, payload, sink) {
                        match self.broker.append(now, &append) {
                            Outcome::Now(committed) => {
                                self.chat.commit_at_once(now, id, &append, committed, sink);
                            }
                            Outcome::Later => self.chat.hold(id, &append),
                            Outcome::Unavailable => self.chat.refuse_at_once(now, id, &append, sink),
                        }
                    }
                    self.after_message(now, id);
                }
                Some(Event::Pong(Some(took))) => self.counters.round_trips.record(now.time, took),
                Some(Event::Ping | Event::Pong(None)) => {}
                Some(Event::Closed(cause)) => {
                    self.clients[id.index()].log_end(now, &mut self.log_limiter, &cause);
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

    /// Closes the conversations that the chat has ended, and reads on from whoever waited for an answer.
    pub(super) fn close_announced(&mut self, now: Now) {
        while let Some((id, frame)) = self.outgoing.pop_close() {
            let Some(client) = self.clients.get_mut(id.index()) else { continue };
            if client.connection.is_open() {
                let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
                self.counters.note_end(&cause);
                self.mark_flushable(id);
            }
        }
        while let Some(id) = self.outgoing.pop_resumed() {
            if self.clients.contains(id.index()) {
                self.mark_runnable(id);
            }
        }
    }

    /// What follows from a client having said something, whatever it was.
    fn after_message(&mut self, now: Now, id: ClientId) {
        self.close_announced(now);
        let client = &mut self.clients[id.index()];
        if !self.rate_limiter.count(now.time, id) && client.connection.is_open() {
            let reason = "too many messages a second for 10 s; see --rate";
            let frame = CloseFrame::new(CloseCode::POLICY, reason);
            let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
            client.log_end(now, &mut self.log_limiter, &cause);
            self.counters.note_end(&cause);
            // From here on it is read to be forgotten.
            self.rate_limiter.reset(id);
            self.chat.warn_of_rate(now, id, &mut |effect| self.outgoing.apply(effect));
            self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
        }
    }
}

impl<S> Client<S> {
    /// How much it has asked for lately.
    pub(super) fn load(&self, now: Time) -> Load {
        match self.busy_for(now) {
            _ if self.connection.is_awaiting_handshake() => Load::New,
            0 => Load::Light,
            _ => Load::Busy,
        }
    }

    /// For how many milliseconds it still counts as busy.
    #[expect(clippy::cast_possible_truncation, reason = "as a clock face turns over")]
    fn busy_for(&self, now: Time) -> u32 {
        let left = self.busy_until.wrapping_sub(now.as_millis() as u32);
        // More than that it cannot be: the clock face has turned over since.
        if left > BUSY_MILLIS_MAX { 0 } else { left }
    }

    /// Notes work that it has caused.
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    fn note_work(&mut self, now: Time, work: Work) {
        let millis = (u64::from(self.busy_for(now)) + prices::busy_millis(work)).min(BUSY_MILLIS_MAX.into());
        self.busy_until = (now.as_millis() + millis) as u32;
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
}
