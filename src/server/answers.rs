//! Requests and their answers: a WebSocket, a page, a report, or a refusal.

use log::debug;

use super::books::{Gauges, metrics, stats};
use super::clients::Flag;
use super::drain::Mode;
use super::redact::first_line;
use super::site::{Answer, ReportKind, Service};
use super::{Server, Stream, ending, prices};
use crate::clock::Now;
use crate::http::{Refusal, Response};
use crate::id::ClientId;

impl<S: Stream> Server<S> {
    /// Answers a request. One without a WebSocket is the last thing that is heard of who makes it.
    pub(super) fn answer(&mut self, now: Now, id: ClientId, head: &[u8]) {
        let connections = self.clients.len();
        let service = match self.mode {
            Mode::Draining(_) => Service::Draining,
            Mode::Serving => self.admission.service_for(id, &mut self.clients[id].pool, connections),
        };
        let (response, with_body) = match self.site.answer(head, service, self.clients[id].surface) {
            Ok(Answer::Open(response, purpose, compression, slow)) => {
                let address = self.clients[id].address;
                if !self.admission.open(address) {
                    return self.refuse(now, id, Refusal::TooManyConnections, head);
                }
                let client = &mut self.clients[id];
                debug!("{} connected: {}", client.address, first_line(head));
                let response = response.encode(Some(now.wall), true);
                let (limits, meter) = (&self.limits.connection, &self.books.buffered);
                client.connection.open(now.time, limits, meter, response, compression);
                // What follows at once, a welcome and what was missed, is deflated already.
                self.outgoing.set_deflating(client.connection.compression().is_some());
                client.flags.insert(Flag::Websocket);
                client.slow = slow.unwrap_or(client.slow);
                self.books.counters.opened += 1;
                self.chat.enter(now, id, address, purpose, &mut |effect| self.outgoing.apply(effect));
                if let Some(room) = self.chat.room_of(id) {
                    self.clients[id].account = self.books.ledger.attach(room);
                }
                return;
            }
            Ok(Answer::Respond(response, with_body)) => (response, with_body),
            Ok(Answer::Report(report, with_body)) => (self.report(now, report), with_body),
            Err(refusal) => return self.refuse(now, id, refusal, head),
        };
        self.outgoing.charge(response.body_bytes() * prices::BYTE_COPIED);
        let client = &mut self.clients[id];
        debug!("{} got {}: {}", client.address, response.status(), first_line(head));
        let pieces = response.into_pieces(Some(now.wall), with_body);
        client.connection.respond(now.time, &self.books.buffered, pieces, true);
    }

    /// Answers a request with a refusal.
    pub(super) fn refuse(&mut self, now: Now, id: ClientId, refusal: Refusal, what: &[u8]) {
        let Server { clients, outgoing, books, .. } = self;
        ending::refuse(now, clients, outgoing, books, id, refusal, what);
    }

    /// A report on the server at this moment.
    fn report(&mut self, now: Now, report: ReportKind) -> Response {
        let items = self.clients.len() + self.chat.kept_room_count();
        self.outgoing.charge(prices::REPORT + items * prices::REPORT_ITEM);
        let waiting = self
            .clients
            .iter()
            .map(|(id, client)| (client.connection.queued_bytes(), client.connection.queued_messages(), id));
        let laggards: Vec<_> = waiting.filter(|(bytes, _, _)| *bytes > 0).collect();
        let gauges = Gauges {
            is_serving: self.mode.is_serving(),
            connections: self.clients.len() - self.admission.operators(),
            operators: self.admission.operators(),
            websockets: self.admission.websockets(),
            queued_bytes: laggards.iter().map(|(bytes, _, _)| bytes).sum(),
            buffered_bytes: self.books.buffered.bytes(),
            unfinished_bytes: self.clients.read_queue.unfinished_bytes(),
            log_lines_dropped: self.books.log_lines_dropped((self.environment.log_losses)()),
        };
        match report {
            ReportKind::Stats => stats::report(now, &mut self.books, &self.chat, gauges, laggards),
            ReportKind::Metrics => metrics::report(&self.books, gauges, (self.environment.process)()),
        }
    }
}
