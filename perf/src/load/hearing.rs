//! What was said, what the receivers have heard of it, and everything about it that is not as it should be.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::plan::{Plan, Scenario};
use crate::measurement::histogram;
use crate::message::{Ledger, Message};
use crate::receiver::Incoming;

/// Problems told one by one; the rest are counted.
const PROBLEMS_TOLD_MAX: usize = 20;

pub(super) struct Hearing {
    size: usize,
    verify: bool,
    is_text: bool,
    /// A payload is a message and nothing else: only a chat room puts words before it, and only before text.
    is_bare: bool,
    /// Compressed messages are shorter than what was said.
    is_compressed: bool,
    /// Each client hears itself alone.
    is_echo: bool,
    /// Nothing is said, and pongs are what is waited for.
    is_idle: bool,
    /// Others may say something that these receivers hear too.
    has_strangers: bool,
    /// Since when the times in messages count.
    pub(super) epoch: Instant,
    /// How many messages each client has said, and, if they are verified, when.
    pub(super) said: Vec<u32>,
    said_at: Vec<Vec<Duration>>,
    pub(super) received: Vec<u64>,
    pub(super) total: u64,
    /// Those of them whose bytes were compared with what was said.
    checked: u64,
    /// What came besides: a chat's own lines, or what nobody said.
    others: u64,
    ledgers: Vec<Ledger>,
    /// Messages in the order in which they were first heard, and which receivers have heard no other order yet.
    order: Vec<(u32, u32)>,
    is_in_order: Vec<bool>,
    pub(super) latency: Histogram<u64>,
    problems: Vec<String>,
    problem_count: usize,
}

