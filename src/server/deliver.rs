//! The third phase: the turn's batches are handed out, to who waits for nothing at once.

use std::ops::Range;

use super::books::{Books, Counted, DropReason, Posting};
use super::clients::{Clients, Flag};
use super::ending::fail;
use super::environment::Environment;
use super::outgoing::{AudienceChange, Outgoing, PrivatePart, Replacement, parts_of};
use super::prices;
use super::stream::Stream;
use crate::chat::Chat;
use crate::clock::Now;
use crate::connection::SendOutcome;
use crate::delivery::{Batch, Encodings, Replacements};
use crate::id::{ChannelId, ClientId, FormId};
use crate::websocket::{Agreement, Deflater};

/// Hands out all that this turn has to send.
pub(super) fn deliver<S: Stream>(
    now: Now,
    clients: &mut Clients<S>,
    chat: &Chat,
    outgoing: &mut Outgoing,
    books: &mut Books,
    deflater: &mut Deflater,
    environment: &Environment,
) {
    outgoing.begin_delivery();
    if outgoing.is_empty() {
        return;
    }
    let started = (environment.stopwatch)();
    let mut delivery = Delivery { now, clients, chat, books, deflater };
    if let Some((batch, parts)) = outgoing.seal_private() {
        for part in &parts {
            delivery.deliver_private(&batch, part);
        }
        outgoing.recycle_private(batch, parts);
    }
    while let Some((channel, form, turn)) = outgoing.pop_channel() {
        delivery
            .books
            .ledger
            .record(delivery.books.ledger.of_channel(channel), Posting::Accepted(turn.owed()));
        let (batch, changes) = turn.seal();
        let windows = delivery.deliver_channel(channel, form, &batch, &changes);
        outgoing.note_windows(channel, form, windows);
        outgoing.recycle_channel(batch);
    }
    // Behind the turn's own batches, since what is replaced may be in one of them.
    for Replacement { channel, form, pieces } in outgoing.take_replacements() {
        let (mut replacements, mut looked) = (Replacements::new(pieces), 0);
        for &id in delivery.chat.members(channel, form) {
            let outbox = delivery.clients[id].connection.outbox();
            if !outbox.is_empty() {
                looked += outbox.replace(&mut replacements);
            }
        }
        outgoing.charge(looked * prices::REPORT_ITEM + replacements.bytes_made() * prices::BYTE_MADE);
    }
    books.counters.fanouts.record(now.time, (environment.stopwatch)().saturating_sub(started));
}

/// What it takes to hand out a batch.
struct Delivery<'a, S> {
    now: Now,
    /// Who gets it, and what became of it.
    clients: &'a mut Clients<S>,
    /// Who is to get it.
    chat: &'a Chat,
    books: &'a mut Books,
    deflater: &'a mut Deflater,
}

impl<S: Stream> Delivery<'_, S> {
    /// Gives a client what it alone gets.
    fn deliver_private(&mut self, batch: &Batch, part: &PrivatePart) {
        let PrivatePart { client, range, droppable } = part;
        let owed = u64::from(batch.count_messages(range.clone()));
        self.books.ledger.record(self.clients[*client].account, Posting::Accepted(owed));
        let mut encodings = Encodings::new(batch, range.clone());
        self.hand_out(*client, &mut encodings, std::slice::from_ref(range));
        if !droppable {
            self.clients[*client].connection.outbox().mark_newest_undroppable();
        }
    }

    /// Gives a channel's batch to its members. Returns for how many windows it was deflated.
    fn deliver_channel(
        &mut self,
        channel: ChannelId,
        form: FormId,
        batch: &Batch,
        changes: &[(ClientId, AudienceChange)],
    ) -> usize {
        let whole = 0..batch.bytes().len();
        let messages = batch.count_messages(whole.clone());
        let mut encodings = Encodings::new(batch, whole.clone());
        for (id, _) in changes {
            self.clients[*id].flags.insert(Flag::GetsPart);
        }
        let mut served: u64 = 0;
        for &id in self.chat.members(channel, form) {
            let client = &mut self.clients[id];
            if client.flags.contains(Flag::GetsPart) {
                continue;
            }
            // The hot loop: one write a member, and for most of them nothing else.
            let encoding =
                encodings.of(client.connection.compression().map(Agreement::window_bits), self.deflater);
            let outbox = client.connection.outbox();
            let bytes = &mut self.books.counters.sent_bytes;
            let stream = &mut Counted { stream: &mut client.stream, bytes };
            match outbox.send(self.now.time, encoding.batch(), encoding.range(&whole), stream) {
                Ok(SendOutcome::Delivered) => served += 1,
                result => self.clients.outcomes.push((id, messages, result)),
            }
        }
        let account = self.books.ledger.of_channel(channel);
        self.books.ledger.record(account, Posting::Delivered(served * u64::from(messages)));
        self.settle();
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let id = of_one[0].0;
            self.clients[id].flags.remove(Flag::GetsPart);
            let parts: Vec<_> = parts_of(of_one, whole.end).collect();
            self.hand_out(id, &mut encodings, &parts);
        }
        encodings.recoded_count()
    }

    /// Gives a client some parts of a batch. One part leaves at once, several with one write later.
    fn hand_out(&mut self, id: ClientId, encodings: &mut Encodings<'_, u8>, parts: &[Range<usize>]) {
        let client = &mut self.clients[id];
        let encoding =
            encodings.of(client.connection.compression().map(Agreement::window_bits), self.deflater);
        let is_finished = client.connection.is_finished();
        for part in parts.iter().map(|part| encoding.range(part)) {
            let client = &mut self.clients[id];
            let (batch, outbox) = (encoding.batch(), client.connection.outbox());
            let messages = batch.count_messages(part.clone());
            let result = match parts {
                _ if is_finished => Ok(SendOutcome::Lost),
                [_] => {
                    let bytes = &mut self.books.counters.sent_bytes;
                    let stream = &mut Counted { stream: &mut client.stream, bytes };
                    outbox.send(self.now.time, batch, part, stream)
                }
                _ => Ok(outbox.queue(self.now.time, batch, part)),
            };
            self.clients.outcomes.push((id, messages, result));
        }
        self.settle();
    }

    /// Notes what became of messages. Whoever has something left is flushed later, or has failed.
    fn settle(&mut self) {
        while let Some((id, messages, result)) = self.clients.outcomes.pop() {
            if !matches!(result, Ok(SendOutcome::Delivered | SendOutcome::Queued(_))) && messages > 0 {
                self.books.note_short(id);
            }
            let account = self.clients[id].account;
            let ledger = &mut self.books.ledger;
            let mut record =
                |entry: fn(u64) -> Posting, count: u32| ledger.record(account, entry(count.into()));
            match result {
                Ok(SendOutcome::Delivered) => record(Posting::Delivered, messages),
                Ok(SendOutcome::Dropped) => {
                    record(Posting::Dropped, messages);
                    self.books.counters.note_dropped(account, DropReason::QueueFull, messages.into());
                }
                Ok(SendOutcome::Lost) => record(Posting::Lost, messages),
                Ok(SendOutcome::Queued(queued)) => {
                    record(Posting::Delivered, messages - queued);
                    record(Posting::Queued, queued);
                    self.clients.mark_flushable(id);
                }
                Err(error) => {
                    record(Posting::Lost, messages);
                    fail(self.now, self.clients, self.books, id, &error);
                }
            }
        }
    }
}
