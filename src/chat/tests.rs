//! Rooms as data: who does what, and what becomes of it.

mod attacks;
mod members;
mod people;

use std::net::SocketAddr;
use std::num::NonZeroU64;

use jiff::tz::TimeZone;

use super::channel::ChannelState;
use super::*;
use crate::broker::{Broker as _, MemoryBroker, Outcome};
use crate::forms::{Forms, Rendered};
use crate::websocket::{CloseCode, Kind};

const TEXT: FormId = FormId(0);
const JSON: FormId = FormId(1);

/// A chat whose effects are written down as text.
struct Script {
    chat: Chat,
    forms: Rc<Forms>,
    broker: MemoryBroker,
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
fn show(forms: &Forms, effect: &Effect<'_>) -> Vec<String> {
    let mut scratch = Vec::new();
    let text = |rendered: Rendered<'_>| {
        format!("{:?}: {}", rendered.kind, String::from_utf8_lossy(rendered.payload))
    };
    match effect {
        Effect::Join { channel, client, .. } => vec![format!("{} joins {}", client.index(), channel.index())],
        Effect::Leave { channel, client, .. } => {
            vec![format!("{} leaves {}", client.index(), channel.index())]
        }
        Effect::Tell { channel, audience, except, event, .. } => {
            let to = |form: FormId| match except {
                Some((of, client)) if *of == form => {
                    format!("room {} but {}", channel.index(), client.index())
                }
                _ => format!("room {}", channel.index()),
            };
            let told = audience.by_form().filter_map(|(form, _)| {
                scratch.clear();
                Some(format!("{} {}", to(form), text(forms.form(form).render(event, &mut scratch)?)))
            });
            told.collect()
        }
        Effect::Replace { channel, number, .. } => vec![format!("room {} {number} anew", channel.index())],
        Effect::Send { client, form, reply, droppable } => {
            assert!(!droppable, "it waits for this");
            let rendered = forms.form(*form).render_reply(reply, &mut scratch);
            rendered.map(|rendered| format!("to {} {}", client.index(), text(rendered))).into_iter().collect()
        }
        Effect::Return { client, kind, payload } => {
            vec![format!("to {} {}", client.index(), text(Rendered { kind: *kind, payload }))]
        }
        Effect::Close { client, frame } => {
            vec![format!("close {} {:?}", client.index(), frame.code.map(CloseCode::as_u16))]
        }
        Effect::Resume { client } => vec![format!("resume {}", client.index())],
        Effect::Worked(_) => Vec::new(),
    }
}

impl Script {
    fn new() -> Script {
        let wall = jiff::Timestamp::from_second(3_723).expect("in range");
        let now = Now { time: Time::from_millis(0), wall };
        let forms = Rc::new(Forms::standard(TimeZone::UTC));
        let chat = Chat::new(Rc::clone(&forms) as Rc<dyn FormSet>, LIMITS, 1);
        Script { chat, forms, broker: MemoryBroker::new(1), now, seen: Vec::new() }
    }

    /// The epoch of the room in the first slot, as clients write it.
    fn epoch(&self) -> String {
        match &self.chat.channels[0].state {
            ChannelState::Open { epoch, .. } => epoch.to_string(),
            ChannelState::Opening => panic!("the broker in memory answers at once"),
        }
    }

    /// Comes in from another address.
    fn enter_from(&mut self, client: usize, address: &str, subscription: Subscription) {
        let address = SocketAddr::new(address.parse().expect("an address"), 5000);
        self.join(client, address, subscription);
    }

    fn join(&mut self, client: usize, address: SocketAddr, subscription: Subscription) {
        self.open(&subscription.channel);
        self.run(|chat, now, mut sink| {
            chat.join(now, ClientId::new(client), address, subscription, &mut sink);
        });
    }

    /// Comes in without a look at all channels, and at what is told: for tests with very many steps.
    fn join_quietly(&mut self, client: usize, address: &str, subscription: Subscription) {
        let address = SocketAddr::new(address.parse().expect("an address"), 5000);
        self.open(&subscription.channel);
        self.chat.join(self.now, ClientId::new(client), address, subscription, &mut |_| {});
    }

