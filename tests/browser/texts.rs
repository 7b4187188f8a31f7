//! Text as people write it: what is marked up and how it looks, copying code, suggestions while one writes, mentions.
//! What any text becomes is tested without a browser, in `tests/page`.

use serde_json::json;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::{Client, without_time};
use crate::support::server::Wsloop;
use crate::{
    SOON, assert_no_errors, draft, encoded, focused, join, lines, say, wait_for_line, wait_for_phase,
    wait_for_words,
};

const TEXT: &str = "It is **bold**, *slanted*, ~~gone~~ and `let x = 1;`, see https://例え.jp/道.\n\
    > first\n> second\n- apples\n- **pears** and plums\n3. three\n10. ten\n```rust\nfn main() {\n    你好();\n}\n```\n:tada: the end";
const SHOWN: &str = "It is bold, slanted, gone and let x = 1;, see https://例え.jp/道.\n\
    first\nsecond\n• apples\n• pears and plums\n3. three\n10. ten\nfn main() {\n    你好();\n}\n🎉 the end";

/// What is suggested, with the chosen one in brackets.
const SUGGESTED: &str =
    "[...document.querySelectorAll('#completions:not([hidden]) [role=option]')].map((option) =>
    option.id === document.querySelector('#message').getAttribute('aria-activedescendant')
        && option.getAttribute('aria-selected') === 'true' ? `[${option.textContent}]` : option.textContent)";

fn wait_for_suggestions(page: &Page, wanted: &[&str]) {
    page.wait_for(&format!("JSON.stringify({SUGGESTED}) === JSON.stringify({})", json!(wanted)), SOON);
}

#[test]
fn each_kind_of_text_is_seen_as_what_it_is() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    client.send_text(TEXT);
    wait_for_line(&page, &format!("Bo say: {SHOWN}"));
    if let Some(file) = std::env::var_os("WSLOOP_SCREENSHOT_TEXT") {
        page.screenshot(std::path::Path::new(&file));
    }
    let style = |selector: &str, property: &str| {
        page.text(&format!("getComputedStyle(document.querySelector('.text {selector}')).{property}"))
    };
    assert_eq!(style("strong", "fontWeight"), "700");
    assert_eq!(style("em", "fontStyle"), "italic");
    assert!(style("s", "textDecorationLine").contains("line-through"));
    for code in [".code code", "> code"] {
        let fonts = style(code, "fontFamily");
        let (width, words) = fonts.split_once(" monospace,").expect("fonts of one width");
        assert!(width.contains("Mono") && words.contains("sans-serif"), "and others behind them: {fonts}");
    }
    // Letters of one width, which those around them are not.
    let widths = "(selector) => { const element = document.querySelector(selector);
        return ['iiii', 'WWWW'].map((text) => { const probe = document.createElement('span');
            probe.textContent = text; element.append(probe);
            const { width } = probe.getBoundingClientRect(); probe.remove(); return width; }); }";
    assert_eq!(page.evaluate(&format!("(([thin, wide]) => thin === wide)(({widths})('.code code'))")), true);
    assert_eq!(page.evaluate(&format!("(([thin, wide]) => thin === wide)(({widths})('.say .text'))")), false);

    // No empty lines behind blocks, and each item on a line of its own.
    let heights = page.evaluate(
        "(() => { const line = parseFloat(getComputedStyle(document.querySelector('.say .text')).lineHeight);
            const count = (element) => Math.round(element.getBoundingClientRect().height / line * 10) / 10;
            return ['blockquote', 'ul', 'ol', 'li'].map((name) => count(document.querySelector(`.text ${name}`))); })()",
    );
    assert_eq!(heights, json!([2, 2, 2, 1]));
    assert_eq!(page.text("document.querySelector('.code').dataset.language"), "rust");
    assert_eq!(page.text("document.querySelector('.emoji').title"), ":tada:");
    assert_eq!(page.text("document.querySelector('.text a').title"), "xn--r8jz45g.jp");
    let roles: Vec<String> = page.accessible_nodes().into_iter().map(|(role, ..)| role).collect();
    for role in ["blockquote", "list", "listitem", "strong", "emphasis", "deletion", "code", "link"] {
        assert!(roles.iter().any(|one| one == role), "{role} is missing in {roles:?}");
    }

    // On a phone nothing is wider than the page.
    client.send_text(&format!("```\n{}\n```\n> {}", "x".repeat(600), "y".repeat(600)));
    page.wait_for("document.querySelectorAll('.code').length === 2", SOON);
    page.set_viewport(320, 568, true);
    page.wait_for(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#log'))",
        SOON,
    );
    assert_no_errors(&page);
}

