//! The paths that what was typed can go on to. A shell waits for them, so they are found fast, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use npyfs::meta::Kind;
use npyfs::tree::Listing;

use super::locate::Located;
use super::patience::{THIS_PROGRAM, ask};
use super::{Outcome, unless_closed};
use crate::cli::Shell;

/// How long a filesystem that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many paths are offered.
const MOST_OFFERED: usize = 1000;

/// How many names of a listing that has no end are looked at. In one of more than that none is offered.
const MOST_MADE: usize = 100_000;

/// Prints the script of a shell.
pub(crate) fn script(shell: Shell) -> Outcome {
    unless_closed(io::stdout().write_all(shell.script().as_bytes()))
}

/// Answers the script of a shell.
pub(crate) fn run(shell: Shell, words: Vec<OsString>, awaited: bool) -> Outcome {
    if awaited {
        return unless_closed(io::stdout().write_all(&shell.answer(words)));
    }
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.insert(1, "--awaited".into());
    let answer = ask(Command::new(THIS_PROGRAM).args(arguments), PATIENCE)?.answer();
    let answer = answer.transpose()?.map_or_else(Vec::new, |output| output.stdout);
    unless_closed(io::stdout().write_all(&answer))
}

/// A name in a directory, and whether it is a directory's.
type Name = (OsString, bool);

/// Paths as in a mount, whether there is one or not.
pub(crate) fn in_mount(typed: &OsStr) -> Vec<OsString> {
    completed(typed, |directory| {
        if npyfs::mount::enclosing(directory).is_some() {
            return names(directory);
        }
        let Ok(found) = Located::new(directory) else { return Vec::new() };
        let Ok(listing) = found.tree.list(&found.node) else { return Vec::new() };
        let most = match listing {
            Listing::Source(..) => usize::MAX,
            Listing::Made(_) => MOST_MADE,
        };
        let entries = listing.entries_after(0).take(most.saturating_add(1));
        let names: Vec<Name> =
            entries.map(|(_, name, kind)| (name.into_owned(), kind == Kind::Directory)).collect();
        if names.len() > most { Vec::new() } else { names }
    })
}

/// Directories, and the files whose names are wanted.
pub(crate) fn real(typed: &OsStr, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<OsString> {
    completed(typed, |directory| {
        let mut names = names(directory);
        names.retain(|(name, is_directory)| *is_directory || is_wanted(name.as_bytes()));
        names
    })
}

/// Mountpoints of npyfs. They are not touched, since their daemons may be dead.
pub(crate) fn mountpoints(typed: &OsStr) -> Vec<OsString> {
    let all = npyfs::mount::mounts().unwrap_or_default().into_iter();
    let all = all.map(|mount| mount.mountpoint.into_os_string());
    all.filter(|path| path.as_bytes().starts_with(typed.as_bytes())).collect()
}

/// What a directory has. Nothing in it is touched but symlinks.
fn names(directory: &Path) -> Vec<Name> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_directory = |entry: &fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        kind => kind.is_ok_and(|kind| kind.is_dir()),
    };
    entries.map(|entry| (entry.file_name(), is_directory(&entry))).collect()
}

/// The paths that go on from what was typed, of the names that its directory has.
fn completed(typed: &OsStr, names: impl Fn(&Path) -> Vec<Name>) -> Vec<OsString> {
    let typed = typed.as_bytes();
    let start = typed.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, begun) = typed.split_at(start);
    let Some(real) = real_directory(directory) else { return Vec::new() };
    let is_wanted = |(name, _): &Name| {
        let name = name.as_bytes();
        name.starts_with(begun) && (!name.starts_with(b".") || begun.starts_with(b"."))
    };
    let path = |(name, is_directory): Name| {
        let slash = if is_directory { b"/".as_slice() } else { b"" };
        OsString::from_vec([directory, name.as_bytes(), slash].concat())
    };
    let mut paths: Vec<OsString> = names(&real).into_iter().filter(is_wanted).map(path).collect();
    paths.sort();
    // A shell writes what all have in common. With the last one in place, that stays the same.
    if let Some(last) = paths.pop() {
        paths.truncate(MOST_OFFERED - 1);
        paths.push(last);
    }
    paths
}

/// The directory that was typed, which is empty or ends with a slash.
fn real_directory(typed: &[u8]) -> Option<PathBuf> {
    if typed.is_empty() {
        return Some(".".into());
    }
    match typed.strip_prefix(b"~") {
        Some([b'/', below @ ..]) => {
            Some(PathBuf::from(std::env::var_os("HOME")?).join(OsStr::from_bytes(below)))
        }
        // The home of another user.
        Some(_) => None,
        None => Some(OsStr::from_bytes(typed).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_names_those_are_offered_that_keep_what_all_have_in_common() {
        let many = |_: &Path| (0..100_000).map(|i| (format!("x{i}").into(), false)).collect();
        let found = completed(OsStr::new("d/"), many);
        assert_eq!(
            (found.len(), &*found[0], &*found[MOST_OFFERED - 1]),
            (MOST_OFFERED, OsStr::new("d/x0"), OsStr::new("d/x99999"))
        );
    }

    #[test]
    fn hidden_names_are_offered_to_whoever_types_a_dot() {
        let names = |_: &Path| vec![(".a".into(), true), ("b".into(), false)];
        assert_eq!(completed(OsStr::new("d/"), names), ["d/b"]);
        assert_eq!(completed(OsStr::new("d/."), names), ["d/.a/"]);
    }

    #[test]
    fn what_was_typed_stays_as_it_is() {
        let names = |_: &Path| vec![("a b".into(), true)];
        assert_eq!(completed(OsStr::new("~/"), names), ["~/a b/"]);
        assert!(completed(OsStr::new("~somebody/"), names).is_empty());
        assert_eq!(completed(OsStr::new(".././a"), names), [".././a b/"]);
    }
}
