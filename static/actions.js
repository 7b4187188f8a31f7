/*
 * What can be done with a message: to react, to answer, to copy it or the way to it, and with one's own to edit and
 * delete it. The same few buttons go to the message at which somebody points, to the one that has the focus (Enter), and
 * to the one that a finger is held on.
 *
 * Knows the lines, the connection and the composer.
 * Ids: #actions (a toolbar) #act-emoji (a select of emoji). Its buttons have data-action.
 */

import { composer } from "/assets/composer.js";
import { connection } from "/assets/connection.js";
import { byId, tell } from "/assets/page.js";

const HELD_MS = 500;
const SURE_MS = 4000;

const bar = byId("actions");
let line = null;
let isHeldOpen = false; // By the keyboard or a finger: a pointer that goes elsewhere does not take it away.
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

function show(next) {
  unsure();
  line = next;
  const isMine = line.classList.contains("mine");
  button("edit").hidden = !isMine || line.source === undefined;
  button("delete").hidden = !isMine;
  line.append(bar);
  bar.hidden = false;
}

function hide() {
  unsure();
  bar.hidden = true;
  byId("log").after(bar);
  isHeldOpen = false;
  line = null;
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

  delete() {
    if (sure === 0) {
      // A deletion is not undone: it is asked for twice.
      button("delete").textContent = "Really delete?";
      sure = setTimeout(unsure, SURE_MS);
      return;
    }
    connection.delete(numberOf());
    hide();
  },

  copy() {
    copy(line.source, "The message is copied.");
  },

  link() {
    copy(`${location.origin}${location.pathname}#${numberOf()}`, "The link to the message is copied.");
  },
};

function react(emoji, of) {
  connection.react(Number(of.dataset.seq), emoji, !of.mine.has(emoji));
}

function clicked({ target }) {
  const reaction = target.closest(".reaction");
  const action = target.closest("[data-action]");
  if (reaction !== null) {
    react(reaction.dataset.emoji, reaction.closest(".say"));
  } else if (action !== null && line !== null) {
    acts[action.dataset.action]();
  }
}

function chosen() {
  const select = byId("act-emoji");
  if (select.value !== "" && line !== null) {
    react(select.value, line);
  }
  select.value = "";
}

function pointed({ target, pointerType }) {
  if (pointerType !== "mouse" || isHeldOpen || bar.contains(target)) {
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
    holding = setTimeout(() => {
      show(next);
      isHeldOpen = true;
    }, HELD_MS);
  } else if (line !== null && !line.contains(event.target)) {
    hide();
  }
}

function pressed(event) {
  const focused = event.target.closest?.('[role="article"]');
  if (event.key === "Enter" && event.target === focused && actionable(focused) !== null) {
    event.preventDefault();
    show(focused);
    isHeldOpen = true;
    bar.querySelector("button:not([hidden])").focus();
  } else if (event.key === "Escape" && line !== null) {
    event.preventDefault();
    const back = line;
    hide();
    back.focus();
  }
}

export const actions = {
  listen() {
    const log = byId("log");
    log.addEventListener("click", clicked);
    log.addEventListener("pointerover", pointed);
    log.addEventListener("pointerleave", () => isHeldOpen || line === null || hide());
    log.addEventListener("pointerdown", touched);
    ["pointerup", "pointercancel", "scroll"].forEach((type) => log.addEventListener(type, () => clearTimeout(holding)));
    log.addEventListener("keydown", pressed);
    byId("act-emoji").addEventListener("change", chosen);
  },
};
