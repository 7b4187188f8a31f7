// The client of pages, as the server serves it, in Node.
//
//   node room.mjs URL
//
// Two people talk in the room of this URL; on a line of its stdin the server has gone, and comes back after it has said
// "waiting". WSLOOP_WS is the folder that `ws` is installed in. The last line is JSON.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const WebSocket = createRequire(`${process.env.WSLOOP_WS}/`)("ws");
const TIME_MAX_MS = 60_000;
const address = process.argv[2];

// Node imports no module over HTTP: the files are fetched into a folder.
const folder = mkdtempSync(join(tmpdir(), "wsloop-client-"));
process.on("exit", () => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "package.json"), '{"type": "module"}');
for (const name of ["client.js", "roster.js"]) {
  const served = await fetch(new URL(`/assets/${name}`, address));
  writeFileSync(join(folder, name), await served.text());
}
const { Room, freshKey } = await import(pathToFileURL(join(folder, "client.js")));

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

function enter(name) {
  const room = new Room(address, { name, key: freshKey(), WebSocket });
  room.heard = [];
  room.on("say", ({ text }) => room.heard.push(text));
  const welcome = next(room, "welcome");
  room.connect();
  return welcome.then(() => room);
}

const ada = await enter("Ada");
const bo = await enter("Bo");
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
