//! The process: its options, its start, its log, its end.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::raw::{self, BINARY, CLOSE, PATIENCE, RawClient, TEXT, frame};
use crate::support::server::{Wsloop, run_to_end};

/// Each option, its default as `--help` shows it where there is one.
const OPTIONS: [(&str, Option<&str>); 20] = [
    ("--port", Some("8080")),
    ("--host", Some("127.0.0.1")),
    ("--max-message", Some("64K")),
    ("--max-fragments", Some("16384")),
    ("--max-queue", Some("1M")),
    ("--history", Some("100")),
    ("--slow", Some("close")),
    ("--max-buffered", Some("256M")),
    ("--send-buffer", Some("256K")),
    ("--max-clients", None),
    ("--max-per-ip", None),
    ("--rate", None),
    ("--handshake-timeout", Some("10s")),
    ("--ping-interval", Some("20s")),
    ("--pong-timeout", Some("25s")),
    ("--drain-timeout", Some("8s")),
    ("--origin", None),
    ("--allow-host", None),
    ("--admin", None),
    ("--log-level", Some("info")),
];

#[test]
fn help_and_readme_tell_every_option_and_its_default() {
    let output = run_to_end(&["--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "help is what was asked for, not an error");
    let help = String::from_utf8(output.stdout).expect("help is text");
    let readme = include_str!("../../README.md");
    for (option, default) in OPTIONS {
        let (_, from_option) =
            help.split_once(&format!("{option} ")).unwrap_or_else(|| panic!("{option} is not in:\n{help}"));
        // Up to the next option.
        let own = from_option.split("\n      --").next().unwrap_or_default();
        let variable = format!("WSLOOP_{}", option[2..].replace('-', "_").to_uppercase());
        assert!(own.contains(&variable), "{variable} is not in {own:?}");
        let row = readme.lines().find(|line| line.contains(&format!("| `{option}` |")));
        let row = row.unwrap_or_else(|| panic!("{option} has no row in the README's table"));
        if let Some(default) = default {
            assert!(own.contains(default), "the default {default} is not in {own:?}");
            assert!(row.contains(default), "the default {default} is not in {row:?}");
        }
    }
}

#[test]
fn version_is_that_of_the_package() {
    let output = run_to_end(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let version = String::from_utf8(output.stdout).expect("a version is text");
    assert_eq!(version.trim(), concat!("wsloop ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_usage_says_what_is_wrong_and_exits_2() {
    for (args, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["stray"], "stray"),
        (&["--port"], "--port"),
        (&["--port", "70000"], "70000"),
        (&["--port", "-1"], "-1"),
        (&["--port", "http"], "http"),
        (&["--host", "not an address"], "not an address"),
        (&["--max-message", "12X"], "12X"),
        (&["--max-message", ""], "--max-message"),
        (&["--max-message", "-5"], "-5"),
        (&["--max-message", "K"], "--max-message"),
        (&["--max-message", "1.5M"], "1.5M"),
        (&["--max-message", "99999999999999999999K"], "99999999999999999999K"),
        (&["--max-message", "0"], "--max-message"),
        (&["--max-fragments", "0"], "--max-fragments"),
        (&["--max-clients", "0"], "--max-clients"),
        (&["--max-per-ip", "0"], "--max-per-ip"),
        (&["--rate", "0"], "--rate"),
        (&["--rate", "10:"], "10:50"),
        (&["--rate", "fast"], "messages a second"),
        (&["--max-queue", "100K"], "--max-queue"), // less than twice the message
        (&["--handshake-timeout", "soon"], "soon"),
        (&["--handshake-timeout", "0s"], "--handshake-timeout"),
        (&["--ping-interval", "10h"], "10h"),
        (&["--pong-timeout=-1s"], "-1s"),
        (&["--drain-timeout", "1 year"], "1 year"),
        (&["--log-level", "loud"], "loud"),
        (&["--origin", "no origin"], "no origin"),
    ] {
        let output = run_to_end(args, &[]);
        assert_told(&output, 2, named);
    }
    for (variable, value) in [("WSLOOP_MAX_MESSAGE", "a lot"), ("WSLOOP_NO_COMPRESSION", "maybe")] {
        let output = run_to_end(&[], &[(variable, value)]);
        assert_told(&output, 2, value);
        assert_told(&output, 2, variable);
    }
}

#[test]
fn a_bad_size_is_explained_in_a_sentence() {
    let output = run_to_end(&["--max-message", "12X"], &[]);
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(text.contains("--max-message"), "{text}");
    assert!(text.contains("64K") || (text.contains('K') && text.contains('M')), "{text}");
}

#[test]
fn a_port_that_is_taken_is_told_with_advice() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("it is bound");
    let output = run_to_end(&["--port", &address.port().to_string()], &[]);
    assert_told(&output, 1, &address.to_string());
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(text.contains("--port"), "what to do: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn nothing_is_announced_before_all_is_bound() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("it is bound").to_string();
    for (arguments, advice, other) in [
        (&["--port", "0", "--admin", &taken][..], "choose another with --admin", "--port"),
        (&["--port", &taken[10..], "--admin", "127.0.0.1:0"], "choose another with --port", "--admin"),
    ] {
        let output = run_to_end(arguments, &[("WSLOOP_PROT", "9000")]);
        assert_told(&output, 1, advice);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains("open http") && !text.contains(other), "{text}");
        assert!(text.contains("did you mean WSLOOP_PORT?"), "why it may be so: {text}");
    }
}

#[test]
fn addresses_of_many_are_refused() {
    // The last is the broadcast address of the loopback network, which only the kernel knows.
    for (host, code) in [("224.0.0.1", 2), ("ff02::1", 2), ("255.255.255.255", 2), ("127.255.255.255", 1)] {
        let output = run_to_end(&["--host", host, "--port", "0"], &[]);
        assert_told(&output, code, "nobody can connect to a");
        assert_told(&output, code, "--host");
    }
}

#[test]
fn what_is_not_followed_is_said_behind_the_url() {
    let server = Wsloop::start_with(
        &["--port", "0"],
        &[("WSLOOP_PROT", "9000"), ("RUST_LOG", "loud"), ("WSLOOP_MAX_MESSAGE", "")],
    );
    let log = server.wait_for_log(PATIENCE, |log| log.contains("RUST_LOG is"));
    assert!(log.contains("WSLOOP_PROT is no option of wsloop: did you mean WSLOOP_PORT?"), "{log}");
    assert!(log.lines().next().is_some_and(|first| first.contains("open http://")), "{log}");
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(BINARY, &[0; 2048]));
    client.expect_frame(BINARY, &[0; 2048]);
}

#[test]
fn few_open_files_are_refused_with_advice() {
    // It ends in any case.
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("it is bound").port().to_string();
    for (files, code) in [(20, 1), (79, 1)] {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n \"$1\"; exec \"$0\" --port \"$2\"", env!("CARGO_BIN_EXE_wsloop")])
            .args([&files.to_string(), &taken])
            .output()
            .expect("the shell can be run");
        assert_told(&output, code, &format!("the limit of open files is {files}"));
        assert_told(&output, code, "ulimit -n 4096");
    }
}

