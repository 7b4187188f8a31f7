//! The rules of the house, executed: which layer may use which, what pure code must not touch, how
//! long things may be, and that the map is the tree. Each rule is a function from sources to
//! complaints; `architecture/bad_inputs.rs` shows that each can fail. Those for the page are in `architecture/page.rs`,
//! those for what people read in `architecture/documents.rs`.

#[cfg(test)]
mod bad_inputs;
mod circles;
mod documents;
mod folders;
mod manifests;
mod page;
mod source;

use circles::circle_complaints;
use manifests::{dependency_complaints, lint_complaints, version_complaints};
use std::collections::BTreeMap;

use source::{Source, files_below, functions, is_word, line_of, read, word_positions};

/// A layer is a file or a folder below `src`. It uses itself and what is listed here, nothing else.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    /// Pure layers get bytes, time and randomness as arguments.
    pure: bool,
}

const LAYERS: &[Layer] = &[
    Layer { name: "main", uses: &["config", "event_loop", "logging"], pure: false },
    // The map of the modules: it declares all and uses none.
    Layer { name: "lib", uses: &[], pure: true },
    Layer {
        name: "config",
        uses: &["event_loop", "server", "connection", "chat", "websocket", "http"],
        pure: false,
    },
    Layer { name: "event_loop", uses: &["server", "process", "logging", "clock"], pure: false },
    Layer { name: "logging", uses: &["server"], pure: false },
    Layer { name: "process", uses: &["server"], pure: false },
    Layer {
        name: "server",
        uses: &[
            "site",
            "forms",
            "connection",
            "chat",
            "broker",
            "websocket",
            "delivery",
            "http",
            "id",
            "clock",
        ],
        pure: true,
    },
    Layer { name: "site", uses: &["connection", "chat", "websocket", "http", "id"], pure: true },
    Layer { name: "connection", uses: &["websocket", "delivery", "http", "clock"], pure: true },
    Layer { name: "forms", uses: &["chat", "websocket", "id"], pure: true },
    Layer { name: "chat", uses: &["broker", "websocket", "id", "secret", "clock"], pure: true },
    Layer { name: "broker", uses: &["websocket", "id", "secret", "clock"], pure: true },
    Layer { name: "websocket", uses: &["delivery", "http", "clock"], pure: true },
    Layer { name: "delivery", uses: &[], pure: true },
    Layer { name: "http", uses: &["clock"], pure: true },
    Layer { name: "clock", uses: &[], pure: true },
    Layer { name: "id", uses: &[], pure: true },
    Layer { name: "secret", uses: &[], pure: true },
];

/// What pure layers do not touch. Addresses of `std::net` are values and allowed; sockets are not.
const IMPURE: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "UnixStream",
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::thread",
    "std::process",
    "std::os",
    "::now(",
];

