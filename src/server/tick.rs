//! The second phase: what the clock brings becomes events too, deadlines of clients and counts of rooms.

use std::time::Duration;

use super::books::Books;
use super::clients::{Clients, Flag, Load};
use super::drain::{Mode, drain};
use super::ending::handle_event;
use super::limits::ServerLimits;
use super::outgoing::Outgoing;
use super::prices;
use crate::chat::Chat;
use crate::clock::Now;

/// A client of which nothing is read, since the broker has still to answer, is looked at again so much later.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Does what is due.
pub(super) fn tick<S>(
    now: Now,
    clients: &mut Clients<S>,
    chat: &mut Chat,
    outgoing: &mut Outgoing,
    books: &mut Books,
    mode: &mut Mode,
    limits: &ServerLimits,
) {
    drain(now, mode, clients, chat, outgoing, books, limits);
    clients.compact_deadlines();
    let mut count = 0;
    // A crowd whose time is up all at once waits for some turns.
    while count < prices::TURN_TIMEOUTS_MIN || !outgoing.is_full() {
        let Some(id) = clients.pop_due(now.time) else { break };
        if clients.rate_limiter.paused_until(now.time, id).is_some() {
            clients.arm(now, id);
            continue;
        }
        if clients.rate_limiter.release(now.time, id) {
            clients.mark_runnable(id);
        }
        if chat.is_held_back(id) && !clients[id].connection.is_stalled(now.time) {
            // What is due may have come, and was not heard.
            clients.arm_at(id, now.time + HELD_BACK);
            continue;
        }
        let client = &mut clients[id];
        if client.connection.deadline() > now.time {
            client.end_reprieve();
        } else if !client.has_reprieve() {
            client.end_reprieve();
            // What it says has just been read: who has more is flooding, and so is who made much work lately.
            let is_flooding = client.flags.contains(Flag::Runnable) || client.load(now.time) == Load::Busy;
            let event = client.connection.handle_timeout(now.time, is_flooding);
            count += 1;
            outgoing.charge(prices::TIMEOUT);
            handle_event(now, clients, chat, outgoing, books, id, event);
            clients.note_unfinished(id);
            clients.mark_flushable(id);
        }
        // Not in this turn again, or it would not end.
        let next = clients[id].connection.deadline().max(now.time + Duration::from_millis(1));
        clients.arm_at(id, next);
    }
    chat.handle_timeout(now, &mut |effect| outgoing.apply(effect));
}
