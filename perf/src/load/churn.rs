//! Clients that come, say one word, hear it and go: handshakes a second.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::plan::Plan;
use super::run::{Run, ratio};
use crate::client::{End, Fleet, check_response, push_frame};
use crate::measurement::Handshakes;
use crate::message::Message;
use crate::receiver::{Incoming, Inflater, Receiver};

const CLOSE: u8 = 8;

/// One visit.
struct Visit {
    stream: TcpStream,
    accept: String,
    head: Vec<u8>,
    receiver: Receiver,
    outbox: Vec<u8>,
    step: Step,
    begun: Instant,
    /// What it says, and how often it has heard that.
    word: Message,
    heard: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AwaitsAnswer,
    AwaitsEcho,
    AwaitsEnd,
    Over,
}

pub(super) fn measure(run: &mut Run) -> Result<(), String> {
    let plan = run.plan.clone();
    let mut poll = Poll::new().map_err(|error| format!("cannot poll: {error}"))?;
    let mut events = Events::with_capacity(plan.clients);
    let mut buffer = vec![0; 64 * 1024];
    let mut inflater = Inflater::new();
    let (mut begun, mut ended) = (0, 0_u64);
    let mut visits = Vec::new();
    let mut idle = Fleet::connect(
        &run.server_url,
        plan.idle,
        plan.compression,
        |_| false,
        plan.patience,
        &run.progress,
    )?;
    idle.listen(0..plan.idle)?;
    for index in 0..plan.clients {
        visits.push(begin(run, &poll, index, begun)?);
        begun += 1;
    }
    run.is_connected = true;
    run.begin_window();
    let end = Duration::from_secs_f64(plan.seconds);
    let mut has_ended = false;
    loop {
        if !has_ended && run.started.elapsed() >= end {
            has_ended = true;
            end_window(run, ended);
        }
        // Visits that have begun are waited for, whenever the time is over.
        if has_ended && visits.iter().all(|visit| visit.step == Step::Over) {
            break;
        }
        wait(&mut poll, &mut events)?;
        for event in &events {
            let index = event.token().0;
            if visits[index].step == Step::Over {
                continue;
            }
            go_on(&mut visits[index], &plan, &mut buffer, &mut inflater)
                .map_err(|error| format!("visit {}: {error}", visits[index].word.sender))?;
            if visits[index].step == Step::Over {
                ended += 1;
                run.hearing.note_visit(visits[index].heard);
                if !has_ended {
                    visits[index] = begin(run, &poll, index, begun)?;
                    begun += 1;
                }
            }
        }
        idle.wait(Duration::ZERO, |_, _| {})?;
        idle.check_all_there().map_err(|problem| format!("of those that stay, {problem}"))?;
        check_progress(&visits, plan.patience)?;
        run.progress.set("measuring", run.share());
    }
    Ok(())
}

fn wait(poll: &mut Poll, events: &mut Events) -> Result<(), String> {
    match poll.poll(events, Some(Duration::from_millis(50))) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(format!("cannot poll: {error}")),
        _ => Ok(()),
    }
}

/// Every visit moves on in time, whatever the others do.
fn check_progress(visits: &[Visit], patience: Duration) -> Result<(), String> {
    let now = Instant::now();
    let is_late = |visit: &&Visit| visit.step != Step::Over && now - visit.begun > patience;
    match visits.iter().find(is_late) {
        None => Ok(()),
        Some(Visit { word, step, .. }) => {
            Err(format!("visit {} is at {step:?}, and nothing comes any more", word.sender))
        }
    }
}

fn end_window(run: &mut Run, ended: u64) {
    // A visit that says nothing hears nothing.
    let words = if run.plan.silent { 0 } else { ended };
    run.end_window(words, words);
    let cpu = run.measurement.server.map_or(0.0, |server| server.cpu_seconds);
    run.measurement.handshakes = Some(Handshakes {
        count: ended,
        per_second: ended as f64 / run.measurement.seconds,
        per_cpu_second: ratio(ended as f64, cpu),
    });
}

