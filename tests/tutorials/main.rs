//! The three small servers that wsloop grew from. Each of their behaviours has a test of its own,
//! and so has each of their mistakes, which must be right here.
//!
//! Server A pushed what a client sent to its page, server B echoed, server C was a chat room.

#[path = "../support/mod.rs"]
mod support;

use std::net::TcpListener;
use support::client::{Client, split_time, without_time};
use support::http::{Request, SAMPLE_ACCEPT, SAMPLE_KEY, get, refusal};
use support::raw::{
    self, BINARY, CONTINUATION_END, PATIENCE, PING, PONG, RawClient, TEXT, TEXT_START, frame,
};
use support::server::{Wsloop, run_to_end};

// ---------------------------------------------------------------- server A

#[test]
fn server_a_accept_key_of_the_sample() {
    let server = Wsloop::start(&[]);
    let request = Request::upgrade(&server, "/chat").set("Sec-WebSocket-Key", SAMPLE_KEY);
    let mut client = RawClient::connect(&server);
    client.send(&request.bytes());
    let response = client.read_head();
    assert_eq!(response.status, 101);
    assert_eq!(response.header("Sec-WebSocket-Accept"), Some(SAMPLE_ACCEPT));
    assert_eq!(SAMPLE_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn server_a_answers_chat_to_chat_and_superchat() {
    let server = Wsloop::start(&[]);
    let offer = [("Sec-WebSocket-Protocol", "chat, superchat")];
    let (_, response) = Client::connect_with(&server, "/chat", &offer);
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "chat");
}

#[test]
fn server_a_says_that_it_is_no_websocket_without_a_key_and_closes() {
    let server = Wsloop::start(&[]);
    let request = Request::upgrade(&server, "/chat").without("Sec-WebSocket-Key");
    let response = refusal(&server, &request.bytes(), 400);
    assert!(response.text().contains("WebSocket"), "{}", response.text());
}

#[test]
fn server_a_says_that_its_port_is_taken_and_quits() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = holder.local_addr().expect("it is bound").port().to_string();
    let output = run_to_end(&["--port", &port], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(text.contains(&port) && text.contains("taken"), "{text}");
}

#[test]
fn server_a_receives_text_in_all_three_length_forms() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/chat");
    for (length, form) in [(5, 5), (125, 125), (126, 126), (65_535, 126), (65_536, 127)] {
        let text = "x".repeat(length);
        let bytes = frame(TEXT, text.as_bytes());
        assert_eq!(bytes[1] & 0x7f, form, "the length form sent");
        client.send(&bytes);
        let line = client.read_frame();
        assert!(line.text().ends_with(&format!(" say: {text}")), "{length} bytes");
    }
}

#[test]
fn server_a_unmasks_each_byte_with_its_own_byte_of_the_mask() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    // Every remainder of the length by four, and by the widths that fast code unmasks at once.
    for mask in [[0, 0, 0, 0], [1, 2, 4, 8], [0xff, 0, 0xff, 0], [0x37, 0xfa, 0x21, 0x3d]] {
        for length in (0..70_u8).chain([125]) {
            let payload: Vec<u8> = (0..length).collect();
            let masked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]);
            let mut bytes = vec![BINARY, 0x80 | length];
            bytes.extend(mask);
            bytes.extend(masked);
            client.send(&bytes);
            client.expect_frame(BINARY, &payload);
        }
    }
}

#[test]
fn server_a_sends_text_in_the_shortest_of_three_length_forms() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::upgrade(&server, "/echo");
    // `read_frame` refuses any length form that is not the shortest.
    for length in [0, 125, 126, 65_535, 65_536] {
        let text = "y".repeat(length);
        client.send(&frame(TEXT, text.as_bytes()));
        let got = client.read_frame();
        assert_eq!((got.first, got.payload.len()), (0x81, length));
    }
}

#[test]
fn server_a_pushes_each_message_to_its_page_as_it_comes() {
    let server = Wsloop::start(&[]);
    let mut page = Client::join(&server, "/chat");
    let mut other = Client::join(&server, "/chat");
    page.read_text();
    for text in ["one", "two", "three"] {
        other.send_text(text);
        // Read before the next is sent: nothing waits for more to come.
        assert!(page.read_text().ends_with(&format!(" say: {text}")));
    }
}