#[test]
fn code_can_be_copied() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    client.send_text("Try this:\n```sh\ncargo run -- --port 0\n  # 你好\n```\nand tell me");
    page.wait_for("document.querySelector('.copy') !== null", SOON);
    assert!(lines(&page).last().expect("a line").ends_with("# 你好\nand tell me"), "the button is no text");
    let buttons = page.accessible_nodes();
    assert!(buttons.iter().any(|(role, name, _)| role == "button" && name == "Copy the code"), "{buttons:?}");

    page.evaluate(
        "window.copied = []; window.allowed = true;
         navigator.clipboard.writeText = (text) => allowed ? Promise.resolve(copied.push(text)) : Promise.reject();
         document.querySelector('.copy').focus()",
    );
    page.press(Key::Space);
    wait_for_words(&page, "hint", "The code is copied.");
    assert_eq!(page.evaluate("copied"), json!(["cargo run -- --port 0\n  # 你好"]));
    let words = "getComputedStyle(document.querySelector('.copy'), '::before').content";
    assert!(page.text(words).contains("Copied"));
    page.wait_for(&format!("{words}.includes('\"Copy\"')"), SOON);

    // Where the browser forbids it, what is to be copied is selected.
    page.evaluate("window.allowed = false; document.querySelector('.copy').click()");
    page.wait_for("document.querySelector('#hint').textContent.startsWith('The code is selected')", SOON);
    assert_eq!(page.text("String(getSelection())"), "cargo run -- --port 0\n  # 你好");
    assert_no_errors(&page);
}

#[test]
fn names_and_emoji_are_suggested_while_one_writes() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut bo = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    let _bob = Client::join(&server, &format!("/tea?name={}", encoded("Bob Smith")));
    let _cy = Client::join(&server, "/tea?name=Cy");
    wait_for_line(&page, "Cy joined");
    wait_for_words(&page, "people", "4 here");

    page.click("message");
    page.type_text("hello @");
    wait_for_suggestions(&page, &["[Bo]", "Bob Smith", "Cy"]);
    page.type_text("b");
    wait_for_suggestions(&page, &["[Bo]", "Bob Smith"]);
    wait_for_words(&page, "completions-count", "2 suggestions");
    page.press(Key::Down);
    wait_for_suggestions(&page, &["Bo", "[Bob Smith]"]);
    page.press(Key::Down);
    wait_for_suggestions(&page, &["[Bo]", "Bob Smith"]);
    page.press(Key::Down);
    page.press(Key::Enter);
    assert_eq!(draft(&page), "hello @\"Bob Smith\" ", "Enter takes it and sends nothing");
    wait_for_suggestions(&page, &[]);
    assert_eq!(
        page.evaluate("document.querySelector('#message').hasAttribute('aria-activedescendant')"),
        false
    );
    page.type_text("and @smi");
    wait_for_suggestions(&page, &["[Bob Smith]"]);
    page.press(Key::Escape);
    wait_for_suggestions(&page, &[]);
    page.type_text("t");
    wait_for_suggestions(&page, &[]);
    page.type_text(" :sm");
    page.wait_for(&format!("{SUGGESTED}[0] === '[😃 smiley]'"), SOON);
    page.type_text("irk");
    wait_for_suggestions(&page, &["[😏 smirk]"]);
    page.press(Key::Tab);
    assert_eq!(
        (draft(&page).as_str(), focused(&page).as_str()),
        ("hello @\"Bob Smith\" and @smit 😏 ", "message")
    );
    page.press(Key::Enter);
    assert_eq!(without_time(&bo.read_said()), "Ada say: hello @\"Bob Smith\" and @smit 😏 ");
    assert_eq!(draft(&page), "");

    assert_no_errors(&page);
}

