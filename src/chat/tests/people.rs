//! People with several connections, and with other names.

use super::*;

#[test]
fn a_person_with_a_key_has_several_connections_and_says_nothing_twice() {
    let mut script = Script::new();
    let keyed = || Subscription { key: Some("k".repeat(32)), ..json("bob") };
    script.come(0, plain("alice"));
    script.come(1, keyed());
    script.take();
    script.come(2, keyed());
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
    script.come(3, keyed());
    assert!(script.take().iter().any(|line| line.contains(r#""you":{"id":"c2","name":"bob"}"#)));
    script.say(3, Kind::Text, say);
    script.saw(&[r#"to 3 Text: {"type":"ack","ref":"r","seq":1}"#]);
}

#[test]
fn somebody_is_called_something_else_everywhere() {
    let mut script = Script::new();
    script.come(0, plain("alice"));
    script.come(1, json("bob"));
    script.take();
    script.say(1, Kind::Text, r#"{"type":"name","name":"Alice"}"#);
    script.saw(&[r#"room 0 Text: {"type":"name","id":"c2","name":"Alice-2","was":"bob"}"#]);
    script.say(1, Kind::Text, r#"{"type":"name","name":"Alice-2"}"#);
    script.saw(&[r#"to 1 Text: {"type":"name","id":"c2","name":"Alice-2","was":"Alice-2"}"#]);
    script.say(1, Kind::Text, r#"{"type":"say","text":"hi"}"#);
    assert_eq!(script.take()[0], "room 0 Text: 01:02:03 Alice-2 say: hi");
    script.come(2, plain("bob"));
    assert!(script.take().contains(&"to 2 Text: Welcome bob !".to_owned()), "the old name is free");
    // On all connections of a person, and on nobody else's.
    let keyed = || Subscription { key: Some("k".repeat(32)), ..json("cy") };
    (3..5).for_each(|client| script.come(client, keyed()));
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
    script.come(0, plain("alice"));
    script.come(1, json("bob"));
    script.come_in(2, ChannelName::Topic("t".to_owned()));
    let told = |client, numbers: Option<(u64, u64)>| {
        let number = |number| NonZeroU64::new(number).expect("from one on");
        let numbers = numbers.map(|(first, last)| (number(first), number(last)));
        let mut text = None;
        script.chat.gap_notice(script.now, ClientId::new(client), 5, numbers, |form, reply| {
            let mut scratch = Vec::new();
            let rendered = script.forms.form(form).render_reply(reply, &mut scratch);
            text = rendered.map(|rendered| String::from_utf8_lossy(rendered.payload).into_owned());
        });
        text
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