#[test]
fn server_a_holds_a_thousand_waiting_connections() {
    let server = Wsloop::start(&[]);
    // While it is stopped, the kernel queues connections up to the backlog and no further.
    server.signal("STOP");
    let mut waiting: Vec<RawClient> = (0..1000).map(|_| RawClient::connect(&server)).collect();
    server.signal("CONT");
    let request = Request::upgrade(&server, "/echo").bytes();
    for client in &mut waiting {
        client.send(&request);
    }
    for client in &mut waiting {
        client.expect_upgraded();
    }
}

// ---------------------------------------------------------------- server B

#[test]
fn server_b_sends_every_message_back() {
    let server = Wsloop::start(&[]);
    let mut client = Client::connect(&server, "/echo");
    for number in 0..100 {
        let text = format!("message {number}");
        client.send_text(&text);
        assert_eq!(client.read_text(), text);
    }
}

#[test]
fn server_b_answers_on_its_path_and_on_any_other() {
    let server = Wsloop::start(&[]);
    for path in ["/chatsocket", "/any-path-at-all"] {
        let mut client = Client::join(&server, path);
        client.send_text("hello");
        assert!(client.read_text().ends_with(" say: hello"), "{path}");
    }
}

#[test]
fn server_b_takes_a_client_that_offers_compression() {
    let server = Wsloop::start(&[]);
    let request = Request::upgrade(&server, "/echo")
        .add("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
    let mut client = RawClient::connect(&server);
    client.send(&request.bytes());
    client.expect_upgraded();
    // A message may come uncompressed whatever was agreed (RFC 7692 §6).
    client.send(&frame(TEXT, b"plain"));
    client.expect_frame(TEXT, b"plain");
}

#[test]
fn server_b_explains_the_bits_of_a_frame_and_here_each_is_checked() {
    let server = Wsloop::start(&[]);
    for (name, bytes) in [
        ("RSV1", frame(TEXT | 0x40, b"x")),
        ("RSV2", frame(TEXT | 0x20, b"x")),
        ("RSV3", frame(TEXT | 0x10, b"x")),
        ("an opcode that means nothing", frame(0x83, b"x")),
        ("no mask", vec![TEXT, 1, b'x']),
    ] {
        let mut client = RawClient::upgrade(&server, "/echo");
        client.send(&bytes);
        let reason = client.expect_close(1002);
        assert!(!reason.is_empty(), "{name}");
    }
    let mut client = RawClient::upgrade(&server, "/echo");
    client.send(&frame(TEXT_START, b"without FIN "));
    client.expect_quiet("waits for FIN");
    client.send(&frame(CONTINUATION_END, b"and with"));
    client.expect_frame(TEXT, b"without FIN and with");
}

#[test]
fn server_b_page_has_a_box_a_send_button_and_a_way_to_close_the_connection() {
    let server = Wsloop::start(&[]);
    let page = get(&server, "/chatsocket");
    for id in ["message", "send", "disconnect", "connect", "status"] {
        assert!(page.text().contains(&format!("id=\"{id}\"")), "#{id} is missing");
    }
    // What the page does when it is connected and closed is shown in a real browser.
    assert!(get(&server, "/assets/whole.js").text().contains("new Socket("));
}

// ---------------------------------------------------------------- server C

#[test]
fn server_c_welcomes_by_address_and_tells_everybody() {
    let server = Wsloop::start(&[]);
    let mut first = Client::connect(&server, "/");
    assert_eq!(first.read_text(), "Welcome 127.0.0.1 !");
    let mut second = Client::connect(&server, "/");
    assert_eq!(first.read_text(), "Welcome 127.0.0.1 !");
    assert_eq!(second.read_text(), "Welcome 127.0.0.1 !");
}

#[test]
fn server_c_puts_time_and_address_before_a_message_to_everybody() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::join(&server, "/");
    let mut sender = Client::join(&server, "/");
    listener.read_text();
    sender.send_text("hello");
    let line = listener.read_text();
    assert_eq!(sender.read_text(), line, "the sender is included");
    let (time, rest) = split_time(&line);
    assert_eq!(time.len(), "12:34:56".len());
    assert_eq!(rest, format!("{} say: hello", sender.who()));
}

