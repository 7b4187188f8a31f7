//! A client of the JSON form, written from `src/forms/PROTOCOL.md`: it resumes after a broken connection, and says
//! again what was not acknowledged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;

use super::client::Client;
use super::raw::PATIENCE;
use super::server::Wsloop;

/// A member of a room who hears each message once, whatever happens to its connections.
pub struct JsonClient {
    path: String,
    connection: Option<Client>,
    /// Of the last welcome, and the last `seq` that was heard.
    pub epoch: String,
    pub seq: u64,
    /// What was said and is not acknowledged.
    unacknowledged: Vec<(String, String)>,
    prefix: String,
    refs: u64,
    /// Messages, each once, in their order.
    pub heard: Vec<Value>,
}

impl JsonClient {
    /// Connects to a room, with a query that begins with a name: `/tea?name=alice`.
    pub fn join(server: &Wsloop, path: &str) -> JsonClient {
        let mut client = JsonClient {
            path: path.to_owned(),
            connection: None,
            epoch: String::new(),
            seq: 0,
            unacknowledged: Vec::new(),
            prefix: String::new(),
            refs: 0,
            heard: Vec::new(),
        };
        client.connect(server);
        client
    }

    /// Connects, or comes back; returns the welcome.
    pub fn connect(&mut self, server: &Wsloop) -> Value {
        let resume = match self.epoch.as_str() {
            "" => String::new(),
            epoch => format!("&since={}&epoch={epoch}", self.seq),
        };
        let path = format!("{}{resume}", self.path);
        let (connection, response) =
            Client::connect_with(server, &path, &[("Sec-WebSocket-Protocol", "wsloop.json")]);
        let agreed = response.headers().get("Sec-WebSocket-Protocol").expect("a subprotocol");
        assert_eq!(agreed, "wsloop.json");
        self.connection = Some(connection);
        let welcome = self.read();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        self.epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
        if welcome["recovered"] != true {
            self.seq = welcome["seq"].as_u64().expect("a number");
        }
        for (reference, text) in self.unacknowledged.clone() {
            self.send(&json!({ "type": "say", "text": text, "ref": reference }));
        }
        welcome
    }

    /// The connection breaks.
    pub fn break_off(&mut self) {
        self.connection = None;
    }

    /// Says something, and remembers it until it is acknowledged.
    pub fn say(&mut self, text: &str) {
        self.refs += 1;
        let reference = format!("{}r{}", self.prefix, self.refs);
        self.send(&json!({ "type": "say", "text": text, "ref": reference }));
        self.unacknowledged.push((reference, text.to_owned()));
    }

    /// Sends an object as it is.
    pub fn send(&mut self, object: &Value) {
        self.connection.as_mut().expect("connected").send_text(&object.to_string());
    }

    /// The next object; messages are checked and noted.
    pub fn read(&mut self) -> Value {
        self.read_within(PATIENCE).expect("something comes")
    }

    pub fn read_within(&mut self, within: Duration) -> Option<Value> {
        let message = self.connection.as_mut().expect("connected").read_within(within)?;
        let Message::Text(text) = message else { panic!("text is due, not {message:?}") };
        let object: Value = serde_json::from_str(&text).expect("JSON");
        match object["type"].as_str().expect("a type") {
            kind @ ("say" | "data" | "edit" | "delete" | "react") => {
                assert_eq!(
                    object["seq"],
                    self.seq + 1,
                    "nothing is missing and nothing comes twice: {object}"
                );
                self.seq += 1;
                if kind == "say" || kind == "data" {
                    self.heard.push(object.clone());
                }
            }
            "gap" => {
                assert_eq!(object["first"], self.seq + 1, "{object}");
                self.seq = object["last"].as_u64().expect("a number");
            }
            "ack" => self.unacknowledged.retain(|(reference, _)| object["ref"] != reference.as_str()),
            _ => {}
        }
        Some(object)
    }

    /// Reads until an object of this type comes.
    pub fn read_type(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let object = self.read();
            if object["type"] == kind {
                return object;
            }
        }
        panic!("no {kind} came");
    }

    /// Reads until a message with this text comes.
    pub fn read_until_text(&mut self, text: &str) {
        while self.read_type("say")["text"] != text {}
    }

    /// What comes from here on has references of its own: other tabs of the same person have theirs.
    pub fn name_refs(&mut self, prefix: &str) {
        self.prefix = prefix.to_owned();
    }

    /// Reads until all that was said is acknowledged.
    pub fn settle(&mut self) {
        while !self.unacknowledged.is_empty() {
            self.read_type("ack");
        }
    }

    /// The texts of what was heard.
    pub fn texts(&self) -> Vec<&str> {
        self.heard.iter().filter_map(|message| message["text"].as_str()).collect()
    }
}
