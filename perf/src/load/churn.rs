//! Clients that come, say one word, hear it and go: handshakes a second.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Run;
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
    let mut idle = Fleet::connect(&run.target, plan.idle, plan.compression, |_| false, &run.progress)?;
    idle.listen(0..plan.idle)?;
    for index in 0..plan.clients {
        visits.push(begin(run, &poll, index, begun)?);
        begun += 1;
    }
    run.begin_window();
    let end = Duration::from_secs_f64(plan.seconds);
    let mut last_ended = Instant::now();
    while run.started.elapsed() < end {
        match poll.poll(&mut events, Some(Duration::from_millis(200))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(format!("cannot poll: {error}"));
            }
            _ => {}
        }
        for event in &events {
            let index = event.token().0;
            go_on(&mut visits[index], &plan, &mut buffer, &mut inflater)
                .map_err(|error| format!("visit {ended}: {error}"))?;
            if visits[index].step == Step::Over {
                ended += 1;
                last_ended = Instant::now();
                visits[index] = begin(run, &poll, index, begun)?;
                begun += 1;
            }
        }
        idle.wait(Duration::ZERO, |_, _| {})?;
        if last_ended.elapsed() > plan.patience {
            return Err(format!("no visit ends any more; the first client is at {:?}", visits[0].step));
        }
        run.progress.set("measuring", run.share());
    }
    run.end_window(ended, ended);
    let cpu = run.measurement.server.map_or(0.0, |server| server.cpu_seconds);
    run.measurement.handshakes = Some(Handshakes {
        count: ended,
        per_second: ended as f64 / run.measurement.seconds,
        per_cpu_second: if cpu > 0.0 { ended as f64 / cpu } else { 0.0 },
    });
    Ok(())
}

fn begin(run: &Run, poll: &Poll, index: usize, number: u32) -> Result<Visit, String> {
    let failed = |error: io::Error| format!("cannot reach {}: {error}", run.target.address);
    let mut stream = TcpStream::connect(run.target.address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    poll.registry()
        .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
        .map_err(failed)?;
    let (outbox, accept) = run.target.request(number as usize, run.plan.compression);
    Ok(Visit {
        stream,
        accept,
        head: Vec::new(),
        receiver: Receiver::new(true),
        outbox,
        step: Step::AwaitsAnswer,
    })
}

fn go_on(
    visit: &mut Visit,
    plan: &super::Plan,
    buffer: &mut [u8],
    inflater: &mut Inflater,
) -> Result<(), String> {
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

fn receive(
    visit: &mut Visit,
    plan: &super::Plan,
    bytes: &[u8],
    inflater: &mut Inflater,
) -> Result<(), String> {
    let mut bytes = bytes.to_vec();
    if visit.step == Step::AwaitsAnswer {
        visit.head.append(&mut bytes);
        let Some(end) = check_response(&visit.head, &visit.accept)? else { return Ok(()) };
        bytes = visit.head.split_off(end);
        if plan.silent {
            say_goodbye(visit);
        } else {
            visit.step = Step::AwaitsEcho;
            let message = Message { sender: 0, number: 0, at: Duration::ZERO };
            push_frame(plan.opcode(), &mut visit.outbox, plan.size, |out| message.write(plan.size, out));
        }
    }
    let mut end = None;
    let mut has_heard = false;
    visit.receiver.feed(&bytes, inflater, |incoming| match incoming {
        Incoming::Message { payload, .. } => has_heard |= Message::read(payload, plan.size).is_some(),
        Incoming::Close(code) => end = Some(End::Closed(code)),
        Incoming::Ping(_) => {}
    })?;
    if has_heard && visit.step == Step::AwaitsEcho {
        say_goodbye(visit);
    }
    match end {
        Some(end) if visit.step != Step::AwaitsEnd => Err(format!("the server closed: {end:?}")),
        _ => Ok(()),
    }
}

fn say_goodbye(visit: &mut Visit) {
    visit.step = Step::AwaitsEnd;
    push_frame(CLOSE, &mut visit.outbox, 2, |out| out.extend(1000_u16.to_be_bytes()));
}
