/*
 * Finding in the room: Ctrl+F, or the button, shows the messages alone that have the words, by whom or in what was
 * said. Older ones are asked for until all that is kept was looked through. A second Ctrl+F is the browser's own.
 *
 * Knows the log and what its lines keep (dressed.js: source), and asks the page for older messages.
 * Ids: #find #find-words #find-count #find-close #find-open. Gives .found to lines of #log, and .searched to #log.
 */

import { log } from "/assets/log.js";
import { byId, on, tell } from "/assets/page.js";

const HIGHLIGHTED_MAX = 200; // Lines; more are not looked at one by one.
const SHOWN_MS = 3000;

const box = byId("log");
const bar = byId("find");
const input = byId("find-words");

let words = [];
let hasOlder = false;
let wasPinned = true;

const isOpen = () => !bar.hidden;
const all = () => [...box.querySelectorAll(".say")];

function has(line) {
  const text = `${line.querySelector(".who").textContent} ${line.source}`.toLowerCase();
  return line.dataset.deleted === undefined && words.every((word) => text.includes(word));
}

/** Where the words stand in a text, as long as its letters have as many places in lower case. */
function rangesIn(node) {
  const text = node.data.toLowerCase();
  const ranges = [];
  for (const word of text.length === node.data.length ? words : []) {
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + word.length);
      ranges.push(range);
    }
  }
  return ranges;
}

/** Marks the words without a change of the lines, where the browser can. */
function highlight(lines) {
  if (globalThis.Highlight === undefined) {
    return;
  }
  const ranges = [];
  for (const line of lines.slice(-HIGHLIGHTED_MAX)) {
    const texts = document.createTreeWalker(line.querySelector(".text"), NodeFilter.SHOW_TEXT);
    while (texts.nextNode() !== null) {
      ranges.push(...rangesIn(texts.currentNode));
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function countWords(found, looked) {
  if (words.length === 0) {
    return "";
  }
  const kept = looked === 1 ? "1 message" : `${looked.toLocaleString("en")} messages`;
  return `${found.toLocaleString("en")} of ${kept}${hasOlder ? ", looking further back…" : ", all that is kept"}`;
}

/** Shows what has the words, of what is on the page. */
function show() {
  const lines = all();
  const found = words.length === 0 ? [] : lines.filter(has);
  box.classList.toggle("searched", words.length > 0);
  lines.forEach((line) => line.classList.remove("found"));
  found.forEach((line) => line.classList.add("found"));
  highlight(found);
  tell("find-count", countWords(found.length, lines.length));
}

const watch = new MutationObserver(() => show());

function look() {
  words = input.value.toLowerCase().split(/\s+/u).filter((word) => word !== "");
  hasOlder = words.length > 0 && find.askForOlder();
  show();
  box.scrollTop = box.scrollHeight;
}

function open() {
  if (!isOpen()) {
    wasPinned = log.pinned;
    log.isSearched = true;
    bar.hidden = false;
    byId("find-open").setAttribute("aria-expanded", "true");
    watch.observe(box, { childList: true, subtree: true });
    look();
  }
  input.focus();
  input.select();
}

function close() {
  watch.disconnect();
  words = [];
  show();
  log.isSearched = false;
  bar.hidden = true;
  byId("find-open").setAttribute("aria-expanded", "false");
  wasPinned && log.toBottom();
}

function pressed(event) {
  const isFind = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "f";
  if (isFind && event.target !== input && document.querySelector("dialog[open]") === null) {
    event.preventDefault();
    open();
  } else if (event.key === "Escape" && isOpen() && bar.contains(event.target)) {
    event.preventDefault();
    close();
    byId("message").focus();
  }
}

/** A found message is shown among those around it; links and buttons do what they do anyway. */
function clicked({ target }) {
  const line = target.closest(".found");
  if (line === null || target.closest("a, button, select") !== null || !getSelection().isCollapsed) {
    return;
  }
  wasPinned = false;
  close();
  log.scrolledTo(false);
  line.scrollIntoView({ block: "center" });
  line.classList.add("pointed");
  setTimeout(() => line.classList.remove("pointed"), SHOWN_MS);
}

export const find = {
  /** Asks for older messages; false if there are none. */
  askForOlder: () => false,

  /** Older messages have come. */
  cameOlder() {
    if (words.length > 0) {
      hasOlder = this.askForOlder();
      show();
    }
  },

  listen() {
    document.addEventListener("keydown", pressed);
    box.addEventListener("click", clicked);
    on("find-open", "click", () => (isOpen() ? close() : open()));
    on("find-words", "input", look);
    on("find", "submit", (event) => event.preventDefault());
    on("find-close", "click", () => {
      close();
      byId("message").focus();
    });
  },
};
