/*
 * What characters are, for whoever looks where a word, an address or a name ends.
 *
 * Knows Unicode and nothing else.
 */

const LETTER = /[\p{L}\p{M}\p{N}]/u;
// Chinese, Japanese, Korean with its particles, Thai and the like put no space between a word and what follows it.
const UNSPACED = /[\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]/u;
// Not drawn, or turning round what is.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const ASCII_MAX = 0x7f;

/** The whole character that begins at `index`, or an empty text behind the last one. */
export function characterAt(text, index) {
  const code = text.codePointAt(index);
  return code === undefined ? "" : String.fromCodePoint(code);
}

/** The whole character that ends before `index`, or an empty text before the first one. */
export function characterBefore(text, index) {
  const last = text.charAt(index - 1);
  const isSecondHalf = last >= "\uDC00" && last <= "\uDFFF" && index >= 2;
  return isSecondHalf ? characterAt(text, text.codePointAt(index - 2) > 0xffff ? index - 2 : index - 1) : last;
}

export const isAscii = (character) => character.codePointAt(0) <= ASCII_MAX;
export const isAsciiWord = (character) => /^[0-9A-Za-z]$/.test(character);
export const isSpace = (character) => character === "" || /^\s$/u.test(character);
export const isHidden = (character) => HIDDEN.test(character);

/** A letter of a script that is written without spaces. */
export function isUnspaced(character) {
  return character !== "" && !isAscii(character) && LETTER.test(character) && UNSPACED.test(character);
}

/** Whether a character goes on with the word that it touches: then no word begins or ends there. */
export function isWord(character) {
  if (character === "") {
    return false;
  }
  return isAscii(character) ? isAsciiWord(character) : LETTER.test(character) && !UNSPACED.test(character);
}
