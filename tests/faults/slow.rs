//! Clients that read slowly or not at all, and sockets that take little at a time.

use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Member, Reads, message};
use crate::proxy::{Chaos, Proxy};
use crate::stage::{Figures, Gate, Stage, kernel_memory_kib, mib};
use crate::support::raw::{PATIENCE, RawClient};
use crate::support::server::wait_until;

/// Sends messages at a steady pace, and returns how many those who read all must hear.
fn speak(sender: &mut RawClient, from: u64, count: u64, size: usize, pause: Duration) -> u64 {
    let started = Instant::now();
    for number in 0..count {
        sender.send(&message(from + number, size));
        let due = pause * u32::try_from(number + 1).expect("few");
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    from + count
}

/// Nobody who reads all misses anything.
fn assert_all_heard(members: &[Member], count: u64) {
    for member in members.iter().filter(|member| member.reads == Reads::All) {
        assert_eq!((member.heard, member.missing, member.closed), (count, 0, None), "who reads hears all");
    }
}

/// Exactly those who never read are closed, with 1013, and what they cost is shared. Beside it the same with
/// 10,000 who all read.
pub(crate) fn never_reading() -> Figures {
    const CLIENTS: usize = 10_000;
    const SLEEPERS: usize = 1_000;
    const MESSAGES: u64 = 90;
    const SIZE: usize = 4_096;
    let pause = Duration::from_millis(120);
    let run = |sleepers: usize| {
        let mut stage = Stage::start(&["--max-queue", "256K", "--send-buffer", "16K"]);
        let kinds = [(CLIENTS - sleepers, Reads::All), (sleepers, Reads::Never)];
        let crowd = Crowd::gather(stage.server.address(), "/broadcast/crowd", &kinds);
        let mut sender = RawClient::upgrade(&stage.server, "/broadcast/crowd?self=0");
        let memory_before = stage.server.memory_kib("VmRSS");
        let kernel_before = kernel_memory_kib();
        stage.forget_peak();
        stage.watch.take();
        let half = speak(&mut sender, 0, MESSAGES / 2, SIZE, pause);
        let kernel = kernel_memory_kib().saturating_sub(kernel_before);
        for number in half..MESSAGES {
            speak(&mut sender, number, 1, SIZE, pause);
            // Who is cut has five seconds to read why.
            if sleepers > 0 && stage.stat(&["closed", "1013"]) == sleepers as u64 {
                crowd.wake();
            }
        }
        let witnesses = stage.watch.take();
        let cost = stage.cost();
        let readers = (CLIENTS - sleepers) as u64;
        wait_until("all is heard", PATIENCE, || crowd.heard() == MESSAGES * readers);
        wait_until("who never reads is cut", PATIENCE * 2, || {
            stage.stat(&["closed", "1013"]) == sleepers as u64
        });
        crowd.wake();
        let peak = stage.server.memory_kib("VmHWM").saturating_sub(memory_before);
        let dropped = stage.stat(&["deliveries", "dropped"]);
        let members = crowd.dismiss();
        assert_all_heard(&members, MESSAGES);
        let cut = members.iter().filter(|member| member.reads == Reads::Never && member.closed == Some(1013));
        assert_eq!(cut.count(), sleepers, "exactly those are cut, and told");
        let heard = members.iter().map(|member| member.heard).sum();
        drop((members, sender));
        stage.counts_between(MESSAGES * readers, MESSAGES * CLIENTS as u64, heard);
        let figures = stage.end(Gate::Own, CLIENTS as u64, Vec::new());
        (witnesses, cost, peak, kernel, dropped, figures)
    };
    let (quiet, ..) = run(0);
    let (slow, cost, peak, kernel, dropped, mut figures) = run(SLEEPERS);
    let ratio = slow.subject.p99 as f64 / quiet.subject.p99 as f64;
    let problems = slow.beside_slow_ones(&quiet, &cost);
    assert!(problems.is_empty(), "{}", problems.join("; "));
    // One queue, shared, and for each sleeper some 40 bytes a batch in a list that may be half empty.
    let allowed = 2 * 256 + SLEEPERS as u64 * 90 * 80 / 1024 + 2048;
    assert!(peak <= allowed, "{peak} KiB more at the peak, {allowed} KiB are allowed");
    figures.insert(0, ("closed with 1013, of those who never read", format!("{SLEEPERS} of {SLEEPERS}")));
    figures.insert(1, ("closed of those who read", format!("0 of {}", CLIENTS - SLEEPERS)));
    figures.insert(2, ("deliveries dropped, all theirs", dropped.to_string()));
    figures.insert(3, ("witnesses' p99, to that without sleepers", format!("{ratio:.2}")));
    figures.insert(4, ("server's memory at the peak, MiB more", format!("{:.1}", mib(peak))));
    figures.insert(5, ("kernel's, half way (/proc/net/sockstat), MiB", format!("{:.1}", mib(kernel))));
    figures
}

/// Slow readers that skip stay, and hear whole messages in order; all others hear all.
pub(crate) fn reading_slowly() -> Figures {
    const READERS: usize = 1_800;
    const SLOW: usize = 200;
    const MESSAGES: u64 = 300;
    const SIZE: usize = 2_048;
    let options = ["--max-queue", "128K", "--send-buffer", "8K", "--slow", "skip"];
    let mut stage = Stage::start(&options);
    let address = stage.server.address();
    let crowd = Crowd::gather(address, "/broadcast/crowd", &[(READERS, Reads::All)]);
    let mut sender = RawClient::upgrade(&stage.server, "/broadcast/crowd?self=0");
    stage.watch.take();
    // Without them first.
    let pause = Duration::from_millis(20);
    let before = speak(&mut sender, 0, MESSAGES / 3, SIZE, pause);
    let quiet = stage.watch.take();
    let slow_ones = Crowd::gather(address, "/broadcast/crowd", &[(SLOW, Reads::Slowly(4096))]);
    stage.watch.take();
    let said = speak(&mut sender, before, MESSAGES, SIZE, pause);
    let witnesses = stage.watch.take();
    let problems = witnesses.beside_slow_ones(&quiet, &stage.cost());
    assert!(problems.is_empty(), "{}", problems.join("; "));
    wait_until("all is heard", PATIENCE, || crowd.heard() == said * READERS as u64);
    let skipped = stage.stat(&["dropped", "skipped"]);
    assert_eq!(skipped, stage.stat(&["deliveries", "dropped"]), "nobody is cut");
    assert_eq!(stage.stat(&["closed", "1013"]), 0);
    let members = crowd.dismiss();
    assert_all_heard(&members, said);
    let slow = slow_ones.dismiss();
    let (heard, missing) =
        slow.iter().fold((0, 0), |(heard, missing), member| (heard + member.heard, missing + member.missing));
    assert!(heard > 0 && skipped > 0, "{heard} heard, {skipped} skipped");
    assert!(missing <= skipped, "{missing} are missing, {skipped} were skipped");
    let readers_heard = said * READERS as u64;
    stage.counts(readers_heard + MESSAGES * SLOW as u64, readers_heard + heard);
    drop((members, slow, sender));
    let figures = vec![
        ("heard by those who read all", format!("{said} of {said} each, {READERS} clients")),
        ("skipped for the slow ones, who stay", format!("{skipped} deliveries, {SLOW} clients")),
        ("heard by the slow ones so far, in order", heard.to_string()),
    ];
    stage.end(Gate::Own, (READERS + SLOW) as u64, figures)
}

/// Every byte arrives whatever the pieces: through proxies, with the smallest of send buffers.
pub(crate) fn partial_writes() -> Figures {
    const READERS: usize = 12;
    let stage = Stage::start(&["--send-buffer", "4K", "--max-queue", "16M"]);
    let address = stage.server.address();
    let delayed = Duration::from_millis(2);
    let kinds = [
        ("nothing", Chaos::NONE, 40),
        ("pieces of 1 to 1,000 bytes", Chaos { piece_max: 1_000, ..Chaos::NONE }, 40),
        ("pieces of 1 to 7 bytes", Chaos { piece_max: 7, ..Chaos::NONE }, 10),
        ("byte by byte", Chaos { piece_max: 1, ..Chaos::NONE }, 6),
        ("delays of up to 2 ms", Chaos { piece_max: 4_000, delay_max: delayed, ..Chaos::NONE }, 30),
    ];
    let mut figures = Vec::new();
    for (name, chaos, count) in kinds {
        let proxy = Proxy::start(address, chaos);
        let crowd = Crowd::gather(proxy.address, "/broadcast/pieces", &[(READERS, Reads::All)]);
        let mut sender = RawClient::upgrade_at(proxy.address, "/broadcast/pieces?self=0");
        let started = Instant::now();
        for number in 0..count {
            // From one byte more than its number to nearly the largest.
            sender.send(&message(number, [9, 125, 126, 4_000, 30_000, 60_000][(number % 6) as usize]));
        }
        wait_until("all pieces are together again", PATIENCE * 3, || crowd.heard() == count * READERS as u64);
        let members = crowd.dismiss();
        assert_all_heard(&members, count);
        let text = format!("{count} of {count}, {READERS} clients, {:.1} s", started.elapsed().as_secs_f64());
        figures.push((name, text));
    }
    // Resets in the middle of a frame, on both sides of it, hurt nobody else.
    let proxy = Proxy::start(address, Chaos { reset_after: Some(50_000), ..Chaos::NONE });
    let mut victims: Vec<RawClient> =
        (0..50).map(|_| RawClient::upgrade_at(proxy.address, "/broadcast/resets")).collect();
    let mut sender = RawClient::upgrade(&stage.server, "/broadcast/resets?self=0");
    (0..4).for_each(|number| sender.send(&message(number, 20_000)));
    wait_until("all victims are gone", PATIENCE, || stage.stat(&["closed", "1006"]) >= 50);
    victims.clear();
    sender.expect_quiet("nobody else noticed");
    drop(sender);
    drop(proxy);
    figures.push(("reset in the middle of a frame", "50 of 50, nobody else".to_owned()));
    stage.end(Gate::Own, 100, figures)
}