#[test]
fn an_origin_is_let_in_however_its_option_spells_it() {
    let server = Wsloop::start(&["--origin", "HTTPS://B.example:443/"]);
    let request = Request::upgrade(&server, "/echo").add("Origin", "https://b.example");
    let mut client = RawClient::connect(&server);
    client.send(&request.bytes());
    client.expect_upgraded();
}

#[test]
fn an_address_of_another_machine_is_told() {
    // TEST-NET-1 of RFC 5737: nobody's address.
    let output = run_to_end(&["--host", "192.0.2.1", "--port", "0"], &[]);
    assert_told(&output, 1, "192.0.2.1");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--host"));
}

#[test]
fn variables_set_options_and_flags_beat_them() {
    let server = Wsloop::start_with(&[], &[("WSLOOP_PORT", "0"), ("WSLOOP_MAX_MESSAGE", "1K")]);
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&raw::header(BINARY, 1025));
    client.expect_close(1009);

    // A port that is taken, so that only the flag can have been followed.
    let taken = server.port().to_string();
    let server = Wsloop::start_with(
        &["--port", "0", "--max-message", "2K"],
        &[("WSLOOP_PORT", &taken), ("WSLOOP_MAX_MESSAGE", "1K")],
    );
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(BINARY, &[0; 2048]));
    client.expect_frame(BINARY, &[0; 2048]);
}

#[test]
fn lists_come_from_variables_as_well() {
    let server = Wsloop::start_with(
        &[],
        &[
            ("WSLOOP_ALLOW_HOST", "a.example,b.example"),
            ("WSLOOP_ORIGIN", "https://a.example,https://b.example"),
        ],
    );
    for host in ["a.example", "b.example"] {
        let request = Request::upgrade(&server, "/echo").set("Host", host).add("Origin", "https://b.example");
        let mut client = RawClient::connect(&server);
        client.send(&request.bytes());
        client.expect_upgraded();
    }
}

#[test]
fn the_first_line_gives_the_url_and_the_log_has_no_messages() {
    let server = Wsloop::start(&[]);
    let first = server.log().lines().next().expect("a first line").to_string();
    let url = server.http_url("/");
    assert!(format!("{first} ").contains(&format!("open {url} ")), "{first:?}");
    let mut client = Client::join(&server, "/");
    let before = server.log().lines().count();
    for number in 0..200 {
        client.send_text(&format!("secret {number}"));
        assert!(client.read_said().ends_with(&format!("secret {number}")));
    }
    let log = server.log();
    assert!(!log.contains("secret"), "no message in the log:\n{log}");
    // The line of the join may have been on its way.
    assert!(log.lines().count() <= before + 2, "no line a message:\n{log}");
}

