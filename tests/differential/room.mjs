// The client of pages, as the server serves it, in Node.
//
//   node room.mjs URL
//
// Two people talk in the room of this URL; on a line of its stdin the server has gone, and comes back after it has said
// "waiting". WSLOOP_WS is the folder that `ws` is installed in. The last line is JSON.

import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const WebSocket = createRequire(`${process.env.WSLOOP_WS}/`)("ws");
const TIME_MAX_MS = 60_000;
const address = process.argv[2];
const served = await fetch(new URL("/assets/client.js", address));
const { Room, freshKey } = await import(`data:text/javascript,${encodeURIComponent(await served.text())}`);

setTimeout(() => {
  console.error("not done in time");
  process.exit(1);
}, TIME_MAX_MS).unref();

/** The next event of this type that is meant. */
function next(room, type, isMeant = () => true) {
  return new Promise((resolve) => {
    const end = room.on(type, (event) => {
      if (isMeant(event)) {
        end();
        resolve(event);
      }
    });
  });
}

function join(name) {
  const room = new Room(address, { name, key: freshKey(), WebSocket });
  room.heard = [];
  room.on("say", ({ text }) => room.heard.push(text));
  const welcome = next(room, "welcome");
  room.connect();
  return welcome.then(() => room);
}

const ada = await join("Ada");
const bo = await join("Bo");
for (const [speaker, text] of [[ada, "one"], [bo, "two"]]) {
  const all = [ada, bo].map((room) => next(room, "say", (event) => event.text === text));
  const acknowledged = next(speaker, "ack");
  speaker.say(text);
  await Promise.all([...all, acknowledged]);
}
const failed = [];
ada.on("failed", ({ code }) => failed.push(code));
ada.say("x".repeat(70_000));
await next(ada, "failed");
const heard = [...ada.heard, ...bo.heard];

const lost = [ada, bo].map((room) => next(room, "phase", ({ phase }) => phase === "waiting"));
console.log("said");
await once(createInterface({ input: process.stdin }), "line");
await Promise.all(lost);
const back = [ada, bo].map((room) => next(room, "welcome"));
const meanwhile = next(ada, "ack");
ada.say("meanwhile");
console.log("waiting");
const welcomes = await Promise.all(back);
if (!welcomes.every(({ isAnew, isFirst }) => isAnew && !isFirst)) throw new Error("the room begins anew");
await meanwhile;
const history = next(bo, "history");
bo.askForHistory(bo.seq + 1);
heard.push(...(await history).messages.map(({ text }) => text));
// Bo may have come after Ada has been told of nobody else.
while (ada.people.count < 2) await next(ada, "people");
const people = ada.people.sorted().map(([, name]) => name).sort();
console.log(JSON.stringify({ heard, failed, people }));
[ada, bo].forEach((room) => room.disconnect());
process.exit(0);
