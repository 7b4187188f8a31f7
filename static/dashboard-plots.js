/*
 * The plots of the operators' page: each with a legend of its latest values, and a table behind it for who does not see
 * the lines. Where nothing is known the line has a gap.
 *
 * Knows uPlot, which the page loads before, and points.
 * Ids: #plots #span. Classes: .plot .legend .swatch .line-N
 */

import { bytes, clock, duration, minute, percent, ticks, whole } from "/assets/dashboard-formats.js";
import { isGap, rate } from "/assets/dashboard-points.js";

const HEIGHT = 160;
const PADDING = 26;
const ROWS_MAX = 60;
/** The highest value of an axis, at least: below it there are not two whole numbers to write at it. */
const LEAST = 2;
/** Steps of an axis: of bytes, which are written in units of 1,024, and of what is written without a fraction. */
const BINARY_STEPS = Array.from({ length: 45 }, (_, power) => 2 ** power);
const WHOLE_STEPS = Array.from({ length: 14 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const MINUTE_MS = 60_000;

const per = (name) => (point, before) => rate(point, before, name);
const of = (name, scale = 1) => (point) => (point[name] === null ? null : point[name] / scale);

/** Title, how a value is written, and lines: a name, and what it is of a point and the one before it. */
const PLOTS = [
  ["CPU of the one thread", percent, [["CPU", of("cpu_permille", 1000)], ["idle", of("idle_permille", 1000)]]],
  ["Connections", whole, [["all", of("clients")], ["WebSockets", of("websockets")]]],
  ["Messages a second", whole, [["received", per("messages_received")]]],
  ["Deliveries a second", whole, [["delivered", per("delivered")]]],
  ["A turn of the loop", duration, [["p99", of("turn_p99_us")], ["worst", of("turn_max_us")]]],
  ["Handing out a turn's messages", duration, [["p99", of("fanout_p99_us")]]],
  ["Ping to pong", duration, [["p99", of("ping_p99_us")]]],
  ["Waiting, in memory", bytes, [["of all clients", of("buffered_bytes")]]],
  ["Refused and closed a second", whole, [["refused", per("refused")], ["closed", per("closed")]]],
  ["Dropped a second", whole, ["queue_full", "skipped", "buffer_full", "stalled"]
    .map((reason) => [reason.replace("_", " "), per(`dropped_${reason}`)])],
];

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The columns of one plot: times in seconds, and a list for each line, null where nothing is known. */
function columnsOf(points, lines) {
  const times = points.map(({ time_ms }) => time_ms / 1000);
  const values = lines.map(([, line]) => points.map((point, index) => (isGap(point) ? null : line(point, points[index - 1]))));
  return [times, ...values];
}

/** How often the line begins anew. */
const gapsIn = (points) => points.filter((point, index) => isGap(point) && index > 0 && !isGap(points[index - 1])).length;

const most = (values) => values.reduce((max, value) => (value !== null && (max === undefined || value > max) ? value : max), undefined);

class Plot {
  constructor([title, write, lines]) {
    Object.assign(this, { title, write, lines, plot: null, columns: [[], ...lines.map(() => [])] });
    this.box = element("div", "plot", "");
    this.legend = element("ul", "legend", "");
    this.values = lines.map(([label], index) => {
      const item = element("li", "", "");
      const value = element("b", "", "–");
      item.append(element("span", `swatch line-${index}`, ""), ` ${label} `, value);
      this.legend.append(item);
      return value;
    });
    this.when = element("li", "when", "");
    this.legend.append(this.when);
    this.place = element("div", "", "");
    this.details = document.createElement("details");
    this.table = document.createElement("table");
    this.details.append(element("summary", "", "As a table"), this.table);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.box.append(element("h2", "", title), this.legend, this.place, this.details);
  }

  draw() {
    this.plot?.destroy();
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("edge"), width: 1 }, ticks: { stroke: colour("edge") } };
    const series = this.lines.map(([label], index) => ({ label, stroke: colour(`line-${index}`), width: 2, points: { show: false } }));
    this.plot = new uPlot({
      width: Math.max(this.box.clientWidth - PADDING, 100),
      height: HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: "time" } },
      hooks: { setCursor: [(plot) => this.writeLegend(plot.cursor.idx)] },
      scales: { y: { range: (_, least, max) => [0, this.write === percent ? 1 : Math.max(max ?? 0, LEAST) * 1.1] } },
      axes: [
        { ...axis, size: 32, values: (_, splits) => ticks(splits) },
        { ...axis, size: 72, ...this.steps(), values: (_, splits) => splits.map((split) => this.write(split)) },
      ],
      series: [{}, ...series],
    }, this.columns, this.place);
    this.name();
  }

  steps() {
    return this.write === percent ? {} : { incrs: this.write === bytes ? BINARY_STEPS : WHOLE_STEPS };
  }

  show(points) {
    this.points = points;
    this.columns = columnsOf(points, this.lines);
    this.plot?.setData(this.columns);
    this.writeLegend(null);
    this.name();
    this.fillTable();
  }

  /** The values under the cursor, or the latest; those of before a gap are not the latest of anything. */
  writeLegend(index) {
    const [times, ...values] = this.columns;
    const at = index ?? times.length - 1;
    values.forEach((column, line) => {
      const value = column[at] ?? null;
      this.values[line].textContent = value === null ? "–" : this.write(value);
    });
    this.when.textContent = index === null || index === undefined ? "" : clock(times[index] * 1000);
  }

  /** What a screen reader says of the picture. */
  name() {
    const canvas = this.place.querySelector("canvas");
    if (canvas === null) {
      return;
    }
    const told = this.lines.map(([label], line) => {
      const column = this.columns[line + 1];
      const [now, max] = [column.at(-1) ?? null, most(column)];
      return max === undefined ? `${label}: nothing yet`
        : `${label}: ${now === null ? "nothing" : this.write(now)} now, ${this.write(max)} at most`;
    });
    const gaps = gapsIn(this.points ?? []);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.title}. ${told.join("; ")}. ${gaps === 0 ? "No gaps" : gaps === 1 ? "1 gap" : `${gaps} gaps`}.`);
  }

  /** A row a minute, with the most of each line; the newest first. Nobody pays for a table that is closed. */
  fillTable() {
    if (!this.details.open) {
      return;
    }
    const [times, ...values] = this.columns;
    const rows = new Map();
    times.forEach((time, index) => {
      const start = Math.floor(time * 1000 / MINUTE_MS) * MINUTE_MS;
      rows.set(start, [...(rows.get(start) ?? []), index]);
    });
    const head = document.createElement("tr");
    head.append(...["Minute", ...this.lines.map(([label]) => `${label}, at most`)].map((text) => element("th", "", text)));
    const body = [...rows].reverse().slice(0, ROWS_MAX).map(([start, indexes]) => {
      const row = document.createElement("tr");
      const cells = values.map((column) => most(indexes.map((index) => column[index])));
      row.append(element("td", "", minute(start)), ...cells.map((value) => element("td", "", value === undefined ? "no report" : this.write(value))));
      return row;
    });
    const [thead, tbody] = ["thead", "tbody"].map((tag) => document.createElement(tag));
    thead.append(head);
    tbody.append(...body);
    this.table.replaceChildren(element("caption", "", this.title), thead, tbody);
  }
}

const plots = PLOTS.map((definition) => new Plot(definition));
let shown = [];

/** The points of as long as the reader wants to see. */
function inSpan(points) {
  const since = (points.at(-1)?.time_ms ?? 0) - Number(byId("span").value) * 1000;
  return points.filter(({ time_ms }) => time_ms >= since);
}

/** Shows these points, and whatever of them is asked for from now on. */
export function showPoints(points) {
  shown = points;
  const visible = inSpan(points);
  plots.forEach((plot) => plot.show(visible));
}

/** Puts the plots into the page, and draws them anew when their size or their colours change. */
export function startPlots() {
  const drawAll = () => plots.forEach((plot) => plot.draw());
  byId("plots").replaceChildren(...plots.map(({ box }) => box));
  byId("span").addEventListener("change", () => showPoints(shown));
  addEventListener("resize", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
}
