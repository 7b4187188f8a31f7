// Node's `ws` as a client.
//
//   node client.mjs echo URL SEED COUNT VARIANT...   sends to an echo, and compares what comes back
//   node client.mjs cross URL SEED COUNT TOTAL       sends on a topic, and tells all that it hears
//
// WSLOOP_WS is the folder that `ws` is installed in. The last line is JSON; a difference ends with 1.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const WebSocket = createRequire(`${process.env.WSLOOP_WS}/`)("ws");
const MESSAGE_BYTES_MAX = 1 << 20;
const IN_FLIGHT_MAX = 6;
const TIME_MAX_MS = 300_000;
const SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536, MESSAGE_BYTES_MAX];
const TEXTS = ["hello ", "{\"type\":\"say\"}", "é", "你好，世界", "\u{1F600}", "\u{10FFFF}", "\0"];

/** Numbers from 0 to 1 that a seed determines. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random, end) => Math.floor(random() * end);
const pick = (random, list) => list[below(random, list.length)];

/** A message of random kind, size and content. */
function message(random, largest) {
  const chance = random();
  const drawn = chance < 0.06 ? pick(random, SIZES) : below(random, chance < 0.08 ? largest : 2000);
  const size = Math.min(drawn, largest);
  if (random() < 0.5) {
    let text = "";
    for (let bytes = 0; ; ) {
      const next = pick(random, TEXTS);
      bytes += Buffer.byteLength(next);
      if (bytes > size) break;
      text += next;
    }
    return { binary: false, payload: Buffer.from(text + "x".repeat(size - Buffer.byteLength(text))) };
  }
  if (random() < 0.5) return { binary: true, payload: Buffer.alloc(size, "wsloop ") };
  const noise = Buffer.alloc(size);
  for (let index = 0; index < size; index++) noise[index] = below(random, 256);
  return { binary: true, payload: noise };
}

/** Sends a message whole, or in fragments that may cut a character, with pings in between. */
async function send(socket, random, { binary, payload }, tally) {
  if (random() < 0.6) return written(socket, payload, { binary });
  const cuts = Array.from({ length: 1 + below(random, 6) }, () => below(random, payload.length + 1));
  cuts.sort((a, b) => a - b);
  let from = 0;
  for (const cut of cuts) {
    await written(socket, payload.subarray(from, cut), { binary, fin: false });
    from = cut;
    if (random() < 0.03) {
      tally.pings += 1;
      socket.ping(`${tally.pings}`);
    }
  }
  return written(socket, payload.subarray(from), { binary, fin: true });
}

function written(socket, payload, options) {
  return new Promise((resolve, reject) => {
    socket.send(payload, options, (error) => (error ? reject(error) : resolve()));
  });
}

function optionsOf(variant) {
  if (variant === "plain") return false;
  if (variant === "compressed") return { threshold: 0 };
  if (variant === "no-takeover") {
    return { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true };
  }
  const bits = Number(variant.slice("window-".length));
  return { threshold: 0, serverMaxWindowBits: bits, clientMaxWindowBits: bits };
}

async function connect(url, variant) {
  const socket = new WebSocket(url, { perMessageDeflate: optionsOf(variant), maxPayload: 0 });
  await once(socket, "open");
  const wanted = variant === "plain" ? "" : "permessage-deflate";
  if (socket.extensions !== wanted) throw new Error(`agreed on ${socket.extensions || "no extension"}`);
  return socket;
}

