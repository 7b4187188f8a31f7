//! Tables of requests and what becomes of them.

use std::collections::BTreeSet;

use super::routes::{ROUTES, is_placeholder};
use super::*;
use crate::chat::Subscription;

const SUBPROTOCOLS: Subprotocols<'_> = Subprotocols { rooms: &["chat", "wsloop.json"], elsewhere: &["chat"] };

fn site() -> Site {
    let hosts = vec!["localhost".to_owned(), "chat.example".to_owned()];
    Site::new(hosts, vec!["https://friend.example".to_owned()], true)
}

/// The answer as text: a status, or what a WebSocket is opened for.
fn answer(target: &str, lines: &str) -> String {
    let host = if lines.contains("Host:") { "" } else { "Host: localhost:8080\r\n" };
    let head = format!("GET {target} HTTP/1.1\r\n{host}{lines}\r\n");
    match site().answer(head.as_bytes(), Service::All, Surface::Everything, SUBPROTOCOLS) {
        Ok(Answer::Respond(response, _)) => response.status().to_string(),
        Ok(Answer::Report(report, _)) => format!("{report:?}"),
        Ok(Answer::Try(response, _)) => format!("try {}", response.status()),
        Ok(Answer::Open(Opening { endpoint, subprotocol, slow, .. })) => {
            let slow = slow.map_or(String::new(), |slow| format!(" {slow:?}"));
            match endpoint {
                Endpoint::Echo => format!("echo{slow}"),
                Endpoint::Channel(Subscription { channel, name, hears_self, key, since, .. }) => {
                    let form = subprotocol.map_or(String::new(), |subprotocol| format!(" {subprotocol}"));
                    let key = key.map_or("", |_| " key");
                    let since = since.map_or(String::new(), |(seq, epoch)| format!(" since {seq} {epoch}"));
                    format!("{channel:?} {} {hears_self}{slow}{form}{key}{since}", name.unwrap_or_default())
                }
            }
        }
        Err(refusal) => refusal.status().to_string(),
    }
}

