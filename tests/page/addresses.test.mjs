// Where an address begins and ends, where it leads, and what is none.

import assert from "node:assert/strict";
import test from "node:test";

import { elementsOf } from "./document.mjs";
import { links, outline, shown, treeOf } from "./text.mjs";
import { rendered } from "/assets/rendered.js";

/** Texts in which what leads somewhere stands between ‹ and ›. */
const BOUNDS = [
  "see ‹https://example.com/a?b=c#d›.",
  "‹https://en.wikipedia.org/wiki/Rust_(language)›",
  "(‹https://en.wikipedia.org/wiki/Rust_(language)›)",
  "(see ‹https://en.wikipedia.org/wiki/Rust_(language)›).",
  "(‹https://example.com›),then",
  "‹https://example.com/a_(b)_(c)›)",
  "‹https://example.com/((a))›))",
  "[‹https://example.com/[a]›] {‹https://example.com/{a}›}",
  "‹http://[::1]:8080/a›]",
  "‹https://example.com/›, ‹https://example.com/›; ‹https://example.com/›: ‹https://example.com/›! ‹https://example.com/›?",
  "‹https://example.com/?q=a,b;c:d!e'f~g*h_i-j›...",
  "‹https://example.com/a.b.c›.\"",
  "'‹https://example.com›' \"‹https://example.com›\"",
  "“‹https://example.com/a›” „‹https://example.com/a›“ ‘‹https://example.com/a›’ «‹https://example.com/a›»",
  "<‹https://example.com/a›> a<‹https://example.com/a›>b",
  "‹https://example.com/a›(",
  "‹https://example.com/a›*** ‹https://example.com/a›__ ‹https://example.com/a›~~",
  "看‹https://example.com/›，然后",
  "看‹https://example.com/a›。然后",
  "看（‹https://example.com/a›）、‹https://example.com/b›！",
  "「‹https://example.com/a›」『‹https://example.com/a›』《‹https://example.com/a›》",
  "看‹https://example.com›然后 看‹https://example.com/a›然后",
  "‹https://example.com›は ‹https://example.com/a›는 ‹https://example.com/a›ครับ",
  "‹https://example.com/a›——‹https://example.com/b›…",
  "‹https://例え.jp/道› ‹https://ja.wikipedia.org/wiki/日本語›、",
  "‹https://example.com/?q=日本語&r=中文›。",
  "‹https://пример.рф/страница› ‹https://example.com/é›",
  "‹https://example.com/a›\u200b\u202e‹https://example.com/b›\ufeff",
  "‹https://example.com/a›\u00adb \u0000‹https://example.com/b›\u0007",
  "‹HTTPS://EXAMPLE.COM/A› ‹Http://example.com›",
  "‹www.example.org›, (‹www.example.org/a_(b)›) ‹WWW.example.org›",
  "www. www.a www..a www wwww.example.org a.www.example.org a@www.example.org",
  "xhttps://example.com 5http://example.com _‹https://example.com›",
  "**‹https://example.com/a›** *‹https://example.com/b›* ~~‹https://example.com/c›~~ _‹https://example.com/d›_",
  "> ‹https://example.com›",
  "- ‹https://example.com›\n- ‹http://localhost:8080/tea›",
  "https:// http:// https://. https://) http:///",
  "ftp://example.com //example.com example.com mailto:a@example.com tel:1 file:///etc/passwd",
  "https://user@example.com https://user:pass@example.com/ https://bank.example%40x@other.example",
  "https://example.com:99999/ http://[::1 http://%zz/ http://a&b/ http://a..b:x/",
  "‹https://example.com/a›\\@other.example ‹https://example.com/a›\\nb",
  "[words](‹https://example.com/a›",
  "[‹https://bank.example›](‹https://other.example›)",
  "[bank.example](‹https://other.example›) [bank。example](‹https://other.example›)",
  "[ｂａｎｋ．ｅｘａｍｐｌｅ](‹https://other.example›) [bank\u2024example](‹https://other.example›)",
  "[www.bank](‹https://other.example›) [ba\u200bnk](‹https://other.example›) [\u202eknab](‹https://other.example›)",
  "[ ](‹https://other.example›) [](‹https://other.example›) [a]b](‹https://other.example›)",
  "[x](javascript:alert(1)) [x](data:text/html,x) [x](//example.com) [x](/a) [x](#a) [x](‹www.example.org›) [x]( https://",
  "[x](https://user@example.com) [x](https://) [x](‹https://a› b)",
];

