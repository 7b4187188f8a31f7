//! The rules inside a folder: which of its files may use which, and how much one struct may hold.

use crate::source::{Source, files_below, is_word, line_of, word_positions};
use crate::{check, group_members};

/// What stands in a folder, from the top to the bottom: a file or a folder, and what it uses of the others, all of
/// which stand below it. `mod` is what the folder's own `mod.rs` defines; what that re-exports (`pub use`) it does
/// not use.
pub(crate) type Table = &'static [(&'static str, &'static [&'static str])];

/// The folders that have a table.
const TABLES: &[(&str, Table)] = &[("server", SERVER_LAYERS), ("chat", CHAT_LAYERS)];

#[rustfmt::skip] // One line a file, or two.
pub(crate) const SERVER_LAYERS: Table = &[
    ("acceptor", &["mod"]),
    // Reading alone is over all of the server: a message or a request may concern any part of it.
    ("read", &["mod", "broker_link", "ending", "clients", "prices"]),
    ("committing", &["mod", "prices"]),
    ("answers", &["mod", "broker_link", "ending", "drain", "clients", "books", "prices", "redact"]),
    ("sampling", &["mod", "books", "environment", "prices"]),
    ("mod", &[
        "tick", "deliver", "flush", "shed", "reap", "laggard", "drain", "ending", "codec", "clients", "admission",
        "broker_link", "books", "outgoing",
    ]),
    ("tick", &["drain", "ending", "limits", "clients", "books", "outgoing", "prices"]),
    ("deliver", &["ending", "clients", "books", "outgoing", "environment", "prices", "stream"]),
    ("flush", &["laggard", "ending", "limits", "clients", "books", "prices", "stream"]),
    ("shed", &["laggard", "ending", "limits", "clients", "books", "outgoing", "prices"]),
    ("reap", &["broker_link", "clients", "admission", "books", "outgoing"]),
    ("drain", &["ending", "limits", "clients", "books", "outgoing"]),
    ("laggard", &["ending", "limits", "clients", "books", "outgoing"]),
    ("ending", &["clients", "books", "outgoing", "prices", "redact"]),
    ("codec", &["clients"]),
    ("limits", &["clients"]),
    ("clients", &["admission", "books", "prices", "stream"]),
    ("admission", &[]),
    ("books", &["environment", "redact", "stream"]),
    ("broker_link", &["outgoing"]),
    ("outgoing", &["prices"]),
    ("prices", &[]),
    ("redact", &[]),
    ("environment", &[]),
    ("stream", &[]),
];

#[rustfmt::skip] // One line a file, or two.
pub(crate) const CHAT_LAYERS: Table = &[
    ("join", &["mod", "channel", "identity", "history", "subscription", "refs", "kept", "room_event"]),
    ("commands", &["mod", "history", "name_rules", "form_set", "effect", "room_event"]),
    ("submit", &["mod", "channel", "pending", "effect", "room_event"]),
    ("changing", &["mod", "channel", "history", "name_rules", "reactions", "room_event"]),
    ("forgetting", &["mod", "channel", "identity", "keeping", "kept"]),
    ("mod", &["channel", "identity", "keeping", "pending", "effect"]),
    ("effect", &["channel", "room_event"]),
    ("channel", &["identity", "history", "names", "kept", "room_event"]),
    ("identity", &["refs", "kept", "room_event"]),
    ("history", &["form_set", "reactions", "allocation", "room_event"]),
    ("reactions", &["allocation", "room_event"]),
    ("allocation", &[]),
    ("pending", &["kept"]),
    ("keeping", &["kept"]),
    ("names", &["name_rules"]),
    ("refs", &["kept"]),
    ("form_set", &["room_event"]),
    ("subscription", &[]),
    ("name_rules", &[]),
    ("room_event", &[]),
    ("kept", &[]),
];

/// Structs that everything would like to be in: where each is, its name, how many fields it may have, and how many of
/// them may be `bool`. Two booleans are four states, of which some are never meant.
pub(crate) const STRUCTS: &[(&str, &str, usize, usize)] =
    &[("src/server/mod.rs", "Server", 12, 1), ("src/server/clients/client.rs", "Client", 16, 1)];

#[test]
fn a_file_uses_only_what_is_below_it_in_its_folder() {
    for (folder, table) in TABLES {
        let sources = files_below(&format!("src/{folder}"), &[".rs"]);
        check(|source| folder_complaints(folder, table, source), &sources);
        let there = |name: &str| sources.iter().any(|source| name_in(folder, &source.path) == Some(name));
        let complaints = table_complaints(table, there);
        assert!(complaints.is_empty(), "{folder}: {complaints:?}");
    }
}

