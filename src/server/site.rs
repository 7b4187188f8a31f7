//! Requests: who may ask, what is at which path, and the page's own files.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use sha1::{Digest as _, Sha1};

use crate::chat::{self, ChannelName, Endpoint, Form, Subscription};
use crate::connection::SlowPolicy;
use crate::http::{Authority, Refusal, Request, Response};
use crate::websocket::{Agreement, handshake};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The room of the path `/`.
const LOBBY: &str = "lobby";
/// Paths that are no rooms: those with a meaning of their own, and those kept for one.
const RESERVED: [&str; 12] = [
    "assets",
    "broadcast",
    "dashboard",
    "echo",
    "events",
    "favicon.ico",
    "healthz",
    "metrics",
    "publish",
    "readyz",
    "robots.txt",
    "stats",
];
/// The subprotocols that are spoken, by name: everywhere, and in rooms.
const SUBPROTOCOLS: [&str; 1] = ["chat"];
const ROOM_SUBPROTOCOLS: [&str; 2] = ["chat", JSON];
/// The JSON form.
const JSON: &str = "wsloop.json";
/// The page may load its own script and style and speak to this server; nothing else, from nowhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Which hosts this server answers to, which origins may connect, and the files of the page.
#[derive(Debug)]
pub struct Site {
    hosts: Vec<String>,
    origins: Vec<String>,
    compresses: bool,
    page: File,
    dashboard: File,
    assets: [(&'static str, File); 10],
}

/// Which part of the site a client gets: all of it, or one where operators have an address of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surface {
    /// Everything: there is one address for all.
    #[default]
    Everything,
    /// Everything but the reports.
    Users,
    /// The reports, and whether the server is alive.
    Operators,
}

/// How much of the site is served now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    All,
    /// All places are taken: what operators look at, and nothing else.
    Full,
    /// The server is about to stop: it only reports on itself.
    Draining,
}

/// How a request is answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// With a WebSocket.
    Open(Response, Endpoint, Option<Agreement>, Option<SlowPolicy>),
    /// With a response; without its body if the request was HEAD.
    Respond(Response, bool),
    /// With a report on the server, in the same way.
    Report(ReportKind, bool),
}

/// What can be told of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportKind {
    Stats,
    Metrics,
}

/// A file that is compiled in.
#[derive(Debug)]
struct File {
    content_type: &'static str,
    body: &'static str,
    entity_tag: String,
}

/// What is at a path.
enum Target<'a> {
    Connect(Endpoint),
    Page,
    File(&'a File),
    Health,
    Ready,
    Report(ReportKind),
    Dashboard,
}

impl Target<'_> {
    /// Whether it is there for a client of this part.
    fn is_for(&self, surface: Surface) -> bool {
        match self {
            Target::Report(_) | Target::Dashboard => surface != Surface::Users,
            Target::Connect(_) | Target::Page => surface != Surface::Operators,
            Target::File(_) | Target::Health | Target::Ready => true,
        }
    }

    /// Whether it is served now.
    fn check(&self, service: Service) -> Result<(), Refusal> {
        match (service, self) {
            (Service::All, _) | (_, Target::Health | Target::Report(_)) => Ok(()),
            (Service::Full, Target::Ready | Target::Dashboard | Target::File(_)) => Ok(()),
            (Service::Full, _) => Err(Refusal::Full),
            (Service::Draining, _) => Err(Refusal::Draining),
        }
    }
}

const NOTHING: Refusal = Refusal::NoSuchPath(
    "nothing is here; rooms are /ROOM, and there are /echo, /broadcast and /broadcast/TOPIC",
);

impl Site {
    /// A site that answers to IP addresses and to these hosts, and lets in pages of its own and of
    /// these origins. Both are compared without regard to case. `compresses`: whether it agrees to
    /// permessage-deflate.
    pub fn new(hosts: Vec<String>, origins: Vec<String>, compresses: bool) -> Site {
        Site {
            hosts,
            origins,
            compresses,
            page: File::new(HTML, include_str!("../../static/index.html")),
            dashboard: File::new(HTML, include_str!("../../static/dashboard.html")),
            assets: [
                ("chat.css", File::new(STYLE, include_str!("../../static/chat.css"))),
                ("chat.js", File::new(SCRIPT, include_str!("../../static/chat.js"))),
                ("connection.js", File::new(SCRIPT, include_str!("../../static/connection.js"))),
                ("names.js", File::new(SCRIPT, include_str!("../../static/names.js"))),
                ("log.js", File::new(SCRIPT, include_str!("../../static/log.js"))),
                ("favicon.svg", File::new("image/svg+xml", include_str!("../../static/favicon.svg"))),
                ("dashboard.css", File::new(STYLE, include_str!("../../static/dashboard.css"))),
                ("dashboard.js", File::new(SCRIPT, include_str!("../../static/dashboard.js"))),
                ("uplot.css", File::new(STYLE, include_str!("../../static/uplot/uplot.css"))),
                ("uplot.js", File::new(SCRIPT, include_str!("../../static/uplot/uplot.js"))),
            ],
        }
    }

