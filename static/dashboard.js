/*
 * The operators' page: asks /stats once a second and shows what it says, or why it says nothing and since when. What
 * it shows is text and plots.
 *
 * Knows /stats and /stats/history, and who shows what they say.
 * Ids: #status (data-state: waiting, refused, lost, or what the server says of itself); body has data-stale while the
 * figures are old
 */

import { clock } from "/assets/dashboard-formats.js";
import { Points, pointOf } from "/assets/dashboard-points.js";
import { showPoints, startPlots } from "/assets/dashboard-plots.js";
import { showReport, showVerdict } from "/assets/dashboard-figures.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const HISTORY_PAUSE_MS = 60_000;

/** The server answered, and not with a report. */
class Refused extends Error {}

const points = new Points();
/** When the last report came, and since when none does, by the reader's clock. */
let reported = null;
let failing = null;
/** How far the server's clock is ahead of the reader's. */
let ahead = 0;
/** From when on the history may be asked for, by the reader's clock, and for how long not after another failure. */
let [historyAt, historyPause] = [0, EVERY_MS];

async function load(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (!answer.ok) {
    const text = await answer.text();
    throw new Refused(`${answer.status} ${answer.statusText}: ${text.trim().slice(0, 200)}`);
  }
  return answer.json();
}

function setStatus(state, text, isStale) {
  const status = document.getElementById("status");
  status.dataset.state = state;
  if (status.textContent !== text) {
    status.textContent = text;
  }
  document.body.dataset.stale = isStale ? "yes" : "no";
}

function succeed(now) {
  [reported, failing] = [Date.now(), null];
  ahead = now.loop.now_ms - reported;
  points.add(pointOf(now));
  showPoints(points.all);
  showReport(now);
  const since = now.loop.started_ms === null ? "" : ` since ${clock(now.loop.started_ms)}`;
  setStatus(now.state, `${now.state}${since}, version ${now.version}`, false);
}

/** Old figures are not shown as if they were of now. */
function fail(error) {
  failing ??= Date.now();
  points.addGap(Date.now() + ahead);
  showPoints(points.all);
  const figures = reported === null ? "" : `; the figures are of ${clock(reported)}`;
  if (error instanceof Refused) {
    setStatus("refused", `refused since ${clock(failing)} with ${error.message}${figures}`, true);
  } else {
    setStatus("lost", `no report since ${clock(failing)}: ${error.message}${figures}`, true);
  }
  showVerdict("unknown", [document.getElementById("status").textContent]);
}

async function ask() {
  try {
    succeed(await load("/stats"));
    askHistory();
  } catch (error) {
    fail(error);
  }
  setTimeout(ask, EVERY_MS);
}

/** The reports go on without it: it only draws what was before them. */
async function askHistory() {
  if (!points.wantsHistory || Date.now() < historyAt) {
    return;
  }
  historyAt = Infinity;
  try {
    points.merge(await load("/stats/history"));
    showPoints(points.all);
    [historyAt, historyPause] = [0, EVERY_MS];
  } catch {
    historyAt = Date.now() + historyPause;
    historyPause = Math.min(2 * historyPause, HISTORY_PAUSE_MS);
  }
}

startPlots();
ask();
