//! What becomes of one client that reads more slowly than others speak.

use std::io::ErrorKind;

use super::books::{Books, DropReason};
use super::clients::Clients;
use super::ending::{fail, note_end};
use super::limits::ServerLimits;
use super::outgoing::Outgoing;
use crate::chat::Chat;
use crate::clock::Now;
use crate::connection::SlowPolicy;
use crate::delivery::Skipped;
use crate::id::ClientId;
use crate::websocket::{Kind, encode};

/// How those are told that stay and miss something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps<'a> {
    /// Who they are, and what is to be said.
    pub(super) chat: &'a Chat,
    /// How it looks.
    pub(super) outgoing: &'a Outgoing,
}

impl Gaps<'_> {
    fn notice(&self, now: Now, id: ClientId, missing: Skipped) -> Option<(Kind, Vec<u8>)> {
        let mut notice = None;
        self.chat.gap_notice(now, id, missing.messages, missing.numbers, |form, reply| {
            notice = self.outgoing.render(form, reply);
        });
        notice
    }
}

/// Applies a client's policy if too much waits for it.
pub(super) fn limit_queue<S>(
    now: Now,
    clients: &mut Clients<S>,
    gaps: &Gaps<'_>,
    books: &mut Books,
    limits: &ServerLimits,
    id: ClientId,
) {
    let most = limits.connection.outbox_bytes_max;
    let client = &mut clients[id];
    if !client.connection.is_open() || !client.connection.outbox().is_over(most) {
        return;
    }
    match client.slow {
        SlowPolicy::Close => cut(now, clients, books, id, DropReason::QueueFull),
        SlowPolicy::Skip => {
            // Half of it, or every further message would move the gap.
            skip(now, clients, gaps, books, id, most / 2, DropReason::Skipped);
            // What is left are answers to what it asked and does not read. No more than half of the queue,
            // or each further message would be looked for among them.
            if clients[id].connection.outbox().is_undroppable_over(most / 2) {
                cut(now, clients, books, id, DropReason::QueueFull);
            }
        }
    }
}

/// Closes it with 1013; what has not begun to leave is thrown away.
pub(super) fn cut<S>(
    now: Now,
    clients: &mut Clients<S>,
    books: &mut Books,
    id: ClientId,
    reason: DropReason,
) {
    let cause = clients[id].connection.cut(now.time, "too slow");
    note_end(now, clients, books, id, &cause, reason);
    clients.leaving.push(id);
    clients.arm(now, id);
}

/// Throws the oldest away of what waits, until so much is left, and tells the client where that is told.
pub(super) fn skip<S>(
    now: Now,
    clients: &mut Clients<S>,
    gaps: &Gaps<'_>,
    books: &mut Books,
    id: ClientId,
    kept_bytes: usize,
    reason: DropReason,
) {
    let client = &mut clients[id];
    let gap = client.connection.outbox().skip(kept_bytes);
    books.note_dropped(id, client.account, reason, gap.skipped.messages.into());
    let missing = gap.untold.and(gap.skipped);
    if missing.messages == 0 {
        return;
    }
    if let Some((kind, text)) = gaps.notice(now, id, missing) {
        let notice = encode::notice(kind, &text, missing, &books.buffered);
        client.connection.outbox().queue_notice(gap, notice);
    }
}

/// Ends a connection, and gives its queue back at once, not with its slot: it decides whether the next has to go.
pub(super) fn give_up<S>(now: Now, clients: &mut Clients<S>, books: &mut Books, id: ClientId) {
    fail(now, clients, books, id, &ErrorKind::OutOfMemory.into());
    let client = &mut clients[id];
    let lost = client.connection.outbox().abandon();
    books.note_lost(id, client.account, lost.into());
}