#[test]
fn server_c_says_goodbye_to_everybody_on_quit_and_closes() {
    let server = Wsloop::start(&[]);
    let mut stayer = Client::join(&server, "/");
    let mut leaver = Client::join(&server, "/");
    stayer.read_text();
    leaver.send_text("quit");
    let farewell = format!("{} say: 127.0.0.1 Logout", leaver.who());
    assert_eq!(without_time(&leaver.read_text()), farewell);
    assert_eq!(without_time(&stayer.read_text()), farewell);
    assert_eq!(leaver.read_close().0, 1000);
}

#[test]
fn server_c_does_not_broadcast_an_empty_message() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::join(&server, "/");
    let mut old_browser = Client::join(&server, "/");
    listener.read_text();
    old_browser.send_text("");
    old_browser.send_text("mark");
    assert!(listener.read_text().ends_with(" say: mark"));
}

#[test]
fn server_c_keeps_chinese() {
    let server = Wsloop::start(&[]);
    let mut listener = Client::join(&server, "/");
    let mut sender = Client::join(&server, "/");
    listener.read_text();
    // Long enough that characters of three bytes lie across every multiple of 128 bytes.
    let text = "天地玄黄宇宙洪荒日月盈昃辰宿列张".repeat(20);
    for start in 0..3 {
        let shifted = format!("{}{text}", &"abc"[..start]);
        sender.send_text(&shifted);
        assert!(listener.read_text().ends_with(&format!(" say: {shifted}")));
    }
}

#[test]
fn server_c_reads_128_bytes_at_a_time_until_the_frame_is_whole() {
    let server = Wsloop::start(&[]);
    let mut listener = RawClient::join(&server, "/");
    let mut sender = RawClient::join(&server, "/?name=c");
    listener.read_frame();
    for length in [1, 121, 122, 123, 127, 128, 129, 250, 255, 256, 257, 1000, 5000, 60_000] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let bytes = frame(TEXT, text.as_bytes());
        // Whole at first, then in the pieces that server C read, then in others.
        for piece in [bytes.len(), 128, 127, 129] {
            for part in bytes.chunks(piece) {
                sender.send(part);
            }
            for client in [&mut listener, &mut sender] {
                let line = client.read_frame();
                assert_eq!(without_time(line.text()), format!("c say: {text}"));
            }
        }
    }
}

#[test]
fn server_c_keeps_all_clients_in_one_room() {
    let server = Wsloop::start(&[]);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::join(&server, "/")).collect();
    clients[49].send_text("hello, all fifty");
    let line = clients[49].read_text();
    for client in &mut clients[..49] {
        assert_eq!(client.read_said(), line);
    }
}

// ------------------------------------ wrong with them, and must be right here

#[test]
fn wrong_there_a_read_is_taken_for_a_frame() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/?name=c");
    let bytes = frame(TEXT, "one frame in many reads 好".as_bytes());
    for byte in &bytes {
        client.send(&[*byte]);
    }
    let line = client.read_frame();
    assert_eq!(without_time(line.text()), "c say: one frame in many reads 好");
}

#[test]
fn wrong_there_the_second_frame_of_a_read_is_lost() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/?name=c");
    let three = [frame(TEXT, b"one"), frame(TEXT, b"two"), frame(TEXT, b"three")];
    client.send(&three.concat());
    for text in ["one", "two", "three"] {
        let line = client.read_frame();
        assert_eq!(without_time(line.text()), format!("c say: {text}"));
    }
}

#[test]
fn wrong_there_a_request_longer_than_one_read_is_cut() {
    let server = Wsloop::start(&[]);
    // Server A took what one `recv(1024)` gave for the whole request.
    let request = Request::upgrade(&server, "/chat").set("Cookie", &"c".repeat(3000)).bytes();
    let mut client = RawClient::connect(&server);
    for part in request.chunks(1000) {
        client.send(part);
    }
    client.expect_upgraded();
}

