//! `/stats`: how the server is doing, as JSON. It names no person, and rooms and addresses to operators only who have
//! an address of their own.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::hour::Hour;
use super::incidents::Incident;
use super::standouts::{Laggard, Talker};
use super::times::Summary;
use super::{Account, Books, DropReason, Gauges, Standouts, VERSION};
use crate::chat::{ChannelName, Chat};
use crate::clock::Now;
use crate::http::Response;
use crate::id::{ChannelId, ClientId};

/// Rooms that are listed, the largest first.
const ROOMS_LISTED_MAX: usize = 100;

/// Where clients are, and whether who asks is told.
#[derive(Clone, Copy)]
pub(crate) struct Telling<'a> {
    pub(crate) address: &'a dyn Fn(ClientId) -> SocketAddr,
    pub(crate) is_told: bool,
}

/// The report of this moment.
pub(crate) fn report(
    now: Now,
    books: &mut Books,
    chat: &Chat,
    gauges: Gauges,
    standouts: Standouts,
    names: Telling<'_>,
) -> Response {
    let mut rooms: Vec<_> = chat.channels().collect();
    rooms.sort_by_key(|(_, _, members)| std::cmp::Reverse(*members));
    let mut report = of_all(now, books, gauges, &standouts);
    let (laggards, talkers) = standouts.into_lists();
    let ids = laggards.iter().map(|laggard| laggard.id).chain(talkers.iter().map(|talker| talker.id));
    let places = Whereabouts::of(chat, &rooms, ids, names.is_told);
    let laggard = |Laggard { queued_bytes, queued_messages, id }: &Laggard| {
        let mut row = places.client(*id, &names);
        row.extend([count("queued_bytes", *queued_bytes), count("queued_messages", *queued_messages)]);
        Value::from(row)
    };
    let talker = |Talker { share, id }: &Talker| {
        let mut row = places.client(*id, &names);
        row.insert("share".to_owned(), rounded(*share));
        Value::from(row)
    };
    let room = |(id, place, members): &(ChannelId, &ChannelName, usize)| {
        let (kind, name) = kind_and_name(place);
        let deliveries = deliveries(books.ledger.account(*id).unwrap_or_default());
        let mut row = json!({ "id": id.index(), "kind": kind, "members": members, "deliveries": deliveries });
        if names.is_told {
            row["name"] = name.into();
        }
        row
    };
    report["rooms"] = rooms.len().into();
    report["largest_rooms"] = rooms.iter().take(ROOMS_LISTED_MAX).map(room).collect();
    report["laggards"] = laggards.iter().map(laggard).collect();
    report["talkers"] = talkers.iter().map(talker).collect();
    report["events"] = books.incidents.iter().map(|one| incident(one, names.is_told)).collect();
    Response::new(200)
        .with_body("application/json", format!("{report:#}\n").into_bytes())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Content-Type-Options", "nosniff")
}

/// The figures of all together.
fn of_all(now: Now, books: &mut Books, gauges: Gauges, standouts: &Standouts) -> Value {
    let log_lines = gauges.log_lines_dropped.map(|(reason, count)| (reason.to_owned(), count.into()));
    let dropped = DropReason::ALL
        .map(|reason| (reason.name().to_owned(), books.counters.dropped[reason as usize].into()));
    let verdict = verdict(books);
    let hour = hour(now, &books.hour);
    let counts_now = books.counts(gauges);
    let last_minute = |kind| -> Map<String, Value> {
        let grown = books.minute.growth(&counts_now, kind);
        grown.map(|(what, count)| (what.to_owned(), count.into())).collect()
    };
    let [refusals, closes, drops] = ["refused", "closed", "dropped"].map(last_minute);
    let whole = books.ledger.whole();
    let counters = &mut books.counters;
    json!({
        "version": VERSION,
        "state": if gauges.is_serving { "serving" } else { "draining" },
        "verdict": verdict,
        "loop": hour,
        "clients": gauges.connections,
        "clients_max": gauges.connections_max,
        "guests": gauges.guests,
        "operators": gauges.operators,
        "connections_accepted": counters.accepted,
        "websockets": gauges.websockets,
        "deliveries": deliveries(whole),
        "balanced": whole.is_balanced(),
        "dropped": dropped.into_iter().collect::<Map<_, _>>(),
        "drops_last_minute": drops,
        "rejected": counts(counters.rejected.iter()),
        "refusals_last_minute": refusals,
        "closed": counts(counters.closed.iter()),
        "closes_last_minute": closes,
        "accept_errors": counts(counters.accept_errors.iter()),
        "log_lines_dropped": log_lines.into_iter().collect::<Map<_, _>>(),
        "messages_received": counters.messages_received,
        "received_bytes": counters.received_bytes,
        "sent_bytes": counters.sent_bytes,
        "queued_bytes": standouts.queued_bytes,
        "largest_queue_bytes": standouts.largest_queue(),
        "queue_bytes_max": gauges.queue_bytes_max,
        "buffered_bytes": gauges.buffered_bytes,
        "buffered_bytes_max": gauges.buffered_bytes_max,
        "unfinished_bytes": gauges.unfinished_bytes,
        "unfinished_bytes_max": gauges.unfinished_bytes_max,
        "turn_us": summary(counters.turns.recent(now.time)),
        "fanout_us": summary(counters.fanouts.recent(now.time)),
        "ping_us": summary(counters.round_trips.recent(now.time)),
    })
}

