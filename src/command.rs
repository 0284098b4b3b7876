//! What each command does.

use std::borrow::Cow;
use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use npyfs::escape::shown;
use npyfs::meta::Kind;
use npyfs::mount::{Gone, Place, Process, in_words};

mod advice;
pub(crate) mod cat;
pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod info;
mod locate;
pub(crate) mod mount;
pub(crate) mod refs;

use locate::Located;

/// Done, or why not, in one line that names the file.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

pub(crate) fn umount(mountpoint: &Path, force: bool) -> Outcome {
    if let Gone::Lazily(users) = npyfs::mount::unmount(mountpoint, force)? {
        let path = shown(mountpoint);
        eprintln!("npyfs: {path}: in use{}; it is gone when its last user is done", by(&users));
    }
    Ok(())
}

/// Who uses something, if that is known.
fn by(users: &[Process]) -> String {
    if users.is_empty() { String::new() } else { format!(" by {}", in_words(users)) }
}

/// Lists a directory while reading it, so that an endless listing starts at once. On a terminal names are
/// escaped where it would act on them; other programs get them unchanged.
pub(crate) fn ls(path: &Path) -> Outcome {
    if let Some((source, within)) = npyfs::mount::enclosing(path)
        && let Ok(entries) = std::fs::read_dir(path)
    {
        // In a mount it is what it is: the arrays' directories stand there.
        let mut failed = None;
        let entries = entries.map_while(|entry| {
            let entry = entry.map_err(|err| failed = Some(err)).ok()?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            Some((Cow::Owned(entry.file_name()), is_directory))
        });
        write_listing(entries, source.join(within).is_dir())?;
        return failed.map_or(Ok(()), |err| Err(format!("{}: {err}", shown(path)).into()));
    }
    let found = Located::new(path)?;
    if !found.node.is_directory() {
        let line = [&*written(path.as_os_str(), io::stdout().is_terminal()), b"\n"].concat();
        return unless_closed(io::stdout().write_all(&line));
    }
    let listing = found.tree.list(&found.node).map_err(|err| found.error(&err))?;
    let entries = listing.entries_after(0);
    write_listing(
        entries.map(|(_, name, kind)| (name, kind == Kind::Directory)),
        found.node.is_source_directory(),
    )
}

/// A name as it is written to a terminal, or to a program.
fn written(name: &OsStr, for_terminal: bool) -> Vec<u8> {
    match for_terminal {
        true => shown(name).to_string().into_bytes(),
        false => name.as_bytes().to_vec(),
    }
}

/// Writes names, each with whether it is a directory's. Those of a directory of the source are sorted.
fn write_listing<'a>(
    mut entries: impl Iterator<Item = (Cow<'a, OsStr>, bool)>,
    is_of_source: bool,
) -> Outcome {
    let for_terminal = io::stdout().is_terminal();
    let mut out = BufWriter::new(io::stdout().lock());
    let write = |(name, is_directory): (Cow<'_, OsStr>, bool)| {
        out.write_all(&written(&name, for_terminal))?;
        out.write_all(if is_directory { b"/\n" } else { b"\n" })
    };
    let done = if is_of_source {
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.into_iter().try_for_each(write)
    } else {
        entries.try_for_each(write)
    };
    unless_closed(done.and_then(|()| out.flush()))
}

/// A reader that has enough is no error: `npyfs ls … | head`.
fn unless_closed(written: io::Result<()>) -> Outcome {
    match written {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {err}").into())
        }
        _ => Ok(()),
    }
}

/// Waits for the end of standard input, which means that the daemon at its other end is gone, and unmounts
/// what it left. If it said `DONE`, it left nothing.
pub(crate) fn watch(identity: &str, mountpoint: PathBuf) -> Outcome {
    let mut said = Vec::new();
    // An error means the same as an end.
    let _ = io::stdin().read_to_end(&mut said);
    if said != mount::DONE {
        Place::described(mountpoint, identity)?.unmount()?;
    }
    Ok(())
}
