//! `contrib/SEMANTICS.md` promises nothing that no test looks at.

use std::fs;
use std::path::Path;

/// The statements of the document: its list items and the rows of its tables.
fn statements(text: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let mut in_item = false;
    for line in text.lines() {
        let is_row = line.starts_with("| ") && !line.starts_with("| operation");
        let is_item = line.starts_with("- ");
        if is_row || is_item {
            statements.push(line.to_owned());
        } else if in_item && line.starts_with("  ") {
            let last = statements.last_mut().expect("an item comes before its further lines");
            last.push_str(line);
        }
        in_item = is_item || in_item && line.starts_with("  ");
    }
    statements
}

/// The tests that a statement names: `file::test`, each in backquotes.
fn named_tests(statement: &str) -> Vec<(&str, &str)> {
    let quoted = statement.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once("::")).collect()
}

fn exists(file: &str, test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = ["tests/numpy", "tests"].map(|suite| root.join(format!("{suite}/{file}.py")));
    let rust = root.join(format!("tests/{file}.rs"));
    let has = |path: &Path, head: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("{head} {test}(")))
    };
    // Those that make their own cases stand within a macro.
    let rust_heads = ["#[test]\nfn", "    #[test]\n    fn"];
    test.starts_with("test_") && python.iter().any(|python| has(python, "def"))
        || rust_heads.iter().any(|head| has(&rust, head))
}

#[test]
fn every_statement_names_a_test_that_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/SEMANTICS.md");
    let statements = statements(&fs::read_to_string(path).unwrap());
    assert!(statements.len() > 40, "the document was read: {} statements", statements.len());
    for statement in &statements {
        let tests = named_tests(statement);
        assert!(!tests.is_empty(), "no test is named for: {statement}");
        for (file, test) in tests {
            assert!(exists(file, test), "there is no test {file}::{test}, named for: {statement}");
        }
    }
}

#[test]
fn statements_are_found_with_their_further_lines() {
    let text = "# Title\nProse.\n- One\n  goes on (`a::b`).\n\n| operation | x |\n|---|---|\n| read | `c::d` |\n";
    let found = statements(text);
    assert_eq!(found, ["- One  goes on (`a::b`).", "| read | `c::d` |"]);
    assert_eq!(named_tests(&found[0]), [("a", "b")]);
    assert!(!exists("semantics", "exists"), "it is no test");
    assert!(exists("semantics", "every_statement_names_a_test_that_there_is"));
}
