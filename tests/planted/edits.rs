//! The edits of all bugs, made at once. Each is looked for in the source as it stands, so that none depends on
//! another: two may name the same lines, but not change the same characters.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bug::{Bug, Edit};

/// What an edit changes, without what stays of the lines that it names.
#[derive(Debug)]
struct Change<'a> {
    bug: &'a str,
    range: Range<usize>,
    put: &'a str,
}

/// Plants the bugs in these files, which are named from `src`. If an edit does not apply, nothing is planted.
pub(crate) fn plant(bugs: &[Bug], files: &mut BTreeMap<String, String>) -> Result<(), Vec<String>> {
    let mut changes: BTreeMap<&str, Vec<Change<'_>>> = BTreeMap::new();
    let mut complaints = Vec::new();
    for bug in bugs {
        for edit in &bug.edits {
            let found = match files.get(&edit.file) {
                Some(text) => change_of(&bug.name, edit, text),
                None => Err("there is no such file".to_owned()),
            };
            match found {
                Ok(change) => changes.entry(&edit.file).or_default().push(change),
                Err(what) => complaints.push(format!("{}, in {}: {what}", bug.name, edit.file)),
            }
        }
    }
    for (file, changes) in &mut changes {
        // Stable: what is inserted at one place stands there in the order of the bugs' names.
        changes.sort_by_key(|change| (change.range.start, change.range.end));
        for (one, other) in changes.iter().zip(&changes[1..]) {
            if other.range.start < one.range.end {
                let text = &files[*file][one.range.clone()];
                complaints.push(format!("{} and {}, in {file}: both change `{text}`", one.bug, other.bug));
            }
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    for (file, changes) in changes {
        let text = files.get_mut(file).expect("it was found above");
        for change in changes.into_iter().rev() {
            text.replace_range(change.range, change.put);
        }
    }
    Ok(())
}

fn change_of<'a>(bug: &'a str, edit: &'a Edit, text: &str) -> Result<Change<'a>, String> {
    let (find, put) = (edit.find.as_str(), edit.put.as_str());
    if find.is_empty() || find == put {
        return Err(format!("the edit changes nothing:\n{find}"));
    }
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(place, _)| place + 1));
    let places: Vec<usize> = starts.filter(|start| text[*start..].starts_with(find)).collect();
    let [place] = places[..] else {
        return Err(format!("these lines must stand there once, not {} times:\n{find}", places.len()));
    };
    let before = common(find.chars(), put.chars());
    let (left, put) = (&find[before..], &put[before..]);
    let behind = common(left.chars().rev(), put.chars().rev());
    let range = place + before..place + find.len() - behind;
    Ok(Change { bug, range, put: &put[..put.len() - behind] })
}

/// How many bytes are the same from the beginning.
fn common(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).map(|(one, _)| one.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bug::Caught;

    const SOURCE: &str = "fn f() {\n    if é {\n        g();\n    }\n    g();\n    h();\n    h();\n}\n";

    fn check(edits: &[(&str, &str, &str)], expected: Result<&str, &str>) {
        let bug = |(name, find, put): &(&str, &str, &str)| Bug {
            name: (*name).to_owned(),
            caught: Caught::Within(1),
            edits: vec![Edit { file: "f.rs".to_owned(), find: (*find).to_owned(), put: (*put).to_owned() }],
        };
        let bugs: Vec<Bug> = edits.iter().map(bug).collect();
        let mut files = BTreeMap::from([("f.rs".to_owned(), SOURCE.to_owned())]);
        let outcome = plant(&bugs, &mut files);
        match expected {
            Ok(changed) => {
                assert_eq!(outcome, Ok(()));
                assert_eq!(files["f.rs"], changed);
            }
            Err(complaint) => {
                let complaints = outcome.expect_err(complaint);
                assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaints:?}");
                assert_eq!(files["f.rs"], SOURCE, "and nothing is planted");
            }
        }
    }

    #[test]
    fn whole_lines_are_changed_with_their_indentation() {
        let changed = SOURCE.replace("    }\n    g();", "    }\n    i();");
        check(&[("a", "    g();\n", "    i();\n")], Ok(&changed));
    }

    #[test]
    fn an_edit_that_does_not_apply_is_told_with_its_file_and_its_text() {
        for find in ["    i();\n", "  g();\n", "g();\n", "    g();\n    h();\n}\n"] {
            let complaint = format!("a, in f.rs: these lines must stand there once, not 0 times:\n{find}");
            check(&[("a", find, "    j();\n")], Err(&complaint));
        }
        check(&[("a", "", "    j();\n")], Err("a, in f.rs: the edit changes nothing"));
        check(&[("a", "    g();\n", "    g();\n")], Err("a, in f.rs: the edit changes nothing:\n    g();\n"));
    }

    #[test]
    fn an_edit_that_applies_twice_is_told_with_its_file_and_its_text() {
        let complaint = "a, in f.rs: these lines must stand there once, not 2 times:\n    h();\n";
        check(&[("a", "    h();\n", "    i();\n")], Err(complaint));
    }

    #[test]
    fn an_edit_of_a_file_that_is_not_there_is_told() {
        let edit = Edit { file: "g.rs".to_owned(), find: "x\n".to_owned(), put: "y\n".to_owned() };
        let bug = Bug { name: "a".to_owned(), caught: Caught::Within(1), edits: vec![edit] };
        let complaints = plant(&[bug], &mut BTreeMap::new()).expect_err("it has no file");
        assert_eq!(complaints, ["a, in g.rs: there is no such file"]);
    }

    #[test]
    fn two_edits_of_one_line_do_not_depend_on_each_other() {
        let changed = SOURCE.replace("if é {", "if i && é && j && k {");
        check(
            &[
                ("a", "    if é {\n", "    if é && j {\n"),
                ("b", "    if é {\n        g();\n", "    if é && k {\n        g();\n"),
                ("c", "fn f() {\n    if é {\n", "fn f() {\n    if i && é {\n"),
            ],
            Ok(&changed),
        );
    }

    #[test]
    fn two_edits_of_the_same_characters_are_told() {
        check(
            &[("a", "    if é {\n        g();\n", ""), ("b", "    if é {\n", "    if i {\n")],
            Err("a and b, in f.rs: both change `    if é {\n        g();\n`"),
        );
    }
}
