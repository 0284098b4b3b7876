//! What each command does.

use std::error::Error;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use npyfs::escape::shown;
use npyfs::mount::{Gone, Place, Process, in_words};

mod advice;
pub(crate) mod cat;
pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod daemon;
pub(crate) mod demo;
mod in_mount;
pub(crate) mod info;
mod locate;
pub(crate) mod ls;
pub(crate) mod mount;
pub(crate) mod mounts;
mod notify;
mod patience;
pub(crate) mod refs;
pub(crate) mod stats;
mod summary;
mod table;
mod words;

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

/// What went wrong last. What went wrong before has been reported.
#[derive(Default)]
struct Failures(Option<Box<dyn Error>>);

impl Failures {
    fn add(&mut self, why: Box<dyn Error>) {
        if let Some(before) = self.0.replace(why) {
            report(&*before);
        }
    }

    /// What `main` reports.
    fn end(self) -> Outcome {
        self.0.map_or(Ok(()), Err)
    }
}

/// Says what went wrong, in one line, whatever it quotes.
pub(crate) fn report(why: &dyn Error) {
    eprintln!("npyfs: {}", shown(&without_numbers(&why.to_string())));
}

/// A text of errors for people, without the numbers that Rust adds to those of the operating system: `(os error 2)`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut kept = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                kept.push_str(rest);
            }
            _ => kept.extend([" (os error ", part]),
        }
    }
    kept
}

/// A text of others: on a terminal, nothing in its lines may act.
fn for_terminal(text: String) -> String {
    match io::stdout().is_terminal() {
        true => text.lines().map(|line| format!("{}\n", shown(line))).collect(),
        false => text,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_no_numbers_of_errors() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT).to_string();
        assert_eq!(without_numbers(&missing), "No such file or directory");
        let more = without_numbers(&format!("x: {missing}: why; {missing}"));
        assert_eq!(more, "x: No such file or directory: why; No such file or directory");
        for other in ["", "x (os error )y", "x (os error 2", "x (os error two)"] {
            assert_eq!(without_numbers(other), other.replace(" (os error )", ""));
        }
    }
}
