/*
 * What you say: why it cannot be sent now, what is on its way, and what was not sent.
 *
 * Knows the connection, which says it, the log, which shows it from the first moment on, and what is kept of it.
 * Ids: #composer #message #send #hint (why it was not sent) #about #about-words #about-end (what an answer or an edit is
 * of). Makes .remedies in the line of what was not sent.
 */

import { obey } from "/assets/commands.js";
import { connection } from "/assets/connection.js";
import { excerpt, lineOf, quoted } from "/assets/dressed.js";
import { kept } from "/assets/kept.js";
import { log } from "/assets/log.js";
import { accepted, byId, tell } from "/assets/page.js";
import { writing } from "/assets/writing.js";

const SENT_BLINDLY_MAX_MS = 570_000; // What is older than what the server remembers is not sent unasked.
const KEEP_SOON_MS = 250;

const message = byId("message");

/** By how many bytes it is too long, as a message or an answer, or as an edit. */
function excess(text, { kind, seq } = {}) {
  const change = kind === "edit" ? { type: "edit", seq, text } : undefined;
  return connection.size(text, { re: seq, change }) - connection.limits.message;
}

const tooLong = (text, about) => `too long by ${excess(text, about).toLocaleString("en")} bytes`;

/** Why `text` cannot be sent now, or nothing. */
function refusal(text, about) {
  if (text.trim() === "" && about.kind === "edit") {
    return "A message cannot be empty. To take it back, cancel this and delete it.";
  }
  if (text.trim() === "") {
    return "There is nothing to send yet. Write something first.";
  }
  if (excess(text, about) > 0) {
    return `This is ${tooLong(text, about)}. Please send it in parts.`;
  }
  return connection.phase === "disconnected" ? "Not connected. Your text stays here until you connect." : "";
}

/** Why it was not sent, by the code of the server or of the connection. */
function failure(entry, why = entry.why) {
  const { text, at } = entry;
  switch (why) {
    case "too_long":
      return text !== undefined && excess(text) > 0 ? `it is ${tooLong(text)}` : "it is too long for this server";
    case "too_old":
      return `it is of ${new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}, and may not have arrived`;
    case "unavailable":
      return "the server cannot keep messages at the moment";
    case "bad_seq":
    case "not_held":
      return "the message is not kept any more, or is deleted";
    case "too_many":
      return entry.change?.type === "edit" ? "this message was edited too often" : "there are too many reactions here";
    case "rate":
      return "you send faster than this server allows";
    default:
      return "the server did not take it";
  }
}

function button(words, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = words;
  element.addEventListener("click", action);
  return element;
}

/** What it is about, as it is now; a message may have left the page meanwhile. */
function wordsOf({ kind, seq }) {
  const line = kind === undefined ? null : lineOf(seq);
  switch (kind) {
    case "answer":
      return `Answer to ${line === null ? `message ${seq}` : quoted(line)}`;
    case "edit":
      return `Edit: ${line === null ? `message ${seq}` : excerpt(line.source)}`;
    default:
      return "";
  }
}

