//! What a client connects for: the name in the path, and the parameters behind it.

use percent_encoding::percent_decode;

use crate::chat::{self, ChannelName, Endpoint, Subscription};
use crate::connection::SlowPolicy;
use crate::http::Refusal;
use crate::id::FormId;

/// The room of the path `/`.
const LOBBY: &str = "lobby";
/// The parameter that is a secret.
const KEY: &str = "key";

/// The parameters of a request: what stands behind the question mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) &'a str);

/// The endpoint of `/echo`.
pub(super) fn echo(_name: Option<&str>, _query: Query<'_>) -> Result<Endpoint, Refusal> {
    Ok(Endpoint::Echo)
}

/// A topic; without a name, the one of `/broadcast`.
pub(super) fn topic(name: Option<&str>, query: Query<'_>) -> Result<Endpoint, Refusal> {
    let name = name.map_or_else(|| Ok(String::new()), channel_name)?;
    let hears_self = query.hears_self()?;
    Ok(Endpoint::Channel(Subscription { hears_self, ..subscription(ChannelName::Topic(name)) }))
}

/// A room; without a name, the lobby.
pub(super) fn room(name: Option<&str>, query: Query<'_>) -> Result<Endpoint, Refusal> {
    let subscription = subscription(ChannelName::Room(room_name(name)?));
    Ok(Endpoint::Channel(Subscription {
        name: query.name()?,
        key: query.key()?,
        since: query.since()?,
        ..subscription
    }))
}

/// The name of a room, from that in the path.
pub(super) fn room_name(name: Option<&str>) -> Result<String, Refusal> {
    name.map_or_else(|| Ok(LOBBY.to_owned()), channel_name)
}

/// Whether the value of a parameter of this name, as it stands in a request, is a secret: it is compared as
/// its reader does, once decoded.
pub fn is_secret(name: &[u8]) -> bool {
    percent_decode(name).eq(KEY.bytes())
}

fn channel_name(name: &str) -> Result<String, Refusal> {
    chat::channel_name(name).map_err(Refusal::NoSuchPath)
}

fn subscription(channel: ChannelName) -> Subscription {
    Subscription { channel, form: FormId::default(), hears_self: true, name: None, key: None, since: None }
}

impl Query<'_> {
    /// How a client that reads too slowly wants to be treated.
    pub(super) fn slow(self) -> Result<Option<SlowPolicy>, Refusal> {
        let wrong = Refusal::Malformed(
            "`slow` is close (be closed when you read too slowly) or skip (miss the oldest)",
        );
        self.parameter("slow").map(|name| SlowPolicy::from_name(&name).ok_or(wrong)).transpose()
    }

    /// Whether one hears what one says oneself.
    fn hears_self(self) -> Result<bool, Refusal> {
        match self.parameter("self").as_deref() {
            None | Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(_) => Err(Refusal::Malformed("`self` is 0 (do not hear yourself) or 1")),
        }
    }

    /// What one wants to be called.
    fn name(self) -> Result<Option<String>, Refusal> {
        let name = self.parameter("name").filter(|name| !name.is_empty());
        name.map(|name| chat::person_name(&name).map_err(Refusal::Malformed)).transpose()
    }

    /// What several connections of one person present.
    fn key(self) -> Result<Option<String>, Refusal> {
        let is_wrong = |key: &String| {
            !(32..=128).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match self.parameter(KEY) {
            Some(key) if is_wrong(&key) => Err(Refusal::Malformed(
                "a `key` is 32 to 128 visible ASCII characters that nobody else can guess",
            )),
            key => Ok(key),
        }
    }

    /// What was heard before: `since` and `epoch`, as the last welcome and message had them.
    fn since(self) -> Result<Option<(u64, String)>, Refusal> {
        const WRONG: Refusal = Refusal::Malformed(
            "`since` is the `seq` of the last message that was heard, and `epoch` that of its room",
        );
        match (self.parameter("since"), self.parameter("epoch")) {
            (None, _) => Ok(None),
            (Some(since), Some(epoch)) => Ok(Some((since.parse().map_err(|_| WRONG)?, epoch))),
            (Some(_), None) => Err(WRONG),
        }
    }

    /// The first of this name counts.
    fn parameter(self, name: &str) -> Option<String> {
        let mut all = form_urlencoded::parse(self.0.as_bytes());
        all.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