#[test]
fn either_signal_tells_all_and_exits_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut server = Wsloop::start(&["--drain-timeout", "60s"]);
        let mut member = Client::join(&server, "/");
        let mut other = Client::connect(&server, "/broadcast");
        let mut echo = RawClient::upgrade(&server, "/echo");
        let mut unfinished = RawClient::connect(&server);
        unfinished.send(b"GET /echo HTTP/1.1\r\n");
        // What the server was sent before the signal is answered before the close.
        echo.send(&frame(TEXT, b"last words"));
        echo.expect_frame(TEXT, b"last words");
        server.signal(signal);
        let started = Instant::now();
        assert_eq!(member.read_close().0, 1012, "{signal}");
        assert_eq!(other.read_close().0, 1012, "{signal}");
        let reason = echo.expect_close(1012);
        assert!(reason.contains(' '), "{reason:?} is words");
        let end = unfinished.read_to_end();
        assert!(end.is_empty() || end.starts_with(b"HTTP/1.1 503 "), "{:?}", String::from_utf8_lossy(&end));
        drop((member, other, echo, unfinished));
        assert_eq!(server.wait_exit(PATIENCE * 2), Some(0), "{signal}");
        let took = started.elapsed();
        assert!(took < PATIENCE, "everybody answered, yet it took {took:?}");
    }
}

#[test]
fn a_server_without_clients_ends_at_once() {
    let mut server = Wsloop::start(&["--drain-timeout", "90s"]);
    server.signal("TERM");
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
}

#[test]
fn what_is_queued_is_delivered_before_the_end() {
    // Several times what the kernel keeps for one connection.
    const MESSAGES: usize = 600;
    const SIZE: usize = 32 * 1024;
    let message = |number: usize| vec![number.to_le_bytes()[0]; SIZE];

    let mut server = Wsloop::start(&["--max-queue", "64M", "--drain-timeout", "60s"]);
    let mut late = RawClient::upgrade(&server, "/broadcast");
    let mut sender = Client::connect(&server, "/broadcast");
    for number in 0..MESSAGES {
        sender.send_binary(&message(number));
        assert_eq!(sender.read_binary().len(), SIZE);
    }
    server.signal("TERM");
    assert_eq!(sender.read_close().0, 1012);
    drop(sender);
    for number in 0..MESSAGES {
        late.expect_frame(BINARY, &message(number));
    }
    late.expect_close(1012);
    drop(late);
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
}

#[test]
fn nobody_new_is_taken_while_the_last_ones_leave() {
    let mut server = Wsloop::start(&[]);
    let mut lingering = RawClient::upgrade(&server, "/echo");
    server.signal("TERM");
    assert_eq!(lingering.read_frame().close().0, 1012);
    if let Ok(stream) = TcpStream::connect(server.address()) {
        drop(stream);
        let mut late = RawClient::connect(&server);
        let _ = late.try_send(&Request::upgrade(&server, "/echo").bytes());
        let end = late.read_to_end();
        assert!(end.is_empty() || end.starts_with(b"HTTP/1.1 503 "), "{end:?}");
    }
    assert_eq!(server.wait_exit(Duration::ZERO), None, "one has not answered yet");
    lingering.send(&raw::close(1001, ""));
    lingering.expect_end();
    drop(lingering);
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
}

#[test]
fn a_hangup_is_ignored_and_said() {
    let mut server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    for count in 1..=3 {
        server.signal("HUP");
        server.wait_for_log(PATIENCE, |log| log.matches("SIGHUP: ignored").count() == count);
    }
    client.send(&frame(TEXT, b"still here"));
    client.expect_frame(TEXT, b"still here");
    drop(client);
    server.signal("TERM");
    server.signal("HUP");
    assert_eq!(server.wait_exit(PATIENCE), Some(0), "and it is no second signal either");
}

#[test]
fn the_drain_ends_at_its_time() {
    let mut server = Wsloop::start(&["--drain-timeout", "1s"]);
    let mut mute = RawClient::upgrade(&server, "/echo");
    let started = Instant::now();
    server.signal("TERM");
    assert_eq!(mute.read_frame().close().0, 1012);
    assert_eq!(server.wait_exit(PATIENCE), Some(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(800), "{took:?} is before the time");
    // It is not the five seconds that a closing handshake has.
    assert!(took < Duration::from_millis(4500), "{took:?} is long after it");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Wsloop::start(&[]);
    let mut mute = RawClient::upgrade(&server, "/echo");
    server.signal("TERM");
    let close = mute.read_frame();
    assert_eq!(close.first, CLOSE);
    assert_eq!(server.wait_exit(Duration::ZERO), None, "it waits for an answer");
    server.signal("TERM");
    // Had it waited for the answer or for its time, it would have ended well.
    assert_eq!(server.wait_exit(PATIENCE), Some(1));
}

/// The command failed with this code and named what was wrong on its standard error, alone.
fn assert_told(output: &Output, code: i32, named: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{named:?}: {text}");
    assert!(text.contains(named), "{named:?} is not in: {text}");
    assert!(output.stdout.is_empty(), "errors go to stderr");
}
