/*
 * Suggestions while one writes: people behind an `@`, emoji behind a `:` and two letters.
 *
 * The focus stays in the box, which tells a screen reader the suggestion that is chosen (aria-activedescendant), how
 * many there are (#completions-count), and stays a box of several lines for it: a role of its own would take that away.
 * Enter and Tab take a suggestion, the arrows go through them, Escape closes the list. An input method keeps its keys.
 *
 * Knows who can be mentioned, the emoji, and the box. Keys are looked at before the composer sees them.
 * Ids: #completions (the list, role listbox) #completions-count (a status) #completion-0 and on (role option)
 */

import { emoji, emojiNames } from "/assets/emoji.js";
import { known } from "/assets/known.js";
import { isWord } from "/assets/letters.js";
import { canBegin, mentionOf } from "/assets/mentions.js";
import { byId, tell } from "/assets/page.js";

const CHOICES_MAX = 8;
const LOOK_BACK = 40; // Longer than a name.
const PERSON = /@("?)([^"\n@]*)$/u;
const SHORTCODE = /:([a-z0-9_+-]{2,})$/i;

/** Which of `all` begin with what is written, then those of which a later word does. */
function matching(all, written) {
  const small = written.toLowerCase();
  const begin = all.filter((one) => one.toLowerCase().startsWith(small));
  const within = all.filter((one) => !begin.includes(one) && [" ", "_", "-"].some((sign) => one.toLowerCase().includes(sign + small)));
  return [...begin, ...within].slice(0, CHOICES_MAX);
}

/** Whether code is being written at the end of a text: there signs are signs. */
function isInCode(text) {
  const lines = text.split("\n");
  const fences = lines.filter((line) => line.startsWith("```")).length;
  return fences % 2 === 1 || (lines.at(-1).split("`").length - 1) % 2 === 1;
}

/** What is suggested behind `text`: where that which is replaced begins, and the choices. */
export function suggestions(text) {
  const end = text.slice(-LOOK_BACK);
  const start = text.length - end.length;
  return people(end, start, text) ?? shortcodes(end, start, text) ?? { from: 0, choices: [] };
}

function people(end, start, text) {
  const { 0: whole, 1: quote, 2: written, index } = PERSON.exec(end) ?? { 0: "" };
  if (whole === "" || (quote === "" && /\s/u.test(written)) || !canBegin(end, index) || isInCode(text)) {
    return undefined;
  }
  const others = [...known.names()].filter((name) => name !== known.me());
  const choices = matching(others, written).map((name) => ({ shown: name, inserted: `${mentionOf(name)} ` }));
  return { from: start + index, choices };
}

function shortcodes(end, start, text) {
  const { 0: whole, 1: written, index } = SHORTCODE.exec(end) ?? { 0: "" };
  const before = end.charAt(index - 1);
  if (whole === "" || isWord(before) || before === ":" || before === "/" || isInCode(text)) {
    return undefined;
  }
  const choices = matching(emojiNames, written).map((name) => ({ shown: `${emoji.get(name)} ${name}`, inserted: `${emoji.get(name)} ` }));
  return { from: start + index, choices };
}

export const completion = {
  from: 0,
  choices: [],
  chosen: 0,
  closedAt: -1, // Where the suggestions begin that Escape has closed.

  /** Begins to look at the box. */
  start() {
    const box = byId("message");
    box.addEventListener("keydown", (event) => this.pressed(event), { capture: true });
    box.addEventListener("input", (event) => this.written(event.isComposing));
    box.addEventListener("compositionend", () => this.written(false));
    box.addEventListener("click", () => this.written(false));
    box.addEventListener("blur", () => this.show({ from: 0, choices: [] }));
    const list = byId("completions");
    list.addEventListener("mousedown", (event) => event.preventDefault()); // The focus stays in the box.
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      option && this.take([...list.children].indexOf(option));
    });
  },

  written(isComposing) {
    const { value, selectionStart, selectionEnd } = byId("message");
    const isPlace = !isComposing && selectionStart === selectionEnd;
    const found = isPlace ? suggestions(value.slice(0, selectionStart)) : { from: 0, choices: [] };
    this.closedAt = found.choices.length > 0 && found.from === this.closedAt ? this.closedAt : -1;
    this.show(this.closedAt < 0 ? found : { from: 0, choices: [] });
  },

  pressed(event) {
    const isOfInputMethod = event.isComposing || event.keyCode === 229;
    const key = this.choices.length === 0 || isOfInputMethod || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey ? "" : event.key;
    const act = {
      ArrowDown: () => this.choose(this.chosen + 1),
      ArrowUp: () => this.choose(this.chosen - 1),
      Enter: () => this.take(this.chosen),
      Tab: () => this.take(this.chosen),
      Escape: () => this.close(),
    }[key];
    if (act !== undefined) {
      event.preventDefault();
      event.stopImmediatePropagation();
      act();
    } else if (/^(Arrow|Home$|End$)/.test(event.key)) {
      this.show({ from: 0, choices: [] }); // The place changes, and what is behind it.
    }
  },

  close() {
    this.closedAt = this.from;
    this.show({ from: 0, choices: [] });
  },

  show({ from, choices }) {
    const had = this.choices.length;
    Object.assign(this, { from, choices });
    byId("completions").replaceChildren(...choices.map(({ shown }, index) => {
      const option = document.createElement("li");
      option.id = `completion-${index}`;
      option.setAttribute("role", "option");
      option.textContent = shown;
      return option;
    }));
    byId("completions").hidden = choices.length === 0;
    if (choices.length > 0) {
      this.choose(0);
    } else {
      byId("message").removeAttribute("aria-activedescendant");
    }
    if (had !== choices.length) {
      tell("completions-count", choices.length === 0 ? "" : `${choices.length} suggestions`);
    }
  },

  /** Goes around at both ends. */
  choose(index) {
    const options = [...byId("completions").children];
    this.chosen = (index + options.length) % options.length;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.chosen)));
    options[this.chosen].scrollIntoView({ block: "nearest" });
    byId("message").setAttribute("aria-activedescendant", options[this.chosen].id);
  },

  take(index) {
    this.replace(this.from, this.choices[index].inserted);
  },

  /** Writes a mention at the caret. */
  mention(name) {
    const box = byId("message");
    const isApart = canBegin(box.value, box.selectionStart);
    this.replace(box.selectionStart, `${isApart ? "" : " "}${mentionOf(name)} `);
  },

  replace(from, text) {
    const box = byId("message");
    box.focus();
    box.setRangeText(text, from, box.selectionEnd, "end");
    this.show({ from: 0, choices: [] });
    // As if it had been typed, for whoever looks at what is written.
    box.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertReplacementText" }));
  },
};
