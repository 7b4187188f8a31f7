//! Rooms as data: who does what, and what becomes of it.

use super::*;

/// A chat whose effects are written down as text.
struct Script {
    chat: Chat,
    now: Now,
    seen: Vec<String>,
}

fn show(effect: &Effect<'_>) -> String {
    let text = |parts: &[&[u8]]| String::from_utf8_lossy(&parts.concat()).into_owned();
    match effect {
        Effect::Join { room, client } => format!("{} joins {}", client.0, room.0),
        Effect::Leave { room, client } => format!("{} leaves {}", client.0, room.0),
        Effect::Publish { room, except: None, kind, parts, .. } => {
            format!("room {} {kind:?}: {}", room.0, text(parts))
        }
        Effect::Publish { room, except: Some(client), kind, parts, .. } => {
            format!("room {} but {} {kind:?}: {}", room.0, client.0, text(parts))
        }
        Effect::Send { client, kind, parts } => format!("to {} {kind:?}: {}", client.0, text(parts)),
        Effect::Close { client, frame } => {
            format!("close {} {:?}", client.0, frame.code.map(CloseCode::as_u16))
        }
    }
}

impl Script {
    fn new() -> Script {
        let wall = jiff::Timestamp::from_second(3_723).expect("in range");
        let now = Now { time: Time::from_millis(0), wall };
        Script { chat: Chat::new(TimeZone::UTC), now, seen: Vec::new() }
    }

    fn run(&mut self, act: impl FnOnce(&mut Chat, Now, &mut dyn FnMut(Effect<'_>))) {
        let Script { chat, now, seen } = self;
        act(chat, *now, &mut |effect| seen.push(show(&effect)));
        self.check_seats();
    }

    fn enter(&mut self, client: usize, place: Place) {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let purpose = Purpose::Attend { place, name: None, hears_self: true };
        self.run(|chat, now, mut sink| chat.enter(now, ClientId::new(client), address, purpose, &mut sink));
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
        for (client, seat) in self.chat.seats.iter().enumerate() {
            if let Seat::Member { room, index, .. } = seat {
                assert_eq!(self.chat.members(*room)[*index as usize], ClientId::new(client));
                members += 1;
            }
        }
        assert_eq!(self.chat.rooms.iter().map(|(_, room)| room.members().len()).sum::<usize>(), members);
    }
}

fn lobby() -> Place {
    Place::Room("lobby".to_owned())
}

#[test]
fn a_room_of_three() {
    let mut script = Script::new();
    script.enter(0, lobby());
    script.enter(1, lobby());
    script.enter(2, Place::Room("other".to_owned()));
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
    assert_eq!(script.chat.room_count(), 2);
    script.chat.forget_empty_rooms(&mut |_| {});
    assert_eq!((script.chat.room_count(), script.chat.places.len()), (0, 0));
}

#[test]
fn those_who_go_together_hear_nothing_of_each_other() {
    let mut script = Script::new();
    (0..4).for_each(|client| script.enter(client, lobby()));
    script.seen.clear();
    script.leave(&[1, 3]);
    let logout = "room 0 Text: 01:02:03 ('127.0.0.1', 5000) say: 127.0.0.1 Logout";
    script.saw(&["1 leaves 0", "3 leaves 0", logout, logout]);
    assert_eq!(script.chat.members(RoomId(0)).len(), 2);
}

#[test]
fn a_topic_passes_messages_unchanged_and_tells_no_joins() {
    let mut script = Script::new();
    script.enter(0, Place::Topic("lobby".to_owned()));
    script.enter(1, lobby());
    script.seen.clear();
    let address = SocketAddr::from(([127, 0, 0, 1], 5000));
    let purpose = Purpose::Attend { place: Place::Topic("lobby".to_owned()), name: None, hears_self: false };
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
    script.run(|chat, now, mut sink| chat.enter(now, ClientId::new(0), address, Purpose::Echo, &mut sink));
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
    // Back to a hundred, and each is told again.
    script.leave(&[7, 8]);
    script.seen.clear();
    script.leave(&[9]);
    assert_eq!(script.seen.len(), 2, "{:?}", script.seen);
}

#[test]
fn counts_of_a_room_that_is_gone_are_not_told_to_its_successor() {
    let mut script = Script::new();
    (0..=MEMBERS_TOLD_SINGLY_MAX).for_each(|client| script.enter(client, lobby()));
    let everybody: Vec<usize> = (0..=MEMBERS_TOLD_SINGLY_MAX).collect();
    script.leave(&everybody);
    script.chat.forget_empty_rooms(&mut |_| {});
    script.enter(0, Place::Room("next".to_owned()));
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
    script.chat.forget_empty_rooms(&mut |_| {});
    assert_eq!(script.chat.members(RoomId(0)), [ClientId::new(1)]);
}
