//! Where a script is played: a server, clients by name, and time.

use std::net::SocketAddr;
use std::time::Duration;

use wsloop::server::{Rate, ServerLimits, SlowPolicy, Surface};

use crate::heard::{Heard, Reader, without_members};
use crate::support::frames::{BINARY, CLOSE, PING, PONG, TEXT, close, frame};
use crate::support::handshake::handshake;
use crate::support::limits::LIMITS;
use crate::support::memory::{MemoryClient, MemoryServer, Wire};

/// Who heard something, and what.
pub(crate) type Line = (String, String);

/// The port of the first client; each has one of its own.
const FIRST_PORT: u16 = 5001;

#[derive(Default)]
pub(crate) struct Stage {
    limits: Option<ServerLimits>,
    /// From the first command that needs it.
    server: Option<MemoryServer>,
    /// In the order in which they came.
    clients: Vec<Client>,
    connections: u16,
    /// Whose hearing is shown; nobody named is everybody.
    listened_to: Vec<String>,
    /// Members of JSON objects that are not shown.
    hidden: Vec<String>,
    /// Epochs in the order in which they were heard first. They follow from the seed, but nobody reads them.
    epochs: Vec<String>,
    /// Something was done that is not heard yet.
    is_unheard: bool,
}

struct Client {
    name: String,
    there: MemoryClient,
    reader: Reader,
    /// It has closed or hung up, and answers nothing more.
    has_ended: bool,
    /// It answers no ping.
    is_silent: bool,
    /// It was said that its connection is gone.
    is_gone: bool,
}

impl Stage {
    /// Does what a line says, and what everybody hears then.
    pub(crate) fn perform(&mut self, line: &str) -> Result<Vec<Line>, String> {
        let (who, what) = line.split_once(' ').ok_or("a command of one word?")?;
        if who == "together" {
            // With the lines before and behind it that begin so.
            self.is_unheard = true;
            return self.perform_one(what).map(|()| Vec::new());
        }
        let mut heard = self.finish();
        match who {
            "server:" => self.set_limits(what)?,
            "listen:" => self.listened_to = names(what),
            "hide:" => self.hidden = names(what),
            "wait" => heard.extend(self.wait(what)?),
            "for" => heard.extend(self.repeat(what)?),
            "the" if what == "server stops" => {
                let now = self.server().now();
                self.server().server.begin_shutdown(now);
                heard.extend(self.hear_all());
            }
            _ => {
                self.perform_one(line)?;
                heard.extend(self.hear_all());
            }
        }
        Ok(heard)
    }

    /// What is heard of things that were done together, and not yet heard.
    pub(crate) fn finish(&mut self) -> Vec<Line> {
        if self.is_unheard { self.hear_all() } else { Vec::new() }
    }

    /// One client does something.
    fn perform_one(&mut self, line: &str) -> Result<(), String> {
        let (name, what) = line.split_once(": ").ok_or("who does what? `NAME: …`")?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || !is_name {
            return Err(format!("{name:?} is no name of letters, digits and -"));
        }
        let what = &self.filled_in(what);
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        if verb == "connect" {
            return self.connect(name, rest);
        }
        let index = self.clients.iter().position(|client| client.name == name);
        let index = index.ok_or_else(|| format!("{name} is not connected"))?;
        let there = self.clients[index].there.clone();
        let bytes = match (verb, what.as_str()) {
            (_, "hang up") => {
                self.clients[index].has_ended = true;
                self.server().end(&there);
                return Ok(());
            }
            (_, "stop reading") => {
                there.wire.borrow_mut().room = 0;
                return Ok(());
            }
            (_, "fall silent") => {
                self.clients[index].is_silent = true;
                return Ok(());
            }
            (_, "read on") => {
                self.server().make_room(&there, usize::MAX);
                return Ok(());
            }
            ("close", _) => {
                self.clients[index].has_ended = true;
                let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                close(code.parse().map_err(|_| "close CODE REASON")?, reason)
            }
            ("ping", _) => frame(PING, rest.as_bytes()),
            ("binary", _) => frame(BINARY, &hex(rest)?),
            ("text", _) => {
                let text: String =
                    serde_json::from_str(rest).map_err(|error| format!("text \"…\": {error}"))?;
                frame(TEXT, text.as_bytes())
            }
            _ => frame(TEXT, what.as_bytes()),
        };
        self.server().send(&there, &bytes);
        Ok(())
    }

