//! Rooms as data: who does what, and what becomes of it.

mod attacks;
mod members;

use super::*;
use crate::websocket::CloseCode;

/// A chat whose effects are written down as text.
struct Script {
    chat: Chat,
    now: Now,
    seen: Vec<String>,
}

const LIMITS: ChannelLimits = ChannelLimits {
    history_messages_max: 100,
    outbox_bytes_max: 1 << 20,
    message_bytes_max: 65_536,
    rate: None,
};
const LIMITS_TOLD: &str = concat!(
    r#""limits":{"message":65536,"unacknowledged":500,"rate":null,"history":100},"#,
    r#""rights":["read","say","presence","history"],"server":""#,
    env!("CARGO_PKG_VERSION"),
    r#"""#
);

/// As text, but for what is only counted.
fn show(effect: &Effect<'_>) -> Option<String> {
    let text = |parts: &[&[u8]]| String::from_utf8_lossy(&parts.concat()).into_owned();
    Some(match effect {
        Effect::Join { room, client, .. } => format!("{} joins {}", client.index(), room.index()),
        Effect::Leave { room, client, .. } => format!("{} leaves {}", client.index(), room.index()),
        Effect::Publish { room, except: None, kind, parts, .. } => {
            format!("room {} {kind:?}: {}", room.index(), text(parts))
        }
        Effect::Publish { room, except: Some(client), kind, parts, .. } => {
            format!("room {} but {} {kind:?}: {}", room.index(), client.index(), text(parts))
        }
        Effect::Send { client, kind, parts } => format!("to {} {kind:?}: {}", client.index(), text(parts)),
        Effect::Close { client, frame } => {
            format!("close {} {:?}", client.index(), frame.code.map(CloseCode::as_u16))
        }
        Effect::NamesCompared { .. } => return None,
    })
}

impl Script {
    fn new() -> Script {
        let wall = jiff::Timestamp::from_second(3_723).expect("in range");
        let now = Now { time: Time::from_millis(0), wall };
        Script { chat: Chat::new(TimeZone::UTC, LIMITS, 1), now, seen: Vec::new() }
    }

    /// The epoch of the room in the first slot, as clients write it.
    fn epoch(&self) -> String {
        format!("{:016x}", self.chat.rooms[0].epoch)
    }

    /// Enters from another address.
    fn enter_from(&mut self, client: usize, address: &str, subscription: Subscription) {
        let address = SocketAddr::new(address.parse().expect("an address"), 5000);
        let purpose = Endpoint::Channel(subscription);
        self.run(|chat, now, mut sink| chat.enter(now, ClientId::new(client), address, purpose, &mut sink));
    }

    fn forget_rooms(&mut self) {
        self.chat.forget_rooms(self.now, &mut |_| {});
    }

    /// The time is so many milliseconds after the start, and what is due is told.
    fn wait_until(&mut self, milliseconds: u64) {
        self.now.time = Time::from_millis(milliseconds);
        self.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
        self.forget_rooms();
    }

