//! Hostile text is text: nothing of it runs, nothing of it becomes an element, and all of it is shown.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, encoded, join, lines, one_line, say, wait_for_line};

const MESSAGES: [&str; 102] = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "<svg onload=\"window.pwned = 1\"></svg>",
    "<svg><script>window.pwned = 1</script></svg>",
    "<iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>",
    "<a href=\"javascript:window.pwned = 1\">press</a>",
    "javascript:window.pwned = 1",
    "<math><mtext></mtext><style><img src onerror=window.pwned=1></style></math>",
    "<body onload=window.pwned=1>",
    "<details open ontoggle=window.pwned=1>",
    "<form action=//example.invalid><button>press</button></form>",
    "<base href=//example.invalid>",
    "<meta http-equiv=refresh content=\"0;url=//example.invalid\">",
    "<link rel=stylesheet href=//example.invalid/style.css>",
    "<style>body { display: none }</style>",
    "</p></div></main></body></html><h1>ours</h1>",
    "</textarea></script><!-- --> <![CDATA[ ]]> <?php ?>",
    "&lt;b&gt; &amp; &#60;script&#62; &#x3C;b&#x3E; &nbsp;",
    "${window.pwned = 1} {{window.pwned = 1}} `${window.pwned = 1}`",
    "\");window.pwned=1;//  ');window.pwned=1;//",
    "\" onmouseover=\"window.pwned=1\" class=\"line",
    "\u{202e}evil gpj.exe \u{2066}\u{2067}never closed",
    "\u{200b}\u{200d}\u{feff}\u{ad}",
    "a\u{0}b\u{7}c\u{1b}[31md\u{7f}",
    "Z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}\u{30c}\u{30d}",
    "12:00:00 Ada say: not by Ada",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{fe0f} \u{1f1e8}\u{1f1f3} \u{10ffff}",
    "__proto__ constructor hasOwnProperty",
    "<ScRiPt>window.pwned = 1</sCrIpT>",
    "<script src=//example.invalid/x.js></script>",
    "<script>window.pwned = 1",
    "<script\n>window.pwned = 1</script\n>",
    "<script/x>window.pwned = 1</script>",
    "<<script>window.pwned = 1//<</script>",
    "<scr<script>ipt>window.pwned = 1</scr</script>ipt>",
    "<script type=module>window.pwned = 1</script>",
    "<script type=importmap>{\"imports\":{}}</script>",
    "<noscript><p title=\"</noscript><img src=x onerror=window.pwned=1>\">",
    "<img src=x:x onerror=window.pwned=1//",
    "<img/src/onerror=window.pwned=1>",
    "<img src=`x`onerror=window.pwned=1>",
    "<img src=\"data:image/svg+xml,<svg onload=alert(1)>\">",
    "<image src=x onerror=window.pwned=1>",
    "<picture><source srcset=x><img onerror=window.pwned=1></picture>",
    "<video><source onerror=window.pwned=1></video>",
    "<video poster=//example.invalid/x autoplay src=x onerror=window.pwned=1>",
    "<audio src=x onerror=window.pwned=1>",
    "<embed src=javascript:window.pwned=1>",
    "<object data=javascript:window.pwned=1></object>",
    "<applet code=x></applet>",
    "<iframe src=javascript:parent.pwned=1></iframe>",
    "<frameset onload=window.pwned=1>",
    "<input autofocus onfocus=window.pwned=1>",
    "<select autofocus onfocus=window.pwned=1>",
    "<textarea autofocus onfocus=window.pwned=1>",
    "<button popovertarget=x onclick=window.pwned=1>press</button>",
    "<div popover onbeforetoggle=window.pwned=1>",
    "<dialog open onclose=window.pwned=1>",
    "<marquee onstart=window.pwned=1>",
    "<p onmouseover=window.pwned=1 style=position:fixed;inset:0>",
    "<p onanimationstart=window.pwned=1 style=animation:x>",
    "<p style=\"background:url(//example.invalid/x)\">",
    "<style>@import '//example.invalid/x.css';</style>",
    "<x tabindex=1 onfocus=window.pwned=1 id=x>#x",
    "<a href=\"java\tscript:window.pwned=1\">x</a>",
    "<a href=\"\u{1}javascript:window.pwned=1\">x</a>",
    "<a href=data:text/html,<script>alert(1)</script>>x</a>",
    "<a href=vbscript:x target=_blank>x</a>",
    "[press](javascript:window.pwned=1) ![x](x\"onerror=\"window.pwned=1)",
    "<http://example.invalid/> https://example.invalid/?q=<script>",
    "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:window.pwned=1><text y=20>x</text></a></svg>",
    "<svg><use href=\"data:image/svg+xml,<svg id=x onload=alert(1)>#x\"/></svg>",
    "<svg><foreignObject><img src=x onerror=window.pwned=1></foreignObject></svg>",
    "<svg><desc><![CDATA[</desc><script>window.pwned=1</script>]]></svg>",
    "<math href=javascript:window.pwned=1>x</math>",
    "<math><maction actiontype=statusline xlink:href=javascript:window.pwned=1>x",
    "<template><script>window.pwned=1</script></template>",
    "<template shadowrootmode=open><script>window.pwned=1</script></template>",
    "<slot onslotchange=window.pwned=1></slot>",
    "<xmp><img src=x onerror=window.pwned=1></xmp>",
    "<plaintext>",
    "<title>ours</title>",
    "<table background=javascript:window.pwned=1><td>x",
    "<isindex type=image src=x onerror=window.pwned=1>",
    "<keygen autofocus onfocus=window.pwned=1>",
    "<form id=log><input name=textContent><input name=append></form>",
    "<p id=message>clobbered</p><p id=send name=status>",
    "<!--><img src=x onerror=window.pwned=1>-->",
    "<!doctype html><html><head><script>window.pwned=1</script>",
    "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///\">]><x>&e;</x>",
    "&#x3c;script&#x3e;window.pwned=1&#x3c;/script&#x3e;",
    "\\u003cscript\\u003ewindow.pwned=1\\x3c/script\\x3e",
    "%3Cscript%3Ewindow.pwned=1%3C/script%3E",
    "+ADw-script+AD4-window.pwned=1+ADw-/script+AD4-",
    "\u{ff1c}script\u{ff1e}window.pwned=1\u{ff1c}/script\u{ff1e}",
    "'-window.pwned=1-' \";window.pwned=1;\" `+window.pwned=1+`",
    "{{constructor.constructor('window.pwned=1')()}} <%= window.pwned=1 %> #{1}",
    "{\"type\":\"say\",\"__proto__\":{\"polluted\":1}}",
    "\u{2028}window.pwned=1\u{2029}",
    "=HYPERLINK(\"//example.invalid\") \r\n@SUM(1+1)*cmd|' /C calc'!A0",
    "\n\n\n   \t   indented",
];

