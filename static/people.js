/*
 * Who is here: the number, and the list of people in a dialog.
 *
 * Knows the connection, which keeps the list and says which of them is oneself.
 * Ids: #people #people-dialog #people-list #people-more (how many of all are shown) #people-load #people-close
 */

import { connection } from "/assets/connection.js";
import { byId, tell } from "/assets/page.js";

const written = (number) => number.toLocaleString("en");

export const people = {
  open() {
    byId("people-dialog").showModal();
    connection.people.watch();
  },

  /** However the dialog was left, by Escape too. */
  closed() {
    connection.people.unwatch();
  },

  loadMore() {
    connection.people.loadMore();
  },

  show() {
    const { count } = connection.people;
    const names = connection.people.sorted();
    tell("people", `${written(count)} here`);
    byId("people-list").replaceChildren(...names.map(([id, name]) => {
      const item = document.createElement("li");
      item.textContent = id === connection.you.id ? `${name} (you)` : name;
      return item;
    }));
    const isPart = names.length < count;
    tell("people-more", isPart ? `${written(names.length)} of ${written(count)} are shown` : "");
    const load = byId("people-load");
    const hadFocus = document.activeElement === load;
    load.hidden = !isPart;
    if (load.hidden && hadFocus) {
      byId("people-close").focus();
    }
  },
};
