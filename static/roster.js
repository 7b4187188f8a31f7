/*
 * Who is in a room, as far as its client knows.
 *
 * Knows the room that it belongs to, which it asks and which tells of changes: the event `people`.
 */

const PEOPLE_PAGE = 100;

const numberOf = (id) => Number(id.slice(1));

/**
 * Who is here: how many, and their names in the order of their numbers.
 *
 * In a room of up to a hundred people each who comes and goes is told. In a larger one people are only counted: there
 * the list is loaded by pages while somebody watches it, from its beginning on, and anew when the count changes.
 */
export class People {
  /** Names by id. */
  names = new Map();
  count = 0;
  isCounted = false; // The room is large.
  isWatched = false;
  end = 0; // The number up to which the list is loaded, where people are counted.
  isAsking = false;
  asked = 0; // The number behind which people were asked for.
  isOld = false; // The count has changed since then.

  constructor(room) {
    this.room = room;
  }

  /** Somebody looks at the list from now on: it is loaded from its beginning, and kept as it is. */
  watch() {
    this.isWatched = true;
    this.end = 0;
    this.refresh();
  }

  unwatch() {
    this.isWatched = false;
  }

  /** Loads those behind the last one who is loaded; what is being asked for goes on to them. */
  loadMore() {
    const last = this.end;
    this.end += 1;
    this.isAsking || this.ask(last);
  }

  /** All who are known, in order: [id, name]. */
  sorted() {
    return [...this.names].sort(([one], [other]) => numberOf(one) - numberOf(other));
  }

  /** What an event says of people. */
  handle(event) {
    switch (event.type) {
      case "welcome":
        // An answer that was due is lost with the connection before.
        this.isAsking = false;
        this.isOld = false;
        return this.set(event);
      case "gap":
      case "presence":
        return this.set(event);
      case "join":
        this.names.set(event.id, event.name);
        return this.changed(event.count);
      case "leave":
        this.names.delete(event.id);
        return this.changed(event.count);
      case "name":
        this.names.has(event.id) && this.names.set(event.id, event.name);
        return this.changed(this.count);
      case "members":
        return this.page(event);
      default:
        return undefined;
    }
  }

  /** Who is here, as an event lists or counts them. The hundred of a large room are not those of the lowest numbers. */
  set({ members, count, more = false }) {
    this.isCounted = more || members === undefined;
    if (members !== undefined) {
      this.names = new Map(members.map(({ id, name }) => [id, name]));
      this.end = 0;
    }
    this.changed(count);
    this.refresh();
  }

  changed(count) {
    this.count = count;
    this.room.emit("people", this);
  }

  /** Asks for the list from its beginning to where it is loaded, if it is looked at and may be old. */
  refresh() {
    if (this.isCounted && this.isWatched) {
      this.isOld = this.isAsking;
      this.isAsking || this.ask(0);
    }
  }

  ask(number) {
    this.isAsking = true;
    this.asked = number;
    this.room.send({ type: "members", after: number === 0 ? undefined : `c${number}`, limit: PEOPLE_PAGE });
  }

  /** The answer: all who are here behind the number that was asked for, up to the last one of them. */
  page({ members, count, more }) {
    const last = members.length === 0 ? this.asked : numberOf(members.at(-1).id);
    const isDone = !more || last >= this.end;
    this.end = isDone ? last : this.end;
    // Who is loaded there and not on the page has left; who is behind the end is not known to be here.
    const isGone = (number) => (number > this.asked && (number <= last || !more)) || number > this.end;
    const stay = [...this.names].filter(([id]) => !isGone(numberOf(id)));
    this.names = new Map([...stay, ...members.map(({ id, name }) => [id, name])]);
    this.isAsking = false;
    this.changed(count);
    if (!isDone) {
      this.ask(last);
    } else if (this.isOld) {
      this.refresh();
    }
  }
}
