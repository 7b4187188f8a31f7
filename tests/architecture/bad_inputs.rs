//! Small inputs that break one rule each: a rule that accepts its bad input guards nothing.

use std::collections::BTreeSet;

use super::documents::{self, map_complaints};
use super::folders::{SERVER_LAYERS, folder_complaints, struct_complaints, table_complaints};
use super::page::{import_complaints, length_complaints, preload_complaints};
use super::*;

/// The rule complains of each bad text, and of none of the good ones.
fn check_rule(rule: impl Fn(&Source) -> Vec<String>, path: &str, bad: &[&str], good: &[&str]) {
    for text in bad {
        assert!(!rule(&Source::new(path, text)).is_empty(), "accepted in {path}: {text}");
    }
    for text in good {
        let complaints = rule(&Source::new(path, text));
        assert!(complaints.is_empty(), "{complaints:?} of {text}");
    }
}

#[test]
fn a_layer_that_uses_what_is_above_it() {
    check_rule(
        layer_complaints,
        "src/websocket/frame.rs",
        &[
            "use crate::connection::Connection;",
            "use crate::{http::Request, chat::Chat};",
            "fn f() -> crate::server::Server { }",
            "use super::super::chat;",
        ],
        &[
            "use crate::http::Request;",
            "use crate::{clock::Time, http::{Request, Response}};",
            "use super::close::CloseCode;",
            "// crate::chat is above",
            "const X: &str = \"crate::chat::x\";",
            "#[cfg(test)]\nmod tests { use crate::chat::Chat; }",
        ],
    );
    check_rule(
        layer_complaints,
        "src/chat/mod.rs",
        &["use super::server;", "use crate::http::Request;"],
        &["use crate::clock::Time;"],
    );
    check_rule(layer_complaints, "src/main.rs", &["use wsloop::chat;"], &["use wsloop::config;"]);
    check_rule(layer_complaints, "src/novelty.rs", &[""], &[]);
}

#[test]
fn files_in_a_circle() {
    let complaints = |files: &[(&str, &str)]| {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(&format!("perf/src/{path}"), text)).collect();
        circle_complaints("perf/src", &sources)
    };
    let top = ("main.rs", "mod a; mod b; use a::A; fn f() { b::f() }");
    for (name, bad) in [
        ("two", &[top, ("a.rs", "use crate::b::f;"), ("b.rs", "fn f() -> crate::a::A {}")][..]),
        (
            "in groups",
            &[top, ("a.rs", "use crate::{\n    b::{self, f},\n};"), ("b.rs", "use super::{a::A, c};")],
        ),
        ("with the root", &[top, ("a.rs", "use crate::Item;")]),
        ("with all of the root", &[top, ("b.rs", "use super::*;")]),
        ("with the own folder", &[("a/mod.rs", "mod x;\nx::f();"), ("a/x.rs", "use super::A;")]),
        (
            "with a module that a file is below",
            &[top, ("a/mod.rs", "mod x; use x::X;"), ("a/x.rs", "crate::a::A")],
        ),
        ("three", &[("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "use self::super::a;")]),
    ] {
        let complaints = complaints(bad);
        assert!(complaints.len() == 1 && complaints[0].matches(" → ").count() >= 2, "{name}: {complaints:?}");
    }
    for (name, good) in [
        ("one way", &[top, ("a.rs", "use crate::b::f;"), ("b.rs", "use std::fmt;")][..]),
        (
            "in a test",
            &[top, ("a.rs", "use crate::b;"), ("b.rs", "#[cfg(test)]\nmod tests { use crate::a; }")],
        ),
        (
            "by a neighbour",
            &[("a/mod.rs", "mod x; mod y; use x::X;"), ("a/x.rs", "use super::y::Y;"), ("a/y.rs", "")],
        ),
        (
            "of the same name",
            &[
                top,
                ("a.rs", "use crate::b; let b = x.a(); other::a::f()"),
                ("b.rs", "let a = a(a); x::a::b()"),
            ],
        ),
        (
            "in words",
            &[
                top,
                ("a.rs", "use crate::b;"),
                ("b.rs", "// crate::a uses this.\nconst X: &str = \"crate::a::x\";"),
            ],
        ),
        ("with itself", &[top, ("a.rs", "use self::Kind::{X, Y}; crate::a::f(); pub(super) fn f() {}")]),
    ] {
        assert_eq!(complaints(good), [""; 0], "{name}");
    }
}

#[test]
fn a_file_that_uses_what_is_above_it_in_its_folder() {
    let rule = |source: &Source| folder_complaints("server", SERVER_LAYERS, source);
    let check = |path, bad: &[&str], good: &[&str]| check_rule(rule, path, bad, good);
    check(
        "src/server/prices.rs",
        &["use super::outgoing::Outgoing;", "use super::Server;", "use super::{\n    books::Books,\n};"],
        &[
            "use crate::chat::Chat;",
            "// use super::Server;",
            "#[cfg(test)]\nmod tests { use super::Server; }",
        ],
    );
    check(
        "src/server/flush.rs",
        &["use super::tick::tick;", "fn f() { crate::server::shed::shed() }", "use super::{prices, Server};"],
        &["use super::{prices, laggard::limit_queue};"],
    );
    check(
        "src/server/books/stats.rs",
        &["use crate::server::clients::Clients;", "use crate::server::{redact::printable, Server};"],
        &["use super::Books;", "use super::ledger::Account;", "use crate::server::redact::printable;"],
    );
    check(
        "src/server/mod.rs",
        &["use read::read;", "fn f() { answers::answer() }"],
        &["mod read;", "pub use acceptor::Acceptor;", "use tick::tick;", "fn f() { self.answers::<u8>() }"],
    );
    check("src/server/novelty.rs", &[""], &[]);
    check("src/chat/mod.rs", &[], &["use super::Server;"]);
}

#[test]
fn a_table_that_points_upwards_or_to_nothing() {
    let complaints = |table, there: &[&str]| table_complaints(table, |name| there.contains(&name)).len();
    assert_eq!(complaints(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])], &["a", "b", "c"]), 0);
    assert_eq!(complaints(&[("b", &[]), ("a", &["b"])], &["a", "b"]), 1, "upwards");
    assert_eq!(complaints(&[("a", &["a"])], &["a"]), 1, "itself");
    assert_eq!(complaints(&[("a", &["b"])], &["a"]), 1, "what is in no table");
    assert_eq!(complaints(&[("a", &[]), ("b", &[])], &["a"]), 1, "what is not there");
}

