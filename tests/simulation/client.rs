//! One client of the simulation: what it wants, how it behaves, what it has sent and heard.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::driver::Driver;
pub(crate) use crate::habits::{Ending, Pace, Stage, Wish};
use crate::judge::{Heard, Judge, Message};
use crate::sealing::Tunnel;
use crate::speech;
use crate::support::random::Random;

/// A client and its side of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) name: Option<String>,
    pub(crate) wish: Wish,
    pub(crate) ending: Ending,
    pub(crate) pace: Pace,
    pub(crate) window: usize,
    /// What it asks for as a slow reader, and whether it misses the oldest then.
    pub(crate) slow: Option<&'static str>,
    pub(crate) skips: bool,
    /// There is so little room for all queues that the frame that is leaving may be too much.
    pub(crate) is_expendable: bool,
    /// Speaks and hears JSON.
    pub(crate) is_json: bool,
    /// The last number that it heard, in JSON.
    last_seq: u64,
    /// Its link is, or was, down until then.
    pub(crate) hole_until: u64,
    pub(crate) typical_bytes: usize,
    /// Sends its first messages before the handshake is answered.
    pub(crate) is_hasty: bool,
    /// Offers permessage-deflate, with this window for the server if there is one.
    pub(crate) compression: Option<Option<u8>>,
    /// Between two messages, at most so many milliseconds.
    pub(crate) pause: usize,
    pub(crate) next_at: u64,
    pub(crate) messages_left: usize,

    pub(crate) link: Option<usize>,
    pub(crate) stage: Stage,
    pub(crate) is_open: bool,
    pub(crate) sent: Vec<Message>,
    pub(crate) heard: Vec<Message>,
    /// Before how many of them it was told that so many were skipped.
    pub(crate) gaps: Vec<(usize, usize)>,
    /// Its own among them.
    pub(crate) own_heard: usize,
    pub(crate) closed: Option<(Option<u16>, String)>,
    pub(crate) answered: Option<u16>,
    pub(crate) was_reset: bool,
    /// How many messages each client had sent when this one had certainly joined.
    pub(crate) sent_by_others: Vec<usize>,
    /// It says each text with a `ref`, and the next one when that is acknowledged.
    pub(crate) uses_refs: bool,
    /// What it has said and is not acknowledged, as it is written.
    unacknowledged: Option<Vec<u8>>,
    pub(crate) tunnel: Tunnel,
    judge: Judge,
    outgoing: VecDeque<u8>,
    pings: VecDeque<Vec<u8>>,
    close_sent: bool,
    end_sent: bool,
}