impl Hearing {
    pub(super) fn new(scenario: Scenario, plan: &Plan) -> Hearing {
        let is_echo = scenario == Scenario::Echo;
        let verified = if plan.verify { plan.clients } else { 0 };
        Hearing {
            size: plan.size,
            verify: plan.verify,
            is_text: plan.text,
            is_bare: is_echo || !plan.text,
            is_compressed: plan.compression,
            is_echo,
            is_idle: scenario == Scenario::Idle,
            has_strangers: plan.firehose.is_some(),
            epoch: Instant::now(),
            said: vec![0; plan.clients],
            said_at: vec![Vec::new(); verified],
            received: vec![0; plan.clients],
            total: 0,
            checked: 0,
            others: 0,
            ledgers: vec![Ledger::default(); verified],
            order: Vec::new(),
            is_in_order: vec![!is_echo; verified],
            latency: histogram(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// The next message of a client, said now.
    pub(super) fn next_message(&mut self, sender: usize) -> Message {
        let number = self.said[sender];
        let at = self.epoch.elapsed();
        self.said[sender] += 1;
        if let Some(times) = self.said_at.get_mut(sender) {
            times.push(at);
        }
        Message { sender: u32::try_from(sender).unwrap_or(u32::MAX), number, at }
    }

    /// The payload of a client's only ping.
    pub(super) fn next_ping(&mut self, index: usize) -> [u8; 8] {
        self.said[index] += 1;
        (index as u64).to_be_bytes()
    }

    /// Notes what came. `None`: it was no message of the load. Else the message, where it was looked at.
    pub(super) fn note(&mut self, index: usize, incoming: &Incoming<'_>) -> Option<Option<Message>> {
        if self.is_idle {
            self.note_pong(index, incoming);
            return None;
        }
        let &Incoming::Message { length, payload, is_text } = incoming else { return None };
        if length == 0 || payload.len() != length {
            return self.count(index, length, is_text).then_some(None);
        }
        let Some(message) = Message::read(payload, self.size) else {
            self.note_other(index, length, is_text);
            return None;
        };
        if let Err(problem) = self.check_origin(index, message) {
            self.others += 1;
            self.complain(format!("receiver {index}: {problem}"));
            return None;
        }
        self.received[index] += 1;
        self.total += 1;
        let nanoseconds = self.epoch.elapsed().saturating_sub(message.at).as_nanos();
        self.latency.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        if let Err(problem) = self.check(index, message, payload, is_text) {
            self.complain(format!("receiver {index}: {problem}"));
        }
        Some(Some(message))
    }

    /// A visit that came to its end has checked what it heard.
    pub(super) fn note_visit(&mut self, heard: u32) {
        self.total += u64::from(heard);
        self.checked += u64::from(heard);
    }

    fn note_pong(&mut self, index: usize, incoming: &Incoming<'_>) {
        let &Incoming::Pong(payload) = incoming else { return };
        if payload != (index as u64).to_be_bytes() {
            return self.complain(format!("client {index}: the bytes of its pong are not those of its ping"));
        }
        self.received[index] += 1;
        self.total += 1;
        self.checked += 1;
    }

    /// Of a message whose payload was not kept: whether it can be one of the load's, and is counted as such.
    fn count(&mut self, index: usize, length: usize, is_text: bool) -> bool {
        let fits = if self.is_bare { length == self.size } else { length >= self.size };
        if is_text != self.is_text || !(fits || self.is_compressed) {
            self.note_other(index, length, is_text);
            return false;
        }
        self.received[index] += 1;
        self.total += 1;
        true
    }

    /// A chat has lines of its own, all of them text. Whatever else comes was said by nobody.
    fn note_other(&mut self, index: usize, length: usize, is_text: bool) {
        self.others += 1;
        if !self.has_strangers && self.is_bare && (is_text == self.is_text || self.is_echo) {
            let kind = if is_text { "text" } else { "binary" };
            self.complain(format!("receiver {index}: a {kind} message of {length} bytes that nobody said"));
        }
    }

    fn check_origin(&self, index: usize, message: Message) -> Result<(), String> {
        let Message { sender, number, .. } = message;
        match self.said.get(sender as usize) {
            Some(&said) if number < said => {}
            _ => return Err(format!("sender {sender}, number {number}: nobody said that")),
        }
        if self.is_echo && sender as usize != index {
            return Err(format!("sender {sender}, number {number}: another client's message"));
        }
        Ok(())
    }

    fn check(&mut self, index: usize, message: Message, payload: &[u8], is_text: bool) -> Result<(), String> {
        let Message { sender, number, at } = message;
        if is_text != self.is_text {
            let [got, said] = [is_text, self.is_text].map(|is_text| if is_text { "text" } else { "binary" });
            return Err(format!("sender {sender}, number {number}: said as {said}, heard as {got}"));
        }
        if self.is_bare && payload.len() != self.size {
            let (length, size) = (payload.len(), self.size);
            return Err(format!("sender {sender}, number {number}: said {size} bytes, heard {length}"));
        }
        if !self.verify {
            return Ok(());
        }
        self.checked += 1;
        self.ledgers[index].check(message, payload, self.size)?;
        if self.said_at[sender as usize][number as usize] != at {
            return Err(format!("sender {sender}, number {number}: its bytes were changed (the time)"));
        }
        self.check_order(index, (sender, number))
    }

    /// All hear the same messages in the same order, whoever said them. Said once of each receiver.
    fn check_order(&mut self, index: usize, (sender, number): (u32, u32)) -> Result<(), String> {
        if !self.is_in_order[index] {
            return Ok(());
        }
        let place = usize::try_from(self.received[index]).unwrap_or(usize::MAX) - 1;
        match self.order.get(place) {
            Some(&(first, of)) if (first, of) != (sender, number) => {
                self.is_in_order[index] = false;
                Err(format!(
                    "sender {sender}, number {number}: others heard sender {first}, number {of} here, out of order"
                ))
            }
            Some(_) => Ok(()),
            None => {
                self.order.push((sender, number));
                Ok(())
            }
        }
    }

    /// What is still to come of what each client is owed, from those that `can_hear`.
    pub(super) fn missing(&self, owed: &[u64], can_hear: impl Fn(usize) -> bool) -> u64 {
        let each = owed.iter().zip(&self.received).enumerate();
        each.filter(|(index, _)| can_hear(*index))
            .map(|(_, (owed, received))| owed.saturating_sub(*received))
            .sum()
    }

    /// Everybody has heard what it is owed, and no more.
    pub(super) fn judge(&mut self, owed: &[u64]) {
        let what = if self.is_idle { "pongs" } else { "messages" };
        for (index, &owed) in owed.iter().enumerate() {
            let received = self.received[index];
            if received < owed {
                self.complain(format!("receiver {index} heard {received} of {owed} {what}: {}", self.lost()));
            } else if received > owed {
                self.complain(format!("receiver {index} heard {received} {what}, but only {owed} were owed"));
            }
        }
    }

    /// What is to be said of messages that are waited for no longer.
    pub(super) fn lost(&self) -> String {
        match self.others {
            0 => "nothing comes any more, they are lost".to_owned(),
            others => format!("nothing comes any more, they are lost; {others} came that were none of them"),
        }
    }

    pub(super) fn complain(&mut self, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_TOLD_MAX {
            self.problems.push(problem);
        }
    }

    /// Whether there was something to check, and all of it was checked and right.
    pub(super) fn is_verified(&self) -> bool {
        self.checked > 0 && self.checked == self.total && self.problem_count == 0
    }

    pub(super) fn has_problems(&self) -> bool {
        self.problem_count > 0
    }

    /// What was wrong, at most so many lines.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        if self.problem_count > problems.len() {
            problems.push(format!("and {} more", self.problem_count - problems.len()));
        }
        problems
    }
}
