//! The files of the pages, which are compiled in, and the headers that they are sent with.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest as _, Sha1};

use super::bundle::Bundle;
use crate::http::{Request, Response};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const DRAWING: &str = "image/svg+xml";
const TYPES: &str = "text/plain; charset=utf-8";
const MANIFEST: &str = "application/manifest+json";

/// What `/assets/FILE` can be: name, type and content of each.
pub(super) const ASSETS: &[(&str, &str, &str)] = &[
    ("chat.css", STYLE, include_str!("../../static/chat.css")),
    ("frame.css", STYLE, include_str!("../../static/frame.css")),
    ("messages.css", STYLE, include_str!("../../static/messages.css")),
    ("markup.css", STYLE, include_str!("../../static/markup.css")),
    ("addresses.js", SCRIPT, include_str!("../../static/addresses.js")),
    ("panels.css", STYLE, include_str!("../../static/panels.css")),
    ("theme.js", SCRIPT, include_str!("../../static/theme.js")),
    ("actions.css", STYLE, include_str!("../../static/actions.css")),
    ("actions.js", SCRIPT, include_str!("../../static/actions.js")),
    ("alone.js", SCRIPT, include_str!("../../static/alone.js")),
    ("announcer.js", SCRIPT, include_str!("../../static/announcer.js")),
    ("changes.js", SCRIPT, include_str!("../../static/changes.js")),
    ("chat.js", SCRIPT, include_str!("../../static/chat.js")),
    ("client.d.ts", TYPES, include_str!("../../static/client.d.ts")),
    ("client.js", SCRIPT, include_str!("../../static/client.js")),
    ("commands.js", SCRIPT, include_str!("../../static/commands.js")),
    ("completion.js", SCRIPT, include_str!("../../static/completion.js")),
    ("composer.js", SCRIPT, include_str!("../../static/composer.js")),
    ("connection.js", SCRIPT, include_str!("../../static/connection.js")),
    ("dressed.js", SCRIPT, include_str!("../../static/dressed.js")),
    ("emoji.js", SCRIPT, include_str!("../../static/emoji.js")),
    ("faces.js", SCRIPT, include_str!("../../static/faces.js")),
    ("find.js", SCRIPT, include_str!("../../static/find.js")),
    ("kept.js", SCRIPT, include_str!("../../static/kept.js")),
    ("known.js", SCRIPT, include_str!("../../static/known.js")),
    ("letters.js", SCRIPT, include_str!("../../static/letters.js")),
    ("line.js", SCRIPT, include_str!("../../static/line.js")),
    ("log.js", SCRIPT, include_str!("../../static/log.js")),
    ("markup.js", SCRIPT, include_str!("../../static/markup.js")),
    ("mentions.js", SCRIPT, include_str!("../../static/mentions.js")),
    ("menu.js", SCRIPT, include_str!("../../static/menu.js")),
    ("names.js", SCRIPT, include_str!("../../static/names.js")),
    ("notices.js", SCRIPT, include_str!("../../static/notices.js")),
    ("page.js", SCRIPT, include_str!("../../static/page.js")),
    ("people.js", SCRIPT, include_str!("../../static/people.js")),
    ("permalink.js", SCRIPT, include_str!("../../static/permalink.js")),
    ("presence.js", SCRIPT, include_str!("../../static/presence.js")),
    ("rail.js", SCRIPT, include_str!("../../static/rail.js")),
    ("rendered.js", SCRIPT, include_str!("../../static/rendered.js")),
    ("roster.js", SCRIPT, include_str!("../../static/roster.js")),
    ("roving.js", SCRIPT, include_str!("../../static/roving.js")),
    ("status.js", SCRIPT, include_str!("../../static/status.js")),
    ("unread.js", SCRIPT, include_str!("../../static/unread.js")),
    ("visitor.js", SCRIPT, include_str!("../../static/visitor.js")),
    ("writing.js", SCRIPT, include_str!("../../static/writing.js")),
    ("favicon.svg", DRAWING, include_str!("../../static/favicon.svg")),
    ("manifest.webmanifest", MANIFEST, include_str!("../../static/manifest.webmanifest")),
    ("dashboard.css", STYLE, include_str!("../../static/dashboard.css")),
    ("dashboard.js", SCRIPT, include_str!("../../static/dashboard.js")),
    ("dashboard-figures.js", SCRIPT, include_str!("../../static/dashboard-figures.js")),
    ("dashboard-formats.js", SCRIPT, include_str!("../../static/dashboard-formats.js")),
    ("dashboard-plots.js", SCRIPT, include_str!("../../static/dashboard-plots.js")),
    ("dashboard-points.js", SCRIPT, include_str!("../../static/dashboard-points.js")),
    ("uplot.css", STYLE, include_str!("../../static/uplot/uplot.css")),
    ("uplot.js", SCRIPT, include_str!("../../static/uplot/uplot.js")),
];

