//! How conversations end, whichever phase finds it out: what ended is noted, who has gone leaves the rooms, and a
//! request that is refused is told why.

use std::io;

use log::info;

use super::books::{Books, DropReason};
use super::clients::Clients;
use super::outgoing::Outgoing;
use super::prices;
use super::redact::first_line;
use crate::chat::Chat;
use crate::clock::Now;
use crate::connection::{Cause, Event};
use crate::http::Refusal;
use crate::id::ClientId;

/// What a connection did without bytes: it ended, failed, or its time was up.
pub(super) fn handle_event<S>(
    now: Now,
    clients: &mut Clients<S>,
    chat: &mut Chat,
    outgoing: &mut Outgoing,
    books: &mut Books,
    id: ClientId,
    event: Option<Event<'static>>,
) {
    match event {
        Some(Event::Closed(cause)) => {
            note_end(now, clients, books, id, &cause, DropReason::Stalled);
            chat.leave(now, &[id], &mut |effect| outgoing.apply(effect));
        }
        Some(Event::Refused(refusal, head)) => refuse(now, clients, outgoing, books, id, refusal, &head),
        _ => {}
    }
    if clients[id].connection.is_finished() {
        clients.finished.push(id);
    }
}

/// Notes why a conversation ended, and writes off what the client will not get, with the reason for it.
pub(super) fn note_end<S>(
    now: Now,
    clients: &Clients<S>,
    books: &mut Books,
    id: ClientId,
    cause: &Cause,
    reason: DropReason,
) {
    let account = clients[id].account;
    books.note_end(now, clients[id].address, cause);
    if let Cause::TooSlow(backlog) = cause {
        books.counters.note_cut(account);
        books.note_dropped(id, account, reason, backlog.messages);
    }
}

/// A socket failed while it was written to: its client leaves the rooms at the end of the turn.
pub(super) fn fail<S>(
    now: Now,
    clients: &mut Clients<S>,
    books: &mut Books,
    id: ClientId,
    error: &io::Error,
) {
    let client = &mut clients[id];
    if let Some(Event::Closed(cause)) = client.connection.handle_failure(error) {
        books.note_end(now, client.address, &cause);
        clients.leaving.push(id);
    }
    clients.finished.push(id);
}

/// Answers a request with a refusal.
pub(super) fn refuse<S>(
    now: Now,
    clients: &mut Clients<S>,
    outgoing: &mut Outgoing,
    books: &mut Books,
    id: ClientId,
    refusal: Refusal,
    what: &[u8],
) {
    books.counters.note_refusal(refusal);
    let client = &mut clients[id];
    if books.admits_line(now) {
        outgoing.charge(prices::LOG_LINE);
        let (status, advice) = (refusal.status(), refusal.advice());
        info!("{} refused with {status}: {advice}: {}", client.address, first_line(what));
    }
    // The answer to HEAD has no body, whatever it says (RFC 9110 §9.3.2).
    let with_body = !what.trim_ascii_start().starts_with(b"HEAD ");
    let pieces = refusal.response().into_pieces(Some(now.wall), with_body);
    // Who has dribbled for ten seconds gets no more time to hang up (slowloris).
    let waits_for_end = refusal != Refusal::HandshakeTimeout;
    let was_deciding = client.connection.is_deciding();
    client.connection.respond(now.time, &books.buffered, pieces, waits_for_end);
    if was_deciding {
        // What it has sent meanwhile was not read, and no edge tells of it again.
        clients.mark_runnable(id);
    }
}
