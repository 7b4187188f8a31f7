//! `/stats`, `/readyz` and the ledger: what was owed, and what became of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::http::{Request, get, refusal};
use crate::support::raw::{PATIENCE, RawClient, frame};
use crate::support::server::{Wsloop, wait_until};

const BINARY: u8 = 0x82;

pub(crate) fn stats(server: &Wsloop) -> Value {
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

/// The report once so many clients are there, who asks included.
fn stats_of(server: &Wsloop, clients: u64) -> Value {
    let mut report = Value::Null;
    wait_until("those who went have been seen to go", PATIENCE, || {
        report = stats(server);
        report["clients"] == clients
    });
    report
}

#[test]
fn every_delivery_is_counted_for_its_room_and_for_all() {
    let server = Wsloop::start(&[]);
    let nothing = json!({ "accepted": 0, "delivered": 0, "dropped": 0, "lost": 0, "queued": 0 });
    let first = stats(&server);
    assert_eq!((&first["deliveries"], &first["rooms"]), (&nothing, &json!(0)));
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    // A topic of three, of whom one does not hear itself; a room of two; an echo.
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

    // The seventh client is the one who asks.
    let now = stats_of(&server, 7);
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

/// The value of a metric, by its whole name with labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn check_times_and_process(text: &str) {
    for times in ["turn_duration", "fanout_duration", "ping_rtt"] {
        let of = |what: &str| metric(text, &format!("wsloop_{times}_seconds_{what}")).expect("a histogram");
        assert!(of("count") >= 3.0 && of("count") == of("bucket{le=\"+Inf\"}"), "{times}: {text}");
        assert!((0.0..10.0).contains(&of("sum")), "{times}");
    }
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
        assert!(metric(text, &format!("process_{name}")).is_some(), "{name}: {text}");
    }
}

/// Until each has answered a ping; returns how often the server was asked, since who asks is a connection too.
fn answer_pings(server: &Wsloop, members: &mut [Client]) -> u32 {
    let mut asked = 0;
    wait_until("each has answered a ping", PATIENCE, || {
        for member in &mut *members {
            assert_eq!(member.read_within(Duration::from_millis(200)), None);
        }
        asked += 1;
        stats(server)["ping_us"]["count"].as_u64() >= Some(members.len() as u64)
    });
    asked
}

