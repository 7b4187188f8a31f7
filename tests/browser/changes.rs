//! What is done with messages that were said: to answer, edit and delete them, and to react, by mouse, by keyboard and
//! by finger; and that others see it.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Key, Page};
use crate::support::json::JsonClient;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, draft, focused, join, say, wait_for_line, wait_for_words, words};

/// Ada at a page, and Bo, who hears JSON, in a room in which nothing was said.
fn ada_and_bo(browser: &Browser, server: &Wsloop) -> (Page, JsonClient) {
    let page = join(browser, server, "/tea", "Ada");
    (page, JsonClient::join(server, "/tea?name=Bo"))
}

/// The message of this number.
fn line(seq: u64) -> String {
    format!("#log .say[data-seq=\"{seq}\"]")
}

fn wait_for_lines(page: &Page, seq: u64) {
    page.wait_for(&format!("document.querySelector({}) !== null", json!(line(seq))), SOON);
}

/// The bar comes to the message at which the mouse points.
fn point(page: &Page, seq: u64) {
    wait_for_lines(page, seq);
    page.point_at(&line(seq));
    page.wait_for(
        &format!("document.querySelector({}) !== null", json!(format!("{} > #actions", line(seq)))),
        SOON,
    );
}

/// Does something with a message by mouse.
fn act(page: &Page, seq: u64, action: &str) {
    point(page, seq);
    page.click_on(&format!("#actions [data-action={action}]"));
}

/// What the part of a message with this class says; nothing if there is none.
fn part(page: &Page, seq: u64, class: &str) -> Value {
    let selector = json!(format!("{} .{class}", line(seq)));
    page.evaluate(&format!("document.querySelector({selector})?.textContent ?? null"))
}

fn wait_for_part(page: &Page, seq: u64, class: &str, wanted: &str) {
    let selector = json!(format!("{} .{class}", line(seq)));
    page.wait_for(&format!("document.querySelector({selector})?.textContent === {}", json!(wanted)), SOON);
}

/// Whether what is written is about nothing in particular.
fn assert_about_nothing(page: &Page) {
    assert_eq!(page.evaluate("document.querySelector('#about').hidden"), true);
    assert_eq!(words(page, "about-words"), "");
}

/// The action that has the focus.
fn focused_action(page: &Page) -> String {
    page.text("document.activeElement.dataset.action ?? document.activeElement.id")
}

#[test]
fn an_answer_quotes_what_it_answers_and_leads_there() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    bo.say("who brings *cake*?");
    act(&page, 1, "answer");
    wait_for_words(&page, "about-words", "Answer to Bo: who brings *cake*?");
    assert_eq!(focused(&page), "message");
    page.type_text("nobody");
    page.press(Key::Escape);
    assert_about_nothing(&page);
    assert_eq!(draft(&page), "nobody", "only what it is about has ended");
    act(&page, 1, "answer");
    page.click("about-end");
    assert_about_nothing(&page);
    page.press(Key::Enter);
    assert_eq!(bo.read_type("say")["text"], "who brings *cake*?");
    let plain = bo.read_type("say");
    assert_eq!((&plain["text"], plain.get("re")), (&json!("nobody"), None));

    act(&page, 1, "answer");
    page.type_text("I do");
    page.press(Key::Enter);
    let answer = bo.read_type("say");
    assert_eq!((&answer["text"], &answer["re"]), (&json!("I do"), &json!(1)));
    assert_about_nothing(&page);
    wait_for_part(&page, 3, "answered", "Bo: who brings *cake*?");
    for number in 4..40 {
        bo.say(&format!("line {number}"));
    }
    wait_for_line(&page, "line 39");
    // After a reload the answer comes together with what it answers.
    page.reload();
    wait_for_part(&page, 3, "answered", "Bo: who brings *cake*?");
    bo.send(&json!({ "type": "say", "text": "thanks", "re": 3 }));
    wait_for_part(&page, 40, "answered", "Ada: I do");
    for _ in 0..2 {
        page.click_on(&format!("{} .answered", line(40)));
        page.wait_for("document.querySelector('.pointed')?.dataset.seq === '3'", SOON);
        assert_eq!(page.text("location.hash"), "#3");
        page.evaluate("document.querySelector('.pointed').classList.remove('pointed')");
        page.evaluate("document.querySelector('#log').scrollTop = 1e6; 0");
    }
    assert_no_errors(&page);
}

