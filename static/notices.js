/*
 * Notices on the desktop, for who looks elsewhere: of all messages, of those that mention one, or of none.
 *
 * Knows the browser's permission, what this browser remembers of the choice, and whether the page is in view.
 * Ids: #notify (a select: all, mentions, nothing)
 */

import { byId, tell } from "/assets/page.js";

const TEXT_MAX = 200;
const CHOICE_KEY = "wsloop.notices";
const CHOICES = ["all", "mentions", "nothing"];

const isAllowed = () => globalThis.Notification?.permission === "granted";

export const notices = {
  choice: "mentions",

  /** What was chosen before; without the browser's permission it is nothing for now. */
  recall() {
    try {
      const choice = localStorage.getItem(CHOICE_KEY);
      this.choice = CHOICES.includes(choice) ? choice : this.choice;
    } catch {
      // A browser may forbid the storage; then each visit begins with mentions.
    }
    this.choice = isAllowed() ? this.choice : "nothing";
    byId("notify").value = this.choice;
  },

  remember() {
    try {
      localStorage.setItem(CHOICE_KEY, this.choice);
    } catch {
      // The choice holds for this visit then.
    }
  },

  async choose() {
    const wanted = byId("notify").value;
    if (wanted !== "nothing" && !("Notification" in globalThis)) {
      tell("hint", "This browser shows no notices.");
    } else if (wanted !== "nothing" && (await Notification.requestPermission()) !== "granted") {
      tell("hint", "The browser does not allow notices for this page.");
    } else {
      tell("hint", "");
      this.choice = wanted;
      this.remember();
    }
    byId("notify").value = this.choice;
  },

  show(who, room, text, isMeant) {
    const isWanted = this.choice === "all" || (this.choice === "mentions" && isMeant);
    if (isWanted && document.hidden && isAllowed()) {
      const title = isMeant ? `${who} mentions you in ${room}` : `${who} in ${room}`;
      this.tell(title, text, room);
    }
  },

  tell(title, text, room) {
    try {
      const notice = new Notification(title, { body: text.slice(0, TEXT_MAX), tag: `wsloop ${room}` });
      notice.addEventListener("click", () => focus());
    } catch {
      // Browsers of telephones have the name and the permission, and throw.
      this.choice = "nothing";
      byId("notify").value = this.choice;
      tell("hint", "This browser cannot show notices of a page.");
    }
  },
};
