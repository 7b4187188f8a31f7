/*
 * A chat room of a wsloop server, for any page and for Node: one WebSocket in the JSON form (subprotocol wsloop.json),
 * found again whenever it is lost. What was missed comes with the resume; what was said and not acknowledged is said
 * again, once. Its types are in client.d.ts, an example is examples/guest.html.
 *
 * Knows the server's JSON and what it is given: no document, no storage, no address of a page. Imports nothing but who
 * is here (roster.js). What happens is told to those who listen: `room.on("say", (event) => …)`.
 */

import { People } from "./roster.js";

const CONNECT_TIME_MAX_MS = 12_000; // Browsers give a silent host minutes.
const PAUSE_FLOOR_MS = 300;
const PAUSE_FIRST_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const RETRY_AFTER_MAX_MS = 600_000;
const LASTED_MS = 5000; // A connection that held this long makes the pauses short again.
const PING_EVERY_MS = 10_000;
const SILENCE_MAX_MS = 5000; // After a ping. A network that is gone, or a night's sleep, does not tell.
const SILENCE_IN_DOUBT_MS = 1500; // The same, once the device has said that its network is gone.
const ASK_TIME_MAX_MS = 8000;
const REF_KEPT_MS = 570_000; // The server knows a `ref` for ten minutes; half a minute is left for the way.
const HISTORY_PAGE = 50;
const TYPING_EVERY_MS = 3000; // The server tells others no more often.

