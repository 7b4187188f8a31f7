//! What is at which path: the one table. Where a request leads, which names no room can have, and the paths that
//! refusals name follow from it; the page's list of names, the README and the tests are compared with it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;

use super::files::{File, Files};
use super::policy::{Service, Surface};
use super::query::{self, Query};
use crate::chat::Endpoint;
use crate::http::Refusal;

/// A room, as refusals name it.
const ROOM: &str = "/ROOM";

/// Each path: what is there, whose part of the site it is, and until when it is served. A word in capitals stands
/// for any one name. What a path begins with is the name of no room. The order is that in which refusals name them.
pub(super) static ROUTES: &[Route] = &[
    route("/", RouteKind::Room, Surface::Users, Service::All),
    route(ROOM, RouteKind::Room, Surface::Users, Service::All),
    route("/echo", RouteKind::WebSocket(query::echo), Surface::Users, Service::All),
    route("/broadcast", RouteKind::WebSocket(query::topic), Surface::Users, Service::All),
    route("/broadcast/TOPIC", RouteKind::WebSocket(query::topic), Surface::Users, Service::All),
    route("/assets/FILE", RouteKind::File, Surface::Everything, Service::Full),
    route("/healthz", RouteKind::Probe("ok\n"), Surface::Everything, Service::Draining),
    route("/readyz", RouteKind::Probe("ready\n"), Surface::Everything, Service::Full),
    route("/stats", RouteKind::Report(ReportKind::Stats), Surface::Operators, Service::Draining),
    route("/stats/history", RouteKind::Report(ReportKind::History), Surface::Operators, Service::Draining),
    route("/metrics", RouteKind::Report(ReportKind::Metrics), Surface::Operators, Service::Draining),
    route("/dashboard", RouteKind::Page(|files| &files.dashboard), Surface::Operators, Service::Full),
    // Browsers and crawlers ask for these unasked.
    kept("/favicon.ico"),
    kept("/robots.txt"),
    // What may come.
    kept("/events"),
    kept("/publish"),
];

/// A line of the table.
#[derive(Debug)]
pub(super) struct Route {
    /// As people write it: `/broadcast/TOPIC`.
    pub(super) path: &'static str,
    pub(super) kind: RouteKind,
    /// Who has it, where operators have an address of their own.
    pub(super) surface: Surface,
    /// The last state of the server in which it is served.
    pub(super) until: Service,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum RouteKind {
    /// A chat room: its page for a browser, and a WebSocket for who asks for one. Without a name, the lobby.
    Room,
    /// A WebSocket, for what this makes of the name in the path and of the parameters.
    WebSocket(fn(Option<&str>, Query<'_>) -> Result<Endpoint, Refusal>),
    /// A page.
    Page(fn(&Files) -> &File),
    /// A file of a page, by its name.
    File,
    /// A report on the server.
    Report(ReportKind),
    /// A word that says that all is well.
    Probe(&'static str),
    /// Nothing: the name is kept, so that no room is in the way of what may come.
    Kept,
}

/// What can be told of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// `/stats`, as JSON.
    Stats,
    /// `/stats/history`: the last hour, as JSON.
    History,
    /// `/metrics`, for Prometheus.
    Metrics,
}

const fn route(path: &'static str, kind: RouteKind, surface: Surface, until: Service) -> Route {
    Route { path, kind, surface, until }
}

const fn kept(path: &'static str) -> Route {
    route(path, RouteKind::Kept, Surface::Everything, Service::All)
}

impl Route {
    /// Whether one can connect there.
    fn has_websocket(&self) -> bool {
        matches!(self.kind, RouteKind::Room | RouteKind::WebSocket(_))
    }

    fn segments(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path[1..].split('/')
    }

    /// What its path begins with.
    fn first(&self) -> &'static str {
        self.segments().next().unwrap_or_default()
    }

    fn matches(&self, segments: &[String]) -> bool {
        let is_free = !is_placeholder(self.first()) || !is_taken(&segments[0]);
        let is_same = |(wanted, segment): (&str, &String)| is_placeholder(wanted) || wanted == segment;
        is_free && self.segments().count() == segments.len() && self.segments().zip(segments).all(is_same)
    }
}

/// The line of this path, and the name that is there for its word in capitals.
///
/// # Errors
/// That nothing is there, or that the path is not well-formed.
pub(super) fn find(path: &str) -> Result<(&'static Route, Option<String>), Refusal> {
    let mut segments: Vec<String> = path[1..].split('/').map(decode).collect::<Result<_, _>>()?;
    let route = ROUTES.iter().find(|route| route.matches(&segments)).ok_or_else(nothing)?;
    let name = route.segments().position(is_placeholder).map(|index| segments.swap_remove(index));
    Ok((route, name))
}

/// The names that no room can have: what paths begin with.
pub fn reserved_names() -> BTreeSet<&'static str> {
    let fixed = ROUTES.iter().map(Route::first).filter(|first| !is_placeholder(first));
    fixed.filter(|first| !first.is_empty()).collect()
}

/// Nothing is at this path.
pub(super) fn nothing() -> Refusal {
    static ADVICE: LazyLock<String> = LazyLock::new(|| {
        let sockets: Vec<&str> = paths(|route| matches!(route.kind, RouteKind::WebSocket(_))).collect();
        format!("nothing is here; rooms are {ROOM}, and there are {}", listed(&sockets, "and"))
    });
    Refusal::NoSuchPath(&ADVICE)
}

/// Something is at this path, but no WebSocket.
pub(super) fn no_websocket() -> Refusal {
    static ADVICE: LazyLock<String> = LazyLock::new(|| {
        // One of each is enough: those with a name behind another are left out.
        let sockets: Vec<&str> =
            paths(|route| route.has_websocket() && route.segments().count() == 1).collect();
        format!("there is no WebSocket at this path; connect to {}", listed(&sockets, "or"))
    });
    Refusal::Malformed(&ADVICE)
}

fn paths(is_meant: impl Fn(&Route) -> bool) -> impl Iterator<Item = &'static str> {
    ROUTES.iter().filter(move |route| is_meant(route)).map(|route| route.path)
}

/// `/a, /b and /c`.
fn listed(paths: &[&str], last: &str) -> String {
    match paths {
        [most @ .., one, other] => [most, &[&format!("{one} {last} {other}")]].concat().join(", "),
        _ => paths.concat(),
    }
}

/// Whether a word of the table stands for any name.
pub(super) fn is_placeholder(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether a path of the table begins with this; that of the lobby is empty.
fn is_taken(name: &str) -> bool {
    ROUTES.iter().any(|route| route.first() == name && !is_placeholder(name))
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
