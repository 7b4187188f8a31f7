/*
 * What a text means: from the text of a message to a tree of plain objects, which rendered.js makes elements of.
 *
 * Knows no page: a tree holds strings, and objects with a `kind`:
 *   fence { language, text, end }   quote { children }   list { isNumbered, items: [{ mark, children }] }
 *   strong, em, strike { children }   code { text }   link { text, href, host, isAlike }
 *   emoji { text, name }   mention { text, name, isMe }
 * What is not closed stays as it is written. Each character is looked at a bounded number of times, whatever the text:
 * nothing is tried again further on, quotes nest QUOTES_MAX deep, and of each emphasis one is open at a time.
 * Emphasis, code and links end with their line.
 */

import { addressAt, labelledLinks } from "/assets/addresses.js";
import { emoji } from "/assets/emoji.js";
import { characterAt, characterBefore, isSpace, isWord } from "/assets/letters.js";
import { mentionAt } from "/assets/mentions.js";

const QUOTES_MAX = 4;
const ELEMENTS_MAX = 1000; // In a message. What comes behind them is shown as it is written.
const FENCE = /^(`{3,})[ \t]*([\w+#.-]{0,24})$/; // Of a line without the spaces at its end.
const ITEM = /^(?:- |(\d{1,9}[.)]) )(?=\S)/;
const SHORTCODE = /:([a-z0-9_+-]{1,32}):/y;
const EMPHASES = { "*": { 1: ["em"], 2: ["strong"], 3: ["strong", "em"] }, _: { 1: ["em"] }, "~": { 2: ["strike"] } };

/** One of these stands in all that is more than a piece of text; most texts have none. */
const SIGN = /[*_~`[@:>\n.)-]/;

/** The tree of a text. `names`: gives the tree of names that can be mentioned; `me`: the reader's own. */
export function parse(text, { names = () => new Map(), me = "" } = {}) {
  if (!SIGN.test(text)) {
    return joined([text]);
  }
  return blocks(text.split("\n"), 0, { names, me: me.toLowerCase(), left: ELEMENTS_MAX });
}

/** Whether the reader is mentioned in a tree. */
export function mentionsMe(nodes) {
  return nodes.some((node) => node.isMe || mentionsMe(node.children ?? node.items ?? []));
}

/* ---- Lines ---- */

const beginsQuote = (line) => line.startsWith("> ");
const isQuoted = (line) => beginsQuote(line) || line === ">";

function blocks(lines, depth, context) {
  const marks = lines.map((line) => FENCE.exec(line.trimEnd()));
  const fences = closings(marks.map((mark) => mark?.[1].length), (at) => marks[at][2] === "")
    .map((closing, at) => closing && { closing, language: marks[at][2] });
  const nodes = [];
  for (let at = 0; at < lines.length;) {
    const [block, next] = blockAt(lines, at, fences, depth, context);
    const isLast = next === lines.length;
    if (block === undefined) {
      nodes.push(...inline(lines[at], context), isLast ? "" : "\n");
    } else {
      nodes.push(block);
      isLast || endLine(block);
    }
    at = next;
  }
  return joined(nodes);
}

/** The block that begins at a line, if one does, and the line behind it. */
function blockAt(lines, at, fences, depth, context) {
  if (fences[at] !== undefined && context.left > 0) {
    context.left -= 1;
    const { closing, language } = fences[at];
    return [{ kind: "fence", language, text: lines.slice(at + 1, closing).join("\n"), end: "" }, closing + 1];
  }
  if (depth < QUOTES_MAX && beginsQuote(lines[at]) && context.left > 0) {
    context.left -= 1;
    const end = endOf(lines, at, isQuoted);
    const inner = lines.slice(at, end).map((line) => line.slice(2));
    return [{ kind: "quote", children: blocks(inner, depth + 1, context) }, end];
  }
  if (ITEM.test(lines[at]) && context.left > 0) {
    const isNumbered = ITEM.exec(lines[at])[1] !== undefined;
    const end = endOf(lines, at, (line) => ITEM.test(line) && (ITEM.exec(line)[1] !== undefined) === isNumbered);
    const items = lines.slice(at, at + Math.min(end - at, context.left)).map((line) => item(line, context));
    items.slice(0, -1).forEach(endLine);
    return [{ kind: "list", isNumbered, items }, at + items.length];
  }
  return [undefined, at + 1];
}

function item(line, context) {
  context.left -= 1;
  const [whole, number] = ITEM.exec(line);
  return { mark: number ?? "•", children: inline(line.slice(whole.length), context) };
}

/** The first line from `at` on that does not belong to it. */
function endOf(lines, at, belongs) {
  let end = at;
  while (end < lines.length && belongs(lines[end])) {
    end += 1;
  }
  return end;
}

/** The line break behind a block stands in its last line, where it makes no empty one. */
function endLine(block) {
  if (block.kind === "fence") {
    block.end = "\n";
    return;
  }
  const parts = block.items ?? block.children;
  const last = parts.at(-1);
  if (block.items !== undefined || ["fence", "quote", "list"].includes(last?.kind)) {
    endLine(last);
  } else {
    parts.push("\n");
  }
}

/**
 * For marks with a length at each place, or none: where the next one of the same length is, if it is one that can
 * close. Who is closed takes what is between; found from the end on, once for all.
 */
function closings(lengths, canClose = () => true) {
  const nearest = new Map();
  const found = lengths.map(() => undefined);
  for (let at = lengths.length - 1; at >= 0; at -= 1) {
    found[at] = nearest.get(lengths[at]);
    if (lengths[at] !== undefined && canClose(at)) {
      nearest.set(lengths[at], at);
    }
  }
  return found;
}

