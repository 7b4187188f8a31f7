// What the operators' page knows of the last hour, whatever the clock and the server do.

import assert from "node:assert/strict";
import test from "node:test";

import { isGap, pointOf, Points, rate } from "/assets/dashboard-points.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** When everything begins. */
const START = 1_790_000_000_000;

const at = (time_ms, started_ms = START, clients = 1) => ({ time_ms, started_ms, clients });

/** What is known after points of these times. */
function known(times) {
  const points = new Points();
  times.forEach((time) => points.add(at(time)));
  return points;
}

const every = (step, from, to) => Array.from({ length: Math.floor((to - from) / step) }, (_, index) => from + index * step);
/** Points as letters, to read: a gap is a "-". */
const drawn = ({ all }) => all.map((point) => (isGap(point) ? "-" : "x")).join("");

/** What holds whatever happened: times go up, no more than an hour is kept, nothing that is drawn lies far apart. */
function check({ all }) {
  all.slice(1).forEach((point, index) => assert.ok(point.time_ms > all[index].time_ms, "times go up"));
  assert.ok(all.length === 0 || all.at(-1).time_ms - all[0].time_ms <= HOUR, "an hour and no more");
  all.slice(1).forEach((point, index) => {
    const before = all[index];
    const isLine = !isGap(point) && !isGap(before);
    assert.ok(!isLine || (point.time_ms - before.time_ms <= 12_500 && point.started_ms === before.started_ms), "a line is what was known");
  });
}

function history(times, started_ms = START, figures = {}) {
  return { version: "1", started_ms, step_seconds: 5, time_ms: times, clients: times.map(() => 7), ...figures };
}

test("a point a second is a line, of an hour at most", () => {
  const points = known(every(SECOND, START, START + 2 * HOUR));
  check(points);
  assert.equal(points.all.length, 3601);
  assert.equal(drawn(points).includes("-"), false);
});

test("reports that come at nearly the same time are one", () => {
  assert.equal(drawn(known([START, START + 1, START + 499, START + 500])), "xx");
});

test("a clock that is put forward leaves a gap, and one that is put back forgets what lies ahead", () => {
  const forward = known([START, START + SECOND, START + 10 * MINUTE, START + 10 * MINUTE + SECOND]);
  check(forward);
  assert.equal(drawn(forward), "xx-xx");
  const back = known([START, START + SECOND, START + 2 * SECOND, START + SECOND + 1, START + 2 * SECOND + 1]);
  check(back);
  assert.equal(drawn(back), "xxxx");
  assert.equal(back.all.at(-1).time_ms, START + 2 * SECOND + 1);
  const farBack = known([START, START + SECOND]);
  farBack.wantsHistory = false;
  farBack.add(at(START - DAY));
  check(farBack);
  assert.equal(drawn(farBack), "x");
  assert.ok(farBack.wantsHistory);
});

test("a day without a report is a gap of an hour, and what comes behind it is drawn", () => {
  const points = known(every(SECOND, START, START + MINUTE));
  for (const time of every(SECOND, START + MINUTE, START + DAY)) {
    points.addGap(time);
  }
  check(points);
  assert.ok(points.all.length <= 3601, `${points.all.length} points`);
  assert.match(drawn(points), /^-+$/);
  points.wantsHistory = false;
  points.add(at(START + DAY));
  check(points);
  assert.match(drawn(points), /^-+x$/);
  assert.ok(points.wantsHistory, "what the server remembers is asked for");
});

test("a gap is nothing before the first report, and none of the past", () => {
  const points = new Points();
  points.addGap(START);
  assert.equal(drawn(points), "");
  points.add(at(START));
  points.addGap(START - SECOND);
  points.addGap(START);
  assert.equal(drawn(points), "x");
});

test("a restart is a gap, even within a second", () => {
  const points = known([START, START + SECOND]);
  points.add(at(START + 2 * SECOND, START + 1_500));
  check(points);
  assert.equal(drawn(points), "xx-x");
});

