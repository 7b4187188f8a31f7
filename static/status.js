/*
 * How the connection is, in words: that of now, and why there is none.
 *
 * Knows the connection and what a close code and a refusal mean to the person at the page.
 * Ids: #status (data-phase: connecting, connected, waiting, disconnected) #countdown #rtt #connect #disconnect
 */

import { connection } from "/assets/connection.js";
import { byId, on, tell } from "/assets/page.js";

/** The codes that are not here say no more than that the connection is lost. */
const CLOSE_WORDS = {
  1001: "the server is shutting down",
  1002: "the server could not follow what this page sent",
  1003: "the server does not take this kind of message",
  1007: "the server received text that it could not read",
  1008: "the server ended this connection",
  1009: "a message was too long for the server",
  1011: "something went wrong in the server",
  1012: "the server is restarting",
  1013: "this page could not keep up with the room",
};

/** What the server says to a page that it does not let in, by the status of its refusal. */
const REFUSAL_WORDS = {
  0: "The server is there, but does not let this page in",
  200: "The server answers, but no connection comes through: a proxy on the way may not let it pass",
  403: "This server does not let in pages from this address",
  421: "This server does not answer to the name in the address bar",
  429: "Too many connections come from your network",
};
const FULL = "The server is full: all places are taken";
const BUSY = "The server cannot take you at the moment";

/** Why a connection was lost, as the end of a sentence. */
export function closeWords(code, reason) {
  if (code === 1008 && /rate|messages a second/.test(reason)) {
    return ": you sent faster than this server allows";
  }
  return CLOSE_WORDS[code] === undefined ? "" : `: ${CLOSE_WORDS[code]}`;
}

function refusalWords(status, text) {
  if (status === 503) {
    return text.includes("places are taken") ? FULL : BUSY;
  }
  return REFUSAL_WORDS[status] ?? `The server refused the connection: ${text}`;
}

/** The device has said so, and nothing else since. */
let isOffline = false;

function words({ phase, isFirst, wasOpen, code, reason }) {
  switch (phase) {
    case "connecting":
      return isFirst ? "Connecting…" : "Reconnecting…";
    case "connected":
      return `Connected as ${connection.you.name}`;
    case "waiting":
      return (wasOpen ? `Connection lost${closeWords(code, reason)}` : "No connection to the server")
        + (isOffline ? " (this device says that it is offline)" : "");
    default:
      return "Disconnected";
  }
}

function show(event) {
  const { phase } = event;
  byId("status").dataset.phase = phase;
  tell("status", words(event));
  tell("countdown", "");
  tell("rtt", "");
  const focused = document.activeElement;
  byId("connect").hidden = phase === "connecting" || phase === "connected";
  byId("disconnect").hidden = phase === "disconnected";
  if (focused?.hidden) {
    // A button that disappears under the focus would send a keyboard user back to the top of the page.
    byId(phase === "disconnected" ? "connect" : "disconnect").focus();
  }
}

/** Shows from now on how the connection is. */
export function watchConnection() {
  connection.on("phase", show);
  connection.on("countdown", ({ seconds }) => tell("countdown", `reconnecting in ${seconds} s`));
  connection.on("refused", ({ status, text }) => tell("status", refusalWords(status, text)));
  connection.on("doubt", () => tell("status", "This device says that it is offline. Looking for the server…"));
  connection.on("pong", ({ ms }) => tell("rtt", `${Math.max(1, Math.round(ms))} ms`));
  on("connect", "click", () => connection.connect());
  on("disconnect", "click", () => connection.disconnect());
  addEventListener("online", () => {
    isOffline = false;
    connection.retryNow();
  });
  addEventListener("offline", () => {
    isOffline = true;
    connection.doubt();
  });
}
