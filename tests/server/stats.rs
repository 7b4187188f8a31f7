//! `/stats`, `/readyz` and the ledger: what was owed, and what became of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::http::{Request, get, refusal};
use crate::support::raw::{PATIENCE, RawClient, frame};
use crate::support::server::{Wsloop, wait_until};

const BINARY: u8 = 0x82;

fn stats(server: &Wsloop) -> Value {
    let response = get(server, "/stats");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    let stats: Value = serde_json::from_str(response.text()).expect("JSON");
    let rooms = stats["largest_rooms"].as_array().expect("a list");
    for deliveries in rooms.iter().map(|room| &room["deliveries"]).chain([&stats["deliveries"]]) {
        let of = |name: &str| deliveries[name].as_u64().expect("a count");
        let became = ["delivered", "dropped", "lost", "queued"].map(of).iter().sum::<u64>();
        assert_eq!(of("accepted"), became, "{deliveries}");
    }
    stats
}

#[test]
fn every_delivery_is_counted_for_its_room_and_for_all() {
    let server = Wsloop::start(&[]);
    let nothing = json!({ "accepted": 0, "delivered": 0, "dropped": 0, "lost": 0, "queued": 0 });
    let first = stats(&server);
    assert_eq!((&first["deliveries"], &first["rooms"]), (&nothing, &json!(0)));
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    // A topic of three, of whom one does not hear himself; a room of two; an echo.
    let mut members: Vec<Client> = ["/broadcast/t", "/broadcast/t", "/broadcast/t?self=0"]
        .iter()
        .map(|path| Client::connect(&server, path))
        .collect();
    for _ in 0..5 {
        members[0].send_text("to three");
        members[2].send_text("to two");
        (0..2).for_each(|index| assert_eq!(members[index].read_text(), "to three"));
        assert_eq!(members[2].read_text(), "to three");
        (0..2).for_each(|index| assert_eq!(members[index].read_text(), "to two"));
    }
    // Two Welcomes to the first, one to the second, and a line to both.
    let mut alice = Client::join(&server, "/room?name=alice");
    let mut bob = Client::join(&server, "/room?name=bob");
    assert_eq!(alice.read_text(), "Welcome bob !");
    alice.send_text("hello");
    assert_eq!(
        (alice.read_said(), bob.read_said()).0.split_once(' ').map(|(_, text)| text),
        Some("alice say: hello")
    );
    let mut echo = Client::connect(&server, "/echo");
    echo.send_text("back");
    assert_eq!(echo.read_text(), "back");

    let now = stats(&server);
    // The seventh client is the one who asks.
    assert_eq!((&now["clients"], &now["rooms"]), (&json!(7), &json!(2)));
    let all = 5 * (3 + 2) + (2 + 1 + 2) + 1;
    let delivered =
        |count: u64| json!({ "accepted": count, "delivered": count, "dropped": 0, "lost": 0, "queued": 0 });
    assert_eq!(now["deliveries"], delivered(all));
    let rooms = &now["largest_rooms"];
    assert_eq!((&rooms[0]["kind"], &rooms[0]["members"]), (&json!("topic"), &json!(3)));
    assert_eq!((&rooms[0]["deliveries"], &rooms[1]["deliveries"]), (&delivered(25), &delivered(5)));
    assert_eq!(now["laggards"], json!([]));
    assert!(!now.to_string().contains("alice"), "no names");
}

#[test]
fn who_does_not_read_is_a_laggard_then_dropped_and_the_books_balance() {
    const SIZE: usize = 60_000;
    let mut server = Wsloop::start(&["--max-queue", "4M"]);
    let sleeper = RawClient::upgrade(&server, "/broadcast/flood");
    let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
    let mut sent = 0;
    let say = |count: u64, sender: &mut RawClient| {
        for _ in 0..count {
            sender.send(&frame(BINARY, &vec![b'x'; SIZE]));
        }
        sender.expect_quiet("all is said");
        count
    };
    let mut waiting = json!(null);
    wait_until("something waits for the sleeper", PATIENCE, || {
        sent += say(5, &mut sender);
        waiting = stats(&server);
        waiting["laggards"][0]["queued_messages"].as_u64() > Some(3)
    });
    assert_eq!(waiting["deliveries"]["accepted"], json!(sent));
    assert_eq!(waiting["laggards"].as_array().map(Vec::len), Some(1));
    assert_eq!(waiting["laggards"][0]["queued_bytes"], waiting["queued_bytes"]);
    assert_eq!(waiting["laggards"][0]["queued_messages"], waiting["deliveries"]["queued"]);
    wait_until("the sleeper is cut", PATIENCE, || {
        sent += say(20, &mut sender);
        stats(&server)["deliveries"]["dropped"].as_u64() > Some(60)
    });
    let dropped = stats(&server)["deliveries"]["dropped"].clone();
    drop(sleeper);
    wait_until("nothing waits any more", PATIENCE, || stats(&server)["deliveries"]["queued"] == 0);
    let last = stats(&server)["deliveries"].clone();
    assert_eq!(last["dropped"], dropped);
    // What had begun to leave may be lost with the connection, a frame at most.
    assert!(last["lost"].as_u64() <= Some(1), "{last}");

    server.signal("TERM");
    assert_eq!(server.wait_exit(Duration::from_secs(20)), Some(0));
    let log = server.log();
    let of = |name: &str| last[name].as_u64().expect("a count");
    let wanted = format!(
        "deliveries: {} accepted = {} delivered + {dropped} dropped + {} lost",
        of("accepted"),
        of("delivered"),
        of("lost")
    );
    assert!(log.contains(&wanted), "{wanted} is not in {log}");
}

#[test]
fn readiness_and_who_may_read_reports() {
    let server = Wsloop::start(&[]);
    assert_eq!(get(&server, "/readyz").text(), "ready\n");
    for path in ["/stats", "/readyz"] {
        let head = Request::plain(&server, "HEAD", path).bytes();
        let mut client = RawClient::connect(&server);
        client.send(&head);
        let response = client.read_response(true);
        assert_eq!((response.status, response.text()), (200, ""), "{path}");
        refusal(&server, &Request::upgrade(&server, path).bytes(), 400);
        refusal(&server, &Request::plain(&server, "POST", path).bytes(), 405);
        // DNS rebinding: a page of somebody else's must not read them.
        let foreign = Request::plain(&server, "GET", path).set("Host", "evil.test");
        refusal(&server, &foreign.bytes(), 421);
    }
}