fn begin(run: &Run, poll: &Poll, index: usize, number: u32) -> Result<Visit, String> {
    let failed = |error: io::Error| format!("cannot reach {}: {error}", run.server_url.address);
    let mut stream = TcpStream::connect(run.server_url.address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    poll.registry()
        .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
        .map_err(failed)?;
    let (outbox, accept) = run.server_url.request(number as usize, run.plan.compression);
    Ok(Visit {
        stream,
        accept,
        head: Vec::new(),
        receiver: Receiver::new(true),
        outbox,
        step: Step::AwaitsAnswer,
        begun: Instant::now(),
        word: Message { sender: number, number: 0, at: run.hearing.epoch.elapsed() },
        heard: 0,
    })
}

fn go_on(visit: &mut Visit, plan: &Plan, buffer: &mut [u8], inflater: &mut Inflater) -> Result<(), String> {
    loop {
        while !visit.outbox.is_empty() {
            match visit.stream.write(&visit.outbox) {
                Ok(written) => drop(visit.outbox.drain(..written)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    break;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        match visit.stream.read(buffer) {
            Ok(0) if visit.step == Step::AwaitsEnd => visit.step = Step::Over,
            Ok(0) => return Err(format!("the server hung up at {:?}", visit.step)),
            Ok(length) => receive(visit, plan, &buffer[..length], inflater)?,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        }
        if visit.step == Step::Over {
            return Ok(());
        }
    }
}

fn receive(visit: &mut Visit, plan: &Plan, bytes: &[u8], inflater: &mut Inflater) -> Result<(), String> {
    let mut bytes = bytes.to_vec();
    if visit.step == Step::AwaitsAnswer {
        visit.head.append(&mut bytes);
        let Some(end) = check_response(&visit.head, &visit.accept)? else { return Ok(()) };
        bytes = visit.head.split_off(end);
        if plan.silent {
            say_goodbye(visit);
        } else {
            visit.step = Step::AwaitsEcho;
            let word = visit.word;
            push_frame(plan.opcode(), &mut visit.outbox, plan.size, |out| word.write(plan.size, out));
        }
    }
    let mut end = None;
    let (word, mut heard) = (visit.word, Ok(0));
    visit.receiver.feed(&bytes, inflater, |incoming| match incoming {
        Incoming::Message { payload, is_text, .. } => match hear(word, payload, is_text, plan) {
            Ok(is_own) => heard = heard.clone().map(|count| count + u32::from(is_own)),
            Err(problem) => heard = Err(problem),
        },
        Incoming::Close(code) => end = Some(End::Closed(code)),
        Incoming::Ping(_) | Incoming::Pong(_) => {}
    })?;
    visit.heard += heard?;
    if visit.heard > 1 {
        return Err(format!("it heard its one word {} times", visit.heard));
    }
    if visit.heard == 1 && visit.step == Step::AwaitsEcho {
        say_goodbye(visit);
    }
    match end {
        Some(end) if visit.step != Step::AwaitsEnd => Err(format!("the server closed: {end:?}")),
        _ => Ok(()),
    }
}

/// Whether a message is the visit's own, to the last byte. In a room or a topic there are those of other visits.
fn hear(word: Message, payload: &[u8], is_text: bool, plan: &Plan) -> Result<bool, String> {
    let is_same_kind = is_text == plan.text;
    match Message::read(payload, plan.size) {
        Some(message) if message.sender != word.sender => Ok(false),
        // A chat room puts words before a text.
        Some(_) if is_same_kind && !plan.text && payload.len() != plan.size => {
            Err(format!("it said {} bytes, and heard {}", plan.size, payload.len()))
        }
        Some(_) if !is_same_kind => Err("its word came back with another opcode".to_owned()),
        Some(_) if !word.is_intact(payload, plan.size) => {
            Err("the bytes of its word were changed".to_owned())
        }
        Some(_) => Ok(true),
        // A chat has lines of its own, all of them text.
        None if is_text => Ok(false),
        None => Err(format!("it heard {} bytes that nobody said", payload.len())),
    }
}

fn say_goodbye(visit: &mut Visit) {
    visit.step = Step::AwaitsEnd;
    push_frame(CLOSE, &mut visit.outbox, 2, |out| out.extend(1000_u16.to_be_bytes()));
}
