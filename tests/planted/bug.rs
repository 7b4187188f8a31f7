//! A bug as a file: what it is, how it must be caught, and the edits that plant it. README.md tells the format.

use std::path::Path;

/// How a bug must be caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    /// In so many seeds at the latest.
    Within(u32),
    /// By this test: it takes a client that is not drawn by chance.
    By(String),
}

/// Lines of a file below `src`, each with its line end, and those that stand in the copy in their place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) file: String,
    pub(crate) find: String,
    pub(crate) put: String,
}

#[derive(Debug)]
pub(crate) struct Bug {
    pub(crate) name: String,
    pub(crate) caught: Caught,
    pub(crate) edits: Vec<Edit>,
}

/// The bugs of a folder, in the order of their names: each file is one.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Bug>, Vec<String>> {
    let (mut bugs, mut complaints) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).expect("the bugs are here") {
        let path = entry.expect("readable").path();
        let file = path.file_name().expect("a name").to_string_lossy();
        let Some(name) = file.strip_suffix(".txt") else {
            complaints.push(format!("{file}: a bug is a file NAME.txt"));
            continue;
        };
        match Bug::parse(name, &std::fs::read_to_string(&path).expect("a bug is text")) {
            Ok(bug) => bugs.push(bug),
            Err(complaint) => complaints.push(format!("{file}: {complaint}")),
        }
    }
    bugs.sort_by(|one, other| one.name.cmp(&other.name));
    if complaints.is_empty() { Ok(bugs) } else { Err(complaints) }
}

impl Bug {
    /// Reads a bug. The complaint says what is missing.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut lines = text.split_inclusive('\n');
        let head = lines.by_ref().take_while(|line| *line != "\n").count();
        if head == 0 {
            return Err("it begins with what the bug is".to_owned());
        }
        let caught = lines.next().unwrap_or_default();
        let caught = parse_caught(caught).ok_or_else(|| {
            format!("`caught within N seeds` or `caught by TEST` behind an empty line, not {caught:?}")
        })?;
        let mut edits = Vec::new();
        while let Some(line) = lines.find(|line| *line != "\n") {
            let file = line.strip_prefix("in ").ok_or_else(|| format!("`in FILE`, not {line:?}"))?.trim_end();
            expect(lines.next(), "find\n")?;
            let find = lines_before("put\n", &mut lines)?;
            let put = lines_before("end\n", &mut lines)?;
            edits.push(Edit { file: file.to_owned(), find, put });
        }
        let condition = format!("crate::planted::is_awake(\"{name}\")");
        let conditions: usize = edits.iter().map(|edit| edit.put.matches("is_awake").count()).sum();
        let own: usize = edits.iter().map(|edit| edit.put.matches(&condition).count()).sum();
        if own == 0 || own != conditions {
            return Err(format!("its edits depend on {condition}, and on no other bug"));
        }
        Ok(Self { name: name.to_owned(), caught, edits })
    }
}

fn parse_caught(line: &str) -> Option<Caught> {
    let rest = line.strip_prefix("caught ")?.trim_end();
    if let Some(test) = rest.strip_prefix("by ") {
        return Some(Caught::By(test.to_owned()));
    }
    Some(Caught::Within(rest.strip_prefix("within ")?.strip_suffix(" seeds")?.parse().ok()?))
}

fn expect(line: Option<&str>, expected: &str) -> Result<(), String> {
    if line == Some(expected) { Ok(()) } else { Err(format!("{expected:?}, not {line:?}")) }
}

/// The lines up to this one, which is read, too. It stands at the margin, where no line of an edit stands alone.
fn lines_before<'a>(last: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<String, String> {
    let mut before = String::new();
    for line in lines {
        if line == last {
            return Ok(before);
        }
        before.push_str(line);
    }
    Err(format!("an edit ends without {last:?}"))
}

#[test]
fn a_bug_is_read_with_its_white_space() {
    let text = "It says nothing.\nNobody notices.\n\ncaught within 7 seeds\n\nin a/b.rs\nfind\n    say();\n\nput\n    \
                if !crate::planted::is_awake(\"mute\") {\n        say();\n    }\n\nend\nin c.rs\nfind\nx\nput\nend\n";
    let bug = Bug::parse("mute", text).expect("nothing is missing");
    assert_eq!((bug.name.as_str(), bug.caught), ("mute", Caught::Within(7)));
    let put = "    if !crate::planted::is_awake(\"mute\") {\n        say();\n    }\n\n";
    let first = Edit { file: "a/b.rs".to_owned(), find: "    say();\n\n".to_owned(), put: put.to_owned() };
    let second = Edit { file: "c.rs".to_owned(), find: "x\n".to_owned(), put: String::new() };
    assert_eq!(bug.edits, [first, second]);
    let by = Bug::parse("mute", &text.replace("within 7 seeds", "by floods::a_test"));
    assert_eq!(by.expect("as good").caught, Caught::By("floods::a_test".to_owned()));
}

#[test]
fn a_bug_that_lacks_something_is_refused() {
    let edit = "in a.rs\nfind\nx\nput\ny(crate::planted::is_awake(\"mute\"))\nend\n";
    let whole = format!("A head.\n\ncaught within 7 seeds\n\n{edit}");
    assert!(Bug::parse("mute", &whole).is_ok());
    for (from, to, complaint) in [
        ("A head.\n", "", "what the bug is"),
        ("within 7", "within some", "`caught within N seeds`"),
        ("seeds", "", "`caught within N seeds`"),
        (edit, "", "its edits depend on"),
        ("in a.rs", "a.rs", "`in FILE`"),
        ("find\n", "", "\"find\\n\""),
        ("put\n", "", "without \"put\\n\""),
        ("end\n", "", "without \"end\\n\""),
        ("\"mute\"", "\"loud\"", "crate::planted::is_awake(\"mute\"), and on no other"),
        ("y(", "y(crate::planted::is_awake(\"loud\"), ", "and on no other"),
    ] {
        let found = Bug::parse("mute", &whole.replacen(from, to, 1)).expect_err(from);
        assert!(found.contains(complaint), "{from:?}: {found}");
    }
}
