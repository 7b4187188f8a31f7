//! The page for everybody: on a phone, by keyboard, for a screen reader, in light and in dark.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::Client;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, focused, join, say, wait_for_line, wait_for_phase, words};

/// Text of every kind that is in view, with its contrast to what is behind it (WCAG 2.2, 1.4.3).
const CONTRASTS: &str = "(() => {
    const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
    const luminance = (rgb) => rgb.slice(0, 3)
        .map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (element) => {
        const colour = channels(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 && element.parentElement ? behind(element.parentElement) : colour;
    };
    const contrast = (element, pseudo) => {
        const pair = [channels(getComputedStyle(element, pseudo).color), behind(element)].map(luminance);
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    };
    const kinds = ['.theirs .text', '.mine .text', '.mine .who', '.time', '.mine .time', '.event .text', '.day', '#people', '#rtt', '.text a',
        '.mention', '.mention.me', '.text blockquote', '.mark', '.text > code', '.code code', '.copy',
        '.note', '.plain .text', '#room', '#status', '#hint', '#keys', '#send', '#rename', '#message', '#newer',
        '#name-title', '#name-aside', 'dialog label', '#rooms-hint', ...Array.from({ length: 8 },
        (_, index) => `.theirs.colour-${index} .who`)];
    const found = kinds.map((kind) => [kind, document.querySelector(kind)]);
    return [...found.map(([kind, element]) => [kind, element && contrast(element)]),
        ['placeholder', contrast(document.querySelector('#message'), '::placeholder')]];
})()";

#[test]
fn a_phone_shows_everything_that_one_needs() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.set_viewport(320, 568, true);
    page.navigate(&server.http_url("/a-room-with-quite-a-long-name-that-has-to-wrap-somewhere"));
    wait_for_phase(&page, "connected");
    assert_fits(&page, &["people", "menu", "log", "rename", "message", "send"]);
    page.click("message");
    page.type_text(&"many words that go on ".repeat(40));
    assert_fits(&page, &["message", "send"]);
    page.press(Key::Enter);
    assert_fits(&page, &["name", "nameless", "name-save"]);
    page.type_text(&"W".repeat(32));
    page.press(Key::Enter);
    page.wait_for("document.querySelectorAll('.mine').length === 1", SOON);
    say(&page, &"W".repeat(600));
    page.wait_for("document.querySelectorAll('.mine').length === 2", SOON);
    assert_fits(&page, &["people", "menu", "log", "rename", "message", "send"]);
    assert_eq!(
        page.evaluate("(() => { const log = document.querySelector('#log'); return log.scrollWidth <= log.clientWidth; })()"),
        true
    );
    page.click("menu");
    assert_fits(&page, &["menu", "rooms", "theme", "disconnect"]);
    page.click("rooms");
    assert_fits(&page, &["link", "copy", "other-room", "go", "rooms-close"]);
    page.click("rooms-close");
    assert_eq!(focused(&page), "menu", "the tools are put away again");
    assert_eq!(page.evaluate("document.querySelector('#rooms').offsetHeight"), 0);
    // The room for messages stays the larger part.
    assert_eq!(page.evaluate("document.querySelector('#log').clientHeight > innerHeight / 2"), true);
    assert_no_errors(&page);
}

#[test]
fn everything_can_be_reached_and_done_by_keyboard() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    page.wait_for("!document.querySelector('#alone').hidden", SOON);
    assert_eq!(focused(&page), "message");
    page.type_text("not alone");
    page.press(Key::Enter);
    assert_eq!(walk(&page, Key::Tab, 2), ["nameless", "name-save"]);
    assert_eq!(walk(&page, Key::ShiftTab, 2), ["nameless", "name"]);
    page.type_text("Ada");
    page.press(Key::Enter);
    wait_for_line(&page, "not alone");
    // Without an id: the link to this room.
    let all = [
        "people",
        "rooms",
        "find-open",
        "notify",
        "theme",
        "disconnect",
        "",
        "rail-more",
        "log",
        "rename",
        "message",
        "send",
    ];
    let back: Vec<&str> = all[..10].iter().rev().copied().collect();
    assert_eq!(walk(&page, Key::ShiftTab, 10), back);
    assert_eq!(walk(&page, Key::Tab, 11), all[1..]);

    walk(&page, Key::ShiftTab, 10);
    assert_eq!(focused(&page), "rooms");
    page.press(Key::Space);
    assert_eq!(focused(&page), "copy");
    assert_eq!(walk(&page, Key::Tab, 3), ["other-room", "go", "rooms-close"]);
    page.press(Key::Escape);
    assert_eq!(focused(&page), "rooms", "a dialog gives the focus back");
    walk(&page, Key::Tab, 4);
    page.press(Key::Enter);
    wait_for_phase(&page, "disconnected");
    assert_eq!(focused(&page), "connect");
    page.press(Key::Space);
    wait_for_phase(&page, "connected");
    assert_eq!(walk(&page, Key::Tab, 5), ["", "rail-more", "log", "rename", "message"]);
    page.type_text("by keyboard only");
    page.press(Key::Enter);
    wait_for_line(&page, "by keyboard only");
    assert_no_errors(&page);
}

