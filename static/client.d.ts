/*
 * The types of client.js, a client of wsloop's chat rooms for pages and for Node. The events and their fields are those
 * of the subprotocol wsloop.json, which src/forms/PROTOCOL.md describes, and those of the client's own.
 */

export interface Person {
  id: string;
  name: string;
}

export interface Limits {
  /** Bytes of a message on its way. */
  message: number;
  unacknowledged: number;
  /** Messages a second, or null for no limit. */
  rate?: number | null;
  /** Messages that a room keeps. */
  history?: number;
}

/** What was said and is not acknowledged; it can be stored, and said again by another client with the same key. */
export interface Entry {
  ref: string;
  /** What is said; not there where something is done with a message. */
  text?: string;
  /** The message that it answers. */
  re?: number;
  /** What is done with a message. */
  change?: object;
  /** The epoch of these numbers. */
  epoch?: string;
  /** When it was said, and when it was sent first, in milliseconds since 1970. */
  at: number;
  sentAt?: number;
}

/** What may have become of a message since it was said. */
export interface Fate {
  /** The message that it answers. */
  re?: number;
  /** The entry that has changed its text, or has taken it back. */
  edited?: number;
  deleted?: number;
  /** In `history` only: how many have added each emoji, and which of them are one's own. */
  reactions?: Record<string, number>;
  mine?: string[];
}

export interface Said extends Fate {
  type: "say";
  seq: number;
  time: string;
  from: Person;
  text: string;
}

/** Something becomes of the message `of`. */
export interface Changed {
  seq: number;
  of: number;
  time: string;
  from: Person;
}

export interface Data extends Fate {
  type: "data";
  seq: number;
  time: string;
  from: Person;
  base64: string;
}

export type Phase = "connecting" | "connected" | "waiting" | "disconnected";

export interface RoomEvents {
  welcome: {
    type: "welcome";
    room: string;
    you: Person;
    epoch: string;
    seq: number;
    count: number;
    members: Person[];
    more?: boolean;
    recovered?: boolean;
    limits?: Limits;
    rights?: string[];
    server?: string;
    /** The first of this client; the numbers are of another count than before; the last number that was heard before. */
    isFirst: boolean;
    isAnew: boolean;
    heard: number;
  };
  say: Said;
  data: Data;
  /** The message has this text from here on; none if it was deleted meanwhile. */
  edit: Changed & { type: "edit"; text: string; deleted?: number };
  delete: Changed & { type: "delete" };
  /** `count` have added the emoji from here on. */
  react: Changed & { type: "react"; emoji: string; on: boolean; count: number };
  typing: { type: "typing"; id: string };
  history: { type: "history"; before: number; messages: (Said | Data)[]; more: boolean };
  /** These did not come. */
  gap: { type: "gap"; first: number; last: number; count: number; members: Person[]; more?: boolean };
  join: { type: "join"; id: string; name: string; count: number };
  leave: { type: "leave"; id: string; name: string; count: number };
  name: { type: "name"; id: string; name: string; was: string };
  presence: { type: "presence"; count: number; joined: number; left: number; renamed?: number; members?: Person[]; more?: boolean };
  members: { type: "members"; count: number; members: Person[]; more: boolean };
  ack: { type: "ack"; ref: string; seq: number; entry?: Entry };
  error: { type: "error"; code: string; text: string; ref?: string; entry?: Entry };
  pong: { type: "pong"; ref: string; ms: number };
  /** How the connection is. `code`, `reason` and `wasOpen` come with `waiting`, `isFirst` with `connecting`. */
  phase: { phase: Phase; isFirst?: boolean; code?: number; reason?: string; wasOpen?: boolean };
  /** Until the next attempt. */
  countdown: { seconds: number };
  /** Why no connection opens: the status and the words of a plain request; 0 where they may not be read. */
  refused: { status: number; text: string; retryAfter: number };
  /** The device says that its network is gone, and the server is asked. */
  doubt: undefined;
  /** `unsent` has changed. */
  unsent: undefined;
  /** It was not said and will not be: `too_long`, `too_old` (it may have been said), or the server's code. */
  failed: { entry: Entry; code: string; text: string };
  /** Who is here has changed. */
  people: People;
}

export interface RoomOptions {
  /** What to be called; without one, guest and a number. */
  name?: string;
  /** A secret of 32 to 128 characters: all connections with it are one person. A new one if it is not given. */
  key?: string;
  /** The origin of the page (`location.origin`), where there is one. */
  origin?: string;
  /** What to use in place of those of the platform, for instance the package `ws`. */
  WebSocket?: unknown;
  fetch?: typeof fetch;
}

export class People {
  /** Names by id; in a room of more than a hundred people, those that are loaded. */
  readonly names: Map<string, string>;
  readonly count: number;
  /** The list is looked at: where people are only counted it is loaded, and kept as it is. */
  watch(): void;
  unwatch(): void;
  /** Loads more of a long list. */
  loadMore(): void;
  /** [id, name] of all that are known, in order. */
  sorted(): [string, string][];
}

export class Room {
  /** The room's address, for instance https://chat.example/tea. */
  constructor(url: string | URL, options?: RoomOptions);
  readonly phase: Phase;
  readonly you: Person;
  readonly people: People;
  readonly epoch: string;
  readonly seq: number;
  readonly limits: Limits;
  readonly unsent: readonly Entry[];
  /** Calls `listener` with each event of this type; what it returns ends that. */
  on<T extends keyof RoomEvents>(type: T, listener: (event: RoomEvents[T]) => void): () => void;
  /** Connects, and comes back whenever the connection is lost. */
  connect(): void;
  disconnect(): void;
  /** Lets go of the connection without a word, as a page that goes does; `connect` resumes. */
  release(): void;
  /** Ends a pause before the next attempt, or looks whether the server is still there. */
  retryNow(): void;
  /** The device says that its network is gone. */
  doubt(): void;
  /** Says something as soon as there is a connection, once; as an answer to the message `re` if it is given. */
  say(text: string, re?: number): Entry;
  /** The same, of one's own messages and of any. */
  edit(seq: number, text: string): Entry;
  delete(seq: number): Entry;
  react(seq: number, emoji: string, on?: boolean): Entry;
  /** To be called at each keystroke; others are told every three seconds. */
  typing(): void;
  /** Says what was stored. */
  sayAgain(entry: Entry): Entry;
  /** Takes something back that was not acknowledged; it may have been said. */
  forget(entry: Entry): void;
  rename(name: string): void;
  /** Asks for what was said before this number; the answer is the event `history`. */
  askForHistory(before: number, limit?: number): void;
  /** The bytes that a text takes on its way, to be compared with `limits.message`. */
  size(text: string | undefined, what?: { ref?: string; re?: number; change?: object }): number;
  /** Sends an object of the subprotocol as it is, if connected. */
  send(object: object): void;
}

/** A secret for `key`. */
export function freshKey(): string;
