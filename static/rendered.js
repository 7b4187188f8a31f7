/*
 * The tree of a text as elements. What comes from others is put there as text, and as addresses of http and https.
 * The text content is the text as it reads: without the signs of emphasis, with all of its line breaks.
 *
 * Knows the kinds of markup.js, and the place for hints.
 * Makes .code (a block of code: pre, code, button.copy), code, strong, em, s, blockquote, ul, ol, li > .mark + .words,
 * a (data-alike: the host that only looks like the one that is written), .emoji, .mention (.me)
 */

import { tell } from "/assets/page.js";

const COPIED_MS = 2000;

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className !== "") {
    element.className = className;
  }
  element.append(...children);
  return element;
}

const KINDS = {
  fence: codeBlock,
  quote: ({ children }) => make("blockquote", "", ...rendered(children)),
  list: ({ isNumbered, items }) => make(isNumbered ? "ol" : "ul", "", ...items.map(item)),
  strong: ({ children }) => make("strong", "", ...rendered(children)),
  em: ({ children }) => make("em", "", ...rendered(children)),
  strike: ({ children }) => make("s", "", ...rendered(children)),
  code: ({ text }) => make("code", "", text),
  link: linkTo,
  emoji: ({ text, name }) => titled(make("span", "emoji", text), `:${name}:`),
  mention: ({ text, isMe }) => make("span", isMe ? "mention me" : "mention", text),
};

/** The nodes of a tree, each a string or an element. */
export function rendered(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : KINDS[node.kind](node)));
}

/** A number stands there as it is written: a list may begin with any, and a copied one keeps them. */
function item({ mark, children }) {
  return make("li", "", make("span", "mark", `${mark} `), make("span", "words", ...rendered(children)));
}

function linkTo({ text, href, host, isAlike }) {
  const link = make("a", "", text);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  if (host !== undefined) {
    link.title = host;
  }
  if (isAlike) {
    link.dataset.alike = host;
  }
  return link;
}

function titled(element, title) {
  element.title = title;
  return element;
}

/* ---- Code ---- */

function codeBlock({ language, text, end }) {
  const code = make("code", "", text);
  const copy = make("button", "copy");
  copy.type = "button";
  copy.setAttribute("aria-label", "Copy the code"); // Its words are drawn by the style: they are no part of the text.
  copy.addEventListener("click", () => copyCode(copy, code));
  const block = make("div", "code", make("pre", "", code, end), copy);
  if (language !== "") {
    block.dataset.language = language;
  }
  return block;
}

async function copyCode(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.dataset.state = "copied";
    tell("hint", "The code is copied.");
    setTimeout(() => button.removeAttribute("data-state"), COPIED_MS);
  } catch {
    // Browsers allow it on https and on this machine only.
    getSelection().selectAllChildren(code);
    tell("hint", "The code is selected: copy it with Ctrl+C or the menu of your browser.");
  }
}
