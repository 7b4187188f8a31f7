//! A broker that is elsewhere, as far as the server can tell: it answers later, in another turn, in an order of its
//! own among channels and among those who speak in one; it stalls, refuses, and comes back.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

use wsloop::broker::{
    Action, Append, Author, Broker, BrokerEvent, ChannelName, Committed, Entry, Opened, Outcome, Ticket,
};
use wsloop::clock::{Now, Time};
use wsloop::id::ChannelId;
use wsloop::websocket::Kind;

use crate::support::random::Random;

/// How a broker behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Temper {
    /// An answer takes so many milliseconds at most.
    pub(crate) delay_max: usize,
    /// Of a hundred requests so many are answered at once, if nothing waits before them.
    pub(crate) at_once: usize,
    /// Of a hundred messages so many overtake those of others in their room.
    pub(crate) overtakes: usize,
    /// Of a hundred requests that can be made again so many are refused.
    pub(crate) refuses: usize,
    /// Of a hundred requests so many are followed by a stall.
    pub(crate) stalls: usize,
}

impl Temper {
    /// Draws one for a seed, apart from everything else that is drawn; none for most.
    pub(crate) fn drawn(seed: u64) -> Option<Temper> {
        let mut random = Random::new(seed ^ 0xB201_4E12_0ACE_0123);
        random.chance(33).then(|| Temper {
            delay_max: *random.pick(&[1, 5, 50, 400]),
            at_once: *random.pick(&[0, 0, 50]),
            overtakes: *random.pick(&[0, 30]),
            refuses: *random.pick(&[0, 0, 10, 40]),
            stalls: *random.pick(&[0, 2]),
        })
    }
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Actor {
    random: Random,
    temper: Temper,
    channels: BTreeMap<ChannelId, Queue>,
    epochs: u64,
    stalled_until: Time,
    /// Requests that are not answered, for whoever looks on.
    pending: Rc<Cell<usize>>,
}

#[derive(Debug, Default)]
struct Queue {
    head: u64,
    jobs: VecDeque<Job>,
}

#[derive(Debug)]
struct Job {
    due: Time,
    is_refused: bool,
    request: Request,
}

#[derive(Debug)]
enum Request {
    Open,
    Append { ticket: Ticket, author: Option<Author>, action: Action, kind: Kind, payload: Box<[u8]> },
}

/// For so long it stalls.
const STALL: Duration = Duration::from_millis(2_000);

impl Actor {
    fn new(seed: u64, temper: Temper, pending: Rc<Cell<usize>>) -> Actor {
        Actor {
            random: Random::new(seed ^ 0xAC70_12AC_7012_AC70),
            temper,
            channels: BTreeMap::new(),
            epochs: 0,
            stalled_until: Time::default(),
            pending,
        }
    }

    /// The same, as a server takes it.
    pub(crate) fn boxed(seed: u64, temper: Temper, pending: &Rc<Cell<usize>>) -> Box<dyn Broker> {
        Box::new(Actor::new(seed, temper, Rc::clone(pending)))
    }

    fn due(&mut self, now: Now) -> Time {
        if self.random.chance(self.temper.stalls) {
            self.stalled_until = now.time + STALL;
        }
        now.time + Duration::from_millis(self.random.between(1, self.temper.delay_max) as u64)
    }

    fn is_at_once(&mut self, channel: ChannelId, now: Now) -> bool {
        let is_first = self.channels.get(&channel).is_none_or(|queue| queue.jobs.is_empty());
        is_first && self.stalled_until <= now.time && self.random.chance(self.temper.at_once)
    }

    fn open_now(&mut self, channel: ChannelId) -> Opened {
        self.epochs += 1;
        Opened { epoch: format!("epoch-{}", self.epochs).into(), head: self.channels[&channel].head }
    }

    fn next_channel(&self) -> Option<(ChannelId, Time)> {
        let fronts = self.channels.iter().filter_map(|(id, queue)| Some((*id, queue.jobs.front()?.due)));
        fronts.min_by_key(|(id, due)| (*due, *id))
    }
}

impl Broker for Actor {
    fn open(&mut self, now: Now, channel: ChannelId, _: &ChannelName) -> Outcome<Opened> {
        let before = self.channels.insert(channel, Queue::default());
        assert!(before.is_none(), "a channel is opened once, and closed before it is opened again");
        let is_refused = self.random.chance(self.temper.refuses / 4);
        if self.is_at_once(channel, now) {
            if is_refused {
                self.channels.remove(&channel);
                return Outcome::Unavailable;
            }
            return Outcome::Now(self.open_now(channel));
        }
        let due = self.due(now);
        let queue = self.channels.get_mut(&channel).expect("just inserted");
        queue.jobs.push_back(Job { due, is_refused, request: Request::Open });
        self.pending.set(self.pending.get() + 1);
        Outcome::Later
    }

    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed> {
        let Append { ticket, channel, author, reference, action, kind, payload } = append;
        // Who has no name for it could not say again that it wants the same.
        let is_refused = reference.is_some() && self.random.chance(self.temper.refuses);
        if self.is_at_once(*channel, now) {
            if is_refused {
                return Outcome::Unavailable;
            }
            let queue = self.channels.get_mut(channel).expect("it was opened");
            queue.head += 1;
            let seq = NonZeroU64::new(queue.head).expect("from one on");
            return Outcome::Now(Committed { seq, time: now.wall });
        }
        let due = self.due(now);
        let overtakes = author.is_some() && self.random.chance(self.temper.overtakes);
        let queue = self.channels.get_mut(channel).expect("it was opened");
        let is_own = |job: &Job| match &job.request {
            Request::Open => true,
            Request::Append { author: other, .. } => {
                other.as_ref().map(|other| other.id) == author.as_ref().map(|author| author.id)
            }
        };
        let first = queue.jobs.iter().rposition(is_own).map_or(0, |place| place + 1);
        let place = if overtakes { first } else { queue.jobs.len() };
        let request = Request::Append {
            ticket: *ticket,
            author: author.clone(),
            action: *action,
            kind: *kind,
            payload: payload.as_ref().into(),
        };
        queue.jobs.insert(place, Job { due, is_refused, request });
        self.pending.set(self.pending.get() + 1);
        Outcome::Later
    }

    fn close(&mut self, channel: ChannelId) {
        let queue = self.channels.remove(&channel).expect("it was opened");
        assert!(queue.jobs.is_empty(), "something of it is awaited");
    }

    fn poll_event(&mut self, now: Now) -> Option<BrokerEvent> {
        if self.stalled_until > now.time {
            return None;
        }
        let (id, _) = self.next_channel().filter(|(_, due)| *due <= now.time)?;
        let queue = self.channels.get_mut(&id).expect("it has a front");
        let job = queue.jobs.pop_front().expect("a front");
        self.pending.set(self.pending.get() - 1);
        Some(match job.request {
            Request::Open if job.is_refused => {
                self.channels.remove(&id);
                BrokerEvent::NotOpened(id)
            }
            Request::Open => BrokerEvent::Opened(id, self.open_now(id)),
            Request::Append { ticket, .. } if job.is_refused => BrokerEvent::Refused(id, ticket),
            Request::Append { ticket, author, action, kind, payload } => {
                queue.head += 1;
                let seq = NonZeroU64::new(queue.head).expect("from one on");
                let committed = Committed { seq, time: now.wall };
                let ticket = Some(ticket);
                BrokerEvent::Committed(id, Entry { committed, ticket, author, action, kind, payload })
            }
        })
    }

    fn deadline(&self) -> Time {
        self.next_channel().map_or(Time::NEVER, |(_, due)| due.max(self.stalled_until))
    }
}