#[test]
fn metrics_say_what_stats_say() {
    let server = Wsloop::start(&["--ping-interval", "1s"]);
    let mut members: Vec<Client> =
        (0..3).map(|_| Client::connect(&server, "/broadcast/secret-topic")).collect();
    let asked = answer_pings(&server, &mut members);
    for number in 0..10 {
        members[0].send_text(&format!("secret {number}"));
        members.iter_mut().for_each(|member| assert_eq!(member.read_text(), format!("secret {number}")));
    }
    refusal(&server, &Request::plain(&server, "GET", "/echo").bytes(), 426);
    refusal(&server, &Request::upgrade(&server, "/stats").bytes(), 400);
    members[2].send_close();
    assert_eq!(members[2].read_close().0, 1000);
    let stats = stats(&server);
    let response = get(&server, "/metrics");
    let kind = response.header("Content-Type").expect("a type");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = response.text();
    for (name, value) in [
        ("wsloop_messages_received_total", 10.0),
        ("wsloop_messages_accepted_total", 30.0),
        ("wsloop_messages_delivered_total", 30.0),
        ("wsloop_messages_lost_total", 0.0),
        ("wsloop_messages_queued", 0.0),
        ("wsloop_messages_dropped_total{reason=\"queue_full\"}", 0.0),
        ("wsloop_messages_dropped_total{reason=\"skipped\"}", 0.0),
        ("wsloop_connections_rejected_total{reason=\"upgrade\"}", 1.0),
        ("wsloop_connections_rejected_total{reason=\"malformed\"}", 1.0),
        ("wsloop_connections_closed_total{code=\"1000\"}", 1.0),
        ("wsloop_connections_accepted_total", 7.0 + f64::from(asked)),
        ("wsloop_queued_bytes", 0.0),
        ("wsloop_buffered_bytes", 0.0),
        ("wsloop_unfinished_bytes", 0.0),
        (concat!("wsloop_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(metric(text, name), Some(value), "{name} in {text}");
    }
    assert!(metric(text, "wsloop_connections") >= Some(3.0), "the two, and who asks: {text}");
    assert!(metric(text, "wsloop_received_bytes_total") > Some(500.0));
    assert!(metric(text, "wsloop_sent_bytes_total") > Some(500.0));
    check_times_and_process(text);
    check_names(text);
    assert!(text.ends_with("# EOF\n") && !text.contains("secret") && !text.contains("127.0.0.1"), "{text}");
    // The same, in the other form.
    assert_eq!(stats["rejected"], json!({ "malformed": 1, "upgrade": 1 }));
    assert_eq!(stats["refusals_last_minute"], stats["rejected"]);
    assert_eq!((&stats["closed"], &stats["messages_received"]), (&json!({ "1000": 1 }), &json!(10)));
    for times in ["turn_us", "fanout_us", "ping_us"] {
        let of = |what: &str| stats[times][what].as_u64().expect("a number");
        assert!(of("count") >= 3 && of("p50") <= of("p99") && of("p99") <= of("max"), "{stats:#}");
    }
}

/// The metrics are those that operators are told of.
fn check_names(text: &str) {
    const DOCUMENT: &str = include_str!("../../src/OPERATING.md");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE wsloop_"));
    let there: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|word| word.strip_prefix("…_").or_else(|| word.strip_prefix("wsloop_")));
    // The ends of what is counted, and of what is always one, are no part of a name (OpenMetrics 1.0).
    let named = names.map(|name| name.split('{').next().unwrap_or_default());
    let told: BTreeSet<&str> =
        named.map(|name| name.trim_end_matches("_total").trim_end_matches("_info")).collect();
    assert_eq!(told, there);
}

#[test]
fn readiness_and_who_may_read_reports() {
    let server = Wsloop::start(&[]);
    assert_eq!(get(&server, "/readyz").text(), "ready\n");
    for path in ["/stats", "/stats/history", "/readyz", "/metrics"] {
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

#[test]
fn operators_may_have_an_address_of_their_own() {
    let server = Wsloop::start(&["--admin", "127.0.0.1:0", "--max-clients", "1"]);
    let log = server.wait_for_log(PATIENCE, |log| log.contains("operators: open "));
    let url = log.split_once("operators: open ").expect("a line").1.split(' ').next().expect("a URL");
    let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/dashboard")).expect(url);
    let address: std::net::SocketAddr = address.parse().expect("an address");
    let sockets = server.open_sockets();
    // There is but one place, and who asked before may still have it.
    let wait_for_place = || wait_until("the place is free", PATIENCE, || server.open_sockets() <= sockets);
    // The one place is taken, but operators may look.
    let mut only = RawClient::upgrade(&server, "/echo");
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut client = RawClient::connect_at(address);
        client.send(request.as_bytes());
        client.read_response(false)
    };
    for (path, status) in [
        ("/stats", 200),
        ("/stats/history", 200),
        ("/metrics", 200),
        ("/dashboard", 200),
        ("/assets/dashboard.js", 200),
        ("/healthz", 200),
        ("/", 404),
        ("/tea", 404),
        ("/echo", 404),
    ] {
        assert_eq!(ask(path).status, status, "{path}");
    }
    only.expect_quiet("and cost nobody anything");
    drop(only);
    wait_until("the place is free", PATIENCE, || ask("/stats").text().contains("\"clients\": 0,"));
    for path in ["/stats", "/stats/history", "/metrics", "/dashboard"] {
        wait_for_place();
        refusal(&server, &Request::plain(&server, "GET", path).bytes(), 404);
    }
    wait_for_place();
    assert_eq!(get(&server, "/healthz").status, 200);
}

#[test]
fn the_loop_is_judged_once_a_second_and_what_happened_is_told() {
    let server = Wsloop::start(&["--max-clients", "3"]);
    let mut report = stats(&server);
    assert_eq!((&report["balanced"], &report["clients_max"]), (&json!(true), &json!(3)));
    let first = report["events"].as_array().and_then(|events| events.last()).expect("one at least");
    assert_eq!((&first["kind"], &first["what"]), (&json!("state"), &json!("started")));
    let clients: Vec<RawClient> = (0..3).map(|_| RawClient::upgrade(&server, "/echo")).collect();
    wait_until("it is found to be full", PATIENCE, || {
        report = stats(&server);
        let reasons = report["verdict"]["reasons"].as_array().expect("a list");
        reasons.iter().any(|reason| reason["what"] == "places" && reason["state"] == "ill")
    });
    assert_eq!(report["verdict"]["state"], "ill");
    let of = |name: &str| report["loop"][name].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&of("cpu")) && (0.0..=1.0).contains(&of("idle")), "{report:#}");
    assert!(of("cpu") + of("idle") <= 1.001 && of("started_ms") <= of("now_ms"), "{report:#}");
    let metrics = get(&server, "/metrics");
    assert_eq!(metric(metrics.text(), "wsloop_health"), Some(2.0));
    assert_eq!(metric(metrics.text(), "wsloop_connections_max"), Some(3.0));
    // It was stopped: nobody's time, and yet not well.
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(2_500));
    server.signal("CONT");
    wait_until("the pause is told", PATIENCE, || {
        report = stats(&server);
        report["verdict"]["reasons"].to_string().contains("the loop stood still: ")
    });
    assert!(report["loop"]["stood_seconds"].as_u64() >= Some(2), "{report:#}");
    let events = report["events"].to_string();
    assert!(events.contains("\"kind\":\"loop\"") && !events.contains("127.0.0.1"), "{events}");
    drop(clients);
}