/** What a tree says, with its links between ‹ and › and without the signs of all else. */
function marked(nodes) {
  const said = ({ kind, text, children, items }) => (kind === "link" ? `‹${text}›` : text ?? marked(children ?? items));
  return nodes.map((node) => (typeof node === "string" ? node : said(node))).join("");
}

const unsigned = (text) => text.replaceAll(/^(- |> )|[*_~`]/gm, "");

test("an address ends where the sentence goes on", () => {
  for (const row of BOUNDS) {
    const text = row.replaceAll(/[‹›]/g, "");
    assert.equal(unsigned(marked(treeOf(text))), unsigned(row), JSON.stringify(row));
    shown(text);
  }
});

test("words lead somewhere if they are none themselves", () => {
  for (const [text, wanted] of [
    ["[words](https://example.com/a)", "{link words}"],
    ["see [the words](https://example.com/a_(b)), and [more](http://example.com/?a=b).", "see {link the words}, and {link more}."],
    ["[文](https://例え.jp/道)", "{link 文}"],
    ["[a] [b](https://example.com)", "[a] {link b}"],
    ["[[a](https://example.com)]", "[{link a}]"],
    ["**[a](https://example.com)**", "{strong {link a}}"],
    ["[*a*](https://example.com)", "{link *a*}"],
    ["[3.14](https://example.com)", "{link 3.14}"],
  ]) {
    assert.equal(outline(text), wanted, text);
    shown(text);
  }
});

test("links lead to http and https, written as the browser writes them", () => {
  for (const [text, wanted] of [
    ["www.example.org", "https://www.example.org/"],
    ["HTTP://EXAMPLE.COM", "http://example.com/"],
    ["https://例え.jp/道", "https://xn--r8jz45g.jp/%E9%81%93"],
    ["[a](https://example.com/b c)", "https://example.com/b"],
    ["http://2130706433/", "http://127.0.0.1/"],
    ["https://example.com/%00%0d%0a", "https://example.com/%00%0d%0a"],
    ["https://example.com/'onclick='x", "https://example.com/'onclick='x"],
  ]) {
    assert.deepEqual(links(text), [wanted], text);
  }
});

test("a host that is not what is written is told", () => {
  for (const [text, host, alike] of [
    ["https://example.com/a", undefined, undefined],
    ["https://EXAMPLE.com:8080/a", undefined, undefined],
    ["https://例え.jp", "xn--r8jz45g.jp", undefined],
    ["https://bücher.example", "xn--bcher-kva.example", undefined],
    ["https://аррӏе.com/", "xn--80ak6aa92e.com", "xn--80ak6aa92e.com"],
    ["https://gооgle.com/", "xn--ggle-55da.com", "xn--ggle-55da.com"],
    ["https://пример.рф/", "xn--e1afmkfd.xn--p1ai", undefined],
    ["https://ｅｘａｍｐｌｅ.com/", "example.com", undefined],
    ["https://%65xample.com/", "example.com", undefined],
    ["http://2130706433/", "127.0.0.1", undefined],
    ["[words](https://example.com/a)", "example.com", undefined],
    ["[words](https://аррӏе.com/a)", "xn--80ak6aa92e.com", "xn--80ak6aa92e.com"],
  ]) {
    const [{ element }] = elementsOf(rendered(treeOf(text)));
    assert.deepEqual([element.attributes.get("title"), element.attributes.get("data-alike")], [host, alike], text);
  }
});
