//! The operators' page: figures and plots that move with what happens.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::http::{Request, get, refusal};
use crate::support::json::JsonClient;
use crate::support::raw::{BINARY, PATIENCE, RawClient, frame};
use crate::support::server::{Wsloop, wait_until};
use crate::{SOON, assert_no_errors, words};

/// A figure at the top of the page.
fn figure(page: &Page, name: &str) -> String {
    page.text(&format!(
        "[...document.querySelectorAll('#figures div')].find((box) => box.firstChild.textContent === {})?.lastChild.textContent ?? ''",
        json!(name)
    ))
}

#[test]
fn the_dashboard_moves_with_what_happens() {
    let server = Wsloop::start(&["--max-queue", "1M"]);
    let browser = Browser::launch();
    let page = browser.page(&server.http_url("/dashboard"));
    page.set_viewport(1280, 1000, false);
    page.wait_for("document.querySelector('#status').dataset.state === 'serving'", SOON);
    assert_eq!(page.evaluate("document.querySelectorAll('.plot canvas').length"), 8);
    let drawn = "(() => { const canvas = document.querySelectorAll('.plot canvas')[2];
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0; for (let index = 3; index < pixels.length; index += 4) { sum += pixels[index] > 0; } return sum; })()";
    assert!(page.evaluate(drawn).as_u64() > Some(100), "axes and grid are drawn");

    // A room that talks, a laggard, a refusal.
    let mut client = JsonClient::join(&server, "/tea?name=%3Ci%3EAda");
    let sleeper = RawClient::upgrade(&server, "/broadcast/flood");
    let mut sender = RawClient::upgrade(&server, "/broadcast/flood?self=0");
    refusal(&server, &Request::plain(&server, "GET", "/echo").bytes(), 426);
    for number in 0..40 {
        client.say(&format!("secret {number}"));
        sender.send(&frame(BINARY, &vec![7; 20_000]));
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_until("something waits for the sleeper", PATIENCE, || {
        (0..20).for_each(|_| sender.send(&frame(BINARY, &vec![7; 30_000])));
        get(&server, "/stats").text().contains("\"queued_messages\"")
    });
    client.settle();
    page.wait_for("document.querySelector('#laggards td') !== null || document.querySelector('#reasons').textContent.includes('queue full')", SOON);
    page.wait_for("document.querySelector('#reasons').textContent.includes('upgrade')", SOON);
    assert_eq!(figure(&page, "Refused"), "1");
    assert_eq!(figure(&page, "Rooms"), "2");
    assert!(page.text("document.querySelector('#rooms').textContent").contains("topic "));
    page.wait_for(
        "[...document.querySelectorAll('.u-legend')].some((legend) => legend.textContent.includes('p99'))",
        SOON,
    );
    for secret in ["secret", "Ada", "tea", "flood"] {
        assert!(
            !page.text("document.body.textContent").contains(secret),
            "{secret} is nobody's business here"
        );
    }
    if let Some(file) = std::env::var_os("WSLOOP_DASHBOARD_SCREENSHOT") {
        std::thread::sleep(Duration::from_secs(20));
        page.screenshot(Path::new(&file));
    }
    page.set_viewport(320, 568, true);
    assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "it fits a phone");
    for scheme in ["light", "dark"] {
        page.emulate_media("prefers-color-scheme", scheme);
        assert_eq!(page.evaluate("document.querySelectorAll('.plot canvas').length"), 8, "{scheme}");
    }
    assert_no_errors(&page);
    drop((sleeper, server));
    page.wait_for("document.querySelector('#status').dataset.state === 'lost'", SOON);
    assert!(words(&page, "status").starts_with("no report since"));
}