/// The verdict, and its reasons.
fn verdict(books: &Books) -> Value {
    let reasons = books.findings.iter().map(|finding| {
        json!({
            "what": finding.what,
            "state": finding.health.name(),
            "value": rounded(finding.value),
            "threshold": finding.threshold,
            "text": finding.text,
        })
    });
    json!({ "state": books.health().name(), "reasons": reasons.collect::<Value>() })
}

/// What the loop has lived through.
fn hour(now: Now, hour: &Hour) -> Value {
    let lately = hour.lately();
    let worst = hour.worst_turn();
    json!({
        "now_ms": now.wall.as_millisecond(),
        "started_ms": hour.started().map(jiff::Timestamp::as_millisecond),
        "uptime_seconds": hour.uptime(now.time).as_secs(),
        "stood_seconds": hour.total().stood.as_secs(),
        "cpu": rounded(lately.cpu()),
        "idle": rounded(lately.idle()),
        "starved": rounded(lately.starved()),
        "worst_turn_us": worst.map_or(0, |(microseconds, _)| microseconds),
        "worst_turn_ms": worst.map(|(_, time)| time.as_millisecond()),
    })
}

/// Where clients are, for those who may know.
struct Whereabouts<'a> {
    of_clients: HashMap<ClientId, (&'static str, &'a str)>,
}

impl<'a> Whereabouts<'a> {
    fn of(
        chat: &Chat,
        rooms: &[(ChannelId, &'a ChannelName, usize)],
        clients: impl Iterator<Item = ClientId>,
        is_told: bool,
    ) -> Whereabouts<'a> {
        let wanted: Vec<(ClientId, ChannelId)> = clients
            .filter(|_| is_told)
            .filter_map(|client| Some((client, chat.channel_of(client)?)))
            .collect();
        let of_room = |(id, place, _): &(ChannelId, &'a ChannelName, usize)| {
            let (id, place) = (*id, kind_and_name(place));
            wanted.iter().filter(move |(_, room)| *room == id).map(move |(client, _)| (*client, place))
        };
        Whereabouts { of_clients: rooms.iter().flat_map(of_room).collect() }
    }

    /// What is told of a client: its number, and to whom it is told, where it is.
    fn client(&self, id: ClientId, names: &Telling<'_>) -> Map<String, Value> {
        let mut row = Map::from_iter([("id".to_owned(), format!("c{}", id.index()).into())]);
        if names.is_told {
            row.insert("address".to_owned(), (names.address)(id).to_string().into());
            let place = self.of_clients.get(&id).map(|(kind, name)| format!("{kind} {name}"));
            row.insert("place".to_owned(), place.into());
        }
        row
    }
}

fn kind_and_name(place: &ChannelName) -> (&'static str, &str) {
    match place {
        ChannelName::Room(name) => ("room", name),
        ChannelName::Topic(name) => ("topic", name),
    }
}

fn incident(incident: &Incident, is_told: bool) -> Value {
    let mut row = json!({
        "since_ms": incident.since.as_millisecond(),
        "until_ms": incident.until.as_millisecond(),
        "kind": incident.kind,
        "what": incident.what,
        "count": incident.count,
        "text": incident.text,
    });
    if let Some(culprit) = incident.culprit.filter(|_| is_told) {
        row["address"] = culprit.address.to_string().into();
        row["several_addresses"] = culprit.is_one_of_several.into();
    }
    row
}

fn count(name: &str, count: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), count.into())
}

/// A share with four digits: more would only be noise.
fn rounded(share: f64) -> Value {
    ((share * 1e4).round() / 1e4).into()
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
