/*
 * The chat page: what happens in the room goes to the modules that show it, and what is done at the page to those
 * that do it. Nothing imports this one.
 *
 * Knows all of them: the visitor and the room, the composer, the people, the notices, the log, the connection.
 * The ids, which the tests use too, are told at the head of the module that shows them. Those of this one:
 *   #status (data-phase: connecting, connected, waiting, disconnected) #countdown #rtt #connect #disconnect
 */

import { alone } from "/assets/alone.js";
import { announcer } from "/assets/announcer.js";
import { composer } from "/assets/composer.js";
import { connection } from "/assets/connection.js";
import { log } from "/assets/log.js";
import { menu } from "/assets/menu.js";
import { notices } from "/assets/notices.js";
import { byId, on, tell } from "/assets/page.js";
import { people } from "/assets/people.js";
import { rail } from "/assets/rail.js";
import { roving } from "/assets/roving.js";
import { room, rooms, visitor } from "/assets/visitor.js";

const HISTORY_PAGE = 50;

/* ---- How the connection is ---- */

connection.onPhase = (phase, words, countdown) => {
  tell("countdown", countdown);
  if (words === null) {
    return;
  }
  byId("status").dataset.phase = phase;
  tell("status", words);
  tell("rtt", "");
  const focused = document.activeElement;
  byId("connect").hidden = phase === "connecting" || phase === "connected";
  byId("disconnect").hidden = phase === "disconnected";
  if (focused?.hidden) {
    // A button that disappears under the focus would send a keyboard user back to the top of the page.
    byId(phase === "disconnected" ? "connect" : "disconnect").focus();
  }
  if (phase === "connected") {
    tell("hint", "");
    visitor.showOwn(connection.you.name);
  }
};

connection.onLost = (code, wasOpen, why) => {
  if (wasOpen) {
    log.note(`Connection lost${why}. What you write now is sent when it is back.`);
  }
  if (code === 1009) {
    composer.giveBackLast();
  }
};

/* ---- What was said before ---- */

let hasOlder = false;
let asksForOlder = false;

function askForOlder(before) {
  if (!asksForOlder && connection.phase === "connected") {
    asksForOlder = true;
    announcer.busy(true);
    connection.send({ type: "history", before, limit: HISTORY_PAGE });
  }
}

log.onOlder = () => {
  const oldest = log.oldest();
  if (hasOlder && oldest !== undefined) {
    askForOlder(oldest);
  }
};

/* ---- What happens in the room ---- */

const events = {
  welcome(event) {
    asksForOlder = false; // The answer, if one was awaited, is lost with its connection.
    announcer.busy(false);
    if (event.isAnew) {
      composer.countAnew();
      log.countAnew();
      log.note("The server was restarted. It knows nothing of what was said before.");
    } else if (event.recovered === false) {
      log.note("Some of what was said meanwhile is no longer held.");
    }
    if (event.isFirst || event.isAnew) {
      log.event(`Welcome ${event.you.name} !`);
    }
    people.welcome(event);
    if (!event.recovered) {
      askForOlder(event.seq + 1);
    }
    rooms.remember();
  },

  say({ seq, time, from, text }) {
    const isMine = from.id === connection.you.id;
    log.message({ seq, time, from, text, isMine, state: isMine ? "sent" : undefined }, composer.cameBack(seq));
    isMine || notices.show(from.name, room, text);
  },

  data({ from, base64 }) {
    log.note(`binary message from ${from.name}, ${atob(base64).length} bytes`);
  },

  history({ messages, more }) {
    asksForOlder = false;
    hasOlder = more;
    const said = messages.filter(({ type }) => type === "say");
    log.older(said.map((event) => ({ ...event, isMine: event.from.id === connection.you.id })));
    announcer.busy(false);
  },

  ack(event) {
    composer.acknowledge(event);
  },

  error({ text, entry }) {
    entry === undefined ? tell("hint", text) : composer.fail(entry, text);
  },

  gap(event) {
    const missing = event.last - event.first + 1;
    log.note(`${missing} ${missing === 1 ? "message is" : "messages are"} missing here: this page could not keep up.`);
    people.set(event);
  },

  join({ id, name, count }) {
    people.add(id, name, count);
    log.event(`${name} joined`);
  },

  leave({ id, name, count }) {
    people.remove(id, count);
    log.event(`${name} left`);
  },

  presence(event) {
    people.set(event);
    const { joined, left, renamed, count } = event;
    const names = renamed === undefined ? "" : `, ${renamed} with a new name`;
    log.event(`${joined} joined, ${left} left${names}, ${count} here`);
  },

  members(event) {
    people.page(event);
  },

  name({ id, name, was }) {
    people.rename(id, name);
    if (was !== name) {
      log.event(`${was} is now ${name}`);
    }
  },

  pong({ ref }) {
    tell("rtt", `${Math.max(1, Math.round(performance.now() - Number(ref)))} ms`);
  },
};

connection.onEvent = (event) => {
  events[event.type]?.(event);
  alone.after(event);
  rail.after(event);
};

log.onNew = (lines) => announcer.lines(lines);
composer.mayWrite = (next) => visitor.isNamed(next);

/* ---- What is done at the page ---- */

function onVisibilityChange() {
  log.looked();
  if (!document.hidden) {
    connection.retryNow();
  }
}

function listen() {
  on("composer", "submit", (event) => composer.submit(event));
  on("message", "keydown", (event) => composer.pressed(event));
  on("message", "input", () => tell("hint", ""));
  on("connect", "click", () => connection.connect());
  on("disconnect", "click", () => connection.disconnect());
  on("newer", "click", () => composer.goToNewest());
  on("log", "scroll", () => log.scrolled());
  new ResizeObserver(() => log.resized()).observe(byId("log"));
  on("rename", "click", () => visitor.ask());
  on("nameless", "click", () => visitor.use(""));
  on("name-form", "submit", (event) => visitor.submit(event));
  on("name", "input", () => visitor.written());
  on("name-dialog", "close", () => composer.focusUnlessPhone());
  on("people", "click", () => people.open());
  on("people-load", "click", () => people.loadMore());
  on("people-close", "click", () => byId("people-dialog").close());
  on("notify", "click", () => notices.toggle());
  on("rooms", "click", () => rooms.open());
  on("rooms-form", "submit", (event) => rooms.submit(event));
  on("rooms-close", "click", () => byId("rooms-dialog").close());
  on("copy", "click", () => rooms.copyLink());
  [alone, menu, people, rail, roving].forEach((one) => one.listen());
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("online", () => connection.retryNow());
  // Says goodbye. A browser may bring the page back later; then it joins again.
  addEventListener("pagehide", () => connection.release());
  addEventListener("pageshow", (event) => event.persisted && connection.phase !== "disconnected" && connection.connect());
}

byId("room").textContent = room;
byId("room").title = room; // Where there is no room for all of it.
log.room = room;
visitor.recall();
listen();
log.showCounts();
connection.connect();
composer.focusUnlessPhone();
