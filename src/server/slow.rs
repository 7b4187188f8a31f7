//! Clients that read more slowly than others speak.

use std::io::ErrorKind;

use log::warn;

use super::counters::DropReason;
use super::{Client, Server, Stream, prices};
use crate::clock::Now;
use crate::http::Refusal;
use crate::id::ClientId;
use crate::planted::planted;
use crate::websocket::{Kind, encode};

/// What becomes of a client for which more waits than `--max-queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is closed with 1013, which says how far behind it is.
    Close,
    /// It stays, and the oldest messages go. In a room it is told how many.
    Skip,
}

impl SlowPolicy {
    /// The policy of this name.
    pub fn from_name(name: &str) -> Option<SlowPolicy> {
        match name {
            "close" => Some(SlowPolicy::Close),
            "skip" => Some(SlowPolicy::Skip),
            _ => None,
        }
    }
}

impl<S: Stream> Server<S> {
    /// Applies a client's policy if too much waits for it.
    pub(super) fn limit_queue(&mut self, now: Now, id: ClientId) {
        let most = self.limits.connection.outbox_bytes_max;
        let client = &mut self.clients[id.index()];
        if !client.connection.is_open() || !client.connection.outbox().is_over(most) {
            return;
        }
        match client.slow {
            SlowPolicy::Close => self.cut(now, id, DropReason::QueueFull),
            SlowPolicy::Skip => {
                // Half of it, or every further message would move the gap.
                self.skip(now, id, most / 2, DropReason::Skipped);
                // What is left are answers to what it asked and does not read. No more than half of the queue,
                // or each further message would be looked for among them.
                if self.clients[id.index()].connection.outbox().is_undroppable_over(most / 2) {
                    self.cut(now, id, DropReason::QueueFull);
                }
            }
        }
    }

    /// Keeps what waits for all clients together within `--max-buffered`: the worst laggard pays first.
    /// A batch is freed when the last who waits for it has been dealt with.
    pub(super) fn limit_buffers(&mut self, now: Now) {
        let most = self.limits.buffered_bytes_max;
        if self.buffered.bytes() <= most || planted!("budget_ignored") {
            return;
        }
        // Down to three quarters: the next message must not find the same situation.
        let enough = most / 4 * 3;
        let mut laggards: Vec<_> = self
            .clients
            .iter_mut()
            .map(|(index, client)| (client.connection.outbox().cost(), ClientId::new(index)))
            .filter(|(cost, _)| *cost > 0)
            .collect();
        laggards.sort_unstable_by(|one, other| other.cmp(one));
        let before = self.buffered.bytes();
        let mut relieved = 0;
        for &(_, id) in &laggards {
            if self.buffered.bytes() <= enough {
                break;
            }
            match self.clients[id.index()].slow {
                // A response or a goodbye that is not taken is worth no more than messages that are not.
                _ if !self.clients[id.index()].connection.is_open() => self.give_up(now, id),
                SlowPolicy::Close => self.cut(now, id, DropReason::BufferFull),
                SlowPolicy::Skip => self.skip(now, id, 0, DropReason::BufferFull),
            }
            relieved += 1;
        }
        // What is left are frames that have begun to leave, and the batches that they are parts of.
        for &(_, id) in &laggards {
            if self.buffered.bytes() <= most {
                break;
            }
            self.give_up(now, id);
            relieved += 1;
        }
        warn!(
            "{relieved} clients that read too slowly were relieved of their queues, which took {before} bytes \
             (--max-buffered is {most})"
        );
    }

    /// Ends a connection, and gives its queue back at once, not with its slot: it decides whether the next has to go.
    fn give_up(&mut self, now: Now, id: ClientId) {
        self.fail(now, id, &ErrorKind::OutOfMemory.into());
        let lost = self.clients[id.index()].connection.outbox().abandon();
        self.note_lost(id, lost.into());
    }

    /// Keeps unfinished requests and messages of all clients together within their budget: the largest and oldest
    /// go first, so that those who wait with them pay, and not those who are about to end one.
    pub(super) fn limit_unfinished(&mut self, now: Now) {
        let largest = self.limits.connection.websocket.message_bytes_max.saturating_mul(4);
        let most = prices::UNFINISHED_BYTES_MAX.max(largest);
        if self.read_queue.unfinished_bytes() <= most {
            return;
        }
        let weight = |index: usize, client: &Client<S>| {
            let age = client.connection.unfinished_for(now.time).as_millis() + 1_000;
            let carried = self.read_queue.carried_bytes(ClientId::new(index));
            u128::from(client.unfinished_bytes) * age + carried as u128 * 1_000
        };
        let mut owners: Vec<_> = self
            .clients
            .iter()
            .map(|(index, client)| (weight(index, client), ClientId::new(index)))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        owners.sort_unstable_by(|one, other| other.cmp(one));
        let before = self.read_queue.unfinished_bytes();
        let mut count = 0;
        for (_, id) in owners {
            // Down to three quarters: the next byte must not find the same situation.
            if self.read_queue.unfinished_bytes() <= most / 4 * 3 {
                break;
            }
            self.give_up_unfinished(now, id);
            count += 1;
        }
        warn!(
            "{count} clients were closed whose unfinished messages took {before} bytes together ({most} may)"
        );
    }

    fn give_up_unfinished(&mut self, now: Now, id: ClientId) {
        self.read_queue.forget(id);
        let client = &mut self.clients[id.index()];
        if client.connection.is_open() {
            let cause = client.connection.give_up_message(now.time);
            self.note_end(now, id, &cause, DropReason::BufferFull);
            self.leaving.push(id);
        } else if client.connection.is_awaiting_handshake() {
            self.refuse(now, id, Refusal::Full, b"");
        } else {
            self.fail(now, id, &ErrorKind::OutOfMemory.into());
        }
        self.note_unfinished(id);
        self.mark_flushable(id);
        self.arm(now, id);
    }

    fn cut(&mut self, now: Now, id: ClientId, reason: DropReason) {
        let cause = self.clients[id.index()].connection.cut(now.time, "too slow");
        self.note_end(now, id, &cause, reason);
        self.leaving.push(id);
        self.arm(now, id);
    }

    fn skip(&mut self, now: Now, id: ClientId, kept_bytes: usize, reason: DropReason) {
        let gap = self.clients[id.index()].connection.outbox().skip(kept_bytes);
        self.note_dropped(id, reason, gap.skipped.messages.into());
        let missing = match planted!("earlier_gap_forgotten") {
            true => gap.skipped,
            false => gap.untold.and(gap.skipped),
        };
        if missing.messages == 0 {
            return;
        }
        if let Some(text) = self.chat.skipped(now, id, missing.messages, missing.numbers) {
            let notice = encode::notice(Kind::Text, &text, missing, &self.buffered);
            self.clients[id.index()].connection.outbox().queue_notice(now.time, gap, notice);
        }
    }
}
