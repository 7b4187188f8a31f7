/*
 * What a message's line has beside its text: what the message answers, what has become of it, and the reactions.
 *
 * Knows lines and how a text is shown, and nothing of where changes come from.
 * Makes in a .line.say: a.answered (href: the number), .reactions of button.reaction (data-emoji, aria-pressed: one's own
 * is among them); data-edited, data-deleted. Keeps at the line: source (the text as it was written), answered, reactions, mine.
 */

import { known } from "/assets/known.js";
import { rendered } from "/assets/rendered.js";

const EXCERPT_MAX = 80;

/** The beginning of a text, in one line. */
export function excerpt(text) {
  const line = text.replace(/\s+/gu, " ").trim();
  const characters = [...line];
  return characters.length > EXCERPT_MAX ? `${characters.slice(0, EXCERPT_MAX).join("")}…` : line;
}

/** The line of this number, if it is on the page. */
export const lineOf = (seq) => document.querySelector(`#log [data-seq="${Number(seq)}"]`);

/** Who has said the message of a line, and how it begins. */
export function quoted(line) {
  return `${line.querySelector(".who").textContent}: ${excerpt(line.source)}`;
}

function answered(re) {
  const link = document.createElement("a");
  link.className = "answered";
  link.href = `#${Number(re)}`;
  link.tabIndex = -1;
  return link;
}

/** What is answered can come to the page after its answer, and change there: says it as it is now. */
export function quoteAnew(links) {
  for (const link of links) {
    const seq = link.getAttribute("href").slice(1);
    const of = lineOf(seq);
    const isGone = of !== null && of.dataset.deleted !== undefined;
    link.textContent = isGone ? "a deleted message" : of === null ? `message ${seq}` : quoted(of);
  }
}

/** The links of the answers to this number. */
export const answersTo = (seq) => document.querySelectorAll(`#log a.answered[href="#${Number(seq)}"]`);

export function setText(line, text) {
  line.source = text;
  line.querySelector(".text").replaceChildren(...rendered(known.parse(text)));
  const isMeant = line.classList.contains("theirs") && line.querySelector(".text .mention.me") !== null;
  line.classList.toggle("mentions-me", isMeant);
}

/** Its writer has given it another text. */
export function markEdited(line) {
  line.dataset.edited = "";
}

/** It was taken back: nothing of what it said is left on the page. */
export function blank(line) {
  line.source = "";
  line.dataset.deleted = "";
  line.classList.remove("mentions-me");
  delete line.dataset.edited;
  line.querySelector(".answered")?.remove();
  line.querySelector(".text").replaceChildren("This message was deleted.");
  line.reactions.clear();
  showReactions(line);
}

function reactionButton(emoji) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reaction";
  button.dataset.emoji = emoji;
  button.tabIndex = -1;
  return button;
}

/** Those that are there already stay the same elements: one of them may have the focus, or be pressed just now. */
export function showReactions(line) {
  let box = line.querySelector(".reactions");
  if (box === null) {
    box = document.createElement("div");
    box.className = "reactions";
  }
  const before = new Map([...box.children].map((button) => [button.dataset.emoji, button]));
  for (const [emoji, count] of line.reactions) {
    const button = before.get(emoji) ?? reactionButton(emoji);
    button.setAttribute("aria-pressed", String(line.mine.has(emoji)));
    button.textContent = `${emoji} ${count}`;
    before.delete(emoji) || box.append(button);
  }
  const hadFocus = [...before.values()].includes(document.activeElement);
  before.forEach((button) => button.remove());
  hadFocus && line.focus();
  line.reactions.size === 0 ? box.remove() : box.isConnected || line.append(box);
}

/** A line that is there already shows its message as it stands: what became of it may have been missed. */
export function redress(line, { text, edited, deleted, reactions = {}, mine = [] }) {
  if (deleted !== undefined) {
    blank(line);
    return;
  }
  if (line.source !== text) {
    setText(line, text);
  }
  if (edited !== undefined) {
    markEdited(line);
  }
  Object.assign(line, { reactions: new Map(Object.entries(reactions)), mine: new Set(mine) });
  showReactions(line);
}

/** Gives a new line what its message has. */
export function dress(line, { text, re, edited, deleted, reactions = {}, mine = [] }) {
  Object.assign(line, { source: text, reactions: new Map(Object.entries(reactions)), mine: new Set(mine) });
  if (deleted !== undefined) {
    blank(line);
    return;
  }
  if (re !== undefined) {
    line.answered = answered(re);
    line.querySelector(".text").before(line.answered);
  }
  if (edited !== undefined) {
    markEdited(line);
  }
  showReactions(line);
}
