//! The page on screens of all sizes and kinds: what stands where, how much is left for the messages, light and dark,
//! colours that the system forces, fingers, and what an installed page is known by.

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
use crate::support::http::get;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, join, said, say, wait_for_line, wait_for_phase, wait_for_words, words};

/// Whether the elements with these ids are drawn.
fn drawn(page: &Page, ids: &[&str]) -> serde_json::Value {
    page.evaluate(&format!("{}.map((id) => document.getElementById(id).checkVisibility())", json!(ids)))
}

#[test]
fn the_messages_get_at_least_half_of_the_height() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/a-room-with-a-name-that-is-rather-long-for-a-telephone?name=Bo");
    let page =
        join(&browser, &server, "/a-room-with-a-name-that-is-rather-long-for-a-telephone", &"W".repeat(32));
    client.send_text("hello");
    wait_for_line(&page, "hello");
    // A telephone, with its keyboard too; on its side, with its keyboard too; a window that is magnified fourfold.
    for (width, height, is_phone) in [
        (390, 844, true),
        (390, 500, true),
        (844, 390, true),
        (844, 195, true),
        (320, 256, false),
        (1280, 800, false),
    ] {
        page.set_viewport(width, height, is_phone);
        let share = "document.querySelector('#log').clientHeight / innerHeight";
        page.wait_for(&format!("innerWidth === {width} && {share} >= 0.5"), SOON);
        say(&page, &"long words ".repeat(30));
        page.evaluate("document.querySelector('#message').value = 'one\\n'.repeat(20)");
        page.wait_for(&format!("{share} >= 0.45"), SOON);
        page.evaluate("document.querySelector('#message').value = ''");
        let outside = page.evaluate(
            "['people', 'log', 'rename', 'message', 'send'].filter((id) => {
                const { left, top, right, bottom } = document.getElementById(id).getBoundingClientRect();
                return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight; })",
        );
        assert_eq!(outside, json!([]), "{width} × {height}");
        assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
        assert_eq!(page.evaluate("document.querySelector('.bar').offsetHeight < 56"), true, "one line");
    }
    assert_no_errors(&page);
}

#[test]
fn a_wide_page_has_rooms_and_people_beside_flat_lines() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada Lovelace");
    let mut client = Client::join(&server, "/tea?name=Bo");
    client.send_text("hello");
    wait_for_line(&page, "hello");
    say(&page, "hello Bo");
    wait_for_line(&page, "hello Bo");
    let parts = ["menu", "rooms", "rail", "people-column"];
    let is_flat = "getComputedStyle(document.querySelector('.theirs'), '::before').display !== 'none'";
    for (width, wanted) in [
        (1280, [false, true, true, true]),
        (1000, [false, true, true, false]),
        (800, [false, true, false, false]),
    ] {
        page.set_viewport(width, 700, false);
        page.wait_for(&format!("innerWidth === {width}"), SOON);
        assert_eq!(drawn(&page, &parts), json!(wanted), "{width}");
        assert_eq!(page.evaluate(is_flat), true, "{width}");
        assert_eq!(page.evaluate(LEFT), json!([true, true]), "all begin at the left");
    }
    page.set_viewport(390, 700, true);
    page.wait_for("innerWidth === 390", SOON);
    assert_eq!(drawn(&page, &parts), json!([true, false, false, false]));
    assert_eq!(page.evaluate(is_flat), false);
    assert_eq!(page.evaluate(LEFT), json!([false, true]), "one's own are at the right");

    // The column can be put away, and is the same list as that of the dialog.
    page.set_viewport(1280, 700, false);
    wait_for_words(&page, "people-list", "Ada Lovelace (you)Bo");
    assert_eq!(page.text("document.querySelector('#people').getAttribute('aria-expanded')"), "true");
    page.click("people");
    assert_eq!(drawn(&page, &["people-column", "people-list"]), json!([false, false]));
    page.click("people");
    assert_eq!(drawn(&page, &["people-column", "people-list"]), json!([true, true]));
    page.set_viewport(1000, 700, false);
    page.wait_for("document.querySelector('#people').hasAttribute('aria-haspopup')", SOON);
    page.click("people");
    assert_eq!(page.evaluate("document.querySelector('#people-dialog').open"), true);
    assert_eq!(drawn(&page, &["people-list"]), json!([true]));
    assert_no_errors(&page);
}

