//! All of it at once, for as long as one likes: a line of figures each minute.

use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Reads, message};
use crate::proxy::{Chaos, Proxy};
use crate::stage::{Gate, Stage, mib, number};
use crate::support::cost::stats;
use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::raw::{BINARY_START, PING, PONG, RawClient, TEXT, frame};

/// One round of the mixture takes so long.
const ROUND: Duration = Duration::from_secs(10);

/// Mixes slow readers, floods, resets, links that go down, stops and churn, with witnesses, for so long.
#[allow(clippy::print_stdout)] // Figures are what this is for.
pub(crate) fn run(time: Duration) {
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    let options =
        ["--max-queue", "256K", "--max-buffered", "4M", "--send-buffer", "16K", "--ping-interval", "2s"];
    let stage = Stage::start(&options);
    let started = Instant::now();
    let mut random = Random::new(u64::from(std::process::id()));
    println!("minute  witnesses' messages  p99 ms  deliveries  dropped  closed  MiB  files");
    let mut said = 0;
    while started.elapsed() < time {
        let until = started.elapsed() + Duration::from_secs(60);
        stage.watch.take();
        while started.elapsed() < until.min(time) {
            round(&stage, &mut random, &mut said);
        }
        let witnesses = stage.watch.take().subject;
        let stats = stats(&stage.server);
        let closed: u64 =
            stats["closed"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        println!(
            "{:>6}  {:>19}  {:>6.1}  {:>10}  {:>7}  {closed:>6}  {:>3.0}  {:>5}",
            started.elapsed().as_secs() / 60,
            witnesses.messages,
            witnesses.p99 as f64 / 1000.0,
            number(&stats, &["deliveries", "delivered"]),
            number(&stats, &["deliveries", "dropped"]),
            mib(stage.server.memory_kib("VmRSS")),
            stage.server.open_files(),
        );
    }
    for (figure, value) in stage.end(Gate::Own, 1_000, Vec::new()) {
        println!("    {figure:<48}{value}");
    }
    println!("soak: ok");
}

/// A crowd with some of each kind, and something that goes wrong beside it.
fn round(stage: &Stage, random: &mut Random, said: &mut u64) {
    let address = stage.server.address();
    let delay_max = Duration::from_millis(1);
    let proxy =
        Proxy::start(address, Chaos { piece_max: random.between(1, 5_000), delay_max, reset_after: None });
    let kinds = [
        (random.between(50, 500), Reads::All),
        (random.between(0, 50), Reads::Never),
        (random.between(0, 20), Reads::Slowly(20_000)),
    ];
    let crowd =
        Crowd::gather(address, &format!("/broadcast/soak?slow={}", random.pick(&["close", "skip"])), &kinds);
    let through = Crowd::gather(proxy.address, "/broadcast/soak", &[(random.between(1, 20), Reads::All)]);
    let mut sender = RawClient::upgrade(&stage.server, "/broadcast/soak?self=0");
    let started = Instant::now();
    let first = *said;
    let trouble = random.below(6);
    while started.elapsed() < ROUND {
        sender.send(&message(*said, random.between(9, 6_000)));
        *said += 1;
        if random.below(50) == 0 {
            disturb(stage, &proxy, random, trouble);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    proxy.hold(false);
    // Pings have come meanwhile; whoever speaks need not answer them.
    sender.send(&frame(PING, b"the round is over"));
    while sender.read_frame().first != PONG {}
    std::thread::sleep(Duration::from_secs(1));
    for member in crowd.dismiss().iter().filter(|member| member.reads == Reads::All) {
        assert_eq!(
            (member.heard, member.missing, member.closed),
            (*said - first, 0, None),
            "who reads hears all"
        );
    }
    drop(through.dismiss());
}

/// Something that must not matter to anybody else.
fn disturb(stage: &Stage, proxy: &Proxy, random: &mut Random, trouble: usize) {
    match trouble {
        0 => {
            stage.server.signal("STOP");
            std::thread::sleep(Duration::from_millis(random.between(1, 1_500) as u64));
            stage.server.signal("CONT");
        }
        1 => proxy.hold(random.chance(50)),
        2 => {
            let resetting = Proxy::start(
                stage.server.address(),
                Chaos { reset_after: Some(random.between(200, 20_000) as u64), ..Chaos::NONE },
            );
            let mut client = RawClient::connect_at(resetting.address);
            let _ = client.try_send(&Request::upgrade_at(resetting.address, "/broadcast/soak").bytes());
            std::thread::sleep(Duration::from_millis(50));
        }
        3 => {
            for number in 0..200 {
                let mut client = RawClient::upgrade(&stage.server, "/soak-room?name=guest");
                let _ = client.try_send(&frame(TEXT, number.to_string().as_bytes()));
            }
        }
        4 => {
            let mut client = RawClient::upgrade(&stage.server, "/echo");
            let pings = frame(PING, &[1; 100]).repeat(500);
            let _ = client.try_send(&pings);
        }
        _ => {
            let mut client = RawClient::upgrade(&stage.server, "/echo");
            let _ = client.try_send(&frame(BINARY_START, &[1; 60_000]));
            let _ = client.try_send(b"\xff\xff\xff\xff");
        }
    }
}