#[test]
fn a_struct_that_holds_everything() {
    let server = |fields: usize| {
        let fields: String = (0..fields)
            .map(|number| format!("    /// Why, and more.\n    f{number}: Map<u8, (u8, u8)>,\n"))
            .collect();
        format!("pub struct Server<S> {{\n{fields}}}\nstruct Other {{ a: bool, b: bool }}\n")
    };
    let bools = |count: usize| server(10).replacen("Map<u8, (u8, u8)>", "bool", count);
    check_rule(
        struct_complaints,
        "src/server/mod.rs",
        &[&server(13), &bools(2), "struct Servers {}"],
        &[&server(12), &bools(1)],
    );
    check_rule(
        struct_complaints,
        "src/server/clients/client.rs",
        &["struct Client<S> {\n    stream: S,\n    pub(crate) is_open: bool,\n    is_last: bool,\n}\n", ""],
        &["struct Client<S> {\n    stream: S,\n    is_open: bool,\n    flags: Flags,\n}\n"],
    );
    check_rule(struct_complaints, "src/chat/mod.rs", &[], &[&server(13)]);
}

#[test]
fn a_pure_layer_with_a_clock_or_a_socket() {
    check_rule(
        purity_complaints,
        "src/chat/mod.rs",
        &[
            "use std::time::Instant;",
            "let now = jiff::Timestamp::now();",
            "fn f(stream: std::net::TcpStream) {}",
            "std::env::var(name)",
            "let file = std::fs::read(path);",
            "std::thread::spawn(f)",
        ],
        &[
            "use std::time::Duration; use std::net::IpAddr;",
            "// an Instant is for the loop",
            "struct Instantaneous;",
            "#[cfg(test)]\nmod tests { use std::time::Instant; }",
        ],
    );
    check_rule(purity_complaints, "src/event_loop.rs", &[], &["use std::time::Instant;"]);
}

#[test]
fn a_crate_outside_its_layer() {
    check_rule(
        crate_complaints,
        "src/server/mod.rs",
        &["use mio::Poll;", "let x = clap::Parser::parse();", "use httparse::Request;"],
        &["use log::info;", "use slab::Slab;", "let mio = 1;", "use crate::mio::Fake;"],
    );
    check_rule(crate_complaints, "src/http/request.rs", &["use mio::Token;"], &["use httparse::Request;"]);
}

