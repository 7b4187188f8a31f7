//! Rooms in the text-line form.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use wsloop::site::reserved_names;

use crate::support::client::{Client, split_time, without_time};
use crate::support::http::{Request, get, refusal};
use crate::support::raw::{self, RawClient};
use crate::support::server::Wsloop;

const DAY_SECONDS: u64 = 24 * 60 * 60;

#[test]
fn a_join_is_told_to_everybody_the_newcomer_included() {
    let server = Wsloop::start(&[]);
    let mut first = Client::connect(&server, "/");
    assert_eq!(first.read_text(), "Welcome 127.0.0.1 !");
    let mut second = Client::connect(&server, "/");
    assert_eq!(second.read_text(), "Welcome 127.0.0.1 !");
    assert_eq!(first.read_text(), "Welcome 127.0.0.1 !");
}

#[test]
fn a_message_goes_to_everybody_with_time_and_the_senders_address() {
    let server = Wsloop::start(&[]);
    let mut first = Client::join(&server, "/");
    let mut second = Client::join(&server, "/");
    first.read_text();
    for (text, shown) in [
        ("hello", "hello"),
        (" two  spaces ", " two  spaces "),
        // A line is one line, or it could be one of somebody else's.
        ("two\nlines", "two ⏎ lines"),
        ("hi\r\n12:34:56 alice say: I quit", "hi ⏎ 12:34:56 alice say: I quit"),
        ("a\u{85}b\u{2028}c\u{2029}d\u{b}e", "a ⏎ b ⏎ c ⏎ d ⏎ e"),
        ("say: ", "say: "),
        ("🙂 Grüße", "🙂 Grüße"),
    ] {
        second.send_text(text);
        let line = first.read_text();
        assert_eq!(line, second.read_text(), "the sender gets the same line");
        assert_eq!(without_time(&line), format!("{} say: {shown}", second.who()));
    }
}

