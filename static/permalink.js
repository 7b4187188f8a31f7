/*
 * The way to a message: the address of the room with the number of the message behind it, `/tea#121`. It is looked for
 * through what the room holds, page by page.
 *
 * Knows the log, the lines and the address bar.
 */

import { lineOf } from "/assets/dressed.js";
import { log } from "/assets/log.js";
import { tell } from "/assets/page.js";

const SHOWN_MS = 3000;

let wanted; // The number that is still looked for.

function arrive(line) {
  wanted = undefined;
  log.scrolledTo(false);
  line.scrollIntoView({ block: "center" });
  line.classList.add("pointed");
  setTimeout(() => line.classList.remove("pointed"), SHOWN_MS);
}

export const permalink = {
  /** Asks for older messages; false if there are none. */
  askForOlder: () => false,

  /** Goes to the message whose number is in the address. */
  go() {
    const number = /^#(\d{1,15})$/.exec(location.hash)?.[1];
    wanted = number === undefined ? undefined : Number(number);
    this.look();
  },

  /** More lines are there than before. */
  look() {
    if (wanted === undefined) {
      return;
    }
    const line = lineOf(wanted);
    const oldest = log.oldest();
    if (line !== null) {
      arrive(line);
    } else if (oldest !== undefined && (oldest < wanted || !this.askForOlder())) {
      wanted = undefined;
      tell("hint", "This message is not kept any more, or is none.");
    }
  },

  listen() {
    addEventListener("hashchange", () => this.go());
  },
};
