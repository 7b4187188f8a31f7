/*
 * The messages on the page: gathered, in order, with the days between them, and the reader's place among them.
 *
 * Knows lines, and nothing of where messages come from.
 * #log holds: .line (.say: see line.js; .event), .note for the page's own words, .day between two days, #first-new
 * above what came while nobody looked, #beginning where what is kept begins. #newer is shown while the newest message
 * is out of sight.
 */

import { quoteAnew } from "/assets/dressed.js";
import { dayWords, messageLine, paragraph } from "/assets/line.js";
import { byId } from "/assets/page.js";

const LINES_MAX = 2000; // Older lines leave the page, so that a long evening does not slow it down.
const LINES_READ_MAX = 20_000; // While somebody reads older ones, or is on the way there, they stay.
const HIDDEN_FLUSH_MS = 250; // A hidden tab has no animation frames.
const AT_BOTTOM_PX = 48;
const AT_TOP_PX = 120;

const box = byId("log");
const newer = byId("newer");

/** `alice`, `alice and bob`, `alice, bob and 3 others`. */
function listed([one, other, ...more]) {
  const rest = more.length === 1 ? "1 other" : `${more.length} others`;
  return [one, more.length > 0 ? `, ${other} and ${rest}` : other && ` and ${other}`].join("");
}