#[test]
fn the_time_of_a_line_is_the_local_time_of_the_server() {
    // Two zones of one moment: a server that ignored its zone would show the same hour in both.
    for (zone, ahead_seconds) in [("UTC", 0), ("XYZ-5:30", 5 * 3600 + 30 * 60)] {
        let server = Wsloop::start_with(&[], &[("TZ", zone)]);
        let mut client = Client::join(&server, "/");
        client.send_text("what time is it?");
        let line = client.read_text();
        let shown = split_time(&line)
            .0
            .split(':')
            .fold(0, |sum, part| sum * 60 + part.parse::<u64>().expect("digits"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        let late = (now + ahead_seconds + DAY_SECONDS - shown) % DAY_SECONDS;
        assert!(late <= 10, "{line:?} in zone {zone} is {late} s off");
    }
}

#[test]
fn chinese_survives() {
    let server = Wsloop::start(&[]);
    let mut first = Client::join(&server, "/");
    let mut second = Client::join(&server, "/");
    first.read_text();
    second.send_text("你好，世界！𠮷野家");
    assert!(first.read_text().ends_with(" say: 你好，世界！𠮷野家"));
}

#[test]
fn a_name_takes_the_place_of_the_address() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/tea");
    for (query, name) in [
        ("alice", "alice"),
        ("%E7%8E%8B%E5%B0%8F%E6%98%8E", "王小明"),
        ("a%20b", "a b"),
        ("%3Cb%3E%26", "<b>&"),
        ("12345678901234567890123456789012", "12345678901234567890123456789012"),
    ] {
        let mut named = Client::connect(&server, &format!("/tea?name={query}"));
        assert_eq!(named.read_text(), format!("Welcome {name} !"));
        assert_eq!(witness.read_text(), format!("Welcome {name} !"));
        named.send_text("hi");
        assert_eq!(without_time(&witness.read_text()), format!("{name} say: hi"));
        assert_eq!(without_time(&named.read_text()), format!("{name} say: hi"));
        named.send_text("quit");
        let farewell = format!("{name} say: {name} Logout");
        assert_eq!(without_time(&witness.read_text()), farewell);
        assert_eq!(without_time(&named.read_text()), farewell);
        assert_eq!(named.read_close().0, 1000);
    }
}

#[test]
fn the_name_is_found_among_other_parameters() {
    let server = Wsloop::start(&[]);
    // A room for each: in one the next might come before the server has seen the last go, and be bob-2.
    let queries = ["?x=1&name=bob", "?name=bob&x=1", "?&&name=bob", "?named=eve&name=bob"];
    for (room, query) in queries.into_iter().enumerate() {
        let mut client = Client::connect(&server, &format!("/{room}{query}"));
        assert_eq!(client.read_text(), "Welcome bob !", "{query}");
    }
    // No name, and one that was left empty in a form: the address.
    for query in ["?title=x", "?", "?name=", "?name"] {
        let mut client = Client::connect(&server, &format!("/{query}"));
        assert_eq!(client.read_text(), "Welcome 127.0.0.1 !", "{query}");
    }
}

#[test]
fn a_bad_name_is_refused() {
    let server = Wsloop::start(&[]);
    let too_long = "x".repeat(33);
    for name in [
        &too_long,                         // 33 characters
        "a%00b",                           // control characters
        "a%0Ab",                           //
        "a%1B%5B31mb",                     // a terminal's escape sequence
        "a%C2%85b",                        // a control character of Latin 1
        "a%E2%80%AEb",                     // right-to-left override
        "a%E2%81%A6b",                     // left-to-right isolate
        "a%E2%80%8Bb",                     // zero-width space
        "a%EF%BB%BFb",                     // zero-width no-break space
        "%FF",                             // no UTF-8
        "%20",                             // a space
        "%E3%80%80",                       // an ideographic space
        "%20alice",                        // a space that would hide
        "alice%20",                        //
        "alice%C2%A0",                     // one that does not break
        "a%7Fb",                           // delete
        "a%C2%ADb",                        // soft hyphen
        "a%E2%80%8Db",                     // zero-width joiner
        "a%E2%81%A0b",                     // word joiner
        "a%E2%80%8Eb",                     // left-to-right mark
        "a%D8%9Cb",                        // Arabic letter mark
        "a%E2%80%A8b",                     // line separator
        "a%E2%80%A9b",                     // paragraph separator
        "a%F3%A0%80%81b",                  // a tag character
        "a%E1%85%9Fb",                     // Hangul filler, which shows nothing
        "a%E3%85%A4b",                     // another
        "a%EF%BF%BAb",                     // interlinear annotation
        "a%E1%A0%8Eb",                     // Mongolian vowel separator
        "%ED%A0%80",                       // a surrogate
        "%F4%90%80%80",                    // beyond Unicode
        &"%F0%9F%98%80".repeat(33),        // 33 emoji
        "%E2%A0%80",                       // a braille pattern without dots
        "a%EF%B8%8F",                      // a variation selector alone
        "a%CD%8Fb",                        // a grapheme joiner
        "a%F0%9D%85%B3b",                  // an invisible sign of music
        "%D0%B0lice",                      // a Cyrillic letter among Latin ones
        "%CC%81",                          // an accent on nothing
        "q%CC%81%CC%82%CC%83",             // a heap of them
        "%EE%80%80",                       // private use
        "%28%27127.0.0.1%27%2C%205000%29", // somebody without a name
        "127.0.0.1",                       // and in a welcome
    ] {
        let request = Request::upgrade(&server, &format!("/?name={name}"));
        refusal(&server, &request.bytes(), 400);
    }
}

#[test]
fn a_good_name_is_shown_as_it_is() {
    let server = Wsloop::start(&[]);
    for (name, shown) in [
        ("x".repeat(32).as_str(), "x".repeat(32).as_str()),
        (&"%F0%9F%98%80".repeat(32), &"\u{1F600}".repeat(32)),
        ("%E6%9D%8E%20%E6%98%8E", "李 明"),
        ("%D8%B9%D9%84%D9%8A", "علي"),
        ("e%CC%81", "\u{e9}"),
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("%3Cb%3E%26", "<b>&"),
        ("%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7%20Zoe", "👩\u{200d}👧 Zoe"),
    ] {
        let mut client = Client::connect(&server, &format!("/{}?name={name}", shown.chars().count()));
        assert_eq!(client.read_text(), format!("Welcome {shown} !"), "{name}");
    }
}

#[test]
fn quit_is_told_to_everybody_the_leaver_included_and_closes() {
    let server = Wsloop::start(&[]);
    let mut stayer = Client::join(&server, "/");
    let mut leaver = Client::join(&server, "/");
    stayer.read_text();
    leaver.send_text("quit");
    let line = leaver.read_text();
    assert_eq!(without_time(&line), format!("{} say: 127.0.0.1 Logout", leaver.who()));
    assert_eq!(stayer.read_text(), line);
    assert_eq!(leaver.read_close().0, 1000);
    // Told once: the end of the connection that follows is the same leave.
    stayer.send_text("still here");
    assert!(stayer.read_text().ends_with(" say: still here"));
}

#[test]
fn only_the_whole_text_quit_leaves() {
    let server = Wsloop::start(&[]);
    let mut client = Client::join(&server, "/");
    for text in ["quit ", "Quit", " quit", "quit\n.", "/quit", "quitquit"] {
        client.send_text(text);
        assert!(client.read_text().ends_with(&format!(" say: {}", text.replace('\n', " ⏎ "))));
    }
    client.send_binary(b"quit");
    assert_eq!(client.read_binary(), b"quit", "binary goes to the room");
}

#[test]
fn the_line_ending_of_a_line_based_tool_is_not_part_of_the_text() {
    let server = Wsloop::start(&[]);
    let mut client = Client::join(&server, "/");
    client.send_text("\n");
    client.send_text("hello\r\n");
    assert!(client.read_text().ends_with(" say: hello"), "an empty line is a keepalive");
    client.send_text("quit\n");
    assert!(client.read_text().ends_with(" Logout"));
    assert_eq!(client.read_close().0, 1000);
}

#[test]
fn what_was_said_after_quit_is_not_heard() {
    let server = Wsloop::start(&[]);
    let mut stayer = Client::join(&server, "/");
    let mut leaver = RawClient::join(&server, "/?name=leaver");
    stayer.read_text();
    let mut bytes = raw::frame(raw::TEXT, b"before");
    bytes.extend(raw::frame(raw::TEXT, b"quit"));
    bytes.extend(raw::frame(raw::TEXT, b"after"));
    leaver.send(&bytes);
    assert_eq!(without_time(&stayer.read_text()), "leaver say: before");
    assert_eq!(without_time(&stayer.read_text()), "leaver say: leaver Logout");
    stayer.send_text("mark");
    assert!(stayer.read_text().ends_with(" say: mark"));
}

#[test]
fn a_close_and_a_vanished_connection_are_told_to_those_who_stay() {
    let server = Wsloop::start(&[]);
    let mut stayer = Client::join(&server, "/");
    let mut closing = Client::join(&server, "/");
    let farewell = format!("{} say: 127.0.0.1 Logout", closing.who());
    stayer.read_text();
    closing.send_close();
    assert_eq!(without_time(&stayer.read_text()), farewell);
    assert_eq!(closing.read_close().0, 1000);

    let vanishing = Client::join(&server, "/?name=ghost");
    stayer.read_text();
    drop(vanishing);
    assert_eq!(without_time(&stayer.read_text()), "ghost say: ghost Logout");

    let half_closing = RawClient::join(&server, "/?name=half");
    stayer.read_text();
    half_closing.end_sending();
    assert_eq!(without_time(&stayer.read_text()), "half say: half Logout");
}

#[test]
fn an_empty_text_is_a_keepalive_and_nobody_hears_it() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::join(&server, "/");
    let mut sender = Client::join(&server, "/");
    listener.read_text();
    sender.send_text("");
    sender.send_text("");
    sender.send_text("after");
    assert!(listener.read_text().ends_with(" say: after"));
    assert!(sender.read_text().ends_with(" say: after"));
}