const NAMES: [&str; 8] = [
    "<img src=x onerror=pwned=1>",
    "<script>pwned=1</script>",
    "&lt & <b>",
    "<svg/onload=pwned=1>",
    "$pwned=1",
    "__proto__",
    "x say Welcome Ada !",
    "constructor",
];

/// What is in the page besides the lines, and whatever ran.
const OUTSIDE: &str =
    "[document.querySelectorAll('*:not(#log *, #heard *, #actions, #actions *)').length, document.title, location.href,
    window.pwned ?? 'nothing ran']";

#[test]
fn hostile_messages_are_shown_as_text() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut client = Client::join(&server, "/?name=Eve");
    let page = join(&browser, &server, "/", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    client.read_text();
    let before = page.evaluate(OUTSIDE);

    let long_word = "W".repeat(20_000);
    let mut sent: Vec<&str> = MESSAGES.to_vec();
    sent.push(&long_word);
    for text in &sent {
        client.send_text(text);
    }
    let heard: Vec<String> = sent.iter().map(|_| client.read_text()).collect();
    for (text, line) in sent.iter().zip(&heard) {
        assert!(line.ends_with(&format!(" Eve say: {}", one_line(text))), "{line:?}");
    }
    page.wait_for(&format!("document.querySelectorAll('.line').length > {}", sent.len()), SOON);
    // The page keeps a line break, a line shows it as a sign.
    let shown: Vec<String> = lines(&page)[1..].iter().map(|line| one_line(line)).collect();
    // Three have backticks, and show what is between them as code.
    let wanted: Vec<String> = heard.iter().map(|line| line.replace('`', "")).collect();
    assert_eq!(shown, wanted, "each line is shown exactly as it came");
    assert_eq!(page.evaluate("document.querySelectorAll('#log code').length"), 3);
    assert_harmless(&page, &before);
    assert_eq!(
        page.evaluate(
            "[document.documentElement, document.querySelector('#log')]
            .map((box) => box.scrollWidth <= box.clientWidth)"
        ),
        json!([true, true]),
        "a long word does not widen the page"
    );

    say(&page, MESSAGES[1]);
    wait_for_line(&page, &format!(" Ada say: {}", MESSAGES[1]));
    assert_harmless(&page, &before);
}

