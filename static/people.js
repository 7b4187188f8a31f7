/*
 * Who is here: how many, and the list of them, in the order of their numbers.
 *
 * In a room of up to a hundred people each who comes and goes is told. In a larger one people are only counted: there
 * the list is loaded by pages while it is looked at, from its beginning on, and loaded anew when the count changes.
 * The list is in a dialog; where there is room for it, in a column of the page, which the same button shows and hides.
 * Knows the connection, to ask for people and to say which of them is oneself.
 * Ids: #people #people-dialog #people-column #people-panel (in one of them) #people-list #people-more (how many of all
 *      are shown) #people-load #people-close
 */

import { connection } from "/assets/connection.js";
import { putFace } from "/assets/faces.js";
import { byId, tell } from "/assets/page.js";

const PAGE = 100;
const hasColumn = matchMedia("(min-width: 1100px)"); // As in panels.css.

const numberOf = (id) => Number(id.slice(1));
const written = (number) => number.toLocaleString("en");

export const people = {
  names: new Map(), // By id.
  count: 0,
  isCounted: false, // The room is large.
  end: 0, // The number up to which the list is loaded, where people are counted.
  isAsking: false,
  asked: 0, // The number behind which people were asked for.
  isOld: false, // The count has changed since then.

  listen() {
    hasColumn.addEventListener("change", () => this.place());
    this.place();
  },

  /** Puts the list where there is room for it. */
  place() {
    const isColumn = hasColumn.matches;
    byId("people-dialog").close();
    byId(isColumn ? "people-column" : "people-dialog").append(byId("people-panel"));
    byId("people-column").hidden = !isColumn;
    this.placed();
  },

  placed() {
    const button = byId("people");
    if (hasColumn.matches) {
      button.removeAttribute("aria-haspopup");
      button.setAttribute("aria-expanded", String(!byId("people-column").hidden));
    } else {
      button.removeAttribute("aria-expanded");
      button.setAttribute("aria-haspopup", "dialog");
    }
    this.end = 0;
    this.refresh();
  },

  isLookedAt() {
    return hasColumn.matches ? !byId("people-column").hidden : byId("people-dialog").open;
  },

  open() {
    if (hasColumn.matches) {
      byId("people-column").hidden = !byId("people-column").hidden;
    } else {
      byId("people-dialog").showModal();
    }
    this.placed();
  },

  /** With a new connection; an answer that was due is lost with the one before. */
  welcome(event) {
    this.isAsking = false;
    this.isOld = false;
    this.set(event);
  },

  /** Who is here, as an event lists or counts them. The hundred of a large room are not those of the lowest numbers. */
  set({ members, count, more = false }) {
    this.count = count;
    this.isCounted = more || members === undefined;
    if (members !== undefined) {
      this.names = new Map(members.map(({ id, name }) => [id, name]));
      this.end = 0;
    }
    this.show();
    this.refresh();
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
    if (this.names.has(id)) {
      this.names.set(id, name);
      this.show();
    }
  },

  /** Asks for the list from its beginning to where it is loaded, if it is looked at and may be old. */
  refresh() {
    if (this.isCounted && this.isLookedAt()) {
      this.isOld = this.isAsking;
      this.isAsking || this.ask(0);
    }
  },

  /** Asks for those behind the last one who is loaded; what is being asked for goes on to them. */
  loadMore() {
    const last = this.end;
    this.end += 1;
    this.isAsking || this.ask(last);
  },

  ask(number) {
    this.isAsking = true;
    this.asked = number;
    connection.send({ type: "members", after: number === 0 ? undefined : `c${number}`, limit: PAGE });
  },

  /** The answer: all who are here behind the number that was asked for, up to the last one of them. */
  page({ members, count, more }) {
    const last = members.length === 0 ? this.asked : numberOf(members.at(-1).id);
    const isDone = !more || last >= this.end;
    this.end = isDone ? last : this.end;
    // Who is loaded there and not on the page has left; who is behind the end is not known to be here.
    const isGone = (number) => (number > this.asked && (number <= last || !more)) || number > this.end;
    const stay = [...this.names].filter(([id]) => !isGone(numberOf(id)));
    this.names = new Map([...stay, ...members.map(({ id, name }) => [id, name])]);
    this.count = count;
    this.isAsking = false;
    this.show();
    if (!isDone) {
      this.ask(last);
    } else if (this.isOld) {
      this.refresh();
    }
  },

  show() {
    tell("people", `${written(this.count)} here`);
    const names = [...this.names].sort(([one], [other]) => numberOf(one) - numberOf(other));
    byId("people-list").replaceChildren(...names.map(([id, name]) => {
      const item = document.createElement("li");
      item.textContent = id === connection.you.id ? `${name} (you)` : name;
      putFace(item, name);
      return item;
    }));
    const isPart = names.length < this.count;
    tell("people-more", isPart ? `${written(names.length)} of ${written(this.count)} are shown` : "");
    const load = byId("people-load");
    const hadFocus = document.activeElement === load;
    load.hidden = !isPart;
    if (load.hidden && hadFocus) {
      byId(hasColumn.matches ? "people-list" : "people-close").focus();
    }
  },
};
