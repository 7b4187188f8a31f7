//! The fourth phase: one write for each client that has something to get or to end.

use super::books::{Books, Counted, Posting};
use super::clients::{Clients, Flag};
use super::ending::fail;
use super::laggard::{Gaps, limit_queue};
use super::limits::ServerLimits;
use super::prices;
use super::stream::Stream;
use crate::clock::Now;

/// Writes within the turn's budget: a crowd of slow readers who all find time at once waits for some turns.
pub(super) fn flush<S: Stream>(
    now: Now,
    clients: &mut Clients<S>,
    gaps: Gaps<'_>,
    books: &mut Books,
    limits: &ServerLimits,
) {
    let mut work = 0;
    while work < prices::TURN {
        let Some(id) = clients.pop_flushable() else { break };
        let client = &mut clients[id];
        if !(client.flags.contains(Flag::Runnable) && client.is_heard()) {
            client.use_reprieve();
        }
        let sent_before = books.counters.sent_bytes;
        let before = client.connection.queued_messages();
        let bytes = &mut books.counters.sent_bytes;
        let stream = &mut Counted { stream: &mut client.stream, bytes };
        let is_over = match client.connection.flush(now.time, &limits.connection, stream) {
            Ok(false) => Ok(()),
            Ok(true) => client.stream.shutdown_write(),
            Err(error) => Err(error),
        };
        let sent = books.counters.sent_bytes - sent_before;
        work += prices::WRITE + usize::try_from(sent).unwrap_or(usize::MAX);
        let left = u64::from(before - client.connection.queued_messages());
        books.ledger.record(client.account, Posting::Unqueued(left));
        books.ledger.record(client.account, Posting::Delivered(left));
        if let Err(error) = is_over {
            fail(now, clients, books, id, &error);
            continue;
        }
        limit_queue(now, clients, &gaps, books, limits, id);
        if clients[id].connection.is_finished() {
            clients.finished.push(id);
        }
        clients.arm(now, id);
    }
}
