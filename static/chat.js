/*
 * The chat page: who you are, where you are, what you say. The connection and the messages are modules of their own.
 *
 * The ids, which the tests use too:
 *   #room #status (data-phase: connecting, connected, waiting, disconnected) #countdown #rtt #connect #disconnect
 *   #log and what it holds: see log.js; #newer (shown while the newest message is out of sight)
 *   #composer #message #send #hint (why it was not sent)
 *   #rename #name-dialog #name-form #name #name-save #nameless #name-hint
 *   #people #people-dialog #people-list #people-close #notify
 *   #rooms #rooms-dialog #rooms-form #link #copy #recent #other-room #go #rooms-hint #rooms-close
 */

import { connection } from "/assets/connection.js";
import { log } from "/assets/log.js";
import { nameRefusal, roomRefusal } from "/assets/names.js";

const NAME_KEY = "wsloop.name";
const ROOMS_KEY = "wsloop.rooms";
const ROOMS_REMEMBERED = 8;
const HISTORY_PAGE = 50;

const byId = (id) => document.getElementById(id);
const on = (id, type, handler) => byId(id).addEventListener(type, handler);
const tell = (id, words) => { byId(id).textContent = words; };
const message = byId("message");
const room = decodeURIComponent(location.pathname.slice(1)) || "lobby";

/* ---- What the connection tells ---- */

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
  }
};

connection.onLost = (code, wasOpen, why) => {
  if (wasOpen) {
    log.note(`Connection lost${why}. What you write now is sent when it is back.`);
  }
  const last = connection.lastUnderWay();
  if (code === 1009 && last !== undefined) {
    // Sent again, it would end the next connection too.
    fail(last, "it was too long for the server");
    message.value = message.value === "" ? last.text : message.value;
  }
};

/** Lines of one's own messages that are acknowledged and have not come back yet, by number. */
const acknowledged = new Map();
let hasOlder = false;
let asksForOlder = false;

