//! Requests and their answers: a WebSocket, a page, a report, or a refusal.

use std::net::SocketAddr;

use log::{debug, info};

use super::metrics::{self, Gauges};
use super::phases::note_withheld;
use super::redact::first_line;
use super::{Mode, Server, Stream, prices};
use crate::broker::Outcome;
use crate::chat::{Endpoint, Hearing, Subscription};
use crate::clock::Now;
use crate::http::{Refusal, Response};
use crate::id::ClientId;
use crate::site::{Answer, Opening, ReportKind, Service, Subprotocols};

impl<S: Stream> Server<S> {
    /// Answers a request. One without a WebSocket is the last thing that is heard of who makes it.
    pub(super) fn answer(&mut self, now: Now, id: ClientId, head: &[u8]) {
        let service = match self.mode {
            Mode::Draining(_) => Service::Draining,
            Mode::Serving => self.service_for(id),
        };
        let surface = self.clients[id.index()].surface;
        let forms = self.outgoing.forms();
        let subprotocols = Subprotocols { rooms: forms.of_rooms(), elsewhere: forms.of_topics() };
        let (response, with_body) = match self.site.answer(head, service, surface, subprotocols) {
            Ok(Answer::Open(opening)) => return self.open(now, id, opening, head),
            Ok(Answer::Respond(response, with_body)) => (response, with_body),
            Ok(Answer::Report(report, with_body)) => (self.report(now, report), with_body),
            Err(refusal) => return self.refuse(now, id, refusal, head),
        };
        self.outgoing.charge(response.body_bytes() * prices::BYTE_COPIED);
        let client = &mut self.clients[id.index()];
        debug!("{} got {}: {}", client.address, response.status(), first_line(head));
        let pieces = response.into_pieces(Some(now.wall), with_body);
        client.connection.respond(now.time, &self.buffered, pieces, true);
    }

    /// Opens a WebSocket, if its address may have one more.
    fn open(&mut self, now: Now, id: ClientId, opening: Opening, head: &[u8]) {
        let address = self.clients[id.index()].address;
        if !self.addresses.open(address, self.limits.address_clients_max) {
            return self.refuse(now, id, Refusal::TooManyConnections, head);
        }
        let client = &mut self.clients[id.index()];
        debug!("{} connected: {}", client.address, first_line(head));
        let response = opening.response.encode(Some(now.wall), true);
        let (limits, meter) = (&self.limits.connection, &self.buffered);
        client.connection.open(now.time, limits, meter, response, opening.compression);
        // What follows at once, a welcome and what was missed, is deflated already.
        self.outgoing.set_deflating(client.connection.compression().is_some());
        client.is_websocket = true;
        client.slow = opening.slow.unwrap_or(client.slow);
        self.websockets += 1;
        self.counters.opened += 1;
        match opening.endpoint {
            Endpoint::Echo => self.chat.echo(id),
            Endpoint::Channel(mut subscription) => {
                subscription.form = self.outgoing.forms().form_of(opening.subprotocol);
                self.join(now, id, address, subscription);
            }
        }
    }

    /// Brings a client into a channel, which the broker opens if nobody is in it.
    fn join(&mut self, now: Now, id: ClientId, address: SocketAddr, subscription: Subscription) {
        if let Hearing::Ask(channel) = self.chat.open(&subscription.channel)
            && let Outcome::Now(opened) = self.broker.open(now, channel, &subscription.channel)
        {
            self.chat.opened(channel, opened);
        }
        self.chat.join(now, id, address, subscription, &mut |effect| self.outgoing.apply(effect));
        if let Some(channel) = self.chat.channel_of(id) {
            self.clients[id.index()].account = self.ledger.attach(channel);
        }
    }

    /// Answers a request with a refusal.
    pub(super) fn refuse(&mut self, now: Now, id: ClientId, refusal: Refusal, what: &[u8]) {
        self.counters.note_refusal(refusal);
        let client = &mut self.clients[id.index()];
        if let Some(withheld) = self.log_limiter.admit(now.time) {
            self.outgoing.charge(prices::LOG_LINE);
            note_withheld(withheld);
            let (status, advice) = (refusal.status(), refusal.advice());
            info!("{} refused with {status}: {advice}: {}", client.address, first_line(what));
        }
        // The answer to HEAD has no body, whatever it says (RFC 9110 §9.3.2).
        let with_body = !what.trim_ascii_start().starts_with(b"HEAD ");
        let pieces = refusal.response().into_pieces(Some(now.wall), with_body);
        // Who has dribbled for ten seconds gets no more time to hang up (slowloris).
        let waits_for_end = refusal != Refusal::HandshakeTimeout;
        client.connection.respond(now.time, &self.buffered, pieces, waits_for_end);
    }

    pub(super) fn log_lines_dropped(&self) -> [(&'static str, u64); 3] {
        metrics::log_lines_dropped(self.log_limiter.withheld_total(), (self.environment.log_losses)())
    }

    /// A report on the server at this moment.
    fn report(&mut self, now: Now, report: ReportKind) -> Response {
        let items = self.clients.len() + self.chat.kept_channel_count();
        self.outgoing.charge(prices::REPORT + items * prices::REPORT_ITEM);
        match report {
            ReportKind::Stats => self.stats(now),
            ReportKind::Metrics => {
                let gauges = Gauges {
                    connections: self.clients.len() - self.places.operators(),
                    operators: self.places.operators(),
                    queued_bytes: self
                        .clients
                        .iter()
                        .map(|(_, client)| client.connection.queued_bytes())
                        .sum(),
                    buffered_bytes: self.buffered.bytes(),
                    unfinished_bytes: self.read_queue.unfinished_bytes(),
                    log_lines_dropped: self.log_lines_dropped(),
                };
                metrics::report(&self.counters, &self.ledger, gauges, (self.environment.process)())
            }
        }
    }
}
