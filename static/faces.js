/*
 * What stands for somebody who has no picture: the initials of the name, on one of a few colours. Both are drawn by
 * the style sheet, so they are neither read out nor copied.
 *
 * Knows names and nothing else.
 * Gives an element data-initials and one of the classes colour-0 to colour-7.
 */

const COLOURS = 8;
const letters = "Segmenter" in Intl ? new Intl.Segmenter() : undefined;

/** The same for the same name everywhere. */
function colourOf(name) {
  // FNV-1a; its upper bits are the mixed ones.
  const hash = [...name].reduce((sum, character) => Math.imul(sum ^ character.codePointAt(0), 0x0100_0193), 0x811c_9dc5);
  return `colour-${(hash >>> 24) % COLOURS}`;
}

/** The first letter of a word, whole: an emoji of several characters is one. */
function firstLetter(word) {
  const first = letters === undefined ? [...word][0] : letters.segment(word)[Symbol.iterator]().next().value?.segment;
  return first ?? "";
}

/** Of the first and the last word that begin with a letter, or whatever the name begins with. */
export function initialsOf(name) {
  const words = name.split(/[\s\-_.]+/u).filter((word) => /^\p{L}/u.test(word));
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : [words[0] ?? name];
  const initials = chosen.map(firstLetter).join("");
  return /^[\p{scx=Latn}\p{scx=Grek}\p{scx=Cyrl}\p{M}]+$/u.test(initials) ? initials.toUpperCase() : firstLetter(initials);
}

/** Gives an element the face of who bears this name, in place of the one that it has. */
export function putFace(element, name) {
  element.classList.remove(...[...element.classList].filter((one) => one.startsWith("colour-")));
  element.classList.add(colourOf(name));
  element.dataset.initials = initialsOf(name);
}