const events = {
  welcome(event) {
    asksForOlder = false; // The answer, if one was awaited, is lost with its connection.
    if (event.isAnew) {
      acknowledged.forEach((line) => { line.dataset.state = "sent"; });
      acknowledged.clear();
      log.countAnew();
      log.note("The server was restarted. It knows nothing of what was said before.");
    } else if (event.recovered === false) {
      log.note("Some of what was said meanwhile is no longer held.");
    }
    if (event.isFirst || event.isAnew) {
      log.event(`Welcome ${event.you.name} !`);
    }
    people.set(event.members, event.count);
    if (!event.recovered) {
      askForOlder(event.seq + 1);
    }
    rememberRoom();
  },

  say(event) {
    const { seq, time, from, text } = event;
    const isMine = from.id === connection.you.id;
    log.message({ seq, time, from, text, isMine, state: isMine ? "sent" : undefined }, acknowledged.get(seq));
    acknowledged.delete(seq);
    isMine || notices.show(from.name, text);
  },

  data({ from, base64 }) {
    log.note(`binary message from ${from.name}, ${atob(base64).length} bytes`);
  },

  history({ messages, more }) {
    asksForOlder = false;
    hasOlder = more;
    const said = messages.filter(({ type }) => type === "say");
    log.older(said.map((event) => ({ ...event, isMine: event.from.id === connection.you.id })));
  },

  ack({ seq, entry }) {
    if (entry?.line === undefined) {
      return;
    }
    if (seq <= connection.seq) {
      log.flush();
      entry.line.remove(); // It has come back already.
    } else {
      acknowledged.set(seq, entry.line);
    }
  },

  error({ text, entry }) {
    entry === undefined ? tell("hint", text) : fail(entry, text);
  },

  gap({ first, last, members, count }) {
    const missing = last - first + 1;
    log.note(`${missing} ${missing === 1 ? "message is" : "messages are"} missing here: this page could not keep up.`);
    people.set(members, count);
  },

  join({ id, name, count }) {
    people.add(id, name, count);
    log.event(`${name} joined`);
  },

  leave({ id, name, count }) {
    people.remove(id, count);
    log.event(`${name} left`);
  },

  presence({ joined, left, renamed, count, members }) {
    // Only a room that is small again says who is here.
    people.set(members, count);
    const names = renamed === undefined ? "" : `, ${renamed} with a new name`;
    log.event(`${joined} joined, ${left} left${names}, ${count} here`);
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

connection.onEvent = (event) => events[event.type]?.(event);

function askForOlder(before) {
  if (!asksForOlder && connection.phase === "connected") {
    asksForOlder = true;
    connection.send({ type: "history", before, limit: HISTORY_PAGE });
  }
}

log.onOlder = () => {
  const oldest = log.oldest();
  if (hasOlder && oldest !== undefined) {
    askForOlder(oldest);
  }
};

/* ---- What you say ---- */

/** Why `text` cannot be sent now, or nothing. */
function messageRefusal(text) {
  const excess = connection.size(text) - connection.limits.message;
  if (text.trim() === "") {
    return "There is nothing to send yet. Write something first.";
  }
  if (excess > 0) {
    return `This is too long by ${excess.toLocaleString("en")} bytes. Please send it in parts.`;
  }
  return connection.phase === "disconnected" ? "Not connected. Your text stays here until you connect." : "";
}

function say(event) {
  event.preventDefault();
  const text = message.value;
  if (!accepted("message", "hint", messageRefusal(text))) {
    return;
  }
  message.value = "";
  if (text.trim() === "quit") {
    connection.disconnect();
    log.note("You have left the room.");
    return;
  }
  send(text);
  goToNewest();
}

function send(text) {
  const entry = connection.say(text);
  const { id, name } = connection.you;
  entry.line = log.pending(text, { id, name: name || connection.name || "You" });
}

/** Marks a message that will not be sent; a click on it sends it anew. */
function fail(entry, why) {
  connection.forget(entry);
  const { line, text } = entry;
  line.dataset.state = "failed";
  line.title = why;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "again";
  again.textContent = "Send again";
  again.addEventListener("click", () => {
    line.remove();
    send(text);
  });
  line.append(again);
  tell("hint", `Not sent: ${why}`);
}

function goToNewest() {
  log.toBottom();
  message.focus();
}

function onMessageKey(event) {
  // While an input method composes, Enter chooses a word. Safari ends composing first and tells by 229 alone.
  const composing = event.isComposing || event.keyCode === 229;
  if (event.key === "Enter" && !event.shiftKey && !composing) {
    say(event);
  }
}

/** Shows why an input is refused and goes back to it; true if it is not refused. */
function accepted(inputId, hintId, refusal) {
  tell(hintId, refusal);
  if (refusal !== "") {
    byId(inputId).focus();
  }
  return refusal === "";
}

/* ---- Who is here ---- */

const people = {
  names: new Map(), // By id; in a large room of the first hundred, as they were when it became large.
  count: 0,

  /** Who is here; without members the others stay as they were. */
  set(members, count) {
    this.names = members === undefined ? this.names : new Map(members.map(({ id, name }) => [id, name]));
    this.count = count;
    this.show();
  },

  add(id, name, count) {
    this.names.set(id, name);
    this.count = count;
    this.show();
  },

  remove(id, count) {
    this.names.delete(id);
    this.count = count;
    this.show();
  },

  rename(id, name) {
    this.names.set(id, name);
    this.show();
  },

  show() {
    tell("people", `${this.count.toLocaleString("en")} here`);
    const names = [...this.names].sort(([, one], [, other]) => one.localeCompare(other));
    byId("people-list").replaceChildren(...names.map(([id, name]) => {
      const item = document.createElement("li");
      item.textContent = id === connection.you.id ? `${name} (you)` : name;
      return item;
    }));
    const untold = this.count - this.names.size;
    tell("people-more", untold > 0 ? `and ${untold.toLocaleString("en")} more` : "");
  },
};

/* ---- Notices on the desktop, for who asks for them ---- */

const notices = {
  isOn: false,

  async toggle() {
    if (!("Notification" in globalThis)) {
      tell("hint", "This browser shows no notices.");
      return;
    }
    this.isOn = !this.isOn && (await Notification.requestPermission()) === "granted";
    byId("notify").setAttribute("aria-pressed", String(this.isOn));
    tell("hint", this.isOn || Notification.permission === "granted" ? "" : "The browser does not allow notices for this page.");
  },

  show(who, text) {
    if (this.isOn && document.hidden) {
      const notice = new Notification(`${who} in ${room}`, { body: text.slice(0, 200), tag: `wsloop ${room}` });
      notice.addEventListener("click", () => focus());
    }
  },
};

/* ---- Who you are ---- */

/** `known` is false until the visitor has answered; an empty name is a visitor without one. */
const me = { name: "", known: false, joined: false };

function recallName() {
  try {
    const name = localStorage.getItem(NAME_KEY);
    me.known = name !== null && nameRefusal(name) === "";
    me.name = me.known ? name : "";
    connection.name = me.name;
  } catch {
    // A browser may forbid the storage; then the page asks at each visit.
  }
}

function rememberName() {
  try {
    localStorage.setItem(NAME_KEY, me.name);
  } catch {
    // The name holds for this visit then.
  }
}

function askName() {
  byId("name").value = me.name;
  byId("name-save").textContent = me.joined ? "Use this name" : "Join";
  tell("name-hint", "");
  byId("name-dialog").showModal();
  byId("name").select();
}

/** The name in the box; without the invisible mark that makes an emoji a sign. */
function nameWritten() {
  return byId("name").value.trim().normalize("NFC").replace(/\uFE0E/g, "");
}

function onNameSubmit(event) {
  event.preventDefault();
  const name = nameWritten();
  if (accepted("name", "name-hint", name === "" ? "Write a name, or go on without one." : nameRefusal(name))) {
    useName(name);
  }
}

function useName(name) {
  const changed = name !== me.name;
  Object.assign(me, { name, known: true });
  connection.name = name;
  rememberName();
  byId("name-dialog").close();
  if (!changed || !me.joined) {
    return;
  }
  if (connection.phase === "connected") {
    connection.send({ type: "name", name: name || `guest${connection.you.id.slice(1)}` });
  } else if (connection.phase !== "disconnected") {
    connection.connect();
  }
}

/** However the dialog was left, by Escape too: whoever has not joined yet joins now. */
function join() {
  if (!me.joined) {
    me.joined = true;
    connection.connect();
  }
  if (!matchMedia("(pointer: coarse)").matches) {
    message.focus(); // On a phone this would cover half of the page with a keyboard.
  }
}

/* ---- Where you are ---- */

function openRooms() {
  byId("link").value = location.origin + location.pathname;
  byId("other-room").value = "";
  showRecentRooms();
  tell("rooms-hint", "");
  byId("rooms-dialog").showModal();
}

function onRoomsSubmit(event) {
  event.preventDefault();
  const name = byId("other-room").value.trim().normalize("NFC");
  if (accepted("other-room", "rooms-hint", roomRefusal(name))) {
    location.assign(pathOf(name));
  }
}

async function copyLink() {
  byId("link").select();
  try {
    await navigator.clipboard.writeText(byId("link").value);
    tell("rooms-hint", "The link is copied.");
  } catch {
    // Browsers allow it on https and on this machine only.
    tell("rooms-hint", "The link is selected: copy it with Ctrl+C or the menu of your browser.");
  }
}

/** The rooms of the last visits, the last first; a browser may forbid to remember them. */
function recentRooms() {
  try {
    const rooms = JSON.parse(localStorage.getItem(ROOMS_KEY) ?? "[]");
    return Array.isArray(rooms) ? rooms.filter((name) => typeof name === "string" && roomRefusal(name) === "") : [];
  } catch {
    return [];
  }
}

function rememberRoom() {
  const rooms = [room, ...recentRooms().filter((name) => name !== room)].slice(0, ROOMS_REMEMBERED);
  try {
    localStorage.setItem(ROOMS_KEY, JSON.stringify(rooms));
  } catch {
    // Then the list is that of this visit: empty.
  }
}

const pathOf = (name) => (name === "lobby" ? "/" : `/${encodeURIComponent(name)}`);

function showRecentRooms() {
  const others = recentRooms().filter((name) => name !== room);
  byId("recent").replaceChildren(...others.map((name) => {
    const link = document.createElement("a");
    link.href = pathOf(name);
    link.textContent = name;
    return link;
  }));
}

/* ---- Start and end ---- */

/** Says goodbye. A browser may bring the page back later; then it joins again. */
function onPageHide() {
  connection.release();
}

function onVisibilityChange() {
  log.looked();
  if (!document.hidden) {
    connection.retryNow();
  }
}

function listen() {
  on("composer", "submit", say);
  on("message", "keydown", onMessageKey);
  on("message", "input", () => tell("hint", ""));
  on("connect", "click", () => connection.connect());
  on("disconnect", "click", () => connection.disconnect());
  on("newer", "click", goToNewest);
  on("log", "scroll", () => log.scrolled());
  new ResizeObserver(() => log.resized()).observe(byId("log"));
  on("rename", "click", askName);
  on("nameless", "click", () => useName(""));
  on("name-form", "submit", onNameSubmit);
  on("name", "input", () => tell("name-hint", nameRefusal(nameWritten())));
  on("name-dialog", "close", join);
  on("people", "click", () => byId("people-dialog").showModal());
  on("people-close", "click", () => byId("people-dialog").close());
  on("notify", "click", () => notices.toggle());
  on("rooms", "click", openRooms);
  on("rooms-form", "submit", onRoomsSubmit);
  on("rooms-close", "click", () => byId("rooms-dialog").close());
  on("copy", "click", copyLink);
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("online", () => connection.retryNow());
  addEventListener("pagehide", onPageHide);
  addEventListener("pageshow", (event) => event.persisted && connection.phase !== "disconnected" && connection.connect());
}

byId("room").textContent = room;
log.room = room;
recallName();
listen();
log.showCounts();
me.known ? join() : askName();
