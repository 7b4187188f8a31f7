//! `Server<S>`: all who are connected, and the six phases of a turn. It knows no clock and no poll,
//! so that the same code runs on sockets and on a simulated network.
//!
//! 1. **read**: what the ready clients sent becomes events, and each event is routed at once to
//!    the chat, since it borrows from the read buffer. A turn that has enough to do stops within the
//!    bytes of a read, and goes on there in the next one.
//! 2. **tick**: what the broker has answered and what is due by the clock is routed too; all effects are in
//!    `outgoing`.
//! 3. **deliver**: each room's batch goes to its members, at once where nothing waits.
//! 4. **flush**: one write for each client that has more to get.
//! 5. **shed**: what waits for clients, and what of them is not whole, is kept within the budgets of all.
//! 6. **reap**: who has gone leaves the rooms; slots are freed last, so that a token cannot change
//!    owner within a turn.
//!
//! **Nothing is written while reading, and nothing is removed while iterating.**
//!
//! A phase is a function over the fields that it needs; [`Server::turn`] shows which these are.

mod acceptor;
mod admission;
mod answers;
mod books;
mod broker_link;
mod clients;
mod codec;
mod committing;
mod deliver;
mod drain;
mod ending;
mod environment;
mod flush;
mod laggard;
mod limits;
mod outgoing;
mod prices;
mod read;
mod reap;
mod redact;
mod sampling;
mod shed;
mod stream;
mod tick;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use jiff::tz::TimeZone;
use log::debug;

pub use acceptor::{Acceptor, Listener};
pub use books::Account;
pub use clients::Rate;
pub use environment::{Environment, LogLosses, Process, Pulse};
pub use limits::ServerLimits;
pub use stream::{Readiness, Stream};

pub use crate::connection::SlowPolicy;
pub use crate::site::{Site, Surface};

use admission::{Admission, Candidate, Pool, Verdict};
use books::{Books, UNHEARD};
use broker_link::{BrokerLink, Undecided};
use clients::{Client, Clients, Flag};
use codec::Codec;
use deliver::deliver;
use drain::{Mode, log_last_words};
use ending::refuse;
use flush::flush;
use laggard::Gaps;
use outgoing::Outgoing;
use reap::reap;
use shed::shed;
use tick::tick;

use crate::broker::{Broker, MemoryBroker};
use crate::chat::{self, Chat, FormSet};
use crate::clock::{Now, Time};
use crate::connection::Connection;
use crate::delivery::Meter;
use crate::forms::Forms;
use crate::http::Refusal;
use crate::id::ClientId;

/// The server, for streams of any kind.
#[derive(Debug)]
pub struct Server<S> {
    /// Who is connected, and who of them is served when.
    clients: Clients<S>,
    /// Who may come in.
    admission: Admission,
    /// What messages mean: who hears them.
    chat: Chat,
    /// Who orders and keeps what channels accept, and who waits for it.
    link: BrokerLink,
    /// What this turn has to send, and how much work it is.
    outgoing: Outgoing,
    /// What is at which path, and who may ask.
    site: Site,
    /// What is counted, timed and logged.
    books: Books,
    /// What all clients share to be read and written.
    codec: Codec,
    /// Whether it takes clients, or stops.
    mode: Mode,
    /// What it may cost.
    limits: ServerLimits,
    /// What it asks of the world outside.
    environment: Environment,
}

impl<S: Stream> Server<S> {
    /// A server without clients.
    pub fn new(limits: ServerLimits, site: Site, zone: TimeZone, environment: Environment) -> Server<S> {
        let broker = Box::new(MemoryBroker::new(environment.seed));
        Server::with(limits, site, Forms::standard(zone), broker, environment)
    }

    /// The same, which speaks these forms, and whose channels are ordered and kept by this broker.
    pub fn with(
        limits: ServerLimits,
        site: Site,
        forms: Forms,
        broker: Box<dyn Broker>,
        environment: Environment,
    ) -> Server<S> {
        let (forms, buffered) = (Rc::new(forms), Meter::new());
        let room = chat::ChannelLimits {
            history_messages_max: limits.history_messages_max,
            outbox_bytes_max: limits.connection.outbox_bytes_max,
            message_bytes_max: limits.connection.websocket.message_bytes_max,
            rate: limits.rate.map(|rate| rate.per_second),
        };
        Server {
            clients: Clients::new(limits.rate),
            admission: Admission::new(limits.clients_max, limits.address_clients_max),
            chat: Chat::new(Rc::clone(&forms) as Rc<dyn FormSet>, room, environment.seed),
            link: BrokerLink { broker, undecided: Undecided::default() },
            outgoing: Outgoing::new(forms, buffered.clone(), limits.compress_bytes_min),
            site,
            books: Books::new(buffered),
            codec: Codec::new(limits.compress_bytes_min),
            mode: Mode::Serving,
            limits,
            environment,
        }
    }

