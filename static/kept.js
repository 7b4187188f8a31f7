/*
 * What this tab has not sent yet, its draft among it, in the browser's storage, so that it outlives the page. Each tab
 * keeps its own; that of a tab that has gone is taken over by the next one that comes to the room. Two that take over
 * the same are no harm: both say it with the same `ref` and key, and the server says it once.
 *
 * Knows the browser's storage, which may be forbidden or full: then nothing is kept, and `isStored` says so.
 */

const PREFIX = "wsloop.unsent.";
const LEASE_MS = 150_000; // A tab that has written nothing for so long is gone: those in the background wake each minute.
const RENEW_MS = 20_000;
const FORGOTTEN_MS = 30 * 24 * 3600 * 1000;

/** What is stored of one message, if it is one. */
function entryOf(stored) {
  const { ref, text, re, epoch, at, sentAt, why } = stored ?? {};
  const isWhole = typeof ref === "string" && /^.{1,64}$/.test(ref) && typeof text === "string" && Number.isFinite(at);
  const answered = Number.isSafeInteger(re) ? re : undefined;
  return isWhole ? [{ ref, text, re: answered, epoch, at, sentAt: Number.isFinite(sentAt) ? sentAt : undefined, why }] : [];
}

function read(key) {
  try {
    const { room, seen = 0, written = 0, draft = "", entries = [] } = JSON.parse(localStorage.getItem(key));
    return { key, room, seen, written, draft: String(draft), entries: entries.flatMap(entryOf) };
  } catch {
    return { key, written: 0 }; // Nobody's.
  }
}

export const kept = {
  room: "",
  tab: "",
  draft: "",
  entries: [],
  isHeld: true,
  /** Whether all that is unsent is in the storage. */
  isStored: true,

  start(room, tab) {
    Object.assign(this, { room, tab });
    setInterval(() => this.store(), RENEW_MS);
  },

  write(draft, entries) {
    Object.assign(this, { draft, entries });
    this.store();
  },

  /** The tab goes, at least for now: the next one may have what it has, whatever this one still writes. */
  release() {
    this.isHeld = false;
    this.store();
  },

  /** The browser has brought the page back. */
  hold() {
    this.isHeld = true;
    this.store();
  },

  store() {
    const seen = this.isHeld ? Date.now() : 0;
    const isEmpty = this.draft === "" && this.entries.length === 0;
    try {
      this.put(PREFIX + this.tab, isEmpty, { room: this.room, seen, written: Date.now(), draft: this.draft, entries: this.entries });
      this.isStored = true;
    } catch {
      this.isStored = isEmpty;
    }
  },

  put(key, isEmpty, record) {
    isEmpty ? localStorage.removeItem(key) : localStorage.setItem(key, JSON.stringify(record));
  },

  /** What tabs of this room left that have gone, the oldest first; and the last draft, if one is wanted. */
  claim(wantsDraft) {
    const claimed = { draft: "", entries: [] };
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX) && key !== PREFIX + this.tab);
      const records = keys.map(read).sort((one, other) => other.written - one.written);
      for (const { key, room, seen, written, draft, entries } of records) {
        if (Date.now() - written > FORGOTTEN_MS) {
          localStorage.removeItem(key);
        } else if (room === this.room && Date.now() - seen > LEASE_MS) {
          claimed.entries.push(...entries);
          const takesDraft = wantsDraft && claimed.draft === "";
          claimed.draft = takesDraft ? draft : claimed.draft;
          this.put(key, takesDraft || draft === "", { room, seen, written, draft, entries: [] });
        }
      }
    } catch {
      // A browser may forbid the storage; then nothing was left there.
    }
    claimed.entries.sort((one, other) => one.at - other.at);
    return claimed;
  },
};
