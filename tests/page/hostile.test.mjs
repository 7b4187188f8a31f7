// Texts of people who mean harm, and texts of chance: of none comes an element, an attribute or a scheme that no
// message has, all of it can be read, and the longest take no longer than their length.
//
// WSLOOP_PAGE_SEED replays the texts of chance, WSLOOP_PAGE_TEXTS makes them more.

import assert from "node:assert/strict";
import test from "node:test";

import { links, shown, treeOf } from "./text.mjs";

const LENGTH = 64 * 1024;
const TIME_MAX_MS = 5000; // On a busy machine; a quarter of a second else.

/** What is shown exactly as it is written, and leads nowhere. */
const PLAIN = [
  "<script>window.pwned = 1</script>", "<img src=x onerror=\"window.pwned = 1\">", "<svg onload=alert(1)></svg>",
  "<iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>", "<a href=\"javascript:alert(1)\">press</a>",
  "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "\u0001javascript:alert(1)", "javascript&colon;alert(1)",
  "javascript://example.com/%0aalert(1)", "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>",
  "data:text/html;base64,PHNjcmlwdD4=", "blob:https:x", "filesystem:https:x", "view-source:x", "about:blank", "file:///etc/passwd",
  "//example.invalid/x", "\\\\example.invalid\\x", "ftp://example.invalid/", "ws://example.invalid/", "intent:x#Intent;end",
  "[press](javascript:alert(1))", "[press](JAVASCRIPT:alert(1))", "[press](java\nscript:alert(1))", "[press](\u0001javascript:alert(1))",
  "[press]( javascript:alert(1))", "[press](data:text/html,<script>alert(1)</script>)", "[press](vbscript:x)", "[press](//example.invalid)",
  "[press](/\\example.invalid)", "[press](?x)", "[press](#x)", "[press](https:example.invalid)", "[press](https:/example.invalid)",
  "[press](http:\\\\example.invalid)", "![x](x\"onerror=\"alert(1))", "[press]: javascript:alert(1)", "[press][1]",
  "<javascript:alert(1)>", "<data:text/html,x>", "[a](<javascript:alert(1)>)", "[a](javascript&#58;alert(1))", "[a](javascript%3Aalert(1))",
  "[\u202e](javascript:alert(1))", "![](x) ![]() []() [ ]( )", "[[[[]]]]((((()))))", "](](](", "[](", "](", ")[", "<!-- -->", "<![CDATA[ ]]>",
  "&lt;script&gt;alert(1)&lt;/script&gt;", "&#x3C;script&#x3E;", "\\u003cscript\\u003e", "%3Cscript%3E", "+ADw-script+AD4-",
  "\uff1cscript\uff1e", "</div></main></body></html><h1>ours</h1>", "</textarea></script>", "<style>body{display:none}</style>",
  "<base href=//example.invalid>", "<meta http-equiv=refresh content=0>", "<form action=//example.invalid>", "<p style=\"background:url(x)\">",
  "<p onmouseover=alert(1)>", "<details open ontoggle=alert(1)>", "<template shadowrootmode=open>", "<form id=log><input name=append></form>",
  "\" onmouseover=\"alert(1)\" x=\"", "'-alert(1)-'", "\");alert(1);//", "${alert(1)} {{alert(1)}} <%= x %>", "__proto__ constructor toString",
  ":__proto__: :constructor: :toString: :valueOf:", "@__proto__ @constructor @\"__proto__\"", "{\"__proto__\":{\"polluted\":1}}",
  "\u202eevil gpj.exe \u2066\u2067never closed", "\u200f\u200e\u061c", "\u200b\u200d\ufeff\u00ad", "\u2028alert(1)\u2029", "%00", "a\u0000b\u0007c\u001b[31md\u007f",
  "Z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030b\u030c\u030d", "\ud800", "\udc00\ud800", "\udbff*", "\u{10ffff}\u{1f3f4}\u{e0067}",
  "******** ________ ~~~~~~~~", "*_*_*_*_", "**_~~", "~~**__``", "* _ ~~ ` > [ ( @ :", "`", "```", "``````", "```\n````\n`````", "````\n```\n",
  ">>>>>>>>", "1)2)3)", "-\n-\n-", "https://user:pass@example.com/", "https://bank.example@example.invalid/", "https://example.com:1:2/",
];

/** What is marked up: where it leads. */
const LINKED = [
  ["https://example.com/\"onmouseover=\"alert(1)", ["https://example.com/"]],
  ["https://example.com/<script>alert(1)</script>", ["https://example.com/"]],
  ["https://example.com/javascript:alert(1)", ["https://example.com/javascript:alert(1)"]],
  ["https://example.com/%0d%0aSet-Cookie:x", ["https://example.com/%0d%0aSet-Cookie:x"]],
  ["https://example.com/\u202egpj.exe", ["https://example.com/"]],
  ["https://example.com\\@example.invalid/", ["https://example.com/"]],
  ["https://gооgle.com", ["https://xn--ggle-55da.com/"]],
  ["[x](https://example.com/\" onclick=\"alert(1))", ["https://example.com/"]],
  ["[https://bank.example](https://example.invalid)", ["https://bank.example/", "https://example.invalid/"]],
  ["[<img src=x onerror=alert(1)>](https://example.com)", ["https://example.com/"]],
  ["[javascript:alert(1)](https://example.com)", ["https://example.com/"]],
  ["`https://example.com` **`[x](https://example.com)`**", []],
  ["```\nhttps://example.com\n```", []],
  ["```javascript:alert(1)\nx\n```", []],
  ["```\"onclick=\"x\nx\n```", []],
  ["> > > > > > > > https://example.com", ["https://example.com/"]],
  ["> ```\n> > ```\n> x\n> ```\n> ```", []],
  ["**[x](https://example.com/**)**", ["https://example.com/**"]],
];

