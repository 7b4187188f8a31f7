//! Plain GET: the page, its files, liveness, and the headers that guard them.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::support::http::{Request, Response, exchange, get, refusal};
use crate::support::raw::RawClient;
use crate::support::server::Wsloop;

/// The page's own files and their types.
const ASSETS: [(&str, &str); 5] = [
    ("/assets/whole.css", "text/css"),
    ("/assets/whole.js", "text/javascript"),
    ("/assets/theme.js", "text/javascript"),
    ("/assets/favicon.svg", "image/svg+xml"),
    ("/assets/manifest.webmanifest", "application/manifest+json"),
];

#[test]
fn the_page_is_at_every_room() {
    let server = Wsloop::start(&[]);
    let lobby = get(&server, "/");
    assert_eq!(lobby.status, 200);
    assert!(
        lobby.text().trim_start().starts_with("<!doctype html>")
            || lobby.text().trim_start().starts_with("<!DOCTYPE html>")
    );
    for path in ["/chat", "/chatsocket", "/%E8%8C%B6", "/?name=alice", "/lobby?x"] {
        let page = get(&server, path);
        assert_eq!((page.status, &page.body), (200, &lobby.body), "{path}");
        assert_eq!(
            page.header("Content-Type").map(str::to_ascii_lowercase),
            Some("text/html; charset=utf-8".into()),
            "{path}"
        );
    }
}

#[test]
fn the_page_finds_its_files_and_each_has_its_type() {
    let server = Wsloop::start(&[]);
    let page = get(&server, "/");
    for (path, content_type) in ASSETS {
        assert!(page.text().contains(path), "the page uses {path}");
        let asset = get(&server, path);
        assert_eq!(asset.status, 200, "{path}");
        let got = asset.header("Content-Type").unwrap_or_default();
        assert!(got.starts_with(content_type), "{path} is {got:?}");
        assert!(!asset.body.is_empty(), "{path}");
    }
    for path in [
        "/assets/",
        "/assets/none.js",
        "/assets/../Cargo.toml",
        "/assets/..%2fCargo.toml",
        "/assets/%2e%2e/index.html",
        "/assets//chat.js",
        "/assets/chat.js/",
        "/assets/CHAT.JS",
    ] {
        refusal(&server, &Request::plain(&server, "GET", path).bytes(), 404);
    }
}

#[test]
fn pages_and_files_carry_the_security_headers() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/chat"].into_iter().chain(ASSETS.map(|(path, _)| path)) {
        let response = get(&server, path);
        assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        let policy = response
            .header("Content-Security-Policy")
            .unwrap_or_else(|| panic!("{path} has no content security policy"));
        let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
        for needed in
            ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
        {
            assert!(directives.contains(&needed), "{path}: {needed} in {policy}");
        }
        for weak in ["unsafe-inline", "unsafe-eval", "data:", "*", "http:", "https:"] {
            assert!(!policy.contains(weak), "{path}: {weak} in {policy}");
        }
    }
}

#[test]
fn files_are_compressed_for_those_who_take_it() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/dashboard"].into_iter().chain(ASSETS.map(|(path, _)| path)) {
        let plain = get(&server, path);
        let asked = |accepted: &str, tag: &str| {
            let request = Request::plain(&server, "GET", path).add("Accept-Encoding", accepted);
            exchange(&server, &request.add("If-None-Match", tag).bytes())
        };
        for accepted in ["gzip", "br, GZIP;q=0.5", "deflate, gzip, br, zstd"] {
            let sent = asked(accepted, "");
            assert_eq!(sent.header("Content-Encoding"), Some("gzip"), "{path} for {accepted}");
            assert_eq!(sent.header("Content-Type"), plain.header("Content-Type"), "{path}");
            let mut text = Vec::new();
            GzDecoder::new(&*sent.body).read_to_end(&mut text).expect("it is gzip");
            assert_eq!(text, plain.body, "{path}");
            // Bytes that differ have another tag (RFC 9110 §8.8.3), and caches are told why.
            let tag = sent.header("ETag").expect("a tag");
            assert_ne!(Some(tag), plain.header("ETag"), "{path}");
            assert_eq!(asked(accepted, tag).status, 304, "{path}");
            assert_eq!(
                (sent.header("Vary"), plain.header("Vary")),
                (Some("Accept-Encoding"), Some("Accept-Encoding"))
            );
        }
        for accepted in ["", "br", "identity", "gzip;q=0", "gzip; q=0.00, br", "xgzip", "*;q=0"] {
            let sent = asked(accepted, "");
            assert_eq!(
                (sent.header("Content-Encoding"), &sent.body),
                (None, &plain.body),
                "{path} for {accepted:?}"
            );
        }
    }
}