/// Whether the last line of one's own and the last of another's begin at the left.
const LEFT: &str = "['.mine', '.theirs'].map((kind) => { const text = [...document.querySelectorAll(`${kind} .text`)].at(-1);
    return text.getBoundingClientRect().left - document.querySelector('#log').getBoundingClientRect().left < 90; })";

#[test]
fn a_line_is_drawn_short_and_is_read_and_copied_whole() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let mut client = Client::join(&server, "/tea?name=Bo%20van%20Dyk");
    for text in ["hello", "and more"] {
        client.send_text(text);
        let line = client.read_said();
        wait_for_line(&page, text);
        assert_eq!(said(&page).last(), Some(&line), "the whole time is there");
    }
    let time = "document.querySelector('.theirs time')";
    let written = page.evaluate(&format!(
        "(() => {{ const time = {time}; const date = new Date(time.dateTime);
            return [time.dataset.short === date.toLocaleTimeString(undefined, {{ hour: '2-digit', minute: '2-digit' }}),
                time.title.includes(String(date.getFullYear())), getComputedStyle(time, '::before').content.includes('attr')
                    || getComputedStyle(time, '::before').content.includes(time.dataset.short)]; }})()"
    ));
    assert_eq!(written, json!([true, true, true]));
    assert_eq!(page.text("document.querySelector('.theirs').dataset.initials"), "BD");
    for (name, initials) in
        [("小林", "小"), ("ada", "A"), ("👩‍👩‍👧 family", "F"), ("🌱", "🌱"), ("guest7", "G"), ("-_-", "-")]
    {
        let made = page.evaluate(&format!(
            "import('/assets/whole.js').then(({{ initialsOf }}) => initialsOf({}))",
            json!(name)
        ));
        assert_eq!(made, initials, "{name}");
    }
    page.click("message");
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.theirs')); 0");
    let copied = page.text("getSelection().toString().replaceAll('\\n', '')");
    assert!(copied.ends_with("Bo van Dyk say: hello") && copied.as_bytes()[2] == b':', "{copied:?}");
    assert_no_errors(&page);
}

#[test]
fn the_theme_is_chosen_kept_and_the_same_in_all_tabs() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    page.emulate_media("prefers-color-scheme", "light");
    let other = page.tab_in_front();
    other.navigate(&server.http_url("/other"));
    other.emulate_media("prefers-color-scheme", "light");
    let ground = "getComputedStyle(document.querySelector('.bar')).backgroundColor";
    let bars = "[...document.querySelectorAll('meta[name=theme-color]')].map((meta) => meta.content)";
    let light = page.text(ground);
    assert_eq!(page.evaluate(bars), json!(["#ffffff", "#1a2027"]));
    let choose = |theme: &str| {
        page.evaluate(&format!(
            "(() => {{ const choice = document.querySelector('#theme'); choice.value = '{theme}';
                choice.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        ));
    };
    choose("dark");
    let dark = page.text(ground);
    assert_ne!(dark, light);
    assert_eq!(page.evaluate(bars), json!(["#1a2027", "#1a2027"]));
    other.wait_for(
        &format!("{ground} === '{dark}' && document.querySelector('#theme').value === 'dark'"),
        SOON,
    );
    // Before the first frame: when the body begins, the colours are there.
    page.before_load(
        "new MutationObserver((_, observer) => { if (document.body) { observer.disconnect();
            window.early = document.documentElement.dataset.theme; } }).observe(document, { childList: true, subtree: true });",
    );
    page.reload();
    assert_eq!(page.text("window.early"), "dark");
    assert_eq!(
        (page.text(ground), page.text("document.querySelector('#theme').value")),
        (dark.clone(), "dark".to_owned())
    );
    choose("light");
    page.emulate_media("prefers-color-scheme", "dark");
    assert_eq!(page.text(ground), light, "what is chosen wins");
    choose("system");
    assert_eq!(page.text(ground), dark);
    assert_eq!(page.evaluate("document.documentElement.hasAttribute('data-theme')"), false);
    assert_no_errors(&page);
    assert_no_errors(&other);
}

