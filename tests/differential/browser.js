// The browser's own WebSocket as a client. It cannot fragment messages nor choose its extensions.
// What came of a run is in `outcome`: the text "running", then an object, or an error's text.

var outcome = "idle";
var isReady = false;
var start = () => {};

const MESSAGE_BYTES_MAX = 1 << 20;
const IN_FLIGHT_MAX = 6;
const SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, MESSAGE_BYTES_MAX];
const TEXTS = ["hello ", "{\"type\":\"say\"}", "é", "你好，世界", "\u{1F600}", "\u{10FFFF}", "\0"];
const encoder = new TextEncoder();

/** Numbers from 0 to 1 that a seed determines. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

const below = (random, end) => Math.floor(random() * end);
const pick = (random, list) => list[below(random, list.length)];

/** A message: a text, or bytes. */
function message(random, largest) {
  const chance = random();
  const drawn = chance < 0.06 ? pick(random, SIZES) : below(random, chance < 0.08 ? largest : 2000);
  const size = Math.min(drawn, largest);
  if (random() < 0.5) {
    const texts = Array.from({ length: size / 20 }, () => pick(random, TEXTS)).join("");
    return texts + "x".repeat(Math.max(0, size - encoder.encode(texts).length));
  }
  if (random() < 0.5) return new Uint8Array(size).fill(7);
  return Uint8Array.from({ length: size }, () => below(random, 256));
}

const bytesOf = (payload) => (typeof payload === "string" ? encoder.encode(payload) : new Uint8Array(payload));

function isSame(one, other) {
  if (typeof one !== typeof other) return false;
  if (typeof one === "string") return one === other;
  const [left, right] = [bytesOf(one), bytesOf(other)];
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

async function digest(payload) {
  const bytes = bytesOf(payload);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  const shown = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${typeof payload === "string" ? "text" : "binary"} ${bytes.length} ${shown}`;
}

function connect(url) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onclose = (event) => reject(new Error(`not connected: ${event.code}`));
  });
}

function closed(socket) {
  return new Promise((resolve) => {
    socket.onclose = (event) => resolve(event.code);
  });
}

/** Sends to an echo and compares, with several messages on their way at a time. */
async function echo(url, seed, count) {
  const random = randomOf(seed);
  const socket = await connect(url);
  if (socket.extensions !== "permessage-deflate; server_no_context_takeover; client_no_context_takeover") {
    throw new Error(`agreed on ${socket.extensions}`);
  }
  const expected = [];
  let bytes = 0;
  let number = 0;
  await new Promise((resolve, reject) => {
    const speak = () => {
      while (number + expected.length < count && expected.length < IN_FLIGHT_MAX) {
        expected.push(message(random, MESSAGE_BYTES_MAX));
        socket.send(expected.at(-1));
      }
      if (number === count) resolve();
    };
    socket.onclose = (event) => reject(new Error(`message ${number}: closed with ${event.code} ${event.reason}`));
    socket.onmessage = ({ data }) => {
      const wanted = expected.shift();
      if (!isSame(wanted, data)) reject(new Error(`message ${number} came back changed`));
      bytes += bytesOf(data).length;
      number += 1;
      speak();
    };
    speak();
  });
  const code = closed(socket);
  socket.close(4321, "done");
  if ((await code) !== 4321) throw new Error(`4321 came back as ${await code}`);
  const long = await connect(url);
  const refused = closed(long);
  long.send("x".repeat(MESSAGE_BYTES_MAX + 1));
  if ((await refused) !== 1009) throw new Error(`a byte over the limit: closed with ${await refused}`);
  return { messages: count, bytes };
}

/** Speaks on a topic and listens to all. */
async function cross(url, seed, count, total) {
  const random = randomOf(seed);
  const socket = await connect(url);
  const received = [];
  const all = new Promise((resolve, reject) => {
    socket.onclose = (event) => reject(new Error(`closed with ${event.code} ${event.reason}`));
    socket.onmessage = ({ data }) => {
      received.push(data);
      if (received.length === total) resolve();
    };
  });
  const started = new Promise((resolve) => {
    start = resolve;
  });
  isReady = true;
  await started;
  const sent = Array.from({ length: count }, () => message(random, 100000));
  sent.forEach((payload) => socket.send(payload));
  await all;
  socket.onclose = null;
  socket.close();
  return { sent: await Promise.all(sent.map(digest)), received: await Promise.all(received.map(digest)) };
}

function run(promise) {
  outcome = "running";
  promise.then((result) => (outcome = result), (error) => (outcome = `${error.message}`));
}
