/*
 * The chat page: one WebSocket to the room of this page's path, in the text-line form.
 * What comes from the server is put into the page as text, never as markup.
 *
 * The ids, which the tests use too:
 *   #room #status (data-phase: connecting, connected, waiting, disconnected) #countdown #connect #disconnect
 *   #log (one .line for each line that came, whose text content is that line; .note for the page's own words)
 *   #newer (shown while the newest message is out of sight) #composer #message #send #hint (why it was not sent)
 *   #rename #name-dialog #name-form #name #name-save #nameless #name-hint
 *   #rooms #rooms-dialog #rooms-form #link #copy #other-room #go #rooms-hint #rooms-close
 */

const LINES_MAX = 2000; // Older lines leave the page, so that a long evening does not slow it down.
const MESSAGE_BYTES_MAX = 64 * 1024; // The server's default limit.
const NAME_CHARACTERS_MAX = 32;
const NAME_KEY = "wsloop.name";
const CONNECT_TIME_MAX_MS = 12_000; // Browsers give a silent host minutes.
const PAUSE_FLOOR_MS = 300;
const PAUSE_FIRST_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const RETRY_AFTER_MAX_MS = 600_000;
const LASTED_MS = 5000; // A connection that held this long makes the pauses short again.
const HIDDEN_FLUSH_MS = 250; // A hidden tab has no animation frames.
const AT_BOTTOM_PX = 48;
const COLOURS = 8;
// The server's rules. What a name hides, and emoji that are joined from several, would let one name look like another.
const HIDDEN_CHARACTERS = /[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029\uFFF0-\uFFFD]/u;
const ROOM_NAME = /^(?!\p{M})[\p{Alphabetic}\p{N}\p{M}\-_.~]{1,64}$/u;
const RESERVED_ROOMS = ["assets", "broadcast", "dashboard", "echo", "events", "favicon.ico", "healthz", "metrics",
  "publish", "readyz", "robots.txt", "stats"];

/** What a close code means to the person at the page; the other codes say no more than that the connection is lost. */
const CLOSE_WORDS = {
  1001: "the server is shutting down",
  1002: "the server could not follow the connection (protocol error)",
  1003: "the server does not take this kind of message",
  1007: "the server received text that is not valid UTF-8",
  1008: "the server refused this connection",
  1009: "your message was too long for the server",
  1011: "something went wrong in the server",
  1012: "the server is restarting",
  1013: "this page could not keep up with the room",
};

const byId = (id) => document.getElementById(id);
const on = (id, type, handler) => byId(id).addEventListener(type, handler);
const tell = (id, words) => { byId(id).textContent = words; };
const log = byId("log");
const message = byId("message");
const room = decodeURIComponent(location.pathname.slice(1)) || "lobby";

/* ---- Connection ---- */

/** The one connection, or none; `phase` is that of #status. */
const connection = { phase: "disconnected", socket: null, timer: 0, attempts: 0, openedAt: 0, dueAt: 0, lastText: "" };

function connect() {
  release();
  show("connecting", connection.attempts === 0 ? "Connecting…" : "Reconnecting…");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const query = me.name === "" ? "" : `?name=${encodeURIComponent(me.name)}`;
  const socket = new WebSocket(`${scheme}//${location.host}${location.pathname}${query}`, "chat");
  const whileCurrent = (handler) => (event) => socket === connection.socket && handler(event);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", whileCurrent(opened));
  socket.addEventListener("message", whileCurrent((event) => lines.receive(event.data)));
  socket.addEventListener("close", whileCurrent((event) => closed(event.code, event.reason)));
  connection.socket = socket;
  connection.timer = setTimeout(closed, CONNECT_TIME_MAX_MS, 1006, "");
}

/** Lets go of the socket and the timer, if any; what the socket still reports is ignored. */
function release() {
  clearTimeout(connection.timer);
  connection.socket?.close();
  connection.socket = null;
  connection.openedAt = 0;
}