/// What pages of other origins may use: the client of rooms, and its types.
const SHARED: &[&str] = &["client.d.ts", "client.js", "roster.js"];

/// The page may load its own script, style and manifest and speak to this server; nothing else, from nowhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All files.
#[derive(Debug)]
pub(super) struct Files {
    /// The page of the chat.
    pub(super) page: File,
    /// The page for operators.
    pub(super) dashboard: File,
    assets: Vec<(&'static str, File)>,
}

/// One file, as it is and compressed.
#[derive(Debug)]
pub(super) struct File {
    content_type: &'static str,
    plain: Coded,
    gzip: Coded,
    /// Pages of other origins may use it.
    is_shared: bool,
}

/// A file as it is sent, and what that is known by.
#[derive(Debug)]
struct Coded {
    body: Cow<'static, [u8]>,
    entity_tag: String,
}

impl Files {
    /// All files, each with its tags. They are made once in a process.
    pub(super) fn all() -> &'static Files {
        static FILES: LazyLock<Files> = LazyLock::new(Files::new);
        &FILES
    }

    fn new() -> Files {
        let source = |name: &str| ASSETS.iter().find(|(known, ..)| *known == name).map(|(.., body)| *body);
        let Bundle { page, style, script } = Bundle::new(include_str!("../../static/index.html"), source);
        let asset = |&(name, content_type, body): &(&'static str, &'static str, &'static str)| {
            (name, File { is_shared: SHARED.contains(&name), ..File::new(content_type, body) })
        };
        let whole =
            [("whole.css", File::new(STYLE, style)), ("whole.js", File::new(SCRIPT, script))].into_iter();
        Files {
            page: File::new(HTML, page),
            dashboard: File::new(HTML, include_str!("../../static/dashboard.html")),
            assets: ASSETS.iter().map(asset).chain(whole).collect(),
        }
    }

    /// The file of this name.
    pub(super) fn asset(&self, name: &str) -> Option<&File> {
        self.assets.iter().find(|(known, _)| *known == name).map(|(_, file)| file)
    }
}

impl File {
    fn new(content_type: &'static str, text: impl Into<Cow<'static, str>>) -> File {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&body).expect("writing to a Vec cannot fail");
        let compressed = encoder.finish().expect("writing to a Vec cannot fail");
        let (plain, gzip) = (Coded::new(body), Coded::new(Cow::Owned(compressed)));
        File { content_type, plain, gzip, is_shared: false }
    }

    /// The file, or that who asks has it.
    pub(super) fn response(&'static self, request: &Request<'_>) -> Response {
        let compresses = takes_gzip(request);
        let coded = if compresses { &self.gzip } else { &self.plain };
        let response = if coded.is_known_to(request) {
            Response::new(304)
        } else {
            let whole = Response::new(200).with_body(self.content_type, Cow::Borrowed(&*coded.body));
            if compresses { whole.with_header("Content-Encoding", "gzip") } else { whole }
        };
        let response = response
            .with_header("ETag", coded.entity_tag.clone())
            .with_header("Vary", "Accept-Encoding")
            // Ask every time: a new server may bring a new page.
            .with_header("Cache-Control", "no-cache")
            .with_header("Content-Security-Policy", PAGE_POLICY)
            .with_header("X-Content-Type-Options", "nosniff")
            .with_header("X-Frame-Options", "DENY")
            .with_header("Referrer-Policy", "no-referrer");
        if self.is_shared {
            response
                .with_header("Cross-Origin-Resource-Policy", "cross-origin")
                .with_header("Access-Control-Allow-Origin", "*")
        } else {
            response.with_header("Cross-Origin-Resource-Policy", "same-origin")
        }
    }
}

impl Coded {
    fn new(body: Cow<'static, [u8]>) -> Coded {
        let digest = Sha1::digest(&body);
        let digits: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        Coded { body, entity_tag: format!("\"{digits}\"") }
    }

    /// RFC 9110 §13.1.2: a weak comparison with each tag of the list.
    fn is_known_to(&self, request: &Request<'_>) -> bool {
        request.all("If-None-Match").flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.entity_tag.as_bytes()
        })
    }
}

/// RFC 9110 §12.5.3: it is among what is accepted, and not with a weight of zero.
fn takes_gzip(request: &Request<'_>) -> bool {
    request.all("Accept-Encoding").flat_map(|value| value.split(|&byte| byte == b',')).any(|coding| {
        let mut parts = coding.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
        let is_zero = |weight: &[u8]| weight.iter().all(|byte| matches!(byte, b'0' | b'.'));
        is_gzip
            && !parts.any(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")).is_some_and(is_zero))
    })
}
