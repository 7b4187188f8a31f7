/*
 * One paragraph of the log: a message as a line, or the page's own words. What comes from others is put there as
 * text, never as HTML; rendered.js makes the elements that a message has.
 *
 * Knows what it is given, whom a message can mention, and the clock and the calendar of the reader.
 * Makes .line.say (an article; .mine or .theirs, .mentions-me, data-seq, data-state: sending, sent, failed; with the
 * face of who says it), and paragraphs of other classes.
 */

import { dress } from "/assets/dressed.js";
import { putFace } from "/assets/faces.js";
import { known } from "/assets/known.js";
import { rendered } from "/assets/rendered.js";

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

/** A paragraph of parts: the class and the text of each. */
export function paragraph(className, parts) {
  const element = document.createElement("p");
  element.className = className;
  element.append(...parts.map(([name, text]) => span(name, text)));
  return element;
}

/** A message's line and its text may hold blocks, which a paragraph cannot. */
function block(className, ...children) {
  const element = document.createElement("div");
  element.className = className;
  element.append(...children);
  return element;
}

const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const two = (number) => String(number).padStart(2, "0");
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
const dayOf = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** A day, `YYYY-MM-DD`, as the reader writes it. */
export function dayWords(day) {
  const date = new Date(`${day}T00:00:00`);
  const shown = date.toLocaleDateString(undefined, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
  return day === dayOf(new Date()) ? `Today, ${shown}` : shown;
}

/** The time of a message: drawn short, as the reader writes it; read out and copied as `HH:MM:SS `. */
function timeOf(date) {
  const element = document.createElement("time");
  element.className = "time";
  element.dateTime = date.toISOString();
  element.title = whole.format(date);
  element.dataset.short = short.format(date);
  element.append(span("unseen", `${clock(date)} `));
  return element;
}

/** A message as a line: `HH:MM:SS WHO say: TEXT`. */
export function messageLine(message) {
  const { time, from, text, seq, isMine, state } = message;
  const date = new Date(time);
  const head = [timeOf(date), span("who", from.name), span("unseen", " say: ")];
  const element = block("line say", ...head, block("text", ...rendered(known.parse(text))));
  element.setAttribute("role", "article");
  element.classList.add(isMine ? "mine" : "theirs");
  element.classList.toggle("mentions-me", !isMine && element.querySelector(".mention.me") !== null);
  putFace(element, from.name);
  element.dataset.day = dayOf(date);
  element.dataset.turn = `${clock(date).slice(0, 5)} ${from.id}`;
  if (seq !== undefined) {
    element.dataset.seq = seq;
  }
  if (state !== undefined) {
    element.dataset.state = state;
  }
  dress(element, message);
  return element;
}
