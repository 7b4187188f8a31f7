//! The many files of a page as three: itself, one style and one module. Over a slow network each further request
//! costs as much as a good part of the page. Made of the files as they are, when they are first asked for.
//!
//! It understands modules as ours are written, and tests hold them to it: an import is one line, of names; what is
//! exported is declared in its line, is never assigned again, and has a name that no other module exports.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a page loads instead of its files.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The page, which names the two others.
    pub(super) page: String,
    /// Its styles, one behind the other.
    pub(super) style: String,
    /// Its modules, what is imported above what imports it. It exports what all of them export.
    pub(super) script: String,
}

/// Where both are.
const STYLE: &str = "/assets/whole.css";
const SCRIPT: &str = "/assets/whole.js";

impl Bundle {
    /// Bundles the styles that a page names, and the module with all that it imports. `read` gives a file of
    /// `/assets`.
    pub(super) fn new(page: &str, read: impl Fn(&str) -> Option<&'static str>) -> Bundle {
        let mut bundle = Bundle { page: String::new(), style: String::new(), script: String::new() };
        let mut exports = Vec::new();
        let mut written = BTreeSet::new();
        for line in page.lines() {
            if let Some(name) = named(line, "rel=\"stylesheet\"", "href=\"") {
                if bundle.style.is_empty() {
                    bundle.add_line(&line.replace(&format!("/assets/{name}"), STYLE));
                }
                bundle.style.push_str(&without_comments(read(name).unwrap_or_default()));
            } else if let Some(name) = named(line, "type=\"module\"", "src=\"") {
                bundle.add_line(&line.replace(&format!("/assets/{name}"), SCRIPT));
                bundle.add_module(name, &read, &mut written, &mut exports);
            } else if !line.contains("rel=\"modulepreload\"") {
                bundle.add_line(line);
            }
        }
        bundle.write(format_args!("export {{ {} }};\n", exports.join(", ")));
        bundle
    }

    fn add_line(&mut self, line: &str) {
        self.page.push_str(line);
        self.page.push('\n');
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.script.write_fmt(text).expect("writing to a String cannot fail");
    }

    /// A module behind those that it imports, in a function, so that its own names stay its own.
    fn add_module(
        &mut self,
        name: &str,
        read: &impl Fn(&str) -> Option<&'static str>,
        written: &mut BTreeSet<String>,
        exports: &mut Vec<String>,
    ) {
        if !written.insert(name.to_owned()) {
            return;
        }
        let source = without_comments(read(name).unwrap_or_default());
        let mut body = String::new();
        let mut own = Vec::new();
        for line in source.lines() {
            if let Some(imported) = imported(line) {
                self.add_module(imported, read, written, exports);
                continue;
            }
            let declared = line.strip_prefix("export ");
            own.extend(declared.map(declared_name));
            body.push_str(declared.unwrap_or(line));
            body.push('\n');
        }
        let names = own.join(", ");
        self.write(format_args!("const {{ {names} }} = (() => {{\n{body}return {{ {names} }};\n}})();\n"));
        exports.extend(own.into_iter().map(str::to_owned));
    }
}

/// The file of `/assets` that a line of a page names, if it has this mark.
fn named<'a>(line: &'a str, mark: &str, attribute: &str) -> Option<&'a str> {
    let address = line.contains(mark).then(|| line.split(attribute).nth(1))??;
    address.split('"').next()?.strip_prefix("/assets/")
}

/// The file that a line imports from.
pub(super) fn imported(line: &str) -> Option<&str> {
    let address = line.strip_prefix("import { ")?.split("} from \"").nth(1)?.strip_suffix("\";")?;
    address.strip_prefix("/assets/").or_else(|| address.strip_prefix("./"))
}

/// `function name(…` and so on: the name.
pub(super) fn declared_name(declaration: &str) -> &str {
    let words = declaration.trim_start_matches("async ");
    let rest = words.split_once(' ').map_or("", |(_, rest)| rest);
    rest.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).next().unwrap_or_default()
}

/// Lines that are comments, and nothing else, are for who reads the files themselves. A text of several lines may have
/// one that begins with two slashes, but none with a space behind them.
fn without_comments(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut is_comment = false;
    for line in source.lines() {
        let text = line.trim_start();
        let begins = text.starts_with("/*");
        if !(is_comment || begins || text.starts_with("// ") || text.is_empty()) {
            kept.push_str(line);
            kept.push('\n');
        }
        is_comment = (is_comment || begins) && !text.contains("*/");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(files: &'static [(&str, &str)]) -> Bundle {
        let read = |name: &str| files.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        Bundle::new(read("page.html").expect("a page"), read)
    }

    #[test]
    fn a_page_and_its_files_become_three() {
        let files = &[
            (
                "page.html",
                "<head>\n  <link rel=\"stylesheet\" href=\"/assets/a.css\">\n\
                 \x20 <link rel=\"stylesheet\" href=\"/assets/b.css\">\n\
                 \x20 <link rel=\"modulepreload\" href=\"/assets/low.js\">\n\
                 \x20 <script type=\"module\" src=\"/assets/top.js\"></script>\n</head>\n",
            ),
            ("a.css", "/* What it is,\n   and what else. */\na { color: red }\n"),
            ("b.css", "b { color: blue } /* why */\n"),
            ("low.js", "/** One. */\nexport const one = 1; // of many\nexport async function two() {\n}\n"),
            (
                "middle.js",
                "import { one } from \"./low.js\";\n\nexport class Three {\n  // None.\n}\nconst help = `one\n//: two`;\n",
            ),
            (
                "top.js",
                "import { Three } from \"/assets/middle.js\";\nimport { one, two } from \"/assets/low.js\";\n\
                 console.log(one, two, Three);\n",
            ),
        ];
        let Bundle { page, style, script } = bundle(files);
        assert_eq!(
            page,
            "<head>\n  <link rel=\"stylesheet\" href=\"/assets/whole.css\">\n\
             \x20 <script type=\"module\" src=\"/assets/whole.js\"></script>\n</head>\n"
        );
        assert_eq!(style, "a { color: red }\nb { color: blue } /* why */\n");
        assert_eq!(
            script,
            "const { one, two } = (() => {\nconst one = 1; // of many\nasync function two() {\n}\n\
             return { one, two };\n})();\n\
             const { Three } = (() => {\nclass Three {\n}\nconst help = `one\n//: two`;\nreturn { Three };\n})();\n\
             const {  } = (() => {\nconsole.log(one, two, Three);\nreturn {  };\n})();\n\
             export { one, two, Three };\n"
        );
    }
}