#[test]
fn hostile_names_are_shown_as_text() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    let before = page.evaluate(OUTSIDE);
    let mut heard = Vec::new();
    for name in NAMES {
        let mut client = Client::connect(&server, &format!("/?name={}", encoded(name)));
        client.send_text("hello");
        client.send_text("quit");
        let own: Vec<String> = (0..3).map(|_| client.read_text()).collect();
        assert_eq!(own[0], format!("Welcome {name} !"));
        assert!(own[1].ends_with(&format!(" {name} say: hello")), "{own:?}");
        wait_for_line(&page, &format!("{name} left"));
        heard.extend([format!("{name} joined"), own[1].clone(), format!("{name} left")]);
    }
    assert_eq!(lines(&page)[1..], heard);
    assert_harmless(&page, &before);

    // The same at the page of the one who bears the name.
    for name in &NAMES[..2] {
        let own = join(&browser, &server, "/other", name);
        wait_for_line(&own, &format!("Welcome {name} !"));
        assert_eq!(own.text("document.querySelector('#status').textContent"), format!("Connected as {name}"));
        say(&own, "it is me");
        wait_for_line(&own, &format!("{name} say: it is me"));
        assert_eq!(own.evaluate("document.querySelectorAll('.mine').length"), 1);
        assert_eq!(own.evaluate("window.pwned ?? 'nothing ran'"), "nothing ran");
        assert_no_errors(&own);
        own.close();
    }
}

/// The content security policy holds even where the page's code would fail.
#[test]
fn the_policy_forbids_what_the_page_does_not_need_and_all_requests_stay_here() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/garden", "Ada");
    page.click("rooms");
    assert_no_errors(&page);
    let own = format!("127.0.0.1:{}", server.port());
    let urls = page.requested_urls();
    let paths: Vec<&str> = urls
        .iter()
        .map(|url| {
            let (_, rest) = url.split_once("://").expect("a URL has a scheme");
            rest.strip_prefix(own.as_str()).unwrap_or_else(|| panic!("{url} is on another host"))
        })
        .collect();
    for path in ["/garden", "/assets/whole.css", "/assets/whole.js", "/assets/theme.js"] {
        assert!(paths.contains(&path), "{path} is missing in {paths:?}");
    }
    assert!(
        paths.iter().any(|path| path.starts_with("/garden?key=") && path.ends_with("&name=Ada")),
        "{paths:?}"
    );
    for file in ["/assets/chat.css", "/assets/chat.js", "/assets/favicon.svg"] {
        assert_eq!(page.evaluate(&format!("fetch('{file}').then((answer) => answer.status)")), 200, "{file}");
    }

    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=//example.invalid/x.png><p style=color:red>');
         const script = document.createElement('script'); script.textContent = 'window.pwned = 1';
         document.body.append(script);",
    );
    let foreign = page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'forbidden')");
    assert_eq!(foreign, "forbidden");
    assert_eq!(page.evaluate("window.pwned ?? 'nothing ran'"), "nothing ran");
    assert_eq!(
        page.text(
            "getComputedStyle(document.querySelector('body > p')).color === 'rgb(255, 0, 0)' ? 'red' : ''"
        ),
        ""
    );
    let errors = page.console_errors();
    for directive in ["img-src", "script-src", "style-src", "connect-src"] {
        assert!(
            errors.iter().any(|error| error.contains(directive)),
            "no error names {directive}: {errors:#?}"
        );
    }
}

