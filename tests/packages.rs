//! What packages are made of is there: contrib/package/check tries the packages themselves, and takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The manual pages and the completions, by their names.
fn pages_and_completions() -> Vec<String> {
    let mut names = Vec::new();
    for directory in ["contrib/man", "contrib/completions"] {
        for entry in fs::read_dir(project(directory)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                names.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    names.sort();
    names
}

/// What the symlinks in a directory lead to, all the way down.
fn linked(directory: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            linked(&path, names);
        } else {
            let file =
                path.canonicalize().unwrap_or_else(|err| panic!("{}: {err}", path.display()));
            names.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn a_wheel_has_every_page_and_completion() {
    let mut names = Vec::new();
    linked(&project("contrib/python/data"), &mut names);
    names.sort();
    assert_eq!(names, pages_and_completions(), "contrib/python/data has a link to each");
}

#[test]
fn what_a_deb_holds_is_there() {
    let manifest = fs::read_to_string(project("Cargo.toml")).unwrap();
    let (_, assets) = manifest.split_once("\nassets = [\n").unwrap();
    let (assets, _) = assets.split_once("\n]").unwrap();
    let sources: Vec<&str> = assets
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next())
        .collect();
    assert!(sources.len() > 6, "{sources:?}");
    for source in sources.into_iter().filter(|source| !source.starts_with("target/")) {
        let found = match source.split_once('*') {
            None => project(source).is_file(),
            Some((directory, suffix)) => fs::read_dir(project(directory))
                .unwrap()
                .any(|entry| entry.unwrap().path().to_string_lossy().ends_with(suffix)),
        };
        assert!(found, "{source}");
    }
}

#[test]
fn the_changelog_of_the_deb_begins_with_this_version() {
    let changelog = fs::read_to_string(project("contrib/debian/changelog")).unwrap();
    let expected = format!("npyfs ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&expected), "{changelog}");
}

#[test]
fn the_notices_name_each_dependency() {
    let script = project("contrib/package/notices");
    assert!(Command::new(script).status().unwrap().success());
    let manifest = fs::read_to_string(project("Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    for file in ["THIRD-PARTY", "copyright"] {
        let notices = fs::read_to_string(project("target/package").join(file)).unwrap();
        for line in dependencies.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split_whitespace().next().unwrap();
            assert!(
                notices.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
                "{file}: {name}"
            );
        }
    }
}
