//! Which file of a crate uses which, and that none of them uses itself by way of others: a file can be read
//! when those that it uses are known.

use std::collections::{BTreeMap, BTreeSet};

use crate::group_members;
use crate::source::{Source, is_word, word_positions};

/// Complains of the first circle among the files of a crate whose root is in `folder`. Tests may use all.
pub(crate) fn circle_complaints(folder: &str, sources: &[Source]) -> Vec<String> {
    let files: Vec<File<'_>> =
        sources.iter().filter(|source| !source.is_test()).map(|source| File::new(folder, source)).collect();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|file| (file.path, file.uses(&files))).collect();
    // What uses nothing of the rest is below it. Of a circle no file is.
    loop {
        let is_lowest = |used: &BTreeSet<&str>| !used.iter().any(|path| uses.contains_key(path));
        let lowest: Vec<&str> =
            uses.iter().filter(|(_, used)| is_lowest(used)).map(|(path, _)| *path).collect();
        if lowest.is_empty() {
            break;
        }
        uses.retain(|path, _| !lowest.contains(path));
    }
    circle(&uses).map(|way| format!("a circle of files: {}", way.join(" → "))).into_iter().collect()
}

/// The way from a file back to it, where each uses another of them.
fn circle<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut way = vec![*uses.keys().next()?];
    loop {
        let next = uses[way.last()?].iter().find(|path| uses.contains_key(*path))?;
        let start = way.iter().position(|path| path == next);
        way.push(next);
        if let Some(start) = start {
            return Some(way.split_off(start));
        }
    }
}

/// A file as the module that it is: `load/mod.rs` is `["load"]`, `load/plan.rs` is `["load", "plan"]`.
struct File<'a> {
    path: &'a str,
    module: Vec<String>,
    code: String,
}

impl<'a> File<'a> {
    fn new(folder: &str, source: &'a Source) -> File<'a> {
        let below = source.path.trim_start_matches(folder).trim_matches('/').trim_end_matches(".rs");
        let mut module: Vec<String> = below.split('/').map(str::to_string).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "main" | "lib")) {
            module.pop();
        }
        File { path: &source.path, module, code: source.code_without_tests() }
    }

    /// The other files that its paths lead to.
    fn uses(&self, files: &[File<'a>]) -> BTreeSet<&'a str> {
        let children = files
            .iter()
            .filter(|file| {
                file.module.len() == self.module.len() + 1 && file.module.starts_with(&self.module)
            })
            .filter_map(|file| file.module.last().map(String::as_str));
        let mut used = BTreeSet::new();
        for first in ["crate", "self", "super"].into_iter().chain(children) {
            for position in word_positions(&self.code, first) {
                // `crate` and the like begin a path; `x::load` and `x.load()` are something else.
                if self.code[..position].ends_with([':', '.']) {
                    continue;
                }
                for path in paths(&self.code[position..]).iter().filter(|path| path.len() > 1) {
                    used.extend(target(&self.absolute(path), files));
                }
            }
        }
        used.remove(self.path);
        used
    }

    /// A path of this file from the root of the crate.
    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut absolute =
            if path.first().is_some_and(|first| first == "crate") { Vec::new() } else { self.module.clone() };
        for segment in path {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(absolute.pop()),
                name => absolute.push(name.to_string()),
            }
        }
        absolute
    }
}

/// The file of the innermost module that a path goes through; what comes behind is an item of it.
fn target<'a>(path: &[String], files: &[File<'a>]) -> Option<&'a str> {
    let through = files.iter().filter(|file| path.starts_with(&file.module));
    through.max_by_key(|file| file.module.len()).map(|file| file.path)
}

/// The paths that a text begins with: of `a::{b, c::d} …` they are `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return group_members(group).into_iter().flat_map(paths).collect();
    }
    let segment: String = text.chars().take_while(|c| is_word(*c)).collect();
    match text[segment.len()..].strip_prefix("::") {
        Some(rest) if !segment.is_empty() => {
            paths(rest).into_iter().map(|path| [vec![segment.clone()], path].concat()).collect()
        }
        // `super::*` ends with what has no name.
        _ => vec![vec![segment]],
    }
}
