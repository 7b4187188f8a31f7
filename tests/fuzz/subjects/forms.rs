//! What a member says in a form, and what others are told of it.

use std::num::NonZeroU64;

use wsloop::chat::{Action, Fate, FormSet as _, Reply, RoomEvent, Said, Wish};
use wsloop::forms::Forms;
use wsloop::id::{FormId, PersonId};
use wsloop::websocket::Kind;

/// The first byte says text or binary, the rest is the message. Whatever it is, it is understood or refused with
/// advice; what is said is told whole in every form, and takes the bytes that it was measured to take.
pub(super) fn run(bytes: &[u8]) {
    let Some((first, payload)) = bytes.split_first() else { return };
    let kind = if first & 1 == 0 { Kind::Text } else { Kind::Binary };
    if kind == Kind::Text && std::str::from_utf8(payload).is_err() {
        return;
    }
    let forms = Forms::standard(jiff::tz::TimeZone::UTC);
    for form in [FormId(0), FormId(1)] {
        match forms.read(form, kind, payload) {
            Ok(command) => {
                assert!(command.reference.as_ref().is_none_or(|name| (1..=64).contains(&name.len())));
                match command.wish {
                    Wish::Submit { action: Action::Say { re }, kind, payload } => {
                        told(&forms, kind, &payload, re);
                    }
                    Wish::Submit { action: Action::Edit { of }, kind, payload } => {
                        told(&forms, kind, &payload, Some(of));
                    }
                    _ => {}
                }
            }
            Err(wrong) => assert!(!wrong.advice.is_empty()),
        }
    }
}

fn told(forms: &Forms, kind: Kind, payload: &[u8], re: Option<NonZeroU64>) {
    let (seq, time) = (NonZeroU64::MIN, jiff::Timestamp::UNIX_EPOCH);
    let (fate, reactions) = (Fate::AsSaid, &[][..]);
    let said = Said { seq, time, id: PersonId(7), who: "a", kind, payload, re, fate, reactions };
    let event = RoomEvent::Said(said);
    let (mut line, mut json) = (Vec::new(), Vec::new());
    let line = forms.form(FormId(0)).render(&event, &mut line).expect("it is told");
    let json = forms.form(FormId(1)).render(&event, &mut json).expect("it is told");
    assert_eq!(forms.measure(FormId(1), &said), json.payload.len() + 1, "with a comma");
    let text = std::str::from_utf8(json.payload).expect("JSON is text");
    assert!(!text.contains(['\n', '\r', '\u{0}']), "control characters are escaped");
    match kind {
        Kind::Binary => assert_eq!(line.payload, payload),
        Kind::Text => {
            let line = std::str::from_utf8(line.payload).expect("a line is text");
            assert!(line.starts_with("00:00:00 a say: ") && line.lines().count() == 1, "{line:?}");
        }
    }
    let history = Reply::History { before: 2, viewer: PersonId(7), messages: vec![said], more: false };
    let mut scratch = Vec::new();
    let page = forms.form(FormId(1)).render_reply(&history, &mut scratch).expect("it is told");
    let page = std::str::from_utf8(page.payload).expect("JSON is text");
    assert!(page.contains(text), "what is told is what is remembered");
}
