/*
 * How the operators' page writes what it shows: numbers in the reader's own way, times of day in 24 hours and in the
 * reader's own zone, dates as 2026-11-21, which nobody takes for another day.
 *
 * Knows Intl and nothing else.
 */

const UNITS = ["B", "KiB", "MiB", "GiB"];
const DAY_S = 86_400;

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const fineShare = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const PARTS = { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const time = new Intl.DateTimeFormat("en", PARTS);
const shortTime = new Intl.DateTimeFormat("en", { ...PARTS, second: undefined });
// The parts of a day, put together in the order of ISO 8601.
const day = new Intl.DateTimeFormat("en", { year: "numeric", month: "2-digit", day: "2-digit" });

export const whole = (value) => number.format(value);

/** A share of one; below a tenth with a digit more. */
export const percent = (value) => (Math.abs(value) < 0.1 ? fineShare : share).format(value);

export function bytes(count) {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  return `${(unit === 0 ? number : tenth).format(count / 1024 ** unit)} ${UNITS[unit]}`;
}

/** A duration, given in microseconds. */
export function duration(microseconds) {
  if (microseconds < 1000) {
    return `${whole(microseconds)} µs`;
  }
  return microseconds < 1e6 ? `${tenth.format(microseconds / 1e3)} ms` : `${tenth.format(microseconds / 1e6)} s`;
}

/** How long something has gone on, by its two largest units. */
export function age(seconds) {
  const units = [["d", DAY_S], ["h", 3600], ["min", 60], ["s", 1]];
  const first = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  const left = seconds < 1 ? [["s", 1]] : units.slice(first, first + 2);
  return left.map(([unit, size], index) => `${Math.floor(index === 0 ? seconds / size : (seconds % left[0][1]) / size)} ${unit}`).join(" ");
}

function isoDay(milliseconds) {
  const parts = Object.fromEntries(day.formatToParts(milliseconds).map(({ type, value }) => [type, value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
}

/** A time of day, with its date if that is not today. */
export function clock(milliseconds) {
  const date = isoDay(milliseconds);
  return date === isoDay(Date.now()) ? time.format(milliseconds) : `${date} ${time.format(milliseconds)}`;
}

/** Times of an axis: without seconds where it has whole minutes only. */
export function ticks(seconds) {
  const written = seconds.every((second) => second % 60 === 0) ? shortTime : time;
  return seconds.map((second) => written.format(second * 1000));
}

/** A time to the minute, of a row of a table. */
export const minute = (milliseconds) => shortTime.format(milliseconds);
