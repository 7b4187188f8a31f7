//! The first phase: what the ready clients sent becomes events, and each event is answered at once, since it
//! borrows from the read buffer. A turn that has enough to do stops within the bytes of a read.
//!
//! A message or a request may concern every part of the server: this phase alone is over all of it.

use std::io;

use super::broker_link::submit;
use super::clients::{Client, Flag, Load, READ_BYTES_MIN};
use super::ending::handle_event;
use super::prices::{self, Work};
use super::{Server, Stream};
use crate::chat::Effect;
use crate::clock::Now;
use crate::connection::{CLOSE_TIMEOUT, Event};
use crate::id::ClientId;
use crate::websocket::{CloseCode, CloseFrame};

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
                let Some(id) = self.clients.pop_runnable(load) else { break };
                // A request takes more than one read, and is not what floods are made of.
                let is_newcomer = self.clients[id].connection.is_awaiting_handshake();
                let budget = if load == Load::Busy || is_newcomer { prices::CLIENT_READ_BYTES } else { 1 };
                // Whose turn it is certainly gets on, by as much as a client may do.
                used += self.read_client(now, id, Allowance { bytes: budget, is_owed });
                is_owed = false;
                self.clients.mark_stream_flushable(id);
                self.clients.arm(now, id);
            }
        }
    }

    /// Reads from one client until it has no more or its budget is used; returns how many bytes it used.
    fn read_client(&mut self, now: Now, id: ClientId, allowance: Allowance) -> usize {
        let client = &mut self.clients[id];
        client.use_reprieve();
        self.outgoing.set_deflating(client.connection.compression().is_some());
        let before = self.outgoing.work_with_writes();
        let (used, has_more) = self.read_within(now, id, allowance);
        let work = self.outgoing.work_with_writes() - before;
        let client = &mut self.clients[id];
        client.note_work(now.time, work);
        if has_more {
            self.clients.mark_runnable(id);
        }
        self.clients.note_unfinished(id);
        used
    }

    /// The same; also whether it may have more.
    fn read_within(&mut self, now: Now, id: ClientId, allowance: Allowance) -> (usize, bool) {
        let before = self.outgoing.work();
        let mut used = 0;
        loop {
            // The broker's answer wakes it up, or its deadline.
            let is_finished = self.clients[id].connection.is_finished();
            if is_finished || self.awaits_broker(id) || self.clients.rate_limiter.hold_back(now.time, id) {
                return (used, false);
            }
            if used > 0 && (used >= allowance.bytes || self.is_enough(before, allowance)) {
                return (used, true);
            }
            if let Some(mut carried) = self.clients.read_queue.take_carried(id) {
                let length = carried.bytes().len();
                let left = self.handle_bytes(now, id, carried.bytes(), allowance);
                carried.advance_to(left);
                self.clients.read_queue.keep(id, carried);
                used += length - left;
                continue;
            }
            // Who is counted is read in small pieces, so that it is not far over its rate before it is held back.
            let is_counted = self.clients.rate_limiter.rate().is_some();
            let client = &mut self.clients[id];
            let chunk = if is_counted { READ_BYTES_MIN } else { client.read_bytes } as usize;
            self.outgoing.charge(prices::READ);
            match client.stream.read(&mut self.codec.scratch[..chunk]) {
                Ok(0) => {
                    self.outgoing.charge(prices::END);
                    let event = client.connection.handle_end(now.time);
                    self.handle_event(now, id, event);
                    return (used, false);
                }
                Ok(length) => {
                    used += length;
                    self.books.counters.received_bytes += length as u64;
                    let is_carrying = self.handle_scratch(now, id, length, chunk, allowance);
                    if !is_carrying && is_last_read(&self.clients[id], length, chunk) {
                        return (used, false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (used, false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
        let mut scratch = std::mem::take(&mut self.codec.scratch);
        let before = self.outgoing.work();
        self.outgoing.charge(length * prices::BYTE_READ);
        let left = self.handle_bytes(now, id, &mut scratch[..length], allowance);
        self.clients.read_queue.carry(id, &scratch[length - left..length]);
        self.codec.scratch = scratch;
        if self.clients.rate_limiter.rate().is_none() {
            // What cannot be looked at now should not have been read.
            let work = if left > 0 { prices::TURN + 1 } else { self.outgoing.work() - before };
            self.clients[id].adapt(length, chunk, work);
        }
        left > 0
    }

    /// Hands bytes to the connection, and each event that they make to whoever answers it, for as long as the turn
    /// and the client have room. Returns how many bytes are left.
    fn handle_bytes(&mut self, now: Now, id: ClientId, mut input: &mut [u8], allowance: Allowance) -> usize {
        let before = self.outgoing.work();
        loop {
            let limits = &self.limits.connection;
            let connection = &mut self.clients[id].connection;
            match connection.receive(now.time, limits, &mut self.codec.inflater, &mut input) {
                Some(Event::Message { kind, payload }) => {
                    self.books.counters.messages_received += 1;
                    self.outgoing.charge(prices::ENTRY_KEPT + payload.len() * prices::BYTE_HANDLED);
                    let sink = &mut |effect: Effect<'_>| self.outgoing.apply(effect);
                    if let Some(append) = self.chat.handle_message(now, id, kind, payload, sink) {
                        submit(now, &mut self.chat, &mut *self.link.broker, &mut self.outgoing, id, &append);
                    }
                    self.after_message(now, id);
                }
                Some(Event::Pong(Some(took))) => self.books.counters.round_trips.record(now.time, took),
                Some(Event::Ping | Event::Pong(None)) => {}
                Some(Event::Closed(cause)) => {
                    self.books.note_end(now, self.clients[id].address, &cause);
                    self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
                }
                Some(Event::Refused(refusal, head)) => self.refuse(now, id, refusal, &head),
                Some(Event::Request(head)) => {
                    self.outgoing.charge(prices::REQUEST);
                    self.answer(now, id, &head);
                }
                None => return input.len(),
            }
            self.outgoing.charge(prices::MESSAGE + prices::inflated(self.codec.inflater.take_inflated()));
            let is_enough = self.is_enough(before, allowance);
            if !input.is_empty() && (is_enough || self.awaits_broker(id)) {
                return input.len();
            }
        }
    }

    /// Whether nothing more is to be read of a client before the broker has answered.
    pub(super) fn awaits_broker(&self, id: ClientId) -> bool {
        self.clients[id].connection.is_deciding() || self.chat.is_held_back(id)
    }

    /// What a connection did without bytes.
    fn handle_event(&mut self, now: Now, id: ClientId, event: Option<Event<'static>>) {
        let Server { clients, chat, outgoing, books, .. } = self;
        handle_event(now, clients, chat, outgoing, books, id, event);
    }

    /// Whether a client has caused enough work since `before`, or the turn has enough to do.
    fn is_enough(&self, before: Work, allowance: Allowance) -> bool {
        self.outgoing.work() - before >= prices::CLIENT || !allowance.is_owed && self.outgoing.is_full()
    }

    /// What follows from a client having said something, whatever it was.
    fn after_message(&mut self, now: Now, id: ClientId) {
        self.close_announced(now);
        let keeps_rate = self.clients.rate_limiter.count(now.time, id);
        let client = &mut self.clients[id];
        if !keeps_rate && client.connection.is_open() {
            let reason = "too many messages a second for 10 s; see --rate";
            let frame = CloseFrame::new(CloseCode::POLICY, reason);
            let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
            self.books.note_end(now, client.address, &cause);
            // From here on it is read to be forgotten.
            self.clients.rate_limiter.reset(id);
            self.chat.warn_of_rate(now, id, &mut |effect| self.outgoing.apply(effect));
            self.chat.leave(now, &[id], &mut |effect| self.outgoing.apply(effect));
        }
    }
}

/// Whether a read of so many bytes, which asked for so many, leaves nothing to be read now. Of an emptied socket the
/// next byte is a new edge; only an end that is already there brings none.
#[inline]
fn is_last_read<S: Stream>(client: &Client<S>, length: usize, chunk: usize) -> bool {
    let is_drained = client.stream.is_drained(length, chunk);
    let is_read_closed = client.flags.contains(Flag::ReadClosed);
    is_drained && !is_read_closed
}