/** Sends to an echo and compares, with several messages on their way at a time. */
async function echo(url, variant, random, count) {
  const socket = await connect(url, variant);
  const before = socket._socket.bytesRead;
  const expected = [];
  const tally = { pings: 0, answered: 0, bytes: 0 };
  let number = 0;
  let progress = () => {};
  const failed = new Promise((_, reject) => {
    const fail = (what) => reject(new Error(`${variant}, message ${number}: ${what}`));
    socket.on("error", (error) => fail(error.message));
    socket.on("close", (code, reason) => fail(`closed with ${code} ${reason}`));
    // Of pings that wait together the newest alone may be answered (RFC 6455 §5.5.3).
    socket.on("pong", (payload) => {
      const ping = Number(`${payload}`);
      if (!(tally.answered < ping && ping <= tally.pings)) {
        fail(`pong ${payload} after ${tally.answered}, of ${tally.pings} pings`);
      }
      tally.answered = ping;
      progress();
    });
    socket.on("message", (payload, binary) => {
      const wanted = expected.shift();
      if (!wanted || wanted.binary !== binary || !wanted.payload.equals(payload)) {
        fail(`${wanted?.payload.length} bytes came back as ${payload.length}`);
      }
      number += 1;
      tally.bytes += payload.length;
      progress();
    });
  });
  const reached = (isSo) => Promise.race([failed, new Promise((resolve) => {
    progress = () => isSo() && resolve();
    progress();
  })]);
  for (let index = 0; index < count; index++) {
    const next = message(random, MESSAGE_BYTES_MAX);
    expected.push(next);
    await Promise.race([failed, send(socket, random, next, tally)]);
    await reached(() => expected.length < IN_FLIGHT_MAX);
  }
  await reached(() => expected.length === 0 && tally.answered === tally.pings);
  const read = socket._socket.bytesRead - before;
  // A frame costs a few bytes; what compression saves on all but the noise is far more.
  const isShorter = read < tally.bytes;
  if (isShorter !== (variant !== "plain")) throw new Error(`${variant}: ${tally.bytes} bytes came as ${read}`);
  failed.catch(() => {});
  socket.removeAllListeners("close");
  const closed = once(socket, "close");
  socket.close(4321, "done");
  const [code] = await closed;
  if (code !== 4321) throw new Error(`${variant}: 4321 came back as ${code}`);
  return tally.bytes;
}

/** What is refused, and with which code. */
async function refusals(url) {
  for (const [what, payload, wanted] of [
    ["a byte over the limit", Buffer.alloc(MESSAGE_BYTES_MAX + 1, "x"), 1009],
    ["text that is none", Buffer.from([0x61, 0xff]), 1007],
  ]) {
    for (const variant of ["plain", "compressed"]) {
      const socket = await connect(url, variant);
      const closed = once(socket, "close");
      socket.on("error", () => {});
      socket.send(payload, { binary: false }, () => {});
      const [code] = await closed;
      if (code !== wanted) throw new Error(`${what}, ${variant}: closed with ${code}, not ${wanted}`);
    }
  }
}

/** Speaks on a topic and listens to all. */
async function cross(url, random, count, total) {
  const socket = await connect(url, "compressed");
  const digest = (binary, payload) =>
    `${binary ? "binary" : "text"} ${payload.length} ${createHash("sha1").update(payload).digest("hex")}`;
  const sent = [];
  const received = [];
  const all = new Promise((resolve, reject) => {
    socket.on("close", (code, reason) => reject(new Error(`closed with ${code} ${reason}`)));
    socket.on("message", (payload, binary) => {
      received.push(digest(binary, payload));
      if (received.length === total) resolve();
    });
  });
  console.log("ready");
  await once(createInterface({ input: process.stdin }), "line");
  const tally = { pings: 0 };
  for (let index = 0; index < count; index++) {
    const next = message(random, 100_000);
    sent.push(digest(next.binary, next.payload));
    await send(socket, random, next, tally);
  }
  await all;
  socket.removeAllListeners("close");
  socket.close();
  return { sent, received };
}

setTimeout(() => {
  console.error("not done in time: something was lost");
  process.exit(1);
}, TIME_MAX_MS).unref();
const [mode, url, seed, count, ...rest] = process.argv.slice(2);
const random = randomOf(Number(seed));
try {
  if (mode === "echo") {
    let bytes = 0;
    for (const variant of rest) bytes += await echo(url, variant, random, Number(count));
    await refusals(url);
    console.log(JSON.stringify({ messages: Number(count) * rest.length, bytes }));
  } else {
    console.log(JSON.stringify(await cross(url, random, Number(count), Number(rest[0]))));
  }
  process.exit(0);
} catch (error) {
  console.error(`seed ${seed}: ${error.message}`);
  process.exit(1);
}