    /// Answers a request head.
    pub(super) fn answer(&self, head: &[u8], service: Service, surface: Surface) -> Result<Answer, Refusal> {
        let request = &Request::parse(head)?;
        self.check_host(request)?;
        let is_handshake = handshake::is_wanted(request);
        let target = self.find(request, is_handshake)?;
        if !target.is_for(surface) {
            return Err(NOTHING);
        }
        target.check(service)?;
        match target {
            Target::Connect(mut purpose) if is_handshake => {
                self.check_origin(request)?;
                let is_room = matches!(&purpose, Endpoint::Channel(subscription) if matches!(subscription.channel, ChannelName::Room(_)));
                let subprotocols: &[&'static str] = if is_room { &ROOM_SUBPROTOCOLS } else { &SUBPROTOCOLS };
                let acceptance = handshake::accept(request, subprotocols, self.compresses)?;
                if let Endpoint::Channel(subscription) = &mut purpose
                    && acceptance.subprotocol() == Some(JSON)
                {
                    subscription.form = Form::Json;
                }
                let compression = acceptance.compression();
                let slow = slow(request.query)?;
                Ok(Answer::Open(acceptance.response(), purpose, compression, slow))
            }
            _ if is_handshake => Err(Refusal::Malformed(
                "there is no WebSocket at this path; connect to /, /ROOM, /echo or /broadcast",
            )),
            _ if handshake::is_broken(request) => Err(Refusal::UpgradeRequired(
                "the Upgrade header of this WebSocket handshake is missing; a proxy on the way may have dropped it",
            )),
            Target::Dashboard => Ok(Answer::Respond(self.dashboard.response(request), !request.is_head)),
            Target::Page => Ok(Answer::Respond(self.page.response(request), !request.is_head)),
            Target::Connect(_) => Err(Refusal::UpgradeRequired(
                "this path speaks WebSocket; connect with ws:// (for instance: websocat ws://HOST:PORT/echo)",
            )),
            Target::File(file) => Ok(Answer::Respond(file.response(request), !request.is_head)),
            Target::Report(report) => Ok(Answer::Report(report, !request.is_head)),
            // Who is stopping has been refused above.
            Target::Ready => Ok(Answer::Respond(Response::text(200, "ready\n"), !request.is_head)),
            Target::Health => Ok(Answer::Respond(Response::text(200, "ok\n"), !request.is_head)),
        }
    }

    /// DNS rebinding: a name of somebody else's that leads to this address is not answered.
    fn check_host(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match &request.host {
            None => Ok(()),
            Some(host) if host.is_address() => Ok(()),
            Some(host) if self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.host)) => Ok(()),
            Some(_) => Err(Refusal::HostNotAllowed),
        }
    }

    /// Cross-site hijacking (RFC 6455 §10.2): a page of somebody else's may not connect.
    fn check_origin(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(origin) = request.only("Origin", "Origin stands twice")? else { return Ok(()) };
        let is_listed = self.origins.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin));
        if is_listed || is_same_site(origin, request.host.as_ref()) {
            Ok(())
        } else {
            Err(Refusal::OriginNotAllowed)
        }
    }

    fn find(&self, request: &Request<'_>, is_handshake: bool) -> Result<Target<'_>, Refusal> {
        let segments: Vec<String> = request.path[1..].split('/').map(decode).collect::<Result<_, _>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            // A plain request gets the page whatever its query; the page asks for a name itself.
            [""] if !is_handshake => Ok(Target::Page),
            [""] => room(LOBBY, request.query).map(Target::Connect),
            ["echo"] => Ok(Target::Connect(Endpoint::Echo)),
            ["broadcast"] => topic("", request.query).map(Target::Connect),
            ["broadcast", name] => topic(&place_name(name)?, request.query).map(Target::Connect),
            ["healthz"] => Ok(Target::Health),
            ["readyz"] => Ok(Target::Ready),
            ["stats"] => Ok(Target::Report(ReportKind::Stats)),
            ["metrics"] => Ok(Target::Report(ReportKind::Metrics)),
            ["dashboard"] => Ok(Target::Dashboard),
            ["assets", name] => {
                let file = self.assets.iter().find(|(known, _)| known == name);
                file.map(|(_, file)| Target::File(file)).ok_or(NOTHING)
            }
            [name] if RESERVED.contains(name) => Err(NOTHING),
            [name] if !is_handshake => place_name(name).map(|_| Target::Page),
            [name] => room(&place_name(name)?, request.query).map(Target::Connect),
            _ => Err(NOTHING),
        }
    }
}

