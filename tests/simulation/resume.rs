//! The connection breaks at every byte between a `say` and its `ack`: whoever comes back with its key, its last
//! `seq` and the same `ref` misses nothing, and what it said is said once.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::speech;
use crate::support::random::Random;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Connects to a room in the JSON form.
fn join(bench: &mut Bench, query: &str) -> usize {
    let client = bench.connect();
    let request = speech::asking_for_json(speech::handshake(&format!("/tea?{query}")));
    bench.send(client, &request);
    client
}

fn of_type(objects: &[Value], kind: &str) -> Vec<Value> {
    objects.iter().filter(|object| object["type"] == kind).cloned().collect()
}

fn say(text: &str, reference: &str) -> Vec<u8> {
    let object = json!({ "type": "say", "text": text, "ref": reference }).to_string();
    speech::frame(&mut Random::new(1), 0x81, object.as_bytes())
}

#[test]
fn a_connection_that_breaks_at_every_byte_of_a_say_loses_and_doubles_nothing() {
    let length = say("hello", "r1").len();
    // So many bytes of it arrive; then the connection is reset, or ends with or without the answer read.
    for sent in 0..=length {
        for ending in 0..3 {
            check(sent, ending, length);
        }
    }
}

fn check(sent: usize, ending: usize, length: usize) {
    let context = format!("{sent} of {length} bytes, ending {ending}");
    let mut bench = Bench::new();
    let witness = join(&mut bench, "name=witness");
    let client = join(&mut bench, &format!("name=alice&key={KEY}"));
    let welcome = bench.hear_json(client)[0].clone();
    let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
    bench.send(client, &say("hello", "r1")[..sent]);
    match ending {
        0 => bench.reset(client),
        1 => bench.end(client),
        // It reads what came, but has no time to make anything of it.
        _ => {
            bench.hear_json(client);
            bench.reset(client);
        }
    }
    bench.send(witness, &say("meanwhile", "w1"));
    // It had heard nothing yet: it resumes from the welcome.
    let again = join(&mut bench, &format!("name=alice&key={KEY}&since=0&epoch={epoch}"));
    bench.send(again, &say("hello", "r1"));
    let heard = bench.hear_json(again);
    assert_eq!((&heard[0]["type"], &heard[0]["recovered"]), (&json!("welcome"), &json!(true)), "{context}");
    assert_eq!(heard[0]["you"], welcome["you"], "{context}: the same person");
    let texts: Vec<Value> = of_type(&heard, "say").iter().map(|said| said["text"].clone()).collect();
    let first = sent == length;
    let wanted = if first { ["hello", "meanwhile"] } else { ["meanwhile", "hello"] };
    assert_eq!(texts, wanted, "{context}");
    let ack = of_type(&heard, "ack");
    assert_eq!(ack.len(), 1, "{context}");
    assert_eq!(ack[0]["seq"], if first { 1 } else { 2 }, "{context}");
    let seen = bench.hear_json(witness);
    let texts: Vec<Value> = of_type(&seen, "say").iter().map(|said| said["text"].clone()).collect();
    assert_eq!(texts, wanted, "{context}: the witness");
    let numbers: Vec<Value> = of_type(&seen, "say").iter().map(|said| said["seq"].clone()).collect();
    assert_eq!(numbers, [1, 2], "{context}");
}

/// Whatever a client has under way when its connection breaks, it may say again: each is said once.
#[test]
fn as_many_as_may_be_under_way_are_said_once() {
    for count in [64, 65, 500] {
        let mut bench = Bench::new();
        let witness = join(&mut bench, "name=witness");
        let client = join(&mut bench, &format!("name=alice&key={KEY}"));
        let welcome = bench.hear_json(client)[0].clone();
        let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
        assert!(welcome["limits"]["unacknowledged"].as_u64() >= Some(count));
        let all: Vec<u8> =
            (0..count).flat_map(|number| say(&number.to_string(), &format!("r{number}"))).collect();
        // In one packet; no answer is read.
        bench.send(client, &all);
        bench.reset(client);
        let again = join(&mut bench, &format!("name=alice&key={KEY}&since=0&epoch={epoch}"));
        bench.send(again, &all);
        let heard = bench.hear_json(again);
        let acks: Vec<u64> =
            of_type(&heard, "ack").iter().map(|ack| ack["seq"].as_u64().expect("a number")).collect();
        assert_eq!(acks, (1..=count).collect::<Vec<u64>>(), "{count}: the numbers of the first time");
        let texts: Vec<Value> =
            of_type(&bench.hear_json(witness), "say").iter().map(|said| said["text"].clone()).collect();
        let wanted: Vec<Value> = (0..count).map(|number| json!(number.to_string())).collect();
        assert_eq!(texts, wanted, "{count}: the witness");
    }
}