#[test]
fn binary_goes_to_the_room_unchanged() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::join(&server, "/");
    let mut sender = Client::join(&server, "/");
    listener.read_text();
    let every_byte: Vec<u8> = (0..=255).collect();
    for bytes in [&every_byte[..], b"\xff\xfe not UTF-8", b""] {
        sender.send_binary(bytes);
        assert_eq!(listener.read_binary(), bytes);
        assert_eq!(sender.read_binary(), bytes);
    }
}

#[test]
fn rooms_are_apart() {
    let server = Wsloop::start(&[]);
    let paths = ["/", "/chat", "/chatsocket", "/Chat", "/%E8%8C%B6"];
    let mut clients: Vec<Client> = paths.iter().map(|path| Client::join(&server, path)).collect();
    for (client, path) in clients.iter_mut().zip(paths) {
        client.send_text(&format!("in {path}"));
    }
    for (client, path) in clients.iter_mut().zip(paths) {
        let own = format!("{} say: in {path}", client.who());
        assert_eq!(without_time(&client.read_text()), own);
        client.send_text("mark");
        assert!(client.read_text().ends_with(" say: mark"), "{path}");
    }
}

#[test]
fn paths_of_the_same_room_meet() {
    let server = Wsloop::start(&[]);
    // Everybody stays to the end: a leave would be told in between to the next who meet.
    let mut kept = Vec::new();
    for (one, other) in [
        ("/", "/lobby"),
        ("/", "/?x=y"),
        ("/chat", "/%63hat"),
        ("/%e8%8c%b6", "/%E8%8C%B6"),
        ("/a-b_c.d~e9", "/a%2Db%5Fc%2Ed%7Ee9"),
    ] {
        let mut first = Client::join(&server, one);
        let mut second = Client::join(&server, other);
        assert!(first.read_text().starts_with("Welcome "), "{one} {other}");
        second.send_text("hello");
        assert!(first.read_text().ends_with(" say: hello"), "{one} {other}");
        kept.extend([first, second]);
    }
}