#[test]
fn unsafe_code_and_unwraps() {
    check_rule(
        safety_complaints,
        "src/http/request.rs",
        &["unsafe { f() }", "x.unwrap();", "x.unwrap_err();", "dbg!(x);"],
        &[
            "x.expect(\"why it holds\"); x.unwrap_or(1); x.unwrap_or_default();",
            "// unsafe is what this is not",
            "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }",
        ],
    );
}

#[test]
fn long_files_and_functions() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
    let file = |lines: usize| "// A line.\n".repeat(lines);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", file(499), file(300));
    check_rule(
        size_complaints,
        "src/http/request.rs",
        &[&function(61), &format!("impl X {{ {} }}", function(61)), &format!("{}fn f() {{}}\n", file(500))],
        &[&function(60), &format!("{}fn f() {{}}\n", file(499)), &tests],
    );
    check_rule(size_complaints, "tests/server/main.rs", &[&file(501), &function(61)], &[&file(500)]);
}

#[test]
fn names_with_get() {
    check_rule(
        name_complaints,
        "src/http/request.rs",
        &["fn get_name() {}"],
        &["fn target() {}", "fn get() {}"],
    );
}

#[test]
fn a_lint_allowed_without_a_reason() {
    check_rule(
        allow_complaints,
        "src/http/request.rs",
        &["#[allow(dead_code)]\nfn f() {}", "fn g() {}\n#![allow(dead_code)]", "#[expect(x)]"],
        &[
            "// Each binary uses a part.\n#![allow(dead_code)]",
            "fn f() {}\n#[allow(dead_code)] // Each binary uses a part.\n",
            "#[allow(dead_code, reason = \"it is used by hand\")]",
            "let text = \"#[allow(x)]\";",
        ],
    );
}

#[test]
fn leftovers_and_paths_of_a_machine() {
    let leftover =
        [("// TO", "DO later"), ("// FIX", "ME"), ("todo", "!()"), ("\"/ro", "ot/file\""), ("/ho", "me/x")];
    for (first, second) in leftover {
        check_rule(leftover_complaints, "src/main.rs", &[&format!("{first}{second}")], &[]);
    }
    check_rule(leftover_complaints, "src/main.rs", &[], &["// To do this, read /proc/self/limits."]);
}

#[test]
fn a_dependency_without_a_reason() {
    check_rule(
        dependency_complaints,
        "Cargo.toml",
        &[
            "[dependencies]\nmio = \"1\"\n",
            "[dev-dependencies]\n# Why.\na = \"1\"\n\nb = \"1\"\n",
            "[workspace.dependencies]\nmio = \"1\"\n",
            "[dependencies]\nmio = { workspace = true }\n",
            "[target.'cfg(unix)'.dependencies]\nmio.workspace = true\n",
            "# Why.\n[dependencies]\nmio = \"1\"\n",
        ],
        &[
            "[workspace.dependencies]\n# Of both.\nmio = \"1\"\nslab = \"1\"\n\n[dependencies]\n# The loop.\nmio = { workspace = true }\n",
            "[package]\nname = \"x\"\n\n[dependencies]\n# The loop.\nmio = \"1\"\n# Two of a kind.\na = \"1\"\nb = \"1\"\n",
        ],
    );
}

/// The rule complains of each bad pair of manifests, and of none of the good ones.
fn check_manifests(rule: impl Fn(&[Source]) -> Vec<String>, bad: &[[&str; 2]], good: &[[&str; 2]]) {
    let complaints = |[root, member]: &[&str; 2]| {
        rule(&[Source::new("Cargo.toml", root), Source::new("perf/Cargo.toml", member)])
    };
    for manifests in bad {
        assert!(!complaints(manifests).is_empty(), "accepted: {manifests:?}");
    }
    for manifests in good {
        assert_eq!(complaints(manifests), [""; 0], "{manifests:?}");
    }
}

