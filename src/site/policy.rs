//! Who is answered: the Host and the Origin of a request, the part of the site that a client gets, and how much of
//! it is served.

use crate::http::{Authority, Refusal, Request};

/// The hosts that a server answers to, and the pages of others that may connect.
#[derive(Debug)]
pub(super) struct Policy {
    /// Beside IP addresses.
    pub(super) hosts: Vec<String>,
    /// Beside the server's own.
    pub(super) origins: Vec<String>,
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

/// How much of the site is served now: each serves less than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// All of it.
    All,
    /// All places are taken: what operators look at, and nothing else.
    Full,
    /// The server is about to stop: it only reports on itself.
    Draining,
}

impl Surface {
    /// Whether what is `of` one part is there for a client of this one.
    pub(super) fn has(self, of: Surface) -> bool {
        self == of || self == Surface::Everything || of == Surface::Everything
    }
}

impl Service {
    /// Whether what is served `until` some state is served in this one.
    pub(super) fn check(self, until: Service) -> Result<(), Refusal> {
        match self {
            _ if self <= until => Ok(()),
            Service::All | Service::Full => Err(Refusal::Full),
            Service::Draining => Err(Refusal::Draining),
        }
    }
}

impl Policy {
    /// DNS rebinding: a name of somebody else's that leads to this address is not answered.
    pub(super) fn check_host(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match &request.host {
            None => Ok(()),
            Some(host) if host.is_address() => Ok(()),
            Some(host) if self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.host)) => Ok(()),
            Some(_) => Err(Refusal::HostNotAllowed),
        }
    }

    /// Cross-site hijacking (RFC 6455 §10.2): a page of somebody else's may not connect.
    pub(super) fn check_origin(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.check_origin_named(request, "Origin")
    }

    /// The same, where another header names the origin. An empty one is none.
    pub(super) fn check_origin_named(&self, request: &Request<'_>, header: &str) -> Result<(), Refusal> {
        let origin = request.only(header, "the header that names an origin stands twice")?;
        let Some(origin) = origin.filter(|origin| !origin.is_empty() || header == "Origin") else {
            return Ok(());
        };
        let is_listed = self.origins.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin));
        if is_listed || is_same_site(origin, request.host.as_ref()) {
            Ok(())
        } else {
            Err(Refusal::OriginNotAllowed)
        }
    }
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
