//! The fourth phase: one write for each client that has something to get or to end.

use std::io;

use super::books::{Books, Counted, Posting};
use super::clients::{Client, Clients, Flag};
use super::ending::fail;
use super::laggard::{Gaps, limit_queue};
use super::limits::ServerLimits;
use super::prices;
use super::stream::Stream;
use crate::clock::Now;
use crate::connection::Outbox;

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
        let written = write(now, client, limits, &mut books.counters.sent_bytes);
        let sent = books.counters.sent_bytes - sent_before;
        work += prices::WRITE + usize::try_from(sent).unwrap_or(usize::MAX);
        let left = u64::from(before - client.connection.queued_messages());
        books.ledger.record(client.account, Posting::Unqueued(left));
        books.ledger.record(client.account, Posting::Delivered(left));
        if let Err(error) = written {
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

/// Writes what the stream has to say itself and what the client is to get, and ends our direction behind the last.
fn write<S: Stream>(
    now: Now,
    client: &mut Client<S>,
    limits: &ServerLimits,
    sent_bytes: &mut u64,
) -> io::Result<()> {
    let Client { stream, connection, .. } = client;
    flush_own(stream, connection.outbox())?;
    if stream.is_shaking() {
        // Who is refused before that is over is not told why: it would cost a handshake.
        let may_wait = connection.is_awaiting_handshake();
        return if may_wait { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) };
    }
    let has_said_all =
        connection.flush(now.time, &limits.connection, &mut Counted { stream, bytes: sent_bytes })?;
    flush_own(stream, connection.outbox())?;
    let may_shut = has_said_all && !connection.outbox().is_blocked();
    if !may_shut {
        return Ok(());
    }
    match stream.shutdown_write() {
        Ok(()) => connection.handle_shut(now.time),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.outbox().block(),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Writes what a stream has to say itself, as far as there is room.
fn flush_own<S: Stream>(stream: &mut S, outbox: &mut Outbox) -> io::Result<()> {
    while stream.wants_write() && !outbox.is_blocked() {
        match stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => outbox.block(),
            result => return result,
        }
    }
    Ok(())
}
