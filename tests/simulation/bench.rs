//! A server in calm weather and clients that do exactly as they are told: for deadlines, limits and
//! counts of calls.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use wsloop::broker::Broker;
use wsloop::server::ServerLimits;

use crate::driver::Driver;
use crate::judge::{Heard, Judge};
use crate::network::{Calls, Weather};
use crate::speech;
use crate::support::limits::LIMITS;
use crate::support::random::Random;

/// A server and the clients connected to it, by number.
pub(crate) struct Bench {
    pub(crate) driver: Driver,
    judges: Vec<(usize, Judge)>,
    random: Random,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with_limits(LIMITS)
    }

    pub(crate) fn with_limits(limits: ServerLimits) -> Bench {
        let driver = Driver::new(limits, Random::new(7), Weather::default());
        Bench { driver, judges: Vec::new(), random: Random::new(8) }
    }

    /// The same, whose channels are kept by this broker.
    pub(crate) fn with_broker(limits: ServerLimits, broker: impl Broker + 'static) -> Bench {
        Bench::with_boxed_broker(limits, Box::new(broker))
    }

    pub(crate) fn with_boxed_broker(limits: ServerLimits, broker: Box<dyn Broker>) -> Bench {
        let driver = Driver::with_broker(limits, Random::new(7), Weather::default(), Some(broker));
        Bench { driver, judges: Vec::new(), random: Random::new(8) }
    }

    /// Connects and says nothing.
    pub(crate) fn connect(&mut self) -> usize {
        let [high, low] = u16::try_from(self.judges.len()).expect("few clients").to_be_bytes();
        let address = SocketAddr::new(Ipv4Addr::new(10, 1, high, low).into(), 50_000);
        let link = self.driver.connect(address, 1 << 20).expect("the server listens");
        self.judges.push((link, Judge::default()));
        self.judges.len() - 1
    }

    /// Connects and opens a WebSocket.
    pub(crate) fn open(&mut self, target: &str) -> usize {
        let client = self.connect();
        self.send(client, &speech::handshake(target));
        let heard = self.hear(client);
        assert_eq!(heard.first(), Some(&Heard::Opened), "{heard:?}");
        client
    }

    /// Sends bytes, which arrive at once and together.
    pub(crate) fn send(&mut self, client: usize, bytes: &[u8]) {
        self.driver.network.borrow_mut().send(self.judges[client].0, bytes);
        self.driver.settle();
    }

    pub(crate) fn send_frame(&mut self, client: usize, first: u8, payload: &[u8]) {
        let frame = speech::frame(&mut self.random, first, payload);
        self.send(client, &frame);
    }

    /// Sends a frame that the server gets to see with those of others, at the next settling.
    pub(crate) fn send_frame_later(&mut self, client: usize, first: u8, payload: &[u8]) {
        let frame = speech::frame(&mut self.random, first, payload);
        self.driver.network.borrow_mut().send(self.judges[client].0, &frame);
    }

    /// The same, for bytes.
    pub(crate) fn send_later(&mut self, client: usize, bytes: &[u8]) {
        self.driver.network.borrow_mut().send(self.judges[client].0, bytes);
    }

    /// Bytes of a client that the server has not read.
    pub(crate) fn unread(&self, client: usize) -> usize {
        self.driver.network.borrow().unread(self.judges[client].0)
    }

    /// Takes all that has come for a client.
    pub(crate) fn hear(&mut self, client: usize) -> Vec<Heard> {
        let (link, judge) = &mut self.judges[client];
        let taken = self.driver.network.borrow_mut().take(*link, usize::MAX);
        let heard = judge.hear(&taken.bytes);
        self.driver.settle();
        heard
    }

    /// The objects that have come for a client that speaks JSON.
    pub(crate) fn hear_json(&mut self, client: usize) -> Vec<Value> {
        let heard = self.hear(client);
        let messages = heard.iter().filter_map(|heard| match heard {
            Heard::Message(message) => Some(serde_json::from_slice(&message.payload).expect("JSON")),
            _ => None,
        });
        messages.collect()
    }

    /// The client ends its direction.
    pub(crate) fn end(&mut self, client: usize) {
        self.driver.network.borrow_mut().end(self.judges[client].0);
        self.driver.settle();
    }

    /// The client goes away with a reset.
    pub(crate) fn reset(&mut self, client: usize) {
        self.driver.network.borrow_mut().reset(self.judges[client].0);
        self.driver.settle();
    }

    pub(crate) fn vanish(&mut self, client: usize) {
        self.driver.network.borrow_mut().vanish(self.judges[client].0);
    }

    /// From here on, at most so many bytes lie between the server and this client.
    pub(crate) fn set_window(&mut self, client: usize, window: usize) {
        self.driver.network.borrow_mut().set_window(self.judges[client].0, window);
    }

    /// Bytes that the client has not taken.
    pub(crate) fn waiting(&self, client: usize) -> usize {
        self.driver.network.borrow().waiting(self.judges[client].0)
    }

    pub(crate) fn is_shut(&self, client: usize) -> bool {
        self.driver.network.borrow().is_shut(self.judges[client].0)
    }

    pub(crate) fn is_dropped(&self, client: usize) -> bool {
        self.driver.network.borrow().is_dropped(self.judges[client].0)
    }

    /// The server's system calls so far.
    pub(crate) fn calls(&self) -> Calls {
        self.driver.network.borrow().calls
    }
}
