/*
 * Which names there can be: the server's rules, so that the page can say at once what is wrong. Where they differ,
 * these are the stricter ones. What a name hides, or borrows from another script, would make it look like another's.
 *
 * Knows names and nothing else.
 */

const NAME_CHARACTERS_MAX = 32;
const RESERVED_ROOMS = ["assets", "broadcast", "dashboard", "echo", "events", "favicon.ico", "healthz", "metrics",
  "publish", "readyz", "robots.txt", "stats"];
// Flags, keycaps, and emoji with their skins and those that they are joined with.
const ONE_EMOJI = /(?![0-9#*\p{RI}\p{Emoji_Modifier}])\p{Emoji}(?:\uFE0F|\p{Emoji_Modifier})?/u.source;
const EMOJI = new RegExp(`\\p{RI}\\p{RI}|[0-9#*]\\uFE0F\\u20E3|${ONE_EMOJI}(?:\\u200D${ONE_EMOJI})*`, "gu");
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\uFFF0-\uFFFD\u{13441}\u{13442}]/u;
const PERSON = /^[\p{L}\p{N}\p{M} \-_.·・་&+!?*~#@$%=/|<>^'’׳״]*$/u;
const QUOTE = /(?<![\p{L}\p{M}])['’׳״]|['’׳״](?!\p{Alphabetic})|[ːꓽ]/u;
const ROOM = /^[\p{L}\p{N}\p{M}\-_.~]{1,64}$/u;
const HEAP = /(?<![\p{L}\p{M}])\p{M}|\p{Me}|(\p{M})\1|[\p{scx=Latn}\p{scx=Grek}\p{scx=Cyrl}]\p{M}{3}|\p{M}{5}/u;
const ADDRESS = /^[\dlIoO]{1,3}(?:\.[\dlIoO]{1,3}){3}$/;
// Written together, or alone.
const SCRIPTS = ["Latn Hani Hira Kana", "Latn Hani Bopo", "Latn Hani Hang", "Cyrl", "Grek", "Arab", "Hebr", "Deva", "Beng",
  "Guru", "Gujr", "Orya", "Taml", "Telu", "Knda", "Mlym", "Sinh", "Thai", "Laoo", "Tibt", "Mymr", "Khmr", "Ethi", "Cher",
  "Cans", "Mong", "Armn", "Geor", "Tfng", "Syrc", "Thaa", "Nkoo", "Yiii", "Java", "Bali", "Lisu", "Vaii", "Olck", "Adlm"];
const WRITINGS = SCRIPTS.map((scripts) => {
  const letters = scripts.split(" ").map((script) => `\\p{scx=${script}}`).join("");
  return new RegExp(`^(?:[^\\p{L}\\p{M}\\p{N}]|[\\p{scx=Zyyy}\\p{scx=Zinh}${letters}])*$`, "u");
});
const isOfOneWriting = (name) => WRITINGS.some((writing) => writing.test(name));

/** Why `name` cannot be used, or nothing. */
export function nameRefusal(name) {
  const length = [...name].length;
  if (length > NAME_CHARACTERS_MAX) {
    return `A name has at most ${NAME_CHARACTERS_MAX} characters; this one has ${length}.`;
  }
  const letters = name.replace(EMOJI, "*");
  const rules = [
    [HIDDEN.test(letters), "A name cannot hold invisible characters."],
    [/ {2}/.test(name), "A name has single spaces."],
    [!PERSON.test(letters) || QUOTE.test(letters), "A name has letters, digits, emoji, and any of - _ . ' & + ! ? * ~ # @ $ % = / | < > ^"],
    [HEAP.test(letters), "A name has accents on their letters only, and no heaps of them."],
    [!isOfOneWriting(letters), "A name is of one script: letters of several look like each other's."],
    [ADDRESS.test(name.normalize("NFKC")), "A name cannot be an address."],
  ];
  return rules.find(([isBroken]) => isBroken)?.[1] ?? "";
}

/** Why there can be no room of that name, or nothing. A URL cannot end in `.` or `..`. */
export function roomRefusal(name) {
  if (!ROOM.test(name) || HIDDEN.test(name) || HEAP.test(name) || /[ːꓽ]/u.test(name) || name === "." || name === "..") {
    return "A room's name has 1 to 64 letters, digits, or - _ . ~ and no spaces.";
  }
  if (!isOfOneWriting(name)) {
    return "A room's name is of one script: letters of several look like each other's.";
  }
  return RESERVED_ROOMS.includes(name) ? `The server uses “${name}” for itself. Please choose another name.` : "";
}
