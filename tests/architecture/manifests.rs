//! What the manifests of the workspace must say: why each dependency is there, and versions and lints once.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

const SHARED_VERSIONS: &str = "workspace.dependencies";
const SHARED_LINTS: &str = "workspace.lints.";

/// One line of a table, such as `mio = { workspace = true }`.
struct Entry<'a> {
    path: &'a str,
    line: usize,
    table: &'a str,
    text: &'a str,
    /// Whether a comment is right above it.
    has_comment: bool,
    /// The same, or above its neighbour, which then has the same reason.
    has_reason: bool,
}

impl<'a> Entry<'a> {
    fn name(&self) -> &'a str {
        self.text.split([' ', '=', '.']).next().unwrap_or(self.text)
    }

    fn is_dependency(&self) -> bool {
        self.table.ends_with("dependencies")
    }

    /// Whether its version stands in the table of the workspace.
    fn is_shared(&self) -> bool {
        self.text.replace(' ', "").contains("workspace=true")
    }

    fn complaint(&self, what: &str) -> String {
        format!("{}:{}: {what} {:?}", self.path, self.line, self.text)
    }
}

fn entries(source: &Source) -> Vec<Entry<'_>> {
    let (mut table, mut has_comment, mut has_reason) = ("", false, false);
    let mut entries = Vec::new();
    for (index, text) in source.text.lines().enumerate() {
        if text.starts_with('[') {
            table = text.trim_matches(['[', ']']);
            (has_comment, has_reason) = (false, false);
        } else if text.starts_with('#') {
            (has_comment, has_reason) = (true, true);
        } else if text.trim().is_empty() {
            (has_comment, has_reason) = (false, false);
        } else {
            entries.push(Entry { path: &source.path, line: index + 1, table, text, has_comment, has_reason });
            has_comment = false;
        }
    }
    entries
}

/// Each entry of a table of dependencies has a comment right above it, or shares one with its neighbour.
pub(crate) fn dependency_complaints(source: &Source) -> Vec<String> {
    let entries = entries(source).into_iter().filter(|entry| entry.is_dependency() && !entry.has_reason);
    entries.map(|entry| entry.complaint("no reason above")).collect()
}

/// A dependency of several crates has its version in the table of the workspace, and one of a single crate at
/// that crate, beside its reason.
pub(crate) fn version_complaints(manifests: &[Source]) -> Vec<String> {
    let all: Vec<Entry<'_>> = manifests.iter().flat_map(entries).filter(Entry::is_dependency).collect();
    let (shared, used): (Vec<_>, Vec<_>) = all.iter().partition(|entry| entry.table == SHARED_VERSIONS);
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in &used {
        users.entry(entry.name()).or_default().insert(entry.path);
    }
    let is_of_one = |entry: &&&Entry<'_>| users.get(entry.name()).is_none_or(|users| users.len() < 2);
    let has_own = |entry: &&&Entry<'_>| !is_of_one(entry) && !entry.is_shared();
    let unshared = used
        .iter()
        .filter(has_own)
        .map(|entry| entry.complaint("of several crates, and with a version of its own:"));
    let alone = shared.iter().filter(is_of_one).map(|entry| entry.complaint("not of several crates:"));
    unshared.chain(alone).collect()
}

/// Every crate has the lints of the workspace, and a relaxed one has its reason right above it.
pub(crate) fn lint_complaints(manifests: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in manifests {
        let entries = entries(source);
        if !entries.iter().any(|entry| entry.table == "lints" && entry.is_shared()) {
            complaints.push(format!("{}: without the lints of the workspace", source.path));
        }
        for entry in entries {
            if entry.table.starts_with("lints.") {
                complaints.push(entry.complaint("lints belong to the workspace:"));
            }
            let is_relaxed = entry.text.contains("\"allow\"") || entry.text.contains("check-cfg");
            if entry.table.starts_with(SHARED_LINTS) && is_relaxed && !entry.has_comment {
                complaints.push(entry.complaint("no reason above"));
            }
        }
    }
    complaints
}
