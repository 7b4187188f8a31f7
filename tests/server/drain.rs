//! Stopping under load: who is told when, what is still delivered, and what a probe sees meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{Client, without_time};
use crate::support::http::{Request, get, refusal};
use crate::support::raw::{PATIENCE, RawClient, TEXT, close, frame};
use crate::support::server::{Wsloop, wait_until};

/// The number behind `retry-after-ms=`.
fn retry_after(reason: &str) -> u64 {
    let (_, number) = reason.split_once("retry-after-ms=").unwrap_or_else(|| panic!("{reason:?}"));
    number.parse().unwrap_or_else(|_| panic!("{reason:?}"))
}

#[test]
fn closes_are_spread_and_so_are_those_who_come_back() {
    const CLIENTS: usize = 200;
    // Half of it is for telling, in four quarters of a second each.
    let mut server = Wsloop::start(&["--drain-timeout", "8s"]);
    let clients: Vec<RawClient> = (0..CLIENTS).map(|_| RawClient::upgrade(&server, "/echo")).collect();
    server.signal("TERM");
    let started = Instant::now();
    let told: Vec<_> = thread::scope(|scope| {
        let readers = clients.into_iter().map(|mut client| {
            scope.spawn(move || {
                let (code, reason) = client.read_frame().close();
                let after = started.elapsed();
                client.send(&close(1012, ""));
                client.expect_end();
                assert_eq!(code, 1012, "{reason}");
                (after, after + Duration::from_millis(retry_after(&reason)))
            })
        });
        let readers: Vec<_> = readers.collect();
        readers.into_iter().map(|reader| reader.join().expect("told")).collect()
    });
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    // On a busy machine some are heard of later than they were told.
    for quarter in 1..=4 {
        let end = Duration::from_secs(quarter);
        let count = told.iter().filter(|(after, _)| *after < end).count();
        let due = CLIENTS / 4 * usize::try_from(quarter).expect("small");
        assert!((due - 40..=due + 25).contains(&count), "{count} of {CLIENTS} told within {end:?}");
    }
    let earliest = told.iter().map(|(_, back)| *back).min().expect("many");
    assert!(earliest > Duration::from_secs(4), "nobody is called back before all are told: {earliest:?}");
    for second in 4..12 {
        let count = told.iter().filter(|(_, back)| back.as_secs() == second).count();
        assert!(count <= CLIENTS * 7 / 10, "{count} come back in second {second}");
    }
}

#[test]
fn while_it_stops_the_others_talk_on_and_probes_see_it() {
    const MEMBERS: usize = 50;
    let mut server = Wsloop::start(&["--drain-timeout", "30s"]);
    // Told a tenth of a second apart: there are some seconds for the questions in between.
    let mut members: Vec<Client> =
        (0..MEMBERS).map(|number| Client::join(&server, &format!("/?name=m{number}"))).collect();
    let mut newcomer = RawClient::connect(&server);
    newcomer.send(b"GET /echo HTTP/1.1\r\n");
    server.signal("TERM");
    assert_eq!(members[0].read_said_or_close().1, Some(1012));
    let readiness = refusal(&server, &Request::plain(&server, "GET", "/readyz").bytes(), 503);
    assert!(readiness.header("Retry-After").is_some(), "{readiness:?}");
    assert_eq!(get(&server, "/healthz").status, 200);
    assert!(get(&server, "/stats").text().contains("\"draining\""));
    assert_eq!(get(&server, "/metrics").status, 200);
    for path in ["/", "/echo", "/broadcast"] {
        refusal(&server, &Request::upgrade(&server, path).bytes(), 503);
    }
    let (last, others) = members.split_last_mut().expect("fifty");
    last.send_text("is anybody here?");
    let heard = others[MEMBERS - 2].read_said_or_close().0;
    let said = heard.iter().find(|line| line.contains("is anybody")).expect("the message");
    assert_eq!(without_time(said), format!("m{} say: is anybody here?", MEMBERS - 1));
    assert!(heard.iter().any(|line| line.ends_with(" m0 Logout")), "who is closed has left: {heard:?}");
    for member in &mut others[1..MEMBERS - 2] {
        assert_eq!(member.read_said_or_close().1, Some(1012));
    }
    assert_eq!(last.read_said_or_close().1, Some(1012));
    drop(members);
    let end = newcomer.read_to_end();
    assert!(end.starts_with(b"HTTP/1.1 503 "), "who had not asked yet is told at the end: {end:?}");
    drop(newcomer);
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
}

#[test]
fn without_time_to_drain_all_are_told_at_once() {
    let mut server = Wsloop::start(&["--drain-timeout", "0"]);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(&server, "/echo")).collect();
    server.signal("INT");
    for client in &mut clients {
        assert_eq!(client.read_close().0, 1001);
    }
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
}

