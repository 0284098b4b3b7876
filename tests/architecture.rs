//! The shape of the program, held fast: which module may know which, and where unsafe code lives.

use std::path::{Path, PathBuf};

/// Every module of the library, each after those that it may import from.
const LAYERS: [&str; 27] = [
    "locks",
    "concatenated",
    "caller",
    "credentials",
    "quota",
    "acl",
    "escape",
    "messages",
    "statistics",
    "meta",
    "npy",
    "view",
    "runs",
    "selection",
    "storage",
    "archive",
    "layout",
    "zarr",
    "encoding",
    "text",
    "error",
    "source",
    "tree",
    "inode",
    "fs",
    "fuse",
    "mount",
];

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.into_iter().map(|(path, text)| (path.strip_prefix(&root).unwrap().into(), text)).collect()
}

#[test]
fn the_library_names_its_modules_in_the_order_in_which_they_import() {
    let sources = sources();
    let (_, library) = sources.iter().find(|(path, _)| path == Path::new("lib.rs")).unwrap();
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let named: Vec<&str> = cells
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches(|c| "[]`".contains(c)).trim_start_matches("mod@"))
        .collect();
    let is_public = |layer: &&str| !["locks", "concatenated"].contains(layer);
    let expected: Vec<&str> = LAYERS.into_iter().filter(is_public).collect();
    assert_eq!(named, expected);
}

/// The top-level module that a source file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The part of a file that is not its tests, line by line, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap())
}

#[test]
fn a_module_imports_only_from_those_before_it() {
    let mut seen = 0;
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tests.rs")) {
        let Some(own) = LAYERS.iter().position(|layer| *layer == module(path)) else { continue };
        for line in code(text) {
            for import in line.split("crate::").skip(1) {
                let name: String =
                    import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let other = LAYERS.iter().position(|layer| *layer == name);
                let other = other.unwrap_or_else(|| panic!("{}: crate::{name}", path.display()));
                assert!(other <= own, "{} imports from {name}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} imports were found");
}

#[test]
fn names_of_files_are_shown_by_one_function() {
    for (path, text) in sources() {
        let line = code(&text).find(|line| line.contains(".display()"));
        assert_eq!(line, None, "{}: `shown` is for that", path.display());
    }
}

#[test]
fn what_belongs_in_one_place_is_nowhere_else() {
    for (needle, homes) in [
        ("fuser::", &["fuse", "mount"][..]),
        ("clap::", &["cli"]),
        ("memmap2", &["storage/local"]),
        ("unsafe ", &["storage/local"]),
        ("unsafe_code", &["storage"]),
    ] {
        let mut homes_in_use = Vec::new();
        for (path, text) in sources() {
            if code(&text).any(|line| line.contains(needle)) {
                let path = path.with_extension("");
                let home = homes.iter().find(|home| path.starts_with(home));
                homes_in_use.push(*home.unwrap_or_else(|| panic!("{needle} in {path:?}")));
            }
        }
        homes_in_use.sort();
        homes_in_use.dedup();
        assert_eq!(homes_in_use, homes, "{needle}");
    }
}

#[test]
fn scripts_install_no_more_than_they_name() {
    for script in ["tests/run", "contrib/bench/run"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let text = std::fs::read_to_string(path).unwrap();
        let installs: Vec<&str> =
            text.lines().filter(|line| line.contains("apt-get install")).collect();
        assert!(!installs.is_empty(), "{script}");
        // An ssh server, among others, is recommended by a package that is needed.
        assert!(installs.iter().all(|it| it.contains("--no-install-recommends")), "{installs:?}");
        // A document says which packages they may install.
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/CONTRIBUTING.md");
        let document = std::fs::read_to_string(document).unwrap();
        let named =
            text.lines().filter_map(|line| line.split_once("missing+=(")?.1.split_once(')'));
        for package in named.flat_map(|(packages, _)| packages.split(' ')) {
            assert!(document.contains(package), "{script} installs {package}");
        }
    }
}
