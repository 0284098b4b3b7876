//! `npyfs mounts`: the npyfs mounts of this machine.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use npyfs::escape::shown;
use npyfs::mount::Entry;
use serde_json::{Value, json};

use super::daemon::{self, Failure};
use super::table::{Cell, aligned};
use super::{Outcome, stats, unless_closed};

/// What a mount's daemon answers: its statistics, if they can be read.
type Answer = Result<Option<Value>, Failure>;

pub(crate) fn run(as_json: bool) -> Outcome {
    let mut mounts = npyfs::mount::mounts()?;
    // A part that was bound to another place is not a mount to its users.
    mounts.retain(|mount| mount.whole);
    // All at once: many may not answer.
    let asked: Vec<_> = mounts.iter().map(daemon::ask).collect();
    let answers = asked.into_iter().map(daemon::answer);
    let answers = answers.map(|answer| answer.map(|text| serde_json::from_slice(&text).ok()));
    let mounts: Vec<_> = mounts.iter().zip(answers).collect();
    let text = match as_json {
        true => format!(
            "{:#}\n",
            mounts.iter().map(|(mount, answer)| as_value(mount, answer)).collect::<Value>()
        ),
        false => in_words(&mounts),
    };
    unless_closed(io::stdout().write_all(text.as_bytes()))
}

/// For people: a line for each mount.
fn in_words(mounts: &[(&Entry, Answer)]) -> String {
    if mounts.is_empty() {
        return String::new();
    }
    let head = ["SOURCE", "MOUNTPOINT", "OWNER", "MODE", "DAEMON"].map(Cell::new).to_vec();
    let rows = mounts.iter().map(|(mount, answer)| {
        let mountpoint = shown(&mount.mountpoint).to_string();
        let mut mode = if mount.read_only { "ro" } else { "rw" }.to_owned();
        if mount.allow_other {
            let _ = write!(mode, ",allow_other");
        }
        let daemon = match answer {
            Ok(Some(statistics)) => stats::described(statistics),
            Ok(None) | Err(Failure::NoFile) => "answers".to_owned(),
            Err(Failure::Dead) => format!("dead; npyfs umount {mountpoint} removes the mount"),
            Err(Failure::Silent) => {
                format!("does not answer; npyfs umount --force {mountpoint} cuts it off")
            }
            Err(Failure::NotLetIn) => "lets in only its owner".to_owned(),
            Err(Failure::Other(err)) => format!("unknown: {err}"),
        };
        let (source, owner) = (shown(&mount.source).to_string(), owner(mount));
        [source, mountpoint, owner, mode, daemon].map(Cell::new).to_vec()
    });
    aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// For programs.
fn as_value(mount: &Entry, answer: &Answer) -> Value {
    let (daemon, statistics) = match answer {
        Ok(statistics) => ("answers", statistics.as_ref()),
        Err(Failure::NoFile) => ("answers", None),
        Err(Failure::Dead) => ("dead", None),
        Err(Failure::Silent) => ("silent", None),
        Err(Failure::NotLetIn | Failure::Other(_)) => ("unknown", None),
    };
    json!({
        "source": mount.source.to_string_lossy(),
        "mountpoint": mount.mountpoint.to_string_lossy(),
        "owner": owner(mount),
        "writable": !mount.read_only,
        "allow_other": mount.allow_other,
        "daemon": daemon,
        "pid": statistics.map(|it| &it["pid"]),
        "version": statistics.map(|it| &it["version"]),
    })
}

/// The name of the user who has mounted it, or the number if /etc/passwd has none.
fn owner(mount: &Entry) -> String {
    mount.owner.map_or_else(|| "?".to_owned(), npyfs::mount::user_name)
}
