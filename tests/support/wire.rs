//! The connection by which a test drives a browser: commands and their answers, and events, as JSON over a WebSocket.
//! Chromium's DevTools protocol and WebDriver BiDi are both so.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How long the browser may take to start, and to answer one command, on a machine that is busy with other tests.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// How often a condition in a page is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(15);

/// The browser to use: the one that this variable names, or the first of the usual names that is installed.
pub fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return PathBuf::from(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("these tests need a browser: apt-get install {}, or name yours in {variable}", names[0])
        })
}

/// The WebSocket to the browser, and the events that came on it.
pub struct Wire {
    socket: RefCell<WebSocket<TcpStream>>,
    received: RefCell<Received>,
}

#[derive(Default)]
struct Received {
    calls: u64,
    answers: Vec<Value>,
    events: Vec<Value>,
}

impl Wire {
    /// Connects to where a browser listens.
    pub fn connect(url: &str) -> Wire {
        let authority = url.split('/').nth(2).expect("the URL has an authority");
        let stream = TcpStream::connect(authority).expect("the browser listens where it says");
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).expect("the time is not zero");
        // Pictures of pages come as one message.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
            .unwrap_or_else(|error| panic!("the browser refuses to be driven: {error}"));
        socket.get_ref().set_read_timeout(Some(POLL_INTERVAL)).expect("the time is not zero");
        Wire { socket: RefCell::new(socket), received: RefCell::default() }
    }

    /// Asks for something, and waits for the answer.
    #[allow(clippy::needless_pass_by_value)] // A json!() literal at each call reads better without a borrow.
    pub fn call(&self, session: &str, method: &str, arguments: Value) -> Value {
        self.try_call(session, method, &arguments).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, where the browser may say that it cannot be done.
    pub fn try_call(&self, session: &str, method: &str, arguments: &Value) -> Result<Value, String> {
        let id = self.send(session, method, arguments).expect("the browser runs");
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        loop {
            let found = {
                let answers = &mut self.received.borrow_mut().answers;
                answers.iter().position(|answer| answer["id"] == id).map(|index| answers.swap_remove(index))
            };
            if let Some(mut answer) = found {
                return match answer.get("error") {
                    Some(_) => Err(answer.to_string()),
                    None => Ok(answer["result"].take()),
                };
            }
            assert!(Instant::now() < deadline, "the browser does not answer {method}");
            self.read_once();
        }
    }

    /// Asks for something.
    pub fn send(&self, session: &str, method: &str, arguments: &Value) -> Result<u64, Error> {
        let id = {
            let mut received = self.received.borrow_mut();
            received.calls += 1;
            received.calls
        };
        let mut command = json!({ "id": id, "method": method, "params": arguments });
        if !session.is_empty() {
            command["sessionId"] = json!(session);
        }
        self.socket.borrow_mut().send(Message::text(command.to_string())).map(|()| id)
    }

    /// Takes one message, or none when none comes soon.
    pub fn read_once(&self) {
        let message = match self.socket.borrow_mut().read() {
            Ok(Message::Text(text)) => text,
            Ok(_) => return,
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("the browser has gone: {error}"),
        };
        let value: Value = serde_json::from_str(&message).expect("a protocol of JSON");
        let mut received = self.received.borrow_mut();
        if value.get("id").is_some() {
            received.answers.push(value);
        } else {
            received.events.push(value);
        }
    }

    /// The parameters of all events of that kind so far.
    pub fn events(&self, session: &str, method: &str) -> Vec<Value> {
        let received = self.received.borrow();
        let wanted = |event: &&Value| {
            event["sessionId"].as_str().unwrap_or_default() == session && event["method"] == method
        };
        received.events.iter().filter(wanted).map(|event| event["params"].clone()).collect()
    }
}
