/*
 * What a screen reader says of the room: each line that is new, once. The log itself is silent (aria-live is off): what
 * was said before would be read out when it is put in, and one's own messages twice, on their way and come back.
 *
 * Knows the lines that the log shows.
 * Ids: #heard (the live region, not drawn) #log (aria-busy while older messages are awaited)
 */

import { byId } from "/assets/page.js";

const AT_ONCE_MAX = 5; // Of more, nobody could follow the reading.
const KEPT = 20; // Long enough for a slow voice; of what is removed nothing is said.

const heard = byId("heard");

/** A line as it is heard: without its time. */
function spoken(line) {
  const text = line.querySelector(".text")?.textContent ?? "";
  const who = line.querySelector(".who")?.textContent;
  if (who === undefined) {
    return text;
  }
  return line.classList.contains("mine") ? `Sent: ${text}` : `${who}: ${text}`;
}

export const announcer = {
  /** Lines that have just come. */
  lines(lines) {
    const words = lines.map((line) => ({ seq: line.dataset.seq, text: spoken(line) })).filter(({ text }) => text !== "");
    const told = words.length > AT_ONCE_MAX ? [{ text: `${words.length} new messages` }] : words;
    heard.append(...told.map(({ seq, text }) => Object.assign(document.createElement("p"), { textContent: text, seq })));
    while (heard.childElementCount > KEPT) {
      heard.firstElementChild.remove();
    }
  },

  /** This message was taken back. */
  forget(seq) {
    [...heard.children].filter((paragraph) => paragraph.seq === String(seq)).forEach((paragraph) => paragraph.remove());
  },

  /** Whether older messages are on their way into the log. */
  busy(isBusy) {
    byId("log").setAttribute("aria-busy", String(isBusy));
  },
};