/// Half a second, and what a busy machine adds; the usual time of those who are to hang up is five.
const BUSY: Duration = Duration::from_secs(3);

/// Nobody who has only to hang up, or has not even asked, holds a stop for longer than half a second.
#[test]
fn who_has_nothing_to_get_does_not_hold_a_stop() {
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (what, sent, answer) in [
        ("silent", "", ""),
        ("in the middle of a request", "GET /echo HTTP/1.1\r\n", "HTTP/1.1 503 "),
        ("answered", page, "HTTP/1.1 200 "),
        ("refused", "GET /no/such HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404 "),
    ] {
        let mut server = Wsloop::start(&[]);
        let mut dialers: Vec<RawClient> = (0..20).map(|_| RawClient::connect(&server)).collect();
        dialers.iter_mut().for_each(|client| client.send(sent.as_bytes()));
        wait_until("all are here", PATIENCE, || get(&server, "/stats").text().contains("\"clients\": 21,"));
        if answer.contains("200") || answer.contains("404") {
            dialers.iter_mut().for_each(|client| drop(client.read_head()));
        }
        let started = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait_exit(PATIENCE), Some(0), "{what}");
        let took = started.elapsed();
        assert!(took < BUSY, "{what}: {took:?}");
        if answer.contains("503") {
            for client in &mut dialers {
                assert!(client.read_to_end().starts_with(answer.as_bytes()), "{what}: each is told");
            }
        }
    }
    // The same for a WebSocket that broke a rule, was told so, and stays.
    let mut server = Wsloop::start(&[]);
    let mut rude = RawClient::upgrade(&server, "/echo");
    rude.send(&frame(0xF1, b"?"));
    assert_eq!(rude.read_frame().close().0, 1002);
    let started = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    assert!(started.elapsed() < BUSY, "{:?}", started.elapsed());
}

fn last_word(server: &mut Wsloop) -> String {
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    let log = server.wait_for_log(PATIENCE, |log| log.contains("stopped: "));
    let line = log.lines().find(|line| line.contains("stopped: ")).expect("the last word").to_owned();
    assert_eq!(line.contains("WARN"), line.contains("not delivered"), "{line}");
    line
}

#[test]
fn the_last_word_is_true_when_all_was_delivered() {
    let all = "every client has got what it was owed";
    // Who does not answer the close has got all the same.
    for (timeout, clients) in [("0", 0), ("0", 50), ("500ms", 3)] {
        let mut server = Wsloop::start(&["--drain-timeout", timeout]);
        let clients: Vec<RawClient> = (0..clients).map(|_| RawClient::upgrade(&server, "/echo")).collect();
        server.signal("TERM");
        let word = last_word(&mut server);
        assert!(word.contains(all), "{timeout}, {} clients: {word}", clients.len());
    }
    // What was lost before is another matter.
    let mut server = Wsloop::start(&["--max-queue", "64M"]);
    let (sleeper, mut sender) =
        (RawClient::upgrade(&server, "/broadcast"), Client::connect(&server, "/broadcast"));
    pile_up(&mut sender);
    sleeper.reset();
    wait_until("the loss is noted", PATIENCE, || !get(&server, "/stats").text().contains("\"lost\": 0,"));
    drop(sender);
    server.signal("TERM");
    let word = last_word(&mut server);
    assert!(word.contains(all), "{word}");
}

/// More than the kernel keeps for who does not read.
fn pile_up(sender: &mut Client) {
    for _ in 0..300 {
        sender.send_binary(&[7; 32 * 1024]);
        assert_eq!(sender.read_binary().len(), 32 * 1024);
    }
}

#[test]
fn the_last_word_counts_what_was_not_delivered_and_who_was_cut() {
    let mut server = Wsloop::start(&["--max-queue", "64M", "--drain-timeout", "500ms"]);
    let sleepers: Vec<RawClient> = (0..3).map(|_| RawClient::upgrade(&server, "/broadcast")).collect();
    let mut sender = Client::connect(&server, "/broadcast");
    let mut other = RawClient::upgrade(&server, "/echo");
    other.send(&frame(TEXT, b"all is well"));
    other.expect_frame(TEXT, b"all is well");
    pile_up(&mut sender);
    server.signal("TERM");
    let word = last_word(&mut server);
    let log = server.log();
    let lost = log.lines().find_map(|line| line.split_once(" dropped + ")?.1.strip_suffix(" lost"));
    let lost: u64 = lost.expect("the ledger's last page").parse().expect("a number");
    assert!((3..=900).contains(&lost), "{lost}");
    let wanted = format!("stopped: {lost} messages were not delivered to 3 clients that were cut");
    assert!(word.ends_with(&wanted), "{word}, and not {wanted}");
    drop((sleepers, sender, other));
}
