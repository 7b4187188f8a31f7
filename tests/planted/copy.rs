//! What cargo needs to build the simulation, in a folder of its own. Only what differs is written, so that cargo
//! builds no more than has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files and folders from the root of the project. The workspace's other crate and the tests that the manifest
/// names are never built, but cargo wants to see them.
const PARTS: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "static",
    "tests/simulation",
    "tests/support",
    "tests/amplification/main.rs",
    "tests/faults/main.rs",
    "perf/Cargo.toml",
    "perf/src/main.rs",
    "perf/benches",
];

/// The contents of files by their paths.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The parts of the project, by their paths from its root.
pub(crate) fn read(root: &Path) -> Files {
    let mut files = Files::new();
    for part in PARTS {
        collect(root, &root.join(part), &mut files);
    }
    files
}

/// Makes a folder hold these files and no others.
pub(crate) fn write(folder: &Path, files: &Files) {
    let mut before = Files::new();
    if folder.is_dir() {
        collect(folder, folder, &mut before);
    }
    for path in before.keys().filter(|path| !files.contains_key(*path)) {
        std::fs::remove_file(folder.join(path)).expect("what has gone can be removed");
    }
    for (path, content) in files.iter().filter(|(path, content)| before.get(*path) != Some(*content)) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(&path, content).expect("a file can be written");
    }
}

fn collect(root: &Path, path: &Path, files: &mut Files) {
    if !path.is_dir() {
        let content = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        files.insert(path.strip_prefix(root).expect("it is below").to_owned(), content);
        return;
    }
    for entry in std::fs::read_dir(path).expect("a folder can be read") {
        collect(root, &entry.expect("readable").path(), files);
    }
}

#[test]
fn only_what_differs_is_written_and_what_has_gone_is_removed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted_copy");
    let files = |texts: &[(&str, &str)]| -> Files {
        texts.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
    };
    let written_at = |path: &str| {
        std::fs::metadata(folder.join(path)).and_then(|file| file.modified()).expect("it was written")
    };
    write(&folder, &Files::new());
    write(&folder, &files(&[("a/same", "1"), ("a/gone", "2"), ("b", "3")]));
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    for path in ["a/same", "b"] {
        let file = std::fs::File::options().write(true).open(folder.join(path)).expect("it was written");
        file.set_modified(long_ago).expect("a time can be set");
    }
    write(&folder, &files(&[("a/same", "1"), ("b", "4"), ("c", "5")]));
    assert_eq!(written_at("a/same"), long_ago, "cargo looks at the time");
    assert_ne!(written_at("b"), long_ago);
    let mut now = Files::new();
    collect(&folder, &folder, &mut now);
    assert_eq!(now, files(&[("a/same", "1"), ("b", "4"), ("c", "5")]));
}