/// What is told of messages after they were said, and of people, is text as well.
#[test]
fn hostile_answers_edits_and_reactions_are_shown_as_text() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    wait_for_line(&page, "Welcome Ada !");
    say(&page, "mine");
    page.wait_for("document.querySelector('[data-seq=\"1\"]') !== null", SOON);
    let mut seq = 1;
    let mut tell = |mut event: Value, name: &str| {
        seq += 1;
        event["seq"] = json!(seq);
        event["time"] = json!("2026-11-20T12:03:07.123Z");
        event["from"] = json!({ "id": "c99", "name": name });
        receive(&page, &event);
        seq
    };
    for (number, text) in MESSAGES[..20].iter().enumerate() {
        let name = NAMES[number % NAMES.len()];
        let of = tell(json!({ "type": "say", "text": "to be edited" }), name);
        tell(json!({ "type": "edit", "of": of, "text": text }), name);
        tell(json!({ "type": "say", "text": "an answer", "re": of }), name);
        tell(json!({ "type": "react", "of": of, "emoji": text, "on": true, "count": 3 }), name);
        page.wait_for(&format!("document.querySelector('[data-seq=\"{of}\"] .reaction') !== null"), SOON);
        let shown = page.evaluate(&format!(
            "[document.querySelector('[data-seq=\"{of}\"]').source, document.querySelector('[data-seq=\"{of}\"] .reaction').textContent,
              document.querySelector('[href=\"#{of}\"]').textContent.startsWith({})]",
            json!(format!("{name}: "))
        ));
        assert_eq!(shown, json!([text, format!("{text} 3"), true]));
        // Where one writes, and who else does.
        receive(&page, &json!({ "type": "join", "id": "c99", "name": name, "count": 2 }));
        receive(&page, &json!({ "type": "typing", "id": "c99" }));
        assert_eq!(
            page.text("document.querySelector('#writing').textContent"),
            format!("{name} is writing…")
        );
        page.evaluate(&format!(
            "document.querySelector('[data-seq=\"{of}\"]').scrollIntoView({{ block: 'center' }})"
        ));
        page.point_at(&format!("[data-seq=\"{of}\"] .reaction"));
        page.click_on("#actions [data-action=answer]");
        assert!(
            page.text("document.querySelector('#about-words').textContent")
                .starts_with(&format!("Answer to {name}: "))
        );
        receive(&page, &json!({ "type": "leave", "id": "c99", "name": name, "count": 1 }));
    }
    let added = page.evaluate(
        "[...document.querySelectorAll('#log *, #composer *')].map((element) => element.tagName)
            .filter((name) => ['SCRIPT', 'IMG', 'SVG', 'svg', 'IFRAME', 'STYLE', 'LINK', 'META', 'BASE', 'H1', 'DETAILS', 'FORM', 'math'].includes(name))",
    );
    assert_eq!(added, json!([]));
    assert_eq!(page.evaluate("window.pwned ?? 'nothing ran'"), "nothing ran");
    assert_no_errors(&page);
}

/// Nothing becomes of a change of a message that the page does not have, of none, and of what is no number.
#[test]
fn changes_of_nothing_change_nothing() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = join(&browser, &server, "/", "Ada");
    say(&page, "mine");
    page.wait_for("document.querySelector('[data-seq=\"1\"]') !== null", SOON);
    let before = page.text("document.querySelector('#log').innerHTML");
    let mut seq = 1;
    for of in [json!(7777), json!(-1), json!("\"] *"), Value::Null] {
        for mut event in [
            json!({ "type": "react", "emoji": "👍", "on": true, "count": 1 }),
            json!({ "type": "edit", "text": "changed" }),
            json!({ "type": "delete" }),
        ] {
            seq += 1;
            event["seq"] = json!(seq);
            event["of"] = of.clone();
            event["from"] = json!({ "id": "c99", "name": "Eve" });
            receive(&page, &event);
        }
    }
    assert_eq!(page.text("document.querySelector('#log').innerHTML"), before);
    assert_no_errors(&page);
}

/// The page hears this, as if the server had told it.
fn receive(page: &Page, event: &Value) {
    let text = json!(event.to_string());
    page.evaluate(&format!(
        "import('/assets/whole.js').then(({{ connection }}) => connection.receive({text}))"
    ));
}

fn assert_harmless(page: &Page, before: &Value) {
    assert_eq!(&page.evaluate(OUTSIDE), before, "nothing but lines was added, and nothing ran");
    let foreign = page.evaluate(
        "[...document.querySelectorAll('#log *:not(#actions, #actions *)')]
            .flatMap((element) => [element.tagName, ...[...element.attributes].map((attribute) => attribute.name)])
            .filter((name) => !['P', 'DIV', 'SPAN', 'class', 'role', 'data-turn', 'data-day', 'data-seq', 'data-state', 'data-initials',
                'TIME', 'datetime', 'title', 'data-short', 'A', 'href', 'target', 'rel', 'CODE', 'tabindex'].includes(name))
            .concat([...document.querySelectorAll('#heard *')].map((element) => element.outerHTML)
                .filter((html) => !/^<p>[^<]*<\\/p>$/.test(html)))",
    );
    let links = page.evaluate(
        "[...document.querySelectorAll('#log a')].filter((link) => !/^https?:\\/\\//.test(link.getAttribute('href'))
            || link.rel !== 'noopener noreferrer nofollow' || link.target !== '_blank').map((link) => link.outerHTML)",
    );
    assert_eq!(links, json!([]), "links lead to addresses of the web, and tell them nothing");
    assert_eq!(foreign, json!([]), "the lines are made of the page's own elements");
    assert_no_errors(page);
}
