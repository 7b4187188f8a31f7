/*
 * The rooms of this browser beside each other, with what is new in each of them.
 *
 * The page has one connection, and the server tells nothing of other rooms: the counts are what the other tabs of this
 * browser have heard while nobody looked at them. Each tab writes down, for its room, up to which number it has
 * counted and how many messages nobody has seen (localStorage), and hears of what the others write. A room that is
 * open in no tab has the count with which its last tab was left; one of which nothing is known has none.
 *
 * Knows the rooms of the last visits, and whether the tab is in view.
 * Ids: #rail #rail-list #rail-more #recent (links of which get their counts too)
 */

import { byId, on } from "/assets/page.js";
import { room, rooms } from "/assets/visitor.js";

const PREFIX = "wsloop.unseen.";
const WRITE_EVERY_MS = 300; // A busy room would keep the disk busy.
const SHOWN_MAX = 99;

/** What is known of a room: the numbers' epoch, the number up to which was counted, and how many are unseen. */
function recall(name) {
  try {
    const { epoch, seq, unseen } = JSON.parse(localStorage.getItem(PREFIX + name)) ?? {};
    const isWhole = typeof epoch === "string" && Number.isSafeInteger(seq) && Number.isSafeInteger(unseen);
    return isWhole ? { epoch, seq, unseen: Math.max(0, unseen) } : undefined;
  } catch {
    return undefined; // A browser may forbid the storage; then nothing is known.
  }
}

function remember(name, known) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(known));
  } catch {
    // As above.
  }
}

/** Forgets rooms that are no longer among those of the last visits. */
function forgetOthers(names) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    keys.filter((key) => !names.includes(key.slice(PREFIX.length))).forEach((key) => localStorage.removeItem(key));
  } catch {
    // As above.
  }
}

/** Shows at a link how many messages of its room nobody has seen, if some are known. */
function count(link, name) {
  const unseen = name === room ? 0 : (recall(name)?.unseen ?? 0);
  link.dataset.unseen = unseen === 0 ? "" : unseen > SHOWN_MAX ? `${SHOWN_MAX}+` : String(unseen);
  unseen === 0 ? link.removeAttribute("aria-label") : link.setAttribute("aria-label", `${name}, ${unseen} new`);
}

export const rail = {
  epoch: "",
  seq: 0,
  heard: [], // The numbers of messages that are not counted yet.
  timer: 0,

  listen() {
    on("rail-more", "click", () => rooms.open());
    addEventListener("storage", ({ key }) => (key === null || key.startsWith(PREFIX) || key === rooms.key) && this.show());
    document.addEventListener("visibilitychange", () => this.count());
    addEventListener("pagehide", () => this.count());
    this.show();
  },

  /** Something has happened in the room. */
  after(event) {
    if (event.type === "welcome") {
      Object.assign(this, { epoch: event.epoch, heard: event.epoch === this.epoch ? this.heard : [] });
      this.seq = event.recovered ? this.seq : event.seq;
      this.count();
      this.show();
    } else if (event.type === "say") {
      this.seq = event.seq;
      this.heard.push(event.seq);
      this.timer ||= setTimeout(() => this.count(), WRITE_EVERY_MS);
    }
  },

  /** Writes down what was heard: seen, if somebody looks; else counted, unless another tab has counted it. */
  count() {
    clearTimeout(this.timer);
    this.timer = 0;
    const heard = this.heard.splice(0);
    const before = recall(room);
    const isKnown = before?.epoch === this.epoch;
    if (this.epoch === "" || (document.hidden && heard.length === 0)) {
      return;
    }
    const counted = isKnown ? before.seq : 0;
    const seq = Math.max(this.seq, counted);
    const news = heard.filter((one) => one > counted).length;
    const unseen = document.hidden ? (isKnown ? before.unseen : 0) + news : 0;
    if (!isKnown || before.seq !== seq || before.unseen !== unseen) {
      remember(room, { epoch: this.epoch, seq, unseen });
    }
  },

  show() {
    const names = rooms.all();
    forgetOthers(names);
    byId("rail-list").replaceChildren(...names.map((name) => {
      const item = document.createElement("li");
      const link = rooms.linkTo(name);
      count(link, name);
      if (name === room) {
        link.setAttribute("aria-current", "page");
      }
      item.append(link);
      return item;
    }));
    byId("recent").querySelectorAll("a").forEach((link) => count(link, link.textContent));
  },
};
