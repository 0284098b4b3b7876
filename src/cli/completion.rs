//! What a shell completes: commands and options, which clap knows, and paths as in a mount.
//!
//! The scripts in contrib/completions hand over what was typed, and get lines to choose from. Which part of the
//! last word such a line replaces, and how it has to be written, differs from shell to shell.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, complete};

use super::Cli;
use crate::command::complete as paths;

/// A shell that has a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Names of dtypes, as `create` takes them.
const DTYPES: [&str; 28] = [
    "bool",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "f2",
    "f4",
    "f8",
    "c8",
    "c16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "datetime64[ns]",
];

/// What paths are told from other words by.
const PATH: &str = "path";

impl Shell {
    /// Its script, in contrib/completions.
    pub(crate) fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("../../contrib/completions/npyfs.bash"),
            Shell::Zsh => include_str!("../../contrib/completions/_npyfs"),
            Shell::Fish => include_str!("../../contrib/completions/npyfs.fish"),
        }
    }

    /// What the shell is told of a command line that its script hands over.
    pub(crate) fn answer(self, words: Vec<OsString>) -> Vec<u8> {
        let Some(typed) = self.typed(words) else { return Vec::new() };
        let found = candidates(&typed.words);
        let lines = found.iter().filter_map(|candidate| {
            let name = candidate.get_value().as_bytes().get(typed.kept..)?;
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.lines().next().unwrap_or_default();
            (!name.iter().any(u8::is_ascii_control))
                .then(|| self.line(name, help, is_path(candidate)))
        });
        [self.head(&found)].into_iter().flatten().chain(lines).flatten().collect()
    }

    /// What comes before the candidates: how bash is to write them.
    fn head(self, found: &[CompletionCandidate]) -> Option<Vec<u8>> {
        if self != Shell::Bash {
            return None;
        }
        let mut options = String::new();
        if found
            .iter()
            .any(|candidate| candidate.get_tag().is_some_and(|tag| tag.to_string() == PATH))
        {
            options.push_str(" -o filenames");
        }
        if found.first().is_some_and(|only| only.get_value().as_bytes().ends_with(b"/")) {
            options.push_str(" -o nospace");
        }
        options.push('\n');
        Some(options.into_bytes())
    }

    fn line(self, name: &[u8], help: &str, is_path: bool) -> Vec<u8> {
        let mut line = Vec::with_capacity(name.len() + help.len() + 2);
        match self {
            // Paths are quoted by bash.
            Shell::Bash if is_path => line.extend(name),
            Shell::Bash => line.extend(&*shlex::bytes::try_quote(name).unwrap_or(name.into())),
            Shell::Fish => line.extend([name, b"\t", help.as_bytes()].concat()),
            Shell::Zsh => {
                for byte in name {
                    if matches!(byte, b':' | b'\\') {
                        line.push(b'\\');
                    }
                    line.push(*byte);
                }
                if !help.is_empty() {
                    line.extend([b":", help.as_bytes()].concat());
                }
            }
        }
        line.push(b'\n');
        line
    }

    /// What was typed, given what the script hands over.
    fn typed(self, mut words: Vec<OsString>) -> Option<Typed> {
        let last = words.pop()?;
        let kept = match self {
            // The line, and the end of it that bash is about to replace: of a word with a colon, for
            // instance, what follows the colon.
            Shell::Bash => {
                let line = words.pop()?;
                words = split(line.as_bytes());
                let word = words.last()?;
                let as_typed = last.as_bytes();
                let unescaped = as_typed.iter().copied().filter(|byte| *byte != b'\\').collect();
                let replaced = [as_typed.to_vec(), unescaped]
                    .into_iter()
                    .find(|end: &Vec<u8>| word.as_bytes().ends_with(end));
                word.len() - replaced.map_or(word.len(), |end| end.len())
            }
            Shell::Zsh => {
                let kept = last.as_bytes().iter().rposition(|byte| *byte == b'/');
                words.push(last);
                kept.map_or(0, |slash| slash + 1)
            }
            // The words, and what there is of the last one as it was typed.
            Shell::Fish => {
                words.push(split(last.as_bytes()).pop()?);
                0
            }
        };
        Some(Typed { words, kept })
    }
}

fn is_path(candidate: &CompletionCandidate) -> bool {
    candidate.get_tag().is_some_and(|tag| tag.to_string() == PATH)
}

/// A command line up to the cursor.
struct Typed {
    /// Its words; the last one is to be completed.
    words: Vec<OsString>,
    /// How many bytes of the last word stay as they were typed.
    kept: usize,
}

/// The words of a line that may end in the middle of a word, or of quotes.
fn split(line: &[u8]) -> Vec<OsString> {
    // With a letter after it, an empty word at the end counts too.
    let ends = [b"x".as_slice(), b"x'", b"x\""];
    let whole = ends.iter().find_map(|end| shlex::bytes::split(&[line, end].concat()));
    let mut words = whole.unwrap_or_default();
    if let Some(last) = words.last_mut() {
        last.pop();
    }
    words.into_iter().map(OsString::from_vec).collect()
}