#[test]
fn a_screen_reader_finds_names_for_all_and_hears_what_comes() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    wait_for_phase(&page, "connected");
    page.click("rename");
    let asked = named_controls(&page);
    for control in ["textbox Your name", "button Without a name", "button Use this name"] {
        assert!(asked.contains(&control.to_string()), "{control} is missing in {asked:?}");
    }
    page.press(Key::Escape);
    let mut client = Client::join(&server, "/?name=Bo");
    client.send_text("hello");
    wait_for_line(&page, "hello");
    let there = named_controls(&page);
    for control in [
        "button Your name: guest1",
        "button Rooms",
        "button Disconnect",
        "log Messages",
        "textbox Message",
        "button Send",
    ] {
        assert!(there.contains(&control.to_string()), "{control} is missing in {there:?}");
    }
    page.click("rooms");
    let rooms = named_controls(&page);
    for control in [
        "textbox Invite others with this link",
        "button Copy",
        "textbox Go to another room; it need not exist yet",
    ] {
        assert!(rooms.contains(&control.to_string()), "{control} is missing in {rooms:?}");
    }
    page.press(Key::Escape);

    // Each place that speaks is a live region from the start: one that is added later is not heard.
    for id in ["status", "hint", "name-hint", "rooms-hint", "alone-hint"] {
        assert_eq!(page.text(&format!("document.getElementById('{id}').getAttribute('role')")), "status");
    }
    assert_eq!(page.text("document.documentElement.lang"), "en");
    assert_eq!(page.evaluate("document.querySelectorAll('h1').length"), 1);
    assert_eq!(
        page.text("document.querySelector('#countdown').ariaHidden"),
        "true",
        "no second is announced"
    );
    let heard = page.accessible_nodes();
    let text: String =
        heard.iter().filter(|node| node.0 == "StaticText").map(|node| node.1.as_str()).collect();
    // The tree is listed level by level, and the text of a message stands a level below its head.
    assert!(text.contains("Bo say: "), "who speaks is said, also where it is not drawn: {text:?}");
    assert!(text.contains("hello"), "{text:?}");
}

#[test]
fn every_text_has_contrast_in_light_and_in_dark() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    for number in 0..40 {
        let mut client = Client::join(&server, &format!("/?name=visitor{number}"));
        client.send_text("hello");
        wait_for_line(&page, "hello");
    }
    let mut client = Client::join(&server, "/?name=Bo");
    client.send_text("> quote\n- item\n`code` @Ada @Bo\n```rust\ncode\n```");
    page.wait_for("document.querySelector('.copy') !== null", SOON);
    say(&page, "mine, at https://example.com");
    wait_for_line(&page, "example.com");
    page.wait_for("document.querySelector('#rtt').textContent !== ''", SOON);
    page.press(Key::Enter); // For the hint.
    page.evaluate(
        "document.querySelector('#log').insertAdjacentHTML('beforeend',
            '<p class=\"line plain\"><span class=text>plain</span></p><p class=note><span class=text>note</span></p>');
         document.querySelector('#newer').hidden = false; 0",
    );
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.emulate_media("prefers-color-scheme", scheme);
        assert_contrasts(&page, scheme);
        backgrounds.push(page.text("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1], "the two schemes differ");
    drop(server);
    wait_for_phase(&page, "waiting");
    for scheme in ["light", "dark"] {
        page.emulate_media("prefers-color-scheme", scheme);
        assert_contrasts(&page, &format!("{scheme}, connection lost"));
    }
}

#[test]
fn who_wants_no_motion_gets_none() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/"));
    let animation = "getComputedStyle(document.querySelector('#name-dialog')).animationName";
    page.evaluate("document.querySelector('#name-dialog').showModal()");
    page.emulate_media("prefers-reduced-motion", "no-preference");
    assert_eq!(page.text(animation), "appear");
    page.emulate_media("prefers-reduced-motion", "reduce");
    assert_eq!(page.text(animation), "none");
}

/// The page is not wider than its window, and these elements are all inside it and not covered.
fn assert_fits(page: &Page, ids: &[&str]) {
    assert_eq!(
        page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
        true,
        "the page has to be scrolled sideways"
    );
    let hidden = page.evaluate(&format!(
        "{}.filter((id) => {{ const box = document.getElementById(id).getBoundingClientRect();
            const centre = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return box.width < 24 || box.height < 24 || box.left < 0 || box.top < 0 || box.right > innerWidth
                || box.bottom > innerHeight || centre?.closest('#' + id) === null; }})",
        json!(ids)
    ));
    assert_eq!(hidden, json!([]), "these are out of view, covered, or too small to touch");
}

/// The ids that the focus comes to at each press; it must be visible at each.
fn walk(page: &Page, key: Key, steps: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..steps {
        page.press(key);
        let visible = page.evaluate(
            "(() => { const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                return outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2; })()",
        );
        let id = focused(page);
        assert_eq!(visible, true, "the focus on {id:?} cannot be seen");
        ids.push(id);
    }
    ids
}

/// Role and name of everything that can be used; fails if one has no name.
fn named_controls(page: &Page) -> Vec<String> {
    let nodes = page.accessible_nodes();
    let roles = ["button", "textbox", "dialog", "log"];
    let controls: Vec<_> =
        nodes.iter().filter(|(role, _, focusable)| *focusable || roles.contains(&role.as_str())).collect();
    for (role, name, _) in &controls {
        assert!(!name.trim().is_empty(), "a {role} has no name: {controls:?}");
    }
    controls.iter().map(|(role, name, _)| format!("{role} {name}")).collect()
}

fn assert_contrasts(page: &Page, scheme: &str) {
    let contrasts = page.evaluate(CONTRASTS);
    let contrasts = contrasts.as_array().expect("it is a list of pairs");
    assert!(contrasts.len() > 25);
    for pair in contrasts {
        let contrast = pair[1].as_f64().unwrap_or_else(|| panic!("{scheme}: there is no {}", pair[0]));
        assert!(contrast >= 4.5, "{scheme}: {} has a contrast of {contrast:.2}", pair[0]);
    }
    let status = words(page, "status");
    assert_ne!(Value::String(status), "");
}
