/*
 * Who is here: how many, and the list of them.
 *
 * Knows the connection, to say which of them is oneself.
 * Ids: #people #people-dialog #people-list #people-more #people-close
 */

import { connection } from "/assets/connection.js";
import { byId, tell } from "/assets/page.js";

export const people = {
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
