//! What another form and another broker take, shown on sockets: a form of three methods that says something else
//! than the others, and a broker that answers from another thread. Neither needs a line in the server.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;
use wsloop::broker::{Append, Broker, BrokerEvent, ChannelName, Committed, Entry, Opened, Outcome, Ticket};
use wsloop::chat::{BadCommand, Command, Reply, RoomEvent, Said, Wish};
use wsloop::clock::{Now, Time};
use wsloop::forms::{Form, Forms, Rendered};
use wsloop::id::ChannelId;
use wsloop::server::{Environment, Readiness, Server, Site, Stream, Surface};
use wsloop::websocket::Kind;

#[allow(dead_code, unreachable_pub, reason = "only its limits are needed here")]
#[path = "../support/limits.rs"]
mod limits;

/// Tab-separated: `say`, number, name, text. It is told of nothing else.
#[derive(Debug)]
struct Tabs;

impl Form for Tabs {
    fn subprotocols(&self) -> &'static [&'static str] {
        &["example.tabs"]
    }

    fn render<'a>(&self, event: &'a RoomEvent<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        let RoomEvent::Said(Said { seq, who, payload, .. }) = event else { return None };
        scratch.extend_from_slice(format!("say\t{seq}\t{who}\t").as_bytes());
        scratch.extend_from_slice(payload);
        Some(Rendered { kind: Kind::Text, payload: scratch })
    }

    fn render_reply<'a>(&self, reply: &'a Reply<'a>, scratch: &'a mut Vec<u8>) -> Option<Rendered<'a>> {
        match reply {
            Reply::Event(event) => self.render(event, scratch),
            _ => None,
        }
    }

    fn read<'a>(&self, kind: Kind, payload: &'a [u8]) -> Result<Command<'a>, BadCommand<'a>> {
        Ok(Command { wish: Wish::say(kind, payload), reference: None })
    }

    fn measure(&self, said: &Said<'_>) -> usize {
        said.payload.len()
    }

    fn names_guests(&self) -> bool {
        true
    }

    fn has_numbers(&self) -> bool {
        true
    }
}

/// Numbers come from a thread, as they would from a disk or another machine. What they are for waits here.
#[derive(Debug)]
struct Elsewhere {
    waiting: HashMap<Ticket, (ChannelId, Entry)>,
    requests: Sender<Ticket>,
    answers: Receiver<(Ticket, NonZeroU64)>,
}

impl Elsewhere {
    fn start() -> Elsewhere {
        let (requests, for_thread) = channel();
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            // One count for all channels would leave gaps; this test has a single one.
            for (seq, ticket) in (1..).zip(for_thread) {
                std::thread::sleep(Duration::from_millis(2));
                let _ = answer.send((ticket, NonZeroU64::new(seq).expect("from one on")));
            }
        });
        Elsewhere { waiting: HashMap::new(), requests, answers }
    }
}

impl Broker for Elsewhere {
    fn open(&mut self, _: Now, _: ChannelId, _: &ChannelName) -> Outcome<Opened> {
        Outcome::Now(Opened { epoch: "elsewhere".into(), head: 0 })
    }

    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed> {
        let Append { ticket, channel, action, kind, .. } = *append;
        let committed = Committed { seq: NonZeroU64::MIN, time: now.wall };
        let (author, payload) = (append.author.clone(), append.payload.as_ref().into());
        let entry = Entry { committed, ticket: Some(ticket), author, action, kind, payload };
        if self.requests.send(ticket).is_err() {
            return Outcome::Unavailable;
        }
        self.waiting.insert(ticket, (channel, entry));
        Outcome::Later
    }

    fn close(&mut self, _: ChannelId) {}

    fn poll_event(&mut self, _: Now) -> Option<BrokerEvent> {
        let (ticket, seq) = self.answers.try_recv().ok()?;
        let (channel, mut entry) = self.waiting.remove(&ticket)?;
        entry.committed.seq = seq;
        Some(BrokerEvent::Committed(channel, entry))
    }