fn get(target: &str, service: Service, surface: Surface) -> Result<Answer, Refusal> {
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    site().answer(head.as_bytes(), service, surface, SUBPROTOCOLS)
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn how_slow_clients_and_those_who_come_back_want_to_be_treated() {
    let key = "k".repeat(32);
    let (short, long) = (format!("/tea?key={}", &key[1..]), format!("/tea?key={}", "k".repeat(129)));
    for (target, upgrade) in [
        ("/?slow=skip", r#"Room("lobby")  true Skip"#),
        ("/echo?slow=close", "echo Close"),
        ("/broadcast?self=0&slow=skip", r#"Topic("")  false Skip"#),
        ("/broadcast?slow=", "400"),
        ("/room?slow=Skip", "400"),
        ("/tea?since=7&epoch=ab", r#"Room("tea")  true since 7 ab"#),
        ("/tea?epoch=ab", r#"Room("tea")  true"#),
        ("/tea?since=7", "400"),
        ("/tea?since=-1&epoch=ab", "400"),
        (&format!("/tea?key={key}"), r#"Room("tea")  true key"#),
        (&short, "400"),
        (&long, "400"),
        (&format!("/tea?key=%20{key}"), "400"),
        (&format!("/broadcast?key={key}"), r#"Topic("")  true"#),
    ] {
        assert_eq!(answer(target, UPGRADE), upgrade, "{target}");
    }
    let json = format!("{UPGRADE}Sec-WebSocket-Protocol: wsloop.json\r\n");
    assert_eq!(answer("/tea", &json), r#"Room("tea")  true wsloop.json"#);
    assert_eq!(answer("/broadcast", &json), r#"Topic("")  true"#);
}

/// Paths: what a plain request gets there, and what a WebSocket.
const PATHS: &[(&str, &str, &str)] = &[
    ("/", "200", r#"Room("lobby")  true"#),
    ("/lobby", "200", r#"Room("lobby")  true"#),
    ("/chatsocket?x=1", "200", r#"Room("chatsocket")  true"#),
    ("/?name=alice", "200", r#"Room("lobby") alice true"#),
    ("/?name=", "200", r#"Room("lobby")  true"#),
    ("/?name=a+b%20%E4%BD%A0", "200", r#"Room("lobby") a b 你 true"#),
    ("/%E5%A4%A7%E5%8E%85", "200", r#"Room("大厅")  true"#),
    ("/e%CC%81", "200", r#"Room("é")  true"#),
    ("/%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80", "200", r#"Room("हिन\u{94d}दी")  true"#),
    ("/a-b_c.d~e", "200", r#"Room("a-b_c.d~e")  true"#),
    ("/echo", "426", "echo"),
    ("/%65cho", "426", "echo"),
    ("/broadcast", "426", r#"Topic("")  true"#),
    ("/broadcast?self=0", "426", r#"Topic("")  false"#),
    ("/broadcast/news?self=1", "426", r#"Topic("news")  true"#),
    ("/healthz", "200", "400"),
    ("/assets/chat.js", "200", "400"),
    ("/assets/chat.css", "200", "400"),
    ("/assets/favicon.svg", "200", "400"),
    ("/assets/manifest.webmanifest", "200", "400"),
    ("/readyz", "200", "400"),
    ("/stats", "Stats", "400"),
    ("/stats/", "404", "404"),
    ("/stats/history", "History", "400"),
    ("/stats/history/", "404", "404"),
    ("/metrics", "Metrics", "400"),
    ("/dashboard", "200", "400"),
    ("/assets/uplot.js", "200", "400"),
    ("/favicon.ico", "404", "404"),
    ("/robots.txt", "404", "404"),
    ("/events", "404", "404"),
    ("/publish", "404", "404"),
    ("/assets", "404", "404"),
    ("/assets/", "404", "404"),
    ("/assets/../Cargo.toml", "404", "404"),
    ("/assets/..%2fCargo.toml", "404", "404"),
    ("/assets/CHAT.JS", "404", "404"),
    ("/..", "404", "404"),
    ("/%2e%2e", "404", "404"),
    ("/a/b", "404", "404"),
    ("/a%2fb", "404", "404"),
    ("/a/", "404", "404"),
    ("//", "404", "404"),
    ("/a%00", "404", "404"),
    ("/a%0d%0ab", "404", "404"),
    ("/%E2%80%AEevil", "404", "404"),
    ("/a%20b", "404", "404"),
    ("/%CC%81", "404", "404"),
    ("/broadcast/", "404", "404"),
    ("/broadcast/a/b", "404", "404"),
    ("/%zz", "400", "400"),
    ("/%", "400", "400"),
    ("/%+1", "400", "400"),
    ("/%ff", "400", "400"),
];

#[test]
fn paths() {
    for &(target, plain, upgrade) in PATHS {
        assert_eq!(answer(target, ""), plain, "GET {target}");
        assert_eq!(answer(target, UPGRADE), upgrade, "upgrade {target}");
    }
    let name = |count| format!("/{}", "a".repeat(count));
    assert_eq!((answer(&name(64), ""), answer(&name(65), "")), ("200".to_owned(), "404".to_owned()));
}

/// A plain request that asks whether a WebSocket of a page of that origin could be opened.
#[test]
fn tries() {
    for (target, origin, wanted) in [
        ("/tea", "http://localhost:8080", "try 200"),
        ("/", "https://friend.example", "try 200"),
        ("/tea?name=alice", "", "try 200"),
        ("/tea", "http://localhost:8081", "403"),
        ("/tea", "https://evil.test", "403"),
        ("/tea", "null", "403"),
        ("/a/b", "http://localhost:8080", "404"),
        ("/healthz", "https://evil.test", "200"),
    ] {
        assert_eq!(answer(target, &format!("Wsloop-Try: {origin}\r\n")), wanted, "{target} from {origin:?}");
    }
    assert_eq!(answer("/tea", "Wsloop-Try: a\r\nWsloop-Try: b\r\n"), "400");
    let head = "GET /tea HTTP/1.1\r\nHost: localhost\r\nWsloop-Try: https://evil.test\r\n\r\n";
    for (service, wanted) in [(Service::Full, Refusal::Full), (Service::Draining, Refusal::Draining)] {
        let refusal = site().answer(head.as_bytes(), service, Surface::Everything, SUBPROTOCOLS);
        assert_eq!(refusal.err(), Some(wanted), "whether there is a place comes first, as for a WebSocket");
    }
}

#[test]
fn names_of_people() {
    let long = "x".repeat(33);
    for (name, is_allowed) in [
        ("alice", true),
        ("%3Cb%3E%26", true),
        ("%E5%B0%8F%E6%98%8E", true),
        (&long[..32], true),
        (&long, false),
        ("%20", false),
        ("a%20", false),
        ("a%0Ab", false),
        ("a%1Bb", false),
        ("a%7Fb", false),
        ("%E2%80%AEb", false),
        ("a%E2%80%8Bb", false),
        ("a%E2%81%A0b", false),
        ("a%EF%BB%BFb", false),
        ("%C2%AD", false),
        ("%E3%85%A4", false),
        ("%ff", false),
        ("%D0%B0lice", false),
        ("127.0.0.1", false),
        ("%28%27127.0.0.1%27,%205000%29", false),
        ("%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7", true),
        ("%CC%81", false),
        ("%EE%80%80", false),
    ] {
        let got = answer(&format!("/?name={name}"), UPGRADE);
        assert_eq!(got != "400", is_allowed, "{name}: {got}");
    }
    assert_eq!(answer("/broadcast?self=no", UPGRADE), "400");
}

#[test]
fn hosts() {
    for (host, is_answered) in [
        ("localhost", true),
        ("LOCALHOST:99", true),
        ("127.0.0.1:8080", true),
        ("[::1]:8080", true),
        ("192.0.2.7", true),
        ("chat.example", true),
        ("Chat.Example:8080", true),
        ("evil.test", false),
        ("localhost.evil.test", false),
        ("chat.example.evil.test", false),
    ] {
        for lines in ["", UPGRADE] {
            let got = answer("/", &format!("Host: {host}\r\n{lines}"));
            assert_eq!(got != "421", is_answered, "{host}: {got}");
        }
    }
}

#[test]
fn origins() {
    for (host, origin, is_let_in) in [
        ("localhost:8080", "http://localhost:8080", true),
        ("localhost:8080", "HTTP://LOCALHOST:8080", true),
        ("localhost:8080", "http://localhost:8081", false),
        ("localhost:8080", "http://localhost", false),
        ("localhost:8080", "http://127.0.0.1:8080", false),
        ("localhost", "http://localhost", true),
        ("localhost", "http://localhost:80", true),
        ("localhost:80", "http://localhost", true),
        ("chat.example", "https://chat.example", true),
        ("chat.example:443", "https://chat.example", true),
        ("chat.example:80", "https://chat.example", false),
        ("chat.example", "http://chat.example:443", false),
        ("[::1]:8080", "http://[::1]:8080", true),
        ("localhost:8080", "https://friend.example", true),
        ("localhost:8080", "https://FRIEND.example", true),
        ("localhost:8080", "https://friend.example:443", false),
        ("localhost:8080", "http://friend.example", false),
        ("localhost:8080", "https://evil.test", false),
        ("localhost:8080", "null", false),
        ("localhost:8080", "", false),
        ("localhost:8080", "file://", false),
        ("localhost:8080", "http://localhost:8080/", false),
        ("localhost:8080", "http://localhost:8080@evil.test", false),
        ("localhost:8080", "http://evil.test/localhost:8080", false),
        ("localhost:8080", "chrome-extension://localhost:8080", false),
    ] {
        let got = answer("/echo", &format!("Host: {host}\r\nOrigin: {origin}\r\n{UPGRADE}"));
        assert_eq!(got, if is_let_in { "echo" } else { "403" }, "{origin:?} at {host}");
    }
    // A plain GET bears no danger: nothing of it can be read by another site's page.
    assert_eq!(answer("/", "Origin: https://evil.test\r\n"), "200");
    let twice = "Origin: http://localhost:8080\r\n".repeat(2);
    assert_eq!(answer("/echo", &format!("{twice}{UPGRADE}")), "400");
}

#[test]
fn broken_handshakes_are_told_so() {
    let no_upgrade = UPGRADE.replace("Upgrade: websocket\r\n", "");
    assert_eq!(answer("/", &no_upgrade), "426");
    assert_eq!(answer("/", "Upgrade: h2c\r\nConnection: Upgrade\r\n"), "200");
    let draining = site().answer(
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        Service::Draining,
        Surface::Everything,
        SUBPROTOCOLS,
    );
    assert_eq!(draining.expect_err("not our host").status(), 421);
    let draining = get("/", Service::Draining, Surface::Everything);
    assert_eq!(draining.expect_err("stopping").status(), 503);
}

#[test]
fn files_are_not_sent_twice() {
    let Ok(Answer::Respond(response, _)) = get("/", Service::All, Surface::Everything) else {
        panic!("the page is there");
    };
    let text = String::from_utf8(response.encode(None, false)).expect("ASCII");
    let tag = text.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("a tag").to_owned();
    for (value, wanted) in [
        (tag.clone(), "304"),
        (format!("\"x\", W/{tag}"), "304"),
        ("*".to_owned(), "304"),
        ("\"x\"".to_owned(), "200"),
        (tag.trim_matches('"').to_owned(), "200"),
    ] {
        assert_eq!(answer("/", &format!("If-None-Match: {value}\r\n")), wanted, "{value}");
    }
}

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let Ok(Answer::Respond(response, true)) = get("/", Service::All, Surface::Everything) else {
        panic!("the page is there");
    };
    let text = String::from_utf8(response.encode(None, true)).expect("UTF-8");
    for wanted in [
        "\r\nContent-Type: text/html; charset=utf-8\r\n",
        "\r\nContent-Security-Policy: default-src 'none'; ",
        "frame-ancestors 'none'\r\n",
        "\r\nX-Content-Type-Options: nosniff\r\n",
        "\r\nX-Frame-Options: DENY\r\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is missing");
    }
}

#[test]
fn operators_with_an_address_of_their_own_get_the_reports_there_and_only_there() {
    // For users, and for operators.
    for (target, users, operators) in [
        ("/", true, false),
        ("/room", true, false),
        ("/echo", true, false),
        ("/assets/dashboard.js", true, true),
        ("/healthz", true, true),
        ("/readyz", true, true),
        ("/stats", false, true),
        ("/metrics", false, true),
        ("/dashboard", false, true),
    ] {
        for (surface, is_there) in [(Surface::Users, users), (Surface::Operators, operators)] {
            let is_missing = matches!(get(target, Service::All, surface), Err(Refusal::NoSuchPath(_)));
            assert_eq!(is_missing, !is_there, "{target} for {surface:?}");
        }
    }
}

// ---------------------------------------------------------------- what is compared with the table of paths

const README: &str = include_str!("../../README.md");

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_line_of_the_table_is_tried() {
    let tried: BTreeSet<&str> = PATHS
        .iter()
        .filter_map(|(target, ..)| routes::find(target.split('?').next()?).ok())
        .map(|(route, _)| route.path)
        .collect();
    let all: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(tried, all);
    assert_eq!(all.len(), ROUTES.len(), "each path stands there once");
}

#[test]
fn the_page_knows_the_names_that_no_room_can_have() {
    let script = include_str!("../../static/names.js");
    let (_, list) = script.split_once("const RESERVED_ROOMS = [").expect("a list");
    let (list, _) = list.split_once(']').expect("an end");
    let known: Vec<&str> = list.split(',').map(|name| name.trim().trim_matches('"')).collect();
    assert_eq!(known, Vec::from_iter(reserved_names()));
}

#[test]
fn the_readme_names_the_names_that_no_room_can_have() {
    let named: BTreeSet<&str> = quoted(README).collect();
    let missing: Vec<&str> = reserved_names().difference(&named).copied().collect();
    assert!(missing.is_empty(), "README.md lacks `{}`", missing.join("`, `"));
}

/// What people and programs ask for; the files of a page are its own matter.
#[test]
fn the_paths_of_the_readme_are_those_of_the_table() {
    let is_told = |kind: &RouteKind| !matches!(kind, RouteKind::File | RouteKind::Kept);
    let there: BTreeSet<&str> =
        ROUTES.iter().filter(|route| is_told(&route.kind)).map(|route| route.path).collect();
    let rows = README.lines().filter(|line| line.starts_with("| `/"));
    let told: BTreeSet<&str> =
        rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap_or_default())).collect();
    assert_eq!(told, there);
}

#[test]
fn refusals_name_the_paths_of_the_table() {
    assert_eq!(
        routes::nothing().advice(),
        "nothing is here; rooms are /ROOM, and there are /echo, /broadcast and /broadcast/TOPIC"
    );
    assert_eq!(
        routes::no_websocket().advice(),
        "there is no WebSocket at this path; connect to /, /ROOM, /echo or /broadcast"
    );
}

#[test]
fn a_path_of_the_table_begins_with_a_name_of_its_own_unless_it_is_a_room() {
    for route in ROUTES {
        let first = route.path[1..].split('/').next().expect("a path");
        assert!(!is_placeholder(first) || matches!(route.kind, RouteKind::Room), "{}", route.path);
        assert!(
            route.path[1..].split('/').filter(|word| is_placeholder(word)).count() <= 1,
            "{}",
            route.path
        );
    }
}

#[test]
fn what_is_served_when_the_server_is_full_and_when_it_stops() {
    // When it is full, and when it stops.
    for (target, full, draining) in [
        ("/", "full", "draining"),
        ("/room", "full", "draining"),
        ("/echo", "full", "draining"),
        ("/broadcast/news", "full", "draining"),
        ("/assets/dashboard.js", "", "draining"),
        ("/dashboard", "", "draining"),
        ("/readyz", "", "draining"),
        ("/healthz", "", ""),
        ("/stats", "", ""),
        ("/stats/history", "", ""),
        ("/metrics", "", ""),
        ("/publish", "not_found", "not_found"),
    ] {
        for (service, wanted) in [(Service::Full, full), (Service::Draining, draining)] {
            let reason = get(target, service, Surface::Everything).err().map_or("", Refusal::name);
            assert_eq!(reason, wanted, "{target} while {service:?}");
        }
    }
}

/// What else a module could say, the bundle would get wrong.
#[test]
fn modules_are_written_as_the_bundle_understands_them() {
    let mut exported = BTreeSet::new();
    let is_own = |name: &str| name.ends_with(".js") && !matches!(name, "uplot.js" | "theme.js");
    for (name, _, source) in files::ASSETS.iter().filter(|(name, ..)| is_own(name)) {
        for line in source.lines() {
            assert!(!line.starts_with("import") || bundle::imported(line).is_some(), "{name}: {line}");
            assert!(!line.contains(" as ") || bundle::imported(line).is_none(), "{name}: {line}");
            let Some(declaration) = line.strip_prefix("export") else { continue };
            let known = [" const ", " function ", " async function ", " class "];
            assert!(known.iter().any(|kind| declaration.starts_with(kind)), "{name}: {line}");
            assert!(
                exported.insert(bundle::declared_name(declaration.trim_start())),
                "{name}: {line}, as another"
            );
        }
    }
    assert!(exported.contains("connection") && exported.len() > 40, "{exported:?}");
}
