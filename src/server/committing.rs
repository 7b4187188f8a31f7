//! What the broker answers in a later turn: messages that it has committed or not, channels that it has opened.

use super::{Server, Stream, prices};
use crate::broker::BrokerEvent;
use crate::chat::Effect;
use crate::clock::Now;
use crate::connection::CLOSE_TIMEOUT;
use crate::http::Refusal;
use crate::id::ClientId;
use crate::site::Opening;

impl<S: Stream> Server<S> {
    /// Does what the broker has answered meanwhile, as much of it as a turn has room for.
    pub(super) fn hear_broker(&mut self, now: Now) {
        while !self.outgoing.is_full()
            && let Some(event) = self.link.broker.poll_event(now)
        {
            self.outgoing.charge(prices::MESSAGE);
            let sink = &mut |effect: Effect<'_>| self.outgoing.apply(effect);
            match event {
                BrokerEvent::Committed(channel, entry) => self.chat.commit(now, channel, &entry, sink),
                BrokerEvent::Refused(channel, ticket) => self.chat.refuse(now, channel, ticket, sink),
                BrokerEvent::Opened(channel, opened) => {
                    self.chat.opened(channel, opened);
                    for (id, opening) in self.link.undecided.take(channel) {
                        self.decide(now, id, Some(opening));
                    }
                }
                BrokerEvent::NotOpened(channel) => {
                    self.chat.not_opened(channel);
                    for (id, _) in self.link.undecided.take(channel) {
                        self.decide(now, id, None);
                    }
                }
            }
        }
        self.close_announced(now);
    }

    /// Answers a request that has waited, if it still does.
    fn decide(&mut self, now: Now, id: ClientId, opening: Option<Opening>) {
        if !self.clients.find(id).is_some_and(|client| client.connection.is_deciding()) {
            return;
        }
        match opening {
            Some(opening) if self.mode.is_serving() => self.enter(now, id, opening),
            // Who is told to go has been counted by then.
            Some(_) => self.refuse(now, id, Refusal::Draining, b""),
            None => self.refuse(now, id, Refusal::Unavailable, b""),
        }
        // What it has sent meanwhile was not read.
        self.clients.mark_runnable(id);
        self.clients.mark_flushable(id);
        self.clients.arm(now, id);
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