#[test]
fn by_keyboard_a_message_is_answered_and_the_focus_comes_back() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    bo.say("one");
    bo.say("two, at https://example.com");
    wait_for_lines(&page, 2);
    page.evaluate("document.querySelector('#log').focus()");
    page.press(Key::Up);
    page.press(Key::Enter);
    assert_eq!(focused_action(&page), "answer");
    let name = page.text("document.querySelector('[role=article][aria-label]').ariaLabel");
    assert!(name.ends_with(" Bo say: two, at https://example.com"), "the bar is no part of it: {name}");
    page.press(Key::Escape);
    assert_eq!(page.text("document.activeElement.dataset.seq"), "2", "the focus comes back");
    assert_eq!(page.evaluate("document.querySelector('#actions').hidden"), true);

    // The bar's buttons are stops, also at the second message to which it comes.
    page.press(Key::Up);
    page.press(Key::Enter);
    for wanted in ["answer", "copy", "link", "rename"] {
        assert_eq!(focused_action(&page), wanted);
        page.press(Key::Tab);
    }
    assert_eq!(page.evaluate("document.querySelector('#actions').hidden"), true, "who goes on leaves it");
    page.press(Key::ShiftTab);
    page.press(Key::ShiftTab);
    page.press(Key::Enter);
    for (key, wanted) in
        [(Key::Left, "act-emoji"), (Key::Left, "link"), (Key::Right, "act-emoji"), (Key::Right, "answer")]
    {
        page.press(key);
        assert_eq!(focused_action(&page), wanted);
    }
    page.press(Key::Enter);
    assert_eq!(words(&page, "about-words"), "Answer to Bo: one");
    assert_eq!(focused(&page), "message");
    page.type_text("an answer");
    page.press(Key::Enter);
    bo.read_until_text("two, at https://example.com");
    assert_eq!(bo.read_type("say")["re"], 1);
    assert_no_errors(&page);
}

#[test]
fn an_edit_is_written_in_the_box_and_seen_by_both() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    say(&page, "frist");
    wait_for_lines(&page, 1);
    bo.say("not Ada's");
    wait_for_lines(&page, 2);
    page.press(Key::Up);
    assert_eq!(draft(&page), "frist");
    assert_eq!(words(&page, "about-words"), "Edit: frist");
    page.press(Key::Escape);
    assert_eq!(draft(&page), "");
    page.type_text("half a thought");
    page.press(Key::Up);
    assert_about_nothing(&page);
    point(&page, 2);
    assert_eq!(page.evaluate("[...document.querySelectorAll('#actions button')].filter((one) => !one.hidden).map((one) => one.dataset.action)"),
        json!(["answer", "copy", "link"]), "another's");
    act(&page, 1, "edit");
    assert_eq!(draft(&page), "frist");
    page.press(Key::Escape);
    assert_eq!(draft(&page), "half a thought", "the draft is back");

    act(&page, 1, "edit");
    page.type_text(" for @Bo!");
    page.press(Key::Enter);
    let edit = bo.read_type("edit");
    assert_eq!((&edit["of"], &edit["text"]), (&json!(1), &json!("frist for @Bo!")));
    assert_eq!(draft(&page), "half a thought");
    assert_about_nothing(&page);
    wait_for_part(&page, 1, "text", "frist for @Bo!");
    let drawn =
        "getComputedStyle(document.querySelector('[data-seq=\"1\"][data-edited] .text'), '::after').content";
    assert_eq!(page.text(drawn), "\" (edited)\"");
    assert_eq!(
        page.evaluate("document.querySelector('[data-seq=\"2\"]').dataset.edited === undefined"),
        true
    );

    // From another client, of what history has told; it mentions Ada now.
    page.reload();
    wait_for_part(&page, 1, "text", "frist for @Bo!");
    assert_eq!(page.text(drawn), "\" (edited)\"");
    bo.send(&json!({ "type": "edit", "seq": 2, "text": "for @Ada **now**" }));
    wait_for_part(&page, 2, "text", "for @Ada now");
    assert_eq!(
        page.evaluate("document.querySelector('[data-seq=\"2\"]').matches('[data-edited].mentions-me')"),
        true
    );
    bo.send(&json!({ "type": "edit", "seq": 2, "text": "for nobody" }));
    wait_for_part(&page, 2, "text", "for nobody");
    assert_eq!(page.evaluate("document.querySelector('.mentions-me')"), Value::Null);
    assert_no_errors(&page);
}