#[test]
fn suggestions_come_only_where_they_are_meant() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let _bo = Client::join(&server, "/tea?name=Bo");
    let page = join(&browser, &server, "/tea", "Ada");
    let _cy = Client::join(&server, "/tea?name=Cy");
    wait_for_line(&page, "Cy joined");
    page.click("message");
    // What is no name, an address, or code has none; nor has what an input method has not decided.
    for text in ["a@b", "@Body", "12:30", ":", ":s", "`@b", "```\n:smi", "@b and", "https://x.example/:smi"] {
        page.type_text(text);
        wait_for_suggestions(&page, &[]);
        page.evaluate("document.querySelector('#message').select()");
    }
    page.type_text("@");
    wait_for_suggestions(&page, &["[Bo]", "Cy"]);
    page.compose("b");
    wait_for_suggestions(&page, &[]);
    page.press(Key::ComposingEnter);
    assert!(draft(&page).starts_with('@'), "Enter is the input method's");
    page.evaluate("(() => { const box = document.querySelector('#message'); box.blur(); box.value = ''; box.focus(); })()");

    // With the mouse; and the focus stays.
    page.type_text("@C");
    wait_for_suggestions(&page, &["[Cy]"]);
    page.click("completion-0");
    assert_eq!((draft(&page).as_str(), focused(&page).as_str()), ("@Cy ", "message"));
    page.press(Key::ShiftTab);
    assert_eq!(focused(&page), "rename", "Tab is its own again");
    assert_no_errors(&page);
}

#[test]
fn a_mention_is_marked_in_the_text_in_the_title_and_on_the_desktop() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/tea?name=Bo");
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada L'); window.notices = [];
         window.Notification = class extends EventTarget {
            static permission = 'granted';
            static requestPermission() { return Promise.resolve('granted'); }
            constructor(title, { body }) { super(); notices.push(`${title}: ${body}`); }
         };",
    );
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    assert_eq!(page.text("document.querySelector('#notify').value"), "mentions", "unless one chooses");
    client.send_text("seen by @\"ada l\"");
    wait_for_line(&page, "seen by @ada l");
    say(&page, "I am @\"Ada L\", and who is @Bo?");
    wait_for_line(&page, "who is @Bo?");
    let marked = "[...document.querySelectorAll('.say')].map((line) => [line.matches('.mentions-me'),
        [...line.querySelectorAll('.mention')].map((mention) => mention.textContent)])";
    assert_eq!(page.evaluate(marked), json!([[true, ["@ada l"]], [false, ["@Ada L", "@Bo"]]]));

    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    client.send_text("nobody is meant");
    wait_for_line(&page, "nobody is meant");
    assert_eq!(page.text("document.title"), "(1) tea · wsloop");
    client.send_text("@\"Ada L\" is meant");
    wait_for_line(&page, "is meant");
    page.wait_for("document.title === '(@1) tea · wsloop'", SOON);
    assert_eq!(page.evaluate("notices"), json!(["Bo mentions you in tea: @\"Ada L\" is meant"]));
    for (choice, shown) in [("nothing", 1), ("all", 3)] {
        page.evaluate(&format!(
            "(() => {{ const choice = document.querySelector('#notify'); choice.value = '{choice}';
                choice.dispatchEvent(new Event('change')); }})()"
        ));
        page.wait_for(&format!("localStorage.getItem('wsloop.notices') === '{choice}'"), SOON);
        for text in ["@\"Ada L\" again", "nobody again"] {
            let text = format!("{text}, {choice}");
            client.send_text(&text);
            wait_for_line(&page, &text.replace('"', ""));
        }
        assert_eq!(page.evaluate("notices.length"), shown, "{choice}");
    }
    front.close();
    page.focus_always(true);
    page.wait_for("!document.hidden && document.title === 'tea · wsloop'", SOON);
    page.reload();
    wait_for_phase(&page, "connected");
    assert_eq!(page.text("document.querySelector('#notify').value"), "all", "the choice is remembered");
    assert_no_errors(&page);
}

#[test]
fn a_click_on_a_name_mentions_it() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, &format!("/tea?name={}", encoded("Bo B.")));
    let page = join(&browser, &server, "/tea", "Ada");
    client.send_text("hello");
    wait_for_line(&page, "hello");
    page.click("message");
    page.type_text("thanks");
    page.evaluate("document.querySelector('.who').id = 'name-of-bo'; 0");
    page.click("name-of-bo");
    assert_eq!((draft(&page).as_str(), focused(&page).as_str()), ("thanks @\"Bo B.\" ", "message"));
    assert_eq!(
        page.evaluate("document.querySelector('.who').tabIndex"),
        -1,
        "names are no stops of the Tab key"
    );
    assert_no_errors(&page);
}
