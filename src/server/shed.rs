//! The fifth phase: what waits for clients, and what of them is not whole, is kept within the budgets of all. Who has
//! most pays.

use std::io::ErrorKind;

use log::warn;

use super::books::{Books, DropReason};
use super::clients::{Client, Clients};
use super::ending::{fail, refuse};
use super::laggard::{Gaps, cut, give_up, skip};
use super::limits::ServerLimits;
use super::outgoing::Outgoing;
use super::prices;
use crate::chat::Chat;
use crate::clock::Now;
use crate::connection::SlowPolicy;
use crate::http::Refusal;
use crate::id::ClientId;

/// Sheds what is too much.
pub(super) fn shed<S>(
    now: Now,
    clients: &mut Clients<S>,
    chat: &Chat,
    outgoing: &mut Outgoing,
    books: &mut Books,
    limits: &ServerLimits,
) {
    shed_buffers(now, clients, &Gaps { chat, outgoing }, books, limits);
    shed_unfinished(now, clients, outgoing, books, limits);
}

/// Keeps what waits for all clients together within `--max-buffered`: the worst laggard pays first.
/// A batch is freed when the last who waits for it has been dealt with.
fn shed_buffers<S>(
    now: Now,
    clients: &mut Clients<S>,
    gaps: &Gaps<'_>,
    books: &mut Books,
    limits: &ServerLimits,
) {
    let most = limits.buffered_bytes_max;
    if books.buffered.bytes() <= most {
        return;
    }
    // Down to three quarters: the next message must not find the same situation.
    let enough = most / 4 * 3;
    let mut laggards: Vec<_> = clients
        .iter_mut()
        .map(|(id, client)| (client.connection.outbox().cost(), id))
        .filter(|(cost, _)| *cost > 0)
        .collect();
    laggards.sort_unstable_by(|one, other| other.cmp(one));
    let before = books.buffered.bytes();
    let mut relieved = 0;
    for &(_, id) in &laggards {
        if books.buffered.bytes() <= enough {
            break;
        }
        match clients[id].slow {
            // A response or a goodbye that is not taken is worth no more than messages that are not.
            _ if !clients[id].connection.is_open() => give_up(now, clients, books, id),
            SlowPolicy::Close => cut(now, clients, books, id, DropReason::BufferFull),
            SlowPolicy::Skip => skip(now, clients, gaps, books, id, 0, DropReason::BufferFull),
        }
        relieved += 1;
    }
    // What is left are frames that have begun to leave, and the batches that they are parts of.
    for &(_, id) in &laggards {
        if books.buffered.bytes() <= most {
            break;
        }
        give_up(now, clients, books, id);
        relieved += 1;
    }
    let text = format!(
        "{relieved} clients that read too slowly were relieved of their queues, which took {before} bytes \
         (--max-buffered is {most})"
    );
    warn!("{text}");
    books.incidents.note(now, ("shed", "buffered"), 1, text);
}

/// Keeps unfinished requests and messages of all clients together within their budget: the largest and oldest
/// go first, so that those who wait with them pay, and not those who are about to end one.
fn shed_unfinished<S>(
    now: Now,
    clients: &mut Clients<S>,
    outgoing: &mut Outgoing,
    books: &mut Books,
    limits: &ServerLimits,
) {
    let most = prices::unfinished_bytes_max(limits.connection.websocket.message_bytes_max);
    if clients.read_queue.unfinished_bytes() <= most {
        return;
    }
    let weight = |id: ClientId, client: &Client<S>| {
        let age = client.connection.unfinished_for(now.time).as_millis() + 1_000;
        let carried = clients.read_queue.carried_bytes(id);
        u128::from(client.unfinished_bytes) * age + carried as u128 * 1_000
    };
    let mut owners: Vec<_> = clients
        .iter()
        .map(|(id, client)| (weight(id, client), id))
        .filter(|(weight, _)| *weight > 0)
        .collect();
    owners.sort_unstable_by(|one, other| other.cmp(one));
    let before = clients.read_queue.unfinished_bytes();
    let mut count = 0;
    for (_, id) in owners {
        // Down to three quarters: the next byte must not find the same situation.
        if clients.read_queue.unfinished_bytes() <= most / 4 * 3 {
            break;
        }
        give_up_unfinished(now, clients, outgoing, books, id);
        count += 1;
    }
    let text = format!(
        "{count} clients were closed whose unfinished messages took {before} bytes together ({most} may)"
    );
    warn!("{text}");
    books.incidents.note(now, ("shed", "unfinished"), 1, text);
}

/// Ends the conversation with who has not finished what it says, and gives that memory back.
fn give_up_unfinished<S>(
    now: Now,
    clients: &mut Clients<S>,
    outgoing: &mut Outgoing,
    books: &mut Books,
    id: ClientId,
) {
    clients.read_queue.forget(id);
    let client = &mut clients[id];
    if client.connection.is_open() {
        let cause = client.connection.give_up_message(now.time);
        // What waits for it is owed to it still.
        books.note_end(now, clients[id].address, &cause);
        clients.leaving.push(id);
    } else if client.connection.is_awaiting_handshake() {
        refuse(now, clients, outgoing, books, id, Refusal::Full, b"");
    } else {
        fail(now, clients, books, id, &ErrorKind::OutOfMemory.into());
    }
    clients.note_unfinished(id);
    clients.mark_flushable(id);
    clients.arm(now, id);
}
