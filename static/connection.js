/*
 * One WebSocket to the room of this page, in the JSON form (subprotocol wsloop.json), found again whenever it is
 * lost. What was missed comes with the resume; what was said and not acknowledged is said again, once.
 *
 * Knows the address of the page and nothing of what it shows: what happens goes to the functions `on…`.
 */

const CONNECT_TIME_MAX_MS = 12_000; // Browsers give a silent host minutes.
const PAUSE_FLOOR_MS = 300;
const PAUSE_FIRST_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const RETRY_AFTER_MAX_MS = 600_000;
const LASTED_MS = 5000; // A connection that held this long makes the pauses short again.
const PING_EVERY_MS = 10_000;
const SILENCE_MAX_MS = 5000; // After a ping. A network that is gone, or a night's sleep, does not tell.
const KEY_NAME = "wsloop.key";

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

/** Twice as many hexadecimal digits of chance as bytes. */
function chance(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What makes all tabs of this browser one person. A browser may forbid the storage; then each is one of its own. */
function secretKey() {
  const fresh = chance(16);
  try {
    const key = localStorage.getItem(KEY_NAME) ?? fresh;
    localStorage.setItem(KEY_NAME, key);
    return /^[0-9a-f]{32}$/.test(key) ? key : fresh;
  } catch {
    return fresh;
  }
}

/** The one connection, or none. `phase`: connecting, connected, waiting, disconnected. The `on…` are the page's. */
export const connection = {
  phase: "disconnected",
  /** What the next connection asks to be called. */
  name: "",
  /** Who we are, as the last welcome said. */
  you: { id: "", name: "" },
  epoch: "",
  seq: 0,
  /** Said and not acknowledged, in order: { ref, text }. */
  unsent: [],
  /** As many of them, from the first on, are on their way. */
  underWay: 0,
  /** What the server lets us do, as the last welcome said. */
  limits: { message: 64 * 1024, unacknowledged: 500 },
  onPhase() {},
  onEvent() {},
  onLost() {},

  socket: null,
  timer: 0,
  pinger: 0,
  answerDue: 0,
  attempts: 0,
  openedAt: 0,
  dueAt: 0,
  key: secretKey(),
  tab: chance(4),
  said: 0,

  connect() {
    this.release();
    this.show("connecting", this.attempts === 0 ? "Connecting…" : "Reconnecting…");
    const query = new URLSearchParams({ key: this.key });
    if (this.name !== "") {
      query.set("name", this.name);
    }
    if (this.epoch !== "") {
      query.set("since", this.seq);
      query.set("epoch", this.epoch);
    }
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${location.pathname}?${query}`, "wsloop.json");
    const whileCurrent = (handler) => (event) => socket === this.socket && handler(event);
    socket.addEventListener("open", whileCurrent(() => this.opened()));
    socket.addEventListener("message", whileCurrent((event) => this.receive(event.data)));
    socket.addEventListener("close", whileCurrent((event) => this.closed(event.code, event.reason)));
    this.socket = socket;
    this.timer = setTimeout(() => this.closed(1006, ""), CONNECT_TIME_MAX_MS);
  },

  disconnect() {
    this.release();
    this.attempts = 0;
    this.show("disconnected", "Disconnected");
  },

  /** Something has changed: ends a pause before the next attempt, or looks whether the server is still there. */
  retryNow() {
    this.phase === "waiting" ? this.connect() : this.ping();
  },

  /** Says something as soon as there is a connection; returns what is to be acknowledged. */
  say(text) {
    this.said += 1;
    const entry = { ref: `${this.tab}-${this.said}`, text };
    this.unsent.push(entry);
    this.sendNext();
    return entry;
  },

  /** Sends what the server will still know when it has to be said again: of more, some could be said twice. */
  sendNext() {
    while (this.phase === "connected" && this.underWay < Math.min(this.unsent.length, this.limits.unacknowledged)) {
      this.sendEntry(this.unsent[this.underWay]);
      this.underWay += 1;
    }
  },

  /** The last that was sent and is not acknowledged. */
  lastUnderWay() {
    return this.unsent[this.underWay - 1];
  },

  /** Takes something back that was not acknowledged. */
  forget(entry) {
    const place = this.unsent.indexOf(entry);
    if (place >= 0) {
      this.unsent.splice(place, 1);
      this.underWay -= place < this.underWay ? 1 : 0;
    }
    this.sendNext();
  },

  send(object) {
    if (this.phase === "connected" && this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(object));
    }
  },

  /** The bytes that a message takes on its way. */
  size(text) {
    return new TextEncoder().encode(JSON.stringify({ type: "say", text, ref: `${this.tab}-${this.said + 1}` })).length;
  },

  sendEntry({ ref, text }) {
    this.send({ type: "say", text, ref });
  },

  /** Lets go of the socket and the timers, if any; what the socket still reports is ignored. */
  release() {
    clearTimeout(this.timer);
    clearInterval(this.pinger);
    clearTimeout(this.answerDue);
    this.socket?.close(1000);
    this.socket = null;
    this.openedAt = 0;
  },

  opened() {
    clearTimeout(this.timer);
    this.openedAt = performance.now();
  },

  receive(data) {
    const event = typeof data === "string" ? JSON.parse(data) : {};
    clearTimeout(this.answerDue);
    switch (event.type) {
      case "welcome":
        this.welcomed(event);
        break;
      case "say":
      case "data":
        if (event.seq <= this.seq) {
          return;
        }
        this.seq = event.seq;
        break;
      case "gap":
        this.seq = event.last;
        break;
      case "name":
        if (event.id === this.you.id) {
          this.you = { ...this.you, name: event.name };
          this.show("connected", `Connected as ${this.you.name}`);
        }
        break;
      case "ack":
      case "error":
        event.entry = this.unsent.find((entry) => entry.ref === event.ref);
        this.forget(event.entry);
        break;
      default:
        break;
    }
    this.onEvent(event);
  },

  welcomed(event) {
    this.you = event.you;
    event.isAnew = this.epoch !== "" && event.epoch !== this.epoch;
    event.isFirst = this.epoch === "";
    event.heard = this.seq; // Before it, the last that was heard.
    this.epoch = event.epoch;
    this.seq = event.recovered ? this.seq : event.seq;
    this.show("connected", `Connected as ${this.you.name}`);
    this.limits = { ...this.limits, ...event.limits };
    this.underWay = 0;
    this.sendNext();
    const guest = `guest${this.you.id.slice(1)}`;
    if (this.name === "" && !this.you.name.startsWith(guest)) {
      this.send({ type: "name", name: guest }); // The name of before, which we have given up.
    }
    this.ping();
    this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
  },

  /** Whether the server is still there; if not, the connection is lost, whatever the browser believes. */
  ping() {
    if (this.phase !== "connected" || this.socket === null) {
      return; // A page that was left and is about to come back has no socket.
    }
    clearTimeout(this.answerDue);
    this.answerDue = setTimeout(() => this.closed(1006, ""), SILENCE_MAX_MS);
    this.send({ type: "ping", ref: String(performance.now()) });
  },

  closed(code, reason) {
    const { openedAt } = this;
    this.release();
    if (code === 1000) {
      this.disconnect(); // A normal close is an end, not an accident.
      return;
    }
    const words = CLOSE_WORDS[code];
    const why = words === undefined ? "" : `: ${words}${reason === "" ? "" : ` (${reason})`}`;
    if (openedAt !== 0) {
      this.attempts = performance.now() - openedAt < LASTED_MS ? this.attempts : 0;
    }
    this.onLost(code, openedAt !== 0, why);
    this.show("waiting", openedAt === 0 ? "No connection to the server" : `Connection lost${why}`);
    this.dueAt = performance.now() + this.pause(reason);
    this.attempts += 1;
    this.countDown();
  },

  /** How long to wait before the next attempt. Chance spreads out those who lost the same server at the same moment. */
  pause(reason) {
    const longest = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** this.attempts);
    const wait = PAUSE_FLOOR_MS + Math.random() * (longest - PAUSE_FLOOR_MS);
    const asked = Number(/\bretry-after-ms=(\d+)/.exec(reason)?.[1] ?? 0);
    return Math.min(asked, RETRY_AFTER_MAX_MS) + wait;
  },

  countDown() {
    const left = this.dueAt - performance.now();
    if (left <= 0) {
      this.connect();
      return;
    }
    this.onPhase("waiting", null, `reconnecting in ${Math.ceil(left / 1000)} s`);
    this.timer = setTimeout(() => this.countDown(), Math.min(left, 1000));
  },

  show(phase, words) {
    this.phase = phase;
    this.onPhase(phase, words, "");
  },
};
