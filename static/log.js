/*
 * The messages on the page: gathered, in order, with the days between them, and the reader's place among them.
 *
 * Knows lines, and nothing of where messages come from.
 * #log holds: .line (.say: see line.js; .event), .note for the page's own words, .day between two days, #first-new
 * above what came while nobody looked. #newer is shown while the newest message is out of sight.
 */

import { dayWords, messageLine, paragraph } from "/assets/line.js";
import { byId } from "/assets/page.js";

const LINES_MAX = 2000; // Older lines leave the page, so that a long evening does not slow it down.
const HIDDEN_FLUSH_MS = 250; // A hidden tab has no animation frames.
const AT_BOTTOM_PX = 48;
const AT_TOP_PX = 120;

const box = byId("log");
const newer = byId("newer");

/** Gathers what comes and adds it once a frame, so that a busy room does not freeze the page. */
export const log = {
  room: "",
  onOlder() {}, // The reader has come to the top.
  onNew() {}, // These lines have come, and are shown.
  waiting: [],
  scheduled: false,
  pinned: true, // The reader is at the bottom and wants to stay there.
  unseen: 0, // Messages below the part in view.
  unread: 0, // Messages since the tab was hidden.
  hasOtherCount: false, // Lines of before a restart of the server are there.
  width: 0,
  height: 0,

  /** A message that somebody said just now; it may take the place of a line that was on its way. */
  message(message, pending) {
    this.unseen += this.pinned ? 0 : 1;
    this.unread += document.hidden ? 1 : 0;
    const isFirstNew = document.hidden && this.unread === 1;
    if (isFirstNew) {
      this.queue(() => this.newMark());
    }
    this.queue(() => {
      pending?.remove();
      return messageLine(message);
    });
  },

  /** Somebody came, went, or is called something else. */
  event(text) {
    this.queue(() => paragraph("line event", [["text", text]]));
  },

  /** The page's own words. */
  note(text) {
    this.queue(() => paragraph("note", [["text", text]]));
  },

  /** One's own message before it is acknowledged; returns its line. */
  pending(text, from) {
    this.flush();
    const element = messageLine({ time: Date.now(), from, text, isMine: true, state: "sending" });
    box.append(element);
    this.toBottom();
    return element;
  },

  queue(make) {
    this.waiting.push(make);
    if (this.waiting.length >= 2 * LINES_MAX) {
      this.waiting = this.waiting.slice(-LINES_MAX);
    }
    if (!this.scheduled) {
      this.scheduled = true;
      const flush = () => this.flush();
      document.hidden ? setTimeout(flush, HIDDEN_FLUSH_MS) : requestAnimationFrame(flush);
    }
  },

  flush() {
    this.scheduled = false;
    const made = this.waiting.slice(-LINES_MAX).map((make) => make());
    this.waiting = [];
    const fragment = document.createDocumentFragment();
    // Own messages that are on their way stay below.
    const pending = box.querySelector('[data-state="sending"]');
    let last = pending === null ? box.lastElementChild : pending.previousElementSibling;
    for (const element of made) {
      last = this.follow(fragment, last, element);
    }
    box.insertBefore(fragment, pending);
    this.onNew(made);
    while (box.childElementCount > LINES_MAX) {
      box.firstElementChild.remove();
    }
    // The first line says who speaks, even if the one that it followed is gone.
    box.firstElementChild?.classList.remove("follows");
    this.pinned ? this.toBottom() : this.showCounts();
  },

  /** Adds a line behind another, with the day between them if there is a new one. */
  follow(fragment, before, element) {
    const { day, turn } = element.dataset;
    if (day !== undefined && day !== this.lastDay) {
      this.lastDay = day;
      before = null;
      fragment.append(paragraph("day", [["text", dayWords(day)]]));
    }
    element.classList.toggle("follows", turn !== undefined && before?.dataset.turn === turn);
    fragment.append(element);
    return element;
  },

  /** Numbers begin anew: those on the page are of another count. */
  countAnew() {
    this.flush();
    this.hasOtherCount = true;
    box.querySelectorAll("[data-seq]").forEach((line) => line.removeAttribute("data-seq"));
  },

  /** Messages from before those on the page. The reader keeps its place. */
  older(messages) {
    this.flush();
    const known = new Set([...box.querySelectorAll("[data-seq]")].map((line) => Number(line.dataset.seq)));
    const missing = messages.filter(({ seq }) => !known.has(seq));
    if (missing.length === 0) {
      return;
    }
    const distance = box.scrollHeight - box.scrollTop;
    const fragment = document.createDocumentFragment();
    const newest = this.lastDay;
    this.lastDay = undefined;
    missing.reduce((before, message) => this.follow(fragment, before, messageLine(message)), null);
    const first = box.querySelector("[data-seq]");
    const lastSeq = Number(fragment.lastElementChild.dataset.seq);
    // Above what is there of this count, if that is younger; else it was missed meanwhile, and goes below.
    const isAbove = first === null ? !this.hasOtherCount : lastSeq < Number(first.dataset.seq);
    if (isAbove && !this.hasOtherCount && box.firstElementChild?.className === "day" && dayWords(this.lastDay) === box.firstElementChild.textContent) {
      box.firstElementChild.remove();
    }
    const top = this.hasOtherCount ? first : box.firstElementChild;
    box.insertBefore(fragment, isAbove ? top : box.querySelector('[data-state="sending"]'));
    this.lastDay = isAbove ? (newest ?? this.lastDay) : this.lastDay;
    this.pinned ? this.toBottom() : (box.scrollTop = box.scrollHeight - distance);
  },

  /** The smallest number on the page. */
  oldest() {
    const first = box.querySelector("[data-seq]");
    return first === null ? undefined : Number(first.dataset.seq);
  },

  newMark() {
    byId("first-new")?.remove();
    const mark = paragraph("note", [["text", "New messages"]]);
    mark.id = "first-new";
    return mark;
  },

  toBottom() {
    box.scrollTop = box.scrollHeight;
    this.scrolledTo(true);
  },

  scrolledTo(bottom) {
    this.pinned = bottom;
    this.unseen = bottom ? 0 : this.unseen;
    this.showCounts();
  },

  showCounts() {
    newer.hidden = this.unseen === 0;
    newer.textContent = this.unseen === 1 ? "1 new message" : `${this.unseen} new messages`;
    document.title = `${this.unread === 0 ? "" : `(${this.unread}) `}${this.room} · wsloop`;
  },

  scrolled() {
    // A new size moves the lines too; only a reader who moves them leaves the bottom.
    if (this.width === box.clientWidth && this.height === box.clientHeight) {
      this.scrolledTo(box.scrollHeight - box.scrollTop - box.clientHeight < AT_BOTTOM_PX);
      if (box.scrollTop < AT_TOP_PX && !this.pinned) {
        this.onOlder();
      }
    }
  },

  resized() {
    this.width = box.clientWidth;
    this.height = box.clientHeight;
    if (this.pinned) {
      this.toBottom();
    }
  },

  /** The tab is looked at again. */
  looked() {
    this.unread = 0;
    this.flush(); // The frame asked for before may come late, or never.
  },
};