export const composer = {
  /** Lines of one's own messages that are acknowledged and have not come back yet, by number. */
  acknowledged: new Map(),
  /** What was not sent, and waits for what its writer decides. */
  failed: new Set(),
  keeper: 0,
  /** What is written is an answer, or an edit: { kind, seq }; `before` an edit, what was written, and what it was about. */
  about: {},

  /** Whether one may write, which the page knows; if not yet, it does what it is given as soon as one may. */
  mayWrite: () => true,

  submit(event) {
    event?.preventDefault();
    const text = message.value;
    const isCommand = text.startsWith("/") && this.about.kind !== "edit";
    const order = isCommand ? obey(text) : { text };
    const why = order.refusal || (order.text === undefined ? "" : refusal(order.text, this.about));
    const mayWrite = () => order.text === undefined || this.mayWrite(() => this.submit());
    if (accepted("message", "hint", why) && mayWrite()) {
      message.value = "";
      order.text === undefined || this.put(order.text);
      this.keep();
      this.goToNewest();
    }
  },

  pressed(event) {
    // While an input method composes, Enter chooses a word. Safari ends composing first and tells by 229 alone.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !composing) {
      this.submit(event);
    } else if (event.key === "Escape" && !composing && this.about.kind !== undefined && !event.defaultPrevented) {
      this.cancel();
    } else if (event.key === "ArrowUp" && message.value === "" && this.about.kind !== "edit" && !event.defaultPrevented) {
      const own = [...byId("log").querySelectorAll(".mine[data-seq]:not([data-deleted])")].at(-1);
      if (own !== undefined) {
        event.preventDefault();
        this.correct(own);
      }
    }
  },

  written() {
    tell("hint", "");
    writing.written(message.value);
    this.keepSoon();
  },

  send(text, re) {
    this.show(connection.say(text, re));
  },

  /* ---- What it is about ---- */

  /** What is written next answers the message of this line. */
  answer(line) {
    this.about.kind === "edit" && this.end();
    this.begin({ kind: "answer", seq: Number(line.dataset.seq) });
  },

  /** What is in the box takes the place of what this line says. */
  correct(line) {
    const before = this.about.before ?? { draft: message.value, about: this.about };
    this.begin({ kind: "edit", seq: Number(line.dataset.seq), before });
    message.value = line.source;
  },

  begin(about) {
    this.about = about;
    this.showAbout();
    tell("hint", "");
    message.focus();
  },

  showAbout() {
    tell("about-words", wordsOf(this.about));
    byId("about").hidden = this.about.kind === undefined;
  },

  /** This message has another text, or none any more. */
  changed(seq, isDeleted) {
    if (this.about.before?.about.seq === seq && isDeleted) {
      this.about.before.about = {};
    }
    if (this.about.seq !== seq) {
      return;
    }
    if (isDeleted) {
      this.end();
      tell("hint", "The message that this was about is deleted.");
    } else {
      this.showAbout();
    }
  },

  /** It is about nothing in particular any more; what was written before an edit is back. */
  end() {
    const { before } = this.about;
    this.about = before?.about ?? {};
    message.value = before?.draft ?? message.value;
    this.showAbout();
    tell("hint", "");
    this.keep();
  },

  cancel() {
    this.end();
    message.focus();
  },

  /** Says it, or makes of it what it is about. */
  put(text) {
    const { kind, seq } = this.about;
    const isSame = kind === "edit" && lineOf(seq)?.source === text;
    this.end();
    if (kind === "edit") {
      isSame || connection.edit(seq, text);
      isSame || this.promise();
    } else {
      this.send(text, seq);
    }
  },

  /** What is done while there is no connection is not seen at once. */
  promise() {
    connection.phase === "connected" || tell("hint", "Not connected. It is done as soon as you are.");
  },

  show(entry) {
    const { id, name } = connection.you;
    entry.line = log.pending(entry, { id, name: name || connection.name || "You" });
  },

  /* ---- What outlives the page ---- */

  /** A page that goes keeps it at once; to write it all for each acknowledgement would be slow. */
  keepSoon() {
    this.keeper ||= setTimeout(() => this.keep(), KEEP_SOON_MS);
  },

  keep() {
    clearTimeout(this.keeper);
    this.keeper = 0;
    const said = connection.unsent.filter(({ change }) => change === undefined);
    const entries = [...this.failed, ...said].sort((one, other) => one.at - other.at);
    // An edit that is begun is no draft: as a message it would be said twice.
    const draft = this.about.before?.draft ?? message.value;
    kept.write(draft, entries.map(({ ref, text, re, epoch, at, sentAt, why }) => ({ ref, text, re, epoch, at, sentAt, why })));
  },

  /** Takes over what pages of this room that have gone have left: it is sent, or if it is old, shown. */
  restore() {
    const { draft, entries } = kept.claim(message.value === "");
    message.value ||= draft;
    for (const stored of entries) {
      const isOld = Date.now() - stored.at > SENT_BLINDLY_MAX_MS;
      if (stored.why !== undefined || isOld) {
        this.show(stored);
        this.fail(stored, stored.why ?? "too_old");
      } else {
        this.show(connection.sayAgain(stored));
      }
    }
    this.keep();
  },

  /** Whether something would be lost with the page. */
  wouldLose() {
    const isChange = ({ change }) => change !== undefined; // They are not stored.
    return connection.unsent.some(isChange) || (!kept.isStored && connection.unsent.length + this.failed.size > 0);
  },

  /* ---- What becomes of it ---- */

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
    this.about = {}; // What is written stays.
    this.showAbout();
  },

  /** Marks a message that will not be sent as it is, and says in its line why, and what can be done. */
  fail(entry, code) {
    if (entry.change !== undefined) {
      this.takeBack(entry.change, code);
      tell("hint", `Not done: ${failure(entry, code)}.`);
      return;
    }
    entry.why = code;
    this.failed.add(entry);
    const { line, text, re } = entry;
    line.dataset.state = "failed";
    const remedies = document.createElement("span");
    remedies.className = "remedies";
    const words = document.createElement("span");
    words.textContent = `Not sent: ${failure(entry)}.`;
    remedies.append(words);
    const isOfNothing = code === "bad_seq" || code === "not_held"; // What it answers is not there any more.
    if (code !== "too_long") {
      remedies.append(button("Send again", () => this.settle(entry, () => this.send(text, isOfNothing ? undefined : re))));
    }
    remedies.append(button("Edit", () => this.settle(entry, () => this.edit(text))));
    remedies.append(button("Discard", () => this.settle(entry, () => message.focus())));
    line.append(remedies);
    log.grown();
    tell("hint", words.textContent);
    this.keep();
  },

  /** The text of an edit that was not made is in the box again. */
  takeBack({ type, seq, text }, code) {
    const line = lineOf(seq);
    if (type === "edit" && code !== "not_held" && line !== null && this.about.kind === undefined) {
      this.correct(line);
      message.value = text;
    } else if (type === "edit") {
      this.edit(text);
    }
  },

  /** Something is done about what was not sent. */
  settle(entry, remedy) {
    this.failed.delete(entry);
    entry.line.remove();
    tell("hint", "");
    remedy();
    this.keep();
  },

  /** Back into the box, before what is being written there. */
  edit(text) {
    message.value = message.value === "" ? text : `${text}\n${message.value}`;
    message.focus();
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
