//! `/stats`: how the server is doing, as JSON. It names no room, no person and no address.

use serde_json::{Map, Value, json};

use super::counters;
use super::ledger::Account;
use super::times::Summary;
use super::{Mode, Server, Stream, VERSION};
use crate::chat::ChannelName;
use crate::clock::Now;
use crate::http::Response;

/// Rooms that are listed, the largest first.
const ROOMS_LISTED_MAX: usize = 100;
/// Clients that are listed, those with the most waiting first.
const LAGGARDS_LISTED_MAX: usize = 10;

impl<S: Stream> Server<S> {
    /// The report of this moment.
    pub(super) fn stats(&mut self, now: Now) -> Response {
        let mut rooms: Vec<_> = self.chat.channels().collect();
        rooms.sort_by_key(|(_, _, members)| std::cmp::Reverse(*members));
        let listed = rooms.iter().take(ROOMS_LISTED_MAX).map(|(id, place, members)| {
            let kind = match place {
                ChannelName::Room(_) => "room",
                ChannelName::Topic(_) => "topic",
            };
            let deliveries = deliveries(self.ledger.account(*id).unwrap_or_default());
            json!({ "id": id.index(), "kind": kind, "members": members, "deliveries": deliveries })
        });
        let mut laggards: Vec<_> = self
            .clients
            .iter()
            .map(|(index, client)| {
                (client.connection.queued_bytes(), client.connection.queued_messages(), index)
            })
            .filter(|(bytes, _, _)| *bytes > 0)
            .collect();
        let queued_bytes: usize = laggards.iter().map(|(bytes, _, _)| bytes).sum();
        laggards.sort_unstable_by_key(|laggard| std::cmp::Reverse(*laggard));
        let laggards = laggards.iter().take(LAGGARDS_LISTED_MAX).map(|(bytes, messages, index)| {
            json!({ "id": format!("c{index}"), "queued_bytes": bytes, "queued_messages": messages })
        });
        let log_lines = self.log_lines_dropped().map(|(reason, count)| (reason.to_owned(), count.into()));
        let counters = &mut self.counters;
        let dropped = counters::DropReason::ALL
            .map(|reason| (reason.name().to_owned(), counters.dropped[reason as usize].into()));
        let report = json!({
            "version": VERSION,
            "state": if matches!(self.mode, Mode::Serving) { "serving" } else { "draining" },
            "clients": self.clients.len() - self.places.operators(),
            "operators": self.places.operators(),
            "connections_accepted": counters.accepted,
            "websockets": self.websockets,
            "rooms": rooms.len(),
            "deliveries": deliveries(self.ledger.whole()),
            "dropped": dropped.into_iter().collect::<Map<_, _>>(),
            "rejected": counts(counters.rejected.iter()),
            "closed": counts(counters.closed.iter()),
            "accept_errors": counts(counters.accept_errors.iter()),
            "log_lines_dropped": log_lines.into_iter().collect::<Map<_, _>>(),
            "messages_received": counters.messages_received,
            "received_bytes": counters.received_bytes,
            "sent_bytes": counters.sent_bytes,
            "queued_bytes": queued_bytes,
            "buffered_bytes": self.buffered.bytes(),
            "unfinished_bytes": self.read_queue.unfinished_bytes(),
            "turn_us": summary(counters.turns.recent(now.time)),
            "fanout_us": summary(counters.fanouts.recent(now.time)),
            "ping_us": summary(counters.round_trips.recent(now.time)),
            "largest_rooms": listed.collect::<Value>(),
            "laggards": laggards.collect::<Value>(),
        });
        Response::new(200)
            .with_body("application/json", format!("{report:#}\n").into_bytes())
            .with_header("Cache-Control", "no-store")
            .with_header("X-Content-Type-Options", "nosniff")
    }
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
