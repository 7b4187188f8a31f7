//! A broker that answers when it is told to: what waits meanwhile, and who is told what.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::rc::Rc;

use serde_json::{Value, json};
use wsloop::broker::{Append, Broker, BrokerEvent, ChannelName, Committed, Entry, Opened, Outcome};
use wsloop::clock::{Now, Time};
use wsloop::id::ChannelId;

use crate::bench::Bench;
use crate::judge::Heard;
use crate::speech;
use crate::support::limits::LIMITS;
use crate::support::random::Random;

/// What was asked of the broker, and what it shall answer.
#[derive(Clone, Debug, Default)]
struct Desk(Rc<RefCell<Papers>>);

#[derive(Debug, Default)]
struct Papers {
    /// Requests in their order, each as what follows from it if it is granted, and if it is not.
    asked: VecDeque<(Answer, Answer)>,
    answers: VecDeque<Answer>,
    heads: BTreeMap<ChannelId, u64>,
    is_unavailable: bool,
}

#[derive(Debug)]
enum Answer {
    Event(BrokerEvent),
    /// A number is given when it is committed.
    Commit(ChannelId, Entry),
}

impl Desk {
    fn asked(&self) -> usize {
        self.0.borrow().asked.len()
    }

    /// Answers the oldest request.
    fn answer(&self, bench: &mut Bench, is_granted: bool) {
        let mut papers = self.0.borrow_mut();
        let (granted, refused) = papers.asked.pop_front().expect("something was asked");
        papers.answers.push_back(if is_granted { granted } else { refused });
        drop(papers);
        bench.driver.time += 1;
        bench.driver.settle();
    }

    fn grant_all(&self, bench: &mut Bench) {
        while self.asked() > 0 {
            self.answer(bench, true);
        }
    }
}

impl Broker for Desk {
    fn open(&mut self, _: Now, channel: ChannelId, _: &ChannelName) -> Outcome<Opened> {
        let mut papers = self.0.borrow_mut();
        if papers.is_unavailable {
            return Outcome::Unavailable;
        }
        papers.heads.insert(channel, 0);
        let opened = Opened { epoch: "e1".into(), head: 0 };
        let answers = [BrokerEvent::Opened(channel, opened), BrokerEvent::NotOpened(channel)];
        let [granted, refused] = answers.map(Answer::Event);
        papers.asked.push_back((granted, refused));
        Outcome::Later
    }

    fn append(&mut self, now: Now, append: &Append<'_>) -> Outcome<Committed> {
        let mut papers = self.0.borrow_mut();
        if papers.is_unavailable {
            return Outcome::Unavailable;
        }
        let committed = Committed { seq: NonZeroU64::MIN, time: now.wall };
        let entry = Entry {
            committed,
            ticket: Some(append.ticket),
            author: append.author.clone(),
            action: append.action,
            kind: append.kind,
            payload: append.payload.as_ref().into(),
        };
        let refused = BrokerEvent::Refused(append.channel, append.ticket);
        papers.asked.push_back((Answer::Commit(append.channel, entry), Answer::Event(refused)));
        Outcome::Later
    }

    fn close(&mut self, channel: ChannelId) {
        self.0.borrow_mut().heads.remove(&channel).expect("it was opened");
    }

    fn poll_event(&mut self, _: Now) -> Option<BrokerEvent> {
        let mut papers = self.0.borrow_mut();
        Some(match papers.answers.pop_front()? {
            Answer::Event(event) => event,
            Answer::Commit(channel, mut entry) => {
                let head = papers.heads.get_mut(&channel).expect("it is open");
                *head += 1;
                entry.committed.seq = NonZeroU64::new(*head).expect("from one on");
                BrokerEvent::Committed(channel, entry)
            }
        })
    }

    fn deadline(&self) -> Time {
        if self.0.borrow().answers.is_empty() { Time::NEVER } else { Time::default() }
    }
}

fn bench() -> (Bench, Desk) {
    let desk = Desk::default();
    (Bench::with_broker(LIMITS, desk.clone()), desk)
}

