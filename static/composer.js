/*
 * What you say: why it cannot be sent now, what is on its way, and what was not sent.
 *
 * Knows the connection, which says it, and the log, which shows it from the first moment on.
 * Ids: #composer #message #send #hint (why it was not sent)
 */

import { connection } from "/assets/connection.js";
import { log } from "/assets/log.js";
import { accepted, byId, tell } from "/assets/page.js";

const message = byId("message");

/** Why `text` cannot be sent now, or nothing. */
function refusal(text) {
  const excess = connection.size(text) - connection.limits.message;
  if (text.trim() === "") {
    return "There is nothing to send yet. Write something first.";
  }
  if (excess > 0) {
    return `This is too long by ${excess.toLocaleString("en")} bytes. Please send it in parts.`;
  }
  return connection.phase === "disconnected" ? "Not connected. Your text stays here until you connect." : "";
}

export const composer = {
  /** Lines of one's own messages that are acknowledged and have not come back yet, by number. */
  acknowledged: new Map(),

  /** Whether one may write, which the page knows; if not yet, it does what it is given as soon as one may. */
  mayWrite: () => true,

  submit(event) {
    event?.preventDefault();
    const text = message.value;
    if (accepted("message", "hint", refusal(text)) && this.mayWrite(() => this.submit())) {
      message.value = "";
      this.send(text);
      this.goToNewest();
    }
  },

  pressed(event) {
    // While an input method composes, Enter chooses a word. Safari ends composing first and tells by 229 alone.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !composing) {
      this.submit(event);
    }
  },

  send(text) {
    const entry = connection.say(text);
    const { id, name } = connection.you;
    entry.line = log.pending(text, { id, name: name || connection.name || "You" });
  },

  /** The server has accepted what was said. */
  acknowledge({ seq, entry }) {
    if (entry?.line === undefined) {
      return;
    }
    if (seq <= connection.seq) {
      log.flush();
      entry.line.remove(); // It has come back already.
    } else {
      this.acknowledged.set(seq, entry.line);
    }
  },

  /** A message has come back: its line while it was on its way, if it has one. */
  cameBack(seq) {
    const line = this.acknowledged.get(seq);
    this.acknowledged.delete(seq);
    return line;
  },

  /** Numbers begin anew: what was acknowledged does not come back. */
  countAnew() {
    this.acknowledged.forEach((line) => { line.dataset.state = "sent"; });
    this.acknowledged.clear();
  },

  /** The server has ended the connection because of the last message: sent again, it would end the next one too. */
  giveBackLast() {
    const last = connection.lastUnderWay();
    if (last !== undefined) {
      this.fail(last, "it was too long for the server");
      message.value = message.value === "" ? last.text : message.value;
    }
  },

  /** Marks a message that will not be sent; a click on it sends it anew. */
  fail(entry, why) {
    connection.forget(entry);
    const { line, text } = entry;
    line.dataset.state = "failed";
    line.title = why;
    const again = document.createElement("button");
    again.type = "button";
    again.className = "again";
    again.textContent = "Send again";
    again.addEventListener("click", () => {
      line.remove();
      this.send(text);
    });
    line.append(again);
    tell("hint", `Not sent: ${why}`);
  },

  goToNewest() {
    log.toBottom();
    message.focus();
  },

  /** Where one can write at once; on a phone this would cover half of the page with a keyboard. */
  focusUnlessPhone() {
    if (!matchMedia("(pointer: coarse)").matches) {
      message.focus();
    }
  },
};
