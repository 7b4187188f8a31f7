//! The JSON form of a chat room, by a client that is written from `src/forms/PROTOCOL.md`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Client, without_time};
use crate::support::http::{Request, refusal};
use crate::support::json::JsonClient;
use crate::support::raw::{PATIENCE, RawClient, TEXT, frame};
use crate::support::server::{Wsloop, own_port, wait_until};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn lines_and_json_share_a_room_and_its_order() {
    let server = Wsloop::start(&[]);
    let mut line = Client::join(&server, "/tea?name=alice");
    let mut json = JsonClient::join(&server, "/tea?name=bob");
    assert_eq!(line.read_text(), "Welcome bob !");
    for number in 0..50 {
        line.send_text(&format!("line {number}"));
        json.say(&format!("json {number}"));
    }
    json.settle();
    wait_until("all has come", PATIENCE, || {
        json.read_within(Duration::from_millis(100));
        json.heard.len() == 100
    });
    let said: Vec<String> = (0..100)
        .map(|_| without_time(&line.read_said()).split_once(" say: ").expect("a line").1.to_owned())
        .collect();
    assert_eq!(said, json.texts(), "the same order");
    assert_eq!(json.heard[0]["from"]["id"].as_str().map(|id| id.starts_with('c')), Some(true));
    let time = json.heard[0]["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    // Binary messages, from both.
    line.send_binary(&[0, 1, 255]);
    let data = json.read_type("data");
    assert_eq!((&data["base64"], &data["from"]["name"]), (&json!("AAH/"), &json!("alice")));
    assert_eq!(line.read_binary(), [0, 1, 255]);
    line.send_text("quit");
    let leave = json.read_type("leave");
    assert_eq!((&leave["name"], &leave["count"]), (&json!("alice"), &json!(1)));
}

#[test]
fn names_presence_and_history_over_the_wire() {
    let server = Wsloop::start(&["--history", "30"]);
    let mut alice = JsonClient::join(&server, "/tea?name=alice");
    let mut other = JsonClient::join(&server, "/tea?name=alice");
    let join = alice.read_type("join");
    assert_eq!((&join["name"], &join["count"]), (&json!("alice-2"), &json!(2)));
    other.send(&json!({ "type": "name", "name": "bob" }));
    for client in [&mut alice, &mut other] {
        let name = client.read_type("name");
        assert_eq!(
            (&name["was"], &name["name"], &name["id"]),
            (&json!("alice-2"), &json!("bob"), &join["id"])
        );
    }
    (0..40).for_each(|number| alice.say(&number.to_string()));
    alice.settle();
    other.send(&json!({ "type": "history", "before": 36, "limit": 10 }));
    let page = other.read_type("history");
    let seqs = |page: &Value| -> Vec<u64> {
        let messages = page["messages"].as_array().expect("a list");
        messages.iter().map(|message| message["seq"].as_u64().expect("a number")).collect()
    };
    assert_eq!((seqs(&page), &page["more"]), ((26..36).collect(), &json!(true)));
    assert_eq!(page["messages"][0]["text"], "25");
    other.send(&json!({ "type": "history", "before": 26, "limit": 100 }));
    let page = other.read_type("history");
    assert_eq!((seqs(&page), &page["more"]), ((11..26).collect(), &json!(false)), "thirty are held");
    // Somebody without a name is somebody all the same.
    let mut guest = JsonClient::join(&server, "/tea");
    guest.send(&json!({ "type": "ping", "ref": "1" }));
    assert_eq!(guest.read_type("pong")["ref"], "1");
    assert!(other.read_type("join")["name"].as_str().is_some_and(|name| name.starts_with("guest")));
}

#[test]
fn what_is_wrong_is_told_and_the_connection_stays() {
    let server = Wsloop::start(&[]);
    let mut client = JsonClient::join(&server, "/tea?name=alice");
    for (object, code) in [
        (json!({ "type": "shout" }), "unknown_type"),
        (json!([1, 2]), "bad_json"),
        (json!({ "type": "say" }), "no_text"),
        (json!({ "type": "name", "name": " " }), "bad_name"),
        (json!({ "type": "say", "text": "x", "ref": "x".repeat(65) }), "bad_ref"),
    ] {
        client.send(&object);
        let error = client.read_type("error");
        assert_eq!(error["code"], code, "{object}");
        assert!(error["text"].as_str().is_some_and(|text| text.len() > 10), "{error}");
    }
    client.say("still here");
    client.settle();
    for target in [
        "/tea?since=1",
        "/tea?since=x&epoch=y",
        "/tea?key=short",
        "/tea?key=0123456789abcdef0123456789abcde%C3%A9",
    ] {
        refusal(&server, &Request::upgrade(&server, target).bytes(), 400);
    }
    // Only rooms speak it, and the client's order decides.
    for (path, asked, agreed) in [
        ("/tea", "wsloop.json, chat", Some("wsloop.json")),
        ("/tea", "chat, wsloop.json", Some("chat")),
        ("/tea", "something, wsloop.json", Some("wsloop.json")),
        ("/echo", "wsloop.json", None),
        ("/broadcast", "wsloop.json, chat", Some("chat")),
    ] {
        let mut client = RawClient::connect(&server);
        client.send(&Request::upgrade(&server, path).add("Sec-WebSocket-Protocol", asked).bytes());
        let response = client.expect_upgraded();
        let found = response.header("Sec-WebSocket-Protocol");
        assert_eq!(found, agreed, "{path} {asked}");
    }
}

#[test]
fn who_comes_back_misses_nothing_and_says_nothing_twice() {
    let server = Wsloop::start(&[]);
    let mut witness = JsonClient::join(&server, "/tea?name=witness");
    let mut alice = JsonClient::join(&server, &format!("/tea?name=alice&key={KEY}"));
    for round in 0..20 {
        alice.say(&format!("a{round}"));
        // Broken before the acknowledgement is read, at whatever moment.
        if round % 3 != 0 {
            std::thread::sleep(Duration::from_millis(round % 5));
        }
        alice.break_off();
        witness.say(&format!("w{round}"));
        witness.settle();
        let welcome = alice.connect(&server);
        assert_eq!((&welcome["recovered"], &welcome["you"]["name"]), (&json!(true), &json!("alice")));
        alice.settle();
    }
    witness.say("end");
    witness.settle();
    wait_until("all has come", PATIENCE, || {
        alice.read_within(Duration::from_millis(100));
        alice.texts().last() == Some(&"end")
    });
    while witness.texts().last() != Some(&"end") {
        witness.read();
    }
    assert_eq!(alice.texts(), witness.texts(), "one order, nothing missing, nothing twice");
    let mut of_alice: Vec<&str> = witness.texts().into_iter().filter(|text| text.starts_with('a')).collect();
    assert_eq!(of_alice.len(), 20);
    of_alice.dedup();
    assert_eq!(of_alice.len(), 20);
}

#[test]
fn a_restarted_server_says_that_it_has_forgotten() {
    let port = own_port().to_string();
    let mut server = Wsloop::start(&["--port", &port]);
    let mut alice = JsonClient::join(&server, "/tea?name=alice");
    alice.say("before");
    alice.settle();
    let epoch = alice.epoch.clone();
    alice.break_off();
    server.signal("TERM");
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    let server = Wsloop::start(&["--port", &port]);
    let welcome = alice.connect(&server);
    assert_eq!((&welcome["recovered"], &welcome["seq"]), (&json!(false), &json!(0)));
    assert_ne!(alice.epoch, epoch);
}

#[test]
fn several_connections_with_one_key_are_one_person() {
    let server = Wsloop::start(&[]);
    let mut witness = JsonClient::join(&server, "/tea?name=witness");
    let path = format!("/tea?name=alice&key={KEY}");
    let mut tabs: Vec<JsonClient> = (0..3).map(|_| JsonClient::join(&server, &path)).collect();
    assert_eq!(witness.read_type("join")["count"], 2);
    tabs[0].say("from one tab");
    for tab in &mut tabs {
        assert_eq!(tab.read_type("say")["text"], "from one tab");
    }
    assert_eq!(witness.read()["type"], "say", "no further joins");
    tabs.truncate(1);
    witness.say("is anybody here?");
    assert_eq!(tabs[0].read_type("say")["text"], "is anybody here?");
    drop(tabs);
    let leave = witness.read_type("leave");
    assert_eq!((&leave["name"], &leave["count"]), (&json!("alice"), &json!(1)));
    witness.settle();
}

#[test]
fn a_gap_says_exactly_which_messages_did_not_come() {
    const SIZE: usize = 30_000;
    let server = Wsloop::start(&["--max-queue", "1M"]);
    let upgrade =
        Request::upgrade(&server, "/tea?name=sleeper&slow=skip").add("Sec-WebSocket-Protocol", "wsloop.json");
    let mut sleeper = RawClient::connect(&server);
    sleeper.send(&upgrade.bytes());
    sleeper.expect_upgraded();
    let mut sender = RawClient::join(&server, "/tea?name=sender");
    let mut said = 0;
    wait_until("something is skipped", PATIENCE, || {
        for _ in 0..20 {
            sender.send(&frame(TEXT, format!("{said}:{}", "x".repeat(SIZE)).as_bytes()));
            said += 1;
        }
        // Its own come back, and are read: a pong would overtake them.
        let mut own = 0;
        while own < 20 {
            own += usize::from(sender.read_frame().text().contains("sender say: "));
        }
        super::stats::stats(&server)["dropped"]["skipped"].as_u64() > Some(40)
    });
    let (mut next, mut gaps) = (1, 0);
    while next <= said {
        let heard: Value = serde_json::from_str(sleeper.read_frame().text()).expect("JSON");
        match heard["type"].as_str().expect("a type") {
            "say" => {
                assert_eq!(heard["seq"], next, "{}", heard["seq"]);
                assert!(
                    heard["text"].as_str().is_some_and(|text| text.starts_with(&format!("{}:", next - 1)))
                );
                next += 1;
            }
            "gap" => {
                assert_eq!(heard["first"], next, "{heard}");
                assert_eq!(heard["members"].as_array().map(Vec::len), Some(2));
                next = heard["last"].as_u64().expect("a number") + 1;
                gaps += 1;
            }
            _ => {}
        }
    }
    assert!(gaps > 0);
}

/// Over `--rate`, one is held back first; who goes on is told why, and then closed.
#[test]
fn who_says_too_much_for_too_long_is_told_and_closed() {
    let server = Wsloop::start(&["--rate", "100:10", "--ping-interval", "0"]);
    let mut client = RawClient::connect(&server);
    let request = Request::upgrade(&server, "/tea?name=alice").add("Sec-WebSocket-Protocol", "wsloop.json");
    client.send(&request.bytes());
    client.expect_upgraded();
    // Twenty seconds' worth, as fast as it is taken.
    let _ = client.try_send(&frame(TEXT, br#"{"type":"say","text":"again"}"#).repeat(2_000));
    let mut error = Value::Null;
    let (code, reason) = loop {
        let heard = client.read_frame();
        if heard.first != TEXT {
            break heard.close();
        }
        let event: Value = serde_json::from_str(heard.text()).expect("JSON");
        if event["type"] == "error" {
            error = event;
        }
    };
    assert_eq!((&error["code"], code), (&json!("rate"), 1008), "{reason}");
}

/// Everything that may be under way at once is said, the connection breaks, and it is said again.
#[test]
fn what_was_under_way_is_said_once_however_much_it_was() {
    let server = Wsloop::start(&[]);
    let mut witness = JsonClient::join(&server, "/tea?name=witness");
    let mut tabs: Vec<JsonClient> =
        (0..2).map(|_| JsonClient::join(&server, &format!("/tea?name=alice&key={KEY}"))).collect();
    let limits = tabs[0].connect(&server)["limits"].clone();
    assert_eq!(limits, json!({ "message": 65_536, "unacknowledged": 500, "rate": null, "history": 100 }));
    for says in [70, 500] {
        for (number, tab) in tabs.iter_mut().enumerate() {
            tab.name_refs(&format!("{number}-{says}"));
            (0..says).for_each(|said| tab.say(&said.to_string()));
            // All of it is there: the witness hears the last.
            witness.read_until_text(&(says - 1).to_string());
            tab.break_off();
        }
        let heard = witness.heard.len();
        for tab in &mut tabs {
            tab.connect(&server);
            tab.settle();
        }
        witness.say("end");
        witness.read_until_text("end");
        assert_eq!(witness.heard.len(), heard + 1, "{says} are not said again");
    }
    assert_eq!(witness.heard.len(), 2 * 570 + 2);
}

#[test]
fn a_name_waits_for_who_is_away_and_a_rename_is_always_answered() {
    let server = Wsloop::start(&[]);
    let mut witness = JsonClient::join(&server, "/tea?name=witness");
    let path = format!("/tea?name=alice&key={KEY}");
    let mut alice = JsonClient::join(&server, &path);
    alice.break_off();
    witness.read_type("leave");
    let mut other = JsonClient::join(&server, "/tea?name=alice");
    assert_eq!(witness.read_type("join")["name"], "alice-2");
    assert_eq!(alice.connect(&server)["you"]["name"], "alice");
    for name in ["alice-2", "zoe", "zoe"] {
        other.send(&json!({ "type": "name", "name": name }));
        assert_eq!(other.read_type("name")["name"], name);
    }
    other.send(&json!({ "type": "name", "name": "('127.0.0.1', 5000)" }));
    assert_eq!(other.read_type("error")["code"], "bad_name");
}
