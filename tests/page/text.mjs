// What the tests of a message's text share: a room of people, and what may come of any text.

import assert from "node:assert/strict";

import { elementsOf, textOf } from "./document.mjs";
import { parse } from "/assets/markup.js";
import { nameTree } from "/assets/mentions.js";
import { rendered } from "/assets/rendered.js";

const ROOM = nameTree(["Ada", "Ada Lovelace", "小林", "Bob", "*x*"]);

const TAGS = ["a", "blockquote", "button", "code", "div", "em", "li", "ol", "pre", "s", "span", "strong", "ul"];
const ATTRIBUTES = {
  class: /^(code|copy|emoji|mark|mention|mention me|words)$/,
  href: /^https?:\/\/[^/\s"'<>@]+\//, // `@` would stand behind the name of a user.
  target: /^_blank$/,
  rel: /^noopener noreferrer nofollow$/,
  title: /^[\x20-\x7e]+$/,
  type: /^button$/,
  "aria-label": /^Copy the code$/,
  "data-language": /^[\w+#.-]{1,24}$/,
  "data-alike": /^[a-z0-9.:-]+$/,
};
const DEPTH_MAX = 24;
const ELEMENTS_MAX = 6000;

/** The tree of a text in a room where Bob reads. */
export const treeOf = (text) => parse(text, { names: () => ROOM, me: "Bob" });

/** The text content of what is shown of a text; fails if it holds what no message may. */
export function shown(text) {
  const nodes = rendered(treeOf(text));
  const elements = elementsOf(nodes);
  const what = JSON.stringify(text.slice(0, 300));
  assert.ok(elements.length <= ELEMENTS_MAX, `${elements.length} elements: ${what}`);
  for (const { element, depth } of elements) {
    assert.ok(TAGS.includes(element.tag), `<${element.tag}>: ${what}`);
    assert.ok(depth <= DEPTH_MAX, `${depth} deep: ${what}`);
    assert.ok(element.tag === "button" || element.listeners.length === 0, `<${element.tag}> listens: ${what}`);
    for (const [name, value] of element.attributes) {
      assert.match(value, ATTRIBUTES[name] ?? /^no such attribute$/, `${name}: ${what}`);
    }
    if (element.tag === "a") {
      assert.deepEqual(["href", "target", "rel"].filter((name) => !element.attributes.has(name)), [], what);
      assert.equal(elementsOf(element.nodes).length, 0, `a link holds text alone: ${what}`);
    }
  }
  return textOf(nodes);
}

/** The addresses that a text leads to. */
export function links(text) {
  const elements = elementsOf(rendered(treeOf(text)));
  return elements.filter(({ element }) => element.tag === "a").map(({ element }) => element.attributes.get("href"));
}

/** A tree on one line: what is what, for tables. */
export function outline(text) {
  return treeOf(text).map(outlineOf).join("");
}

function outlineOf(node) {
  if (typeof node === "string") {
    return node;
  }
  const inner = {
    fence: () => `${node.language}:${node.text}${node.end}`,
    list: () => node.items.map((item) => `{${item.mark} ${item.children.map(outlineOf).join("")}}`).join(""),
    link: () => node.text,
    code: () => node.text,
    emoji: () => node.text,
    mention: () => node.text + (node.isMe ? "!" : ""),
  }[node.kind];
  return `{${node.kind} ${inner === undefined ? node.children.map(outlineOf).join("") : inner()}}`;
}
