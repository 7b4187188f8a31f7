//! `/stats`: how the server is doing, as JSON. It names no room, no person and no address.

use serde_json::{Map, Value, json};

use super::times::Summary;
use super::{Account, Books, DropReason, Gauges, VERSION};
use crate::chat::{ChannelName, Chat};
use crate::clock::Now;
use crate::http::Response;
use crate::id::ClientId;

/// Rooms that are listed, the largest first.
const ROOMS_LISTED_MAX: usize = 100;
/// Clients that are listed, those with the most waiting first.
const LAGGARDS_LISTED_MAX: usize = 10;

/// The report of this moment. `laggards`: what waits for each client, bytes and messages.
pub(crate) fn report(
    now: Now,
    books: &mut Books,
    chat: &Chat,
    gauges: Gauges,
    mut laggards: Vec<(usize, u32, ClientId)>,
) -> Response {
    let mut rooms: Vec<_> = chat.channels().collect();
    rooms.sort_by_key(|(_, _, members)| std::cmp::Reverse(*members));
    let listed = rooms.iter().take(ROOMS_LISTED_MAX).map(|(id, place, members)| {
        let kind = match place {
            ChannelName::Room(_) => "room",
            ChannelName::Topic(_) => "topic",
        };
        let deliveries = deliveries(books.ledger.account(*id).unwrap_or_default());
        json!({ "id": id.index(), "kind": kind, "members": members, "deliveries": deliveries })
    });
    let listed = listed.collect::<Value>();
    laggards.sort_unstable_by_key(|laggard| std::cmp::Reverse(*laggard));
    let laggards = laggards.iter().take(LAGGARDS_LISTED_MAX).map(|(bytes, messages, id)| {
        json!({ "id": format!("c{}", id.index()), "queued_bytes": bytes, "queued_messages": messages })
    });
    let log_lines = gauges.log_lines_dropped.map(|(reason, count)| (reason.to_owned(), count.into()));
    let counters = &mut books.counters;
    let dropped =
        DropReason::ALL.map(|reason| (reason.name().to_owned(), counters.dropped[reason as usize].into()));
    let report = json!({
        "version": VERSION,
        "state": if gauges.is_serving { "serving" } else { "draining" },
        "clients": gauges.connections,
        "operators": gauges.operators,
        "connections_accepted": counters.accepted,
        "websockets": gauges.websockets,
        "rooms": rooms.len(),
        "deliveries": deliveries(books.ledger.whole()),
        "dropped": dropped.into_iter().collect::<Map<_, _>>(),
        "rejected": counts(counters.rejected.iter()),
        "closed": counts(counters.closed.iter()),
        "accept_errors": counts(counters.accept_errors.iter()),
        "log_lines_dropped": log_lines.into_iter().collect::<Map<_, _>>(),
        "messages_received": counters.messages_received,
        "received_bytes": counters.received_bytes,
        "sent_bytes": counters.sent_bytes,
        "queued_bytes": gauges.queued_bytes,
        "buffered_bytes": gauges.buffered_bytes,
        "unfinished_bytes": gauges.unfinished_bytes,
        "turn_us": summary(counters.turns.recent(now.time)),
        "fanout_us": summary(counters.fanouts.recent(now.time)),
        "ping_us": summary(counters.round_trips.recent(now.time)),
        "largest_rooms": listed,
        "laggards": laggards.collect::<Value>(),
    });
    Response::new(200)
        .with_body("application/json", format!("{report:#}\n").into_bytes())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Content-Type-Options", "nosniff")
}

fn counts<'a, K: ToString + 'a>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> Value {
    counts.map(|(name, count)| (name.to_string(), Value::from(*count))).collect::<Map<_, _>>().into()
}

fn summary(summary: Summary) -> Value {
    let Summary { count, p50, p99, max } = summary;
    json!({ "count": count, "p50": p50, "p99": p99, "max": max })
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
