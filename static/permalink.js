/*
 * The way to a message: the address of the room with the number of the message behind it, `/tea#121`. It is looked for
 * through what the room holds, page by page.
 *
 * Knows the log, the lines and the address bar.
 */

import { lineOf } from "/assets/dressed.js";
import { log } from "/assets/log.js";
import { byId, tell } from "/assets/page.js";

const SHOWN_MS = 3000;

let wanted; // The number that is looked for.
let asked; // The number before which was asked last.
let pointed = 0;

function seek(number) {
  wanted = number;
  log.isSought = number !== undefined;
}

function arrive(line) {
  seek(undefined);
  log.scrolledTo(false);
  line.scrollIntoView({ block: "center" });
  document.querySelector(".pointed")?.classList.remove("pointed");
  clearTimeout(pointed);
  line.classList.add("pointed");
  pointed = setTimeout(() => line.classList.remove("pointed"), SHOWN_MS);
}

function giveUp() {
  seek(undefined);
  log.scrolled();
  tell("hint", "This message is not kept any more, or is none.");
}

/** A link to a message that is followed again does not change the address; the browser would tell nothing. */
function clicked({ target }) {
  const link = target.closest("a.answered[href]");
  if (link !== null && link.hash === location.hash) {
    permalink.go();
  }
}

export const permalink = {
  /** Asks for older messages; false if there are none. */
  askForOlder: () => false,

  /** Goes to the message whose number is in the address. */
  go() {
    const number = /^#(\d{1,15})$/.exec(location.hash)?.[1];
    seek(number === undefined ? undefined : Number(number));
    asked = undefined;
    this.look();
  },

  /** More lines are there than before; or none, if the room holds nothing. */
  look(isAnswered = false) {
    if (wanted === undefined) {
      return;
    }
    const line = lineOf(wanted);
    const oldest = log.oldest();
    const isAtEnd = isAnswered && oldest === asked; // What came has no lines, or nothing came.
    if (line !== null) {
      arrive(line);
    } else if (isAtEnd || (oldest !== undefined && (oldest < wanted || !this.askForOlder()))) {
      giveUp();
    } else {
      asked = oldest;
    }
  },

  listen() {
    addEventListener("hashchange", () => this.go());
    byId("log").addEventListener("click", clicked);
  },
};
