/*
 * The figures, the verdict and the tables of the operators' page: one report as text.
 *
 * Knows the shape of /stats.
 * Ids: #verdict (data-health: well, strained, ill or unknown) #health #why #figures #talkers #laggards #rooms #reasons
 * #events. Each figure's box has the data-health of the verdict's reasons that are about it.
 */

import { age, bytes, clock, duration, percent, whole } from "/assets/dashboard-formats.js";

const ROOMS_MAX = 10;

const byId = (id) => document.getElementById(id);
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
const spaced = (name) => name.replaceAll("_", " ");
const ofLimit = (value, limit, write) => `${write(value)} / ${write(limit)}`;

/** Name, what it is of a report and of `rate`, the growth a second, and the reasons of the verdict that are about it. */
const FIGURES = [
  ["CPU", ({ now }) => percent(now.loop.cpu), "cpu"],
  ["Idle", ({ now }) => percent(now.loop.idle)],
  ["Starved", ({ now }) => percent(now.loop.starved), "starved"],
  ["Turn p99", ({ now }) => duration(now.turn_us.p99), "turn"],
  ["Worst turn", ({ now }) => (now.loop.worst_turn_ms === null ? "–" : `${duration(now.loop.worst_turn_us)} at ${clock(now.loop.worst_turn_ms)}`)],
  ["Connections", ({ now }) => ofLimit(now.clients, now.clients_max, whole), "places"],
  ["Waiting", ({ now }) => ofLimit(now.buffered_bytes, now.buffered_bytes_max, bytes), "buffered", "shed"],
  ["Largest queue", ({ now }) => ofLimit(now.largest_queue_bytes, now.queue_bytes_max, bytes)],
  ["Not whole", ({ now }) => ofLimit(now.unfinished_bytes, now.unfinished_bytes_max, bytes), "unfinished"],
  ["Rooms", ({ now }) => whole(now.rooms)],
  ["Messages/s", ({ rate }) => rate(({ messages_received }) => messages_received)],
  ["Deliveries/s", ({ rate }) => rate(({ deliveries }) => deliveries.delivered)],
  ["Sent/s", ({ rate }) => rate(({ sent_bytes }) => sent_bytes, bytes)],
  ["Dropped", ({ now }) => whole(now.deliveries.dropped), "dropped"],
  ["Lost", ({ now }) => whole(now.deliveries.lost)],
  ["Refused", ({ now }) => whole(sum(now.rejected)), "turned_away"],
  ["Ledger", ({ now }) => (now.balanced ? "balanced" : "not balanced"), "ledger"],
  ["Uptime", ({ now }) => (now.loop.uptime_seconds === null ? "–" : age(now.loop.uptime_seconds))],
];

/** What is counted by reason: what, and its fields of the report: since the start, and of the last minute if that is told. */
const COUNTS = [
  ["dropped", "dropped", "drops_last_minute"],
  ["refused", "rejected", "refusals_last_minute"],
  ["closed", "closed", "closes_last_minute"],
  ["not accepted", "accept_errors"],
  ["not logged", "log_lines_dropped"],
];

/** The report before this one. */
let before = null;

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

/** The growth a second since the report before, as text; none where another run of the server is in between. */
function rateOf(now) {
  const seconds = before?.loop.started_ms === now.loop.started_ms ? (now.loop.now_ms - before.loop.now_ms) / 1000 : 0;
  return (of, write = whole) => (seconds <= 0 ? "–" : write(Math.max(0, (of(now) - of(before)) / seconds)));
}

/** How the verdict sees what a figure shows: the worst reasons come first. */
const healthOf = (reasons, whats) => reasons.find(({ what }) => whats.includes(what))?.state ?? "well";

function showFigures(now) {
  const rate = rateOf(now);
  byId("figures").replaceChildren(...FIGURES.map(([name, of, ...whats]) => {
    const box = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    value.textContent = of({ now, rate });
    box.dataset.health = healthOf(now.verdict.reasons, whats);
    box.append(term, value);
    return box;
  }));
}

/** What a client is called: where that may be told by its address and place, else by its number. */
const who = ({ id, address }) => address ?? id;
const where = ({ place }) => place ?? "–";

/** Counts by reason: what, why, in the last minute, since the start. */
function reasonRows(now) {
  return COUNTS.flatMap(([what, total, lately]) => Object.entries(now[total]).filter(([, count]) => count > 0)
    .map(([why, count]) => [what, spaced(why), now[lately]?.[why] === undefined ? "–" : whole(now[lately][why]), whole(count)]));
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
  showVerdict(now.verdict.state, now.verdict.reasons.map(({ text }) => text));
  showFigures(now);
  showTables(now);
  before = now;
}