function disconnect() {
  release();
  connection.attempts = 0;
  show("disconnected", "Disconnected");
}

function opened() {
  clearTimeout(connection.timer);
  connection.openedAt = performance.now();
  show("connected", me.name === "" ? "Connected" : `Connected as ${me.name}`);
  tell("hint", "");
}

function closed(code, reason) {
  const { openedAt } = connection;
  release();
  if (code === 1000) {
    disconnect(); // We have left: that is an end, not an accident.
    return;
  }
  const words = CLOSE_WORDS[code];
  const why = words === undefined ? "" : `: ${words}${reason === "" ? "" : ` (${reason})`}`;
  if (openedAt !== 0) {
    connection.attempts = performance.now() - openedAt < LASTED_MS ? connection.attempts : 0;
    lines.queue({ note: `Connection lost${why}. What the others say until it is back is missing here.` });
  }
  if (code === 1009 && message.value === "") {
    message.value = connection.lastText;
  }
  show("waiting", openedAt === 0 ? "No connection to the server" : `Connection lost${why}`);
  connection.dueAt = performance.now() + pause(reason);
  connection.attempts += 1;
  countDown();
}

/** How long to wait before the next attempt. Chance spreads out those who lost the same server at the same moment. */
function pause(reason) {
  const longest = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** connection.attempts);
  const chance = PAUSE_FLOOR_MS + Math.random() * (longest - PAUSE_FLOOR_MS);
  const asked = Number(/\bretry-after-ms=(\d+)/.exec(reason)?.[1] ?? 0);
  return Math.min(asked, RETRY_AFTER_MAX_MS) + chance;
}

function countDown() {
  const left = connection.dueAt - performance.now();
  if (left <= 0) {
    connect();
    return;
  }
  tell("countdown", `reconnecting in ${Math.ceil(left / 1000)} s`);
  connection.timer = setTimeout(countDown, Math.min(left, 1000));
}

function retryNow() {
  if (connection.phase === "waiting") {
    connect();
  }
}

function show(phase, words) {
  connection.phase = phase;
  byId("status").dataset.phase = phase;
  tell("status", words);
  tell("countdown", "");
  const focused = document.activeElement;
  byId("connect").hidden = phase === "connecting" || phase === "connected";
  byId("disconnect").hidden = phase === "disconnected";
  if (focused?.hidden) {
    // A button that disappears under the focus would send a keyboard user back to the top of the page.
    byId(phase === "disconnected" ? "connect" : "disconnect").focus();
  }
}

/* ---- What is said ---- */

/** Why `text` cannot be sent now, or nothing. */
function messageRefusal(text) {
  const excess = new TextEncoder().encode(text).length - MESSAGE_BYTES_MAX;
  if (text.trim() === "") {
    return "There is nothing to send yet. Write something first.";
  }
  if (excess > 0) {
    return `This is too long by ${excess.toLocaleString("en")} bytes. Please send it in parts.`;
  }
  const open = connection.phase === "connected" && connection.socket.readyState === WebSocket.OPEN;
  return open ? "" : "Not connected. Your text stays here until it can be sent.";
}

function say(event) {
  event.preventDefault();
  const text = message.value;
  if (accepted("message", "hint", messageRefusal(text))) {
    connection.socket.send(text);
    connection.lastText = text;
    message.value = "";
    goToNewest();
  }
}

