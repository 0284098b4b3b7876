//! Which mount it is, and how it is unmounted: that very mount, and never another that has its path by now.
//!
//! A mount is known by its number and its device. To unmount it, its root is opened where the table of mounts
//! says it is now. If the descriptor is in that mount, it is detached by the descriptor, so nothing can come
//! between the check and the call.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::connection::Connection;
use super::mountpoint::path_of_descriptor;
use super::processes::{self, Process};
use super::table::{self, Entry, FILESYSTEM_TYPE, Identity};
use super::{Error, device, user_name};
use crate::escape::shown;

/// A mount, and where it was last seen.
#[derive(Clone, Debug)]
pub struct Place {
    mountpoint: PathBuf,
    identity: Identity,
}

/// How a mount was unmounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nobody was using it.
    Wholly,
    /// It is in use, and is served until its last user is gone. The users are those that are known: not those
    /// in other mount namespaces, and other people's only for root.
    Lazily(Vec<Process>),
}

/// How often to look for a mount at the place that the table names. Somebody may exchange parts of that path
/// all the time, but cannot know when we look.
const TRIES: usize = 200;

/// How long to wait until the kernel has written back what its last user stored through maps. It needs the
/// daemon for that, which may not answer.
const LETTING_GO: Duration = Duration::from_secs(2);

/// How long to search for processes that use a mount.
const SEARCH: Duration = Duration::from_secs(1);

impl Place {
    /// The mount of a line of the table.
    pub(super) fn new(entry: Entry) -> io::Result<Place> {
        let identity = Identity { id: entry.id, device: entry.device, unique: None };
        let mut place = Place { mountpoint: entry.mountpoint, identity };
        place.identity.unique = place.hold()?.and_then(|held| table::unique_id_of(&held.root));
        Ok(place)
    }

    /// A mount by its mountpoint, and by its identity from another process.
    pub fn described(mountpoint: PathBuf, identity: &str) -> Result<Place, &'static str> {
        Ok(Place { mountpoint, identity: identity.parse()? })
    }

    /// The mountpoint, as it was when it was mounted on.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// Its identity, in text for another process.
    pub fn identity(&self) -> String {
        self.identity.to_string()
    }

    /// The device of the mount, `major:minor`.
    pub fn device(&self) -> &str {
        &self.identity.device
    }

    /// Unmounts lazily, if this very mount is still there, and no other lies over it.
    pub fn unmount(&self) -> Result<Gone, Error> {
        let error =
            |err: io::Error| Error::new(&self.mountpoint, format!("it cannot be unmounted: {err}"));
        match self.hold().map_err(error)? {
            Some(held) => held.take_away(Vec::new()).map_err(error),
            None => Ok(Gone::Wholly),
        }
    }

    /// The processes that use it, if it is there.
    pub(super) fn users(&self) -> Vec<Process> {
        let table = table::read().unwrap_or_default();
        let entry = table.iter().find(|entry| self.identity.is(entry));
        entry.map_or_else(Vec::new, |entry| processes::using(entry, SEARCH))
    }

    /// Whether this very mount is there.
    pub fn is_there(&self) -> io::Result<bool> {
        Ok(table::read()?.iter().any(|entry| self.identity.is(entry)))
    }

    /// Holds this mount, wherever it is now, if it exists and no other lies over it.
    fn hold(&self) -> io::Result<Option<Held>> {
        let mut failed = None;
        for _ in 0..TRIES {
            let table = table::read()?;
            let Some(entry) = table.iter().find(|entry| self.identity.is(entry)) else {
                return Ok(None);
            };
            if table.iter().any(|other| other.covers(entry)) {
                log::warn!("{}: another mount lies over it", shown(&entry.mountpoint));
                return Ok(None);
            }
            // The table names no symlinks.
            match open(&entry.mountpoint, ResolveFlags::NO_SYMLINKS) {
                Ok(root) if self.identity.is_of(&root)? => {
                    return Ok(Some(Held { root, entry: entry.clone() }));
                }
                // Another mount has got its numbers.
                Ok(root) if table::id_of(&root)? == self.identity.id => return Ok(None),
                Ok(_) => {}
                Err(err) => failed = Some(err),
            }
        }
        let failed = failed.map(io::Error::from);
        Err(failed.unwrap_or_else(|| io::Error::other("the directories above it keep changing")))
    }
}

/// A mount, held by a descriptor of its root. That sends no request to its daemon, which may be dead or hang.
/// The mount is in use as long as it is held.
#[derive(Debug)]
struct Held {
    root: OwnedFd,
    entry: Entry,
}

fn open(path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve)
}

