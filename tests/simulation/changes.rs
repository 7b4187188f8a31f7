//! People say, answer, edit, delete and react, come back and come anew, with whatever broker: all who are there see the
//! same in the end, as the room says that it stands; and of what was deleted nobody who comes later hears a word.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};
use wsloop::server::ServerLimits;

use crate::actor::{Actor, Temper};
use crate::bench::Bench;
use crate::speech;
use crate::support::limits::LIMITS;
use crate::support::random::Random;

const SEEDS: u64 = 150;
const STEPS: usize = 120;
const PEOPLE: usize = 4;
const EMOJI: [&str; 3] = ["👍", "🎉", "❤️"];
/// Longer than a broker takes.
const A_WHILE: u64 = 4_000;

/// A message as somebody sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    text: String,
    re: Option<u64>,
    is_deleted: bool,
    reactions: BTreeMap<String, u64>,
}

/// Somebody with a key, who comes back with it.
struct Person {
    number: usize,
    client: usize,
    epoch: String,
    /// The last number that was heard.
    seq: u64,
    seen: BTreeMap<u64, Seen>,
    /// All texts that a message had.
    texts: BTreeMap<u64, Vec<String>>,
    own: BTreeSet<u64>,
    id: Value,
}

/// Words that were said once and are deleted: each stands in one text only.
type Secrets = BTreeSet<String>;

#[test]
fn all_see_the_same_in_the_end() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_flood_of_changes_ends_resumes_and_no_history() {
    let mut bench = Bench::new();
    let mut person = Person::come(&mut bench, 0);
    let say = |bench: &mut Bench, client: usize, request: &Value| {
        bench.send_frame(client, 0x81, request.to_string().as_bytes());
    };
    say(&mut bench, person.client, &json!({ "type": "say", "text": "first" }));
    say(&mut bench, person.client, &json!({ "type": "say", "text": "second" }));
    for change in 0..1_200 {
        let request = json!({ "type": "react", "seq": 1, "emoji": "👍", "on": change % 2 == 0 });
        say(&mut bench, person.client, &request);
        person.hear(&mut bench, &mut Secrets::new());
    }
    assert_eq!(person.seq, 1_202);
    // Of the changes 1,000 are held: those who have heard the others resume.
    for (since, is_held) in [(1_202, true), (202, true), (201, false), (2, false), (0, false)] {
        let client = bench.connect();
        let target = format!("/tea?name=x&since={since}&epoch={}", person.epoch);
        bench.send(client, &speech::asking_for_json(speech::handshake(&target)));
        let heard = bench.hear_json(client);
        assert_eq!(heard[0]["recovered"], is_held, "{since}");
        assert_eq!(heard.len() as u64, 1 + if is_held { 1_202 - since } else { 0 }, "{since}");
        bench.reset(client);
    }
    let stand = person.ask(&mut bench, &Secrets::new());
    assert_eq!(stand.keys().collect::<Vec<_>>(), [&1, &2], "nothing that was said is forgotten for it");
}

