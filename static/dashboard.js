/*
 * The operators' page: asks /stats once a second, and shows the last five minutes. What it shows is text and plots.
 *
 * Knows the shape of /stats, and uPlot, which the page loads before.
 * Ids: #status (data-state: waiting, lost, or what the server says of itself) #figures #plots #laggards #rooms #reasons
 */

const EVERY_MS = 1000;
const POINTS = 300;
const HEIGHT = 180;

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const whole = (number) => Math.round(number).toLocaleString("en");

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  return `${(count / 1024 ** unit).toLocaleString("en", { maximumFractionDigits: unit === 0 ? 0 : 1 })} ${units[unit]}`;
}

function duration(microseconds) {
  return microseconds < 1000 ? `${whole(microseconds)} µs` : `${(microseconds / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} ms`;
}

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** Title, how a value is written, and lines: a name and what it is of a report; `rate` of the change in a second. */
const PLOTS = [
  ["Connections", whole, [["all", ({ now }) => now.clients], ["WebSockets", ({ now }) => now.websockets]]],
  ["Messages a second", whole, [["received", ({ rate }) => rate(({ messages_received }) => messages_received)]]],
  ["Deliveries a second", whole, [["delivered", ({ rate }) => rate(({ deliveries }) => deliveries.delivered)]]],
  ["A turn of the loop", duration, [["p99", ({ now }) => now.turn_us.p99], ["p50", ({ now }) => now.turn_us.p50]]],
  ["Handing out a turn's messages", duration, [["p99", ({ now }) => now.fanout_us.p99], ["p50", ({ now }) => now.fanout_us.p50]]],
  ["Ping to pong", duration, [["p99", ({ now }) => now.ping_us.p99], ["p50", ({ now }) => now.ping_us.p50]]],
  ["Waiting", bytes, [["of all clients", ({ now }) => now.queued_bytes], ["memory", ({ now }) => now.buffered_bytes]]],
  ["Dropped a second", whole, ["queue_full", "skipped", "buffer_full", "stalled"]
    .map((reason) => [reason.replace("_", " "), ({ rate }) => rate(({ dropped }) => dropped[reason])])],
];

const FIGURES = [
  ["Connections", ({ now }) => whole(now.clients)],
  ["Rooms", ({ now }) => whole(now.rooms)],
  ["Messages/s", ({ rate }) => whole(rate(({ messages_received }) => messages_received))],
  ["Deliveries/s", ({ rate }) => whole(rate(({ deliveries }) => deliveries.delivered))],
  ["Sent/s", ({ rate }) => bytes(rate(({ sent_bytes }) => sent_bytes))],
  ["Turn p99", ({ now }) => duration(now.turn_us.p99)],
  ["Waiting", ({ now }) => bytes(now.queued_bytes)],
  ["Dropped", ({ now }) => whole(now.deliveries.dropped)],
  ["Lost", ({ now }) => whole(now.deliveries.lost)],
  ["Refused", ({ now }) => whole(sum(now.rejected))],
];

const times = [];
const values = PLOTS.map(([, , lines]) => lines.map(() => []));
let plots = [];
let before = null;

function drawPlots() {
  const box = byId("plots");
  plots.forEach((plot) => plot.destroy());
  box.replaceChildren();
  // All places first: how wide each is depends on how many there are.
  const places = PLOTS.map(([title]) => {
    const place = document.createElement("div");
    place.className = "plot";
    const heading = document.createElement("h2");
    heading.textContent = title;
    place.append(heading);
    return place;
  });
  box.append(...places);
  plots = PLOTS.map(([, write, lines], index) => {
    const place = places[index];
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("edge"), width: 1 }, ticks: { stroke: colour("edge") } };
    const series = lines.map(([label], number) => ({
      label,
      stroke: colour(`line-${number}`),
      width: 2,
      points: { show: false },
      value: (_, value) => (value === null || value === undefined ? "–" : write(value)),
    }));
    return new uPlot({
      width: place.clientWidth - 24,
      height: HEIGHT,
      scales: { y: { range: (_, least, most) => [0, Math.max(most ?? 1, 1) * 1.1] } },
      axes: [axis, { ...axis, size: 72, values: (_, ticks) => ticks.map((tick) => write(tick)) }],
      series: [{}, ...series],
    }, [times, ...values[index]], place);
  });
}

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

function show(now, time) {
  // A server that was restarted counts from zero again.
  const last = before !== null && now.connections_accepted >= before.now.connections_accepted ? before : null;
  const seconds = last === null ? 1 : Math.max((time - last.time) / 1000, 0.1);
  const rate = (of) => (last === null ? 0 : Math.max(0, (of(now) - of(last.now)) / seconds));
  before = { now, time };
  times.push(time / 1000);
  PLOTS.forEach(([, , lines], plot) => lines.forEach(([, of], line) => values[plot][line].push(of({ now, rate }))));
  if (times.length > POINTS) {
    [times, ...values.flat()].forEach((column) => column.shift());
  }
  plots.forEach((plot, index) => plot.setData([times, ...values[index]]));
  byId("figures").replaceChildren(...FIGURES.map(([name, of]) => {
    const box = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    value.textContent = of({ now, rate });
    box.append(term, value);
    return box;
  }));
  fill("laggards", now.laggards.map(({ id, queued_messages, queued_bytes }) => [id, whole(queued_messages), bytes(queued_bytes)]));
  fill("rooms", now.largest_rooms.slice(0, 10).map(({ id, kind, members, deliveries }) =>
    [`${kind} ${id}`, whole(members), whole(deliveries.delivered), whole(deliveries.dropped)]));
  const reasons = [["dropped", now.dropped], ["refused", now.rejected], ["closed", now.closed], ["not accepted", now.accept_errors]];
  fill("reasons", reasons.flatMap(([what, counts]) => Object.entries(counts).filter(([, count]) => count > 0)
    .map(([why, count]) => [what, why.replace("_", " "), whole(count)])));
}

async function ask() {
  const status = byId("status");
  try {
    const answer = await fetch("/stats", { signal: AbortSignal.timeout(5 * EVERY_MS), cache: "no-store" });
    const now = await answer.json();
    show(now, Date.now());
    status.dataset.state = now.state;
    status.textContent = `${now.state}, version ${now.version}`;
  } catch (error) {
    status.dataset.state = "lost";
    status.textContent = `no report since ${new Date(before?.time ?? Date.now()).toLocaleTimeString()}: ${error.message}`;
  }
  setTimeout(ask, EVERY_MS);
}

addEventListener("resize", drawPlots);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
drawPlots();
ask();
