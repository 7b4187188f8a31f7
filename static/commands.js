/*
 * Commands: what begins with a slash is done, and not said. What begins with two is said with one.
 *
 * Knows the visitor, who can be renamed, the connection, which can be left, and the log, which tells of the commands.
 */

import { connection } from "/assets/connection.js";
import { log } from "/assets/log.js";
import { nameRefusal } from "/assets/names.js";
import { visitor } from "/assets/visitor.js";

const HELP = `/me waves: say what you do
/nick NAME: be called something else
/leave: leave the room, and stay on this page
/help: this list
//: what begins with two slashes is said with one`;

const COMMANDS = {
  me(text) {
    return text === "" ? { refusal: "Write what you do: /me waves" } : { text: `_${text}_` };
  },

  nick(written) {
    const name = written.normalize("NFC");
    const refusal = name === "" ? "Write a name: /nick Ada" : nameRefusal(name);
    refusal === "" && visitor.use(name);
    return { refusal };
  },

  leave() {
    connection.disconnect();
    return {};
  },

  help() {
    log.note(HELP);
    return {};
  },
};

/** What becomes of a text: `text` is to be said, or it was done, or `refusal` says why it cannot be. */
export function obey(written) {
  if (!written.startsWith("/")) {
    return { text: written };
  }
  if (written.startsWith("//")) {
    return { text: written.slice(1) };
  }
  const [, name, rest] = /^\/(\S*)\s*([^]*)$/.exec(written);
  if (!Object.hasOwn(COMMANDS, name)) {
    return { refusal: `There is no command /${name.slice(0, 20)}. /help lists those there are; to say this as it is, begin with two slashes.` };
  }
  return COMMANDS[name](rest.trim());
}
