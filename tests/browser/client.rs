//! The client for pages of others (`/assets/client.js`), as the example uses it at an origin of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use crate::SOON;
use crate::support::browser::{Browser, Key, Page};
use crate::support::json::JsonClient;
use crate::support::server::{Wsloop, own_port};

const TYPES: &str = include_str!("../../static/client.d.ts");
const EXAMPLE: &str = include_str!("../../static/examples/guest.html");

/// Serves the example at another port, which is another origin.
fn serve_example() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(reader) = stream.try_clone() else { continue };
            let head: Vec<String> = BufReader::new(reader)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let is_page = head.first().is_some_and(|line| line.starts_with("GET /guest.html"));
            let (status, body) = if is_page { ("200 OK", EXAMPLE) } else { ("404 Not Found", "") };
            // A browser that has gone wants no answer.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    origin
}

fn wait_for_state(page: &Page, wanted: &str) {
    page.wait_for(&format!("document.querySelector('#state').textContent === '{wanted}'"), SOON);
}

#[test]
fn a_page_of_another_origin_talks_in_a_room() {
    let origin = serve_example();
    let port = own_port().to_string();
    let arguments = ["--port", &port, "--origin", &origin];
    let mut server = Wsloop::start(&arguments);
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.say("before");
    bo.settle();
    let browser = Browser::launch();
    let page = browser.page(&format!("{origin}/guest.html?{}", server.http_url("/tea")));
    wait_for_state(&page, "connected, 2 here");
    let said = "[...document.querySelectorAll('#said p')].map((line) => line.textContent).join('|')";
    page.wait_for(&format!("{said} === 'Bo: before'"), SOON);
    page.click("text");
    page.type_text("<b>hello</b>");
    page.press(Key::Enter);
    bo.read_until_text("<b>hello</b>");
    page.wait_for(&format!("{said} === 'Bo: before|guest-page: <b>hello</b>'"), SOON);

    // It comes back, and says once what was said meanwhile.
    server.signal("KILL");
    assert!(server.wait_exit(SOON).is_some());
    page.wait_for("document.querySelector('#state').textContent.startsWith('waiting')", SOON);
    page.type_text("meanwhile");
    page.press(Key::Enter);
    let server = Wsloop::start(&arguments);
    let mut bo = JsonClient::join(&server, "/tea?name=Bo");
    bo.read_until_text("meanwhile");
    wait_for_state(&page, "connected, 2 here");
    page.wait_for(&format!("{said}.endsWith('guest-page: meanwhile')"), SOON);
}

#[test]
fn a_page_that_is_not_let_in_is_told_so() {
    let origin = serve_example();
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&format!("{origin}/guest.html?{}", server.http_url("/tea")));
    wait_for_state(&page, "refused: 0");
}

/// What `client.d.ts` declares of a class: the names of its members.
fn declared(class: &str) -> Vec<String> {
    let head = format!("export class {class} {{");
    let body = TYPES.lines().skip_while(|line| **line != head).skip(1).take_while(|line| *line != "}");
    let names = body.filter(|line| line.starts_with("  ") && !line.trim_start().starts_with(['/', '*']));
    let name_of = |line: &str| {
        let line = line.trim_start().trim_start_matches("readonly ");
        line.split(['(', ':', '<']).next().expect("a split has a first part").to_owned()
    };
    names.map(name_of).filter(|name| name != "constructor").collect()
}

#[test]
fn the_types_declare_what_there_is() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/tea"));
    for (class, least) in [("Room", 15), ("People", 5)] {
        let names = declared(class);
        assert!(names.len() > least, "{names:?}");
        let missing = page.evaluate(&format!(
            "import('/assets/client.js').then(({{ Room }}) => {{
                const room = new Room(location.href);
                const one = {{ Room: room, People: room.people }}.{class};
                return {}.filter((name) => !(name in one)); }})",
            serde_json::json!(names)
        ));
        assert_eq!(missing, serde_json::json!([]), "{class}");
    }
}