#[test]
fn typing_is_told_once_in_three_seconds() {
    let mut bench = Bench::new();
    let (writer, reader) = (Person::come(&mut bench, 0), Person::come(&mut bench, 1));
    let typing = |bench: &mut Bench| {
        for _ in 0..10 {
            bench.send_frame(writer.client, 0x81, br#"{"type":"typing"}"#);
        }
        bench.hear_json(reader.client).iter().filter(|event| event["type"] == "typing").count()
    };
    assert_eq!([typing(&mut bench), typing(&mut bench)], [1, 0]);
    sleep(&mut bench, 2_999);
    assert_eq!(typing(&mut bench), 0);
    sleep(&mut bench, 1);
    assert_eq!([typing(&mut bench), typing(&mut bench)], [1, 0]);
    let own = bench.hear_json(writer.client);
    assert!(own.iter().all(|event| event["type"] != "typing"), "one knows that oneself");
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0xC4A6_E500);
    let mut limits: ServerLimits = LIMITS;
    limits.history_messages_max = *random.pick(&[5, 30, 1000]);
    let mut bench = match Temper::drawn(seed) {
        None => Bench::with_limits(limits),
        // What is refused is not said, and nobody here says it again.
        Some(temper) => {
            let temper = Temper { refuses: 0, ..temper };
            Bench::with_boxed_broker(limits, Actor::boxed(seed, temper, &Rc::new(Cell::new(0))))
        }
    };
    let mut people: Vec<Person> = (0..PEOPLE).map(|number| Person::come(&mut bench, number)).collect();
    let mut secrets = Secrets::new();
    for step in 0..STEPS {
        let number = random.below(PEOPLE);
        match random.below(20) {
            0 => people[number].come_back(&mut bench, &mut random, &secrets),
            1 => sleep(&mut bench, random.between(1, 500) as u64),
            _ => people[number].speak(&mut bench, &mut random, step),
        }
        // Some hear what others miss until they come back.
        for person in people.iter_mut().filter(|_| random.chance(25)) {
            person.hear(&mut bench, &mut secrets);
        }
    }
    sleep(&mut bench, A_WHILE);
    for person in &mut people {
        person.hear(&mut bench, &mut secrets);
    }
    for person in &mut people {
        // What it missed before it came back for the last time, it hears now.
        person.come_back(&mut bench, &mut random, &secrets);
        person.hear(&mut bench, &mut Secrets::new());
    }
    let last = people.iter().map(|person| person.seq).max();
    let mut newcomer = Person::come(&mut bench, PEOPLE);
    let stand = newcomer.ask(&mut bench, &secrets);
    for person in &people {
        assert_eq!(Some(person.seq), last, "person {} has heard all", person.number);
        for (seq, seen) in &stand {
            // Who had to begin anew knows what the room holds.
            if let Some(known) = person.seen.get(seq) {
                assert_eq!(known, seen, "person {}: message {seq}", person.number);
            }
        }
    }
}

impl Person {
    fn come(bench: &mut Bench, number: usize) -> Person {
        let (client, id) = (0, Value::Null);
        let mut person = Person {
            number,
            client,
            epoch: String::new(),
            seq: 0,
            seen: BTreeMap::new(),
            texts: BTreeMap::new(),
            own: BTreeSet::new(),
            id,
        };
        person.connect(bench, "", &Secrets::new());
        person
    }

    /// Its connection breaks, perhaps before it has read all, and it resumes.
    fn come_back(&mut self, bench: &mut Bench, random: &mut Random, secrets: &Secrets) {
        if random.chance(50) {
            self.hear(bench, &mut Secrets::new());
        }
        bench.reset(self.client);
        let since = format!("&since={}&epoch={}", self.seq, self.epoch);
        self.connect(bench, &since, secrets);
    }

    fn connect(&mut self, bench: &mut Bench, since: &str, secrets: &Secrets) {
        self.client = bench.connect();
        let key = "0123456789abcdef".repeat(2);
        let target = format!("/tea?name=p{0}&key={key}{0}{since}", self.number);
        bench.send(self.client, &speech::asking_for_json(speech::handshake(&target)));
        // The broker may have to open the room first.
        let mut heard = bench.hear_json(self.client);
        while heard.is_empty() {
            sleep(bench, 100);
            heard = bench.hear_json(self.client);
        }
        let welcome = heard.remove(0);
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let head = welcome["seq"].as_u64().expect("a number");
        if welcome["recovered"] != true {
            self.seen.clear();
            self.seq = head;
        }
        self.id = welcome["you"]["id"].clone();
        self.epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
        // What was deleted up to now is not heard again: not even the words that it had before an edit.
        let missed = heard.iter().take_while(|event| event["seq"].as_u64().is_some_and(|seq| seq <= head));
        for event in missed {
            assert_clean(event, secrets);
        }
        for event in heard {
            self.note(&event, &mut Secrets::new());
        }
    }

    fn hear(&mut self, bench: &mut Bench, secrets: &mut Secrets) {
        for event in bench.hear_json(self.client) {
            self.note(&event, secrets);
        }
    }