/* ---- Within a line ---- */

/** What stands at each sign that may begin something: a node and where it ends, or where plain text goes on. */
const SIGNS = {
  "`": (line) => line.code(),
  "[": (line) => line.link(),
  "@": (line) => line.mention(),
  ":": (line) => line.emoji(),
  h: (line) => line.address(),
  w: (line) => line.address(),
  H: (line) => line.address(),
  W: (line) => line.address(),
};

function inline(text, context) {
  return new Line(text, context).nodes();
}

class Line {
  constructor(text, context) {
    this.text = text;
    this.context = context;
    this.at = 0;
    this.plain = 0; // From here on nothing is taken yet.
    this.found = [];
    this.open = {}; // Where in `found` the mark of each emphasis stands that is open.
    this.labelled = labelledLinks(text);
  }

  nodes() {
    while (this.at < this.text.length && this.context.left > 0) {
      const sign = this.text[this.at];
      const marks = EMPHASES[sign];
      if (marks !== undefined) {
        this.emphasis(sign, marks);
        continue;
      }
      const taken = SIGNS[sign]?.(this);
      if (taken?.node !== undefined) {
        this.context.left -= 1;
        this.takePlain();
        this.found.push(taken.node);
        this.plain = taken.end;
      }
      this.at = taken?.end ?? this.at + 1;
    }
    this.at = this.text.length;
    this.takePlain();
    return joined(this.found);
  }

  takePlain() {
    this.found.push(this.text.slice(this.plain, this.at));
    this.plain = this.at;
  }

  /* ---- Emphasis ---- */

  emphasis(sign, marks) {
    const start = this.at;
    let end = start;
    while (this.text[end] === sign) {
      end += 1;
    }
    const kinds = marks[end - start] ?? [];
    const [before, after] = [characterBefore(this.text, start), characterAt(this.text, end)];
    const canClose = !isSpace(before) && !isWord(after);
    const canOpen = !isSpace(after) && !isWord(before);
    // Of two that end together the inner one ends first.
    const closing = kinds.filter((kind) => this.open[kind + sign] !== undefined)
      .sort((one, other) => this.open[other + sign] - this.open[one + sign]);
    if (canClose && closing.length > 0) {
      this.takePlain();
      closing.forEach((kind) => this.close(kind, sign));
      const taken = closing.reduce((sum, kind) => sum + lengthOf(kind), 0);
      this.found.push(this.text.slice(start + taken, end));
    } else if (canOpen && kinds.length > 0) {
      this.takePlain();
      for (const kind of kinds) {
        this.open[kind + sign] = this.found.length;
        this.found.push(sign.repeat(lengthOf(kind)));
      }
    } else {
      this.at = end;
      return;
    }
    this.at = end;
    this.plain = end;
  }

  close(kind, sign) {
    const from = this.open[kind + sign];
    if (from === undefined) {
      return; // It began within one that ended just now.
    }
    const [, ...children] = this.found.splice(from);
    this.found.push({ kind, children: joined(children) });
    this.context.left -= 1;
    // What began within it ends with it.
    for (const key of Object.keys(this.open)) {
      this.open[key] = this.open[key] >= from ? undefined : this.open[key];
    }
  }

  /* ---- The others ---- */

  code() {
    this.ticks ??= ticksOf(this.text);
    const { length, closing } = this.ticks.get(this.at);
    if (closing === undefined) {
      return { end: this.at + length };
    }
    const written = this.text.slice(this.at + length, closing);
    // Who writes backticks within sets them apart by spaces.
    const text = length > 1 && /^ .*\S.* $/.test(written) ? written.slice(1, -1) : written;
    return { node: { kind: "code", text }, end: closing + length };
  }

  link() {
    const taken = this.labelled(this.at);
    return taken && { node: taken.link, end: taken.end };
  }

  address() {
    const taken = addressAt(this.text, this.at);
    return taken && { node: taken.link, end: taken.end };
  }

  mention() {
    const { context } = this;
    context.tree ??= context.names();
    const taken = mentionAt(this.text, this.at, context.tree);
    const isMe = taken?.name.toLowerCase() === context.me;
    return taken && { node: { kind: "mention", text: `@${taken.written}`, name: taken.name, isMe }, end: taken.end };
  }

  emoji() {
    SHORTCODE.lastIndex = this.at;
    const name = SHORTCODE.exec(this.text)?.[1];
    // The minutes of 12:100:00 are no hundred.
    const text = isWord(characterBefore(this.text, this.at)) ? undefined : emoji.get(name);
    return text && { node: { kind: "emoji", text, name }, end: SHORTCODE.lastIndex };
  }
}

const lengthOf = (kind) => (kind === "em" ? 1 : 2);

/** Each run of backticks in a line: its length, and where the next one as long is. */
function ticksOf(text) {
  const runs = [...text.matchAll(/`+/g)].map(({ 0: run, index }) => ({ index, length: run.length }));
  const closing = closings(runs.map(({ length }) => length));
  return new Map(runs.map(({ index, length }, at) => [index, { length, closing: runs[closing[at]]?.index }]));
}

/** Texts that follow each other become one. */
function joined(nodes) {
  const all = [];
  for (const node of nodes) {
    if (typeof node === "string" && typeof all.at(-1) === "string") {
      all[all.length - 1] += node;
    } else if (node !== "") {
      all.push(node);
    }
  }
  return all;
}