#[test]
fn an_edit_that_is_none_or_too_long_or_refused_loses_nothing() {
    let server = Wsloop::start(&["--max-message", "1K"]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    say(&page, "mine");
    wait_for_lines(&page, 1);
    let rewrite = |text: &str| {
        page.evaluate(&format!("document.querySelector('#message').value = {}; 0", json!(text)));
        page.press(Key::Enter);
    };
    page.press(Key::Up);
    page.press(Key::Enter);
    assert_about_nothing(&page);
    page.press(Key::Up);
    rewrite(" ");
    assert_eq!(
        words(&page, "hint"),
        "A message cannot be empty. To take it back, cancel this and delete it."
    );
    // A message of so many bytes could be sent, an edit is longer.
    let fitting = page.evaluate(
        "import('/assets/whole.js').then(({ connection }) => connection.limits.message - connection.size(''))",
    );
    let fitting = usize::try_from(fitting.as_u64().expect("a number")).expect("a length");
    rewrite(&"x".repeat(fitting));
    assert!(words(&page, "hint").starts_with("This is too long by "), "{}", words(&page, "hint"));
    assert_eq!(words(&page, "about-words"), "Edit: mine");
    // A draft is kept, an edit that is begun is not: as a message it would be said twice.
    page.evaluate("dispatchEvent(new Event('beforeunload')); 0");
    assert_eq!(
        page.evaluate("Object.keys(localStorage).some((key) => key.startsWith('wsloop.unsent.'))"),
        false
    );

    page.evaluate(
        "(() => { const parse = JSON.parse; JSON.parse = (text, ...rest) => { const event = parse(text, ...rest);
            return event.type === 'ack' ? { type: 'error', code: 'too_many', text: '', ref: event.ref } : event; }; })()",
    );
    rewrite("refused");
    wait_for_words(&page, "hint", "Not done: this message was edited too often.");
    assert_eq!(draft(&page), "refused");
    assert!(words(&page, "about-words").starts_with("Edit: "));
    // Only the last was asked for.
    assert_eq!(bo.read_type("edit")["text"], "refused");
    assert_no_errors(&page);
}

const HUSH: &str = "document.documentElement.outerHTML.includes('hush')";

#[test]
fn what_is_deleted_is_asked_for_twice_and_nowhere_on_any_page() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    let other = join(&browser, &server, "/tea", "Cy");
    say(&page, "hush, a secret");
    for one in [&page, &other] {
        wait_for_part(one, 1, "text", "hush, a secret");
    }
    bo.send(&json!({ "type": "say", "text": "I heard that", "re": 1 }));
    bo.send(&json!({ "type": "react", "seq": 1, "emoji": "👀" }));
    bo.send(&json!({ "type": "say", "text": "and that", "re": 2 }));
    for one in [&page, &other] {
        wait_for_part(one, 2, "answered", "Ada: hush, a secret");
        wait_for_part(one, 4, "answered", "Bo: I heard that");
        wait_for_part(one, 1, "reaction", "👀 1");
        assert_eq!(one.evaluate(HUSH), true);
    }
    // Cy is about to answer it, and has the focus at it.
    act(&other, 1, "answer");
    other.evaluate("document.querySelector('#log').focus()");
    other.press(Key::Home);
    assert_eq!(other.evaluate("document.activeElement.ariaLabel.endsWith('hush, a secret, 👀 1')"), true);

    act(&page, 1, "delete");
    assert_eq!(page.text("document.querySelector('[data-action=delete]').textContent"), "Really delete?");
    point(&page, 2);
    point(&page, 1);
    assert_eq!(page.text("document.querySelector('[data-action=delete]').textContent"), "Delete");
    for _ in 0..2 {
        page.click_on("#actions [data-action=delete]");
    }
    assert_eq!(bo.read_type("delete")["of"], 1);
    for one in [&page, &other] {
        wait_for_part(one, 1, "text", "This message was deleted.");
        assert_eq!(part(one, 2, "answered"), "a deleted message");
        assert_eq!(part(one, 1, "reactions"), Value::Null);
        assert_eq!(one.evaluate(HUSH), false, "{}", one.text("document.documentElement.outerHTML"));
        assert_about_nothing(one);
    }
    assert_eq!(words(&other, "hint"), "The message that this was about is deleted.");
    assert_eq!(focused(&page), "message");
    // Nothing can be done with it any more.
    page.point_at(&line(1));
    assert_eq!(page.evaluate("document.querySelector('#actions').hidden"), true);
    page.reload();
    wait_for_part(&page, 1, "text", "This message was deleted.");
    assert_eq!((part(&page, 2, "answered"), page.evaluate(HUSH)), (json!("a deleted message"), json!(false)));
    assert_no_errors(&page);
}

