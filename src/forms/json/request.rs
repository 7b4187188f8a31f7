//! What a client says in JSON.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::object::IdObject;
use crate::chat::{Action, BadCommand, Command, Reason, Wish};

/// Longer references are nobody's.
const REF_BYTES_MAX: usize = 64;
const BAD_REF: &str = "a `ref` is 1 to 64 bytes";
const UNKNOWN_TYPE: &str = "`type` is say, edit, delete, react, typing, name, history, members or ping";
const NO_TEXT: &str = "`say` wants a `text` that is not empty";
const NO_NEW_TEXT: &str = "`edit` wants a `text` that is not empty; to take a message back, `delete` it";
const NO_NUMBER: &str = "`edit`, `delete` and `react` want the `seq` of a message";
const NO_ANSWERED: &str = "`re` is the `seq` of a message";
const NO_EMOJI: &str = "`react` wants an `emoji`";
const NO_NAME: &str = "`name` wants a `name`";
const NO_MEMBER: &str = "`after` is the `id` of a member, such as c7";

/// What a client says.
#[derive(Debug, Deserialize)]
pub(super) struct ClientObject<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "ref", default)]
    reference: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "whole_number")]
    before: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    limit: Option<u64>,
    #[serde(borrow, default)]
    after: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "whole_number")]
    seq: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    re: Option<u64>,
    #[serde(borrow, default)]
    emoji: Option<Cow<'a, str>>,
    #[serde(default)]
    on: Option<bool>,
}

impl<'a> ClientObject<'a> {
    /// Reads an object; what it means is for others. The error says what is wrong and where.
    pub(super) fn parse(payload: &'a [u8]) -> Result<ClientObject<'a>, String> {
        let wrong = |what: &str| Err(format!("send one JSON object a message: {what}"));
        match payload.trim_ascii_start().first() {
            Some(b'{') => {}
            None => return wrong("this is empty"),
            Some(b'[') => return wrong("this is a list"),
            Some(b'"') => return wrong("this is a string"),
            Some(b'-' | b'0'..=b'9') => return wrong("this is a number"),
            Some(_) => {
                return match payload.trim_ascii() {
                    b"null" => wrong("this is null"),
                    b"true" | b"false" => wrong("this is true or false"),
                    _ => wrong("this is plain text; lines are spoken without the subprotocol"),
                };
            }
        }
        serde_json::from_slice(payload).or_else(|error| wrong(&error.to_string()))
    }

    /// What it asks for.
    pub(super) fn into_command(mut self) -> Result<Command<'a>, BadCommand<'a>> {
        let bad =
            |reason, advice, reference| Err(BadCommand { reason, advice: Cow::Borrowed(advice), reference });
        let reference = self.reference.take();
        if reference.as_ref().is_some_and(|name| name.is_empty() || name.len() > REF_BYTES_MAX) {
            return bad(Reason::BadReference, BAD_REF, None);
        }
        match self.into_wish() {
            Ok(wish) => Ok(Command { wish, reference }),
            Err((reason, advice)) => bad(reason, advice, reference),
        }
    }

    fn into_wish(self) -> Result<Wish<'a>, (Reason, &'static str)> {
        let ClientObject { kind, text, name, before, limit, after, seq, re, emoji, on, .. } = self;
        let of = || seq.and_then(NonZeroU64::new).ok_or((Reason::BadNumber, NO_NUMBER));
        let words = |advice| text.filter(|text| !text.is_empty()).ok_or((Reason::NoText, advice));
        Ok(match &*kind {
            "say" => match (words(NO_TEXT)?, re.map(NonZeroU64::new)) {
                (_, Some(None)) => return Err((Reason::BadNumber, NO_ANSWERED)),
                (text, re) => Wish::act(Action::Say { re: re.flatten() }, text),
            },
            "edit" => Wish::act(Action::Edit { of: of()? }, words(NO_NEW_TEXT)?),
            "delete" => Wish::act(Action::Delete { of: of()? }, Cow::Borrowed("")),
            "react" => {
                let action = Action::React { of: of()?, is_on: on.unwrap_or(true) };
                Wish::act(action, emoji.ok_or((Reason::BadEmoji, NO_EMOJI))?)
            }
            "typing" => Wish::Typing,
            "name" => Wish::Rename(name.ok_or((Reason::BadName, NO_NAME))?),
            "history" => Wish::History { before, limit },
            "members" => match after.as_deref().map(IdObject::read) {
                None => Wish::Members { after: None, limit },
                Some(Some(IdObject(id))) => Wish::Members { after: Some(id), limit },
                Some(None) => return Err((Reason::BadId, NO_MEMBER)),
            },
            "ping" => Wish::Ping,
            _ => return Err((Reason::UnknownType, UNKNOWN_TYPE)),
        })
    }
}