/** Twice as many hexadecimal digits of chance as bytes. */
function chance(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A secret that makes all connections with it one person. */
export const freshKey = () => chance(16);

export class Room {
  /** connecting, connected, waiting (for the next attempt), disconnected. */
  phase = "disconnected";
  /** Who we are, as the last welcome said. */
  you = { id: "", name: "" };
  people = new People(this);
  epoch = "";
  /** The number of the last message that was heard. */
  seq = 0;
  /** Said or done and not acknowledged, in order: { ref, text, re, change, at, sentAt, epoch }. */
  unsent = [];
  /** What the server lets us do, as the last welcome said. */
  limits = { message: 64 * 1024, unacknowledged: 500 };

  listeners = new Map();
  underWay = 0; // As many of `unsent`, from the first on, are on their way.
  socket = null;
  timer = 0;
  pinger = 0;
  answerDue = 0;
  isDoubted = false;
  isAskingHistory = false;
  attempts = 0;
  openedAt = 0;
  dueAt = 0;
  prefix = chance(4);
  said = 0;
  typedAt = -TYPING_EVERY_MS;

  /** `url` is the room's, with http: or https: (or ws:, wss:). `origin` is that of the page, where there is one. */
  constructor(url, { name = "", key = freshKey(), origin, WebSocket, fetch } = {}) {
    this.url = new URL(url);
    this.url.protocol = this.url.protocol.replace("ws", "http");
    Object.assign(this, { name, key, origin, platform: { WebSocket, fetch } });
  }

  /** Calls `listener` with each event of this type; what it returns ends that. */
  on(type, listener) {
    const all = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, all.add(listener));
    return () => all.delete(listener);
  }

  emit(type, event = {}) {
    this.listeners.get(type)?.forEach((listener) => listener(event));
  }

  /* ---- What one can do ---- */

  connect() {
    this.release();
    this.show("connecting", { isFirst: this.attempts === 0 });
    const url = new URL(this.url);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("key", this.key);
    if (this.name !== "") {
      url.searchParams.set("name", this.name);
    }
    if (this.epoch !== "") {
      url.searchParams.set("since", this.seq);
      url.searchParams.set("epoch", this.epoch);
    }
    const Socket = this.platform.WebSocket ?? WebSocket;
    const socket = new Socket(url.href, "wsloop.json");
    const whileCurrent = (handler) => (event) => socket === this.socket && handler(event);
    socket.addEventListener("open", whileCurrent(() => this.opened()));
    socket.addEventListener("message", whileCurrent((event) => this.receive(event.data)));
    socket.addEventListener("close", whileCurrent((event) => this.closed(event.code, event.reason)));
    socket.addEventListener("error", () => {}); // Its close follows. In Node an error that nobody hears is thrown.
    this.socket = socket;
    this.timer = setTimeout(() => this.closed(1006, ""), CONNECT_TIME_MAX_MS);
  }

  disconnect() {
    this.release();
    this.attempts = 0;
    this.show("disconnected");
  }

  /** Something has changed: ends a pause before the next attempt, or looks whether the server is still there. */
  retryNow() {
    this.phase === "waiting" ? this.connect() : this.ping();
  }

  /** The device says that its network is gone. It may be wrong; so the server is asked, and has to answer soon. */
  doubt() {
    if (this.phase === "connected" && this.socket !== null) {
      this.isDoubted = true;
      this.emit("doubt");
      this.ping(SILENCE_IN_DOUBT_MS);
    }
  }

  /** Says something as soon as there is a connection, as an answer to the message `re` if it is given; returns what is
      to be acknowledged. */
  say(text, re) {
    return this.sayAgain({ ref: this.nextRef(), text, re, at: Date.now() });
  }

  /** Gives one's own message of this number another text. */
  edit(seq, text) {
    return this.change({ type: "edit", seq, text });
  }

  /** Takes one's own message of this number back. */
  delete(seq) {
    return this.change({ type: "delete", seq });
  }

  /** Adds an emoji to the message of this number, or takes one's own away. */
  react(seq, emoji, on = true) {
    return this.change({ type: "react", seq, emoji, on });
  }

  change(change) {
    return this.sayAgain({ ref: this.nextRef(), change, at: Date.now() });
  }

  /** Lets the others know that one is writing; to be called at each keystroke. */
  typing() {
    if (performance.now() - this.typedAt >= TYPING_EVERY_MS) {
      this.typedAt = performance.now();
      this.send({ type: "typing" });
    }
  }

  /** Says what was said before and not acknowledged, perhaps by another connection with this key. */
  sayAgain({ ref, text, re, change, at, sentAt, epoch = this.epoch }) {
    const entry = { ref, text, re, change, at, sentAt, epoch };
    this.unsent.push(entry);
    this.emit("unsent");
    // Whoever said it has the entry before it can fail.
    queueMicrotask(() => this.sendNext());
    return entry;
  }

  /** Takes something back that was not acknowledged. */
  forget(entry) {
    const place = this.unsent.indexOf(entry);
    if (place >= 0) {
      this.unsent.splice(place, 1);
      this.underWay -= place < this.underWay ? 1 : 0;
      this.emit("unsent");
    }
  }

  /** What to be called from now on; empty for no name. */
  rename(name) {
    this.name = name;
    if (this.phase === "connected") {
      this.send({ type: "name", name: name || this.guestName() });
    } else if (this.phase !== "disconnected") {
      this.connect();
    }
  }

  /** Asks for what was said before the message of this number, unless an answer is due already. */
  askForHistory(before, limit = HISTORY_PAGE) {
    if (!this.isAskingHistory && this.phase === "connected") {
      this.isAskingHistory = true;
      this.send({ type: "history", before, limit });
    }
  }

  /** The bytes that a text takes on its way, as a message or as the change of one. */
  size(text, { ref = `${this.prefix}-${this.said + 1}`, re, change } = {}) {
    const request = change === undefined ? { type: "say", text, re, ref } : { ...change, ref };
    return new TextEncoder().encode(JSON.stringify(request)).length;
  }

  /* ---- How it is done ---- */

  nextRef() {
    this.said += 1;
    return `${this.prefix}-${this.said}`;
  }

  guestName() {
    return `guest${this.you.id.slice(1)}`;
  }

  /** Sends what the server will still know when it has to be said again: of more, some could be said twice. */
  sendNext() {
    while (this.phase === "connected" && this.underWay < Math.min(this.unsent.length, this.limits.unacknowledged)) {
      const entry = this.unsent[this.underWay];
      const { ref, text, re, change } = entry;
      if (this.size(text, entry) > this.limits.message) {
        this.fail(entry, "too_long");
      } else if (Date.now() - entry.sentAt > REF_KEPT_MS) {
        this.fail(entry, "too_old"); // The server would say it twice, if it has heard it.
      } else {
        entry.sentAt ??= Date.now();
        this.underWay += 1;
        this.send(change === undefined ? { type: "say", text, re, ref } : { ...change, ref });
      }
    }
  }

  fail(entry, code, text = "") {
    this.forget(entry);
    this.emit("failed", { entry, code, text });
  }

  send(object) {
    if (this.phase === "connected" && this.socket?.readyState === 1) {
      this.socket.send(JSON.stringify(object));
    }
  }

  /** Lets go of the socket and the timers, if any; what the socket still reports is ignored. */
  release() {
    clearTimeout(this.timer);
    clearInterval(this.pinger);
    clearTimeout(this.answerDue);
    this.socket?.close(1000);
    this.socket = null;
    this.openedAt = 0;
    this.isDoubted = false;
  }

  opened() {
    clearTimeout(this.timer);
    this.openedAt = performance.now();
  }

  receive(data) {
    const event = typeof data === "string" ? JSON.parse(data) : {};
    clearTimeout(this.answerDue);
    if (this.isDoubted) {
      this.isDoubted = false;
      this.show("connected");
    }
    switch (event.type) {
      case "welcome":
        this.welcomed(event);
        break;
      case "say":
      case "data":
      case "edit":
      case "delete":
      case "react":
        if (event.seq <= this.seq) {
          return;
        }
        this.seq = event.seq;
        break;
      case "gap":
        this.seq = event.last;
        break;
      case "history":
        this.isAskingHistory = false;
        break;
      case "name":
        if (event.id === this.you.id) {
          this.you = { ...this.you, name: event.name };
          this.show("connected");
        }
        break;
      case "ack":
      case "error":
        this.answered(event);
        break;
      case "pong":
        event.ms = performance.now() - Number(event.ref);
        break;
      default:
        break;
    }
    this.people.handle(event);
    this.emit(event.type, event);
  }

  /** The server has accepted what was said, or refused it. */
  answered(event) {
    event.entry = this.unsent.find((entry) => entry.ref === event.ref);
    if (event.type === "ack") {
      this.forget(event.entry);
    } else if (event.entry !== undefined) {
      this.fail(event.entry, event.code, event.text);
    }
    this.sendNext();
  }

  welcomed(event) {
    this.you = event.you;
    event.isFirst = this.epoch === "";
    event.isAnew = !event.isFirst && event.epoch !== this.epoch;
    event.heard = this.seq; // Before it, the last that was heard.
    this.epoch = event.epoch;
    this.seq = event.recovered ? this.seq : event.seq;
    this.limits = { ...this.limits, ...event.limits };
    this.isAskingHistory = false; // The answer, if one was due, is lost with its connection.
    this.show("connected");
    this.forgetNumbers();
    this.underWay = 0;
    this.sendNext();
    if (this.name === "" && !this.you.name.startsWith(this.guestName())) {
      this.send({ type: "name", name: this.guestName() }); // The name of before, which we have given up.
    }
    this.ping();
    this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
  }

  /** In another epoch a number is that of another message: an answer is a message then, and a change is not made. */
  forgetNumbers() {
    for (const entry of [...this.unsent]) {
      entry.epoch ||= this.epoch; // Of what was said before the first welcome, none is known.
      if (entry.epoch !== this.epoch) {
        entry.re = undefined;
        entry.change === undefined || this.fail(entry, "not_held");
      }
    }
  }

  /** Whether the server is still there; if not, the connection is lost, whatever the browser believes. */
  ping(silenceMax = SILENCE_MAX_MS) {
    if (this.phase !== "connected" || this.socket === null) {
      return; // A page that was left and is about to come back has no socket.
    }
    clearTimeout(this.answerDue);
    this.answerDue = setTimeout(() => this.closed(1006, ""), silenceMax);
    this.send({ type: "ping", ref: String(performance.now()) });
  }

  closed(code, reason) {
    const { openedAt } = this;
    const wasOpen = openedAt !== 0;
    this.release();
    if (code === 1000) {
      this.disconnect(); // A normal close is an end, not an accident.
      return;
    }
    if (wasOpen) {
      this.attempts = performance.now() - openedAt < LASTED_MS ? this.attempts : 0;
    }
    this.show("waiting", { code, reason, wasOpen });
    if (code === 1009 && this.underWay > 0) {
      // Sent again, it would end the next connection too. What is too long is the longest.
      const size = (entry) => this.size(entry.text, entry);
      const longest = this.unsent.slice(0, this.underWay).reduce((one, other) => (size(other) > size(one) ? other : one));
      this.fail(longest, "too_long");
    }
    this.dueAt = performance.now() + this.pause(reason);
    this.attempts += 1;
    this.countDown();
    wasOpen || this.ask();
  }

  /** How long to wait before the next attempt. Chance spreads out those who lost the same server at the same moment. */
  pause(reason) {
    const longest = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** this.attempts);
    const wait = PAUSE_FLOOR_MS + Math.random() * (longest - PAUSE_FLOOR_MS);
    const asked = Number(/\bretry-after-ms=(\d+)/.exec(reason)?.[1] ?? 0);
    return Math.min(asked, RETRY_AFTER_MAX_MS) + wait;
  }

  countDown() {
    const left = this.dueAt - performance.now();
    if (left <= 0) {
      this.connect();
      return;
    }
    this.emit("countdown", { seconds: Math.ceil(left / 1000) });
    this.timer = setTimeout(() => this.countDown(), Math.min(left, 1000));
  }

  /** Browsers do not tell why no WebSocket opened. A plain request, judged as one, is told in words. */
  async ask() {
    const { attempts } = this;
    const answer = await this.judged().catch(() => undefined);
    if (answer === undefined || this.phase !== "waiting" || this.attempts !== attempts) {
      return; // There is no server either, or it does not matter any more.
    }
    if (answer.retryAfter > 0) {
      const wait = Math.min(answer.retryAfter * 1000, RETRY_AFTER_MAX_MS) + Math.random() * PAUSE_FIRST_MS;
      this.dueAt = Math.max(this.dueAt, performance.now() + wait);
    }
    this.emit("refused", answer);
  }

  /** The status and the words of the answer; a page of another origin may not read them, and gets status 0. */
  async judged() {
    const ask = this.platform.fetch ?? fetch;
    const options = { cache: "no-store", signal: AbortSignal.timeout(ASK_TIME_MAX_MS) };
    if (this.origin !== undefined && this.origin !== this.url.origin) {
      await ask(new URL("/healthz", this.url), { ...options, mode: "no-cors" });
      return { status: 0, text: "", retryAfter: 0 };
    }
    const answer = await ask(this.url, { ...options, headers: { "Wsloop-Try": this.origin ?? "" } });
    const text = (await answer.text()).trim().replace(/^\d{3} /, "");
    return { status: answer.status, text, retryAfter: Number(answer.headers.get("Retry-After") ?? 0) };
  }

  show(phase, details = {}) {
    this.phase = phase;
    this.emit("phase", { phase, ...details });
  }
}
