/*
 * What a message's line has beside its text: what the message answers, what has become of it, and the reactions.
 *
 * Knows lines and how a text is shown, and nothing of where changes come from.
 * Makes in a .line.say: a.answered (href: the number), .reactions of button.reaction (data-emoji, aria-pressed: one's own
 * is among them); data-edited, data-deleted. Keeps at the line: source (the text as it was written), reactions, mine.
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
  const of = lineOf(re);
  const link = document.createElement("a");
  link.className = "answered";
  link.href = `#${re}`;
  link.textContent = of === null || of.source === "" ? `message ${re}` : quoted(of);
  return link;
}

export function setText(line, text) {
  line.source = text;
  line.querySelector(".text").replaceChildren(...rendered(known.parse(text)));
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
  line.querySelector(".answered")?.remove();
  line.querySelector(".text").replaceChildren("This message was deleted.");
  line.reactions.clear();
  showReactions(line);
}

export function showReactions(line) {
  line.querySelector(".reactions")?.remove();
  if (line.reactions.size === 0) {
    return;
  }
  const box = document.createElement("div");
  box.className = "reactions";
  box.append(...[...line.reactions].map(([emoji, count]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reaction";
    button.dataset.emoji = emoji;
    button.tabIndex = -1;
    button.setAttribute("aria-pressed", String(line.mine.has(emoji)));
    button.textContent = `${emoji} ${count}`;
    return button;
  }));
  line.append(box);
}

/** Gives a new line what its message has. */
export function dress(line, { text, re, edited, deleted, reactions = {}, mine = [] }) {
  Object.assign(line, { source: text, reactions: new Map(Object.entries(reactions)), mine: new Set(mine) });
  if (deleted !== undefined) {
    blank(line);
    return;
  }
  if (re !== undefined) {
    line.querySelector(".text").before(answered(re));
  }
  if (edited !== undefined) {
    markEdited(line);
  }
  showReactions(line);
}