    /// Asks for all that the room holds, as it stands.
    fn ask(&mut self, bench: &mut Bench, secrets: &Secrets) -> BTreeMap<u64, Seen> {
        let mut stand = BTreeMap::new();
        let mut before = self.seq + 1;
        loop {
            let request = json!({ "type": "history", "before": before, "limit": 7 });
            bench.send_frame(self.client, 0x81, request.to_string().as_bytes());
            let heard = bench.hear_json(self.client);
            let page = heard.iter().find(|event| event["type"] == "history").expect("an answer");
            let messages = page["messages"].as_array().expect("a list");
            for said in messages {
                assert_clean(said, secrets);
                stand.insert(said["seq"].as_u64().expect("a number"), seen(said));
            }
            match messages.first().filter(|_| page["more"] == true) {
                Some(first) => before = first["seq"].as_u64().expect("a number"),
                None => return stand,
            }
        }
    }

    fn note(&mut self, event: &Value, secrets: &mut Secrets) {
        let Some(seq) = event["seq"].as_u64().filter(|_| event["type"] != "ack") else {
            assert_ne!(event["code"], "bad_json", "{event}");
            return;
        };
        assert_eq!(seq, self.seq + 1, "person {}: nothing is missing and nothing comes twice", self.number);
        self.seq = seq;
        if event["type"] == "say" {
            if event["from"]["id"] == self.id {
                self.own.insert(seq);
            }
            self.seen.insert(seq, seen(event));
            self.texts.entry(seq).or_default().push(text(event));
            return;
        }
        let number = event["of"].as_u64().expect("a change is of a message");
        let Some(of) = self.seen.get_mut(&number) else { return };
        let texts = self.texts.entry(number).or_default();
        match event["type"].as_str() {
            Some("edit") if !of.is_deleted && event["deleted"].is_null() => {
                of.text = text(event);
                texts.push(text(event));
            }
            Some("delete") => {
                secrets.extend(texts.drain(..).filter(|text| !text.is_empty()));
                *of = Seen { re: of.re, is_deleted: true, ..Seen::default() };
            }
            Some("react") if !of.is_deleted => {
                let emoji = event["emoji"].as_str().expect("an emoji").to_owned();
                match event["count"].as_u64().expect("a number") {
                    0 => of.reactions.remove(&emoji),
                    count => of.reactions.insert(emoji, count),
                };
            }
            _ => {}
        }
    }

    fn speak(&mut self, bench: &mut Bench, random: &mut Random, step: usize) {
        let known: Vec<u64> = self.seen.keys().copied().collect();
        let own: Vec<u64> = self.own.iter().copied().collect();
        let words = format!("word{step}x");
        let request = match random.below(10) {
            0..4 => json!({ "type": "say", "text": words }),
            4 if !known.is_empty() => json!({ "type": "say", "text": words, "re": random.pick(&known) }),
            5 | 6 if !own.is_empty() => json!({ "type": "edit", "seq": random.pick(&own), "text": words }),
            7 if !own.is_empty() => json!({ "type": "delete", "seq": random.pick(&own) }),
            _ if !known.is_empty() => {
                let (seq, emoji, on) = (random.pick(&known), random.pick(&EMOJI), random.chance(70));
                json!({ "type": "react", "seq": seq, "emoji": emoji, "on": on })
            }
            _ => json!({ "type": "typing" }),
        };
        let payload = request.to_string();
        if random.chance(30) {
            bench.send_frame_later(self.client, 0x81, payload.as_bytes());
        } else {
            bench.send_frame(self.client, 0x81, payload.as_bytes());
        }
    }
}

/// Lets so many milliseconds pass.
fn sleep(bench: &mut Bench, millis: u64) {
    let until = bench.driver.time + millis;
    bench.driver.advance_to(until);
}

fn text(event: &Value) -> String {
    event["text"].as_str().expect("a text").to_owned()
}

fn seen(said: &Value) -> Seen {
    let reactions = said["reactions"].as_object().cloned().unwrap_or_default();
    let reactions = reactions.into_iter().map(|(emoji, count)| (emoji, count.as_u64().expect("a number")));
    Seen {
        text: text(said),
        re: said["re"].as_u64(),
        is_deleted: !said["deleted"].is_null(),
        reactions: reactions.collect(),
    }
}

fn assert_clean(event: &Value, secrets: &Secrets) {
    let said = event.to_string();
    for secret in secrets {
        assert!(!said.contains(secret.as_str()), "{secret} was deleted: {said}");
    }
}
