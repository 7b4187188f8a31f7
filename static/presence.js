/*
 * Who comes and goes, in few lines: who is back within seconds, as after a reload, was never away, and many who come
 * one after the other share a line.
 *
 * Knows the log, which joins the lines of one kind that follow each other.
 */

import { log } from "/assets/log.js";

const GRACE_MS = 5000;

export const presence = {
  /** Those who have left a moment ago: [id, name], with the timer after which it is told. */
  leaving: new Map(),

  joined({ id, name }) {
    const back = [...this.leaving.keys()].find((one) => one.id === id || one.name === name);
    if (back === undefined) {
      log.comeOrGone(name, "joined");
      return;
    }
    clearTimeout(this.leaving.get(back));
    this.leaving.delete(back);
  },

  left({ id, name }) {
    const one = { id, name };
    this.leaving.set(one, setTimeout(() => {
      this.leaving.delete(one);
      log.comeOrGone(name, "left");
    }, GRACE_MS));
  },
};
