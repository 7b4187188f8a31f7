//! What strangers try: to erase, to fill, to be somebody else; and what is said again after a break.

use std::num::NonZeroU64;

use super::*;
use crate::broker::{Action, Author, Committed, Entry};

fn history(chat: &Chat, index: usize) -> &history::History {
    &chat.channels[index].room.as_ref().expect("a room").history
}

/// Whoever loses, the room that is in use keeps what was said, and who comes back there misses nothing.
#[test]
fn a_stranger_cannot_erase_what_others_said() {
    let big = "x".repeat(25 << 10);
    for attack in 0..4 {
        let mut script = Script::new();
        script.enter_from(0, "10.0.0.1", json("alice"));
        script.enter_from(1, "10.0.0.1", json("bob"));
        (0..20).for_each(|number| {
            script.say(0, Kind::Text, &format!(r#"{{"type":"say","text":"{number}"}}"#));
        });
        script.leave(&[1]);
        script.take();
        let mut room_of = |client: usize, name: String, text: &str, times: usize| {
            script.join_quietly(client, "10.0.0.2", at(ChannelName::Room(name)));
            for _ in 0..times {
                script.say_quietly(client, text);
            }
            script.chat.leave(script.now, &[ClientId::new(client)], &mut |_| {});
            script.forget_channels();
            assert!(script.chat.keeping.bytes() <= keeping::HISTORIES_BYTES_MAX);
        };
        match attack {
            0 => (0..1_010).for_each(|_| room_of(5, "lobby".to_owned(), "x", 0)),
            1 => (0..1_010).for_each(|_| room_of(5, "other".to_owned(), "x", 1)),
            2 => (0..290).for_each(|room| room_of(5, format!("r{room}"), &big, 10)),
            _ => (0..100_000).for_each(|room| room_of(5, format!("r{room}"), "x", 1)),
        }
        let epoch = script.epoch();
        script.enter_from(1, "10.0.0.1", Subscription { since: Some((3, epoch)), ..json("bob") });
        let heard = script.take();
        let is_recovered = heard.iter().any(|line| line.contains(r#""recovered":true"#));
        let missed = heard.iter().filter(|line| line.starts_with(r#"to 1 Text: {"type":"say""#)).count();
        assert_eq!((is_recovered, missed), (true, 17), "attack {attack}: {}", heard[0]);
    }
}

#[test]
fn a_room_that_is_left_and_used_again_stands_once_among_the_kept() {
    let mut script = Script::new();
    script.come_in(0, lobby());
    script.say(0, Kind::Text, "kept");
    for _ in 0..1_010 {
        script.leave(&[0]);
        script.forget_channels();
        assert_eq!(script.chat.keeping.kept_count(), 1);
        script.come_in(0, lobby());
        assert_eq!(script.chat.keeping.kept_count(), 0);
    }
    script.leave(&[0]);
    script.forget_channels();
    script.wait_until(600_000);
    assert_eq!((script.chat.channels.len(), script.chat.keeping.bytes()), (0, 0));
}

/// Rooms in use lose last, and then the largest lose their oldest.
#[test]
fn when_rooms_in_use_remember_too_much_the_largest_lose_their_oldest() {
    let mut script = Script::new();
    script.come_in(0, ChannelName::Room("small".to_owned()));
    (0..10).for_each(|_| script.say(0, Kind::Text, "x"));
    let text = "x".repeat(25 << 10);
    for room in 1..300 {
        script.come_in(room, ChannelName::Room(format!("room{room}")));
        (0..10).for_each(|_| script.say(room, Kind::Text, &text));
        script.take();
        script.forget_channels();
        assert!(script.chat.keeping.bytes() <= keeping::HISTORIES_BYTES_MAX);
    }
    let rooms = script.chat.channels.iter().filter_map(|(_, channel)| channel.room.as_ref());
    let costs: Vec<usize> = rooms.map(|room| room.history.cost()).collect();
    assert_eq!(costs.iter().sum::<usize>(), script.chat.keeping.bytes());
    let kept = |room: usize| history(&script.chat, room).behind(0, 10).is_some();
    assert!(kept(0) && !kept(1) && kept(299));
    assert!(costs[1..].iter().all(|cost| *cost > 100_000), "none is cleared: {costs:?}");
}

#[test]
fn many_small_histories_are_counted_at_what_they_take() {
    let mut script = Script::new();
    for room in 0..100 {
        script.come_in(room, ChannelName::Room(format!("room{room}")));
        (0..100).for_each(|_| script.say(room, Kind::Text, "x"));
        script.take();
    }
    let each = script.chat.keeping.bytes() / (100 * 100);
    assert!((100..=140).contains(&each), "{each} bytes for a message of one");
}

#[test]
fn an_answer_is_bounded_as_it_is_encoded() {
    let mut script = Script::new();
    script.come(0, json("bob"));
    // Escaped six times as long.
    let text = "\u{1}".repeat(20_000);
    (0..12).for_each(|_| script.say(0, Kind::Binary, &text));
    let escaped = "\\u0001".repeat(10_000);
    (0..12).for_each(|_| script.say(0, Kind::Text, &format!(r#"{{"type":"say","text":"{escaped}"}}"#)));
    script.take();
    script.say(0, Kind::Text, r#"{"type":"history","limit":100}"#);
    let answer = script.take();
    assert!(answer[0].len() <= (256 << 10) + 200, "{}", answer[0].len());
    assert!(answer[0].ends_with(r#""more":true}"#) && answer[0].matches(r#""seq":"#).count() == 4);
    // What was missed is more than may wait: it says so instead.
    script.leave(&[0]);
    for (since, recovered) in [(23, true), (12, true), (11, true), (0, false)] {
        let subscription = Subscription { since: Some((since, script.epoch())), ..json("bob") };
        script.come(1, subscription);
        let heard = script.take();
        let told = format!(r#""recovered":{recovered}"#);
        assert!(heard.iter().any(|line| line.contains(&told)), "{since}: {}", heard[0]);
        assert!(heard.iter().map(String::len).sum::<usize>() <= (1 << 20) / 4 * 3 + 1000);
        script.leave(&[1]);
    }
}

/// Seventy, or five hundred, in each of two tabs, are under way when the connections break.
#[test]
fn what_was_under_way_is_not_said_twice() {
    for (tabs, says, key) in
        [(1, 70, Some("k")), (1, 500, Some("k")), (2, 500, Some("k")), (10, 500, Some("k")), (1, 500, None)]
    {
        let mut script = Script::new();
        let subscription = || Subscription { key: key.map(str::to_owned), ..json("bob") };
        script.come(99, json("witness"));
        (0..tabs).for_each(|tab| script.come(tab, subscription()));
        let say_all = |script: &mut Script| {
            for tab in 0..tabs {
                for number in 0..says {
                    let text = format!(r#"{{"type":"say","text":"x","ref":"{tab}-{number}"}}"#);
                    script.say(tab, Kind::Text, &text);
                }
            }
        };
        say_all(&mut script);
        if key.is_some() {
            script.leave(&(0..tabs).collect::<Vec<_>>());
            (0..tabs).for_each(|tab| script.come(tab, subscription()));
        }
        script.take();
        say_all(&mut script);
        let heard = script.take();
        assert_eq!(heard.len(), tabs * says, "{tabs} tabs, {says} each");
        assert!(heard.iter().all(|line| line.contains(r#""type":"ack""#)), "nothing is said again");
        assert_eq!(script.chat.channels[0].head(), (tabs * says) as u64);
    }
}

#[test]
fn a_name_is_kept_for_its_person_while_it_is_away() {
    let keyed = |key: &str, name: &str| Subscription { key: Some(key.repeat(32)), ..json(name) };
    let mut script = Script::new();
    let called = |script: &mut Script, client: usize, subscription: Subscription| {
        script.come(client, subscription);
        let welcome = script.take().pop().expect("a welcome");
        let (_, you) = welcome.split_once(r#""you":"#).expect("somebody");
        let (_, name) = you.split_once(r#""name":""#).expect("a name");
        name.split_once('"').expect("its end").0.to_owned()
    };
    assert_eq!(called(&mut script, 0, keyed("k", "alice")), "alice");
    // Nobody is there, and nothing was said: the room is kept for the name.
    script.leave(&[0]);
    script.forget_channels();
    assert_eq!(called(&mut script, 1, json("alice")), "alice-2");
    assert_eq!(called(&mut script, 2, keyed("m", "ALICE")), "ALICE-3");
    assert_eq!(called(&mut script, 0, keyed("k", "alice")), "alice");
    script.leave(&[0]);
    let without = Subscription { name: None, ..keyed("k", "") };
    assert_eq!(called(&mut script, 0, without), "alice", "who asks for none gets its own");
    script.say(0, Kind::Text, r#"{"type":"name","name":"zoe"}"#);
    script.leave(&[0]);
    script.take();
    assert_eq!(called(&mut script, 3, json("alice")), "alice", "given up for another");
    assert_eq!(called(&mut script, 4, json("zoe")), "zoe-2");
    script.wait_until(599_999);
    assert_eq!(called(&mut script, 5, json("zoe")), "zoe-3");
    script.wait_until(600_000);
    assert_eq!(called(&mut script, 6, json("zoe")), "zoe", "after ten minutes it is anybody's");
    script.leave(&[1, 2, 3, 4, 5, 6]);
    script.wait_until(1_300_000);
    assert_eq!((script.chat.channels.len(), script.chat.keeping.bytes()), (0, 0), "nothing is left");
}

#[test]
fn nobody_speaks_in_anothers_name_by_a_line_break() {
    let mut script = Script::new();
    script.come(0, plain("alice"));
    script.come(1, json("bob"));
    script.take();
    script.say(0, Kind::Text, "hi\n12:34:56 bob say: I quit\r\n");
    let seen: Vec<String> = script.take().iter().map(|line| event(line)).collect();
    assert_eq!(
        seen,
        [
            "room 0 Text: 01:02:03 alice say: hi ⏎ 12:34:56 bob say: I quit",
            r#"room 0 Text: {"type":"say","seq":1,"from":{"id":"c1","name":"alice"},"text":"hi\n12:34:56 bob say: I quit"}"#,
        ]
    );
    script.say(1, Kind::Text, r#"{"type":"history"}"#);
    assert!(script.take()[0].contains(r"hi\n12:34:56"), "and history keeps it");
}

/// Whatever comes of it, to ask for another name has its price.
#[test]
fn a_packet_of_names_is_no_cheaper_than_what_it_takes() {
    let mut script = Script::new();
    (0..2).for_each(|client| script.come(client, json(&format!("n{client}"))));
    for (name, least) in [("alice", 33), ("n1", 34), ("\u{1f67}\u{1f67}", 64), ("a:b", 32)] {
        let work = script.say_quietly(0, &format!(r#"{{"type":"name","name":"{name}"}}"#));
        assert_eq!(work, least, "{name}");
    }
}

/// Rooms that a stranger fills cost others nothing, whether it stays in them or goes; nor does a room become its
/// own because it was there last.
#[test]
fn who_fills_memory_pays_with_its_own_rooms() {
    let big = "x".repeat(25 << 10);
    for (stays, visits) in [(true, false), (false, false), (false, true), (true, true)] {
        let mut script = Script::new();
        let be_in = |script: &mut Script, client, from: &str, name: String, texts: &[&str], stays: bool| {
            script.join_quietly(client, from, at(ChannelName::Room(name)));
            for text in texts {
                script.say_quietly(client, text);
            }
            if !stays {
                script.chat.leave(script.now, &[ClientId::new(client)], &mut |_| {});
            }
            script.forget_channels();
        };
        let (honest, stranger) = ("10.0.0.1", "10.0.0.2");
        for room in 0..3 {
            be_in(&mut script, 0, honest, format!("honest{room}"), &["x"; 20], false);
            if visits {
                be_in(&mut script, 0, stranger, format!("honest{room}"), &[], false);
            }
        }
        be_in(&mut script, 0, honest, "used".to_owned(), &[&*big; 10], true);
        for room in 1..600 {
            be_in(&mut script, room, stranger, format!("r{room}"), &[&*big; 10], stays);
            assert!(script.chat.keeping.bytes() <= keeping::HISTORIES_BYTES_MAX);
        }
        for (name, messages) in [("honest0", 20), ("honest1", 20), ("honest2", 20), ("used", 10)] {
            let room = script.chat.by_name.get(&ChannelName::Room(name.to_owned()));
            let is_whole =
                room.is_some_and(|room| history(&script.chat, room.index()).behind(0, messages).is_some());
            assert!(is_whole, "{name}; the stranger stays: {stays}, visits: {visits}");
        }
    }
}

/// Who has rooms of both kinds gives those first in which nobody is.
#[test]
fn of_the_rooms_of_one_those_in_use_lose_last() {
    let mut script = Script::new();
    let big = "x".repeat(25 << 10);
    for room in 0..300 {
        script.come_in(room, ChannelName::Room(format!("r{room}")));
        (0..10).for_each(|_| script.say(room, Kind::Text, &big));
        if room >= 100 {
            script.leave(&[room]);
        }
        script.take();
        script.forget_channels();
    }
    let remembers = |room: usize| {
        let room = script.chat.by_name.get(&ChannelName::Room(format!("r{room}")))?;
        history(&script.chat, room.index()).behind(0, 10).map(|_| ())
    };
    assert!((0..100).all(|room| remembers(room).is_some()), "in use");
    assert_eq!((remembers(100), remembers(299)), (None, Some(())), "the oldest go first");
    let rooms = script.chat.channels.iter().filter_map(|(_, channel)| channel.room.as_ref());
    let in_use: usize = rooms.filter(|room| room.kept.is_none()).map(|room| room.history.cost()).sum();
    let kept: usize = script.chat.keeping.bytes() - in_use;
    assert!(kept > 200 * script.chat.keeping.kept_count() * 1000, "the books are right: {kept}");
}

/// A broker of several servers tells of what was said elsewhere, in a room in which nobody is here.
#[test]
fn what_is_said_elsewhere_in_a_room_that_is_kept_is_counted() {
    let mut script = Script::new();
    script.come_in(0, lobby());
    script.say(0, Kind::Text, &"x".repeat(20_000));
    script.leave(&[0]);
    script.forget_channels();
    for seq in 2..200 {
        let committed = Committed { seq: NonZeroU64::new(seq).expect("from one on"), time: script.now.wall };
        let author = Some(Author { id: crate::id::PersonId(99), name: "elsewhere".into() });
        let payload = vec![b'y'; if seq % 7 == 0 { 30_000 } else { 10 }].into();
        let entry = Entry { committed, ticket: None, author, action: Action::SAY, kind: Kind::Text, payload };
        script.run(|chat, now, mut sink| chat.commit(now, ChannelId::new(0), &entry, &mut sink));
        script.forget_channels();
        assert_eq!(script.chat.keeping.kept_count(), 1);
        assert!(script.chat.keeping.bytes() >= history(&script.chat, 0).cost(), "all of it");
    }
    script.wait_until(600_000);
    assert_eq!((script.chat.channels.len(), script.chat.keeping.bytes()), (0, 0), "nothing is left");
}
