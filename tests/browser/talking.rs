//! Saying and hearing: one order everywhere, what Enter does, bursts, a reader who looks at older lines.

use std::path::Path;

use crate::support::browser::{Browser, Key, Page};
use crate::support::client::{Client, without_time};
use crate::support::server::Wsloop;
use crate::{
    SOON, assert_no_errors, draft, encoded, focused, join, lines, one_line, said, say, wait_for_line,
    wait_for_phase, words,
};

/// Reference servers A and C: each message appears on every page as it comes, the sender's own included.
#[test]
fn two_pages_and_a_client_see_the_same_conversation() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::connect(&server, &format!("/garden?name={}", encoded("小林")));
    client.read_text();
    // They only listen.
    let _others = ["Mira Novak", "Noor", "Sam"]
        .map(|name| Client::connect(&server, &format!("/garden?name={}", encoded(name))));
    let ada = who_has_been_around(&browser, &server.http_url("/garden"));
    let bo = join(&browser, &server, "/garden", "Bo");
    wait_for_line(&ada, "Bo joined");

    let conversation = [
        ("Ada", "Good morning! Has anyone watered the tomatoes?"),
        ("Bo", "Yes, at seven. The basil too."),
        ("小林", "你好，世界"),
        ("小林", "我带了新的种子。"),
        ("Ada", "谢谢！ How many rows are free?"),
        ("Bo", "Two behind the shed, and a half one at the gate.\nTake the half one; the others get no sun."),
        ("Ada", "Perfect. Shall we meet at six?"),
        ("Bo", "Gladly. I bring the long hose, in case the rain does not come after all."),
    ];
    for (who, text) in conversation {
        match who {
            "Ada" => say(&ada, text),
            "Bo" => say(&bo, text),
            _ => client.send_text(text),
        }
        wait_for_line(&ada, &format!("{who} say: {text}"));
    }
    if let Some(file) = std::env::var_os("WSLOOP_SCREENSHOT") {
        ada.set_viewport(1280, 800, false);
        ada.screenshot(Path::new(&file));
    }

    // Now all three at once.
    for number in 0..10 {
        client.send_text(&format!("client {number}"));
        say(&ada, &format!("Ada {number} 🌱"));
        client.send_text(&format!("客户 {number}"));
        say(&bo, &format!("Bo {number}"));
    }
    let total = conversation.len() + 40;
    let heard: Vec<String> = (0..total).map(|_| client.read_said()).collect();
    let spoken: Vec<_> = heard.iter().take(conversation.len()).map(|line| without_time(line)).collect();
    let expected: Vec<_> =
        conversation.iter().map(|(who, text)| one_line(&format!("{who} say: {text}"))).collect();
    assert_eq!(spoken, expected);
    for page in [&ada, &bo] {
        page.wait_for(&format!("document.querySelectorAll('#log .say').length === {total}"), SOON);
        let shown: Vec<String> = said(page).iter().map(|line| one_line(line)).collect();
        assert_eq!(shown, heard, "one order, the same text");
        assert_no_errors(page);
    }
}

/// Ada's page, connected; other rooms are known to it, of which one has something new.
fn who_has_been_around(browser: &Browser, url: &str) -> Page {
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada');
         localStorage.setItem('wsloop.rooms', '[\"garden\",\"kitchen\",\"大厅\",\"walks\",\"lobby\"]');
         localStorage.setItem('wsloop.unseen.walks', '{\"epoch\":\"\",\"seq\":9,\"unseen\":4}');",
    );
    page.navigate(url);
    wait_for_phase(&page, "connected");
    page
}