    /// Says something in the same way; returns the work that shows in no message, in names.
    fn say_quietly(&mut self, client: usize, text: &str) -> usize {
        let (id, mut names) = (ClientId::new(client), 0);
        let sink = &mut |effect: Effect<'_>| {
            if let Effect::Worked(Chore::NamesCompared(count)) = effect {
                names += count;
            }
        };
        if let Some(append) = self.chat.handle_message(self.now, id, Kind::Text, text.as_bytes(), sink) {
            let Outcome::Now(committed) = self.broker.append(self.now, &append) else { panic!("at once") };
            self.chat.commit_at_once(self.now, id, &append, committed, sink);
        }
        names
    }

    fn open(&mut self, name: &ChannelName) {
        if let Hearing::Ask(channel) = self.chat.open(name) {
            let Outcome::Now(opened) = self.broker.open(self.now, channel, name) else { panic!("at once") };
            self.chat.opened(channel, opened);
        }
    }

    fn forget_channels(&mut self) {
        self.chat.forget_channels(self.now, &mut |_| {});
    }

    /// The time is so many milliseconds after the start, and what is due is told.
    fn wait_until(&mut self, milliseconds: u64) {
        self.now.time = Time::from_millis(milliseconds);
        self.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
        self.forget_channels();
    }

    fn run(&mut self, act: impl FnOnce(&mut Chat, Now, &mut dyn FnMut(Effect<'_>))) {
        let Script { chat, forms, now, seen, .. } = self;
        act(chat, *now, &mut |effect| seen.extend(show(forms, &effect)));
        self.check_memberships();
    }

    fn come_in(&mut self, client: usize, channel: ChannelName) {
        self.come(client, at(channel));
    }

    /// Enters with the JSON form, or a name or a key of its own.
    fn come(&mut self, client: usize, subscription: Subscription) {
        self.join(client, SocketAddr::from(([127, 0, 0, 1], 5000)), subscription);
    }

    /// What was seen, without the constant ends of JSON, and forgets it.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    fn say(&mut self, client: usize, kind: Kind, text: &str) {
        let id = ClientId::new(client);
        let Script { chat, forms, broker, now, seen } = self;
        let sink = &mut |effect: Effect<'_>| seen.extend(show(forms, &effect));
        if let Some(append) = chat.handle_message(*now, id, kind, text.as_bytes(), sink) {
            let Outcome::Now(committed) = broker.append(*now, &append) else { panic!("at once") };
            chat.commit_at_once(*now, id, &append, committed, sink);
        }
        self.check_memberships();
    }

    fn leave(&mut self, clients: &[usize]) {
        let clients: Vec<ClientId> = clients.iter().map(|&client| ClientId::new(client)).collect();
        self.run(|chat, now, mut sink| chat.leave(now, &clients, &mut sink));
    }

    fn saw(&mut self, wanted: &[&str]) {
        assert_eq!(self.seen, wanted);
        self.seen.clear();
    }

    /// Memberships and members say the same.
    fn check_memberships(&self) {
        let mut members = 0;
        for (client, membership) in self.chat.memberships.iter().enumerate() {
            if let Membership::Member { channel, form, index, .. } = membership {
                assert_eq!(self.chat.members(*channel, *form)[*index as usize], ClientId::new(client));
                members += 1;
            }
        }
        assert_eq!(
            self.chat.channels.iter().map(|(_, channel)| channel.client_count()).sum::<usize>(),
            members
        );
    }
}

fn at(channel: ChannelName) -> Subscription {
    Subscription { channel, form: TEXT, hears_self: true, name: None, key: None, since: None }
}

