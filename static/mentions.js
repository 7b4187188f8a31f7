/*
 * Names in a text: `@name`, and `@"a name with spaces"` where the name alone would not say where it ends.
 *
 * Knows names and characters, nothing of who is there. A name may be written large or small.
 */

import { characterAt, characterBefore, isWord } from "/assets/letters.js";

const PLAIN = /^[\p{L}\p{M}\p{N}]+(?:[-_.][\p{L}\p{M}\p{N}]+)*$/u;

/** How a mention of `name` is written. */
export function mentionOf(name) {
  return PLAIN.test(name) ? `@${name}` : `@"${name}"`;
}

/** Names as a tree of their characters, in which the longest that a text goes on with is found in one walk. */
export function nameTree(names) {
  const root = new Map();
  for (const name of names) {
    let branch = root;
    for (const character of name.toLowerCase()) {
      branch.has(character) || branch.set(character, new Map());
      branch = branch.get(character);
    }
    branch.name = name;
  }
  return root;
}

/** Whether an `@` at `index` may begin a mention; the one of `somebody@example.org` does not. */
export function canBegin(text, index) {
  const before = characterBefore(text, index);
  return !isWord(before) && (before === "" || !"@./+-_".includes(before));
}

/** The mention at the `@` of `start`, of one of the names of `tree`: its name, and where it ends. */
export function mentionAt(text, start, tree) {
  if (!canBegin(text, start)) {
    return undefined;
  }
  const isQuoted = text[start + 1] === '"';
  let branch = tree;
  let found;
  for (let at = start + (isQuoted ? 2 : 1); ;) {
    const character = characterAt(text, at);
    if (isQuoted && character === '"') {
      return branch.name === undefined ? undefined : { name: branch.name, written: text.slice(start + 2, at), end: at + 1 };
    }
    branch = character === " " && !isQuoted ? undefined : within(branch, character);
    if (character === "" || branch === undefined) {
      return found;
    }
    at += character.length;
    if (!isQuoted && branch.name !== undefined && !isWord(characterAt(text, at)) && text[at] !== "_") {
      found = { name: branch.name, written: text.slice(start + 1, at), end: at };
    }
  }
}

/** The branch of a character; one of the few that are two when they are small takes two steps. */
function within(branch, character) {
  return [...character.toLowerCase()].reduce((now, small) => now?.get(small), branch);
}
