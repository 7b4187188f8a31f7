//! Rust source as far as the rules need to see it: code without comments, strings and tests, and
//! where its functions begin and end. Not a parser; the inputs at the end show what it must tell apart.

use std::path::{Path, PathBuf};

/// One file, with its path from the root of the repository and `/` between the parts.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Source from a test.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// The text with comments and the contents of strings blanked; lines keep their numbers.
    pub(crate) fn code(&self) -> String {
        blank_comments_and_strings(&self.text)
    }

    /// As `code`, with everything under `#[cfg(test)]` blanked too.
    pub(crate) fn code_without_tests(&self) -> String {
        blank_tests(&self.code())
    }

    /// Whether the file is a test as a whole.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// A function and the lines that it takes, its signature included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) first_line: usize,
    pub(crate) lines: usize,
}

/// All files below `folder` of the repository whose names end so, sorted.
pub(crate) fn files_below(folder: &str, endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut folders = vec![root.join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is in the repository") {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                let relative = path.strip_prefix(&root).expect("it is below the root");
                sources.push(read(&relative.to_string_lossy()));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

/// One file of the repository.
pub(crate) fn read(path: &str) -> Source {
    let text = std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
    Source::new(path, &text)
}

/// Whether the repository has this file.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).is_file()
}

/// What a file of the repository holds; of a folder or a picture, nothing. `None` if it is not there.
pub(crate) fn there(path: &str) -> Option<String> {
    let path = root().join(path);
    path.exists().then(|| std::fs::read_to_string(path).unwrap_or_default())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The functions of blanked code.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for start in word_positions(code, "fn") {
        let after = code[start + 2..].trim_start();
        let name: String = after.chars().take_while(|c| is_word(*c)).collect();
        // `fn(u8) -> u8` is a type; a declaration without a body ends at its semicolon.
        let Some(open) = body_start(code, start).filter(|_| !name.is_empty()) else {
            continue;
        };
        let close = matching_brace(code, open);
        let first_line = line_of(code, start);
        functions.push(Function { name, first_line, lines: line_of(code, close) - first_line + 1 });
    }
    functions
}

/// Where a word stands that is not part of a longer one.
pub(crate) fn word_positions(code: &str, word: &str) -> Vec<usize> {
    code.match_indices(word)
        .map(|(start, _)| start)
        .filter(|&start| {
            let before = code[..start].chars().next_back();
            let after = code[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
        .collect()
}

/// The line of a position, counted from one.
pub(crate) fn line_of(text: &str, position: usize) -> usize {
    text[..position].matches('\n').count() + 1
}

/// Whether a character can be part of a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The brace that opens the body of the function at `start`; nothing when a semicolon comes first.
fn body_start(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(start + offset),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The brace that closes the one at `open`, or the end of a text that lacks it.
fn matching_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    code.len()
}

fn blank_tests(code: &str) -> String {
    let mut kept = code.to_string();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let item = start + attribute.len();
        let end = match code[item..].find(['{', ';']).map(|offset| item + offset) {
            Some(open) if code[open..].starts_with('{') => matching_brace(code, open) + 1,
            Some(semicolon) => semicolon + 1,
            None => code.len(),
        };
        let end = end.min(code.len());
        kept.replace_range(start..end, &blank(&code[start..end]));
    }
    kept
}

/// Spaces of the same length in bytes, with the line ends kept.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

fn blank_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = code.ends_with(is_word);
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_length(rest),
            '"' => string_length(rest, 0, 0),
            'r' | 'b' | 'c' if !after_word => prefixed_string_length(rest),
            '\'' => character_length(rest),
            _ => 0,
        };
        let (taken, left) = rest.split_at(if length == 0 { c.len_utf8() } else { length });
        if length == 0 {
            code.push_str(taken);
        } else {
            code.push_str(&blank(taken));
        }
        rest = left;
    }
    code
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        if rest.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string whose quote stands after `prefix` bytes and which ends with `hashes`.
fn string_length(text: &str, prefix: usize, hashes: usize) -> usize {
    let raw = text.starts_with('r') || text.starts_with("br") || text.starts_with("cr");
    let end = format!("\"{}", "#".repeat(hashes));
    let mut position = prefix + 1;
    while position < text.len() {
        let rest = &text[position..];
        if rest.starts_with(&end) {
            return position + end.len();
        }
        let skipped = usize::from(!raw && rest.starts_with('\\'));
        position += rest.chars().take(skipped + 1).map(char::len_utf8).sum::<usize>();
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#`, `b"…"`, `b'…'` and the like; zero for a name that begins so.
fn prefixed_string_length(text: &str) -> usize {
    let letters = text.chars().take_while(char::is_ascii_alphabetic).count();
    let hashes = text[letters..].chars().take_while(|c| *c == '#').count();
    let rest = &text[letters + hashes..];
    let is_prefix = matches!(&text[..letters], "r" | "b" | "c" | "br" | "cr");
    let is_raw = text[..letters].ends_with('r');
    if is_prefix && rest.starts_with('"') && (is_raw || hashes == 0) {
        string_length(text, letters + hashes, hashes)
    } else if &text[..letters] == "b" && rest.starts_with('\'') {
        letters + character_length(rest)
    } else {
        0
    }
}

/// The length of a character such as `'x'` or `'\''`; zero for a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |offset| 3 + offset + 1),
        Some((_, c)) if text[1 + c.len_utf8()..].starts_with('\'') => 1 + c.len_utf8() + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_nothing_else() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* { /* } */ \n */ b", "a              \n    b"),
            ("f(\"}\\\"{\", x)", "f(      , x)"),
            ("f(r#\"\"{\"#, x)", "f(       , x)"),
            ("f(b\"{\", '{', '\\'', b'}')", "f(    ,    ,     ,     )"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("forbar\"x\"", "forbar   "),
            ("r + b", "r + b"),
            ("'好' {", "      {"),
            ("'\\u{7b}' x", "         x"),
        ] {
            assert_eq!(Source::new("", text).code(), code, "{text:?}");
        }
    }

    #[test]
    fn tests_are_blanked_and_what_follows_is_kept() {
        let text = "a\n#[cfg(test)]\nmod tests {\n    fn f() { { } }\n}\nb #[cfg(test)] use c; d";
        let code = Source::new("", text).code_without_tests();
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "d"]);
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn functions_are_measured_with_their_signatures() {
        let text = "trait T { fn declared(x: [u8; 2]); }\nfn one() {}\nfn two(\n  f: fn(u8) -> u8,\n) {\n  {\n  }\n}\n";
        let found: Vec<(String, usize, usize)> = functions(&Source::new("", text).code())
            .into_iter()
            .map(|function| (function.name, function.first_line, function.lines))
            .collect();
        assert_eq!(found, [("one".to_string(), 2, 1), ("two".to_string(), 3, 6)]);
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(word_positions("unsafe unsafely un_unsafe", "unsafe"), [0]);
    }
}