impl File {
    fn new(content_type: &'static str, body: &'static str) -> File {
        let digest = Sha1::digest(body.as_bytes());
        let digits: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        File { content_type, body, entity_tag: format!("\"{digits}\"") }
    }

    fn response(&self, request: &Request<'_>) -> Response {
        let response = if self.is_known_to(request) {
            Response::new(304)
        } else {
            Response::new(200).with_body(self.content_type, Cow::Borrowed(self.body.as_bytes()))
        };
        response
            .with_header("ETag", self.entity_tag.clone())
            // Ask every time: a new server may bring a new page.
            .with_header("Cache-Control", "no-cache")
            .with_header("Content-Security-Policy", PAGE_POLICY)
            .with_header("X-Content-Type-Options", "nosniff")
            .with_header("X-Frame-Options", "DENY")
            .with_header("Referrer-Policy", "no-referrer")
            .with_header("Cross-Origin-Resource-Policy", "same-origin")
    }

    /// RFC 9110 §13.1.2: a weak comparison with each tag of the list.
    fn is_known_to(&self, request: &Request<'_>) -> bool {
        request.all("If-None-Match").flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.entity_tag.as_bytes()
        })
    }
}

fn room(name: &str, query: &str) -> Result<Endpoint, Refusal> {
    let subscription = subscription(ChannelName::Room(name.to_owned()));
    Ok(Endpoint::Channel(Subscription {
        name: person_name(query)?,
        key: key(query)?,
        since: since(query)?,
        ..subscription
    }))
}

fn topic(name: &str, query: &str) -> Result<Endpoint, Refusal> {
    let hears_self = match parameter(query, "self").as_deref() {
        None | Some("1") => true,
        Some("0") => false,
        Some(_) => return Err(Refusal::Malformed("`self` is 0 (do not hear yourself) or 1")),
    };
    Ok(Endpoint::Channel(Subscription { hears_self, ..subscription(ChannelName::Topic(name.to_owned())) }))
}

fn subscription(channel: ChannelName) -> Subscription {
    Subscription { channel, form: Form::Plain, hears_self: true, name: None, key: None, since: None }
}

fn person_name(query: &str) -> Result<Option<String>, Refusal> {
    let name = parameter(query, "name").filter(|name| !name.is_empty());
    name.map(|name| chat::person_name(&name).map_err(Refusal::Malformed)).transpose()
}

/// What several connections of one person present.
fn key(query: &str) -> Result<Option<String>, Refusal> {
    let key = parameter(query, "key");
    let is_wrong =
        |key: &String| !(32..=128).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic());
    match key {
        Some(key) if is_wrong(&key) => Err(Refusal::Malformed(
            "a `key` is 32 to 128 visible ASCII characters that nobody else can guess",
        )),
        key => Ok(key),
    }
}

/// What was heard before: `since` and `epoch`, as the last welcome and message had them.
fn since(query: &str) -> Result<Option<(u64, String)>, Refusal> {
    const WRONG: Refusal = Refusal::Malformed(
        "`since` is the `seq` of the last message that was heard, and `epoch` that of its room",
    );
    match (parameter(query, "since"), parameter(query, "epoch")) {
        (None, _) => Ok(None),
        (Some(since), Some(epoch)) => Ok(Some((since.parse().map_err(|_| WRONG)?, epoch))),
        (Some(_), None) => Err(WRONG),
    }
}

fn slow(query: &str) -> Result<Option<SlowPolicy>, Refusal> {
    let wrong =
        Refusal::Malformed("`slow` is close (be closed when you read too slowly) or skip (miss the oldest)");
    parameter(query, "slow").map(|name| SlowPolicy::from_name(&name).ok_or(wrong)).transpose()
}

fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn decode(segment: &str) -> Result<String, Refusal> {
    // Every percent sign must begin an escape: `%zz` is somebody's mistake, not a name.
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    let is_well_formed = segment.split('%').skip(1).all(is_escape);
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) if is_well_formed => Ok(text.into_owned()),
        _ => Err(Refusal::Malformed("the path is not percent-encoded UTF-8")),
    }
}

fn place_name(name: &str) -> Result<String, Refusal> {
    chat::channel_name(name).map_err(Refusal::NoSuchPath)
}

/// Whether a page of this origin was served by the host that it now connects to. A missing port is
/// the default of the origin's scheme, so that this also holds behind a proxy that speaks TLS.
fn is_same_site(origin: &[u8], host: Option<&Authority<'_>>) -> bool {
    let parsed = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
    let (Some((scheme, rest)), Some(host)) = (parsed, host) else { return false };
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    Authority::parse(rest.as_bytes()).is_some_and(|origin| {
        origin.host.eq_ignore_ascii_case(host.host)
            && origin.port.unwrap_or(default_port) == host.port.unwrap_or(default_port)
    })
}

#[cfg(test)]
mod tests;
