/*
 * What becomes of messages after they were said: the lines of those that are on the page follow.
 *
 * Knows the lines, the log, and the connection, which says who one is oneself. Lines that are not there are not missed.
 */

import { connection } from "/assets/connection.js";
import { answersTo, blank, lineOf, markEdited, quoteAnew, redress, setText, showReactions } from "/assets/dressed.js";
import { log } from "/assets/log.js";

/** The line of a message that is still there to be changed. */
function changeable(seq) {
  log.flush(); // It may wait for its frame.
  const line = lineOf(seq);
  return line === null || line.dataset.deleted !== undefined ? undefined : line;
}

export const changes = {
  /** History tells messages as they stand; the page may have missed what has become of those that it shows. */
  stand(messages) {
    messages.forEach((message) => {
      const line = changeable(message.seq);
      line !== undefined && redress(line, message);
    });
  },

  edit({ of, text, deleted }) {
    const line = changeable(of);
    if (line !== undefined && deleted === undefined) {
      setText(line, text);
      markEdited(line);
      log.grown();
    }
    quoteAnew(answersTo(of));
  },

  delete({ of }) {
    const line = changeable(of);
    if (line !== undefined) {
      blank(line);
    }
    // Also where the message itself has left the page.
    quoteAnew(answersTo(of));
  },

  react({ of, emoji, on, count, from }) {
    const line = changeable(of);
    if (line === undefined) {
      return;
    }
    if (from.id === connection.you.id) {
      on ? line.mine.add(emoji) : line.mine.delete(emoji);
    }
    count === 0 ? line.reactions.delete(emoji) : line.reactions.set(emoji, count);
    showReactions(line);
    log.grown();
  },
};
