// The grammar of a message's text, as tables.

import assert from "node:assert/strict";
import test from "node:test";

import { outline, shown, treeOf } from "./text.mjs";
import { mentionsMe } from "/assets/markup.js";

/** Texts, and what they are: `{kind …}`. */
function check(table) {
  for (const [text, wanted] of table) {
    assert.equal(outline(text), wanted, JSON.stringify(text));
    shown(text);
  }
}

test("a plain text is one piece of text, to the last character", () => {
  const plain = ["hello", "", " ", "two\nlines\n", "\n\n\n   \t   indented", "a\r\nb\r\n", "12:00:00 Ada say: not by Ada",
    "你好，世界", "1.5 - 2 = -0.5", "a > b", ">:(", "-1", "1.2.3", "#1", "2 * 3 * 4", "a_b_c", "~5 ~6", "3:4", "\u0000\u200b\u202e"];
  for (const text of plain) {
    assert.deepEqual(treeOf(text), text === "" ? [] : [text]);
    assert.equal(shown(text), text);
  }
});

test("emphasis stands at the edges of words and ends with its line", () => {
  check([
    ["**bold** *it* _it_ ~~gone~~", "{strong bold} {em it} {em it} {strike gone}"],
    ["***both*** **a *b* c** *a **b** c*", "{strong {em both}} {strong a {em b} c} {em a {strong b} c}"],
    ["~~a **b *c _d_* **~~", "{strike a **b {em c {em d}} **}"],
    ["(*a*), \"**b**\"!", "({em a}), \"{strong b}\"!"],
    ["这是**重点**内容", "这是{strong 重点}内容"],
    ["これは*大事*です", "これは{em 大事}です"],
    ["snake_case_name __init__ 2*3*4 a**b**c x~~y~~z", "snake_case_name __init__ 2*3*4 a**b**c x~~y~~z"],
    ["a*b* *a*b a_b_ _a_b", "a*b* *a*b a_b_ _a_b"],
    ["* a* *a * ** a ** _ a_", "* a* *a * ** a ** _ a_"],
    ["*open **open ~~open _open", "*open **open ~~open _open"],
    ["*a\nb* **a\n\nb**", "*a\nb* **a\n\nb**"],
    ["**** ****** ~~~a~~~ ____", "**** ****** ~~~a~~~ ____"],
    ["*a **b* c**", "{em a **b} c**"],
    ["*a *b* c*", "*a {em b} c*"],
    ["*a_", "*a_"],
    ["**a***", "{strong a}*"],
    ["***a**", "{strong *a}"],
  ]);
});

test("code is what it is written as", () => {
  check([
    ["`a` ``b ` c`` `` ` ``", "{code a} {code b ` c} {code `}"],
    ["`**a** :smile: @Ada https://example.org`", "{code **a** :smile: @Ada https://example.org}"],
    ["**`a`** `*`", "{strong {code a}} {code *}"],
    ["`open ``open ```open", "`open ``open ```open"],
    ["`a\nb`", "`a\nb`"],
    ["```\na\n  b\n```", "{fence :a\n  b}"],
    ["before\n```rust\nfn main() {}\n```\nbehind", "before\n{fence rust:fn main() {}\n}behind"],
    ["``` c++ \r\n*a*\r\n```\r\n", "{fence c++:*a*\r\n}"],
    ["````\n```\na\n```\n````", "{fence :```\na\n```}"],
    ["```\na\n```\n```\nb\n```", "{fence :a\n}{fence :b}"],
    ["```\nnever closed\n*a*", "```\nnever closed\n{em a}"],
    ["```two words\na\n```", "```two words\na\n```"],
    ["```a```", "{code a}"],
    ["```\n```", "{fence :}"],
  ]);
});

test("quotes and lists are made of whole lines", () => {
  check([
    ["> a\n> b\nc", "{quote a\nb\n}c"],
    ["> a\n\nc", "{quote a\n}\nc"],
    ["> > a\n> b", "{quote {quote a\n}b}"],
    ["> > a\nb", "{quote {quote a\n}}b"],
    ["> ```\n> x\n> ```\nb", "{quote {fence :x\n}}b"],
    [">\n> a\n>\n> b", ">\n{quote a\n\nb}"],
    [">a\n>>b", ">a\n>>b"],
    ["> > > > > > a", "{quote {quote {quote {quote > > a}}}}"],
    ["- a\n- **b**\nc", "{list {• a\n}{• {strong b}\n}}c"],
    ["3. a\n1. b\n2) c", "{list {3. a\n}{1. b\n}{2) c}}"],
    ["- a\n1. b", "{list {• a\n}}{list {1. b}}"],
    ["-a\n- \n1.b\n1234567890. c", "-a\n- \n1.b\n1234567890. c"],
    ["> - a\n> - b\nc", "{quote {list {• a\n}{• b\n}}}c"],
  ]);
  assert.equal(shown("> a\n> b\nc\n- d\n2. e\n```js\nf\n```\ng"), "a\nb\nc\n• d\n2. e\nf\ng", "it can be read without its signs");
});

test("names of emoji become emoji, outside of code", () => {
  check([
    [":smile: :+1::heart:", "{emoji 😄} {emoji 👍}{emoji ❤️}"],
    ["你好:tada:", "你好{emoji 🎉}"],
    ["`:smile:` :nothing: :SMILE: : smile: ::", "{code :smile:} :nothing: :SMILE: : smile: ::"],
    ["12:100:00 a:smile: http:smile:", "12:100:00 a:smile: http:smile:"],
    ["**:fire:**", "{strong {emoji 🔥}}"],
    [":constructor: :__proto__: :has:", ":constructor: :__proto__: :has:"],
  ]);
});

test("who is known can be mentioned", () => {
  check([
    ["@Ada, @ada! @BOB", "{mention @Ada}, {mention @ada}! {mention @BOB!}"],
    ["@\"Ada Lovelace\" @Ada Lovelace", "{mention @Ada Lovelace} {mention @Ada} Lovelace"],
    ["@\"Ada\" @\"Ada Love\" @\"Ada", "{mention @Ada} @\"Ada Love\" @\"Ada"],
    ["你好@小林さん", "你好{mention @小林}さん"],
    ["@Bobby @nobody ada@Ada @@Ada a.@Ada @", "@Bobby @nobody ada@Ada @@Ada a.@Ada @"],
    ["(@Ada) **@Bob** `@Bob`", "({mention @Ada}) {strong {mention @Bob!}} {code @Bob}"],
    ["@*x* @\"*x*\"", "{mention @*x*} {mention @*x*}"],
    ["https://example.org/@Bob", "{link https://example.org/@Bob}"],
  ]);
  for (const [text, isMeant] of [["@Bob", true], ["> - **a @bob**", true], ["- @Bob", true], ["Bob", false], ["`@Bob`", false],
    ["@Ada", false], ["bob@bob", false]]) {
    assert.equal(mentionsMe(treeOf(text)), isMeant, text);
  }
});
