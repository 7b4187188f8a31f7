/*
 * Addresses of the web in a text: where one begins and ends, where it leads, and what it must not pretend.
 *
 * Knows characters, and the rules of `URL`; nothing of the page. Only http and https are addresses, none that hides a
 * user's name before its host (`https://bank.example@other.example` is not the bank).
 */

import { characterAt, characterBefore, isAscii, isAsciiWord, isHidden, isSpace, isUnspaced, isWord } from "/assets/letters.js";

const ADDRESS_MAX = 2048; // As long as all browsers and servers take.
const WORDS_MAX = 300;
const BEGINNING = /https?:\/\/|www\./iy;
// What no address holds as it is, and what stands between the sentences of Chinese and Japanese.
const END = /[<>"`\\“”„«»‹›\u2014\u3000-\u3004\u3008-\u3020\u3030\uFF01\uFF08\uFF09\uFF0C\uFF0E\uFF1A\uFF1B\uFF1F\uFF3B\uFF3D\uFF5B-\uFF65…]/u;
const CLOSING = { ")": "(", "]": "[", "}": "{" };
// At its end these are of the sentence.
const TRAILING = ".,;:!?'*_~’‘([{";
const LOOKS_LIKE_ADDRESS = /:\/\/|[\p{L}\p{N}][.。]\p{L}|^\s*www[.。]/iu;
// Scripts whose letters look like those of Latin.
const ALIKE = /[\p{sc=Cyrl}\p{sc=Grek}\p{sc=Armn}\p{sc=Cher}]/u;
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])$/; // As `URL` writes it; that takes more than there is.

/** Where what may be an address ends: before a space, what no address holds, or a bracket of the sentence. */
function scan(text, start) {
  const isOpen = { "(": 0, "[": 0, "{": 0 };
  const limit = Math.min(text.length, start + ADDRESS_MAX);
  let before = "";
  let at = start;
  while (at < limit) {
    const character = characterAt(text, at);
    const opening = CLOSING[character];
    const isEnd = isSpace(character) || END.test(character) || isHidden(character) || isOpen[opening] === 0;
    // Words go on directly behind it: `https://example.com/a然后`. Behind a sign they are of the address: `/wiki/道`.
    if (isEnd || (isUnspaced(character) && isAsciiWord(before))) {
      break;
    }
    if (opening !== undefined) {
      isOpen[opening] -= 1;
    } else if (character in isOpen) {
      isOpen[character] += 1;
    }
    before = character;
    at += character.length;
  }
  return at;
}

/** Where an address leads, or nothing. `host` is told where it is not as it is written, `isAlike` if it may deceive. */
function target(written) {
  const address = /^www\./i.test(written) ? `https://${written}` : written;
  if (!URL.canParse(address)) {
    return undefined;
  }
  const url = new URL(address);
  const isOfWeb = url.protocol === "https:" || url.protocol === "http:";
  if (!isOfWeb || url.username !== "" || url.password !== "" || !HOST.test(url.hostname)) {
    return undefined;
  }
  const host = address.split("/")[2].split(/[?#]/)[0];
  const isAsWritten = host.toLowerCase().replace(/:\d*$/, "") === url.hostname;
  return {
    href: url.href,
    host: isAsWritten ? undefined : url.host,
    isAlike: !isAsWritten && ALIKE.test(host) && /[a-z]/i.test(host),
  };
}

/** `www.` alone begins many words; an address has a name and an ending behind it. */
function isWholeName(written) {
  return /^https?:/i.test(written) || /^www\.[^\s./]+\.[^\s./]/iu.test(written);
}

/** What begins at `start`, if it begins like an address: where it ends, and where it leads if it leads anywhere. */
export function addressAt(text, start) {
  BEGINNING.lastIndex = start;
  const before = characterBefore(text, start);
  if (!BEGINNING.test(text) || isWord(before) || (/[wW]/.test(text[start]) && before !== "" && ".@/-_:".includes(before))) {
    return undefined;
  }
  const scanned = scan(text, start);
  let end = scanned;
  while (TRAILING.includes(text[end - 1])) {
    end -= 1;
  }
  const written = text.slice(start, end);
  const isWhole = scanned - start < ADDRESS_MAX && isWholeName(written);
  const link = isWhole ? target(written) : undefined;
  return link === undefined ? { end: Math.max(end, start + 1) } : { end, link: { kind: "link", text: written, ...link } };
}

/** Whether words could be taken for an address, which is then not where their link leads. */
function pretends(words) {
  const isDrawn = [...words].every((character) => isAscii(character) || !isHidden(character));
  return !isDrawn || LOOKS_LIKE_ADDRESS.test(words.normalize("NFKC"));
}

/**
 * `[words](https://…)` in a line, for each `[` of it in turn. Remembers where the next `](` is, so that a line of
 * brackets alone is looked through once.
 */
export function labelledLinks(line) {
  let seam = -1;
  let opening = -1;
  return (start) => {
    if (seam !== Infinity && seam < start) {
      const found = line.indexOf("](", start);
      seam = found < 0 ? Infinity : found;
      opening = found < 0 ? -1 : line.lastIndexOf("[", found);
    }
    if (opening !== start || seam - start > WORDS_MAX) {
      return undefined;
    }
    const words = line.slice(start + 1, seam);
    const from = seam + 2;
    if (words.trim() === "" || words.includes("]") || pretends(words) || !/^https?:\/\//i.test(line.slice(from, from + 8))) {
      return undefined;
    }
    const end = scan(line, from);
    const link = line[end] === ")" ? target(line.slice(from, end)) : undefined;
    return link && { end: end + 1, link: { kind: "link", text: words, ...link, host: new URL(link.href).host } };
  };
}