    /// Whether a newcomer would be heard. If not, so many have come in this turn that those would have to give way
    /// who should not; the next turn is soon.
    pub fn can_accept(&mut self, surface: Surface) -> bool {
        let pool = self.admission.pool_of_newcomer(surface, self.clients.len());
        self.admission.can_accept(pool)
    }

    /// Makes room for a newcomer, if another has to give way for that. Comes before [`Server::next_token`].
    pub fn make_room(&mut self, address: SocketAddr, surface: Surface) {
        let Server { clients, admission, books, link, .. } = self;
        let pool = admission.pool_of_newcomer(surface, clients.len());
        let next = admission.next_to_give_way(pool, address, |id| {
            let Client { connection, address, .. } = &clients[id];
            Candidate {
                has_said_all: connection.has_said_all(),
                is_silent: connection.is_awaiting_handshake(),
                address: *address,
            }
        });
        // Nothing was written to it in this turn, and its events have been noted: the slot is free at once, so
        // that even then no more descriptors are in use than there are places.
        let Some((id, client)) = next.and_then(|id| Some((id, clients.remove(id)?))) else { return };
        let was_unheard = pool == Pool::Guests && client.connection.is_awaiting_handshake();
        books.counters.note_rejection(if was_unheard { UNHEARD } else { "displaced" });
        debug!("{} gives way to a newcomer", client.address);
        link.undecided.forget(id);
        admission.leave(id, client.pool, client.address, client.flags.contains(Flag::Websocket));
    }

    /// The token under which the next stream is to be registered.
    pub fn next_token(&self) -> usize {
        self.clients.next_id().index()
    }

    /// Takes a stream that was registered under [`Server::next_token`]. `false`: it is not even told why it has
    /// no place.
    pub fn accept(&mut self, now: Now, stream: S, address: SocketAddr, surface: Surface) -> bool {
        let Server { clients, admission, outgoing, books, limits, .. } = self;
        let pool = admission.pool_of_newcomer(surface, clients.len());
        books.counters.accepted += 1;
        if admission.is_pool_full(pool) {
            books.counters.note_refusal(Refusal::Full);
            return false;
        }
        let verdict = admission.arrive(pool, address);
        if verdict == Verdict::Ignored {
            books.counters.note_refusal(Refusal::TooManyConnections);
            return false;
        }
        let connection = Connection::new(now.time, &limits.connection);
        let id = clients.insert(Client::new(stream, address, connection, limits.slow, surface, pool));
        admission.enter(pool, id);
        if verdict == Verdict::Refused {
            refuse(now, clients, outgoing, books, id, Refusal::TooManyConnections, b"");
            clients.mark_flushable(id);
        }
        clients.arm(now, id);
        true
    }

    /// What a client is told for which there is not even a descriptor.
    pub fn turn_away(&mut self, now: Now) -> Vec<u8> {
        self.books.counters.note_rejection("descriptors");
        Refusal::Full.response().encode(Some(now.wall), true)
    }

    /// Notes that no connection could be taken.
    pub fn note_accept_error(&mut self, error: &io::Error) {
        *self.books.counters.accept_errors.entry(error.raw_os_error().unwrap_or(0)).or_default() += 1;
    }

    /// Notes what a poll says of a client.
    pub fn handle_ready(&mut self, token: usize, readiness: Readiness) {
        let id = ClientId::new(token);
        let Some(client) = self.clients.find(id) else { return };
        if readiness.is_read_closed {
            client.flags.insert(Flag::ReadClosed);
        }
        if readiness.is_writable {
            client.connection.outbox().unblock();
            self.clients.mark_stream_flushable(id);
        }
        if readiness.is_readable || readiness.is_read_closed {
            self.clients.mark_runnable(id);
        }
    }

