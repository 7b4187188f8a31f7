/*
 * Light, dark, or as the system has it. A classic script in the head, so that the page is never drawn in the wrong
 * colours first; it may not be inline, and a module would come too late.
 *
 * Knows what this browser remembers of the choice, and nothing of the chat. Sets data-theme on the root, which
 * chat.css obeys, and the colour of the browser's own bar.
 * Ids: #theme
 */

(() => {
  const KEY = "wsloop.theme";
  const BARS = { light: "#ffffff", dark: "#1a2027" };
  const root = document.documentElement;

  function recalled() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // A browser may forbid the storage; then the choice holds for this visit.
    }
  }

  function use(theme) {
    const chosen = BARS[theme];
    chosen === undefined ? root.removeAttribute("data-theme") : root.setAttribute("data-theme", theme);
    for (const bar of document.querySelectorAll('meta[name="theme-color"]')) {
      bar.content = chosen ?? (bar.media.includes("dark") ? BARS.dark : BARS.light);
    }
    const choice = document.getElementById("theme");
    if (choice !== null) {
      choice.value = chosen === undefined ? "system" : theme;
    }
  }

  function choose(theme) {
    use(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // As above.
    }
  }

  use(recalled());
  document.addEventListener("DOMContentLoaded", () => {
    use(recalled());
    document.getElementById("theme")?.addEventListener("change", (event) => choose(event.target.value));
  });
  // Another tab has chosen.
  addEventListener("storage", ({ key }) => key === KEY && use(recalled()));
})();
