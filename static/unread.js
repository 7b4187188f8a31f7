/*
 * What was not read yet: the mark above the first of it, a way to it, and the place that was read up to, by room.
 *
 * Knows the log, which puts the mark there, the connection, for its numbers, and the browser's storage.
 * Ids: #unread (the way to the mark, while it is out of view above). The mark is the log's: #first-new.
 */

import { connection } from "/assets/connection.js";
import { log } from "/assets/log.js";
import { byId, tell } from "/assets/page.js";

const READ_KEY = "wsloop.read";
const ROOMS_MAX = 50;

/** What is stored: [room, epoch, number] of the last rooms. A browser may forbid the storage. */
function stored() {
  try {
    const all = JSON.parse(localStorage.getItem(READ_KEY) ?? "[]");
    return Array.isArray(all) ? all.filter(Array.isArray) : [];
  } catch {
    return [];
  }
}

export const unread = {
  room: "",
  /** The last number that was read. */
  read: 0,
  /** The number up to which was read at the last visit, while the mark behind it is not there yet. */
  since: undefined,
  count: 0,
  missedUntil: 0, // Up to this number, what comes was missed while there was no connection.
  isWanted: false, // The reader is on the way to the mark, for which older messages are loaded.
  askForOlder() {},

  /** What came since the last visit, or since the connection was lost. */
  welcome({ isFirst, isAnew, recovered, epoch, seq, heard }) {
    this.since = undefined;
    const [, readEpoch, read] = stored().find(([name]) => name === this.room) ?? [];
    if (isFirst && readEpoch === epoch && read < seq) {
      this.since = read;
      this.count = seq - read;
    } else if (recovered && seq > heard && log.unread === 0) {
      this.missedUntil = seq;
    }
    if (isFirst || isAnew) {
      this.read = isFirst && readEpoch === epoch ? read : 0;
    }
  },

  /** A message is about to come. Numbers are given to edits and reactions too, which need no mark. */
  comes(seq) {
    if (seq <= this.missedUntil) {
      log.mark();
    }
    this.missedUntil = 0;
  },

  /** Older messages have come, perhaps those that the mark belongs to. */
  cameOlder(hasOlder) {
    if (this.since === undefined) {
      return;
    }
    if (log.markBehind(this.since, !hasOlder) || !hasOlder) {
      this.since = undefined;
      this.isWanted && this.go();
    } else if (this.isWanted) {
      this.askForOlder();
    }
    this.show();
  },

  /** To the mark, for which older messages may have to come first. */
  go() {
    this.isWanted = this.since !== undefined;
    this.isWanted ? this.askForOlder() : log.toMark();
    this.show();
  },

  /** Something has come, or was scrolled, or looked at. */
  show() {
    if (!document.hidden && log.pinned) {
      this.read = connection.seq;
    }
    const isFar = this.since !== undefined || (!document.hidden && log.isMarkAbove());
    byId("unread").hidden = !isFar;
    if (isFar) {
      tell("unread", this.since === undefined ? "First unread message" : `First of ${this.count} unread messages`);
    }
  },

  /** Keeps the place, for the next visit. */
  keep() {
    if (connection.epoch === "") {
      return;
    }
    const others = stored().filter(([name]) => name !== this.room);
    try {
      localStorage.setItem(READ_KEY, JSON.stringify([[this.room, connection.epoch, this.read], ...others].slice(0, ROOMS_MAX)));
    } catch {
      // Then the next visit has no mark.
    }
  },
};
