//! Time that passes where nobody lives through it: stopped processes, links that are down.

use std::time::Duration;

use crate::proxy::{Chaos, Proxy};
use crate::stage::{Figures, Gate, Stage};
use crate::support::raw::{CLOSE, PATIENCE, PING, PONG, RawClient, TEXT, frame};
use crate::support::server::wait_until;

/// Nobody is lost because the server itself stood still: for three times as long as a client may be silent.
pub(crate) fn stopped_server() -> Figures {
    let options = ["--ping-interval", "1s", "--pong-timeout", "2s", "--handshake-timeout", "1s"];
    let mut stage = Stage::start(&options);
    let mut clients: Vec<RawClient> =
        (0..100).map(|_| RawClient::upgrade(&stage.server, "/broadcast/quiet")).collect();
    let mut asking: Vec<RawClient> = (0..20).map(|_| RawClient::connect(&stage.server)).collect();
    stage.server.signal("STOP");
    std::thread::sleep(Duration::from_secs(1));
    // They ask and say something while it stands.
    let request = crate::support::http::Request::upgrade(&stage.server, "/echo").bytes();
    asking.iter_mut().for_each(|client| client.send(&request));
    clients[0].send(&frame(TEXT, b"said meanwhile"));
    std::thread::sleep(Duration::from_secs(8));
    stage.server.signal("CONT");
    for client in &mut clients {
        assert_eq!(hear(client), b"said meanwhile", "who is there stays, and hears all");
    }
    asking.iter_mut().for_each(|client| drop(client.expect_upgraded()));
    let lost = stage.stat(&["closed", "1008"]);
    assert_eq!(lost, 0, "nobody is taken for dead");
    // And the clock goes on: who is silent from here on is found out.
    wait_until("silent ones are closed", PATIENCE, || stage.stat(&["closed", "1008"]) == 120);
    stage.counts(100, 100);
    drop((clients, asking));
    stage.end(Gate::Own, 120, vec![("clients lost, of 120", lost.to_string())])
}

/// The next text; pings are answered.
fn hear(client: &mut RawClient) -> Vec<u8> {
    loop {
        let heard = client.read_frame();
        match heard.first {
            PING => client.send(&frame(PONG, &heard.payload)),
            TEXT => return heard.payload,
            _ => panic!("{heard:?}"),
        }
    }
}

/// A link that is down for a moment costs nobody anything; one that stays down is found out by a ping.
pub(crate) fn links_down() -> Figures {
    const CLIENTS: usize = 50;
    let mut stage = Stage::start(&["--ping-interval", "1s", "--pong-timeout", "3s"]);
    let proxy = Proxy::start(stage.server.address(), Chaos::NONE);
    let mut clients: Vec<RawClient> =
        (0..CLIENTS).map(|_| RawClient::upgrade_at(proxy.address, "/broadcast/links")).collect();
    let mut sender = RawClient::upgrade(&stage.server, "/broadcast/links?self=0");
    proxy.hold(true);
    (0..20).for_each(|number| sender.send(&frame(TEXT, number.to_string().as_bytes())));
    std::thread::sleep(Duration::from_millis(1500));
    proxy.hold(false);
    for client in &mut clients {
        (0..20).for_each(|number| assert_eq!(hear(client), number.to_string().as_bytes()));
    }
    assert_eq!(stage.stat(&["closed", "1008"]), 0, "a moment costs nobody anything");
    proxy.hold(true);
    let started = std::time::Instant::now();
    wait_until("who cannot be reached is given up", PATIENCE, || {
        stage.stat(&["closed", "1008"]) >= CLIENTS as u64
    });
    let found = started.elapsed();
    // A ping may have been on its way when it went down.
    assert!(found > Duration::from_millis(1900), "{found:?}");
    proxy.hold(false);
    // The link is back: what was said meanwhile, then why it ended.
    for client in &mut clients {
        let last = std::iter::from_fn(|| client.next_frame(PATIENCE)).find(|frame| frame.first == CLOSE);
        assert_eq!(last.expect("they are told").close().0, 1008);
    }
    drop((clients, sender, proxy));
    stage.counts(20 * CLIENTS as u64, 20 * CLIENTS as u64);
    let figures = vec![
        ("down for 1.5 s: lost", format!("0 of {CLIENTS}, and no message")),
        ("down for good: closed with 1008 after", format!("{:.1} s", found.as_secs_f64())),
    ];
    stage.end(Gate::Slow, CLIENTS as u64, figures)
}