function goToNewest() {
  lines.toBottom();
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

/* ---- What is heard ---- */

/**
 * The kind of a line and its parts as [class, text]; the texts joined are always the line again.
 * A line that looks like none of the server's is shown as it is.
 */
function parse(line) {
  const said = /^(\d\d:\d\d:\d\d )(.+?)( say: )([^]*)$/u.exec(line);
  if (said !== null) {
    const [, time, who, verb, text] = said;
    const name = /^\('(.+)', \d+\)$/u.exec(who)?.[1] ?? who;
    return text === `${name} Logout`
      ? { kind: "event", parts: [["time", time], ["unseen", who + verb], ["text", text]] }
      : { kind: "say", who, parts: [["time", time], ["who", who], ["unseen", verb], ["text", text]] };
  }
  const counted = /^(\d\d:\d\d:\d\d )(\d+ joined, \d+ left, \d+ here)$/.exec(line);
  if (counted !== null) {
    return { kind: "event", parts: [["time", counted[1]], ["text", counted[2]]] };
  }
  return { kind: /^Welcome .+ !$/u.test(line) ? "event" : "plain", parts: [["text", line]] };
}

/** One of the few colour classes, the same for the same name everywhere. */
function colourOf(who) {
  // FNV-1a; its upper bits are the mixed ones.
  const hash = [...who].reduce((sum, character) => Math.imul(sum ^ character.codePointAt(0), 0x0100_0193), 0x811c_9dc5);
  return `colour-${(hash >>> 24) % COLOURS}`;
}

function paragraph(className, parts) {
  const element = document.createElement("p");
  element.className = className;
  for (const [name, text] of parts) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    element.append(span);
  }
  return element;
}

/** The paragraph of a line; `before` is the one above it, or nothing. */
function lineParagraph(line, before) {
  const { kind, who, parts } = parse(line);
  const element = paragraph(`line ${kind}`, parts);
  if (kind === "say") {
    // Anybody may take the same name: this is decoration and decides nothing.
    element.classList.add(colourOf(who), who === me.name ? "mine" : "theirs");
    element.dataset.turn = `${line.slice(0, 5)} ${who}`;
    element.classList.toggle("follows", before?.dataset.turn === element.dataset.turn);
  }
  return element;
}