    /// Does all that can be done at `now`, in six phases.
    pub fn turn(&mut self, now: Now) {
        let started = (self.environment.stopwatch)();
        self.clients.begin_turn(now.time);
        self.admission.begin_turn();
        // A message or a request may concern all of the server.
        self.read(now);
        self.hear_broker(now);
        let Server { clients, admission, chat, link, outgoing, .. } = self;
        let (books, codec, mode) = (&mut self.books, &mut self.codec, &mut self.mode);
        let (limits, environment) = (&self.limits, &self.environment);
        tick(now, clients, chat, outgoing, books, mode, limits);
        deliver(now, clients, chat, outgoing, books, &mut codec.deflater, environment);
        flush(now, clients, Gaps { chat, outgoing }, books, limits);
        shed(now, clients, chat, outgoing, books, limits);
        reap(now, clients, admission, chat, link, outgoing, books);
        self.assert_settled();
        let took = (self.environment.stopwatch)().saturating_sub(started);
        self.books.counters.turns.record(now.time, took);
    }

    /// When the next turn is due even if no client does anything.
    pub fn deadline(&self) -> Time {
        let of_rooms = self.chat.deadline().min(self.link.broker.deadline());
        self.clients.deadline().min(of_rooms).min(self.mode.deadline())
    }

    /// Whether the next turn is due at once.
    pub fn has_work(&self) -> bool {
        self.clients.has_work()
            || self.link.undecided.has_decided()
            || !self.outgoing.is_empty()
            || self.mode.is_last_call_due(&self.clients)
    }

    /// Takes no more clients; those who are here get what they are owed, then a close frame, one after the
    /// other.
    pub fn begin_shutdown(&mut self, now: Now) {
        if self.mode.is_serving() {
            self.books.begin_shutdown(now);
            self.mode.begin_drain(now.time, self.limits.drain_timeout, &self.clients);
        }
    }

    /// Whether newcomers are taken, be it only to tell them that the server stops.
    pub fn is_accepting(&self) -> bool {
        self.mode.is_accepting()
    }

    /// Whether a shutdown is over: everybody has gone, or the time is up.
    pub fn is_drained(&self, now: Now) -> bool {
        !self.mode.is_serving() && (self.clients.is_empty() || self.mode.is_over(now.time))
    }

    /// The ledger's last page, and whether anybody went short since the signal came.
    pub fn log_last_words(&mut self) {
        log_last_words(&self.clients, &mut self.books);
    }

    /// Whether a client is not read now, since it is over its rate, or the broker has still to answer.
    pub fn is_held_back(&self, now: Now, token: usize) -> bool {
        let is_awaiting = |id| self.clients.contains(id) && self.awaits_broker(id);
        is_awaiting(ClientId::new(token))
            || self.clients.rate_limiter.paused_until(now.time, ClientId::new(token)).is_some()
    }

    /// Clients that are connected, in whatever state.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Rooms and topics with members.
    pub fn channel_count(&self) -> usize {
        self.chat.channel_count()
    }

    /// The same, with those that are kept for their history.
    pub fn kept_channel_count(&self) -> usize {
        self.chat.kept_channel_count()
    }

    /// Memory of requests and messages that are not whole, and of what was read and not yet looked at.
    pub fn unfinished_bytes(&self) -> usize {
        self.clients.read_queue.unfinished_bytes()
    }

    /// Memory of what was said and the broker has not answered.
    pub fn pending_bytes(&self) -> usize {
        self.chat.pending_bytes()
    }

    /// Memory that what waits for clients takes.
    pub fn buffered_bytes(&self) -> usize {
        self.books.buffered.bytes()
    }

    /// What was owed to all receivers so far, and what became of it.
    pub fn account(&self) -> Account {
        self.books.ledger.whole()
    }

    /// Every turn ends settled. What reap itself announced waits for the next turn, which is then
    /// due at once, and so does what was too much to be written in one.
    fn assert_settled(&self) {
        self.clients.assert_settled();
        self.books.assert_balanced();
        self.admission.assert_counted(self.clients.len());
        let open = || self.clients.iter().filter(|(_, client)| client.connection.is_open());
        debug_assert_eq!(
            self.books.counters.opened,
            self.books.counters.ended() + open().count() as u64,
            "each conversation ends once, for one cause"
        );
        let queued = || self.clients.iter().map(|(_, client)| u64::from(client.connection.queued_messages()));
        debug_assert_eq!(self.books.ledger.whole().queued, queued().sum::<u64>());
    }
}