/// Crates with an effect or a price of their own, and the only layers or files that use them.
const CRATES: &[(&str, &[&str])] = &[
    ("mio", &["event_loop"]),
    ("signal_hook", &["event_loop"]),
    ("signal_hook_mio", &["event_loop"]),
    ("socket2", &["event_loop"]),
    ("clap", &["config"]),
    ("rlimit", &["config"]),
    ("gethostname", &["config"]),
    ("simple_logger", &["logging"]),
    ("log", &["logging", "config", "event_loop", "server"]),
    ("httparse", &["http/request.rs"]),
    ("procfs", &["process"]),
    ("prometheus_client", &["server/books/metrics.rs"]),
    ("hdrhistogram", &["server/books/times.rs"]),
    ("serde", &["forms/json/object.rs", "forms/json/request.rs"]),
    (
        "serde_json",
        &[
            "server/books/stats.rs",
            "forms/json.rs",
            "forms/json/object.rs",
            "forms/json/request.rs",
            "chat/tests/members.rs",
        ],
    ),
    ("slab", &["server", "chat"]),
    ("simdutf8", &["websocket"]),
    ("flate2", &["websocket/deflate.rs", "site/files.rs"]),
    ("base64", &["websocket/handshake.rs", "forms/json/object.rs"]),
    ("sha1", &["websocket/handshake.rs", "site/files.rs"]),
    ("percent_encoding", &["site/routes.rs", "site/query.rs"]),
    ("form_urlencoded", &["site/query.rs"]),
    ("unicode_normalization", &["chat/name_rules.rs"]),
    ("unicode_security", &["chat/name_rules.rs"]),
    ("unicode_properties", &["chat/name_rules.rs"]),
    ("unicode_script", &["chat/name_rules.rs"]),
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;

#[test]
fn layers_use_only_what_is_below_them() {
    check(layer_complaints, &files_below("src", &[".rs"]));
}

#[test]
fn no_files_of_the_load_generator_use_each_other_in_a_circle() {
    let complaints = circle_complaints("perf/src", &files_below("perf/src", &[".rs"]));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn pure_layers_touch_no_clock_no_socket_and_no_environment() {
    check(purity_complaints, &files_below("src", &[".rs"]));
}

#[test]
fn crates_stay_in_their_layers() {
    check(crate_complaints, &files_below("src", &[".rs"]));
}

#[test]
fn no_code_can_break_memory_or_panic_for_convenience() {
    check(safety_complaints, &files_below("src", &[".rs"]));
    for folder in ["tests", "perf"] {
        check(
            |source| word_complaints(&source.path, &source.code(), &["unsafe"]),
            &files_below(folder, &[".rs"]),
        );
    }
}

#[test]
fn files_and_functions_are_short() {
    for folder in ["src", "tests", "perf"] {
        check(size_complaints, &files_below(folder, &[".rs"]));
    }
}

#[test]
fn names_follow_the_conventions() {
    check(name_complaints, &files_below("src", &[".rs"]));
}

#[test]
fn a_name_stands_for_one_type() {
    let complaints = type_complaints(&files_below("src", &[".rs"]));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_allowed_lint_has_its_reason() {
    for folder in ["src", "tests", "perf"] {
        check(allow_complaints, &files_below(folder, &[".rs"]));
    }
}

#[test]
fn nothing_is_left_for_later_and_no_path_of_a_machine_is_written() {
    let mut all: Vec<Source> =
        ["README.md", "Cargo.toml", ".ci/run", "tests/run", "perf/README.md", "perf/Cargo.toml"]
            .map(read)
            .into();
    for folder in ["src", "tests", "perf"] {
        all.extend(files_below(folder, &[".rs"]));
    }
    all.extend(files_below("src", &[".md"]));
    all.extend(files_below("static", &[".html", ".css", ".js", ".svg"]));
    check(leftover_complaints, &all);
}

#[test]
fn each_dependency_has_its_reason() {
    check(dependency_complaints, &manifests());
}

#[test]
fn versions_and_lints_stand_once_for_all_crates() {
    let complaints = [version_complaints(&manifests()), lint_complaints(&manifests())].concat();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn manifests() -> [Source; 2] {
    ["Cargo.toml", "perf/Cargo.toml"].map(read)
}

// ---------------------------------------------------------------- the rules

fn layer_complaints(source: &Source) -> Vec<String> {
    let name = layer_name(&source.path);
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("{}: the layer {name} is not in the table of layers", source.path)];
    };
    // Tests of a layer may look at it through what stands above.
    if source.is_test() {
        return Vec::new();
    }
    let code = source.code_without_tests();
    let mut complaints = Vec::new();
    for (position, used) in used_modules(&code) {
        let known = LAYERS.iter().any(|layer| layer.name == used);
        if known && used != name && !layer.uses.contains(&used.as_str()) {
            let line = line_of(&code, position);
            complaints.push(format!("{}:{line}: {name} must not use {used}", source.path));
        }
    }
    // `super` at the top of a layer leads out of it and past the check above.
    let outward = if source.path.ends_with("/mod.rs") || source.path.matches('/').count() == 1 {
        "super::"
    } else {
        "super::super::"
    };
    for (position, _) in code.match_indices(outward) {
        let line = line_of(&code, position);
        complaints.push(format!("{}:{line}: {outward} leads out of {name}; write crate::", source.path));
    }
    complaints
}

fn purity_complaints(source: &Source) -> Vec<String> {
    let name = layer_name(&source.path);
    let pure = LAYERS.iter().any(|layer| layer.name == name && layer.pure);
    if !pure || source.is_test() {
        return Vec::new();
    }
    let code = source.code_without_tests();
    IMPURE
        .iter()
        .flat_map(|impure| {
            let positions: Vec<usize> = if impure.contains(':') {
                code.match_indices(impure).map(|(position, _)| position).collect()
            } else {
                word_positions(&code, impure)
            };
            let code = &code;
            positions.into_iter().map(move |position| {
                format!("{}:{}: {impure} in the pure layer {name}", source.path, line_of(code, position))
            })
        })
        .collect()
}

fn crate_complaints(source: &Source) -> Vec<String> {
    let code = source.code_without_tests();
    let place = source.path.trim_start_matches("src/");
    let mut complaints = Vec::new();
    for (name, places) in CRATES {
        let allowed = places.iter().any(|one| *one == place || *one == layer_name(&source.path));
        for position in word_positions(&code, name) {
            // A path's first segment; `x.log` and `crate::log` are something else.
            let is_path = code[position + name.len()..].starts_with("::");
            let is_first = !code[..position].ends_with([':', '.']);
            if !allowed && is_path && is_first {
                let line = line_of(&code, position);
                complaints.push(format!("{}:{line}: {name} belongs to {}", source.path, places.join(", ")));
            }
        }
    }
    complaints
}

fn safety_complaints(source: &Source) -> Vec<String> {
    let code = source.code_without_tests();
    let mut complaints = word_complaints(&source.path, &code, &["unsafe"]);
    if !source.is_test() {
        complaints.extend(word_complaints(&source.path, &code, &["unwrap", "unwrap_err", "dbg", "todo"]));
    }
    complaints
}

fn size_complaints(source: &Source) -> Vec<String> {
    let code = if source.is_test() { source.code() } else { source.code_without_tests() };
    let mut complaints = Vec::new();
    // What is blanked at the end of the file is its tests; in between, blank lines count as written.
    let lines = if source.is_test() { source.text.lines().count() } else { code.trim_end().lines().count() };
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
    }
    for function in functions(&source.code()) {
        if function.lines > FUNCTION_LINES_MAX {
            complaints.push(format!(
                "{}:{}: {} has {} lines, at most {FUNCTION_LINES_MAX}",
                source.path, function.first_line, function.name, function.lines
            ));
        }
    }
    complaints
}

fn name_complaints(source: &Source) -> Vec<String> {
    functions(&source.code())
        .into_iter()
        .filter(|function| function.name.starts_with("get_"))
        .map(|function| format!("{}:{}: {}: without get_", source.path, function.first_line, function.name))
        .collect()
}

/// Whoever reads a name anywhere knows the thing: a struct, enum or trait of one name stands once in all layers.
fn type_complaints(sources: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let code = source.code_without_tests();
        for keyword in ["struct", "enum", "trait"] {
            for position in word_positions(&code, keyword) {
                let rest = code[position + keyword.len()..].trim_start();
                let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
                let place = format!("{}:{}", source.path, line_of(&code, position));
                if name.starts_with(char::is_uppercase)
                    && let Some(before) = seen.insert(name.clone(), place.clone())
                {
                    complaints
                        .push(format!("{place}: {name} stands at {before} too; name one of them otherwise"));
                }
            }
        }
    }
    complaints
}