#[test]
fn a_message_that_is_edited_or_pointed_at_can_go_meanwhile() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/tea", "Ada");
    say(&page, "one of mine");
    wait_for_lines(&page, 1);
    // Ada elsewhere, at another device.
    let key = page.text("localStorage.getItem('wsloop.key')");
    let mut elsewhere = JsonClient::join(&server, &format!("/tea?name=Ada&key={key}"));
    page.type_text("a draft");
    act(&page, 1, "edit");
    page.type_text(" and more");
    point(&page, 1);
    elsewhere.send(&json!({ "type": "delete", "seq": 1 }));
    wait_for_part(&page, 1, "text", "This message was deleted.");
    assert_about_nothing(&page);
    assert_eq!(draft(&page), "a draft");
    assert_eq!(page.evaluate("document.querySelector('#actions').hidden"), true);

    // What changed while the page was away, and is not told again, is as history tells it.
    elsewhere.send(&json!({ "type": "say", "text": "two" }));
    elsewhere.send(&json!({ "type": "say", "text": "three" }));
    wait_for_lines(&page, 4);
    page.evaluate("import('/assets/whole.js').then(({ connection }) => { connection.release(); return 0; })");
    elsewhere.send(&json!({ "type": "edit", "seq": 3, "text": "two and a half" }));
    elsewhere.send(&json!({ "type": "react", "seq": 3, "emoji": "👍" }));
    elsewhere.send(&json!({ "type": "delete", "seq": 4 }));
    elsewhere.read_type("delete");
    elsewhere.read_type("delete");
    page.evaluate(
        "import('/assets/whole.js').then(({ connection }) => { connection.epoch = ''; connection.connect(); return 0; })",
    );
    wait_for_part(&page, 4, "text", "This message was deleted.");
    wait_for_part(&page, 3, "text", "two and a half");
    assert_eq!(part(&page, 3, "reaction"), "👍 1");
    assert_no_errors(&page);
}

#[test]
fn reactions_are_chosen_in_the_bar_and_toggled_where_they_are_shown() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    bo.say("cake!");
    let wait = |wanted: &str, pressed: bool| {
        wait_for_part(&page, 1, "reaction", wanted);
        assert_eq!(page.evaluate("document.querySelector('.reaction').ariaPressed"), pressed.to_string());
    };
    point(&page, 1);
    page.evaluate(
        "(() => { const list = document.querySelector('#act-emoji'); list.value = '👍'; list.dispatchEvent(new Event('change')); })()",
    );
    wait("👍 1", true);
    assert_eq!(bo.read_type("react")["emoji"], "👍");
    bo.send(&json!({ "type": "react", "seq": 1, "emoji": "👍" }));
    wait("👍 2", true);
    page.click_on(".reaction");
    wait("👍 1", false);
    page.reload();
    wait("👍 1", false);
    page.click_on(".reaction");
    wait("👍 2", true);
    page.reload();
    wait("👍 2", true);
    bo.send(&json!({ "type": "react", "seq": 1, "emoji": "👍", "on": false }));
    wait("👍 1", true);

    // By keyboard: an arrow key alone chooses nothing yet; and the reactions of a message are stops.
    page.evaluate("document.querySelector('#log').focus()");
    for key in [Key::Up, Key::Enter, Key::Left, Key::Down, Key::Down, Key::Enter] {
        page.press(key);
    }
    page.wait_for("document.querySelectorAll('.reaction').length === 2", SOON);
    assert_eq!(
        page.text("[...document.querySelectorAll('.reaction')].map((one) => one.textContent).join()"),
        "👍 1,❤️ 1"
    );
    for key in [Key::Escape, Key::Tab, Key::Space] {
        page.press(key);
    }
    wait_for_part(&page, 1, "reaction", "❤️ 1");
    assert_eq!(page.text("document.activeElement.dataset.seq"), "1", "what had the focus is gone");
    page.press(Key::Tab);
    page.press(Key::Space);
    page.wait_for("document.querySelector('.reactions') === null", SOON);
    assert_no_errors(&page);
}

