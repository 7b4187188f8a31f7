//! Who somebody is and where: the name that the page asks for and remembers, and the way to other rooms.

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::{Client, without_time};
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, draft, focused, join, say, wait_for_line, wait_for_phase, words};

const DIALOG_OPEN: &str = "document.querySelector('#name-dialog').open";

#[test]
fn the_name_is_asked_remembered_and_changed() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    client.send_text("one can read this before one has a name");
    client.read_text();
    let page = browser.page(&server.http_url("/"));
    page.wait_for("document.querySelector('.say')?.textContent.endsWith('before one has a name')", SOON);
    assert_eq!(page.evaluate(DIALOG_OPEN), false, "nobody is asked before it writes");
    assert!(client.read_text().starts_with("Welcome guest"));
    say(&page, "hello");
    assert_eq!(page.evaluate(DIALOG_OPEN), true);
    assert_eq!(focused(&page), "name", "one can write at once");
    assert_eq!(draft(&page), "hello", "nothing is sent before the answer");
    page.type_text("  小林 & <Söhne>  ");
    page.press(Key::Enter);
    assert_eq!(without_time(&client.read_text()), "小林 & <Söhne> say: hello");
    wait_for_line(&page, "小林 & <Söhne> say: hello");
    assert_eq!(words(&page, "status"), "Connected as 小林 & <Söhne>");
    assert_eq!(words(&page, "own-name"), "小林 & <Söhne>");
    assert_eq!(
        (focused(&page), draft(&page)),
        ("message".to_owned(), String::new()),
        "one can go on writing"
    );

    page.reload();
    wait_for_phase(&page, "connected");
    assert_eq!(page.evaluate(DIALOG_OPEN), false, "it is asked once");
    assert_eq!(without_time(&client.read_text()), "小林 & <Söhne> say: 小林 & <Söhne> Logout");
    assert_eq!(client.read_text(), "Welcome 小林 & <Söhne> !");

    page.click("rename");
    assert_eq!(page.text("document.querySelector('#name').value"), "小林 & <Söhne>");
    page.type_text("Lin");
    page.click("name-save");
    wait_for_phase(&page, "connected");
    wait_for_line(&page, "小林 & <Söhne> is now Lin");
    say(&page, "it is me");
    assert_eq!(without_time(&client.read_said()), "Lin say: it is me");
    wait_for_line(&page, "it is me");
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 2);

    page.click("rename");
    page.click("nameless");
    page.wait_for("/^Connected as guest[0-9]+$/.test(document.querySelector('#status').textContent)", SOON);
    page.reload();
    wait_for_phase(&page, "connected");
    say(&page, "nobody in particular");
    assert_eq!(page.evaluate(DIALOG_OPEN), false, "no name is an answer too");
    wait_for_line(&page, "nobody in particular");
    assert_no_errors(&page);
}

/// The answer may come while there is no connection, or while one is being made.
#[test]
fn who_is_asked_while_the_server_is_away_is_heard_under_that_name() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = browser.page(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    client.read_text();
    page.evaluate(
        "(() => { const Real = WebSocket; window.isDown = true; window.WebSocket = class extends Real {
            constructor(url, form) { super(window.isDown ? 'ws://127.0.0.1:1/' : url, form); } };
            return import('/assets/whole.js').then(({ connection }) => { connection.closed(3000, ''); }); })()",
    );
    wait_for_phase(&page, "waiting");
    say(&page, "from far away");
    page.type_text("Ada");
    page.press(Key::Enter);
    page.wait_for("document.querySelector('.mine[data-state=sending]') !== null", SOON);
    assert_eq!(words(&page, "own-name"), "Ada");
    page.evaluate("window.isDown = false; dispatchEvent(new Event('online')); 0");
    assert_eq!(without_time(&client.read_said()), "Ada say: from far away");
}

#[test]
fn a_name_that_cannot_be_is_refused_kindly_and_at_once() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    page.click("rename");
    let cases = [
        ("W".repeat(33), "at most 32 characters; this one has 33"),
        ("😀".repeat(33), "this one has 33"),
        ("a\u{200b}b".to_string(), "invisible characters"),
        ("a\u{202e}b".to_string(), "invisible characters"),
        ("a\u{2067}b".to_string(), "invisible characters"),
        ("a\u{7}b".to_string(), "invisible characters"),
        ("a\u{feff}b".to_string(), "invisible characters"),
        ("a\u{2800}b".to_string(), "invisible characters"),
        ("\u{301}a".to_string(), "accents on their letters"),
        ("\u{430}lice".to_string(), "one script"),
        ("('127.0.0.1', 5000)".to_string(), "letters, digits"),
        ("127.0.0.1".to_string(), "address"),
    ];
    for (name, reason) in cases {
        page.evaluate("document.querySelector('#name').select()");
        page.type_text(&name);
        assert!(words(&page, "name-hint").contains(reason), "{name:?}: {:?}", words(&page, "name-hint"));
        page.press(Key::Enter);
        assert_eq!(page.evaluate(DIALOG_OPEN), true);
        assert_eq!(focused(&page), "name");
    }
    page.evaluate("document.querySelector('#name').value = ' '");
    page.press(Key::Enter);
    assert!(words(&page, "name-hint").contains("go on without one"));
    assert!(words(&page, "status").starts_with("Connected as guest"));

    // Allowed: 32 characters; a letter composed of two, which is sent as one; an emoji with its invisible mark.
    for (written, name) in [
        ("😀".repeat(32), "😀".repeat(32)),
        ("Zoe\u{301} ❤\u{fe0f}".to_string(), "Zo\u{e9} ❤\u{fe0f}".to_string()),
    ] {
        page.evaluate("document.querySelector('#name').select()");
        page.type_text(&written);
        assert_eq!(words(&page, "name-hint"), "");
        page.press(Key::Enter);
        page.wait_for(
            &format!(
                "document.querySelector('#status').textContent === {}",
                json!(format!("Connected as {name}"))
            ),
            SOON,
        );
        say(&page, "it is me");
        wait_for_line(&page, &format!("{name} say: it is me"));
        assert_eq!(page.evaluate("[...document.querySelectorAll('.say')].at(-1).matches('.mine')"), true);
        page.click("rename");
    }
    assert_no_errors(&page);
}

