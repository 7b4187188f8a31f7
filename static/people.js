/*
 * Who is here: the number, and the list of people in a dialog.
 *
 * The list is in a dialog; where there is room for it, in a column of the page, which the same button shows and hides.
 * Knows the connection, which keeps the list and says which of them is oneself.
 * Ids: #people #people-dialog #people-column #people-panel (in one of them) #people-list #people-more (how many of all
 *      are shown) #people-load #people-close
 */

import { connection } from "/assets/connection.js";
import { putFace } from "/assets/faces.js";
import { byId, tell } from "/assets/page.js";

const hasColumn = matchMedia("(min-width: 1100px)"); // As in panels.css.
const written = (number) => number.toLocaleString("en");

export const people = {
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
    this.isLookedAt() ? connection.people.watch() : connection.people.unwatch();
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

  /** However the dialog was left, by Escape too. */
  closed() {
    this.placed();
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
      putFace(item, name);
      return item;
    }));
    const isPart = names.length < count;
    tell("people-more", isPart ? `${written(names.length)} of ${written(count)} are shown` : "");
    const load = byId("people-load");
    const hadFocus = document.activeElement === load;
    load.hidden = !isPart;
    if (load.hidden && hadFocus) {
      byId(hasColumn.matches ? "people-list" : "people-close").focus();
    }
  },
};
