//! The rooms beside the messages, with what is new in each: as far as this browser knows it.

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::client::Client;
use crate::support::server::Wsloop;
use crate::{SOON, assert_no_errors, join, wait_for_line, wait_for_phase};

/// Waits until the rail shows these rooms, each with its count.
fn wait_for_rooms(page: &Page, wanted: &[(&str, &str)]) {
    let shown = "JSON.stringify([...document.querySelectorAll('#rail a')].map((link) => [link.textContent, link.dataset.unseen]))";
    page.wait_for(&format!("{shown} === JSON.stringify({})", json!(wanted)), SOON);
}

#[test]
fn a_room_in_another_tab_says_how_much_is_new_there() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let mut garden = Client::join(&server, "/garden?name=Bo");
    let hidden = join(&browser, &server, "/garden", "Ada");
    wait_for_rooms(&hidden, &[("garden", "")]);
    hidden.focus_always(false);
    let page = hidden.tab_in_front();
    page.focus_always(true);
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    hidden.wait_for("document.hidden", SOON);
    wait_for_rooms(&page, &[("garden", ""), ("tea", "")]);
    assert_eq!(page.text("document.querySelector('#rail [aria-current]').textContent"), "tea");
    for number in 1..=3 {
        garden.send_text(&format!("news {number}"));
        wait_for_line(&hidden, &format!("news {number}"));
    }
    wait_for_rooms(&page, &[("garden", "3"), ("tea", "")]);
    assert_eq!(page.text("document.querySelector('#rail a').getAttribute('aria-label')"), "garden, 3 new");
    page.click("rooms");
    assert_eq!(page.text("document.querySelector('#recent a').textContent"), "garden");
    page.click("rooms-close");

    // Whoever looks at the room has seen it.
    page.close();
    hidden.focus_always(true);
    hidden.wait_for("!document.hidden", SOON);
    wait_for_rooms(&hidden, &[("garden", ""), ("tea", "")]);
    hidden.wait_for("JSON.parse(localStorage.getItem('wsloop.unseen.garden')).unseen === 0", SOON);
    assert_no_errors(&hidden);
}

/// What several tabs write down is the same whichever of them writes; and what is not understood is not known.
#[test]
fn counts_are_of_messages_that_no_tab_has_counted_and_of_nothing_else() {
    let server = Wsloop::start(&[]);
    let browser = Browser::launch();
    let page = browser.blank_page();
    page.before_load(
        "localStorage.setItem('wsloop.name', 'Ada');
         localStorage.setItem('wsloop.rooms', JSON.stringify(['a', 'b', 'c', 'd', 'e']));
         localStorage.setItem('wsloop.unseen.a', '{\"epoch\":\"x\",\"seq\":9,\"unseen\":120}');
         localStorage.setItem('wsloop.unseen.b', 'no JSON');
         localStorage.setItem('wsloop.unseen.c', '{\"epoch\":\"x\",\"seq\":9,\"unseen\":-4}');
         localStorage.setItem('wsloop.unseen.d', '{\"epoch\":\"x\",\"seq\":9,\"unseen\":\"<b>\"}');
         localStorage.setItem('wsloop.unseen.forgotten', '{\"epoch\":\"x\",\"seq\":9,\"unseen\":4}');",
    );
    page.navigate(&server.http_url("/tea"));
    wait_for_phase(&page, "connected");
    wait_for_rooms(&page, &[("a", "99+"), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("tea", "")]);
    assert_eq!(page.evaluate("localStorage.getItem('wsloop.unseen.forgotten')"), json!(null));
    // Two hidden tabs, which write to one place: each message counts once.
    let counted = page.evaluate(
        "import('/assets/whole.js').then(async ({ rail }) => {
            Object.defineProperty(document, 'hidden', { value: true, configurable: true });
            const other = Object.assign(Object.create(rail), { heard: [] });
            const counts = [];
            const count = () => counts.push(JSON.parse(localStorage.getItem('wsloop.unseen.tea')).unseen);
            for (const tab of [rail, other]) { Object.assign(tab, { epoch: 'y', seq: 0 }); }
            for (const [tab, seqs] of [[rail, [1, 2, 4]], [other, [1, 2, 4, 5]], [rail, [5, 6]], [other, [6]]]) {
                seqs.forEach((seq) => tab.after({ type: 'say', seq }));
                tab.count();
                count();
            }
            Object.assign(other, { epoch: 'z', seq: 0 });
            other.after({ type: 'say', seq: 1 });
            other.count();
            count();
            Object.defineProperty(document, 'hidden', { value: false, configurable: true });
            other.count();
            count();
            return counts; })",
    );
    assert_eq!(counted, json!([3, 4, 5, 5, 1, 0]));
    assert_no_errors(&page);
}
