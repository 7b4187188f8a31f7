/*
 * The chat page: what happens in the room goes to the modules that show it, and what is done at the page to those
 * that do it. Nothing imports this one.
 *
 * Knows all of them: the visitor and the room, the composer and its suggestions, the people, the notices, the log,
 * the connection.
 * The ids, which the tests use too, are told at the head of the module that shows them.
 */

import { actions } from "/assets/actions.js";
import { alone } from "/assets/alone.js";
import { announcer } from "/assets/announcer.js";
import { changes } from "/assets/changes.js";
import { completion } from "/assets/completion.js";
import { composer } from "/assets/composer.js";
import { connection } from "/assets/connection.js";
import { find } from "/assets/find.js";
import { kept } from "/assets/kept.js";
import { known } from "/assets/known.js";
import { log } from "/assets/log.js";
import { menu } from "/assets/menu.js";
import { notices } from "/assets/notices.js";
import { byId, on, tell } from "/assets/page.js";
import { people } from "/assets/people.js";
import { permalink } from "/assets/permalink.js";
import { presence } from "/assets/presence.js";
import { rail } from "/assets/rail.js";
import { roving } from "/assets/roving.js";
import { closeWords, watchConnection } from "/assets/status.js";
import { unread } from "/assets/unread.js";
import { room, rooms, visitor } from "/assets/visitor.js";
import { writing } from "/assets/writing.js";

/** What a request of the page's own was refused for; what was not said is told in its line. */
const ERROR_WORDS = {
  bad_name: "Nobody can be called that here.",
  rate: "You send faster than this server allows.",
  unavailable: "The server cannot keep messages at the moment. Please try again later.",
};

/* ---- What was said before ---- */

let hasOlder = false;

function askForHistory(before) {
  connection.askForHistory(before);
  announcer.busy(connection.isAskingHistory);
}

/** False if there are none. */
function askForOlder() {
  const oldest = log.oldest();
  if (hasOlder && oldest !== undefined) {
    askForHistory(oldest);
  }
  return hasOlder;
}

/** How much is kept, as far as the server tells. */
function beginningWords() {
  const { history } = connection.limits;
  if (log.oldest() === 1) {
    return "This is the beginning of this room.";
  }
  const kept = history === undefined ? "" : ` This room keeps its last ${history.toLocaleString("en")} messages.`;
  return `This is the beginning of what is kept.${kept}`;
}

/* ---- What happens in the room ---- */

const events = {
  phase({ phase, code, reason, wasOpen }) {
    if (phase === "connected") {
      tell("hint", "");
      visitor.showOwn(connection.you.name);
    } else if (wasOpen) {
      log.note(`Connection lost${closeWords(code, reason)}. What you write now is sent when it is back.`);
    }
  },

  welcome(event) {
    announcer.busy(false);
    if (event.isAnew) {
      composer.countAnew();
      log.countAnew();
      log.note("This room begins anew: the server was restarted, or has forgotten the room while nobody was there. What was said before is not kept there any more.");
    } else if (event.recovered === false) {
      log.note("Some of what was said meanwhile is no longer held.");
    }
    if (event.isFirst || event.isAnew) {
      log.event(`Welcome ${event.you.name} !`);
    }
    visitor.isCalled(event.you.name);
    unread.welcome(event);
    if (!event.recovered) {
      askForHistory(event.seq + 1);
    }
    rooms.remember();
    composer.restore();
    event.recovered && permalink.look();
  },

  say(event) {
    const { seq, from, text } = event;
    const isMine = from.id === connection.you.id;
    known.heard(from.name);
    unread.comes(seq);
    const isMeant = !isMine && document.hidden && known.isMeant(text);
    log.message({ ...event, isMine, isMeant, state: isMine ? "sent" : undefined }, composer.cameBack(seq));
    writing.stopped(from.id);
    isMine || notices.show(from.name, room, text, isMeant);
  },

  data({ from, base64 }) {
    log.note(`binary message from ${from.name}, ${atob(base64).length} bytes`);
  },

  history({ messages, more }) {
    hasOlder = more;
    const said = messages.filter(({ type }) => type === "say");
    said.forEach(({ from }) => known.heard(from.name));
    changes.stand(said);
    log.older(said.map((event) => ({ ...event, isMine: event.from.id === connection.you.id })));
    if (!hasOlder && !log.hasOtherCount) {
      log.begin(beginningWords());
    }
    unread.cameOlder(hasOlder);
    permalink.look(true);
    find.cameOlder();
    announcer.busy(false);
  },

  edit(event) {
    changes.edit(event);
    composer.changed(event.of, event.deleted !== undefined);
  },

  delete(event) {
    changes.delete(event);
    actions.gone(event.of);
    composer.changed(event.of, true);
    announcer.forget(event.of);
  },

  react(event) {
    changes.react(event);
  },

  typing(event) {
    writing.heard(event);
  },

  ack(event) {
    composer.acknowledge(event);
  },

  failed({ entry, code }) {
    composer.fail(entry, code);
  },

  unsent() {
    composer.keepSoon();
  },

  error({ code, entry }) {
    entry ?? tell("hint", ERROR_WORDS[code] ?? "The server did not understand this page. Loading it anew may help.");
  },

  gap({ first, last }) {
    const missing = last - first + 1;
    log.note(`${missing} ${missing === 1 ? "message is" : "messages are"} missing here: this page could not keep up.`);
  },

  join(event) {
    presence.joined(event);
  },

  leave(event) {
    writing.stopped(event.id);
    presence.left(event);
  },

  presence({ joined, left, renamed, count }) {
    const names = renamed === undefined ? "" : `, ${renamed} with a new name`;
    log.event(`${joined} joined, ${left} left${names}, ${count} here`);
  },

  name({ id, name, was }) {
    if (was !== name) {
      log.event(`${was} is now ${name}`);
    }
    id === connection.you.id && visitor.isCalled(name);
  },

  people() {
    people.show();
  },
};

