//! Operators look when it matters: when all places are taken and a crowd stands before every entrance.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::support::http::{Request, Response};
use crate::support::raw::{PATIENCE, RawClient};
use crate::support::server::{Wsloop, wait_until};

const CLIENTS: usize = 4;

/// The addresses of a server that has one for operators.
fn entrances(server: &Wsloop) -> (SocketAddr, SocketAddr) {
    let log = server.wait_for_log(PATIENCE, |log| log.contains("operators: open "));
    let url = log.split_once("operators: open http://").expect("a line").1;
    let operators = url.split_once('/').expect("a URL").0;
    (server.address(), operators.parse().expect("an address"))
}

fn ask(address: SocketAddr, path: &str) -> Response {
    let mut client = RawClient::connect_at(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let _ = client.try_send(request.as_bytes());
    client.read_response(false)
}

fn stats(address: SocketAddr) -> Value {
    serde_json::from_str(ask(address, "/stats").text()).expect("JSON")
}

fn fill(address: SocketAddr, count: usize) -> Vec<RawClient> {
    (0..count).map(|_| RawClient::upgrade_at(address, "/echo")).collect()
}

/// Those who dial and stay: some silent, some in the middle of a request, some refused, some who do not read.
fn dial(address: SocketAddr, number: usize) -> RawClient {
    let mut client = RawClient::connect_at(address);
    let request = match number % 4 {
        0 => String::new(),
        1 => "GET /stats HT".to_owned(),
        2 => String::from_utf8(Request::upgrade_at(address, "/echo").bytes()).expect("text"),
        _ => format!("GET /assets/uplot.js HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    };
    // It may have been displaced already.
    let _ = client.try_send(request.as_bytes());
    client
}

/// Reports at `asked` while the server is full and so many stand before `crowded`.
fn check_reports(server: &Wsloop, asked: SocketAddr, crowded: SocketAddr, crowd: usize) {
    const REPORTS: usize = 228;
    let clients = fill(server.address(), CLIENTS);
    let mut dialers: Vec<RawClient> = (0..crowd).map(|number| dial(crowded, number)).collect();
    for number in 0..REPORTS {
        let report = stats(asked);
        assert_eq!(report["websockets"], CLIENTS, "report {number}");
        dialers[number % crowd] = dial(crowded, number);
    }
    drop((clients, dialers));
    wait_until("all have gone", PATIENCE, || {
        let report = stats(asked);
        report["websockets"] == 0 && report["clients"].as_u64() <= Some(1)
    });
}

#[test]
fn reports_are_given_whoever_stands_before_the_doors() {
    let max_clients = CLIENTS.to_string();
    let common = Wsloop::start(&["--max-clients", &max_clients]);
    let apart = Wsloop::start(&["--max-clients", &max_clients, "--admin", "127.0.0.1:0"]);
    let (users, operators) = entrances(&apart);
    for crowd in [32, 200] {
        check_reports(&common, common.address(), common.address(), crowd);
        check_reports(&apart, operators, users, crowd);
        check_reports(&apart, operators, operators, crowd);
    }
}

#[test]
fn a_full_server_answers_operators_and_refuses_all_others() {
    let server = Wsloop::start(&["--max-clients", "1"]);
    let mut only = RawClient::upgrade(&server, "/echo");
    for (path, status) in [
        ("/stats", 200),
        ("/metrics", 200),
        ("/dashboard", 200),
        ("/assets/dashboard.js", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 503),
        ("/tea", 503),
        ("/echo", 503),
        ("/no/such", 404),
    ] {
        assert_eq!(ask(server.address(), path).status, status, "{path}");
    }
    // Who has come meanwhile gets the place that becomes free.
    let mut guest = RawClient::connect(&server);
    let report = stats(server.address());
    assert_eq!((&report["clients"], &report["guests"]), (&1.into(), &2.into()), "the guest, and who asks");
    only.send(&crate::support::raw::close(1000, ""));
    only.expect_close(1000);
    only.expect_end();
    guest.send(&Request::upgrade(&server, "/echo").bytes());
    guest.expect_upgraded();
}

#[test]
fn operators_are_nobodys_clients() {
    let server = Wsloop::start(&["--max-clients", "40", "--max-per-ip", "1", "--admin", "127.0.0.1:0"]);
    let (users, operators) = entrances(&server);
    let client = RawClient::upgrade(&server, "/echo");
    // More than the address may have, were they counted.
    for _ in 0..60 {
        let held: Vec<RawClient> = (0..12).map(|_| RawClient::connect_at(operators)).collect();
        let report = stats(operators);
        assert_eq!((&report["clients"], &report["websockets"]), (&1.into(), &1.into()), "{report}");
        assert!(report["operators"].as_u64() >= Some(12), "{report}");
        drop(held);
    }
    let metrics = ask(operators, "/metrics");
    assert!(metrics.text().contains("\nwsloop_connections 1.0\n"), "{}", metrics.text());
    // And a crowd of users leaves the operators' places alone.
    let before = stats(operators)["rejected"].take();
    let crowd: Vec<RawClient> = (0..100).map(|_| RawClient::connect_at(users)).collect();
    wait_until("most of it is refused", PATIENCE, || {
        stats(operators)["rejected"]["address_full"].as_u64() >= Some(50)
    });
    assert_eq!(stats(operators)["rejected"]["displaced"], before["displaced"]);
    drop((client, crowd));
}

/// What `--max-clients` leaves of the open files suffices for guests and operators.
#[test]
fn no_crowd_uses_up_the_descriptors() {
    const CLIENTS: usize = 64;
    const OTHER_FILES: usize = 64;
    let server = Wsloop::start(&["--max-clients", "64", "--admin", "127.0.0.1:0"]);
    let most = CLIENTS + OTHER_FILES;
    let status = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--nofile={most}:{most}")])
        .status()
        .expect("util-linux is on every machine");
    assert!(status.success());
    let (users, operators) = entrances(&server);
    let clients = fill(users, CLIENTS);
    let crowd: Vec<RawClient> = (0..200).map(|number| dial([users, operators][number % 2], number)).collect();
    for _ in 0..50 {
        // The most that can be open at once is when the process looks at itself.
        assert_eq!(ask(operators, "/metrics").status, 200);
        assert!(server.open_files() <= most);
    }
    assert_eq!(stats(operators)["websockets"], CLIENTS);
    assert!(!server.log().contains("cannot take"), "{}", server.log());
    drop((clients, crowd));
}