/// What the last of these words can be.
fn candidates(words: &[OsString]) -> Vec<CompletionCandidate> {
    let Some((index, last)) = words.iter().enumerate().next_back() else { return Vec::new() };
    let found = complete(&mut Cli::command(), words.to_vec(), index, None);
    // Options are offered to whoever asks for them by a dash.
    let is_wanted = |candidate: &CompletionCandidate| {
        let is_option = candidate.get_value().as_bytes().starts_with(b"-");
        !candidate.is_hide_set() && (!is_option || last.as_bytes().starts_with(b"-"))
    };
    found.unwrap_or_default().into_iter().filter(is_wanted).collect()
}

fn completer(find: impl Fn(&OsStr) -> Vec<OsString> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| in_directory(find(typed)))
}

/// Candidates that a shell may look at as files.
fn in_directory(paths: Vec<OsString>) -> Vec<CompletionCandidate> {
    let candidate = |path| CompletionCandidate::new(path).tag(Some(PATH.into()));
    paths.into_iter().map(candidate).collect()
}

/// Paths as in a mount.
pub(super) fn in_mount() -> ArgValueCompleter {
    completer(paths::in_mount)
}

/// What can be mounted.
pub(super) fn sources() -> ArgValueCompleter {
    completer(|typed| paths::real(typed, |name| name.ends_with(b".npy") || name.ends_with(b".npz")))
}

/// Files that have an array.
pub(super) fn arrays() -> ArgValueCompleter {
    completer(|typed| paths::real(typed, |name| name.ends_with(b".npy")))
}

/// Files and directories.
pub(super) fn files() -> ArgValueCompleter {
    completer(|typed| paths::real(typed, |_| true))
}

/// Directories.
pub(super) fn directories() -> ArgValueCompleter {
    completer(|typed| paths::real(typed, |_| false))
}

/// Where something is mounted, or else a directory.
pub(super) fn mountpoints() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mountpoints = paths::mountpoints(typed);
        if mountpoints.is_empty() {
            return in_directory(paths::real(typed, |_| false));
        }
        // They are no paths to bash, which would look at them and wait for a daemon that hangs.
        mountpoints.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Names of dtypes.
pub(super) fn dtypes() -> ArgValueCandidates {
    words(&DTYPES)
}

/// Orders of elements.
pub(super) fn orders() -> ArgValueCandidates {
    words(&["C", "F"])
}

fn words(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || words.iter().map(CompletionCandidate::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfs::npy::typed;

    fn answer(shell: Shell, words: &[&str]) -> String {
        let words = words.iter().map(OsString::from).collect();
        String::from_utf8(shell.answer(words)).unwrap()
    }

    #[test]
    fn a_line_ends_anywhere() {
        for (line, expected) in [
            ("npyfs ", &["npyfs", ""][..]),
            ("npyfs cat", &["npyfs", "cat"]),
            (r"npyfs cat my\ di", &["npyfs", "cat", "my di"]),
            ("npyfs cat 'my di", &["npyfs", "cat", "my di"]),
            ("npyfs cat \"it's ", &["npyfs", "cat", "it's "]),
            (r"npyfs cat my\", &["npyfs", "cat", "my"]),
            ("", &[""]),
        ] {
            assert_eq!(split(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn commands_and_options_are_those_of_the_command_line() {
        assert_eq!(answer(Shell::Bash, &["npyfs umo", "umo"]), "\numount\n");
        assert_eq!(answer(Shell::Bash, &["npyfs mount --no", "--no"]), "\n--no-tiles\n--noexec\n");
        let fish = answer(Shell::Fish, &["npyfs", "re"]);
        assert!(fish.starts_with("refs\tPrint where the chunks"), "{fish}");
        assert_eq!(answer(Shell::Zsh, &["npyfs", "completions", ""]), "bash\nzsh\nfish\n");
        assert_eq!(answer(Shell::Zsh, &["npyfs", "create", "x", "--order", ""]), "C\nF\n");
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        for hidden in ["wat", "complet"] {
            let answer = answer(Shell::Fish, &["npyfs", hidden]);
            assert!(!answer.contains("watch") && !answer.contains("complete\t"), "{answer}");
        }
        assert_eq!(answer(Shell::Fish, &["npyfs", "mount", "--in-b"]), "");
    }

    #[test]
    fn bash_gets_what_follows_the_part_that_it_keeps() {
        let line = "npyfs create x --dtype=float6";
        assert_eq!(answer(Shell::Bash, &[line, "float6"]), "\nfloat64\n");
        assert_eq!(
            answer(Shell::Bash, &["npyfs create x --dtype float6", "float6"]),
            "\nfloat64\n"
        );
    }

    #[test]
    fn dtypes_that_are_offered_are_dtypes() {
        for name in DTYPES {
            assert!(typed::dtype(name).is_ok(), "{name}");
        }
    }
}