fn json(name: &str) -> Subscription {
    Subscription { form: JSON, name: Some(name.to_owned()), ..at(lobby()) }
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
    script.come_in(0, lobby());
    script.come_in(1, lobby());
    script.come_in(2, ChannelName::Room("other".to_owned()));
    script.saw(&[
        "0 joins 0",
        "to 0 Text: Welcome 127.0.0.1 !",
        "room 0 Text: Welcome 127.0.0.1 !",
        "1 joins 0",
        "to 1 Text: Welcome 127.0.0.1 !",
        "2 joins 1",
        "to 2 Text: Welcome 127.0.0.1 !",
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
    assert_eq!(script.chat.channel_count(), 0);
    script.chat.forget_channels(script.now, &mut |_| {});
    // What was said in the first is kept for a while.
    assert_eq!((script.chat.by_name.len(), script.chat.deadline()), (1, Time::from_millis(600_000)));
    script.now.time = Time::from_millis(600_000);
    script.chat.forget_channels(script.now, &mut |_| {});
    assert_eq!((script.chat.by_name.len(), script.chat.keeping.bytes()), (0, 0));
    assert_eq!(script.chat.deadline(), Time::NEVER);
}

#[test]
fn those_who_go_together_hear_nothing_of_each_other() {
    let mut script = Script::new();
    (0..4).for_each(|client| script.come_in(client, lobby()));
    script.seen.clear();
    script.leave(&[1, 3]);
    let logout = "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: 127.0.0.1 Logout";
    script.saw(&["1 leaves 0", "3 leaves 0", logout, logout]);
    assert_eq!(script.chat.members(ChannelId::new(0), TEXT).len(), 2);
}

#[test]
fn a_topic_passes_messages_unchanged_and_tells_no_joins() {
    let mut script = Script::new();
    script.come_in(0, ChannelName::Topic("lobby".to_owned()));
    script.come_in(1, lobby());
    script.seen.clear();
    script.come(2, Subscription { hears_self: false, ..at(ChannelName::Topic("lobby".to_owned())) });
    script.say(2, Kind::Text, "");
    script.say(0, Kind::Text, "quit");
    script.say(0, Kind::Binary, "x");
    script.leave(&[2]);
    script.saw(&["2 joins 0", "room 0 but 2 Text: ", "room 0 Text: quit", "room 0 Binary: x", "2 leaves 0"]);
}

#[test]
fn echo_answers_the_sender_alone() {
    let mut script = Script::new();
    script.chat.echo(ClientId::new(0));
    script.say(0, Kind::Text, "quit");
    script.say(0, Kind::Binary, "");
    script.leave(&[0]);
    script.say(0, Kind::Text, "after the end");
    script.saw(&["to 0 Text: quit", "to 0 Binary: "]);
}

#[test]
fn a_large_room_tells_counts_once_a_second() {
    let mut script = Script::new();
    (0..=MEMBERS_TOLD_SINGLY_MAX + 2).for_each(|client| script.come_in(client, lobby()));
    let told = script.seen.iter().filter(|line| line.starts_with("room 0 Text: Welcome")).count();
    assert_eq!(told, MEMBERS_TOLD_SINGLY_MAX - 1, "to each who was here before");
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
    (0..=MEMBERS_TOLD_SINGLY_MAX).for_each(|client| script.come_in(client, lobby()));
    let everybody: Vec<usize> = (0..=MEMBERS_TOLD_SINGLY_MAX).collect();
    script.leave(&everybody);
    script.chat.forget_channels(script.now, &mut |_| {});
    script.come_in(0, ChannelName::Room("next".to_owned()));
    script.seen.clear();
    script.now.time = Time::from_millis(5000);
    script.run(|chat, now, mut sink| chat.handle_timeout(now, &mut sink));
    script.saw(&[]);
}

#[test]
fn an_emptied_room_that_fills_again_in_the_same_turn_stays() {
    let mut script = Script::new();
    script.come_in(0, lobby());
    script.leave(&[0]);
    script.come_in(1, lobby());
    script.chat.forget_channels(script.now, &mut |_| {});
    assert_eq!(script.chat.members(ChannelId::new(0), TEXT), [ClientId::new(1)]);
}

/// The part of an event that a test is about.
fn event(text: &str) -> String {
    text.replace(r#""time":"1970-01-01T01:02:03.000Z","#, "")
}

#[test]
fn lines_and_json_share_a_room_and_each_is_written_once_a_form() {
    let mut script = Script::new();
    script.come(0, plain("alice"));
    script.come(1, json("bob"));
    let welcome = format!(
        r#"to 1 Text: {{"type":"welcome","room":"lobby","you":{{"id":"c2","name":"bob"}},"epoch":"{}","seq":0,"count":2,"members":[{{"id":"c1","name":"alice"}},{{"id":"c2","name":"bob"}}],{LIMITS_TOLD}}}"#,
        script.epoch()
    );
    script.saw(&[
        "0 joins 0",
        "to 0 Text: Welcome alice !",
        "room 0 Text: Welcome bob !",
        "1 joins 0",
        &welcome,
    ]);
    script.come(2, json("bob"));
    let seen = script.take();
    let told = [
        "room 0 Text: Welcome bob-2 !",
        r#"room 0 Text: {"type":"join","id":"c3","name":"bob-2","count":3}"#,
        "2 joins 0",
    ];
    assert_eq!(seen[..3], told, "to those before");
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
        r#"room 0 Text: {"type":"leave","id":"c1","name":"alice","count":2}"#,
        "0 leaves 0",
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
    script.come(0, json("bob"));
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
    script.come(0, json("bob"));
    let epoch = script.epoch();
    (1..=150).for_each(|number| script.say(0, Kind::Text, &format!(r#"{{"type":"say","text":"{number}"}}"#)));
    script.leave(&[0]);
    script.chat.forget_channels(script.now, &mut |_| {});
    for (since, epoch, recovered, missed) in [
        (150, &epoch, true, 0),
        (148, &epoch, true, 2),
        (50, &epoch, true, 100),
        (49, &epoch, false, 0),
        (151, &epoch, false, 0),
        (150, &"0000000000000000".to_owned(), false, 0),
    ] {
        script.take();
        script.come(1, Subscription { since: Some((since, epoch.clone())), ..json("bob") });
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