impl Held {
    /// The mount that a path lies in, if it can be reached by a name, and the path by its name.
    fn around(path: &Path) -> io::Result<(Option<Held>, PathBuf)> {
        let root = open(path, ResolveFlags::empty())?;
        let (id, now) = (table::id_of(&root)?, path_of_descriptor(&root).read_link()?);
        let entry = table::read()?.into_iter().find(|entry| entry.id == id);
        Ok((entry.map(|entry| Held { root, entry }), now))
    }

    /// The npyfs mount that is at a path.
    fn npyfs_at(path: &Path) -> Result<Held, Error> {
        let error = |why: &dyn fmt::Display| Error::new(path, why);
        let (_, now) = Held::around(path).map_err(|err| error(&err))?;
        // By its name: it may be the current directory, mounted on since it was entered.
        let (held, now) = Held::around(&now).map_err(|err| error(&err))?;
        let held = held.ok_or_else(|| error(&"nothing is mounted there"))?;
        let (is_npyfs, mountpoint) = (held.entry.kind == FILESYSTEM_TYPE, &held.entry.mountpoint);
        match *mountpoint == now {
            true if is_npyfs => Ok(held),
            true => {
                let kind = &held.entry.kind;
                Err(error(&format!("what is mounted there is {kind}, not npyfs")))
            }
            false if is_npyfs => {
                let mountpoint = shown(mountpoint);
                Err(error(&format!("nothing is mounted there; it lies in the mount {mountpoint}")))
            }
            false => Err(error(&"nothing is mounted there")),
        }
    }

    /// Takes it out of the tree. It is served on for its `users`.
    fn take_away(self, users: Vec<Process>) -> io::Result<Gone> {
        let Held { root, entry } = self;
        if let Err(err) = device::detach(&root, &entry.mountpoint) {
            // Somebody else may have been faster.
            if table::read()?.iter().any(|other| other.id == entry.id) {
                return Err(err);
            }
        }
        let (closed, done) = mpsc::channel();
        thread::spawn(move || {
            drop(root);
            // Nobody listens any more if it took too long.
            let _ = closed.send(());
        });
        let is_closed = done.recv_timeout(LETTING_GO).is_ok();
        // The kernel keeps this as long as the filesystem exists, in other namespaces too.
        let trace = Path::new("/sys/class/bdi").join(entry.device);
        Ok(if is_closed && !trace.exists() { Gone::Wholly } else { Gone::Lazily(users) })
    }
}

/// The npyfs mount at a path. This asks nothing of its daemon, which may be dead or hang.
pub fn at(mountpoint: &Path) -> Result<Entry, Error> {
    Held::npyfs_at(mountpoint).map(|held| held.entry)
}

/// Unmounts the npyfs mount at a path, even a dead one; lazily if it is busy. If its daemon does not answer,
/// only with `force`, which ends the connection first.
pub fn unmount(mountpoint: &Path, force: bool) -> Result<Gone, Error> {
    let error = |why: &dyn fmt::Display| Error::new(mountpoint, why);
    let held = Held::npyfs_at(mountpoint)?;
    let connection = Connection::of(&held.entry.device);
    if force {
        let aborted = connection.and_then(|connection| connection.abort());
        aborted.map_err(|err| error(&format!("its connection cannot be ended: {err}")))?;
    } else if let Some(daemon) = connection.ok().and_then(|connection| connection.is_silent()) {
        let path = shown(mountpoint);
        let daemon = match &*daemon {
            [] => "its daemon".to_owned(),
            daemon => format!("its daemon, {},", processes::in_words(daemon)),
        };
        let remedy = format!("npyfs umount --force {path} ends the connection");
        return Err(error(&format!("{daemon} does not answer; {remedy}")));
    }
    let users = processes::using(&held.entry, SEARCH);
    let others = held.entry.owner.filter(|&owner| owner != rustix::process::getuid().as_raw());
    held.take_away(users).map_err(|err| match others {
        // fusermount3 says that there is no such mount.
        Some(owner) => {
            let root = if owner == 0 { "" } else { " and root" };
            let owner = user_name(owner);
            error(&format!("only {owner}, who mounted it,{root} can unmount it"))
        }
        None => error(&err),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountFlags, UnmountFlags};

    #[test]
    fn what_somebody_else_has_unmounted_meanwhile_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let held = || Held::around(&path).unwrap().0.unwrap();
        rustix::mount::mount("none", &path, "tmpfs", MountFlags::empty(), None).unwrap();
        let (one, other) = (held(), held());
        rustix::mount::unmount(&path, UnmountFlags::DETACH).unwrap();
        drop(one);
        assert_eq!(other.take_away(Vec::new()).unwrap(), Gone::Wholly);
    }
}
