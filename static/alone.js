/*
 * What is shown while nobody else is here and nothing was said: how to get company, and what a room keeps.
 *
 * Knows the connection, which says who is here, and the room's link and how it is copied.
 * Ids: #alone #alone-link #alone-copy #alone-hint #alone-kept
 */

import { connection } from "/assets/connection.js";
import { byId, on, tell } from "/assets/page.js";
import { rooms } from "/assets/visitor.js";

/** What the server keeps; how long is the same on all (PROTOCOL.md, Resuming). */
function keptWords(history) {
  if (history === undefined) {
    return "";
  }
  const messages = history === 1 ? "The last message is" : `The last ${history.toLocaleString("en")} messages are`;
  return history === 0
    ? "Nothing is kept: who comes later does not see what was said."
    : `${messages} kept for those who come later, and for ten minutes after the last one has left.`;
}

export const alone = {
  isEmpty: false, // It is known that nothing was said.

  listen() {
    byId("alone-link").value = rooms.link();
    on("alone-copy", "click", () => rooms.copyLink("alone-link", "alone-hint"));
  },

  /** Something has happened in the room, and the people know it. */
  after(event) {
    if (event.type === "welcome") {
      tell("alone-kept", keptWords(event.limits?.history));
    }
    if (event.type === "history" && byId("log").querySelector(".say") === null) {
      this.isEmpty = event.messages.length === 0;
    } else if (event.type === "say" || event.type === "data") {
      this.isEmpty = false;
    }
    const isAlone = this.isEmpty && connection.people.count === 1;
    if (isAlone === byId("alone").hidden) {
      tell("alone-hint", "");
      byId("alone").hidden = !isAlone;
    }
  },
};
