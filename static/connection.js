/*
 * The room of this page: the client of all pages (client.js) with the address of this one, and the key of this browser.
 *
 * Knows the page's address and the browser's storage, and nothing of what is shown.
 */

import { Room, freshKey } from "/assets/client.js";

const KEY_NAME = "wsloop.key";

/** What makes all tabs of this browser one person. A browser may forbid the storage; then each is one of its own. */
function secretKey() {
  const fresh = freshKey();
  try {
    const key = localStorage.getItem(KEY_NAME) ?? fresh;
    localStorage.setItem(KEY_NAME, key);
    return /^[0-9a-f]{32}$/.test(key) ? key : fresh;
  } catch {
    return fresh;
  }
}

/** The one connection of the page. */
export const connection = new Room(location.origin + location.pathname, { key: secretKey(), origin: location.origin });
