//! The rules of the documents: the map is the tree, README.md is short, and what they name and link to is there.

use std::collections::BTreeSet;

use super::source::{Source, exists, files_below, is_word, line_of, read, there};

/// Where the map stands.
const MAP: &str = "src/README.md";
/// What a stranger reads in one go.
const README_WORDS_MAX: usize = 1_950;

/// What is for people to read.
fn documents() -> Vec<Source> {
    let mut all = vec![read("README.md")];
    for folder in ["src", "tests", "perf"] {
        all.extend(files_below(folder, &[".md"]));
    }
    all
}

#[test]
fn the_map_is_the_tree() {
    let tree: BTreeSet<String> = files_below("src", &[".rs"]).into_iter().map(|source| source.path).collect();
    let complaints = map_complaints(&read(MAP), &tree);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn rust_files_that_documents_name_are_there() {
    // Those below `tests` and `perf` name files from where they are.
    let of_all = ["README.md", MAP, "src/OPERATING.md", "src/forms/PROTOCOL.md"].map(read);
    super::check(|document| name_complaints(document, exists), &of_all);
}

#[test]
fn the_readme_is_short() {
    super::check(word_complaints, &[read("README.md")]);
}

#[test]
fn links_of_documents_lead_somewhere() {
    let documents = documents();
    for path in ["README.md", MAP, "src/forms/PROTOCOL.md", "tests/README.md", "perf/README.md"] {
        assert!(documents.iter().any(|document| document.path == path), "{path} is looked at");
    }
    super::check(|document| link_complaints(document, there), &documents);
}

/// Every file of the tree has a row of its own in the map.
pub(super) fn map_complaints(map: &Source, tree: &BTreeSet<String>) -> Vec<String> {
    let rows = map.text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let named: Vec<String> = rows.map(|(name, _)| rooted(name)).collect();
    let count = |path: &String| named.iter().filter(|one| *one == path).count();
    let missing = tree
        .iter()
        .filter(|path| count(path) != 1)
        .map(|path| format!("{}: {path} has {} rows of its own", map.path, count(path)));
    missing.collect()
}

/// Every Rust file that is named, from the root (`src/chat/mod.rs`) or from `src` (`chat/mod.rs`), exists.
pub(super) fn name_complaints(document: &Source, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let words = document.text.split(|c: char| !is_word(c) && !matches!(c, '/' | '.' | '-'));
    let named: BTreeSet<String> = words
        // From where a document is, as links are written.
        .map(|word| word.trim_start_matches("../"))
        .filter(|word| word.ends_with(".rs") && word.len() > ".rs".len())
        .map(rooted)
        .collect();
    let stale = named.iter().filter(|path| !exists(path));
    stale.map(|path| format!("{} names {path}, which is not there", document.path)).collect()
}

/// As `wc -w` counts them.
pub(super) fn word_complaints(document: &Source) -> Vec<String> {
    let words = document.text.split_whitespace().count();
    let is_long = words > README_WORDS_MAX;
    let complaint = || format!("{}: {words} words, at most {README_WORDS_MAX}", document.path);
    is_long.then(complaint).into_iter().collect()
}

/// Every link and picture that is not an address leads to a file or a folder, and `#…` to a heading there.
pub(super) fn link_complaints(document: &Source, there: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut complaints = Vec::new();
    for (position, _) in document.text.match_indices("](") {
        let rest = &document.text[position + 2..];
        let target = &rest[..rest.find(')').unwrap_or(rest.len())];
        if target.contains("://") {
            continue;
        }
        let mut complain = |what: &str| {
            let line = line_of(&document.text, position);
            complaints.push(format!("{}:{line}: ({target}) {what}", document.path));
        };
        let (file, heading) = target.split_once('#').map_or((target, None), |(file, at)| (file, Some(at)));
        let text = match file {
            "" => Some(document.text.clone()),
            file => resolved(folder, file).and_then(|path| there(&path)),
        };
        match (text, heading) {
            (None, _) => complain("leads nowhere"),
            (Some(text), Some(heading)) if !anchors(&text).any(|anchor| anchor == heading) => {
                complain("leads to no heading");
            }
            (Some(_), _) => {}
        }
    }
    complaints
}

/// The path of a Rust file from the root, however it is named.
fn rooted(name: &str) -> String {
    let is_rooted = ["src/", "tests/", "perf/"].iter().any(|folder| name.starts_with(folder));
    if is_rooted { name.to_owned() } else { format!("src/{name}") }
}

/// A path from the root, of one from a folder; none if it leaves the repository.
fn resolved(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// What leads to the headings of a document: small letters, hyphens for spaces, no other signs.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let is_kept = |c: &char| is_word(*c) || matches!(c, '-' | ' ');
        heading.chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