    /// `/tea?name=alice`, then `json`, `compressed` or `from ADDRESS`.
    fn connect(&mut self, name: &str, what: &str) -> Result<(), String> {
        let (path, rest) = what.split_once(' ').unwrap_or((what, ""));
        let mut words = rest.split_whitespace();
        let mut lines = Vec::new();
        let mut address = "127.0.0.1".to_owned();
        while let Some(word) = words.next() {
            match word {
                "json" => lines.push("Sec-WebSocket-Protocol: wsloop.json"),
                "compressed" => lines.push("Sec-WebSocket-Extensions: permessage-deflate"),
                "from" => address = words.next().unwrap_or_default().to_owned(),
                other => return Err(format!("{other:?}: json, compressed or from ADDRESS")),
            }
        }
        let ip = address.parse().map_err(|_| format!("{address:?} is no address"))?;
        let port = FIRST_PORT + self.connections;
        self.connections += 1;
        let request = handshake(path, &lines);
        let server = self.server();
        let there = server.connect(SocketAddr::new(ip, port), Surface::Everything, Wire::default());
        let there = there.ok_or("the server takes nobody")?;
        server.send(&there, request.as_bytes());
        if let Some(before) = self.clients.iter().position(|client| client.name == name) {
            let before = self.clients.remove(before);
            if !before.has_ended && !before.reader.is_over() {
                return Err(format!("{name} is connected already"));
            }
        }
        let reader = Reader::default();
        let name = name.to_owned();
        self.clients.push(Client { name, there, reader, has_ended: false, is_silent: false, is_gone: false });
        Ok(())
    }

    /// `1 to 101: NAME: …`, with `{n}`.
    fn repeat(&mut self, what: &str) -> Result<Vec<Line>, String> {
        const HOW: &str = "for 1 to 101: NAME: …";
        let (range, command) = what.split_once(": ").ok_or(HOW)?;
        let (first, last) = range.split_once(" to ").ok_or(HOW)?;
        let [first, last] = [first, last].map(str::parse::<u32>);
        let mut heard = Vec::new();
        for number in first.map_err(|_| HOW)?..=last.map_err(|_| HOW)? {
            heard.extend(self.perform(&command.replace("{n}", &number.to_string()))?);
        }
        Ok(heard)
    }

    /// Time passes, from one thing that is due to the next.
    fn wait(&mut self, what: &str) -> Result<Vec<Line>, String> {
        let digits = what.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match &what[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err("wait 500ms, 3s or 10m".to_owned()),
        };
        let time: u64 = digits.parse().map_err(|_| "wait 500ms, 3s or 10m")?;
        let end = self.server().time + time * unit;
        let mut heard = self.hear_all();
        while self.server().time < end {
            let server = self.server();
            let due = server.server.deadline().as_millis().saturating_sub(server.now().time.as_millis());
            server.time = server.time.saturating_add(due.max(1)).min(end);
            heard.extend(self.hear_all());
        }
        Ok(heard)
    }

    /// Lets the server do all there is to do, and clients answer pings and closes, until nobody has anything more.
    fn hear_all(&mut self) -> Vec<Line> {
        self.is_unheard = false;
        let mut heard = Vec::new();
        loop {
            self.server().settle();
            let mut clients = std::mem::take(&mut self.clients);
            let mut is_quiet = true;
            for client in &mut clients {
                let (lines, answers) = client.hear();
                heard.extend(lines.into_iter().map(|line| (client.name.clone(), line)));
                is_quiet &= answers.is_empty();
                self.server().send(&client.there, &answers);
            }
            self.clients = clients;
            if is_quiet {
                break;
            }
        }
        heard.retain(|(name, _)| self.listened_to.is_empty() || self.listened_to.contains(name));
        heard.into_iter().map(|(name, line)| (name, self.shown(&line))).collect()
    }