/// Who floods itself hurts nobody: it is told what was dropped, and that is no reason.
#[test]
fn an_echo_that_does_not_read_leaves_the_server_well() {
    let server = Wsloop::start(&["--max-queue", "128K"]);
    let message = frame(BINARY, &[b'x'; 50_000]);
    let mut flood = RawClient::upgrade(&server, "/echo?slow=skip");
    wait_until("it has lost much", PATIENCE, || {
        (0..20).for_each(|_| flood.send(&message));
        stats(&server)["dropped"]["skipped"].as_u64() >= Some(200)
    });
    let mut sleeper = RawClient::upgrade(&server, "/echo");
    wait_until("the other is closed", PATIENCE, || {
        let _ = sleeper.try_send(&message);
        stats(&server)["dropped"]["queue_full"].as_u64() >= Some(1)
    });
    let before = stats(&server);
    let mut report = Value::Null;
    wait_until("all of that has been judged", PATIENCE, || {
        report = stats(&server);
        report["loop"]["uptime_seconds"].as_u64() >= before["loop"]["uptime_seconds"].as_u64().map(|s| s + 3)
    });
    let reasons = report["verdict"]["reasons"].as_array().expect("a list");
    assert!(reasons.iter().all(|reason| reason["what"] != "dropped"), "{report:#}");
    let events = report["events"].as_array().expect("a list");
    assert!(events.iter().any(|event| event["what"] == "skipped"), "{report:#}");
    assert_eq!(report["drops_last_minute"], report["dropped"], "it is not up for a minute");
    assert!(report["closed"]["1013"].as_u64() >= Some(1), "{report:#}");
    assert_eq!(report["closes_last_minute"], report["closed"]);
}

#[test]
fn only_operators_with_an_address_of_their_own_are_told_who_and_where() {
    let apart = Wsloop::start(&["--admin", "127.0.0.1:0"]);
    let common = Wsloop::start(&[]);
    let log = apart.wait_for_log(PATIENCE, |log| log.contains("operators: open "));
    let url = log.split_once("operators: open http://").expect("a line").1;
    let operators: std::net::SocketAddr = url.split('/').next().expect("a URL").parse().expect("an address");
    for (server, asked, is_told) in [(&apart, operators, true), (&common, common.address(), false)] {
        let mut sender = RawClient::upgrade(server, "/broadcast/flood?self=0");
        let violator = {
            let mut violator = RawClient::upgrade(server, "/echo");
            violator.send(&[0xff, 0xff]);
            violator.expect_close(1002);
            violator
        };
        let ask = || {
            let mut client = RawClient::connect_at(asked);
            let request = format!("GET /stats HTTP/1.1\r\nHost: {asked}\r\nConnection: close\r\n\r\n");
            client.send(request.as_bytes());
            let response = client.read_response(false);
            let report: Value = serde_json::from_str(response.text()).expect("JSON");
            report
        };
        let mut report = Value::Null;
        wait_until("the sender stands out", PATIENCE, || {
            (0..200).for_each(|_| sender.send(&frame(BINARY, &vec![b'x'; 10_000])));
            report = ask();
            report["talkers"][0]["share"].as_f64() > Some(0.0)
        });
        let talker = &report["talkers"][0];
        assert_eq!(talker.get("place"), is_told.then_some(&json!("topic flood")), "{report:#}");
        assert_eq!(talker["address"].as_str().is_some_and(|told| told.starts_with("127.0.0.1:")), is_told);
        assert_eq!(report["largest_rooms"][0].get("name"), is_told.then_some(&json!("flood")));
        let events = report["events"].as_array().expect("a list");
        let closed = events.iter().find(|event| event["what"] == "1002").expect("the close is told");
        assert_eq!(closed["address"].as_str().is_some_and(|told| told.starts_with("127.0.0.1:")), is_told);
        assert_eq!(report.to_string().contains("127.0.0.1"), is_told, "{report:#}");
        drop((sender, violator));
    }
}
