//! What the broker answers in a later turn: messages that it has committed or not, channels that it has opened.

use super::{Server, Stream, prices};
use crate::broker::BrokerEvent;
use crate::chat::Effect;
use crate::clock::Now;
use crate::connection::CLOSE_TIMEOUT;
use crate::http::Refusal;

impl<S: Stream> Server<S> {
    /// Does what the broker has answered meanwhile, as much of it as a turn has room for.
    pub(super) fn hear_broker(&mut self, now: Now) {
        let mut count = 0;
        // Whatever else the turn does, so that none waits for ever behind a flood.
        while (count < prices::TURN_ANSWERS_MIN || !self.outgoing.is_full())
            && let Some(event) = self.link.broker.poll_event(now)
        {
            count += 1;
            self.outgoing.charge(prices::MESSAGE);
            let sink = &mut |effect: Effect<'_>| self.outgoing.apply(effect);
            match event {
                BrokerEvent::Committed(channel, entry) => self.chat.commit(now, channel, &entry, sink),
                BrokerEvent::Refused(channel, ticket) => self.chat.refuse(now, channel, ticket, sink),
                BrokerEvent::Opened(channel, opened) => {
                    self.chat.opened(channel, opened);
                    self.link.undecided.decide(channel, true);
                }
                BrokerEvent::NotOpened(channel) => {
                    self.chat.not_opened(channel);
                    self.link.undecided.decide(channel, false);
                }
            }
            self.answer_decided(now);
        }
        self.answer_decided(now);
        self.close_announced(now);
    }

    /// Answers requests that have waited, as many as a turn has room for, and one at least: so that a channel that
    /// was opened is in use.
    fn answer_decided(&mut self, now: Now) {
        let mut is_owed = true;
        while (is_owed || !self.outgoing.is_full())
            && let Some((id, opening)) = self.link.undecided.pop_decided()
        {
            is_owed = false;
            if !self.clients.find(id).is_some_and(|client| client.connection.is_deciding()) {
                continue;
            }
            self.outgoing.charge(prices::REQUEST);
            match opening {
                None => self.refuse(now, id, Refusal::Unavailable, b""),
                // Who is told to go has been counted by then.
                Some(_) if !self.mode.is_serving() => self.refuse(now, id, Refusal::Draining, b""),
                // All who were before it may have gone, and the channel with them.
                Some(opening) => self.open_when_heard(now, id, opening, b""),
            }
            // What it has sent meanwhile was not read.
            self.clients.mark_runnable(id);
            self.clients.mark_flushable(id);
            self.clients.arm(now, id);
        }
    }

    /// Closes the conversations that the chat has ended, and reads on from whoever waited for an answer.
    pub(super) fn close_announced(&mut self, now: Now) {
        while let Some((id, frame)) = self.outgoing.pop_close() {
            let Some(client) = self.clients.find(id) else { continue };
            if client.connection.is_open() {
                let cause = client.connection.close(now.time + CLOSE_TIMEOUT, frame);
                self.books.counters.note_end(&cause);
                self.clients.mark_flushable(id);
                self.clients.arm(now, id);
            }
        }
        while let Some(id) = self.outgoing.pop_resumed() {
            if self.clients.find(id).is_some() {
                self.clients.mark_runnable(id);
            }
        }
    }
}