/// The reason stands in the attribute, in a comment behind it, or in one on the line above.
fn allow_complaints(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut complaints = Vec::new();
    for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (position, _) in code.match_indices(start) {
            let attribute = code[position..].split(")]").next().unwrap_or_default();
            let line = line_of(&code, position);
            let own = source.text.lines().nth(line - 1).unwrap_or_default();
            let above = source.text.lines().nth(line.saturating_sub(2)).unwrap_or_default();
            let commented = own.contains("] //") || above.trim_start().starts_with("//");
            if !attribute.contains("reason =") && !commented {
                complaints.push(format!("{}:{line}: an allowed lint without its reason", source.path));
            }
        }
    }
    complaints
}

fn leftover_complaints(source: &Source) -> Vec<String> {
    // In two parts, so that this file does not complain of itself.
    let words = [("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("HA", "CK")];
    let texts = [
        ("todo", "!("),
        ("unimplemented", "!("),
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/tm", "p/"),
    ];
    let mut complaints = Vec::new();
    for (first, second) in words {
        let word = format!("{first}{second}");
        complaints.extend(word_complaints(&source.path, &source.text, &[&word]));
    }
    for (first, second) in texts {
        let text = format!("{first}{second}");
        for (position, _) in source.text.match_indices(&text) {
            complaints.push(format!("{}:{}: {text}", source.path, line_of(&source.text, position)));
        }
    }
    complaints
}

// ---------------------------------------------------------------- their tools

fn check(rule: impl Fn(&Source) -> Vec<String>, sources: &[Source]) {
    assert!(!sources.is_empty(), "a rule without files holds for nothing");
    let complaints: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn word_complaints(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    words
        .iter()
        .flat_map(|word| {
            word_positions(text, word)
                .into_iter()
                .map(move |position| format!("{path}:{}: {word}", line_of(text, position)))
        })
        .collect()
}

/// `src/chat/room.rs` is in `chat`, `src/clock.rs` is `clock`.
fn layer_name(path: &str) -> &str {
    let below = path.trim_start_matches("src/");
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// The first segments of all paths into this crate, also of grouped imports, and where they stand.
fn used_modules(code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for name in ["crate", "wsloop"] {
        for position in word_positions(code, name) {
            let Some(rest) = code[position + name.len()..].strip_prefix("::") else {
                continue;
            };
            let segments: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group_members(group),
                None => vec![rest],
            };
            used.extend(segments.into_iter().map(|segment| {
                (position, segment.trim_start().chars().take_while(|c| is_word(*c)).collect())
            }));
        }
    }
    used
}

/// The members of `{a::b, c::{d, e}}` from behind its brace: `a::b` and `c::{d, e}`.
fn group_members(group: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (position, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..position]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    members
}
