//! The manual pages in contrib/man. The page of a command has what clap knows of it and what is in
//! contrib/man/text; npyfs-paths(7) is contrib/PATHS.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;

mod markdown;

/// If it is in the environment, the pages are written.
const WRITE: &str = "NPYFS_WRITE_PAGES";

/// When the pages last changed their meaning.
const DATE: &str = "2026-11-28";

/// What a page says of the program that it belongs to.
const SOURCE: &str = concat!("npyfs ", env!("CARGO_PKG_VERSION"));

/// The longest line of a page, in bytes.
const MAX_LINE: usize = 78;

const EXIT_STATUS: &str = "\
## Exit status

`0`

: It is done.

`1`

: It could not be done; standard error says why.

`2`

: The command line is wrong.
";

const PATHS: &str = "npyfs-paths(7)";

fn in_contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_contrib(path)).unwrap_or_else(|err| panic!("contrib/{path}: {err}"))
}

/// The program and its commands, except for hidden ones.
fn commands() -> Vec<Command> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let visible = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut commands: Vec<Command> = visible.collect();
    commands.push(program);
    commands
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// Other pages to read.
fn see_also(own: &str, commands: &[Command]) -> String {
    let mut pages: Vec<String> = commands.iter().map(|it| format!("{}(1)", name(it))).collect();
    pages.push(PATHS.to_owned());
    pages.retain(|page| page != own);
    pages.sort();
    let pages = pages.iter().map(|page| page.replacen('n', "**n", 1).replacen('(', "**(", 1));
    format!("## See also\n\n{}\n", pages.collect::<Vec<_>>().join(", "))
}

/// How a command is called.
fn synopsis(command: &Command) -> Vec<u8> {
    let usage = command.clone().render_usage().to_string();
    let called = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let (_, arguments) = usage.split_once(called).expect("the usage begins with the command");
    let mut page = Roff::new();
    page.control("SH", ["SYNOPSIS"]).text([bold(called), roman(arguments)]);
    page.render().into_bytes()
}

/// The page of a command.
fn of_command(command: &Command, commands: &[Command]) -> String {
    let name = name(command);
    let man = Man::new(command.clone()).title(name.to_uppercase()).date(DATE).source(SOURCE);
    let man = man.manual("npyfs");
    let text = read(&format!("man/text/{name}.md"));
    let (description, sections) = text.split_once("\n## ").unwrap_or((&text, ""));
    let mut page = Vec::new();
    let part = |render: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>, page: &mut Vec<u8>| {
        render(page).expect("a vector has room");
    };
    part(&|page| man.render_title(page), &mut page);
    part(&|page| man.render_name_section(page), &mut page);
    page.extend(synopsis(command));
    page.extend(roff(&format!("## Description\n\n{description}")));
    part(&|page| man.render_options_section(page), &mut page);
    if command.has_subcommands() {
        part(&|page| man.render_subcommands_section(page), &mut page);
    }
    page.extend(roff(EXIT_STATUS));
    page.extend(roff(&format!("## {sections}")));
    page.extend(roff(&see_also(&format!("{name}(1)"), commands)));
    finished(page)
}

/// The page of PATHS.md.
fn of_paths(commands: &[Command]) -> String {
    let text = read("PATHS.md");
    let (title, text) = text.split_once('\n').expect("it has a title");
    let about = title.trim_start_matches("# What ");
    let mut page = Roff::new();
    page.control("TH", ["NPYFS-PATHS", "7", DATE, SOURCE, "npyfs"]);
    let mut page = page.render().into_bytes();
    page.extend(roff(&format!("## Name\n\nnpyfs-paths - what {about}\n\n## Description\n{text}")));
    page.extend(roff(&see_also(PATHS, commands)));
    finished(page)
}

fn roff(markdown: &str) -> Vec<u8> {
    markdown::to_roff(markdown).render().into_bytes()
}

/// A page with one preamble, and lines that a person can read.
fn finished(page: Vec<u8>) -> String {
    let page = String::from_utf8(page).expect("its parts are UTF-8");
    let preamble = Roff::new().render();
    let mut finished = preamble.clone();
    let mut in_code = false;
    let page = page.replace(&preamble, "");
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        // Before the values that an option can have.
        let is_doubled = line == ".br" && lines.peek().is_some_and(|next| next.is_empty());
        if is_doubled || line.is_empty() && !in_code {
            continue;
        }
        in_code = line == ".EX" || in_code && line != ".EE";
        let is_text = !in_code && !line.starts_with('.');
        let folded = if is_text { folded(line) } else { line.to_owned() };
        finished.extend([&*folded, "\n"]);
    }
    finished
}

/// A line of text as several. None of them begins as a macro does.
fn folded(line: &str) -> String {
    let mut folded = String::new();
    let mut width = 0;
    for word in line.split_whitespace() {
        let is_macro = word.starts_with(['.', '\'']);
        let separator = match width {
            0 => "",
            _ if width + 1 + word.len() > MAX_LINE && !is_macro => "\n",
            _ => " ",
        };
        width = if separator == "\n" { 0 } else { width + separator.len() } + word.len();
        folded.extend([separator, word]);
    }
    folded
}

fn pages() -> BTreeMap<String, String> {
    let commands = commands();
    let of_commands =
        commands.iter().map(|it| (format!("{}.1", name(it)), of_command(it, &commands)));
    of_commands.chain([("npyfs-paths.7".to_owned(), of_paths(&commands))]).collect()
}

/// The pages that there are.
fn written() -> BTreeMap<String, String> {
    let entries = fs::read_dir(in_contrib("man")).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, fs::read_to_string(path).ok()?))
    };
    entries.filter_map(file).collect()
}

#[test]
fn the_pages_say_what_the_program_does() {
    let pages = pages();
    if std::env::var_os(WRITE).is_some() {
        for name in written().keys().filter(|name| !pages.contains_key(*name)) {
            fs::remove_file(in_contrib("man").join(name)).unwrap();
        }
        for (name, text) in &pages {
            fs::write(in_contrib("man").join(name), text).unwrap();
        }
    }
    let written = written();
    let outdated =
        pages.keys().chain(written.keys()).find(|name| pages.get(*name) != written.get(*name));
    assert_eq!(
        outdated, None,
        "contrib/man is out of date; this writes it: {WRITE}=1 cargo test --bin npyfs cli::man"
    );
}

#[test]
fn hidden_commands_and_options_are_on_no_page() {
    let pages = pages();
    assert!(pages.len() > 8 && pages.contains_key("npyfs-mount.1"), "{:?}", pages.keys());
    let program = Cli::command();
    for hidden in program.get_subcommands().filter(|command| command.is_hide_set()) {
        assert!(!pages.contains_key(&format!("npyfs-{}.1", hidden.get_name())));
    }
    for (name, text) in &pages {
        assert!(!text.contains("in\\-background"), "{name}");
    }
}