/** The longest texts of signs that may begin or end something. */
const WORST = ["*", "**", "* ", "*a", "*a*", "a*", "**a", "*a **b ", "_", "_a ", "_a_ ", "~~a ", "~~a~~ ", "*_~~**", "***a", "`", "` ", "`a``b", "`` ` ", "```\n",
  "```a\n", "````\n```\n", ">", "> ", "> > \n", ">\n", "> a\nb\n", "- a\n", "- a\nb\n", "1. a\n- b\n", "[", "](", "[](", "[a](", "[a](http://", "[a](https://a/)",
  "[a](https://a/(", "(", ")", "((((", "https://a/(", "https://", "https://a/ ", "https://a/)", "http://a@", "www.", "www.a.", "www.a.b,", "h", "hw", "@", "@A", " @",
  "(@", "@\"", "(@\"a", "@Ada ", "@\"Ada\" ", ":", ":a", ":smile", ":smile:", "::", "a", "W", "世", "\u0301", "\u202e", "\u200b", "\ud800", "\n", "\r", " ", "\t", "``` \t"];

test("what is hostile is shown as it is written, and leads nowhere", () => {
  assert.ok(PLAIN.length + LINKED.length >= 100);
  for (const text of PLAIN) {
    assert.equal(shown(text).replaceAll(/[`_*~]/g, ""), text.replaceAll(/[`_*~]/g, ""), text);
    assert.deepEqual(links(text), [], text);
  }
});

test("an address in what is hostile leads where it says", () => {
  for (const [text, wanted] of LINKED) {
    shown(text);
    assert.deepEqual(links(text), wanted, text);
  }
});

test("the longest texts take no longer than their length", () => {
  const took = (sign, length) => {
    const text = sign.repeat(length / sign.length);
    const begun = performance.now();
    shown(text);
    return performance.now() - begun;
  };
  for (const sign of WORST) {
    const time = took(sign, LENGTH);
    assert.ok(time < TIME_MAX_MS, `${JSON.stringify(sign)} took ${time} ms`);
    // Four times as long may take four times as long, not sixteen times. What else the machine does is not measured.
    const isLinear = () => took(sign, 4 * LENGTH) < Math.max(8 * took(sign, LENGTH), 400);
    assert.ok(isLinear() || isLinear() || isLinear(), `${JSON.stringify(sign)} takes more and more time`);
  }
});

/* ---- Chance ---- */

const PIECES = ["*", "**", "***", "_", "~~", "`", "``", "```", "```js", "\n", "\n", "> ", "- ", "1. ", " ", " ", "a", "b", "世", "界", "，", "(", ")", "[", "]", "](", "\"",
  "https://example.org/a", "www.example.org", "[a](https://example.org/a)", ":smile:", ":", "@", "@Ada", "@\"Ada Lovelace\"", "@小林", "\u202e", "\u200b", "\u0301",
  "😀", "<b>", "&amp;", "\\", "javascript:", "\r", "\t", "."];
const SIGNS = /[*_~`>[\]()"•\s-]/g;

/** Numbers from 0 up to below `end`, the same for the same seed (mulberry32). */
function chance(seed) {
  let state = seed;
  return (end) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  };
}

/** All that a tree holds of its text, with what is not shown: languages, and where words lead. */
function held(nodes) {
  return nodes.map((node) => {
    if (typeof node === "string") {
      return node;
    }
    const { kind, text, href, host, language, name } = node;
    const own = {
      fence: () => language + text,
      link: () => (/^(https:|www)/.test(text) ? text : text + href.replace(`//${host}`, "//example.org")),
      emoji: () => `:${name}:`,
      list: () => node.items.map(({ mark, children }) => mark + held(children)).join(""),
    }[kind];
    return own === undefined ? (text ?? held(node.children)) : own();
  }).join("");
}

test("nothing of a text of chance is lost, and nothing is added", () => {
  const seed = Number(process.env.WSLOOP_PAGE_SEED ?? Date.now() % 1_000_000_007);
  const count = Number(process.env.WSLOOP_PAGE_TEXTS ?? 20_000);
  for (let number = 0; number < count; number += 1) {
    const next = chance(seed + number);
    const text = Array.from({ length: 1 + next(24) }, () => PIECES[next(PIECES.length)]).join("");
    const why = `WSLOOP_PAGE_SEED=${seed + number} ${JSON.stringify(text)}`;
    shown(text);
    assert.equal(held(treeOf(text)).replaceAll(SIGNS, ""), text.replaceAll(SIGNS, ""), why);
    assert.deepEqual(treeOf(text), treeOf(text), why);
  }
});
