/*
 * What can be done with a message: to react, to answer, to copy it or the way to it, and with one's own to edit and
 * delete it. The same few buttons go to the message at which somebody points, to the one that has the focus (Enter), and
 * to the one that a finger is held on.
 *
 * Knows the lines, the connection and the composer. While it is at a line, the bar is a part of it.
 * Ids: #actions (a toolbar) #act-emoji (a select of emoji). Its buttons have data-action.
 */

import { composer } from "/assets/composer.js";
import { connection } from "/assets/connection.js";
import { byId, tell } from "/assets/page.js";

const HELD_MS = 500;
const SURE_MS = 4000;

const bar = byId("actions");
const emoji = byId("act-emoji");
let line = null;
let isHeldOpen = false; // By the keyboard or a finger: a pointer that goes elsewhere does not take it away.
let isChoosing = false; // Keys go through the emoji: none is chosen before Enter.
let holding = 0;
let sure = 0;

const button = (action) => bar.querySelector(`[data-action="${action}"]`);
const numberOf = () => Number(line.dataset.seq);

/** A message that is said, and not deleted. */
const actionable = (place) => place.closest?.('.say[data-seq]:not([data-deleted])') ?? null;

function unsure() {
  clearTimeout(sure);
  sure = 0;
  button("delete").textContent = "Delete";
}

function show(next, isHeld = false) {
  unsure();
  line = next;
  isHeldOpen = isHeld;
  const isMine = line.classList.contains("mine");
  button("edit").hidden = !isMine || line.source === undefined;
  button("delete").hidden = !isMine;
  line.append(bar);
  bar.hidden = false;
  // A finger or a key cannot follow a bar that is out of view.
  isHeld && bar.scrollIntoView({ block: "nearest" });
}

function hide() {
  const before = line;
  const hadFocus = bar.contains(document.activeElement);
  unsure();
  line = null;
  isHeldOpen = false;
  emoji.value = "";
  bar.hidden = true;
  byId("log").after(bar);
  if (hadFocus) {
    before.hasAttribute("tabindex") ? before.focus() : composer.focusUnlessPhone();
  }
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    tell("hint", done);
  } catch {
    // Browsers allow it on https and on this machine only.
    tell("hint", "This browser does not let the page copy. Select the text and copy it yourself.");
  }
}

const acts = {
  answer() {
    composer.answer(line);
    hide();
  },

  edit() {
    composer.correct(line);
    hide();
  },

  delete({ detail }) {
    if (detail > 1) {
      return; // The second half of a double click is no second thought.
    }
    if (sure === 0) {
      // A deletion is not undone: it is asked for twice.
      button("delete").textContent = "Really delete?";
      sure = setTimeout(unsure, SURE_MS);
      return;
    }
    connection.delete(numberOf());
    composer.promise();
    hide();
  },

  copy() {
    copy(line.source, "The message is copied.");
  },

  link() {
    copy(`${location.origin}${location.pathname}#${numberOf()}`, "The link to the message is copied.");
  },
};

/** Adds an emoji, or takes one's own away. */
function react(chosen, of) {
  if (of.dataset.seq !== undefined) {
    connection.react(Number(of.dataset.seq), chosen, !of.mine.has(chosen));
    composer.promise();
  }
}

function clicked(event) {
  const { target } = event;
  const reaction = target.closest(".reaction");
  const action = target.closest("[data-action]");
  if (reaction !== null) {
    react(reaction.dataset.emoji, reaction.closest(".say"));
  } else if (action !== null && line !== null) {
    acts[action.dataset.action](event);
  }
}

function chosen() {
  if (isChoosing) {
    return;
  }
  if (emoji.value !== "" && line !== null) {
    react(emoji.value, line);
  }
  emoji.value = "";
  isHeldOpen || emoji.blur();
}

/** Where the list of emoji is closed, each arrow key chooses one for the browser. */
function choosing(event) {
  isChoosing = /^(ArrowUp|ArrowDown|Home|End|PageUp|PageDown)$/.test(event.key) && !event.altKey;
  if (event.key === "Enter" && emoji.value !== "") {
    event.preventDefault();
    chosen();
  }
}

/** An open list of emoji lies outside of the page, and the pointer with it. */
const stays = () => isHeldOpen || document.activeElement === emoji;

function pointed({ target, pointerType, buttons }) {
  // Who selects text across messages needs no bar.
  if (pointerType !== "mouse" || buttons !== 0 || stays() || bar.contains(target)) {
    return;
  }
  const next = actionable(target);
  if (next !== line) {
    next === null ? line !== null && hide() : show(next);
  }
}

/** A finger that stays opens what a pointer would. */
function touched(event) {
  clearTimeout(holding);
  const next = actionable(event.target);
  if (event.pointerType !== "mouse" && next !== null && !bar.contains(event.target)) {
    holding = setTimeout(() => show(next, true), HELD_MS);
  }
  if (line !== null && !line.contains(event.target)) {
    hide();
  }
}

/** Some browsers open a menu of their own then, and end the touch; at a link they keep it. */
function menuWanted(event) {
  const next = actionable(event.target);
  if (event.pointerType === "touch" && next !== null && event.target.closest("a") === null) {
    event.preventDefault();
    clearTimeout(holding);
    show(next, true);
  }
}

/** Left and right go through the bar. */
function moved(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const all = [...bar.querySelectorAll("select, button:not([hidden])")];
    all.at((all.indexOf(event.target) + step) % all.length).focus();
  }
}

function pressed(event) {
  const focused = event.target.closest?.('[role="article"]');
  if (event.key === "Enter" && event.target === focused && actionable(focused) !== null) {
    event.preventDefault();
    show(focused, true);
    bar.querySelector("button:not([hidden])").focus();
  } else if (event.key === "Escape" && line !== null) {
    event.preventDefault();
    hide();
  }
}

/** Who has gone through the bar by keyboard, and goes on, leaves it. */
function left({ relatedTarget }) {
  if (isHeldOpen && line !== null && relatedTarget !== null && !line.contains(relatedTarget)) {
    hide();
  }
}

export const actions = {
  listen() {
    const log = byId("log");
    log.addEventListener("click", clicked);
    log.addEventListener("pointerover", pointed);
    log.addEventListener("pointerleave", () => stays() || line === null || hide());
    document.addEventListener("pointerdown", touched);
    log.addEventListener("contextmenu", menuWanted);
    ["pointerup", "pointercancel", "scroll"].forEach((type) => log.addEventListener(type, () => clearTimeout(holding)));
    log.addEventListener("keydown", pressed);
    bar.addEventListener("keydown", moved);
    bar.addEventListener("focusout", left);
    emoji.addEventListener("change", chosen);
    emoji.addEventListener("keydown", choosing);
    emoji.addEventListener("pointerdown", () => { isChoosing = false; });
  },

  /** Nothing can be done with this message any more. */
  gone(seq) {
    line !== null && numberOf() === seq && hide();
  },
};
