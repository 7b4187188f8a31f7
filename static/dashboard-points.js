/*
 * What the operators' page knows of the last hour: points in the order of their times, the same whether they came from
 * a report of this second or from the server's history. Where nothing is known there is a point without figures, which
 * plots draw as a gap.
 *
 * Knows the shapes of /stats and of /stats/history, and no page.
 */

const HOUR_MS = 3_600_000;
/** The server keeps a point every five seconds: what is farther apart has something missing between. */
const GAP_MS = 12_500;
/** Closer points would make rates of chance. */
const CLOSEST_MS = 500;

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** The server notes no time below 1 µs: 0 says that there was none, be it a ping's. */
const known = (microseconds) => (microseconds === 0 ? null : microseconds);
const TIMES = ["turn_p99_us", "fanout_p99_us", "ping_p99_us"];

/**
 * A report of /stats as a point: the figures that /stats/history has, by the same names. Most are the same; the history
 * has the CPU, the idleness and the longest turn of its five seconds, and a report has those of the last ten, and of
 * the last ten to twenty: a live line is smoother, and a long turn stays in it for longer.
 */
export function pointOf(report) {
  const { dropped, loop, turn_us: turn, fanout_us: fanout, ping_us: ping } = report;
  return {
    time_ms: loop.now_ms,
    started_ms: loop.started_ms,
    clients: report.clients,
    websockets: report.websockets,
    messages_received: report.messages_received,
    delivered: report.deliveries.delivered,
    dropped_queue_full: dropped.queue_full,
    dropped_skipped: dropped.skipped,
    dropped_buffer_full: dropped.buffer_full,
    dropped_stalled: dropped.stalled,
    refused: sum(report.rejected),
    closed: sum(report.closed),
    sent_bytes: report.sent_bytes,
    buffered_bytes: report.buffered_bytes,
    turn_p99_us: known(turn.p99),
    turn_max_us: turn.max,
    fanout_p99_us: known(fanout.p99),
    ping_p99_us: known(ping.p99),
    cpu_permille: loop.cpu * 1000,
    idle_permille: loop.idle * 1000,
  };
}

/** The points of the history: a list for each figure becomes an object for each moment. */
function pointsOf(history) {
  const names = Object.keys(history).filter((name) => Array.isArray(history[name]));
  const value = (name, index) => (TIMES.includes(name) ? known(history[name][index]) : history[name][index]);
  return history.time_ms.map((_, index) => ({
    started_ms: history.started_ms,
    ...Object.fromEntries(names.map((name) => [name, value(name, index)])),
  }));
}

/** By how much a count has grown a second since the point before; null where that cannot be known. */
export function rate(point, before, name) {
  if (before === undefined || isGap(before) || isGap(point)) {
    return null;
  }
  return Math.max(0, (point[name] - before[name]) / ((point.time_ms - before.time_ms) / 1000));
}

export const isGap = (point) => point.started_ms === undefined;

export class Points {
  constructor() {
    this.all = [];
    /** Whether the server's history would tell more than is known. */
    this.wantsHistory = true;
  }

  /** A point of now. */
  add(point) {
    const last = this.all.at(-1);
    const passed = last === undefined ? Infinity : point.time_ms - last.time_ms;
    if (passed >= 0 && passed < CLOSEST_MS && !isGap(last)) {
      return;
    }
    this.wantsHistory ||= last !== undefined && (isGap(last) || passed > GAP_MS || passed < 0);
    this.append(point);
  }

  /** Nothing is known of now. */
  addGap(milliseconds) {
    const last = this.all.at(-1);
    if (last !== undefined && milliseconds > last.time_ms) {
      this.all.push({ time_ms: milliseconds });
      this.trim();
    }
  }

  /** What the server remembers takes the place of what was known of that time. */
  merge(history) {
    const points = pointsOf(history);
    const first = points[0]?.time_ms ?? Infinity;
    const newest = points.at(-1)?.time_ms ?? -Infinity;
    // A gap behind it is of before this report came: where there still is one, it is made anew.
    const later = this.all.filter((point) => point.time_ms > newest + CLOSEST_MS && !isGap(point));
    this.all = this.all.filter(({ time_ms }) => time_ms < first);
    [...points, ...later].forEach((point) => this.append(point));
    this.wantsHistory = false;
  }

  append(point) {
    const last = this.all.at(-1);
    if (last !== undefined && point.time_ms <= last.time_ms) {
      // The clock was put back: what lies ahead of it cannot be drawn.
      this.all = this.all.filter(({ time_ms }) => time_ms < point.time_ms);
    }
    const before = this.all.at(-1);
    const isNew = before !== undefined && !isGap(before) && !isGap(point);
    if (isNew && (point.started_ms !== before.started_ms || point.time_ms - before.time_ms > GAP_MS)) {
      this.all.push({ time_ms: (before.time_ms + point.time_ms) / 2 });
    }
    this.all.push(point);
    this.trim();
  }

  /** An hour is kept, however much of it is a gap. */
  trim() {
    const since = this.all.at(-1).time_ms - HOUR_MS;
    while (this.all[0].time_ms < since) {
      this.all.shift();
    }
  }
}