    /// With what would be another in another version in its place, and without what is hidden.
    fn shown(&mut self, line: &str) -> String {
        const EPOCH: &str = r#""epoch":""#;
        let mut line = without_members(line, &self.hidden);
        if let Some(start) = line.find(EPOCH).map(|place| place + EPOCH.len()) {
            let epoch = line[start..].split('"').next().expect("its end").to_owned();
            if !self.epochs.contains(&epoch) {
                self.epochs.push(epoch.clone());
            }
            let number = self.epochs.iter().position(|known| *known == epoch).expect("noted") + 1;
            line.replace_range(start..start + epoch.len(), &format!("EPOCH{number}"));
        }
        let version = format!(r#""server":"{}""#, env!("CARGO_PKG_VERSION"));
        line.replace(&version, r#""server":"VERSION""#)
    }

    /// The same the other way round; and `{x*300}` is three hundred times x.
    fn filled_in(&self, what: &str) -> String {
        let mut filled = what.to_owned();
        for (number, epoch) in (1..).zip(&self.epochs) {
            filled = filled.replace(&format!("EPOCH{number}"), epoch);
        }
        while let Some((before, run, behind)) = find_run(&filled) {
            filled = [before, &run, behind].concat();
        }
        filled
    }

    fn server(&mut self) -> &mut MemoryServer {
        let limits = self.limits.unwrap_or(LIMITS);
        self.server.get_or_insert_with(|| MemoryServer::new(limits))
    }

    /// Options as on the command line, before anybody connects.
    fn set_limits(&mut self, options: &str) -> Result<(), String> {
        if self.server.is_some() {
            return Err("it runs already".to_owned());
        }
        let mut limits = LIMITS;
        let mut words = options.split_whitespace();
        while let (Some(option), Some(value)) = (words.next(), words.next()) {
            let number = value.parse::<u32>().map_err(|_| format!("{option} {value:?}?"));
            match option {
                "--history" => limits.history_messages_max = number? as usize,
                "--max-queue" => limits.connection.outbox_bytes_max = number? as usize,
                "--max-clients" => limits.clients_max = number? as usize,
                "--max-message" => limits.connection.websocket.message_bytes_max = number? as usize,
                "--slow" => limits.slow = SlowPolicy::from_name(value).ok_or("close or skip")?,
                "--drain-timeout" => limits.drain_timeout = Duration::from_secs(number?.into()),
                "--rate" => limits.rate = Some(rate(value).ok_or("--rate 10:50")?),
                _ => return Err(format!("the scripts know no {option}")),
            }
        }
        self.limits = Some(limits);
        Ok(())
    }
}

impl Client {
    /// Lines to show, and what every client answers at once.
    fn hear(&mut self) -> (Vec<String>, Vec<u8>) {
        let (mut lines, mut answers) = (Vec::new(), Vec::new());
        for heard in self.reader.hear(&self.there.take()) {
            match heard {
                Heard::Line(line) => lines.push(line),
                Heard::Ping(_) if self.is_silent => {}
                Heard::Ping(payload) => answers.extend(frame(PONG, &payload)),
                Heard::Closed(code, line) => {
                    lines.push(line);
                    if !self.has_ended {
                        answers.extend(frame(CLOSE, &code));
                    }
                }
            }
        }
        let is_ended = self.there.wire.borrow().is_shut || !self.there.is_held();
        if is_ended && !self.is_gone {
            self.is_gone = true;
            if !self.has_ended && !self.reader.is_over() {
                lines.push("the connection ends".to_owned());
            }
        }
        (lines, if self.is_gone { Vec::new() } else { answers })
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| name != "everybody" && name != "nothing")
        .collect()
}

/// `10:50`: so many a second, and so many at once.
fn rate(value: &str) -> Option<Rate> {
    let (per_second, burst) = value.split_once(':')?;
    Some(Rate { per_second: per_second.parse().ok()?, burst: burst.parse().ok()? })
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16));
    bytes.collect::<Result<_, _>>().map_err(|_| format!("{digits:?} is not hexadecimal"))
}

/// What stands before a run such as `{x*300}`, the run itself, and what stands behind it.
fn find_run(text: &str) -> Option<(&str, String, &str)> {
    for (place, _) in text.match_indices('{') {
        let Some((inside, behind)) = text[place + 1..].split_once('}') else { continue };
        let Some((letter, count)) = inside.split_once('*') else { continue };
        if let (1, Ok(count)) = (letter.chars().count(), count.parse()) {
            return Some((&text[..place], letter.repeat(count), behind));
        }
    }
    None
}
