/*
 * Whom a message can mention: who is here, as far as the page knows, and who has spoken here.
 *
 * Knows the connection, which says who is here and who one is oneself, and how a text is read.
 */

import { connection } from "/assets/connection.js";
import { mentionsMe, parse } from "/assets/markup.js";
import { nameTree } from "/assets/mentions.js";

const SPEAKERS_MAX = 300; // In a large room the page does not know all who are here.

const speakers = new Set();
let tree = new Map();
let treeNames = "";

export const known = {
  /** Somebody has spoken. */
  heard(name) {
    speakers.delete(name);
    speakers.add(name);
    if (speakers.size > SPEAKERS_MAX) {
      speakers.delete(speakers.values().next().value);
    }
  },

  /** The names, who spoke last first. */
  names() {
    return new Set([...[...speakers].reverse(), ...connection.people.names.values(), connection.you.name].filter((name) => name !== ""));
  },

  /** One's own name. */
  me() {
    return connection.you.name;
  },

  /** The tree of a message. */
  parse(text) {
    return parse(text, { names: () => this.tree(), me: this.me() });
  },

  /** Whether a message mentions oneself. */
  isMeant(text) {
    return text.includes("@") && mentionsMe(this.parse(text));
  },

  /** The names as mentions are looked for; made anew when they have changed. */
  tree() {
    const names = [...this.names()];
    const written = names.join("\n");
    if (written !== treeNames) {
      treeNames = written;
      tree = nameTree(names);
    }
    return tree;
  },
};