/// Connects; whether that opens anything is for the broker.
fn connect(bench: &mut Bench, target: &str, is_json: bool) -> usize {
    let client = bench.connect();
    let request = speech::handshake(target);
    bench.send(client, &if is_json { speech::asking_for_json(request) } else { request });
    client
}

/// Connects to a channel that is opened for it.
fn join(bench: &mut Bench, desk: &Desk, target: &str, is_json: bool) -> usize {
    let client = connect(bench, target, is_json);
    desk.grant_all(bench);
    assert_eq!(bench.hear(client).first(), Some(&Heard::Opened), "{target}");
    client
}

fn texts(bench: &mut Bench, client: usize) -> Vec<String> {
    let heard = bench.hear(client);
    let texts = heard.into_iter().filter_map(|heard| match heard {
        Heard::Message(message) => Some(String::from_utf8_lossy(&message.payload).into_owned()),
        _ => None,
    });
    texts.collect()
}

fn say(bench: &mut Bench, client: usize, text: &str) {
    bench.send_frame(client, 0x81, text.as_bytes());
}

fn say_json(bench: &mut Bench, client: usize, text: &str, reference: &str) {
    let object = json!({ "type": "say", "text": text, "ref": reference }).to_string();
    say(bench, client, &object);
}

fn objects(bench: &mut Bench, client: usize) -> Vec<Value> {
    texts(bench, client).iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

#[test]
fn a_newcomer_is_answered_when_its_channel_is_open_and_what_it_said_meanwhile_is_heard() {
    let (mut bench, desk) = bench();
    let first = connect(&mut bench, "/tea?name=alice", false);
    say(&mut bench, first, "early");
    let second = connect(&mut bench, "/tea?name=bob", false);
    let third = connect(&mut bench, "/broadcast/tea", false);
    let gone = connect(&mut bench, "/tea?name=cy", false);
    bench.reset(gone);
    assert_eq!([first, second, third].map(|client| bench.hear(client)), [const { Vec::new() }; 3]);
    assert_eq!(desk.asked(), 2, "a channel is asked for once");
    assert!(bench.unread(first) > 0 || bench.driver.server.unfinished_bytes() > 0, "it is not read on");
    desk.answer(&mut bench, true);
    assert_eq!(bench.hear(first)[0], Heard::Opened);
    let heard = bench.hear(second);
    let lines = heard.iter().filter_map(|heard| match heard {
        Heard::Message(message) => Some(String::from_utf8_lossy(&message.payload)),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    // Who hung up meanwhile is found gone when it is read again.
    assert_eq!((&heard[0], &*lines[0], &*lines[1]), (&Heard::Opened, "Welcome bob !", "Welcome cy !"));
    assert!(lines[2].ends_with("cy Logout"), "{lines:?}");
    assert_eq!(bench.hear(third), []);
    desk.answer(&mut bench, true);
    assert_eq!(bench.hear(third), [Heard::Opened]);
    assert_eq!(desk.asked(), 1, "what was said behind the handshake");
    desk.grant_all(&mut bench);
    assert!(texts(&mut bench, second)[0].ends_with("alice say: early"));
}

#[test]
fn a_channel_that_cannot_be_opened_is_503_and_can_be_later() {
    let (mut bench, desk) = bench();
    let refused = connect(&mut bench, "/tea", false);
    let other = connect(&mut bench, "/tea", true);
    desk.answer(&mut bench, false);
    desk.0.borrow_mut().is_unavailable = true;
    let at_once = connect(&mut bench, "/tea", false);
    for client in [refused, other, at_once] {
        let heard = bench.hear(client);
        let [Heard::Answered(503, body)] = &heard[..] else { panic!("{heard:?}") };
        assert!(String::from_utf8_lossy(body).contains("try again shortly"));
    }
    desk.0.borrow_mut().is_unavailable = false;
    let silent = connect(&mut bench, "/tea", false);
    let timeout = u64::try_from(LIMITS.connection.handshake_timeout.as_millis()).expect("seconds");
    bench.driver.advance_to(bench.driver.time + timeout);
    assert!(matches!(&bench.hear(silent)[..], [Heard::Answered(503, _)]), "no answer is one");
    desk.grant_all(&mut bench);
    join(&mut bench, &desk, "/tea", false);
}

#[test]
fn what_is_not_answered_is_not_told_and_what_is_refused_is_told_to_whoever_said_it() {
    let (mut bench, desk) = bench();
    let alice = join(&mut bench, &desk, "/tea?name=alice", false);
    let bob = join(&mut bench, &desk, "/tea?name=bob", true);
    texts(&mut bench, alice);
    say(&mut bench, alice, "one");
    say_json(&mut bench, bob, "two", "r");
    assert_eq!((texts(&mut bench, alice).len(), objects(&mut bench, bob).len()), (0, 0));
    desk.answer(&mut bench, false);
    let told = texts(&mut bench, alice);
    assert!(told.len() == 1 && told[0].ends_with("was not said; say it again later"), "{told:?}");
    assert_eq!(objects(&mut bench, bob).len(), 0, "nobody else hears of it");
    desk.answer(&mut bench, false);
    let told = objects(&mut bench, bob);
    assert_eq!((&told[0]["code"], &told[0]["ref"]), (&json!("unavailable"), &json!("r")), "{told:?}");
    // Said again under the same name, and once more while it waits: once.
    (0..3).for_each(|_| say_json(&mut bench, bob, "two", "r"));
    assert_eq!(desk.asked(), 1);
    desk.grant_all(&mut bench);
    let told = objects(&mut bench, bob);
    let types: Vec<_> = told.iter().map(|object| (object["type"].as_str(), object["seq"].as_u64())).collect();
    assert_eq!(types, [(Some("ack"), Some(1)), (Some("say"), Some(1))], "the first number there");
    say_json(&mut bench, bob, "two", "r");
    assert_eq!((desk.asked(), objects(&mut bench, bob)[0]["seq"].as_u64()), (0, Some(1)));
    // At once is no other than later.
    desk.0.borrow_mut().is_unavailable = true;
    say_json(&mut bench, bob, "three", "s");
    assert_eq!(objects(&mut bench, bob)[0]["code"], "unavailable");
}

#[test]
fn on_a_topic_only_a_close_can_say_that_a_message_is_lost() {
    let (mut bench, desk) = bench();
    let speaker = join(&mut bench, &desk, "/broadcast/t?self=0", false);
    let other = join(&mut bench, &desk, "/broadcast/t", false);
    say(&mut bench, speaker, "one");
    say(&mut bench, speaker, "two");
    desk.answer(&mut bench, true);
    assert_eq!((texts(&mut bench, speaker).len(), texts(&mut bench, other)), (0, vec!["one".to_owned()]));
    desk.answer(&mut bench, false);
    let heard = bench.hear(speaker);
    assert!(
        matches!(&heard[..], [Heard::Closed(Some(1013), reason)] if reason.contains("not said")),
        "{heard:?}"
    );
    say(&mut bench, other, "three");
    desk.grant_all(&mut bench);
    assert_eq!(texts(&mut bench, other), ["three"]);
}

#[test]
fn who_has_gone_is_heard_and_whoever_has_its_place_is_not_taken_for_it() {
    let (mut bench, desk) = bench();
    let witness = join(&mut bench, &desk, "/tea?name=witness", true);
    let alice = join(&mut bench, &desk, "/tea?name=alice", true);
    say_json(&mut bench, alice, "last words", "r");
    bench.reset(alice);
    // In the same slot.
    let bob = connect(&mut bench, "/tea?name=bob", true);
    assert_eq!(objects(&mut bench, bob)[0]["type"], "welcome");
    let before = objects(&mut bench, witness);
    let types: Vec<_> = before.iter().map(|object| object["type"].as_str()).collect();
    assert_eq!(types, [Some("join"), Some("leave"), Some("join")]);
    desk.grant_all(&mut bench);
    let heard = objects(&mut bench, witness);
    assert_eq!((&heard[0]["text"], &heard[0]["from"]["name"]), (&json!("last words"), &json!("alice")));
    let heard = objects(&mut bench, bob);
    assert!(heard.len() == 1 && heard[0]["type"] == "say", "and no acknowledgement: {heard:?}");
    // And a room that is left is kept until all is answered.
    say_json(&mut bench, witness, "to nobody", "s");
    bench.reset(witness);
    bench.driver.advance_to(bench.driver.time + 1_000_000);
    desk.grant_all(&mut bench);
    bench.reset(bob);
    bench.driver.advance_to(bench.driver.time + 1_000_000);
    assert_eq!((bench.driver.server.kept_channel_count(), desk.0.borrow().heads.len()), (0, 0));
}

#[test]
fn who_says_more_than_is_answered_is_read_no_further_and_loses_nothing() {
    const MESSAGES: usize = 400;
    let (mut bench, desk) = bench();
    let (speaker, other) = (
        join(&mut bench, &desk, "/tea?name=speaker", false),
        join(&mut bench, &desk, "/tea?name=other", false),
    );
    let payload = "x".repeat(1_000);
    let mut random = Random::new(3);
    let bytes: Vec<u8> =
        (0..MESSAGES).flat_map(|_| speech::frame(&mut random, 0x81, payload.as_bytes())).collect();
    bench.send(speaker, &bytes);
    let most = 64 * 1024 + 2 * (1_000 + 256);
    assert!(bench.driver.server.pending_bytes() <= most, "{}", bench.driver.server.pending_bytes());
    assert!(desk.asked() < 100, "{}", desk.asked());
    // Others speak meanwhile.
    say(&mut bench, other, "me too");
    texts(&mut bench, other);
    let mut heard = 0;
    while desk.asked() > 0 {
        desk.answer(&mut bench, true);
        assert!(bench.driver.server.pending_bytes() <= most);
        heard += texts(&mut bench, other).len();
    }
    assert_eq!((heard, bench.unread(speaker)), (MESSAGES + 1, 0));
}

/// Whoever floods fills every turn: what the broker answers has its part of it all the same.
#[test]
fn an_answer_does_not_wait_for_the_end_of_a_flood() {
    let (mut bench, desk) = bench();
    let member = join(&mut bench, &desk, "/tea?name=member", false);
    let flooder = bench.open("/echo");
    say(&mut bench, member, "hello");
    let mut random = Random::new(3);
    let payload = vec![b'x'; 60_000];
    let bytes: Vec<u8> = (0..20).flat_map(|_| speech::frame(&mut random, 0x82, &payload)).collect();
    bench.send_later(flooder, &bytes);
    let answer = desk.0.borrow_mut().asked.pop_front().expect("it was asked").0;
    desk.0.borrow_mut().answers.push_back(answer);
    bench.driver.network.borrow_mut().transfer();
    assert!(bench.driver.pass(), "there is a turn");
    assert!(bench.unread(flooder) > 0, "and more of the flood than it has room for");
    let (told, text) = (texts(&mut bench, member), " say: hello");
    assert!(told.iter().any(|line| line.ends_with(text)), "{told:?}");
}

/// To repeat what others have said costs memory too.
#[test]
fn who_only_repeats_is_held_back_as_well() {
    let (mut bench, desk) = bench();
    let key = "k".repeat(32);
    let first = join(&mut bench, &desk, &format!("/tea?key={key}"), true);
    let other = join(&mut bench, &desk, &format!("/tea?key={key}"), true);
    for number in 0..100 {
        say_json(&mut bench, first, "x", &format!("r{number}"));
    }
    let before = bench.driver.server.pending_bytes();
    for _ in 0..3 {
        for number in 0..100 {
            say_json(&mut bench, other, "x", &format!("r{number}"));
        }
    }
    let after = bench.driver.server.pending_bytes();
    assert_eq!((desk.asked(), after - before), (100, 100 * 256), "each once for who waits for it");
    bench.reset(other);
    assert_eq!(bench.driver.server.pending_bytes(), before);
    desk.grant_all(&mut bench);
    assert_eq!(bench.driver.server.pending_bytes(), 0);
    let acks = objects(&mut bench, first).iter().filter(|object| object["type"] == "ack").count();
    assert_eq!(acks, 100);
}
