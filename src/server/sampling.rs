//! Once a second: how the server is, kept for who comes to look later, and judged. The loop says what it has lived
//! through; everything else is counted already. Work that follows from how many clients there are is not done here.

use super::books::Gauges;
use super::environment::Pulse;
use super::{Server, Stream, prices};
use crate::clock::Now;

impl<S: Stream> Server<S> {
    /// Keeps how the server is. Comes once at the start, with no pulse, and then some once a second.
    pub fn sample(&mut self, now: Now, pulse: Pulse) {
        let gauges = self.gauges();
        self.books.sample(now, pulse, gauges);
    }

    /// What only the server knows at this moment, and is known at once however many are here.
    pub(super) fn gauges(&self) -> Gauges {
        let limits = &self.limits;
        let (guests, operators) = (self.admission.guests(), self.admission.operators());
        Gauges {
            is_serving: self.mode.is_serving(),
            connections: self.clients.len() - guests - operators,
            connections_max: limits.clients_max,
            guests,
            operators,
            websockets: self.admission.websockets(),
            queue_bytes_max: limits.connection.outbox_bytes_max,
            buffered_bytes: self.books.buffered.bytes(),
            buffered_bytes_max: limits.buffered_bytes_max,
            unfinished_bytes: self.clients.read_queue.unfinished_bytes(),
            unfinished_bytes_max: prices::unfinished_bytes_max(limits.connection.websocket.message_bytes_max),
            log_lines_dropped: self.books.log_lines_dropped((self.environment.log_losses)()),
        }
    }
}