/** Gathers what comes and adds it once a frame, so that a busy room does not freeze the page. */
const lines = {
  waiting: [],
  scheduled: false,
  pinned: true, // The reader is at the bottom and wants to stay there.
  unseen: 0, // Messages below the part in view.
  unread: 0, // Messages since the tab was hidden.
  width: 0,
  height: 0,

  receive(data) {
    this.unseen += this.pinned ? 0 : 1;
    this.unread += document.hidden ? 1 : 0;
    this.queue(typeof data === "string" ? { line: data } : { note: `binary message, ${data.byteLength} bytes` });
  },

  queue(entry) {
    this.waiting.push(entry);
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
    const fragment = document.createDocumentFragment();
    let last = log.lastElementChild;
    for (const { line, note } of this.waiting.slice(-LINES_MAX)) {
      last = note === undefined ? lineParagraph(line, last) : paragraph("note", [["text", note]]);
      fragment.append(last);
    }
    this.waiting = [];
    log.append(fragment);
    while (log.childElementCount > LINES_MAX) {
      log.firstElementChild.remove();
    }
    // The first line says who speaks, even if the one that it followed is gone.
    log.firstElementChild?.classList.remove("follows");
    this.pinned ? this.toBottom() : this.showCounts();
  },

  toBottom() {
    log.scrollTop = log.scrollHeight;
    this.scrolledTo(true);
  },

  scrolledTo(bottom) {
    this.pinned = bottom;
    this.unseen = bottom ? 0 : this.unseen;
    this.showCounts();
  },

  showCounts() {
    byId("newer").hidden = this.unseen === 0;
    byId("newer").textContent = this.unseen === 1 ? "1 new message" : `${this.unseen} new messages`;
    document.title = `${this.unread === 0 ? "" : `(${this.unread}) `}${room} · wsloop`;
  },

  scrolled() {
    // A new size moves the lines too; only a reader who moves them leaves the bottom.
    if (this.width === log.clientWidth && this.height === log.clientHeight) {
      this.scrolledTo(log.scrollHeight - log.scrollTop - log.clientHeight < AT_BOTTOM_PX);
    }
  },

  resized() {
    this.width = log.clientWidth;
    this.height = log.clientHeight;
    if (this.pinned) {
      this.toBottom();
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

/** Why `name` cannot be used, or nothing. */
function nameRefusal(name) {
  const length = [...name].length;
  if (length > NAME_CHARACTERS_MAX) {
    return `A name has at most ${NAME_CHARACTERS_MAX} characters; this one has ${length}.`;
  }
  return HIDDEN_CHARACTERS.test(name)
    ? "A name cannot hold invisible characters, nor emoji that are joined from several."
    : "";
}

function askName() {
  byId("name").value = me.name;
  byId("name-save").textContent = me.joined ? "Use this name" : "Join";
  tell("name-hint", "");
  byId("name-dialog").showModal();
  byId("name").select();
}

/** The name in the box; without the invisible marks that keyboards put behind some emoji. */
function nameWritten() {
  return byId("name").value.trim().normalize("NFC").replace(/[\uFE0E\uFE0F]/g, "");
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
  rememberName();
  byId("name-dialog").close();
  if (changed && connection.phase !== "disconnected") {
    connect();
  }
}

/** However the dialog was left, by Escape too: whoever has not joined yet joins now. */
function join() {
  if (!me.joined) {
    me.joined = true;
    connect();
  }
  if (!matchMedia("(pointer: coarse)").matches) {
    message.focus(); // On a phone this would cover half of the page with a keyboard.
  }
}

/* ---- Where you are ---- */

/** Why there can be no room of that name, or nothing. A URL cannot end in `.` or `..`. */
function roomRefusal(name) {
  if (!ROOM_NAME.test(name) || name === "." || name === "..") {
    return "A room's name has 1 to 64 letters, digits, or - _ . ~ and no spaces.";
  }
  return RESERVED_ROOMS.includes(name) ? `The server uses “${name}” for itself. Please choose another name.` : "";
}

function openRooms() {
  byId("link").value = location.origin + location.pathname;
  byId("other-room").value = "";
  tell("rooms-hint", "");
  byId("rooms-dialog").showModal();
}

function onRoomsSubmit(event) {
  event.preventDefault();
  const name = byId("other-room").value.trim().normalize("NFC");
  if (accepted("other-room", "rooms-hint", roomRefusal(name))) {
    location.assign(name === "lobby" ? "/" : `/${encodeURIComponent(name)}`);
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

/* ---- Start and end ---- */

/** Says goodbye. A browser may bring the page back later; then it joins again. */
function onPageHide() {
  if (connection.phase === "connected") {
    connection.socket.send("quit");
  }
  release();
}

function onVisibilityChange() {
  lines.unread = 0;
  lines.flush(); // The frame asked for before may come late, or never.
  if (!document.hidden) {
    retryNow();
  }
}

function listen() {
  on("composer", "submit", say);
  on("message", "keydown", onMessageKey);
  on("message", "input", () => tell("hint", ""));
  on("connect", "click", connect);
  on("disconnect", "click", disconnect);
  on("newer", "click", goToNewest);
  on("log", "scroll", () => lines.scrolled());
  new ResizeObserver(() => lines.resized()).observe(log);
  on("rename", "click", askName);
  on("nameless", "click", () => useName(""));
  on("name-form", "submit", onNameSubmit);
  on("name", "input", () => tell("name-hint", nameRefusal(nameWritten())));
  on("name-dialog", "close", join);
  on("rooms", "click", openRooms);
  on("rooms-form", "submit", onRoomsSubmit);
  on("rooms-close", "click", () => byId("rooms-dialog").close());
  on("copy", "click", copyLink);
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("online", retryNow);
  addEventListener("pagehide", onPageHide);
  addEventListener("pageshow", (event) => event.persisted && connection.phase !== "disconnected" && connect());
}

byId("room").textContent = room;
recallName();
listen();
lines.showCounts();
me.known ? join() : askName();