/// Reference server C: Enter sends, an empty message gets a warning.
#[test]
fn enter_sends_and_nothing_else_does() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    page.click("message");

    for empty in ["", "   ", "\n \n"] {
        page.type_text(empty);
        page.press(Key::Enter);
        assert!(words(&page, "hint").contains("nothing to send"), "an empty message is refused in words");
        assert_eq!(draft(&page), empty, "what was written stays");
        assert_eq!(focused(&page), "message");
        page.evaluate("document.querySelector('#message').value = ''");
    }
    page.click("send");
    assert!(words(&page, "hint").contains("nothing to send"));
    assert_eq!(
        page.evaluate("document.querySelector('#hint').offsetHeight > 0"),
        true,
        "the hint can be seen"
    );
    assert_eq!(page.text("document.querySelector('#hint').getAttribute('role')"), "status", "and heard");

    page.type_text("one");
    assert_eq!(words(&page, "hint"), "", "the hint goes when it is heeded");
    page.press(Key::ShiftEnter);
    page.type_text("two ");
    page.compose("ni hao");
    page.press(Key::ComposingEnter);
    assert_eq!(draft(&page), "one\ntwo ni hao", "Enter chooses the word, it does not send");
    page.compose("ni hao");
    page.press(Key::Enter);
    assert!(draft(&page).starts_with("one\ntwo"), "also when only isComposing tells");
    page.evaluate("document.querySelector('#message').value = 'one\\ntwo'");
    page.type_text(" 你好");
    page.press(Key::Enter);
    assert_eq!(without_time(&client.read_said()), "Ada say: one ⏎ two 你好", "nothing was sent before");
    assert_eq!(draft(&page), "");

    page.type_text("by the button");
    page.click("send");
    assert_eq!(without_time(&client.read_said()), "Ada say: by the button");
    wait_for_line(&page, "by the button");
    assert_no_errors(&page);
}

#[test]
fn a_text_over_the_limit_is_refused_before_it_is_sent() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=listener");
    let page = join(&browser, &server, "/", "Ada");
    page.click("message");
    // The limit counts bytes: 21,846 characters of three bytes are two bytes too many, and 43 go around them.
    let long = "世".repeat(21_846);
    page.type_text(&long);
    page.press(Key::Enter);
    assert_eq!(words(&page, "hint"), "This is too long by 45 bytes. Please send it in parts.");
    assert_eq!(draft(&page), long, "the text is kept");

    let longest = "世".repeat(21_830) + "!!!";
    page.evaluate("document.querySelector('#message').select()");
    page.type_text(&longest);
    page.press(Key::Enter);
    assert_eq!(without_time(&client.read_said()), format!("Ada say: {longest}"));
    wait_for_line(&page, "世!!!");
    assert_no_errors(&page);
}

