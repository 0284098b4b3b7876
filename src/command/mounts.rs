//! `npyfs mounts`: the npyfs mounts of this machine.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use npyfs::escape::shown;
use npyfs::mount::Entry;
use serde_json::{Value, json};

use super::guarded::{Failure, Reading};
use super::table::{Cell, aligned};
use super::{Outcome, stats, unless_closed};

/// What is known of a mount's daemon.
enum Daemon {
    /// It answers; with its statistics, if we may read them.
    Answers(Option<Value>),
    /// It is dead.
    Dead,
    /// It does not answer.
    Silent,
    /// Only its owner is let in.
    Unknown,
}

pub(crate) fn run(as_json: bool) -> Outcome {
    let mut mounts = npyfs::mount::mounts()?;
    // A part that was bound to another place is not a mount to its users.
    mounts.retain(|mount| mount.whole);
    // All at once: many may not answer.
    let asked: Vec<_> = mounts.iter().map(Reading::begin).collect();
    let daemons = asked.into_iter().map(|asked| asked.map_err(Failure::Io).and_then(Reading::end));
    let mounts: Vec<_> = mounts.iter().zip(daemons.map(Daemon::new)).collect();
    let text = match as_json {
        true => format!(
            "{:#}\n",
            mounts.iter().map(|(mount, daemon)| as_value(mount, daemon)).collect::<Value>()
        ),
        false => in_words(&mounts),
    };
    unless_closed(io::stdout().write_all(text.as_bytes()))
}

impl Daemon {
    fn new(read: Result<Vec<u8>, Failure>) -> Daemon {
        match read {
            Ok(text) => Daemon::Answers(serde_json::from_slice(&text).ok()),
            Err(Failure::Silence) => Daemon::Silent,
            Err(Failure::Io(err)) => match err.raw_os_error() {
                Some(libc::ENOTCONN | libc::ECONNABORTED) => Daemon::Dead,
                Some(libc::ENOENT | libc::ENOTDIR) => Daemon::Answers(None),
                _ => Daemon::Unknown,
            },
        }
    }
}

/// For people: a line for each mount.
fn in_words(mounts: &[(&Entry, Daemon)]) -> String {
    if mounts.is_empty() {
        return String::new();
    }
    let head = ["SOURCE", "MOUNTPOINT", "OWNER", "MODE", "DAEMON"].map(Cell::new).to_vec();
    let rows = mounts.iter().map(|(mount, daemon)| {
        let mountpoint = shown(&mount.mountpoint).to_string();
        let mut mode = if mount.read_only { "ro" } else { "rw" }.to_owned();
        if mount.allow_other {
            let _ = write!(mode, ",allow_other");
        }
        let daemon = match daemon {
            Daemon::Answers(Some(statistics)) => stats::daemon(statistics),
            Daemon::Answers(None) => "answers".to_owned(),
            Daemon::Dead => format!("dead; npyfs umount {mountpoint} removes the mount"),
            Daemon::Silent => {
                format!("does not answer; npyfs umount --force {mountpoint} cuts it off")
            }
            Daemon::Unknown => "lets in only its owner".to_owned(),
        };
        let (source, owner) = (shown(&mount.source).to_string(), owner(mount));
        [source, mountpoint, owner, mode, daemon].map(Cell::new).to_vec()
    });
    aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// For programs.
fn as_value(mount: &Entry, daemon: &Daemon) -> Value {
    let (daemon, statistics) = match daemon {
        Daemon::Answers(statistics) => ("answers", statistics.as_ref()),
        Daemon::Dead => ("dead", None),
        Daemon::Silent => ("silent", None),
        Daemon::Unknown => ("unknown", None),
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