/// Over a slow network each request costs as much as a good part of the page.
#[test]
fn the_chat_page_is_few_files_and_each_module_is_there_alone_too() {
    let server = Wsloop::start(&[]);
    let page = get(&server, "/");
    let names: Vec<&str> =
        page.text().split("/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names, ["theme.js", "favicon.svg", "manifest.webmanifest", "whole.css", "whole.js"]);
    let whole = get(&server, "/assets/whole.js");
    assert!(whole.text().contains("export { ") && !whole.text().contains("import {"));
    assert!(get(&server, "/assets/connection.js").text().contains("export const connection"));
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/chat"].into_iter().chain(ASSETS.map(|(path, _)| path)) {
        let tag = get(&server, path)
            .header("ETag")
            .unwrap_or_else(|| panic!("{path} has no entity tag"))
            .to_string();
        assert!(tag.ends_with('"'), "{path}: {tag:?} is quoted");
        let conditional = |method: &str, value: &str| -> Response {
            let request = Request::plain(&server, method, path).add("If-None-Match", value);
            exchange(&server, &request.bytes())
        };
        // RFC 9110 §13.1.2: a list, or anything at all; the comparison is the weak one.
        let weak = format!("W/{}", tag.trim_start_matches("W/"));
        for value in [&tag, &weak, &format!("\"x\", {tag}"), "*"] {
            let unchanged = conditional("GET", value);
            assert_eq!(unchanged.status, 304, "{path} with {value}");
            assert_eq!(unchanged.header("ETag"), Some(&*tag), "{path}");
            assert_eq!(conditional("HEAD", value).status, 304, "{path}");
        }
        for value in ["\"other\"", ""] {
            assert_eq!(conditional("GET", value).status, 200, "{path} with {value:?}");
        }
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/healthz", "/assets/chat.js", "/no/such"] {
        let get = get(&server, path);
        // `exchange` fails on a body, since it expects none after HEAD.
        let head = exchange(&server, &Request::plain(&server, "HEAD", path).bytes());
        assert_eq!(head.status, get.status, "{path}");
        let but_date = |response: &Response| -> Vec<(String, String)> {
            let mut headers = response.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers
        };
        assert_eq!(but_date(&head), but_date(&get), "{path}");
        assert!(get.header("Content-Length").is_some_and(|length| length != "0"));
    }
}

/// Who opens an address at which nothing is sees a page with a way back; tools get the same words as text.
#[test]
fn a_browser_at_an_unknown_path_gets_a_page_with_a_way_back() {
    let server = Wsloop::start(&[]);
    let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
    for path in ["/no/such", "/assets/none.js", "/robots.txt", "/a%20b"] {
        let page = exchange(&server, &Request::plain(&server, "GET", path).set("Accept", accept).bytes());
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = page.header("Content-Security-Policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(page.text().contains("<a href=\"/\">"), "{path}");
        let text = exchange(&server, &Request::plain(&server, "GET", path).set("Accept", "*/*").bytes());
        assert_eq!(text.header("Content-Type"), Some("text/plain; charset=utf-8"), "{path}");
        assert!(page.text().contains(text.text().trim()), "{path}: the same words");
    }
}

/// Pages of other origins import the client; the page's other files are its own.
#[test]
fn the_client_is_there_for_pages_of_all_origins() {
    let server = Wsloop::start(&[]);
    let shared = [
        ("/assets/client.js", "text/javascript"),
        ("/assets/client.d.ts", "text/plain"),
        ("/assets/roster.js", "text/javascript"),
    ];
    for (path, content_type) in shared {
        let file = get(&server, path);
        assert_eq!(file.header("Access-Control-Allow-Origin"), Some("*"), "{path}");
        assert_eq!(file.header("Cross-Origin-Resource-Policy"), Some("cross-origin"), "{path}");
        assert!(file.header("Content-Type").unwrap_or_default().starts_with(content_type), "{path}");
        for import in file.text().lines().filter(|line| line.starts_with("import ")) {
            let name = import.split("from \"./").nth(1).and_then(|rest| rest.split('"').next());
            let is_shared =
                name.is_some_and(|name| shared.iter().any(|(path, _)| *path == format!("/assets/{name}")));
            assert!(is_shared, "{path}: {import}");
        }
    }
    for path in ["/", "/assets/chat.js"] {
        let file = get(&server, path);
        assert_eq!(file.header("Access-Control-Allow-Origin"), None, "{path}");
        assert_eq!(file.header("Cross-Origin-Resource-Policy"), Some("same-origin"), "{path}");
    }
}

#[test]
fn liveness_is_plain_text() {
    let server = Wsloop::start(&[]);
    let response = get(&server, "/healthz");
    assert_eq!(response.status, 200);
    let content_type = response.header("Content-Type").unwrap_or_default();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    assert!(!response.text().trim().is_empty());
}

#[test]
fn other_methods_are_told_which_are_allowed() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/chat", "/assets/chat.js", "/healthz", "/echo"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"] {
            let request = Request::plain(&server, method, path);
            let response = refusal(&server, &request.bytes(), 405);
            let allowed = response.header("Allow").unwrap_or_default();
            assert!(allowed.split(',').any(|one| one.trim() == "GET"), "{method} {path}: {allowed:?}");
        }
    }
}