impl Client {
    pub(crate) fn new(number: usize, wish: Wish, ending: Ending, pace: Pace) -> Client {
        Client {
            number,
            name: None,
            wish,
            ending,
            pace,
            window: 1 << 20,
            slow: None,
            skips: false,
            is_expendable: false,
            is_json: false,
            last_seq: 0,
            hole_until: 0,
            typical_bytes: 40,
            is_hasty: false,
            compression: None,
            pause: 6,
            next_at: 0,
            messages_left: 0,
            link: None,
            stage: Stage::Waiting,
            is_open: false,
            sent: Vec::new(),
            heard: Vec::new(),
            gaps: Vec::new(),
            own_heard: 0,
            closed: None,
            answered: None,
            was_reset: false,
            sent_by_others: Vec::new(),
            uses_refs: false,
            unacknowledged: None,
            tunnel: Tunnel::default(),
            judge: Judge::default(),
            outgoing: VecDeque::new(),
            pings: VecDeque::new(),
            close_sent: false,
            end_sent: false,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let port = 40_000 + u16::try_from(self.number).expect("few clients");
        let [high, low] = u16::try_from(self.number).expect("few clients").to_be_bytes();
        SocketAddr::new(Ipv4Addr::new(10, 0, high, low).into(), port)
    }

    /// Before `say:`, and in `Welcome` and `Logout`.
    pub(crate) fn who_and_name(&self) -> (String, String) {
        match &self.name {
            Some(name) => (name.clone(), name.clone()),
            None => {
                let (ip, port) = (self.address().ip(), self.address().port());
                (format!("('{ip}', {port})"), ip.to_string())
            }
        }
    }

    /// Whether this client keeps to the rules until its end, and reads.
    pub(crate) fn is_good(&self) -> bool {
        let is_fair = matches!(self.ending, Ending::Stay | Ending::Close(_) | Ending::Quit | Ending::HangUp);
        // Who hangs up and reads on has five seconds for it, which a slow one may need for its link alone.
        let has_time = self.ending != Ending::HangUp || self.pace != Pace::Slow;
        let reads = matches!(self.pace, Pace::Eager | Pace::Slow | Pace::Dribble);
        is_fair && has_time && reads && !self.is_expendable && self.tunnel.was_prompt()
    }

    /// Where messages meet: rooms and topics are different places.
    pub(crate) fn place(&self) -> Option<String> {
        match &self.wish {
            Wish::Room(name) => Some(format!("room {name}")),
            Wish::Topic { name, .. } => Some(format!("topic {name}")),
            Wish::Echo | Wish::Request(..) => None,
        }
    }

    pub(crate) fn hears_self(&self) -> bool {
        !matches!(self.wish, Wish::Topic { hears_self: false, .. } | Wish::Request(..))
    }

    /// Everything that was sent and that this client must hear has come.
    pub(crate) fn has_all_of_its_own(&self) -> bool {
        let is_settled = self.is_open && self.stage == Stage::Speaking && self.closed.is_none();
        let reads = matches!(self.pace, Pace::Eager | Pace::Slow | Pace::Dribble);
        !is_settled || !reads || self.skips || !self.hears_self() || self.own_heard == self.sent.len()
    }

    /// All its pings are answered, if only together.
    pub(crate) fn has_all_pongs(&self) -> bool {
        let is_settled =
            self.is_good() && self.is_open && self.stage == Stage::Speaking && self.closed.is_none();
        !is_settled || self.pings.is_empty()
    }

    /// Whether it would do something now.
    pub(crate) fn wants_to_act(&self, driver: &Driver) -> bool {
        let (Some(link), Stage::Speaking | Stage::Leaving) = (self.link, self.stage) else {
            return self.stage == Stage::Waiting && self.next_at <= driver.time;
        };
        let network = driver.network.borrow();
        (!self.outgoing.is_empty() && self.tunnel.is_open())
            || ((self.reads(driver.time) || !self.tunnel.is_open()) && network.has_news(link))
            || (self.has_plans() && self.next_at <= driver.time)
            || (self.pace == Pace::Never && network.is_dropped(link))
    }

    /// When it will want to do something, if nothing comes to it before.
    pub(crate) fn next_time(&self, time: u64) -> u64 {
        let speaks_at =
            if self.stage == Stage::Waiting || self.has_plans() { self.next_at } else { u64::MAX };
        match self.pace {
            Pace::Late(from) if from > time && self.stage != Stage::Gone => speaks_at.min(from),
            _ => speaks_at,
        }
    }

    /// Does a little of what it wants. `true`: it has just been told that it is connected.
    pub(crate) fn act(&mut self, driver: &mut Driver, random: &mut Random) -> bool {
        let was_open = self.is_open;
        match self.stage {
            Stage::Gone => return false,
            Stage::Waiting if self.next_at > driver.time => return false,
            Stage::Waiting => self.connect(driver, random),
            Stage::Speaking | Stage::Leaving => {}
        }
        self.read(driver, random);
        if self.stage == Stage::Speaking && self.has_plans() && self.next_at <= driver.time {
            self.speak(driver, random);
            self.next_at = driver.time + random.below(self.pause) as u64;
        }
        self.write(driver, random);
        self.is_open && !was_open
    }

    /// Asks a client that stays to leave.
    pub(crate) fn leave(&mut self, random: &mut Random) {
        let is_in_room = matches!(self.wish, Wish::Room(_)) && !self.is_json;
        self.ending = match random.below(4) {
            0 => Ending::HangUp,
            1 if is_in_room => Ending::Quit,
            _ => Ending::Close(*random.pick(&[1000, 1001, 3000, 4999])),
        };
    }

    fn has_plans(&self) -> bool {
        let is_brutal = matches!(self.ending, Ending::Reset | Ending::Vanish);
        let may_speak = self.is_open || self.is_hasty;
        let may_end = self.messages_left == 0 && (self.is_open || is_brutal) && self.ending != Ending::Stay;
        let is_request = matches!(self.wish, Wish::Request(..));
        self.stage == Stage::Speaking
            && self.closed.is_none()
            && self.unacknowledged.is_none()
            && ((self.messages_left > 0 && may_speak) || may_end)
            && (!is_request || is_brutal)
    }

    pub(crate) fn reads(&self, time: u64) -> bool {
        match self.pace {
            Pace::Never => false,
            Pace::Late(from) => from <= time,
            Pace::Eager | Pace::Slow | Pace::Dribble => true,
        }
    }

    fn connect(&mut self, driver: &mut Driver, random: &mut Random) {
        self.link = driver.connect(self.address(), self.window);
        let Some(link) = self.link else {
            self.stage = Stage::Gone;
            return;
        };
        self.tunnel.greet(&mut driver.network.borrow_mut(), link, driver.time);
        self.stage = Stage::Speaking;
        let slow = self.slow.map_or(String::new(), |slow| format!("&slow={slow}"));
        let request = match &self.wish {
            Wish::Room(place) => {
                let name = self.name.as_deref().unwrap_or_default();
                let request = speech::offer(&format!("/{place}?name={name}{slow}"), self.compression);
                if self.is_json { speech::asking_for_json(request) } else { request }
            }
            Wish::Topic { name, hears_self } => {
                let target = format!("/broadcast/{name}?self={}{slow}", u8::from(*hears_self));
                speech::offer(&target, self.compression)
            }
            Wish::Echo => speech::offer(&format!("/echo?x{slow}"), self.compression),
            Wish::Request(request, _) => request.as_bytes().to_vec(),
        };
        self.outgoing.extend(request);
        self.next_at = driver.time + random.below(4) as u64;
    }

    fn read(&mut self, driver: &mut Driver, random: &mut Random) {
        let Some(link) = self.link.filter(|_| self.stage != Stage::Gone) else { return };
        if !self.reads(driver.time) && self.tunnel.is_open() {
            if driver.network.borrow().is_dropped(link) {
                self.stage = Stage::Gone;
            }
            return;
        }
        let most = if self.pace == Pace::Slow { random.between(1, 60) } else { usize::MAX };
        let taken = self.tunnel.take(&mut driver.network.borrow_mut(), link, most, driver.time);
        for heard in self.judge.hear(&taken.bytes) {
            self.note(heard, random);
        }
        if taken.is_reset {
            self.was_reset = true;
            self.stage = Stage::Gone;
        } else if taken.has_ended {
            // Who is not waited for may get a part of its last words.
            let is_quick = self.pace == Pace::Eager && self.hole_until == 0;
            let is_waited_for = self.is_good() || is_quick && !self.is_expendable;
            let is_turned_away = driver.network.borrow().was_turned_away(link);
            if is_waited_for && !matches!(self.pace, Pace::Late(_)) && !is_turned_away {
                self.judge.assert_whole(self.number);
                // Who has asked nothing is told nothing.
                if self.is_open || self.answered.is_some() {
                    self.tunnel.assert_whole(self.number);
                }
            }
            if !self.end_sent {
                self.tunnel.end(&mut driver.network.borrow_mut(), link, false);
            }
            self.outgoing.clear();
            self.stage = Stage::Gone;
        }
    }

    fn note(&mut self, heard: Heard, random: &mut Random) {
        match heard {
            Heard::Opened => self.is_open = true,
            Heard::Answered(status, body) => {
                assert!(!body.is_empty(), "an answer says something");
                self.answered = Some(status);
            }
            Heard::Message(message) if self.is_json => self.note_json(&message, random),
            Heard::Message(message) => {
                if let Some(count) = speech::skipped(&message) {
                    assert!(self.skips, "client {}: it did not ask to skip", self.number);
                    match self.gaps.last_mut() {
                        // One was told on the way, and another arose behind it.
                        Some((place, before)) if *place == self.heard.len() => *before += count,
                        _ => self.gaps.push((self.heard.len(), count)),
                    }
                    return;
                }
                let is_own =
                    speech::author(&message.payload).is_some_and(|(client, _)| client == self.number);
                self.own_heard += usize::from(is_own || self.wish == Wish::Echo);
                self.heard.push(message);
            }
            Heard::Ping(payload) if !self.close_sent && !self.end_sent => {
                self.outgoing.extend(speech::frame(random, 0x8A, &payload));
            }
            Heard::Ping(_) => {}
            Heard::Pong(payload) => {
                // Pings may be answered together, by the newest; never out of order, never twice.
                let place = self.pings.iter().position(|ping| *ping == payload);
                if place.is_none() {
                    return;
                }
                let place = place.unwrap_or_else(|| {
                    panic!("client {}: no ping waits for the pong {payload:x?}", self.number)
                });
                self.pings.drain(..=place);
            }
            Heard::Closed(code, reason) => {
                if !self.close_sent && !self.end_sent {
                    let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
                    self.outgoing.extend(speech::frame(random, 0x88, &payload));
                    self.close_sent = true;
                }
                self.closed = Some((code, reason));
                self.stage = Stage::Leaving;
            }
        }
    }

    /// The same for one who hears JSON: messages become what they are as lines.
    fn note_json(&mut self, message: &Message, random: &mut Random) {
        let event: Value = serde_json::from_slice(&message.payload).expect("JSON, whatever was said");
        let number = |name: &str| event[name].as_u64().expect("a number");
        match event["type"].as_str().expect("a type") {
            "welcome" => self.last_seq = number("seq"),
            "say" | "data" => {
                assert_eq!(number("seq"), self.last_seq + 1, "client {}: {event}", self.number);
                self.last_seq += 1;
                let message = speech::from_json(&event);
                let author = speech::author(&message.payload);
                self.own_heard += usize::from(author.is_some_and(|(client, _)| client == self.number));
                self.heard.push(message);
            }
            "gap" => {
                assert!(self.skips, "client {}: it did not ask to skip", self.number);
                assert_eq!(number("first"), self.last_seq + 1, "client {}: {event}", self.number);
                self.gaps
                    .push((self.heard.len(), usize::try_from(number("last") - self.last_seq).expect("few")));
                self.last_seq = number("last");
            }
            "ack" if event["ref"] == self.reference() => self.unacknowledged = None,
            "error" if event["code"] == "unavailable" => {
                assert_eq!(event["ref"], self.reference(), "client {}: it is told which", self.number);
                // Not said: it says it again, under the same name.
                let again = self.unacknowledged.as_ref().expect("what is acknowledged is not refused");
                self.outgoing.extend(speech::frame(random, 0x81, again));
            }
            "error" => panic!("client {}: {event}", self.number),
            _ => {}
        }
    }

    /// What it calls its last message.
    fn reference(&self) -> String {
        format!("r{}", self.sent.len().saturating_sub(1))
    }

    /// The next message, or the end.
    fn speak(&mut self, driver: &mut Driver, random: &mut Random) {
        let link = self.link.expect("connected before speaking");
        if self.messages_left == 0 {
            return self.end(driver, random, link);
        }
        self.messages_left -= 1;
        if matches!(self.wish, Wish::Room(_)) && !self.is_json && random.chance(10) {
            // A keepalive, which nobody hears.
            self.outgoing.extend(speech::frame(random, 0x81, b""));
            return;
        }
        let mut message = speech::message(random, self.number, self.sent.len(), self.typical_bytes);
        if self.wish == Wish::Echo && random.chance(10) {
            message.payload.clear();
        }
        let mut pings = Vec::new();
        // Before the answer nobody knows whether compression is agreed on.
        let compresses = self.compression.is_some() && self.is_open && random.chance(60);
        let mut wire = if self.is_json { speech::in_json(&message) } else { message.clone() };
        if self.uses_refs && self.is_json && message.is_text {
            wire = speech::with_reference(&wire, &format!("r{}", self.sent.len()));
            // Perhaps once more than needed: it is not said twice.
            let again = random.chance(20).then(|| speech::frame(random, 0x81, &wire.payload));
            self.outgoing.extend(again.unwrap_or_default());
            self.unacknowledged = Some(wire.payload.clone());
        }
        self.outgoing.extend(speech::frames(random, &wire, compresses, &mut pings));
        self.pings.extend(pings);
        self.sent.push(message);
    }

    fn end(&mut self, driver: &mut Driver, random: &mut Random, link: usize) {
        let is_gone = matches!(self.ending, Ending::Reset | Ending::Vanish);
        self.stage = if is_gone { Stage::Gone } else { Stage::Leaving };
        match self.ending {
            Ending::Stay => unreachable!("who stays has no plans"),
            Ending::Close(code) => {
                let payload = [&code.to_be_bytes(), "再见".as_bytes()].concat();
                self.outgoing.extend(speech::frame(random, 0x88, &payload));
                self.close_sent = true;
            }
            Ending::Quit => self.outgoing.extend(speech::frame(random, 0x81, b"quit")),
            Ending::HangUp => {}
            Ending::Reset => driver.network.borrow_mut().reset(link),
            Ending::Vanish => driver.network.borrow_mut().vanish(link),
            Ending::Violate(index) => self.outgoing.extend(speech::VIOLATIONS[index].0),
        }
    }

    fn write(&mut self, driver: &mut Driver, random: &mut Random) {
        let Some(link) = self.link.filter(|_| self.stage != Stage::Gone && self.tunnel.is_open()) else {
            return;
        };
        let length = match self.pace {
            Pace::Dribble => random.between(1, 8),
            _ if random.chance(50) => random.between(1, 200),
            _ => usize::MAX,
        };
        let length = length.min(self.outgoing.len());
        if length > 0 {
            let bytes: Vec<u8> = self.outgoing.drain(..length).collect();
            self.tunnel.send(&mut driver.network.borrow_mut(), link, &bytes);
        }
        let hangs_up = self.ending == Ending::HangUp && self.stage == Stage::Leaving;
        if hangs_up && self.outgoing.is_empty() && !self.end_sent && self.closed.is_none() {
            self.tunnel.end(&mut driver.network.borrow_mut(), link, true);
            self.end_sent = true;
        }
    }
}