#[test]
fn a_version_that_stands_twice() {
    let shared = "[workspace.dependencies]\nmio = \"1\"\n[dependencies]\nmio = { workspace = true }\n";
    check_manifests(
        version_complaints,
        &[
            ["[dependencies]\nmio = \"1\"\n", "[dependencies]\nmio = \"1\"\n"],
            ["[dependencies]\nmio = \"1\"\n", "[dev-dependencies]\nmio = { version = \"1\" }\n"],
            [shared, "[dependencies]\nmio = { version = \"1\", features = [\"net\"] }\n"],
            // A version for all that only one has.
            [shared, "[dependencies]\nmio-more = { workspace = true }\n"],
            [shared, ""],
        ],
        &[
            [shared, "[dependencies]\nmio = { workspace = true, features = [\"net\"] }\n"],
            [shared, "[target.'cfg(unix)'.dependencies]\nmio.workspace = true\n"],
            ["[dependencies]\nmio = \"1\"\n", "[dependencies]\nslab = \"1\"\n"],
            ["[package]\nversion = \"1\"\n", "[package]\nversion = \"1\"\n"],
        ],
    );
}

#[test]
fn a_lint_that_stands_twice_or_is_relaxed_without_a_reason() {
    let lints = "[lints]\nworkspace = true\n";
    let root = |table: &str| format!("[workspace.lints.rust]\n{table}\n{lints}");
    check_manifests(
        lint_complaints,
        &[
            [lints, ""],
            ["[package]\nworkspace = true", lints],
            [lints, &format!("{lints}[lints.clippy]\ntodo = \"allow\"\n")],
            [&root("dead_code = \"allow\""), lints],
            [&root("# Why.\ndead_code = \"warn\"\nunused = { level = \"allow\", priority = 1 }"), lints],
            [&root("unexpected_cfgs = { level = \"warn\", check-cfg = ['cfg(x)'] }"), lints],
        ],
        &[[&root("missing_docs = \"warn\"\n# Why.\ndead_code = \"allow\""), lints]],
    );
}

#[test]
fn a_map_that_is_not_the_tree() {
    let tree = BTreeSet::from(["src/main.rs".to_string(), "src/chat/mod.rs".to_string()]);
    let complaints = |map: &str| map_complaints(&Source::new("src/README.md", map), &tree).len();
    assert_eq!(complaints("| `src/main.rs` | all |\n\n| `chat/mod.rs` | rooms |"), 0);
    assert_eq!(complaints("| `main.rs` | all |\n| `src/chat/mod.rs` | rooms |"), 0);
    assert_eq!(complaints("| `src/main.rs` | all |"), 1, "one file is not named");
    assert_eq!(complaints("| `main.rs` `chat/mod.rs` | all |"), 2, "one row for two");
    assert_eq!(complaints("| `main.rs` | all |\n| `main.rs` | all |\n| `chat/mod.rs` | rooms |"), 1, "twice");
    assert_eq!(complaints("main.rs and chat/mod.rs"), 2, "named, but in no row");
    assert_eq!(complaints(""), 2);
}

#[test]
fn a_document_that_names_what_is_not_there() {
    let there = ["src/main.rs", "src/chat/mod.rs", "tests/server/main.rs"];
    let complaints = |text: &str| {
        let document = Source::new("src/README.md", text);
        documents::name_complaints(&document, |path| there.contains(&path)).len()
    };
    let good =
        "`src/main.rs` | `chat/mod.rs`\n and tests/server/main.rs, [all](../tests/server/main.rs) of them.";
    assert_eq!(complaints(good), 0);
    assert_eq!(complaints("main.rs chat/mod.rs chat/room.rs"), 1, "one name has no file");
    assert_eq!(complaints("`src/room.rs`, ../tests/room.rs, nothing.rs"), 3);
}

#[test]
fn a_long_readme() {
    let words = |count: usize| "a word\n".repeat(count / 2);
    check_rule(documents::word_complaints, "README.md", &[&words(1952)], &[&words(1950)]);
}