/** Gathers what comes and adds it once a frame, so that a busy room does not freeze the page. */
export const log = {
  room: "",
  onOlder() {}, // The reader has come to the top.
  onTrimmed() {}, // Lines have left the page.
  onShown() {}, // What is in view has changed.
  onNew() {}, // These lines have come, and are shown.
  waiting: [],
  scheduled: false,
  pinned: true, // The reader is at the bottom and wants to stay there.
  unseen: 0, // Messages below the part in view.
  unread: 0, // Messages since the tab was hidden.
  mentions: 0, // Those of them that mention the reader.
  isSought: false, // An older message is looked for, page by page.
  isMarkSeen: true, // The mark of what is new has been in view.
  isSearched: false, // Somebody looks for something: older lines come, and stay.
  hasOtherCount: false, // Lines of before a restart of the server are there.
  width: 0,
  height: 0,

  /** A message that somebody said just now; it may take the place of a line that was on its way. */
  message(message, pending) {
    this.unseen += this.pinned ? 0 : 1;
    this.unread += document.hidden ? 1 : 0;
    this.mentions += document.hidden && message.isMeant ? 1 : 0;
    const isFirstNew = document.hidden && this.unread === 1;
    if (isFirstNew) {
      this.mark();
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

  /** Somebody has `joined` or `left`; several one after the other share a line. */
  comeOrGone(name, kind) {
    this.queue(() => Object.assign(paragraph("line event", [["text", `${name} ${kind}`]]), { names: [name], kind }));
  },

  /** The page's own words. */
  note(text) {
    this.queue(() => paragraph("note", [["text", text]]));
  },

  /** One's own message before it is acknowledged; returns its line. */
  pending({ text, re, at }, from) {
    this.flush();
    const element = messageLine({ time: at, from, text, re, isMine: true, state: "sending" });
    const fragment = document.createDocumentFragment();
    // As it will be: a line that changes its head when it comes back would jump.
    this.follow(fragment, box.lastElementChild, element);
    box.append(fragment);
    quoteAnew(re === undefined ? [] : [element.answered]);
    this.toBottom();
    return element;
  },

  /** So many lines stay on the page. */
  linesMax() {
    const isLookedThrough = this.isSought || this.isSearched;
    return this.pinned && !isLookedThrough ? LINES_MAX : LINES_READ_MAX;
  },

  queue(make) {
    this.waiting.push(make);
    if (this.waiting.length >= 2 * this.linesMax()) {
      this.waiting = this.waiting.slice(-this.linesMax());
    }
    if (!this.scheduled) {
      this.scheduled = true;
      const flush = () => this.flush();
      document.hidden ? setTimeout(flush, HIDDEN_FLUSH_MS) : requestAnimationFrame(flush);
    }
  },

  flush() {
    this.scheduled = false;
    const made = this.waiting.slice(-this.linesMax()).map((make) => make());
    this.waiting = [];
    const fragment = document.createDocumentFragment();
    // Own messages that are on their way stay below.
    const pending = box.querySelector('[data-state="sending"]');
    let last = pending === null ? box.lastElementChild : pending.previousElementSibling;
    for (const element of made) {
      last = this.follow(fragment, last, element);
    }
    box.insertBefore(fragment, pending);
    quoteAnew(made.flatMap(({ answered }) => answered ?? []));
    this.onNew(made);
    this.trim();
    this.pinned ? this.toBottom() : this.showCounts();
    this.onShown();
  },

  /** The oldest lines leave a page that holds too many; not those that somebody reads. */
  trim() {
    if (box.childElementCount <= this.linesMax()) {
      return;
    }
    const distance = this.pinned ? 0 : box.scrollHeight - box.scrollTop;
    while (box.childElementCount > this.linesMax()) {
      box.firstElementChild.remove();
    }
    // The first line says who speaks, even if the one that it followed is gone.
    box.firstElementChild.classList.remove("follows");
    if (!this.pinned) {
      box.scrollTop = box.scrollHeight - distance;
    }
    this.onTrimmed();
  },

  /** Adds a line behind another, with the day between them if there is a new one. */
  follow(fragment, before, element) {
    if (element.kind !== undefined && element.kind === before?.kind) {
      before.names.push(...element.names);
      before.querySelector(".text").textContent = `${listed(before.names)} ${before.kind}`;
      return before;
    }
    const { day, turn } = element.dataset;
    if (day !== undefined && day !== this.lastDay) {
      this.lastDay = day;
      before = null;
      fragment.append(paragraph("day", [["text", dayWords(day)]]));
    }
    // What it answers stands between who says it and the text.
    const isAnswer = element.answered !== undefined;
    element.classList.toggle("follows", turn !== undefined && before?.dataset.turn === turn && !isAnswer);
    fragment.append(element);
    return element;
  },

  /** Numbers begin anew: those on the page are of another count. */
  countAnew() {
    this.flush();
    this.hasOtherCount = true;
    box.querySelectorAll("[data-seq]").forEach((line) => line.removeAttribute("data-seq"));
    box.querySelectorAll("a.answered").forEach((link) => link.removeAttribute("href"));
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
    quoteAnew(box.querySelectorAll("a.answered[href]"));
    this.lastDay = isAbove ? (newest ?? this.lastDay) : this.lastDay;
    this.pinned ? this.toBottom() : (box.scrollTop = box.scrollHeight - distance);
  },

  /** Nothing older is kept: says so above the oldest of this count. */
  begin(words) {
    byId("beginning")?.remove();
    const first = box.querySelector("[data-seq]");
    if (first === null) {
      return;
    }
    const distance = box.scrollHeight - box.scrollTop;
    const element = paragraph("beginning", [["text", words]]);
    element.id = "beginning";
    const top = first.previousElementSibling?.className === "day" ? first.previousElementSibling : first;
    top.before(element);
    this.pinned ? this.toBottom() : (box.scrollTop = box.scrollHeight - distance);
  },

  /** The smallest number on the page. */
  oldest() {
    const first = box.querySelector("[data-seq]");
    return first === null ? undefined : Number(first.dataset.seq);
  },

  /* ---- The mark above what is new ---- */

  /** Above what comes from now on. */
  mark() {
    this.queue(() => this.newMark());
  },

  newMark() {
    byId("first-new")?.remove();
    const mark = paragraph("note", [["text", "New messages"]]);
    mark.id = "first-new";
    this.isMarkSeen = false;
    return mark;
  },

  /** Above the first message behind this number, if it is there for certain: nothing older is, or one that was read. */
  markBehind(seq, isWhole) {
    const all = [...box.querySelectorAll("[data-seq]")];
    const first = all.find((line) => Number(line.dataset.seq) > seq);
    if (first === undefined && all.length > 0) {
      return true; // Nothing was said since; messages were edited, deleted or reacted to.
    }
    if (first === undefined || (first === all[0] && !isWhole)) {
      return false;
    }
    first.classList.remove("follows");
    first.before(this.newMark());
    this.pinned && this.toBottom();
    return true;
  },

  /** Whether the mark stands above the part in view, and was never in it. */
  isMarkAbove() {
    const mark = byId("first-new");
    if (mark === null || this.isMarkSeen) {
      return false;
    }
    const isAbove = mark.getBoundingClientRect().top < box.getBoundingClientRect().top;
    this.isMarkSeen = !isAbove;
    return isAbove;
  },

  toMark() {
    byId("first-new")?.scrollIntoView({ block: "start" });
    this.scrolledTo(false);
  },

  /* ---- The reader's place ---- */

  /** A line has become higher. */
  grown() {
    this.pinned && this.toBottom();
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
    const unread = this.mentions === 0 ? `(${this.unread}) ` : `(@${this.mentions}) `;
    document.title = `${this.unread === 0 ? "" : unread}${this.room} · wsloop`;
  },

  scrolled() {
    // A new size moves the lines too; only a reader who moves them leaves the bottom.
    if (this.width === box.clientWidth && this.height === box.clientHeight) {
      this.scrolledTo(box.scrollHeight - box.scrollTop - box.clientHeight < AT_BOTTOM_PX);
      if (box.scrollTop < AT_TOP_PX && !this.pinned) {
        this.onOlder();
      }
      this.onShown();
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
    this.mentions = 0;
    this.flush(); // The frame asked for before may come late, or never.
    this.onShown();
  },
};
