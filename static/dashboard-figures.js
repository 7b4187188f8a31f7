/*
 * The figures, the verdict and the tables of the operators' page: one report as text.
 *
 * Knows the shape of /stats.
 * Ids: #verdict (data-health: well, strained, ill or unknown) #health #why #figures #talkers #laggards #rooms #reasons
 * #events. Classes: .near .over
 */

import { age, bytes, clock, duration, percent, whole } from "/assets/dashboard-formats.js";

const MINUTE_MS = 60_000;
const ROOMS_MAX = 10;
/** From this share of a limit on, a figure stands out. */
const NEAR = 0.9;

const byId = (id) => document.getElementById(id);
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
const spaced = (name) => name.replaceAll("_", " ");
const ofLimit = (value, limit, write) => [`${write(value)} / ${write(limit)}`, value / limit];

/** Name, and what it is of a report and of `rate`, the growth a second: text, and where there is a limit, its share. */
const FIGURES = [
  ["CPU", ({ now }) => [percent(now.loop.cpu), now.loop.cpu]],
  ["Idle", ({ now }) => [percent(now.loop.idle)]],
  ["Turn p99", ({ now }) => [duration(now.turn_us.p99)]],
  ["Worst turn", ({ now }) => [now.loop.worst_turn_ms === null ? "–" : `${duration(now.loop.worst_turn_us)} at ${clock(now.loop.worst_turn_ms)}`]],
  ["Connections", ({ now }) => ofLimit(now.clients, now.clients_max, whole)],
  ["Waiting", ({ now }) => ofLimit(now.buffered_bytes, now.buffered_bytes_max, bytes)],
  ["Largest queue", ({ now }) => ofLimit(now.largest_queue_bytes, now.queue_bytes_max, bytes)],
  ["Rooms", ({ now }) => [whole(now.rooms)]],
  ["Messages/s", ({ rate }) => [rate(({ messages_received }) => messages_received)]],
  ["Deliveries/s", ({ rate }) => [rate(({ deliveries }) => deliveries.delivered)]],
  ["Sent/s", ({ rate }) => [rate(({ sent_bytes }) => sent_bytes, bytes)]],
  ["Dropped", ({ now }) => [whole(now.deliveries.dropped)]],
  ["Lost", ({ now }) => [whole(now.deliveries.lost)]],
  ["Refused", ({ now }) => [whole(sum(now.rejected))]],
  ["Ledger", ({ now }) => (now.balanced ? ["balanced"] : ["not balanced", 1])],
  ["Uptime", ({ now }) => [now.loop.uptime_seconds === null ? "–" : age(now.loop.uptime_seconds)]],
];

/** Reports of the last minute, the oldest first, of one run of the server. */
let minute = [];

function fill(id, rows) {
  byId(id).tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

function remember(now) {
  const { now_ms, started_ms } = now.loop;
  minute = minute.filter(({ loop }) => loop.started_ms === started_ms && loop.now_ms > now_ms - MINUTE_MS && loop.now_ms < now_ms);
  minute.push(now);
}

/** The growth a second since the report before, as text. */
function rateOf(now) {
  const before = minute.at(-2);
  return (of, write = whole) => {
    const seconds = before === undefined ? 0 : (now.loop.now_ms - before.loop.now_ms) / 1000;
    return seconds <= 0 ? "–" : write(Math.max(0, (of(now) - of(before)) / seconds));
  };
}

function showFigures(now) {
  const rate = rateOf(now);
  byId("figures").replaceChildren(...FIGURES.map(([name, of]) => {
    const [text, share] = of({ now, rate });
    const box = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    value.textContent = text;
    box.classList.toggle("near", share >= NEAR);
    box.classList.toggle("over", share >= 1);
    box.append(term, value);
    return box;
  }));
}

/** What a client is called: where that may be told by its address and place, else by its number. */
const who = ({ id, address }) => address ?? id;
const where = ({ place }) => place ?? "–";

/** Counts by reason: what, why, in the last minute, since the start. */
function reasonRows(now) {
  const first = minute[0];
  const kinds = [["dropped", "dropped"], ["refused", "rejected"], ["closed", "closed"], ["not accepted", "accept_errors"], ["not logged", "log_lines_dropped"]];
  return kinds.flatMap(([what, field]) => Object.entries(now[field]).filter(([, count]) => count > 0)
    .map(([why, count]) => [what, spaced(why), whole(count - (first[field][why] ?? 0)), whole(count)]));
}

function eventRow({ since_ms, until_ms, kind, what, count, text, address }) {
  const times = until_ms - since_ms < 1000 ? clock(since_ms) : `${clock(since_ms)} – ${clock(until_ms)}`;
  return [times, `${kind}: ${spaced(what)}`, whole(count), address === undefined ? text : `${text} (${address})`];
}

function showTables(now) {
  fill("talkers", now.talkers.map((talker) => [who(talker), where(talker), percent(talker.share)]));
  fill("laggards", now.laggards.map((laggard) =>
    [who(laggard), where(laggard), whole(laggard.queued_messages), bytes(laggard.queued_bytes)]));
  fill("rooms", now.largest_rooms.slice(0, ROOMS_MAX).map(({ id, kind, name, members, deliveries }) =>
    [`${kind} ${name ?? id}`, whole(members), whole(deliveries.delivered), whole(deliveries.dropped)]));
  fill("reasons", reasonRows(now));
  fill("events", now.events.map(eventRow));
}

/** The verdict in a word, and its reasons. A word that stays is not said again by screen readers. */
export function showVerdict(health, reasons) {
  byId("verdict").dataset.health = health;
  const word = byId("health");
  if (word.textContent !== health) {
    word.textContent = health;
    document.title = `${health} · wsloop`;
  }
  byId("why").replaceChildren(...reasons.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

/** Shows a report. */
export function showReport(now) {
  remember(now);
  showVerdict(now.verdict.state, now.verdict.reasons.map(({ text }) => text));
  showFigures(now);
  showTables(now);
}
