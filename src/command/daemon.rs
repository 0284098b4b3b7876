//! What the daemon of a mount says of itself, if it answers.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use npyfs::mount::Entry;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::patience::{self, Asked, THIS_PROGRAM};

/// Where a mount has its statistics.
pub(super) const FILE: &str = ".npyfs/stats.json";

/// The most that is read: whoever may mount can call anything an npyfs mount.
const MAX_BYTES: u64 = 1 << 20;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon is dead.
    Dead,
    /// It does not answer.
    Silent,
    /// It has no such file.
    NoFile,
    /// Only the owner of the mount is let in.
    NotLetIn,
    Other(io::Error),
}

/// Asks the daemon of a mount for its statistics.
pub(super) fn ask(mount: &Entry) -> io::Result<Asked> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg("read").arg(mount.mountpoint.join(FILE)).env_clear().current_dir("/");
    // Not even root is let into a mount that is for its owner alone. Into others root goes no further than the owner could.
    if let (true, Some(owner), Some(group)) =
        (rustix::process::geteuid().is_root(), mount.owner, mount.group)
    {
        command.args([owner, group].map(|id| id.to_string()));
    }
    patience::ask(&mut command, PATIENCE)
}

/// The statistics, if they come.
pub(super) fn answer(asked: io::Result<Asked>) -> Result<Vec<u8>, Failure> {
    let asked = asked.map_err(|err| {
        Failure::Other(io::Error::other(format!("no process can be started that asks: {err}")))
    })?;
    let output = asked.answer().ok_or(Failure::Silent)?.map_err(Failure::Other)?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(libc::ENOTCONN | libc::ECONNABORTED) => Err(Failure::Dead),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Err(Failure::NoFile),
        Some(libc::EACCES) => Err(Failure::NotLetIn),
        Some(errno) => Err(Failure::Other(io::Error::from_raw_os_error(errno))),
        None => Err(Failure::Other(io::Error::other("the process that asked was killed"))),
    }
}

/// Reads a file for the process that waits, as a user and in a group if they are given, and ends with the errno as the
/// status.
///
/// Nothing is run as that user: they could look into a process that is.
pub(crate) fn read(file: &Path, owner: Option<(u32, u32)>) -> ! {
    let read = || -> io::Result<u64> {
        if let Some((user, group)) = owner {
            rustix::process::setsid()?;
            npyfs::credentials::become_user(user, group)?;
        }
        // The table of mounts names no symlinks.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(rustix::fs::CWD, file, flags, Mode::empty(), resolve)?;
        let file = File::from(opened);
        if !file.metadata()?.is_file() {
            return Err(Errno::NOENT.into());
        }
        io::copy(&mut file.take(MAX_BYTES), &mut io::stdout())
    };
    std::process::exit(read().map_or_else(|err| err.raw_os_error().unwrap_or(libc::EIO), |_| 0))
}
