/*
 * On a narrow page the tools of the head are behind one button; on a wide one they stand beside each other, and the
 * button is not drawn. Which it is, the style sheet says.
 *
 * Knows nothing of what the tools do.
 * Ids: #menu (aria-expanded) #tools
 */

import { byId, on } from "/assets/page.js";

const button = byId("menu");
const tools = byId("tools");

function show(isOpen) {
  button.setAttribute("aria-expanded", String(isOpen));
}

/** Before the tool does its work: a dialog gives the focus back to the button then, not to something that is gone. */
function chosen(event) {
  if (button.offsetWidth > 0 && event.target.closest("button") !== null) {
    button.focus();
    show(false);
  }
}

function pressed(event) {
  if (event.key === "Escape" && button.getAttribute("aria-expanded") === "true") {
    button.focus();
    show(false);
  }
}

export const menu = {
  listen() {
    on("menu", "click", () => show(button.getAttribute("aria-expanded") !== "true"));
    tools.addEventListener("click", chosen, true);
    document.addEventListener("keydown", pressed);
    document.addEventListener("pointerdown", ({ target }) => button.contains(target) || tools.contains(target) || show(false));
    tools.addEventListener("focusout", ({ relatedTarget }) => {
      const isOutside = relatedTarget !== null && relatedTarget !== button && !tools.contains(relatedTarget);
      isOutside && show(false);
    });
  },
};
