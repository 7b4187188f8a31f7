//! The rules for the files of the page: how long they may be, and that its modules import downwards only.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, files_below, read};
use crate::{FILE_LINES_MAX, check};

/// Somebody else's.
const FOREIGN: &str = "static/uplot/";

#[test]
fn scripts_and_styles_are_short() {
    check(length_complaints, &own_files(&[".js", ".css"]));
}

#[test]
fn modules_import_without_circles() {
    let complaints = import_complaints(&own_files(&[".js"]));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_page_preloads_what_its_modules_import() {
    let modules = own_files(&[".js"]);
    check(|page| preload_complaints(page, &modules), &own_files(&[".html"]));
    assert!(imports(&read("static/chat.js")).len() > 3, "imports are found");
}

// ---------------------------------------------------------------- the rules

pub(crate) fn length_complaints(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let is_long = lines > FILE_LINES_MAX;
    is_long.then(|| format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path)).into_iter().collect()
}

/// Takes away modules that import nothing that is left, as long as there is one: what stays is a circle, or imports
/// one, or something that is not there.
pub(crate) fn import_complaints(modules: &[Source]) -> Vec<String> {
    let mut left: BTreeMap<String, Vec<String>> =
        modules.iter().map(|module| (address(&module.path), imports(module))).collect();
    loop {
        let free = |used: &Vec<String>| {
            used.iter()
                .all(|name| !left.contains_key(name) && modules.iter().any(|one| address(&one.path) == *name))
        };
        let Some(name) = left.iter().find(|(_, used)| free(used)).map(|(name, _)| name.clone()) else {
            break;
        };
        left.remove(&name);
    }
    left.iter()
        .map(|(name, used)| format!("{name} is in a circle or above one: it imports {used:?}"))
        .collect()
}

/// Without, a module that is imported by an imported one is asked for after both have come.
pub(crate) fn preload_complaints(page: &Source, modules: &[Source]) -> Vec<String> {
    let named = |mark: &str, attribute: &str| -> BTreeSet<String> {
        let lines = page.text.lines().filter(|line| line.contains(mark));
        lines.filter_map(|line| Some(line.split(attribute).nth(1)?.split('"').next()?.to_owned())).collect()
    };
    let first = named("type=\"module\"", "src=\"");
    let preloaded = named("rel=\"modulepreload\"", "href=\"");
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut ahead: Vec<String> = first.into_iter().collect();
    while let Some(name) = ahead.pop() {
        let module = modules.iter().find(|module| address(&module.path) == name);
        ahead.extend(module.map(imports).into_iter().flatten().filter(|name| reached.insert(name.clone())));
    }
    let missing =
        reached.difference(&preloaded).map(|name| format!("{}: {name} is not preloaded", page.path));
    let idle = preloaded.difference(&reached).map(|name| format!("{}: {name} is not imported", page.path));
    missing.chain(idle).collect()
}

// ---------------------------------------------------------------- their tools

fn own_files(endings: &[&str]) -> Vec<Source> {
    let all = files_below("static", endings).into_iter();
    all.filter(|source| !source.path.starts_with(FOREIGN)).collect()
}

/// Where a browser finds a file of the page.
fn address(path: &str) -> String {
    path.replacen("static/", "/assets/", 1)
}

/// The addresses behind `from`, `import` and `import(` of a module, as they are written.
fn imports(module: &Source) -> Vec<String> {
    let marks = ["from \"", "import \"", "import(\""];
    let code = module.text.lines().filter(|line| !line.trim_start().starts_with(['/', '*']));
    code.flat_map(|line| marks.iter().filter_map(move |mark| line.split(mark).nth(1)?.split('"').next()))
        // A module beside it, for those who load it from elsewhere.
        .map(|name| name.strip_prefix("./").map_or_else(|| name.to_owned(), |name| format!("/assets/{name}")))
        .collect()
}