    fn deadline(&self) -> Time {
        Time::NEVER
    }
}

/// A socket that does not block.
#[derive(Debug)]
struct Socket(TcpStream);

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Socket {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}

/// Serves until whoever started it has gone: a loop that asks every socket every millisecond.
fn serve(listener: &TcpListener, is_over: &Receiver<()>) {
    let site = Site::new(vec!["localhost".to_owned()], Vec::new(), true);
    let forms = Forms::standard(jiff::tz::TimeZone::UTC).with(Tabs);
    let broker = Box::new(Elsewhere::start());
    let mut server = Server::with(limits::LIMITS, site, forms, broker, Environment::nothing());
    let started = Instant::now();
    let mut tokens = Vec::new();
    listener.set_nonblocking(true).expect("a socket");
    while matches!(is_over.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
        let time = Time::from_millis(u64::try_from(started.elapsed().as_millis()).expect("a short test"));
        let now = Now { time, wall: jiff::Timestamp::now() };
        if let Ok((stream, address)) = listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            tokens.push(server.next_token());
            server.accept(now, Socket(stream), address, Surface::Everything);
        }
        for token in &tokens {
            let readiness = Readiness { is_readable: true, is_writable: true, is_read_closed: false };
            server.handle_ready(*token, readiness);
        }
        server.turn(now);
        std::thread::sleep(Duration::from_millis(1));
    }
}

type Client = tungstenite::WebSocket<TcpStream>;

fn connect(address: SocketAddr, name: &str, subprotocol: Option<&'static str>) -> Client {
    let mut request = format!("ws://{address}/tea?name={name}").into_client_request().expect("a request");
    if let Some(subprotocol) = subprotocol {
        let value = subprotocol.parse().expect("a header");
        request.headers_mut().insert("Sec-WebSocket-Protocol", value);
    }
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let (client, response) = tungstenite::client(request, stream).expect("a handshake");
    let chosen = response.headers().get("Sec-WebSocket-Protocol").map(|value| value.as_bytes().to_vec());
    assert_eq!(chosen.as_deref(), subprotocol.map(str::as_bytes));
    client
}

/// The next text that holds this.
fn hear(client: &mut Client, wanted: &str) -> String {
    loop {
        if let Message::Text(text) = client.read().expect("it is told")
            && text.contains(wanted)
        {
            return text.to_string();
        }
    }
}

#[test]
fn another_form_and_another_broker_are_a_few_lines_each() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let (ends, is_over) = channel();
    let server = std::thread::spawn(move || serve(&listener, &is_over));
    let mut line = connect(address, "line", None);
    hear(&mut line, "Welcome line !");
    let mut json = connect(address, "json", Some("wsloop.json"));
    assert!(hear(&mut json, "welcome").contains(r#""epoch":"elsewhere""#));
    let mut tabs = connect(address, "tabs", Some("example.tabs"));
    hear(&mut line, "Welcome tabs !");
    // Each in its own form, heard by each in its own, with the numbers of the other thread.
    line.send("hello".into()).expect("a socket");
    assert_eq!(hear(&mut tabs, "hello"), "say\t1\tline\thello");
    tabs.send("one\ttwo".into()).expect("a socket");
    assert!(hear(&mut line, "two").ends_with(" tabs say: one\ttwo"));
    json.send(r#"{"type":"say","text":"third","ref":"r"}"#.into()).expect("a socket");
    assert_eq!(hear(&mut tabs, "third"), "say\t3\tjson\tthird");
    assert!(hear(&mut json, r#""seq":2"#).contains(r#""text":"one\ttwo""#));
    assert_eq!(hear(&mut json, "ack"), r#"{"type":"ack","ref":"r","seq":3}"#);
    drop(ends);
    server.join().expect("the server did not fall");
}