#[test]
fn the_longest_room_name_is_64_characters_of_any_script() {
    let server = Wsloop::start(&[]);
    Client::join(&server, &format!("/{}", "x".repeat(64)));
    Client::join(&server, &format!("/{}", "%E8%8C%B6".repeat(64)));
    for name in ["x".repeat(65), "%E8%8C%B6".repeat(65)] {
        refusal(&server, &Request::upgrade(&server, &format!("/{name}")).bytes(), 404);
    }
}

#[test]
fn a_bad_room_name_is_not_found() {
    let server = Wsloop::start(&[]);
    for path in [
        "/a%20b",
        "/a%00b",
        "/a%0Ab",
        "/a%7Fb",
        "/a%E2%80%AEb", // right-to-left override
        "/a%E2%81%A9b", // pop directional isolate
        "/a!b",
        "/a:b",
        "/a%2Fb",
        "/%3Cscript%3E",
        "/a/b",
        "/chat/",
        "//",
        "/..%2Fetc%2Fpasswd",
        "/echo/x",
        "/broadcast/",
        "/broadcast/a/b",
        "/broadcast/a%20b",
        "/l%D0%BEbby", // a Cyrillic letter among Latin ones
        "/lobby%E3%85%A4",
        "/lobby%CD%8F",
    ] {
        refusal(&server, &Request::upgrade(&server, path).bytes(), 404);
        assert_eq!(get(&server, path).status, 404, "GET {path}");
    }
    // What cannot be decoded is no name at all.
    for path in ["/%FF", "/%zz", "/%e", "/chat%", "/broadcast/%C3"] {
        refusal(&server, &Request::upgrade(&server, path).bytes(), 400);
        assert_eq!(get(&server, path).status, 400, "GET {path}");
    }
}

#[test]
fn a_reserved_name_is_no_room() {
    let server = Wsloop::start(&[]);
    for path in ["/healthz", "/assets/chat.js"] {
        refusal(&server, &Request::upgrade(&server, path).bytes(), 400);
    }
    let without_websocket = [
        "assets",
        "dashboard",
        "events",
        "favicon.ico",
        "healthz",
        "metrics",
        "publish",
        "readyz",
        "robots.txt",
        "stats",
    ];
    let all: BTreeSet<&str> = without_websocket.into_iter().chain(["broadcast", "echo"]).collect();
    assert_eq!(all, reserved_names());
    for name in without_websocket {
        let request = Request::upgrade(&server, &format!("/{name}"));
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        let status = client.read_response(false).status;
        assert!(matches!(status, 400 | 404), "{name}: {status}");
    }
}

#[test]
fn the_first_known_subprotocol_is_chosen_or_none() {
    let server = Wsloop::start(&[]);
    for (offers, chosen) in [
        (&["chat"][..], Some("chat")),
        (&["chat, superchat"], Some("chat")),
        (&["superchat,chat"], Some("chat")),
        (&["superchat", "chat"], Some("chat")),
        (&["superchat"], None),
        (&["Chat"], None),
        (&[], None),
    ] {
        let mut request = Request::upgrade(&server, "/");
        for offer in offers {
            request = request.add("Sec-WebSocket-Protocol", offer);
        }
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        let response = client.expect_upgraded();
        assert_eq!(response.header("Sec-WebSocket-Protocol"), chosen, "of {offers:?}");
        assert!(client.read_frame().text().starts_with("Welcome "));
    }
}
