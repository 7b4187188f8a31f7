/*
 * Notices on the desktop, for who asks for them and looks elsewhere.
 *
 * Knows the browser's permission, and whether the page is in view.
 * Ids: #notify (aria-pressed)
 */

import { byId, tell } from "/assets/page.js";

const TEXT_MAX = 200;

export const notices = {
  isOn: false,

  async toggle() {
    if (!("Notification" in globalThis)) {
      tell("hint", "This browser shows no notices.");
      return;
    }
    this.isOn = !this.isOn && (await Notification.requestPermission()) === "granted";
    byId("notify").setAttribute("aria-pressed", String(this.isOn));
    tell("hint", this.isOn || Notification.permission === "granted" ? "" : "The browser does not allow notices for this page.");
  },

  show(who, room, text) {
    if (!this.isOn || !document.hidden) {
      return;
    }
    try {
      const notice = new Notification(`${who} in ${room}`, { body: text.slice(0, TEXT_MAX), tag: `wsloop ${room}` });
      notice.addEventListener("click", () => focus());
    } catch {
      // Browsers of telephones have the name and the permission, and throw.
      this.isOn = false;
      byId("notify").setAttribute("aria-pressed", "false");
      tell("hint", "This browser cannot show notices of a page.");
    }
  },
};
