/*
 * The elements of the page, by their ids. Knows nothing but the document: every module may use it.
 */

export const byId = (id) => document.getElementById(id);
export const on = (id, type, handler) => byId(id).addEventListener(type, handler);
export const tell = (id, words) => { byId(id).textContent = words; };

/** Shows why an input is refused and goes back to it; true if it is not refused. */
export function accepted(inputId, hintId, refusal) {
  tell(hintId, refusal);
  if (refusal !== "") {
    byId(inputId).focus();
  }
  return refusal === "";
}
