//! Requests: what is at which path, who may have it, and the files of the pages. A request head and what the
//! server is ready for in, an [`Answer`] or a refusal out.

mod bundle;
mod files;
mod policy;
mod query;
mod routes;

use crate::chat::Endpoint;
use crate::connection::SlowPolicy;
use crate::http::{Refusal, Request, Response};
use crate::websocket::{Agreement, handshake};
use files::{File, Files};
use policy::Policy;
pub use policy::{Service, Surface};
use query::Query;
pub use query::is_secret;
pub use routes::{ReportKind, reserved_names};
use routes::{Route, RouteKind};

/// Which hosts this server answers to, which origins may connect, and the files of the pages.
#[derive(Debug)]
pub struct Site {
    policy: Policy,
    compresses: bool,
    files: &'static Files,
}

/// The subprotocols that are spoken, by name. Of those that a client lists, the first that is spoken is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Subprotocols<'a> {
    /// In rooms.
    pub rooms: &'a [&'static str],
    /// At all other endpoints.
    pub elsewhere: &'a [&'static str],
}

/// How a request is answered.
#[derive(Debug)]
pub enum Answer {
    /// With a WebSocket.
    Open(Opening),
    /// With a response; without its body if the request was HEAD.
    Respond(Response, bool),
    /// In the same way, where a WebSocket could be opened.
    Try(Response, bool),
    /// With a report on the server, in the same way.
    Report(ReportKind, bool),
}

/// A WebSocket that is about to open.
#[derive(Debug)]
pub struct Opening {
    /// What opens it.
    pub response: Response,
    /// What the client connected for.
    pub endpoint: Endpoint,
    /// What was chosen of the subprotocols, if the client listed any that is spoken.
    pub subprotocol: Option<&'static str>,
    /// How messages may be compressed, if they may.
    pub compression: Option<Agreement>,
    /// What becomes of the client if it reads too slowly, where it has chosen that.
    pub slow: Option<SlowPolicy>,
}

/// What a request leads to.
enum Target {
    Connect(Endpoint),
    File(&'static File),
    Report(ReportKind),
    Word(&'static str),
    Try,
}

/// Browsers do not tell a page why no WebSocket opened. So a plain request for a room with this header is judged as
/// a WebSocket of a page of the Origin that it names; it may name none.
const TRY: &str = "Wsloop-Try";

impl Site {
    /// A site that answers to IP addresses and to these hosts, and lets in pages of its own and of
    /// these origins. Both are compared without regard to case. `compresses`: whether it agrees to
    /// permessage-deflate.
    pub fn new(hosts: Vec<String>, origins: Vec<String>, compresses: bool) -> Site {
        Site { policy: Policy { hosts, origins }, compresses, files: Files::all() }
    }

    /// Answers a request head.
    ///
    /// # Errors
    /// Why it is not answered with what it asks for.
    pub fn answer(
        &self,
        head: &[u8],
        service: Service,
        surface: Surface,
        subprotocols: Subprotocols<'_>,
    ) -> Result<Answer, Refusal> {
        let request = &Request::parse(head)?;
        self.answer_request(request, service, surface, subprotocols).map_err(|refusal| match refusal {
            // Who opens a page gets one, from which there is a way to the others.
            Refusal::NoSuchPath(advice) if surface.has(Surface::Users) && wants_page(request) => {
                Refusal::NoSuchPage(advice)
            }
            refusal => refusal,
        })
    }

    fn answer_request(
        &self,
        request: &Request<'_>,
        service: Service,
        surface: Surface,
        subprotocols: Subprotocols<'_>,
    ) -> Result<Answer, Refusal> {
        self.policy.check_host(request)?;
        let is_handshake = handshake::is_wanted(request);
        let (route, name) = routes::find(request.path)?;
        let target = self.target(route, name.as_deref(), request, is_handshake)?;
        if !surface.has(route.surface) {
            return Err(routes::nothing());
        }
        service.check(route.until)?;
        let with_body = !request.is_head;
        match target {
            Target::Connect(endpoint) if is_handshake => {
                let spoken = match route.kind {
                    RouteKind::Room => subprotocols.rooms,
                    _ => subprotocols.elsewhere,
                };
                self.open(request, endpoint, spoken).map(Answer::Open)
            }
            _ if is_handshake => Err(routes::no_websocket()),
            _ if handshake::is_broken(request) => Err(Refusal::UpgradeRequired(
                "the Upgrade header of this WebSocket handshake is missing; a proxy on the way may have dropped it",
            )),
            Target::Connect(_) => Err(Refusal::UpgradeRequired(
                "this path speaks WebSocket; connect with ws:// (for instance: websocat ws://HOST:PORT/echo)",
            )),
            Target::File(file) => Ok(Answer::Respond(file.response(request), with_body)),
            Target::Report(report) => Ok(Answer::Report(report, with_body)),
            Target::Word(word) => Ok(Answer::Respond(Response::text(200, word), with_body)),
            Target::Try => {
                self.policy.check_origin_named(request, TRY)?;
                Ok(Answer::Try(Response::text(200, "a WebSocket may be opened here\n"), with_body))
            }
        }
    }

    /// What there is for a request. Its name and parameters are judged first, whoever asks and whenever.
    fn target(
        &self,
        route: &Route,
        name: Option<&str>,
        request: &Request<'_>,
        is_handshake: bool,
    ) -> Result<Target, Refusal> {
        let query = Query(request.query);
        match route.kind {
            RouteKind::Room if is_handshake => query::room(name, query).map(Target::Connect),
            RouteKind::Room if request.all(TRY).next().is_some() => {
                query::room_name(name).map(|_| Target::Try)
            }
            // A plain request gets the page whatever its query; the page asks for a name itself.
            RouteKind::Room => query::room_name(name).map(|_| Target::File(&self.files.page)),
            RouteKind::WebSocket(endpoint) => endpoint(name, query).map(Target::Connect),
            RouteKind::Page(page) => Ok(Target::File(page(self.files))),
            RouteKind::File => {
                let file = name.and_then(|name| self.files.asset(name));
                file.map(Target::File).ok_or_else(routes::nothing)
            }
            RouteKind::Report(report) => Ok(Target::Report(report)),
            RouteKind::Probe(word) => Ok(Target::Word(word)),
            RouteKind::Kept => Err(routes::nothing()),
        }
    }

    fn open(
        &self,
        request: &Request<'_>,
        endpoint: Endpoint,
        spoken: &[&'static str],
    ) -> Result<Opening, Refusal> {
        self.policy.check_origin(request)?;
        let acceptance = handshake::accept(request, spoken, self.compresses)?;
        let (subprotocol, compression) = (acceptance.subprotocol(), acceptance.compression());
        let slow = Query(request.query).slow()?;
        Ok(Opening { response: acceptance.response(), endpoint, subprotocol, compression, slow })
    }
}

/// Whether a browser asks for something to show.
fn wants_page(request: &Request<'_>) -> bool {
    let mut accepted = request.all("Accept").flat_map(|value| value.split(|&byte| byte == b','));
    accepted.any(|kind| kind.trim_ascii().to_ascii_lowercase().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests;