#[test]
fn a_finger_that_stays_opens_the_bar_which_is_whole_on_a_telephone() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    page.set_viewport(390, 844, true);
    for number in 1..30 {
        bo.say(&format!("hi {number}"));
    }
    wait_for_lines(&page, 29);
    say(&page, "me too");
    wait_for_lines(&page, 30);
    let top = page.evaluate(
        "(() => { const log = document.querySelector('#log').getBoundingClientRect();
            return [...document.querySelectorAll('.say')].find((line) => line.getBoundingClientRect().top >= log.top).dataset.seq; })()",
    );
    let top = top.as_str().expect("a number").parse().expect("a number");
    for seq in [30, top, 20] {
        page.touch(&line(seq));
        page.wait_for(
            &format!("document.querySelector({}) !== null", json!(format!("{} > #actions", line(seq)))),
            SOON,
        );
        page.lift();
        let inside = "(() => { const log = document.querySelector('#log').getBoundingClientRect();
            return [...document.querySelectorAll('#actions, #actions > :not([hidden])')].map((one) => one.getBoundingClientRect())
                .every((box) => box.left >= 0 && box.right <= innerWidth && box.top >= log.top - 1 && box.bottom <= log.bottom + 1); })()";
        page.wait_for(inside, SOON);
        assert_eq!(
            page.evaluate("document.querySelector('#actions').hidden"),
            false,
            "it stays without the finger"
        );
    }
    // A finger that goes on to something else closes it.
    page.touch("#room");
    page.lift();
    page.wait_for("document.querySelector('#actions').hidden", SOON);
    page.touch(&line(30));
    page.wait_for("!document.querySelector('#actions').hidden", SOON);
    page.lift();
    page.evaluate("document.querySelector('[data-action=edit]').click()");
    assert_eq!(draft(&page), "me too");
    assert_no_errors(&page);
}

#[test]
fn what_changes_above_does_not_move_what_is_read() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let (page, mut bo) = ada_and_bo(&browser, &server);
    for number in 1..=90 {
        bo.say(&format!("line {number}"));
    }
    bo.settle();
    wait_for_lines(&page, 90);
    let place = format!("document.querySelector({}).getBoundingClientRect().top", json!(line(45)));
    page.evaluate(&format!(
        "document.querySelector({}).scrollIntoView({{ block: 'center' }})",
        json!(line(45))
    ));
    page.wait_for("import('/assets/whole.js').then(({ log }) => !log.pinned)", SOON);
    let before = page.evaluate(&place);
    for seq in [1, 2, 3, 89, 90] {
        bo.send(&json!({ "type": "react", "seq": seq, "emoji": "🎉" }));
    }
    bo.send(&json!({ "type": "edit", "seq": 4, "text": "four\nlines\nnow\nhere" }));
    page.wait_for("document.querySelectorAll('.reaction').length === 5", SOON);
    wait_for_part(&page, 4, "text", "four\nlines\nnow\nhere");
    // A line's height is no whole number of points.
    page.wait_for(&format!("Math.abs({place} - {before}) < 2"), SOON);
    // At the bottom the bottom stays.
    page.evaluate("document.querySelector('#log').scrollTop = 1e6; 0");
    page.wait_for("import('/assets/whole.js').then(({ log }) => log.pinned)", SOON);
    bo.send(&json!({ "type": "react", "seq": 90, "emoji": "👀" }));
    page.wait_for("document.querySelectorAll('.reaction').length === 6", SOON);
    let below = "(() => { const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 2; })()";
    assert_eq!(page.evaluate(below), true);
    assert_no_errors(&page);
}