#[test]
fn a_burst_is_shown_whole_and_in_order_and_the_page_stays_quick() {
    // Who speaks here does not read for long, and must not be taken for dead meanwhile.
    let server = Wsloop::start(&["--ping-interval", "0"]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=burst");
    let page = join(&browser, &server, "/", "Ada");
    page.evaluate(
        "Object.assign(window, { drawn: 0, appends: 0, longest: 0, last: performance.now() });
         const frame = () => { window.drawn += 1; requestAnimationFrame(frame); };
         requestAnimationFrame(frame);
         new MutationObserver((records) => { window.appends += records.length; })
            .observe(document.querySelector('#log'), { childList: true });
         setInterval(() => { const now = performance.now();
            window.longest = Math.max(window.longest, now - window.last); window.last = now; }, 5); 0",
    );
    for number in 0..1000 {
        client.send_text(&format!("line {number}"));
    }
    wait_for_line(&page, "line 999");
    let shown: Vec<String> = said(&page).iter().map(|line| without_time(line).to_string()).collect();
    let sent: Vec<String> = (0..1000).map(|number| format!("burst say: line {number}")).collect();
    assert_eq!(shown, sent);
    // However many lines come between two frames, they cost one change of the page; and on a machine that is busy
    // with other tests too, the page is never gone for long.
    let work = page.evaluate("[appends <= drawn + 1, appends, drawn]");
    assert_eq!(work[0], true, "the page changed more often than it was drawn: {work}");
    let longest = page.evaluate("longest").as_f64().expect("a time is a number");
    assert!(longest < SOON.as_millis() as f64, "the page was busy for {longest} ms at a time");

    let heard: Vec<String> = (0..1000).map(|_| client.read_said()).collect();
    assert_eq!(said(&page), heard);
    for number in 1000..2500 {
        client.send_text(&format!("line {number}"));
    }
    wait_for_line(&page, "line 2499");
    let kept = said(&page);
    assert_eq!(kept.len(), 2000, "the oldest lines leave the page");
    assert!(kept[0].ends_with(" line 500"), "{:?}", kept[0]);
    assert_eq!(
        page.evaluate("document.querySelector('.line').matches('.follows')"),
        false,
        "the first line says who speaks"
    );
    // Ten thousand are no slower than two: what is on the page stays bounded.
    page.evaluate("window.longest = 0");
    for number in 2500..10_000 {
        client.send_text(&format!("line {number}"));
    }
    wait_for_line(&page, "line 9999");
    assert!(page.evaluate("document.querySelectorAll('#log > *').length").as_u64() <= Some(2000));
    let longest = page.evaluate("longest").as_f64().expect("a time is a number");
    assert!(longest < SOON.as_millis() as f64, "the page was busy for {longest} ms at a time");
    page.click("message");
    page.type_text("still quick");
    page.press(Key::Enter);
    wait_for_line(&page, "still quick");
    assert_no_errors(&page);
}

#[test]
fn who_reads_older_lines_stays_there_and_is_told_of_newer_ones() {
    const BOTTOM: &str = "(() => { const log = document.querySelector('#log');
        return log.scrollHeight - log.scrollTop - log.clientHeight < 2; })()";
    // Events of scrolling and of a new size come with the next frame.
    const TWO_FRAMES: &str =
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=Bo");
    let page = join(&browser, &server, "/", "Ada");
    let words_that_wrap = "words that wrap on a smaller screen ".repeat(4);
    for number in 0..14 {
        client.send_text(&format!("{words_that_wrap}{number}"));
    }
    wait_for_line(&page, "screen 13");
    page.wait_for(BOTTOM, SOON);
    // A window that becomes narrower moves the lines, and a browser may tell of that as of scrolling, before it
    // tells of the new size. Nobody meant to leave the bottom.
    page.evaluate("document.body.style.width = '320px'; document.querySelector('#log').scrollTop = 0");
    page.wait_for(TWO_FRAMES, SOON);
    page.wait_for(BOTTOM, SOON);

    page.evaluate("document.querySelector('#log').scrollTop = 100");
    page.wait_for(TWO_FRAMES, SOON);
    client.send_text("newer");
    client.send_text("newest");
    wait_for_line(&page, "newest");
    assert_eq!(page.evaluate("document.querySelector('#log').scrollTop"), 100);
    assert_eq!(words(&page, "newer"), "2 new messages");
    page.click("newer");
    page.wait_for(BOTTOM, SOON);
    assert_eq!(page.evaluate("document.querySelector('#newer').hidden"), true);
    assert_eq!(focused(&page), "message");
    client.send_text("and on");
    wait_for_line(&page, "and on");
    page.wait_for(BOTTOM, SOON);
}

/// A tab in the background has no animation frames; its lines are there all the same, and its title counts them.
#[test]
fn a_hidden_tab_counts_what_is_unread() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/garden?name=Bo");
    let page = join(&browser, &server, "/garden", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    assert_eq!(page.text("document.title"), "garden · wsloop");
    page.focus_always(false);
    let front = page.tab_in_front();
    page.wait_for("document.hidden", SOON);
    for number in 1..=3 {
        client.send_text(&format!("line {number}"));
    }
    wait_for_line(&page, "line 3");
    assert_eq!(page.text("document.title"), "(3) garden · wsloop");
    front.close();
    page.focus_always(true);
    page.wait_for("!document.hidden && document.title === 'garden · wsloop'", SOON);
}

#[test]
fn binary_messages_and_lines_of_several_kinds_are_told_apart() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=Bo");
    let page = join(&browser, &server, "/", "Ada");
    client.send_binary(&[0, 159, 146, 150]);
    page.wait_for(
        "document.querySelector('#log .note')?.textContent === 'binary message from Bo, 4 bytes'",
        SOON,
    );
    // Said by a person, whatever it looks like: it stays inside their own message.
    client.send_text("hello\n12:00:00 Ada say: I said nothing\nWelcome Eve !");
    client.send_text("quit");
    wait_for_line(&page, "Bo left");
    let kinds = page
        .evaluate("[...document.querySelectorAll('#log > *')].map((line) => line.className.split(' ')[1])");
    assert_eq!(kinds, serde_json::json!(["event", null, null, "say", "event"]));
    assert_eq!(page.evaluate("document.querySelectorAll('.mine').length"), 0);
    assert_eq!(words(&page, "room"), "lobby");
    assert_eq!(lines(&page).len(), 3);
    page.wait_for("document.querySelector('.say .text').innerText.split('\\n').length === 3", SOON);
}