/** What happens goes to its own part of the page first, then to those that look on. */
function handle(handler, event) {
  handler(event);
  alone.after(event);
  rail.after(event);
}

log.onNew = (lines) => announcer.lines(lines);
composer.mayWrite = (next) => visitor.isNamed(next);

/* ---- What is done at the page ---- */

/** A click on a name mentions it; one that ends a selection does not. */
function onLogClick(event) {
  const who = event.target.closest(".who");
  if (who !== null && getSelection().isCollapsed) {
    completion.mention(who.textContent);
  }
}

function onVisibilityChange() {
  if (document.hidden) {
    leave();
    return;
  }
  log.looked();
  connection.retryNow();
}

/** The page may be closed any moment: telephones do not tell. */
function leave() {
  composer.keep();
  unread.keep();
}

function onPageHide() {
  leave();
  kept.release();
  connection.release(); // Says goodbye. A browser may bring the page back later; then it joins again.
}

function onPageShow({ persisted }) {
  if (persisted && connection.phase !== "disconnected") {
    kept.hold();
    connection.connect();
  }
}

function onBeforeUnload(event) {
  composer.keep();
  if (composer.wouldLose()) {
    event.preventDefault();
  }
}

function listen() {
  Object.entries(events).forEach(([type, handler]) => connection.on(type, (event) => handle(handler, event)));
  watchConnection();
  on("composer", "submit", (event) => composer.submit(event));
  on("message", "keydown", (event) => composer.pressed(event));
  on("message", "input", () => composer.written());
  on("about-end", "click", () => composer.cancel());
  on("newer", "click", () => composer.goToNewest());
  on("unread", "click", () => unread.go());
  on("log", "scroll", () => log.scrolled());
  on("log", "click", onLogClick);
  new ResizeObserver(() => log.resized()).observe(byId("log"));
  on("rename", "click", () => visitor.ask());
  on("nameless", "click", () => visitor.use(""));
  on("name-form", "submit", (event) => visitor.submit(event));
  on("name", "input", () => visitor.written());
  on("name-dialog", "close", () => composer.focusUnlessPhone());
  on("people", "click", () => people.open());
  on("people-dialog", "close", () => people.closed());
  on("people-load", "click", () => people.loadMore());
  on("people-close", "click", () => byId("people-dialog").close());
  on("notify", "change", () => notices.choose());
  on("rooms", "click", () => rooms.open());
  on("rooms-form", "submit", (event) => rooms.submit(event));
  on("rooms-close", "click", () => byId("rooms-dialog").close());
  on("copy", "click", () => rooms.copyLink());
  [actions, alone, find, menu, people, permalink, rail, roving].forEach((one) => one.listen());
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("pagehide", onPageHide);
  addEventListener("pageshow", onPageShow);
  addEventListener("beforeunload", onBeforeUnload);
}

byId("room").textContent = room;
byId("room").title = room; // Where there is no room for all of it.
log.room = room;
log.onOlder = askForOlder;
log.onTrimmed = () => { hasOlder = true; };
log.onShown = () => unread.show();
unread.room = room;
unread.askForOlder = askForOlder;
kept.start(room, connection.prefix);
visitor.onTaken = (wanted, name) => log.note(`The name ${wanted} is taken in this room: you are ${name} here.`);
visitor.recall();
notices.recall();
completion.start();
listen();
log.showCounts();
permalink.askForOlder = askForOlder;
find.askForOlder = askForOlder;
permalink.go();
composer.restore();
connection.connect();
composer.focusUnlessPhone();