#[test]
fn a_websocket_path_says_how_to_connect() {
    let server = Wsloop::start(&[]);
    for path in ["/echo", "/broadcast", "/broadcast/news"] {
        let request = Request::plain(&server, "GET", path);
        let response = refusal(&server, &request.bytes(), 426);
        assert_upgrade_headers(&response);
        let text = response.text();
        assert!(text.contains("ws://") || text.contains("WebSocket"), "{path} says how to connect: {text:?}");
    }
}

#[test]
fn a_version_other_than_13_is_told_the_right_one() {
    let server = Wsloop::start(&[]);
    for path in ["/", "/echo"] {
        for version in ["8", "0", "12", "14", "130", "013", "x", ""] {
            let request = Request::upgrade(&server, path).set("Sec-WebSocket-Version", version);
            assert_upgrade_headers(&refusal(&server, &request.bytes(), 426));
        }
    }
}

#[test]
fn a_second_request_on_a_connection_is_never_answered() {
    let server = Wsloop::start(&[]);
    let mut persistent = RawClient::connect(&server);
    let request = Request::plain(&server, "GET", "/healthz").without("Connection").bytes();
    persistent.send(&[request.as_slice(), request.as_slice()].concat());
    assert_eq!(persistent.read_response(false).status, 200);
    persistent.expect_end();

    // After a refusal as well: `exchange` fails on any byte after the response.
    let second = Request::plain(&server, "GET", "/healthz").bytes();
    for (first, status) in [
        (Request::plain(&server, "GET", "/no/such").bytes(), 404),
        (b"nonsense\r\n\r\n".to_vec(), 400),
        (Request::upgrade(&server, "/echo").without("Sec-WebSocket-Key").bytes(), 400),
    ] {
        refusal(&server, &[first, second.clone()].concat(), status);
    }
}

fn assert_upgrade_headers(response: &Response) {
    let upgrade = response.header("Upgrade").unwrap_or_default();
    assert!(upgrade.eq_ignore_ascii_case("websocket"), "{response:?}");
    assert_eq!(response.header("Sec-WebSocket-Version"), Some("13"));
}

#[test]
fn forty_paths_that_lead_nowhere() {
    let server = Wsloop::start(&[]);
    let script = get(&server, "/assets/chat.js").body;
    let paths = [
        ("/assets/../src/main.rs", 404),
        ("/assets/..", 404),
        ("/assets/.", 404),
        ("/assets/", 404),
        ("/assets", 404),
        ("/assets//chat.js", 404),
        ("/assets/./chat.js", 404),
        ("/assets/x/../chat.js", 404),
        ("/assets/chat.js/", 404),
        ("/assets/chat.js/..", 404),
        ("/assets/chat.js.", 404),
        ("/assets/chat.js%20", 404),
        ("/assets/chat.js%00", 404),
        ("/assets/chat.js%00.css", 404),
        ("/assets/chat.js;x=1", 404),
        ("/assets/CHAT.JS", 404),
        ("/assets/chat.js::$DATA", 404),
        ("/assets/chat.js~", 404),
        ("/assets/.chat.js.swp", 404),
        ("/assets/index.html", 404),
        ("/assets/../../../../../../etc/passwd", 404),
        ("/assets/..%2f..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("/assets/%252e%252e%252fetc%252fpasswd", 404),
        ("/assets/..%5c..%5cetc%5cpasswd", 404),
        ("/assets/..\\..\\etc\\passwd", 404),
        ("/assets/%c0%ae%c0%ae/etc/passwd", 400),
        ("/assets/%c0%af..%c0%afetc", 400),
        ("/assets/....//....//etc/passwd", 404),
        ("/assets//etc/passwd", 404),
        ("/assets/file:///etc/passwd", 404),
        ("/assets/%2fetc%2fpasswd", 404),
        ("//etc/passwd", 404),
        ("/../etc/passwd", 404),
        ("/..", 404),
        ("/.", 404),
        ("/%2e%2e", 404),
        ("/%2e%2e%2fetc%2fpasswd", 404),
        ("/..%00", 404),
        ("/.git/config", 404),
        ("/proc/self/environ", 404),
        ("file:///etc/passwd", 400),
        ("../etc/passwd", 400),
    ];
    assert!(paths.len() >= 40);
    for (path, status) in paths {
        let response = refusal(&server, &Request::plain(&server, "GET", path).bytes(), status);
        assert_ne!(response.body, script, "{path}");
        let text = response.text();
        assert!(text.len() < 500 && !text.contains("root:") && !text.contains("fn main"), "{path}: {text}");
    }
    assert_eq!(get(&server, "/assets/chat.js?v=../x").body, script, "a query is no part of the path");
}