#[test]
fn wrong_there_globals_are_shared_between_threads() {
    let server = Wsloop::start(&[]);
    let mut client = Client::join(&server, "/");
    client.send_text("hello");
    client.read_said();
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the process runs");
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm"));
    let mut names: Vec<String> =
        threads.map(|thread| thread.and_then(name).expect("a thread that stays")).collect();
    names.sort();
    assert_eq!(names, ["log\n", "wsloop\n"], "one thread owns everything; the other writes lines to stderr");
}

#[test]
fn wrong_there_a_slow_client_blocks_everyone() {
    let server = Wsloop::start(&[]);
    // It reads its welcome and nothing after that.
    let _sleeper = RawClient::join(&server, "/");
    let mut sender = Client::join(&server, "/?name=sender");
    let text = "x".repeat(60_000);
    // 18 MB: several times what the kernel takes for the sleeper. A server that waited for it would wait for ever.
    for _ in 0..300 {
        sender.send_text(&text);
        assert!(sender.read_said().ends_with(&text));
    }
}

#[test]
fn wrong_there_fragments_are_not_understood() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/?name=c");
    client.send(&frame(TEXT_START, b"in "));
    client.send(&frame(0x00, b"three "));
    client.send(&frame(CONTINUATION_END, b"parts"));
    let line = client.read_frame();
    assert_eq!(without_time(line.text()), "c say: in three parts");
}

#[test]
fn wrong_there_a_ping_has_no_pong() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/");
    client.send(&frame(PING, b"are you there?"));
    client.expect_frame(PONG, b"are you there?");
}

#[test]
fn wrong_there_a_close_has_no_answer() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/");
    client.send(&raw::close(1000, "bye"));
    assert_eq!(client.read_frame().close().0, 1000);
    client.expect_end();
}

#[test]
fn wrong_there_text_is_not_checked_to_be_utf8() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/");
    let mut client = RawClient::join(&server, "/?name=c");
    client.send(&frame(TEXT, b"\xc3\x28"));
    client.expect_close(1007);
    assert_eq!(witness.read_text(), "Welcome c !");
    assert_eq!(without_time(&witness.read_text()), "c say: c Logout");
}

#[test]
fn wrong_there_no_size_is_too_big() {
    let server = Wsloop::start(&[]);
    let mut client = RawClient::join(&server, "/");
    // The header alone: nothing is kept ready for what it announces.
    client.send(&raw::header(TEXT, 1 << 40));
    client.expect_close(1009);
}

#[test]
fn wrong_there_a_silent_peer_is_waited_for_without_end() {
    let server = Wsloop::start(&[
        // Long enough for the handshake of the other one.
        "--handshake-timeout",
        "2s",
        "--ping-interval",
        "500ms",
        "--pong-timeout",
        "500ms",
    ]);
    let mut never_asks = RawClient::connect(&server);
    let mut never_answers = RawClient::join(&server, "/");
    never_asks.read_to_end();
    while never_answers.next_frame(PATIENCE).is_some() {}
}

#[test]
fn wrong_there_an_error_of_one_client_kills_the_room() {
    let server = Wsloop::start(&[]);
    let mut witness = Client::join(&server, "/?name=witness");
    for bytes in [vec![], vec![0xff; 300], vec![TEXT], frame(TEXT, b"\xff"), raw::header(TEXT, u64::MAX)] {
        let mut client = RawClient::upgrade(&server, "/");
        client.send(&bytes);
        // Its welcome is unread, so that this is a reset.
        client.reset();
    }
    witness.send_text("still here");
    assert_eq!(without_time(&witness.read_said()), "witness say: still here");
    Client::join(&server, "/?name=next");
}

#[test]
fn wrong_there_the_page_makes_markup_of_messages() {
    let server = Wsloop::start(&[]);
    let page = get(&server, "/");
    let names = page.text().split("/assets/").filter_map(|rest| rest.split('"').next());
    let scripts: Vec<&str> = names.filter(|name| name.ends_with(".js")).collect();
    assert!(scripts.contains(&"theme.js") && scripts.contains(&"whole.js"), "{scripts:?}");
    let text: String =
        scripts.iter().map(|name| format!("{}\n", get(&server, &format!("/assets/{name}")).text())).collect();
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        // The script may say in a comment why it does not.
        let used = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(['/', '*']))
            .any(|line| line.contains(way));
        assert!(!used, "{way} in the page's script");
    }
    assert!(text.contains("textContent"));
}
