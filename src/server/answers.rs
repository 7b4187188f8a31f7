//! Requests and their answers: a WebSocket, a page, a report, or a refusal.

use log::debug;

use super::books::{Standouts, metrics, stats};
use super::broker_link::{Heard, hear};
use super::clients::Flag;
use super::drain::Mode;
use super::redact::first_line;
use super::{Server, Stream, ending, prices};
use crate::chat::{Effect, Endpoint};
use crate::clock::Now;
use crate::http::{Refusal, Response};
use crate::id::ClientId;
use crate::site::{Answer, Opening, ReportKind, Service, Subprotocols, Surface};

impl<S: Stream> Server<S> {
    /// Answers a request. One without a WebSocket is the last thing that is heard of who makes it.
    pub(super) fn answer(&mut self, now: Now, id: ClientId, head: &[u8]) {
        let connections = self.clients.len();
        let service = match self.mode {
            Mode::Draining(_) => Service::Draining,
            Mode::Serving => self.admission.service_for(id, &mut self.clients[id].pool, connections),
        };
        let surface = self.clients[id].surface;
        let forms = self.outgoing.forms();
        let subprotocols = Subprotocols { rooms: forms.of_rooms(), elsewhere: forms.of_topics() };
        let (response, with_body) = match self.site.answer(head, service, surface, subprotocols) {
            Ok(Answer::Open(opening)) => return self.open(now, id, opening, head),
            Ok(Answer::Respond(response, with_body)) => (response, with_body),
            Ok(Answer::Try(response, with_body)) if self.admission.may_open(self.clients[id].address) => {
                (response, with_body)
            }
            Ok(Answer::Try(..)) => return self.refuse(now, id, Refusal::TooManyConnections, head),
            Ok(Answer::Report(report, with_body)) => (self.report(now, report, surface), with_body),
            Err(refusal) => return self.refuse(now, id, refusal, head),
        };
        self.outgoing.charge(response.body_bytes() * prices::BYTE_COPIED);
        let client = &mut self.clients[id];
        debug!("{} got {}: {}", client.address, response.status(), first_line(head));
        let pieces = response.into_pieces(Some(now.wall), with_body);
        client.connection.respond(now.time, &self.books.buffered, pieces, true);
    }

    /// Opens a WebSocket as soon as what it is for can be heard: at once, or when the broker has answered.
    fn open(&mut self, now: Now, id: ClientId, mut opening: Opening, head: &[u8]) {
        let address = self.clients[id].address;
        if !self.admission.may_open(address) {
            return self.refuse(now, id, Refusal::TooManyConnections, head);
        }
        if let Endpoint::Channel(subscription) = &mut opening.endpoint {
            subscription.form = self.outgoing.forms().form_of(opening.subprotocol);
        }
        self.open_when_heard(now, id, opening, head);
    }

    /// The same, of a request that has been looked at.
    pub(super) fn open_when_heard(&mut self, now: Now, id: ClientId, opening: Opening, head: &[u8]) {
        if let Endpoint::Channel(subscription) = &opening.endpoint {
            match hear(now, &mut self.chat, &mut *self.link.broker, &subscription.channel) {
                Heard::Now => {}
                Heard::Later(channel) => {
                    let client = &mut self.clients[id];
                    debug!("{} waits for its channel: {}", client.address, first_line(head));
                    client.connection.decide_later();
                    return self.link.undecided.add(channel, id, opening);
                }
                Heard::Never => return self.refuse(now, id, Refusal::Unavailable, head),
            }
        }
        self.enter(now, id, opening, head);
    }

    /// Opens a WebSocket, if its address may have one more.
    fn enter(&mut self, now: Now, id: ClientId, opening: Opening, head: &[u8]) {
        let Opening { response, endpoint, compression, slow, .. } = opening;
        let address = self.clients[id].address;
        if !self.admission.open(address) {
            return self.refuse(now, id, Refusal::TooManyConnections, head);
        }
        // Of a request that had to wait, it was said then.
        debug!("{address} connected: {}", first_line(head));
        let client = &mut self.clients[id];
        let response = response.encode(Some(now.wall), true);
        let (limits, meter) = (&self.limits.connection, &self.books.buffered);
        client.connection.open(now.time, limits, meter, response, compression);
        // What follows at once, a welcome and what was missed, is deflated already.
        self.outgoing.set_deflating(client.connection.compression().is_some());
        client.flags.insert(Flag::Websocket);
        client.slow = slow.unwrap_or(client.slow);
        self.books.counters.opened += 1;
        match endpoint {
            Endpoint::Echo => self.chat.echo(id),
            Endpoint::Channel(subscription) => {
                let sink = &mut |effect: Effect<'_>| self.outgoing.apply(effect);
                self.chat.join(now, id, address, subscription, sink);
            }
        }
        if let Some(channel) = self.chat.channel_of(id) {
            self.clients[id].account = self.books.ledger.attach(channel);
        }
    }

    /// Answers a request with a refusal.
    pub(super) fn refuse(&mut self, now: Now, id: ClientId, refusal: Refusal, what: &[u8]) {
        let Server { clients, outgoing, books, .. } = self;
        ending::refuse(now, clients, outgoing, books, id, refusal, what);
    }

    /// A report on the server at this moment.
    fn report(&mut self, now: Now, report: ReportKind, surface: Surface) -> Response {
        match report {
            ReportKind::History => {
                self.outgoing.charge(prices::HISTORY);
                self.books.hour.report()
            }
            ReportKind::Metrics => {
                let (standouts, rooms) = (self.standouts(now), self.chat.channel_count());
                metrics::report(&self.books, self.gauges(), &standouts, rooms, (self.environment.process)())
            }
            ReportKind::Stats => {
                let (standouts, gauges) = (self.standouts(now), self.gauges());
                // Who listens at the operators' own address is told who and where.
                let clients = &self.clients;
                let address = |id: ClientId| clients[id].address;
                let names = stats::Telling { address: &address, is_told: surface == Surface::Operators };
                stats::report(now, &mut self.books, &self.chat, gauges, standouts, names)
            }
        }
    }

    /// Looks at each client, which is most of the work of a report.
    fn standouts(&mut self, now: Now) -> Standouts {
        let items = self.clients.len() + self.chat.kept_channel_count();
        self.outgoing.charge(prices::REPORT + items * prices::REPORT_ITEM);
        let mut standouts = Standouts::default();
        for (id, client) in self.clients.iter() {
            let share = client.lately.share(now.time);
            let connection = &client.connection;
            standouts.note(id, connection.queued_bytes(), connection.queued_messages(), share);
        }
        standouts
    }
}
