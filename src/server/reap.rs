//! The last phase: who has gone leaves the rooms, and slots are freed.

use log::debug;

use super::admission::Admission;
use super::books::{Books, Posting};
use super::broker_link::BrokerLink;
use super::clients::{Clients, Flag};
use super::outgoing::Outgoing;
use crate::chat::Chat;
use crate::clock::Now;

/// Takes who has gone out of the rooms, and frees what nobody holds any more.
pub(super) fn reap<S>(
    now: Now,
    clients: &mut Clients<S>,
    admission: &mut Admission,
    chat: &mut Chat,
    link: &mut BrokerLink,
    outgoing: &mut Outgoing,
    books: &mut Books,
) {
    let leaving = std::mem::take(&mut clients.leaving);
    chat.leave(now, &leaving, &mut |effect| outgoing.apply(effect));
    while let Some(id) = clients.finished.pop() {
        // Noted twice if two things went wrong in one turn; freed once.
        let Some(client) = clients.remove(id) else { continue };
        assert!(client.connection.is_finished(), "a slot is freed after its connection");
        let lost = u64::from(client.connection.queued_messages());
        books.ledger.record(client.account, Posting::Unqueued(lost));
        books.ledger.record(client.account, Posting::Lost(lost));
        if lost > 0 {
            books.note_short(id);
        }
        books.ledger.detach(client.account);
        link.undecided.forget(id);
        admission.leave(id, client.pool, client.address, client.flags.contains(Flag::Websocket));
        debug!("{} is gone", client.address);
    }
    chat.forget_channels(now, &mut |channel| {
        books.ledger.forget_channel(channel);
        link.broker.close(channel);
    });
}