/// A number without a fraction, however it is written: some write 50 as `50.0`.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Whole;
    impl Visitor<'_> for Whole {
        type Value = Option<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number from 0 on")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<u64>, E> {
            Ok(Some(number))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<u64>, E> {
            // Beyond 2^53 a fraction cannot be told from its neighbour.
            let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
            let whole = is_whole.then(|| format!("{:.0}", number.abs()).parse().ok()).flatten();
            whole.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))
        }
    }
    deserializer.deserialize_any(Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_more_than_is_known_are_read_and_others_are_told_what_is_wrong() {
        let request =
            ClientObject::parse(r#"{"type":"say","text":"a\u00e9","ref":"1","later":{"x":[1]}}"#.as_bytes());
        let request = request.expect("an object");
        assert_eq!(
            (&*request.kind, request.text.as_deref(), request.reference.as_deref()),
            ("say", Some("aé"), Some("1"))
        );
        assert_eq!(ClientObject::parse(b"{}").expect("an object").kind, "");
        for bad in [
            "",
            "hi",
            "[]",
            "{",
            "7",
            r#"{"type":1}"#,
            r#"{"type":"say","text":5}"#,
            r#"{"type":"history","before":-1}"#,
        ] {
            let error = ClientObject::parse(bad.as_bytes()).expect_err(bad);
            assert!(error.starts_with("send one JSON object a message: "), "{error}");
        }
        for (bad, wanted) in [
            ("null", "this is null"),
            (" [1, 2]", "this is a list"),
            ("50", "this is a number"),
            ("true ", "this is true or false"),
            ("\"hi\"", "this is a string"),
            ("", "this is empty"),
            ("hi", "this is plain text; lines are spoken without the subprotocol"),
        ] {
            let error = ClientObject::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(error, format!("send one JSON object a message: {wanted}"));
        }
        let deep = "[".repeat(100_000);
        assert!(
            ClientObject::parse(format!(r#"{{"x":{deep}"#).as_bytes()).is_err(),
            "and it does not fall over"
        );
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_fraction_of_nothing() {
        for (written, read) in [
            ("50", Some(Some(50))),
            ("50.0", Some(Some(50))),
            ("5e1", Some(Some(50))),
            ("0", Some(Some(0))),
            ("-0.0", Some(Some(0))),
            ("null", Some(None)),
            ("18446744073709551615", Some(Some(u64::MAX))),
            ("50.5", None),
            ("-1", None),
            ("-1.0", None),
            ("1e300", None),
            ("\"50\"", None),
            ("[50]", None),
        ] {
            let request = format!(r#"{{"type":"history","limit":{written}}}"#);
            let limit = ClientObject::parse(request.as_bytes()).map(|request| request.limit);
            assert_eq!(limit.ok(), read, "{written}");
        }
        let error = ClientObject::parse(br#"{"limit":"x"}"#).expect_err("no number");
        assert!(error.contains("expected a whole number from 0 on"), "{error}");
    }
}
