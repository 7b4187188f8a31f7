//! Large rooms: lists of members, and many renames.

use super::*;

/// A client's list of members, kept as the contract says.
#[derive(Default)]
struct List {
    names: HashMap<String, String>,
    count: usize,
}

impl List {
    fn hear(&mut self, line: &str) {
        let Some((_, json)) = line.split_once("Text: {") else { return };
        let event: serde_json::Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        if let Some(members) = event["members"].as_array() {
            let member = |member: &serde_json::Value| {
                (
                    member["id"].as_str().expect("a text").to_owned(),
                    member["name"].as_str().expect("a text").to_owned(),
                )
            };
            self.names = members.iter().map(member).collect();
        }
        match event["type"].as_str().expect("a type") {
            "join" => drop(self.names.insert(text("id"), text("name"))),
            "leave" => assert!(self.names.remove(&text("id")).is_some(), "never introduced: {event}"),
            "name" => {
                let before = self.names.insert(text("id"), text("name"));
                assert_eq!(before, Some(text("was")), "never introduced: {event}");
            }
            _ => {}
        }
        if let Some(count) = event["count"].as_u64() {
            self.count = usize::try_from(count).expect("small");
        }
    }
}

#[test]
fn a_list_of_members_is_right_again_when_a_room_is_small_again() {
    let mut script = Script::new();
    script.come(0, json("watcher"));
    let mut list = List::default();
    let hear = |script: &mut Script, list: &mut List| {
        let told: Vec<String> = script.take();
        // To the room, or to the watcher alone.
        told.iter()
            .filter(|line| line.starts_with("room 0") || line.starts_with("to 0"))
            .for_each(|line| list.hear(line));
    };
    (1..=105).for_each(|client| script.come(client, json(&format!("n{client}"))));
    hear(&mut script, &mut list);
    assert_eq!((list.names.len(), list.count), (100, 100));
    script.say(5, Kind::Text, r#"{"type":"name","name":"other"}"#);
    script.say(104, Kind::Text, r#"{"type":"name","name":"another"}"#);
    let told = script.take();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line.starts_with("to ")), "who renames itself alone: {told:?}");
    script.wait_until(1000);
    assert!(
        script.seen[0].ends_with(r#"{"type":"presence","count":106,"joined":6,"left":0,"renamed":2}"#),
        "{:?}",
        script.seen
    );
    hear(&mut script, &mut list);
    script.come(200, json("late"));
    let welcome = script.take().into_iter().find(|line| line.contains("welcome")).expect("a welcome");
    assert!(welcome.contains(r#""count":107,"#) && welcome.contains(r#""more":true"#), "{welcome}");
    assert_eq!(welcome.matches(r#""id":"#).count(), 101, "itself, and the first hundred");
    script.leave(&(1..20).collect::<Vec<_>>());
    assert!(!script.take().iter().any(|line| line.contains("Text")), "still counted");
    script.wait_until(2000);
    hear(&mut script, &mut list);
    let here: usize = script.chat.channels[0].room.as_ref().expect("a room").person_count();
    assert_eq!((list.names.len(), list.count, here), (88, 88, 88));
    assert!(
        list.names.values().any(|name| name == "another") && !list.names.values().any(|name| name == "other")
    );
    // And from here on each is told.
    script.leave(&[30]);
    script.say(31, Kind::Text, r#"{"type":"name","name":"third"}"#);
    script.come(30, json("back"));
    hear(&mut script, &mut list);
    assert_eq!((list.names.len(), list.count), (88, 88));
    let told: std::collections::HashSet<_> = list.names.values().cloned().collect();
    let there = script.chat.channels[0]
        .room
        .as_ref()
        .expect("a room")
        .people()
        .0
        .iter()
        .map(|person| format!("{person:?}"))
        .collect::<String>();
    assert!(told.iter().all(|name| there.contains(&format!("{name:?}"))), "{told:?}");
}

/// Each rename looks at the one who is renamed, whatever the room and however many connections it has.
#[test]
fn a_packet_of_renames_is_linear() {
    let mut script = Script::new();
    let keyed = |key: usize| Subscription { key: Some(format!("{key:032}")), ..json(&format!("n{key}")) };
    for client in 0..6_000 {
        script.join_quietly(client, "127.0.0.1", keyed(client / 2));
    }
    let rename = |script: &mut Script, room: usize| {
        let started = std::time::Instant::now();
        for number in 0..1_800 {
            script.say_quietly(room, &format!(r#"{{"type":"name","name":"m{}"}}"#, number % 2));
        }
        started.elapsed()
    };
    let large = rename(&mut script, 5_999);
    let small_room = Subscription { channel: ChannelName::Room("small".to_owned()), ..keyed(1) };
    script.join_quietly(6_000, "127.0.0.1", small_room);
    let small = rename(&mut script, 6_000);
    assert!(large < small * 10 + Duration::from_millis(20), "{large:?} among 6,000, {small:?} alone");
}

#[test]
fn who_is_here_can_be_asked_for_page_by_page() {
    let mut script = Script::new();
    for client in 0..250 {
        script.come(client, json("lobby"));
    }
    // The order in which they stand is mixed up when somebody goes.
    script.leave(&[0, 17, 120]);
    script.take();
    let mut found: Vec<String> = Vec::new();
    let mut after = String::new();
    for page in 0..3 {
        script.say(5, Kind::Text, &format!(r#"{{"type":"members"{after},"limit":100}}"#));
        let answer = script.take().pop().expect("an answer");
        let (_, answer) = answer.split_once("Text: ").expect("for one");
        let answer: serde_json::Value = serde_json::from_str(answer).expect("JSON");
        assert_eq!((&answer["count"], &answer["more"]), (&247.into(), &(page < 2).into()), "page {page}");
        found.extend(
            answer["members"].as_array().expect("a list").iter().map(|member| member["id"].to_string()),
        );
        after = format!(r#","after":{}"#, found.last().expect("somebody"));
    }
    let gone = [1, 18, 121];
    let wanted: Vec<String> =
        (1..=250).filter(|id| !gone.contains(id)).map(|id| format!("\"c{id}\"")).collect();
    assert_eq!(found, wanted);
    for (request, wanted) in [
        (r#"{"type":"members","after":"c250"}"#, r#""members":[],"more":false"#),
        (
            r#"{"type":"members","after":"c2","limit":1}"#,
            r#""members":[{"id":"c3","name":"lobby-3"}],"more":true"#,
        ),
        (r#"{"type":"members","limit":0}"#, r#""members":[],"more":true"#),
        (r#"{"type":"members","after":"alice"}"#, r#""code":"bad_id""#),
        (r#"{"type":"members","after":"c-1"}"#, r#""code":"bad_id""#),
    ] {
        script.say(5, Kind::Text, request);
        let answer = script.take().pop().expect("an answer");
        assert!(answer.contains(wanted), "{request}: {answer}");
    }
}