#[test]
fn who_does_not_answer_keeps_what_it_wrote_and_is_asked_again() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    wait_for_line(&page, "Welcome guest1 !");
    say(&page, "not yet");
    assert_eq!(page.evaluate(DIALOG_OPEN), true);
    page.press(Key::Escape);
    page.wait_for("document.activeElement.id === 'message'", SOON);
    assert_eq!(draft(&page), "not yet");
    assert_eq!(page.evaluate("document.querySelectorAll('.say').length"), 0);
    page.press(Key::Enter);
    assert_eq!(page.evaluate(DIALOG_OPEN), true, "an open question is asked again");
    page.click("nameless");
    wait_for_line(&page, "guest1 say: not yet");
}

#[test]
fn who_is_called_something_else_than_asked_for_is_told_why() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let _other = Client::join(&server, "/?name=Ada");
    let _another = Client::join(&server, "/?name=Bo");
    let page = join(&browser, &server, "/", "Ada");
    let told = |wanted: &str| {
        let wanted = json!(wanted);
        page.wait_for(
            &format!("[...document.querySelectorAll('#log .note')].at(-1)?.textContent === {wanted}"),
            SOON,
        );
    };
    told("The name Ada is taken in this room: you are Ada-2 here.");
    page.click("rename");
    page.evaluate("document.querySelector('#name').select()");
    page.type_text("Bo");
    page.press(Key::Enter);
    told("The name Bo is taken in this room: you are Bo-2 here.");
    assert_eq!(page.evaluate("document.querySelectorAll('#log .note').length"), 2);
    assert_no_errors(&page);
}

#[test]
fn a_browser_that_forbids_storage_can_chat() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.before_load(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });",
    );
    page.navigate(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    say(&page, "hello");
    page.type_text("Ada");
    page.press(Key::Enter);
    wait_for_line(&page, "Ada say: hello");
    assert_no_errors(&page);
}

#[test]
fn other_rooms_are_found_by_name_in_any_script() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    assert_eq!(words(&page, "room"), "lobby");
    page.click("rooms");
    assert_eq!(page.text("document.querySelector('#link').value"), server.http_url("/"));
    let refused = [
        ("", "1 to 64"),
        ("two words", "no spaces"),
        ("a/b", "1 to 64"),
        ("..", "1 to 64"),
        (".", "1 to 64"),
        ("<b>", "1 to 64"),
        ("\u{301}a", "1 to 64"),
        ("echo", "uses “echo” for itself"),
        ("robots.txt", "for itself"),
    ];
    for (name, reason) in refused {
        write_room(&page, name);
        page.press(Key::Enter);
        assert!(words(&page, "rooms-hint").contains(reason), "{name:?}: {:?}", words(&page, "rooms-hint"));
        assert_eq!(page.text("location.pathname"), "/");
    }
    let too_long = "あ".repeat(65);
    write_room(&page, &too_long);
    page.press(Key::Enter);
    assert!(words(&page, "rooms-hint").contains("1 to 64"));

    for name in ["茶室-2", &too_long[3..], "~a.b_c-D9", "Straße", "हिन्दी"] {
        write_room(&page, name);
        page.load(|| page.press(Key::Enter));
        wait_for_phase(&page, "connected");
        assert_eq!(words(&page, "room"), name);
        let mut client = Client::connect(&server, &page.text("location.pathname"));
        client.send_text("found you");
        wait_for_line(&page, "say: found you");
        page.click("rooms");
    }
    write_room(&page, "lobby");
    page.load(|| page.press(Key::Enter));
    assert_eq!(page.text("location.pathname"), "/", "the lobby has one address");
    assert_no_errors(&page);
}

#[test]
fn the_link_of_a_room_is_copied_or_at_least_selected() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/garden", "Ada");
    page.before_load("0");
    page.evaluate(
        "navigator.clipboard.writeText = async (text) => {
            if (window.forbidden) { throw new DOMException('no', 'NotAllowedError'); }
            window.copied = text; }; 0",
    );
    page.click("rooms");
    page.click("copy");
    page.wait_for("document.querySelector('#rooms-hint').textContent === 'The link is copied.'", SOON);
    assert_eq!(page.text("window.copied"), server.http_url("/garden"));
    page.evaluate("window.forbidden = true; getSelection().empty(); 0");
    page.click("copy");
    page.wait_for(
        "document.querySelector('#rooms-hint').textContent.startsWith('The link is selected')",
        SOON,
    );
    assert_eq!(
        page.evaluate(
            "(() => { const { selectionStart, selectionEnd, value } = document.querySelector('#link');
            return [selectionStart, selectionEnd - value.length]; })()"
        ),
        json!([0, 0])
    );
}

fn write_room(page: &Page, name: &str) {
    page.evaluate("document.querySelector('#other-room').select()");
    if name.is_empty() {
        page.evaluate("document.querySelector('#other-room').value = ''");
    }
    page.type_text(name);
}