    fn run(&mut self, act: impl FnOnce(&mut Chat, Now, &mut dyn FnMut(Effect<'_>))) {
        let Script { chat, now, seen } = self;
        act(chat, *now, &mut |effect| seen.extend(show(&effect)));
        self.check_seats();
    }

    fn enter(&mut self, client: usize, channel: ChannelName) {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let purpose = Endpoint::Channel(at(channel));
        self.run(|chat, now, mut sink| chat.enter(now, ClientId::new(client), address, purpose, &mut sink));
    }

    /// Enters the lobby with the JSON form, or a name or a key of its own.
    fn attend(&mut self, client: usize, subscription: Subscription) {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let purpose = Endpoint::Channel(subscription);
        self.run(|chat, now, mut sink| chat.enter(now, ClientId::new(client), address, purpose, &mut sink));
    }

    /// What was seen, without the constant ends of JSON, and forgets it.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    fn say(&mut self, client: usize, kind: Kind, text: &str) {
        self.run(|chat, now, mut sink| {
            chat.handle_message(now, ClientId::new(client), kind, text.as_bytes(), &mut sink);
        });
    }

    fn leave(&mut self, clients: &[usize]) {
        let clients: Vec<ClientId> = clients.iter().map(|&client| ClientId::new(client)).collect();
        self.run(|chat, now, mut sink| chat.leave(now, &clients, &mut sink));
    }

    fn saw(&mut self, wanted: &[&str]) {
        assert_eq!(self.seen, wanted);
        self.seen.clear();
    }

    /// Seats and members say the same.
    fn check_seats(&self) {
        let mut members = 0;
        for (client, seat) in self.chat.memberships.iter().enumerate() {
            if let Membership::Member { room, form, index, .. } = seat {
                assert_eq!(self.chat.members(*room, *form)[*index as usize], ClientId::new(client));
                members += 1;
            }
        }
        assert_eq!(self.chat.rooms.iter().map(|(_, room)| room.member_count()).sum::<usize>(), members);
    }
}

fn at(channel: ChannelName) -> Subscription {
    Subscription { channel, form: Form::Plain, hears_self: true, name: None, key: None, since: None }
}

fn json(name: &str) -> Subscription {
    Subscription { form: Form::Json, name: Some(name.to_owned()), ..at(lobby()) }
}

fn plain(name: &str) -> Subscription {
    Subscription { name: Some(name.to_owned()), ..at(lobby()) }
}

fn lobby() -> ChannelName {
    ChannelName::Room("lobby".to_owned())
}

#[test]
fn a_room_of_three() {
    let mut script = Script::new();
    script.enter(0, lobby());
    script.enter(1, lobby());
    script.enter(2, ChannelName::Room("other".to_owned()));
    script.saw(&[
        "0 joins 0",
        "room 0 Text: Welcome 127.0.0.1 !",
        "1 joins 0",
        "room 0 Text: Welcome 127.0.0.1 !",
        "2 joins 1",
        "room 1 Text: Welcome 127.0.0.1 !",
    ]);
    script.say(1, Kind::Text, "hi");
    script.say(1, Kind::Text, "");
    script.say(1, Kind::Binary, "");
    script.say(1, Kind::Text, "quit ");
    script.say(1, Kind::Binary, "quit");
    script.saw(&[
        "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: hi",
        "room 0 Binary: ",
        "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: quit ",
        "room 0 Binary: quit",
    ]);
    script.say(0, Kind::Text, "quit");
    script.saw(&[
        "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: 127.0.0.1 Logout",
        "0 leaves 0",
        "close 0 Some(1000)",
    ]);
    script.say(0, Kind::Text, "still here?");
    script.leave(&[0]);
    script.saw(&[]);
    script.leave(&[1, 2]);
    script.saw(&["1 leaves 0", "2 leaves 1"]);
    assert_eq!(script.chat.room_count(), 0);
    script.chat.forget_rooms(script.now, &mut |_| {});
    // What was said in the first is kept for a while.
    assert_eq!((script.chat.by_name.len(), script.chat.deadline()), (1, Time::from_millis(600_000)));
    script.now.time = Time::from_millis(600_000);
    script.chat.forget_rooms(script.now, &mut |_| {});
    assert_eq!((script.chat.by_name.len(), script.chat.keeping.bytes()), (0, 0));
    assert_eq!(script.chat.deadline(), Time::NEVER);
}

#[test]
fn those_who_go_together_hear_nothing_of_each_other() {
    let mut script = Script::new();
    (0..4).for_each(|client| script.enter(client, lobby()));
    script.seen.clear();
    script.leave(&[1, 3]);
    let logout = "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: 127.0.0.1 Logout";
    script.saw(&["1 leaves 0", "3 leaves 0", logout, logout]);
    assert_eq!(script.chat.members(ChannelId::new(0), Form::Plain).len(), 2);
}

#[test]
fn a_topic_passes_messages_unchanged_and_tells_no_joins() {
    let mut script = Script::new();
    script.enter(0, ChannelName::Topic("lobby".to_owned()));
    script.enter(1, lobby());
    script.seen.clear();
    let address = SocketAddr::from(([127, 0, 0, 1], 5000));
    let purpose =
        Endpoint::Channel(Subscription { hears_self: false, ..at(ChannelName::Topic("lobby".to_owned())) });
    script.run(|chat, now, mut sink| chat.enter(now, ClientId::new(2), address, purpose, &mut sink));
    script.say(2, Kind::Text, "");
    script.say(0, Kind::Text, "quit");
    script.say(0, Kind::Binary, "x");
    script.leave(&[2]);
    script.saw(&["2 joins 0", "room 0 but 2 Text: ", "room 0 Text: quit", "room 0 Binary: x", "2 leaves 0"]);
}

#[test]
fn echo_answers_the_sender_alone() {
    let mut script = Script::new();
    let address = SocketAddr::from(([127, 0, 0, 1], 5000));
    script.run(|chat, now, mut sink| chat.enter(now, ClientId::new(0), address, Endpoint::Echo, &mut sink));
    script.say(0, Kind::Text, "quit");
    script.say(0, Kind::Binary, "");
    script.leave(&[0]);
    script.say(0, Kind::Text, "after the end");
    script.saw(&["to 0 Text: quit", "to 0 Binary: "]);
}

#[test]
fn a_large_room_tells_counts_once_a_second() {
    let mut script = Script::new();
    (0..=MEMBERS_TOLD_SINGLY_MAX + 2).for_each(|client| script.enter(client, lobby()));
    let told = script.seen.iter().filter(|line| line.starts_with("room 0 Text: Welcome")).count();
    assert_eq!(told, MEMBERS_TOLD_SINGLY_MAX);
    assert!(script.seen.contains(&"to 102 Text: Welcome 127.0.0.1 !".to_owned()));
    script.seen.clear();
    script.leave(&[5]);
    script.say(6, Kind::Text, "quit");
    script.saw(&[
        "5 leaves 0",
        "to 6 Text: 01:02:03 ('127.0.0.1', 5000) say: 127.0.0.1 Logout",
        "6 leaves 0",
        "close 6 Some(1000)",
    ]);
    assert_eq!(script.chat.deadline(), Time::from_millis(1000));
    script.now.time = Time::from_millis(999);
    script.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
    script.saw(&[]);
    script.now.time = Time::from_millis(1000);
    script.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
    script.saw(&["room 0 Text: 01:02:03 3 joined, 2 left, 101 here"]);
    assert_eq!(script.chat.deadline(), Time::NEVER);
    // At a hundred it is told once more as a count, and from then on each.
    script.leave(&[7, 8]);
    script.seen.clear();
    script.wait_until(2000);
    script.saw(&["room 0 Text: 01:02:03 0 joined, 2 left, 99 here"]);
    script.leave(&[9]);
    assert_eq!(script.seen.len(), 2, "{:?}", script.seen);
}

#[test]
fn counts_of_a_room_that_is_gone_are_not_told_to_its_successor() {
    let mut script = Script::new();
    (0..=MEMBERS_TOLD_SINGLY_MAX).for_each(|client| script.enter(client, lobby()));
    let everybody: Vec<usize> = (0..=MEMBERS_TOLD_SINGLY_MAX).collect();
    script.leave(&everybody);
    script.chat.forget_rooms(script.now, &mut |_| {});
    script.enter(0, ChannelName::Room("next".to_owned()));
    script.seen.clear();
    script.now.time = Time::from_millis(5000);
    script.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
    script.saw(&[]);
}

#[test]
fn an_emptied_room_that_fills_again_in_the_same_turn_stays() {
    let mut script = Script::new();
    script.enter(0, lobby());
    script.leave(&[0]);
    script.enter(1, lobby());
    script.chat.forget_rooms(script.now, &mut |_| {});
    assert_eq!(script.chat.members(ChannelId::new(0), Form::Plain), [ClientId::new(1)]);
}

/// The part of an event that a test is about.
fn event(text: &str) -> String {
    text.replace(r#""time":"1970-01-01T01:02:03.000Z","#, "")
}

#[test]
fn lines_and_json_share_a_room_and_each_is_written_once_a_form() {
    let mut script = Script::new();
    script.attend(0, plain("alice"));
    script.attend(1, json("bob"));
    let welcome = format!(
        r#"to 1 Text: {{"type":"welcome","room":"lobby","you":{{"id":"c2","name":"bob"}},"epoch":"{}","seq":0,"count":2,"members":[{{"id":"c1","name":"alice"}},{{"id":"c2","name":"bob"}}],{LIMITS_TOLD}}}"#,
        script.epoch()
    );
    script.saw(&[
        "0 joins 0",
        "room 0 Text: Welcome alice !",
        "1 joins 0",
        "room 0 Text: Welcome bob !",
        &welcome,
    ]);
    script.attend(2, json("bob"));
    let seen = script.take();
    assert_eq!(
        seen[0], r#"room 0 Text: {"type":"join","id":"c3","name":"bob-2","count":3}"#,
        "told to those before"
    );
    assert_eq!(seen[1..3], ["2 joins 0", "room 0 Text: Welcome bob-2 !"]);
    script.say(0, Kind::Text, "hi");
    script.say(1, Kind::Text, r#"{"type":"say","text":"h\"o","ref":"r1"}"#);
    script.say(1, Kind::Binary, "xyz");
    let seen: Vec<String> = script.take().iter().map(|line| event(line)).collect();
    assert_eq!(
        seen,
        [
            "room 0 Text: 01:02:03 alice say: hi",
            r#"room 0 Text: {"type":"say","seq":1,"from":{"id":"c1","name":"alice"},"text":"hi"}"#,
            "room 0 Text: 01:02:03 bob say: h\"o",
            r#"room 0 Text: {"type":"say","seq":2,"from":{"id":"c2","name":"bob"},"text":"h\"o"}"#,
            r#"to 1 Text: {"type":"ack","ref":"r1","seq":2}"#,
            "room 0 Binary: xyz",
            r#"room 0 Text: {"type":"data","seq":3,"from":{"id":"c2","name":"bob"},"base64":"eHl6"}"#,
        ]
    );
    script.say(0, Kind::Text, "quit");
    script.leave(&[2]);
    script.saw(&[
        "room 0 Text: 01:02:03 alice say: alice Logout",
        "0 leaves 0",
        r#"room 0 Text: {"type":"leave","id":"c1","name":"alice","count":2}"#,
        "close 0 Some(1000)",
        "2 leaves 0",
        r#"room 0 Text: {"type":"leave","id":"c3","name":"bob-2","count":1}"#,
    ]);
    // `quit` is a word like any other in JSON.
    script.say(1, Kind::Text, r#"{"type":"say","text":"quit"}"#);
    assert_eq!(script.take().len(), 1);
}

#[test]
fn requests_and_what_is_wrong_with_them() {
    let mut script = Script::new();
    script.attend(0, json("bob"));
    script.take();
    for (request, wanted) in [
        (r#"{"type":"ping","ref":"p"}"#, r#"{"type":"pong","ref":"p"}"#),
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
        ("hello", r#"{"type":"error","code":"bad_json","#),
        (r#"{"type":"shout"}"#, r#"{"type":"error","code":"unknown_type","#),
        (r#"{}"#, r#"{"type":"error","code":"unknown_type","#),
        (r#"{"type":"say","ref":"7"}"#, r#"{"type":"error","code":"no_text","text":"`say` wants"#),
        (r#"{"type":"say","text":""}"#, r#"{"type":"error","code":"no_text","#),
        (r#"{"type":"say","text":"x","ref":""}"#, r#"{"type":"error","code":"bad_ref","#),
        (r#"{"type":"name","name":"a\u202eb"}"#, r#"{"type":"error","code":"bad_name","#),
        (r#"{"type":"name"}"#, r#"{"type":"error","code":"bad_name","#),
        (r#"{"type":"history"}"#, r#"{"type":"history","before":1,"messages":[],"more":false}"#),
    ] {
        script.say(0, Kind::Text, request);
        let seen = script.take();
        assert_eq!(seen.len(), 1, "{request}: {seen:?}");
        assert!(seen[0].starts_with(&format!("to 0 Text: {wanted}")), "{request}: {seen:?}");
    }
    let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(65));
    script.say(0, Kind::Text, &long);
    assert!(script.take()[0].contains("bad_ref"));
}

#[test]
fn who_comes_back_gets_what_was_missed_or_is_told_that_it_is_gone() {
    let mut script = Script::new();
    script.attend(0, json("bob"));
    let epoch = script.epoch();
    (1..=150).for_each(|number| script.say(0, Kind::Text, &format!(r#"{{"type":"say","text":"{number}"}}"#)));
    script.leave(&[0]);
    script.chat.forget_rooms(script.now, &mut |_| {});
    for (since, epoch, recovered, missed) in [
        (150, &epoch, true, 0),
        (148, &epoch, true, 2),
        (50, &epoch, true, 100),
        (49, &epoch, false, 0),
        (151, &epoch, false, 0),
        (150, &"0000000000000000".to_owned(), false, 0),
    ] {
        script.take();
        script.attend(1, Subscription { since: Some((since, epoch.clone())), ..json("bob") });
        let seen = script.take();
        assert!(seen[1].contains(r#""seq":150,"count":1,"members":"#), "{seen:?}");
        assert!(
            seen[1].ends_with(&format!(r#""recovered":{recovered},{LIMITS_TOLD}}}"#)),
            "{since}: {seen:?}"
        );
        assert_eq!(seen.len() - 2, missed, "{since}");
        for (seq, line) in (since + 1..).zip(&seen[2..]) {
            assert!(
                line.contains(&format!(r#""seq":{seq},"#)) && line.contains(&format!(r#""text":"{seq}""#)),
                "{line}"
            );
        }
        script.leave(&[1]);
    }
}

#[test]
fn a_person_with_a_key_has_several_connections_and_says_nothing_twice() {
    let mut script = Script::new();
    let keyed = || Subscription { key: Some("k".repeat(32)), ..json("bob") };
    script.attend(0, plain("alice"));
    script.attend(1, keyed());
    script.take();
    script.attend(2, keyed());
    let seen = script.take();
    assert_eq!(seen.len(), 2, "nobody is told: {seen:?}");
    assert!(
        seen[1].contains(r#""you":{"id":"c2","name":"bob"}"#) && seen[1].contains(r#""count":2"#),
        "{seen:?}"
    );
    let say = r#"{"type":"say","text":"once","ref":"r"}"#;
    script.say(1, Kind::Text, say);
    assert_eq!(script.take().len(), 3);
    script.say(2, Kind::Text, say);
    script.saw(&[r#"to 2 Text: {"type":"ack","ref":"r","seq":1}"#]);
    script.leave(&[1]);
    script.saw(&["1 leaves 0"]);
    script.leave(&[2]);
    assert_eq!(script.take().len(), 2, "now it has left");
    // And comes back on the old key: the same person, and still nothing twice.
    script.attend(3, keyed());
    assert!(script.take().iter().any(|line| line.contains(r#""you":{"id":"c2","name":"bob"}"#)));
    script.say(3, Kind::Text, say);
    script.saw(&[r#"to 3 Text: {"type":"ack","ref":"r","seq":1}"#]);
}

#[test]
fn somebody_is_called_something_else_everywhere() {
    let mut script = Script::new();
    script.attend(0, plain("alice"));
    script.attend(1, json("bob"));
    script.take();
    script.say(1, Kind::Text, r#"{"type":"name","name":"Alice"}"#);
    script.saw(&[r#"room 0 Text: {"type":"name","id":"c2","name":"Alice-2","was":"bob"}"#]);
    script.say(1, Kind::Text, r#"{"type":"name","name":"Alice-2"}"#);
    script.saw(&[r#"to 1 Text: {"type":"name","id":"c2","name":"Alice-2","was":"Alice-2"}"#]);
    script.say(1, Kind::Text, r#"{"type":"say","text":"hi"}"#);
    assert_eq!(script.take()[0], "room 0 Text: 01:02:03 Alice-2 say: hi");
    script.attend(2, plain("bob"));
    assert_eq!(script.take()[2], "room 0 Text: Welcome bob !", "the old name is free");
    // On all connections of a person, and on nobody else's.
    let keyed = || Subscription { key: Some("k".repeat(32)), ..json("cy") };
    (3..5).for_each(|client| script.attend(client, keyed()));
    script.take();
    script.say(4, Kind::Text, r#"{"type":"name","name":"dee"}"#);
    script.take();
    for (client, name) in [(3, "dee"), (4, "dee"), (1, "Alice-2")] {
        script.say(client, Kind::Text, r#"{"type":"say","text":"hi"}"#);
        assert_eq!(script.take()[0], format!("room 0 Text: 01:02:03 {name} say: hi"));
    }
}

#[test]
fn gaps_are_told_in_the_form_of_who_missed_them() {
    let mut script = Script::new();
    script.attend(0, plain("alice"));
    script.attend(1, json("bob"));
    script.enter(2, ChannelName::Topic("t".to_owned()));
    let mut told = |client, numbers| {
        let text = script.chat.skipped(script.now, ClientId::new(client), 5, numbers);
        text.map(|text| String::from_utf8(text).expect("text"))
    };
    let members = r#""members":[{"id":"c1","name":"alice"},{"id":"c2","name":"bob"}]"#;
    assert_eq!(
        told(1, Some((3, 7))),
        Some(format!(r#"{{"type":"gap","first":3,"last":7,"count":2,{members}}}"#))
    );
    assert_eq!(
        told(1, None),
        Some(format!(r#"{{"type":"presence","count":2,"joined":0,"left":0,{members}}}"#))
    );
    let line = "01:02:03 5 messages were skipped, since you read too slowly";
    assert_eq!(told(0, None).as_deref(), Some(line));
    assert_eq!(told(2, None), None);
}
