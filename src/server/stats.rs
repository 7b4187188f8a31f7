//! `/stats`: how the server is doing, as JSON. It names no room, no person and no address.

use serde_json::{Value, json};
use slab::Slab;

use super::ledger::{Account, Ledger};
use super::{Client, VERSION};
use crate::chat::{Chat, Place};
use crate::http::Response;

/// Rooms that are listed, the largest first.
const ROOMS_LISTED_MAX: usize = 100;
/// Clients that are listed, those with the most waiting first.
const LAGGARDS_LISTED_MAX: usize = 10;

/// The report of this moment.
pub(super) fn report<S>(clients: &Slab<Client<S>>, chat: &Chat, ledger: &Ledger) -> Response {
    let mut rooms: Vec<_> = chat.rooms().collect();
    rooms.sort_by_key(|(_, _, members)| std::cmp::Reverse(*members));
    let listed = rooms.iter().take(ROOMS_LISTED_MAX).map(|(id, place, members)| {
        let kind = match place {
            Place::Room(_) => "room",
            Place::Topic(_) => "topic",
        };
        let deliveries = deliveries(ledger.account(*id).unwrap_or_default());
        json!({ "id": id.index(), "kind": kind, "members": members, "deliveries": deliveries })
    });
    let mut laggards: Vec<_> = clients
        .iter()
        .map(|(index, client)| (client.connection.queued_bytes(), client.connection.queued_messages(), index))
        .filter(|(bytes, _, _)| *bytes > 0)
        .collect();
    let queued_bytes: usize = laggards.iter().map(|(bytes, _, _)| bytes).sum();
    laggards.sort_unstable_by_key(|laggard| std::cmp::Reverse(*laggard));
    let laggards = laggards.iter().take(LAGGARDS_LISTED_MAX).map(|(bytes, messages, index)| {
        json!({ "id": format!("c{index}"), "queued_bytes": bytes, "queued_messages": messages })
    });
    let report = json!({
        "version": VERSION,
        "clients": clients.len(),
        "rooms": rooms.len(),
        "deliveries": deliveries(ledger.whole()),
        "queued_bytes": queued_bytes,
        "largest_rooms": listed.collect::<Value>(),
        "laggards": laggards.collect::<Value>(),
    });
    Response::new(200)
        .with_body("application/json", format!("{report:#}\n").into_bytes())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Content-Type-Options", "nosniff")
}

fn deliveries(account: Account) -> Value {
    let Account { accepted, delivered, dropped, lost, queued } = account;
    json!({
        "accepted": accepted,
        "delivered": delivered,
        "dropped": dropped,
        "lost": lost,
        "queued": queued,
    })
}