#[test]
fn a_link_that_leads_nowhere() {
    let there = |path: &str| match path {
        "README.md" => Some("# The `whole` story, in 3 parts\n\n## Use it".to_owned()),
        "src/forms/PROTOCOL.md" | "tests/scripts" | "static/a.png" => Some(String::new()),
        _ => None,
    };
    check_rule(
        |document| documents::link_complaints(document, there),
        "src/forms/PROTOCOL.md",
        &[
            "[a](../README.md)",
            "[a](README.md)",
            "[a](../../../README.md)",
            "![a](../static/a.png)",
            "[a](../../README.md#story)",
            "# Here\n[a](#there)",
            "fine: [a](PROTOCOL.md)\nnot: [b](OTHER.md)",
            "[a](../../tests/scripts/none.txt",
        ],
        &[
            "[a](../../README.md#use-it), [b](../../README.md#the-whole-story-in-3-parts)",
            "![a](../../static/a.png) [b](../../tests/scripts/) [c](./PROTOCOL.md)",
            "# Here\n[a](#here) [b](https://example.com/none.md)",
        ],
    );
    check_rule(
        |document| documents::link_complaints(document, there),
        "README.md",
        &["[a](../README.md)", "[a](/README.mdx)"],
        &["[a](src/forms/PROTOCOL.md)\n# Here\n[b](#here) [c](https://example.com/none.md)", "f(x) [0]"],
    );
}

#[test]
fn a_long_script_or_style() {
    let file = |lines: usize| "/* A line. */\n".repeat(lines);
    check_rule(length_complaints, "static/chat.js", &[&file(501)], &[&file(500)]);
    check_rule(length_complaints, "static/chat.css", &[&file(501)], &[&file(500)]);
}

/// Modules by name, each with what it says.
fn modules(texts: &[(&str, &str)]) -> Vec<Source> {
    texts.iter().map(|(name, text)| Source::new(&format!("static/{name}.js"), text)).collect()
}

#[test]
fn modules_that_import_in_a_circle() {
    let complaints = |texts: &[(&str, &str)]| import_complaints(&modules(texts)).len();
    let (a, b, c) = (
        "import { a } from \"/assets/a.js\";\n",
        "import {\n  b,\n} from \"/assets/b.js\";\n",
        "import \"/assets/c.js\";",
    );
    assert_eq!(complaints(&[("a", b), ("b", c), ("c", "const from = 1;")]), 0);
    assert_eq!(complaints(&[("a", &format!("{b}{c}")), ("b", c), ("c", "// import \"/assets/a.js\"")]), 0);
    assert_eq!(complaints(&[("a", a)]), 1, "a module imports itself");
    assert_eq!(complaints(&[("a", b), ("b", a), ("c", "")]), 2);
    assert_eq!(complaints(&[("a", b), ("b", c), ("c", "const a = await import(\"/assets/a.js\");")]), 3);
    assert_eq!(
        complaints(&[("a", "import { b } from \"../b.js\";"), ("b", "")]),
        1,
        "no address of the page"
    );
    assert_eq!(complaints(&[("a", b)]), 1, "it is not there");
}

#[test]
fn a_module_that_is_not_preloaded() {
    let modules = modules(&[
        ("a", "import { b } from \"/assets/b.js\";"),
        ("b", "import { c } from \"/assets/c.js\";"),
        ("c", ""),
    ]);
    let script = "<script type=\"module\" src=\"/assets/a.js\"></script>\n";
    let link = |name: &str| format!("<link rel=\"modulepreload\" href=\"/assets/{name}.js\">\n");
    check_rule(
        |page| preload_complaints(page, &modules),
        "static/index.html",
        &[
            script,
            &format!("{}{script}", link("b")),
            &format!("{}{}{}{script}", link("b"), link("c"), link("d")),
            &link("b"),
        ],
        &[&format!("{}{}{script}", link("b"), link("c")), "<script src=\"/assets/uplot.js\" defer></script>"],
    );
}

#[test]
fn a_name_that_stands_for_two_types() {
    let complaints = |texts: [&str; 2]| {
        let sources = texts.map(|text| Source::new("src/chat/x.rs", text));
        type_complaints(&sources).len()
    };
    for (one, other) in [
        ("struct Event;", "pub enum Event { A }"),
        ("pub(super) trait Event {}", "pub struct Event<'a>(&'a str);"),
        ("struct Event; fn f() { struct Event; }", ""),
    ] {
        assert_eq!(complaints([one, other]), 1, "{one} {other}");
    }
    for (one, other) in [
        ("struct Event;", "struct Events;"),
        ("struct Event;", "// struct Event;\nconst X: &str = \"enum Event\";"),
        ("struct Event;", "#[cfg(test)]\nmod tests { struct Event; }"),
        ("struct Event;", "type Event = u8; impl Event {}"),
    ] {
        assert_eq!(complaints([one, other]), 0, "{one} {other}");
    }
}
