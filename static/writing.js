/*
 * Who is writing at the moment, and that one is oneself.
 *
 * Knows the connection, which tells it and knows the names.
 * Ids: #writing
 */

import { connection } from "/assets/connection.js";
import { tell } from "/assets/page.js";

const SHOWN_MS = 6000; // Others are told each three seconds as long as somebody writes.
const NAMED_MAX = 3;

const writers = new Map(); // By id: the timer that takes them away.

function show() {
  const names = [...writers.keys()].map((id) => connection.people.names.get(id)).filter((name) => name !== undefined);
  const named = names.slice(0, NAMED_MAX);
  const more = names.length - named.length;
  const list = named.join(", ") + (more > 0 ? ` and ${more} more` : "");
  tell("writing", names.length === 0 ? "" : `${list} ${names.length === 1 ? "is" : "are"} writing…`);
}

function stop(id) {
  clearTimeout(writers.get(id));
  writers.delete(id) && show();
}

export const writing = {
  heard({ id }) {
    if (id !== connection.you.id) {
      clearTimeout(writers.get(id));
      writers.set(id, setTimeout(() => stop(id), SHOWN_MS));
      show();
    }
  },

  /** Who has said something, or has gone, does not write any more. */
  stopped(id) {
    stop(id);
  },

  /** One has written something oneself; commands are nobody's business. */
  written(text) {
    if (text.trim() !== "" && !/^\/(?!\/)/.test(text)) {
      connection.typing();
    }
  },
};
