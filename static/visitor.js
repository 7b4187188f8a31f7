/*
 * Who you are and where: your name, this room and the others you were in, the two dialogs that ask for them, and
 * what this browser remembers of them.
 *
 * Knows the rules for names, and the connection, which is told the name.
 * Ids: #rename #own-name #name-dialog #name-form #name #name-save #nameless #name-hint
 *      #room #rooms #rooms-dialog #rooms-form #link #copy #recent #other-room #go #rooms-hint #rooms-close
 */

import { connection } from "/assets/connection.js";
import { putFace } from "/assets/faces.js";
import { nameRefusal, roomRefusal } from "/assets/names.js";
import { accepted, byId, tell } from "/assets/page.js";

const NAME_KEY = "wsloop.name";
const ROOMS_KEY = "wsloop.rooms";
const ROOMS_REMEMBERED = 8;

/** The room of this page. */
export const room = decodeURIComponent(location.pathname.slice(1)) || "lobby";

const pathOf = (name) => (name === "lobby" ? "/" : `/${encodeURIComponent(name)}`);

/* ---- Who you are ---- */

/** The name in the box; without the invisible mark that makes an emoji a sign. */
function nameWritten() {
  return byId("name").value.trim().normalize("NFC").replace(/\uFE0E/g, "");
}

export const visitor = {
  /** Empty for a visitor without a name. */
  name: "",
  /** Whether the visitor has answered what it wants to be called. */
  known: false,
  called: "",
  onTaken() {},
  /** What is to be done once there is an answer. */
  next() {},

  recall() {
    try {
      const name = localStorage.getItem(NAME_KEY);
      this.known = name !== null && nameRefusal(name) === "";
      this.name = this.known ? name : "";
      connection.name = this.name;
    } catch {
      // A browser may forbid the storage; then the page asks at each visit.
    }
    this.showOwn(this.name);
  },

  /** What one is called, where one writes. */
  showOwn(name) {
    tell("own-name", name || "no name yet");
    putFace(byId("rename"), name || "?");
  },

  remember() {
    try {
      localStorage.setItem(NAME_KEY, this.name);
    } catch {
      // The name holds for this visit then.
    }
  },

  /** Reading needs no name. Who writes is asked first, once; true if that is settled, else `next` is done later. */
  isNamed(next) {
    this.known || this.ask(next);
    return this.known;
  },

  ask(next = () => {}) {
    this.next = next;
    byId("name").value = this.name;
    tell("name-hint", "");
    byId("name-dialog").showModal();
    byId("name").select();
  },

  written() {
    tell("name-hint", nameRefusal(nameWritten()));
  },

  submit(event) {
    event.preventDefault();
    const name = nameWritten();
    if (accepted("name", "name-hint", name === "" ? "Write a name, or go on without one." : nameRefusal(name))) {
      this.use(name);
    }
  },

  use(name) {
    const changed = name !== this.name;
    Object.assign(this, { name, known: true });
    this.remember();
    byId("name-dialog").close();
    if (changed) {
      connection.rename(name);
      connection.phase === "connected" || this.showOwn(name);
    }
    this.next();
  },

  /** The server calls the visitor so: by the name that it wants, or if that is somebody's, with a number. */
  isCalled(name) {
    if (name !== this.called && this.name !== "" && name.startsWith(`${this.name}-`)) {
      this.onTaken(this.name, name);
    }
    this.called = name;
  },
};

/* ---- Where you are ---- */

export const rooms = {
  key: ROOMS_KEY,

  /** The invitation to this room. */
  link: () => location.origin + location.pathname,

  open() {
    byId("link").value = this.link();
    byId("other-room").value = "";
    this.showRecent();
    tell("rooms-hint", "");
    byId("rooms-dialog").showModal();
  },

  submit(event) {
    event.preventDefault();
    const name = byId("other-room").value.trim().normalize("NFC");
    if (accepted("other-room", "rooms-hint", roomRefusal(name))) {
      location.assign(pathOf(name));
    }
  },

  async copyLink(linkId = "link", hintId = "rooms-hint") {
    byId(linkId).select();
    try {
      await navigator.clipboard.writeText(byId(linkId).value);
      tell(hintId, "The link is copied.");
    } catch {
      // Browsers allow it on https and on this machine only.
      tell(hintId, "The link is selected: copy it with Ctrl+C or the menu of your browser.");
    }
  },

  /** The rooms of the last visits, the last first; a browser may forbid to remember them. */
  recent() {
    try {
      const names = JSON.parse(localStorage.getItem(ROOMS_KEY) ?? "[]");
      return Array.isArray(names) ? names.filter((name) => typeof name === "string" && roomRefusal(name) === "") : [];
    } catch {
      return [];
    }
  },

  remember() {
    const names = [room, ...this.recent().filter((name) => name !== room)].slice(0, ROOMS_REMEMBERED);
    try {
      localStorage.setItem(ROOMS_KEY, JSON.stringify(names));
    } catch {
      // Then the list is that of this visit: empty.
    }
  },

  showRecent() {
    const others = this.recent().filter((name) => name !== room);
    byId("recent").replaceChildren(...others.map((name) => this.linkTo(name)));
  },

  /** This room and those of the last visits, in an order that stays as it is while one goes from room to room. */
  all() {
    return [...new Set([room, ...this.recent()])].sort((one, other) => one.localeCompare(other));
  },

  linkTo(name) {
    const link = document.createElement("a");
    link.href = pathOf(name);
    link.textContent = name;
    return link;
  },
};