#[test]
fn forced_colours_show_states_too() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    page.emulate_media("forced-colors", "active");
    page.wait_for("matchMedia('(forced-colors: active)').matches", SOON);
    say(&page, "hello");
    page.wait_for("document.querySelector('.mine')?.dataset.state === 'sent'", SOON);
    let dot = "(() => { const { backgroundColor, borderRadius } = getComputedStyle(document.querySelector('#status'), '::before');
        return backgroundColor + borderRadius; })()";
    let pressed = "getComputedStyle(document.querySelector('#rooms')).backgroundColor";
    let line = "getComputedStyle(document.querySelector('.mine')).borderTopStyle";
    let before = [page.text(dot), page.text(pressed), page.text(line)];
    page.evaluate(
        "document.querySelector('#rooms').setAttribute('aria-pressed', 'true');
        document.querySelector('.mine').dataset.state = 'failed'; 0",
    );
    page.click("disconnect");
    wait_for_phase(&page, "disconnected");
    let left = page.text(dot);
    page.evaluate("document.querySelector('#status').dataset.phase = 'waiting'");
    let after = [page.text(dot), page.text(pressed), page.text(line)];
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    assert_ne!(left, before[0]);
    assert_ne!(left, after[0]);
}

#[test]
fn a_finger_finds_everything_large_enough() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.set_viewport(390, 844, true);
    page.before_load("localStorage.setItem('wsloop.name', 'Ada'); localStorage.setItem('wsloop.rooms', '[\"tea\",\"garden\"]');");
    page.navigate(&server.http_url("/"));
    page.wait_for("!document.querySelector('#alone').hidden", SOON);
    assert_eq!(page.evaluate("matchMedia('(pointer: coarse)').matches"), true);
    let small = "[...document.querySelectorAll('button, select, textarea, input:not([readonly]), #rail a, #recent a')]
        .filter((control) => control.checkVisibility())
        .filter((control) => { const { width, height } = control.getBoundingClientRect(); return width < 44 || height < 44; })
        .map((control) => control.id || control.textContent)";
    assert_eq!(page.evaluate(small), json!([]));
    page.click("menu");
    assert_eq!(page.evaluate(small), json!([]));
    page.click("rooms");
    assert_eq!(page.evaluate(small), json!([]));
    page.click("rooms-close");
    page.click("people");
    assert_eq!(page.evaluate(small), json!([]));
    page.click("people-close");
    page.set_viewport(1280, 800, true);
    page.wait_for("document.querySelector('#rail').checkVisibility()", SOON);
    assert_eq!(page.evaluate(small), json!([]));
}

#[test]
fn who_is_alone_is_told_how_to_get_company_and_what_is_kept() {
    for (options, kept) in [
        (&[][..], "The last 100 messages are kept"),
        (&["--history", "1"], "The last message is kept"),
        (&["--history", "0"], "Nothing is kept"),
    ] {
        let server = Wsloop::start(options);
        let browser = Browser::launch();
        let page = join(&browser, &server, "/tea", "Ada");
        let is_alone = |is_shown: bool| {
            page.wait_for(&format!("document.querySelector('#alone').hidden !== {is_shown}"), SOON);
        };
        is_alone(true);
        assert!(words(&page, "alone-kept").starts_with(kept), "{}", words(&page, "alone-kept"));
        assert_eq!(page.text("document.querySelector('#alone-link').value"), server.http_url("/tea"));
        page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0");
        page.click("alone-copy");
        wait_for_words(&page, "alone-hint", "The link is copied.");
        assert_eq!(page.text("window.copied"), server.http_url("/tea"));
        let mut client = Client::join(&server, "/tea?name=Bo");
        is_alone(false);
        client.send_text("quit");
        is_alone(true);
        say(&page, "to myself");
        wait_for_line(&page, "to myself");
        is_alone(false);
        page.reload();
        wait_for_phase(&page, "connected");
        is_alone(options == ["--history", "0"]);
        assert_no_errors(&page);
    }
}

#[test]
fn the_page_can_be_installed() {
    let server = Wsloop::start(&[]);
    let answer = get(&server, "/assets/manifest.webmanifest");
    assert_eq!(answer.header("Content-Type"), Some("application/manifest+json"));
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    let manifest = page
        .evaluate("fetch(document.querySelector('link[rel=manifest]').href).then((answer) => answer.json())");
    assert_eq!((&manifest["start_url"], &manifest["display"]), (&json!("/"), &json!("standalone")));
    let icon = manifest["icons"][0]["src"].as_str().expect("an icon has an address");
    assert_eq!(
        page.evaluate(&format!("fetch('{icon}').then((answer) => answer.headers.get('content-type'))")),
        "image/svg+xml"
    );
    // The browser itself: it has found the manifest, read it, and has nothing to complain of.
    let found = page.app_manifest();
    assert_eq!(found["errors"], json!([]), "{found}");
    assert!(
        found["url"].as_str().is_some_and(|url| url.ends_with("/assets/manifest.webmanifest")),
        "{found}"
    );
    assert_no_errors(&page);
}
