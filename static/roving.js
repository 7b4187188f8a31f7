/*
 * Going through the messages by keyboard. The log is one stop of the Tab key, however many messages and links are in
 * it: the arrow keys, Home and End go from message to message, and Tab goes from there to the links of that one.
 *
 * Knows the articles of the log, not what they say. The one that has, or had last, the focus is the stop.
 * Ids: #log (tabindex: 0 as long as no message is the stop), #actions (the bar that a message may hold for a while; its
 * stops are its own). Gives a message that is gone to tabindex and aria-label.
 */

import { byId } from "/assets/page.js";

const log = byId("log");
let current = null;

const articles = () => [...log.querySelectorAll('[role="article"]')];
const controls = (line) => line.querySelectorAll("a, button:not(.remedies button, #actions button)");
const watcher = new MutationObserver(() => describe(current));

/** The last message that is whole in view; where the reading begins. */
function lastInView(all) {
  const bottom = log.getBoundingClientRect().bottom;
  return all.findLast((line) => line.getBoundingClientRect().bottom <= bottom + 1) ?? all[0];
}

/** Where a key leads from the message that is the stop. */
function target(key, all) {
  const index = all.indexOf(current);
  switch (key) {
    case "Home":
      return all[0];
    case "End":
      return all.at(-1);
    default:
      return index < 0 ? lastInView(all) : all[index + (key === "ArrowUp" ? -1 : 1)];
  }
}

/** What a message is called: all that it says, without the bar that may be at it. */
function nameOf(line) {
  const parts = [...line.children].filter(({ id }) => id !== "actions").map((part) => {
    if (part.className === "answered") {
      return `in answer to ${part.textContent}: `;
    }
    return part.className === "reactions" ? `, ${[...part.children].map((one) => one.textContent).join(", ")}` : part.textContent;
  });
  return parts.join("") + (line.dataset.edited === undefined ? "" : " (edited)");
}

/** An article that is gone to is called by its name, and has none but what it says, which may change meanwhile. */
function describe(line) {
  line.setAttribute("aria-label", nameOf(line));
  controls(line).forEach((control) => { control.removeAttribute("tabindex"); });
}

function leave() {
  watcher.disconnect();
  current?.removeAttribute("tabindex");
  current?.removeAttribute("aria-label");
  current === null || controls(current).forEach((control) => { control.tabIndex = -1; });
  current = null;
  log.tabIndex = 0;
}

function goTo(line) {
  leave();
  current = line;
  log.tabIndex = -1;
  line.tabIndex = 0;
  describe(line);
  watcher.observe(line, { childList: true, characterData: true, subtree: true });
  line.focus();
}

function pressed(event) {
  const { key, target: place } = event;
  const isWriting = place.closest("input, textarea, select, [contenteditable]") !== null;
  const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(key) || !isPlain || isWriting) {
    return;
  }
  const line = target(key, articles());
  if (line !== undefined) {
    event.preventDefault();
    goTo(line);
  }
}

/** Links of new lines are no stops; and a stop that has left the page gives its place to the line that is first now. */
function changed(records) {
  for (const { addedNodes } of records) {
    addedNodes.forEach((line) => line !== current && controls(line).forEach((control) => { control.tabIndex = -1; }));
  }
  if (current !== null && !current.isConnected) {
    const hadFocus = document.activeElement === document.body;
    leave();
    const first = articles()[0];
    if (hadFocus && first !== undefined) {
      goTo(first);
    }
  }
}

export const roving = {
  listen() {
    log.addEventListener("keydown", pressed);
    new MutationObserver(changed).observe(log, { childList: true });
  },
};
