//! What the documents name is there: files, and what is said to be in them.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents, without what is in fenced blocks.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md")];
    let contrib = fs::read_dir(root().join("contrib")).unwrap();
    let entries: Vec<PathBuf> = contrib.map(|entry| entry.unwrap().path()).collect();
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    paths.extend(entries.iter().filter(|path| is_document(path)).cloned());
    paths.extend(entries.iter().map(|path| path.join("README.md")).filter(|path| path.exists()));
    let text = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
    };
    paths.into_iter().map(|path| (path.clone(), text(&path))).collect()
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The paths of the project that a document quotes: `src/fs.rs`, the program in `tests/run 5`.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    quoted(text)
        .filter_map(|quoted| quoted.split_whitespace().next())
        .filter(|word| ["src/", "tests/", "contrib/"].iter().any(|start| word.starts_with(start)))
        .filter(|word| !word.contains(|c| "<*…:".contains(c)))
}

/// The targets of links within the project, without the place in the file.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    files.filter(|file| !file.is_empty() && !file.contains("://"))
}

/// What is said to be in which file: `Selector` (`src/selection.rs`).
fn placed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("` (`").zip(text.split("` (`").skip(1)).filter_map(|(before, after)| {
        let file = after
            .split('`')
            .next()
            .filter(|file| file.starts_with("src/") || file.starts_with("tests/"))?;
        Some((before.rsplit('`').next()?, file))
    })
}

#[test]
fn files_that_are_named_or_linked_exist() {
    let mut seen = 0;
    for (path, text) in documents() {
        for file in named_files(&text) {
            assert!(root().join(file).exists(), "{}: `{file}`", path.display());
            seen += 1;
        }
        for file in links(&text) {
            assert!(path.with_file_name(file).exists(), "{}: ({file})", path.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} names were found");
}

#[test]
fn what_is_said_to_be_in_a_file_is_there() {
    let path = root().join("contrib/CONTRIBUTING.md");
    let text = fs::read_to_string(&path).unwrap();
    let placed: Vec<_> = placed(&text).collect();
    assert!(placed.len() > 10, "{placed:?}");
    for (name, file) in placed {
        let code = fs::read_to_string(root().join(file)).unwrap();
        let word = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let kinds = ["struct", "enum", "trait", "fn", "class", "def"];
        let is_there = kinds.iter().any(|kind| {
            code.match_indices(&format!("{kind} {name}"))
                .any(|(at, head)| word(&code[at + head.len()..]))
        });
        assert!(is_there, "there is no {name} in {file}");
    }
}

#[test]
fn names_are_found_in_text() {
    let text =
        "See `tests/run 5`, `X` (`src/lib.rs`), [this](contrib/a.md#b) and [that](https://x).";
    assert_eq!(named_files(text).collect::<Vec<_>>(), ["tests/run", "src/lib.rs"]);
    assert_eq!(links(text).collect::<Vec<_>>(), ["contrib/a.md"]);
    assert_eq!(placed(text).collect::<Vec<_>>(), [("X", "src/lib.rs")]);
}