test("the history takes the place of what was known of its time, and keeps what is older and newer", () => {
  const points = known([START - 20 * SECOND, START - 10 * SECOND]);
  points.add(at(START + 2 * SECOND));
  points.add(at(START + 21 * SECOND));
  assert.ok(points.wantsHistory);
  points.merge(history(every(5 * SECOND, START, START + 20 * SECOND)));
  check(points);
  assert.equal(points.wantsHistory, false);
  assert.deepEqual(points.all.map(({ time_ms, clients }) => [(time_ms - START) / SECOND, clients]),
    [[-20, 1], [-10, 1], [0, 7], [5, 7], [10, 7], [15, 7], [21, 1]]);
});

test("the history fills an outage of the network, and leaves the one of the server", () => {
  const points = known([START, START + SECOND]);
  for (const time of every(SECOND, START + 2 * SECOND, START + 60 * SECOND)) {
    points.addGap(time);
  }
  points.add(at(START + 60 * SECOND));
  points.merge(history(every(5 * SECOND, START, START + 61 * SECOND)));
  assert.match(drawn(points), /^x+$/);
  const restarted = known([START, START + SECOND]);
  restarted.addGap(START + 2 * SECOND);
  restarted.add(at(START + 60 * SECOND, START + 30 * SECOND));
  restarted.merge(history(every(5 * SECOND, START + 30 * SECOND, START + 61 * SECOND), START + 30 * SECOND));
  check(restarted);
  assert.match(drawn(restarted), /^xx-+x+$/);
});

test("an empty history and one of before the page change nothing that is known", () => {
  const points = known([START, START + SECOND]);
  points.merge(history([]));
  assert.equal(drawn(points), "xx");
  points.merge(history([START - 10 * SECOND, START - 5 * SECOND]));
  check(points);
  assert.equal(drawn(points), "xxxx");
});

test("whatever comes, in whatever order, times go up and an hour is kept", () => {
  let seed = 1;
  const random = (below) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 40; round += 1) {
    const points = new Points();
    let [now, started] = [START, START];
    for (let step = 0; step < 60; step += 1) {
      now += [SECOND, SECOND, SECOND, 5 * SECOND, random(20) * MINUTE, -random(20) * MINUTE][random(6)];
      started = random(10) === 0 ? now : started;
      [() => points.add(at(now, started)), () => points.addGap(now), () => points.merge(history(every(5 * SECOND, now - random(HOUR), now), started))][random(3)]();
      check(points);
    }
  }
});

test("a rate is the growth a second, and none where it cannot be known", () => {
  const [first, second] = [{ ...at(START), sent: 10 }, { ...at(START + 2 * SECOND), sent: 30 }];
  assert.equal(rate(second, first, "sent"), 10);
  assert.equal(rate(first, undefined, "sent"), null);
  assert.equal(rate(second, { time_ms: START }, "sent"), null);
  assert.equal(rate({ time_ms: START + 3 * SECOND }, second, "sent"), null);
  assert.equal(rate({ ...second, sent: 0 }, first, "sent"), 0);
});

test("a report is a point, and where nothing was timed there is no time", () => {
  const none = { count: 0, p50: 0, p99: 0, max: 0 };
  const report = {
    loop: { now_ms: START, started_ms: START, cpu: 0.5, idle: 0.25 },
    clients: 2, websockets: 1, messages_received: 3, deliveries: { delivered: 4 }, sent_bytes: 5, buffered_bytes: 6,
    dropped: { queue_full: 1, skipped: 2, buffer_full: 3, stalled: 4 }, rejected: { full: 2, upgrade: 3 }, closed: { 1000: 1 },
    turn_us: { count: 9, p50: 10, p99: 20, max: 30 }, fanout_us: none, ping_us: none,
  };
  const point = pointOf(report);
  assert.deepEqual([point.turn_p99_us, point.turn_max_us, point.fanout_p99_us, point.ping_p99_us], [20, 30, null, null]);
  assert.deepEqual([point.cpu_permille, point.idle_permille, point.refused, point.closed, point.delivered], [500, 250, 5, 1, 4]);
  const points = new Points();
  points.merge(history([START], START, { ping_p99_us: [0], fanout_p99_us: [12], turn_p99_us: [3] }));
  const [{ ping_p99_us, fanout_p99_us, turn_p99_us, clients }] = points.all;
  assert.deepEqual([ping_p99_us, fanout_p99_us, turn_p99_us, clients], [null, 12, 3, 7]);
});