#[test]
fn no_struct_holds_everything() {
    let sources = files_below("src", &[".rs"]);
    check(struct_complaints, &sources);
    for (path, name, ..) in STRUCTS {
        assert!(sources.iter().any(|source| source.path == *path), "{path} of {name} is not there");
    }
}

/// What a file uses of its folder and must not.
pub(crate) fn folder_complaints(folder: &str, table: Table, source: &Source) -> Vec<String> {
    let Some(name) = name_in(folder, &source.path).filter(|_| !source.is_test()) else { return Vec::new() };
    let Some((_, uses)) = table.iter().find(|(row, _)| *row == name) else {
        return vec![format!("{}: {name} is not in the table of {folder}", source.path)];
    };
    let code = source.code_without_tests();
    let is_known = |segment: &str| table.iter().any(|(row, _)| *row == segment);
    let mut used = used_below(&code, &format!("crate::{folder}::"));
    if name == "mod" {
        used.extend(used_in_mod(&code, table));
    } else if source.path.matches('/').count() == 2 {
        used.extend(used_below(&code, "super::"));
    }
    used.into_iter()
        .map(|(position, segment)| (position, if is_known(&segment) { segment } else { "mod".to_string() }))
        .filter(|(_, segment)| segment != name && !uses.contains(&segment.as_str()))
        .map(|(position, segment)| {
            format!("{}:{}: {name} must not use {segment}", source.path, line_of(&code, position))
        })
        .collect()
}

/// Rows that use what does not stand below them, and rows of what is not there.
pub(crate) fn table_complaints(table: Table, there: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, (name, uses)) in table.iter().enumerate() {
        let below = &table[index + 1..];
        let upward = uses.iter().filter(|used| !below.iter().any(|(row, _)| row == *used));
        complaints.extend(upward.map(|used| format!("{used} does not stand below {name}")));
        if !there(name) {
            complaints.push(format!("{name} is not there"));
        }
    }
    complaints
}

/// A struct of the list with too many fields or booleans, or that is not where the list says.
pub(crate) fn struct_complaints(source: &Source) -> Vec<String> {
    let code = source.code_without_tests();
    let mut complaints = Vec::new();
    for (_, name, fields_max, bools_max) in STRUCTS.iter().filter(|(path, ..)| *path == source.path) {
        let Some(fields) = fields_of(&code, name) else {
            complaints.push(format!("{}: there is no struct {name}", source.path));
            continue;
        };
        let bools = fields.iter().filter(|field| field.ends_with(": bool")).count();
        if fields.len() > *fields_max || bools > *bools_max {
            let count = fields.len();
            complaints.push(format!(
                "{}: {name} has {count} fields, {bools} of them bool; at most {fields_max} and {bools_max}",
                source.path
            ));
        }
    }
    complaints
}

/// `src/server/books/ledger.rs` is in `books` of the folder `server`, `src/server/read.rs` is `read`.
fn name_in<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let below = path.strip_prefix("src/")?.strip_prefix(folder)?.strip_prefix('/')?;
    Some(below.split('/').next()?.trim_end_matches(".rs"))
}

/// The segments behind `prefix`, also of grouped imports, and where they stand.
fn used_below(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (position, _) in code.match_indices(prefix) {
        // `crate::` before `super::` cannot be, but `xsuper::` can.
        if code[..position].chars().next_back().is_some_and(|c| is_word(c) || c == ':') {
            continue;
        }
        let rest = &code[position + prefix.len()..];
        let segments = rest.strip_prefix('{').map_or_else(|| vec![rest], group_members);
        used.extend(
            segments
                .iter()
                .map(|segment| (position, first_word(segment)))
                .filter(|(_, word)| !word.is_empty()),
        );
    }
    used
}

/// In `mod.rs` the files of the folder have no prefix, and `pub use` only shows them to others.
fn used_in_mod(code: &str, table: Table) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (name, _) in table {
        for position in word_positions(code, name) {
            let before = code[..position].trim_end();
            let is_path = code[position + name.len()..].starts_with("::");
            if is_path && !before.ends_with([':', '.']) && !before.ends_with("pub use") {
                used.push((position, (*name).to_string()));
            }
        }
    }
    used
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_word(*c)).collect()
}

/// The fields of a struct, `name: type` each.
fn fields_of(code: &str, name: &str) -> Option<Vec<String>> {
    let start = code.find(&format!("struct {name}<")).or_else(|| code.find(&format!("struct {name} ")))?;
    let body = &code[start..][code[start..].find('{')? + 1..];
    let body = &body[..body.find("\n}").or_else(|| body.find('}'))?];
    let (mut fields, mut depth, mut field) = (Vec::new(), 0, String::new());
    for c in body.chars().chain([',']) {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            fields.push(field.split_whitespace().collect::<Vec<_>>().join(" "));
            field.clear();
        } else {
            field.push(c);
        }
    }
    fields.retain(|field| !field.is_empty());
    Some(fields)
}
