//! The directory that is mounted on. A descriptor holds it from the first check to the mount, so what was
//! checked is what is mounted on, even if parts of its path are exchanged meanwhile.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::table::{self, FILESYSTEM_TYPE};
use super::{Error, Place};
use crate::escape::shown;
use crate::meta::{FileId, Meta};

/// A directory that can be mounted on.
#[derive(Debug)]
pub(super) struct Mountpoint {
    held: OwnedFd,
    path: PathBuf,
}

/// How often to look for the new mount in the table, if paths change while that is read.
const TRIES: usize = 100;

fn open(directory: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, path, flags, Mode::empty())
}

/// A path to the file of a descriptor, whatever its names lead to by now.
pub(super) fn path_of_descriptor(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

impl Mountpoint {
    /// Checks that a filesystem over `source` can be mounted at `mountpoint`, which is made if it is
    /// missing.
    pub(super) fn check(source: &Path, mountpoint: &Path) -> Result<Mountpoint, Error> {
        let error = |err: Errno| Error::new(mountpoint, io::Error::from(err));
        let (Some(parent), Some(name)) = (mountpoint.parent(), mountpoint.file_name()) else {
            let held = open(rustix::fs::CWD, mountpoint);
            return Mountpoint::check_held(held, source, mountpoint);
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = open(rustix::fs::CWD, parent).map_err(|err| match err {
            Errno::NOENT => {
                let why = format!("there is no directory {} to make it in", shown(parent));
                Error::new(mountpoint, why)
            }
            err => error(err),
        })?;
        let made = match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(err) => return Err(error(err)),
        };
        let checked = Mountpoint::check_held(open(&parent, name), source, mountpoint);
        if made && checked.is_err() {
            // As it was before. If this fails, an empty directory stays.
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR);
        }
        checked
    }

    fn check_held(
        held: Result<OwnedFd, Errno>,
        source: &Path,
        mountpoint: &Path,
    ) -> Result<Mountpoint, Error> {
        let error = |why: &dyn fmt::Display| Error::new(mountpoint, why);
        let held = held.map_err(|err| match err {
            Errno::NOTDIR => error(&"not a directory"),
            err => error(&io::Error::from(err)),
        })?;
        let path = path_of_descriptor(&held).read_link().map_err(|err| error(&err))?;
        let table = table::read().map_err(|err| error(&err))?;
        let id = table::id_of(&held).map_err(|err| error(&err))?;
        let is_npyfs = table.iter().any(|entry| {
            entry.id == id && entry.mountpoint == path && entry.kind == FILESYSTEM_TYPE
        });
        match Meta::of(&held) {
            Err(err) if err.kind() == io::ErrorKind::NotConnected => {
                let remedy = if is_npyfs { "npyfs umount" } else { "umount" };
                let path = shown(mountpoint);
                let why = format!("a dead mount is in the way; {remedy} {path} removes it");
                return Err(error(&why));
            }
            Err(err) => return Err(error(&err)),
            Ok(_) if is_npyfs => {
                let path = shown(mountpoint);
                let why =
                    format!("npyfs is mounted there already; npyfs umount {path} unmounts it");
                return Err(error(&why));
            }
            Ok(_) => {}
        }
        check_apart(source, &held, mountpoint)?;
        match is_empty(&held) {
            Ok(true) => Ok(Mountpoint { held, path }),
            Ok(false) => Err(error(
                &"the mountpoint is not empty; mount on an empty directory, or on a new one",
            )),
            Err(err) => Err(error(&io::Error::from(err))),
        }
    }

    /// Its absolute path, without symlinks, as it was when it was checked.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to the very directory that was checked.
    pub(super) fn by_descriptor(&self) -> PathBuf {
        path_of_descriptor(&self.held)
    }

    /// The mount that lies on it, after it was mounted on.
    pub(super) fn place(&self) -> io::Result<Place> {
        let parent = table::id_of(&self.held)?;
        for _ in 0..TRIES {
            let path = self.by_descriptor().read_link()?;
            let found = table::read()?.into_iter().rfind(|entry| {
                entry.parent == parent && entry.mountpoint == path && entry.kind == FILESYSTEM_TYPE
            });
            if let Some(entry) = found {
                return Place::new(entry);
            }
        }
        Err(io::Error::other("the mount is not in /proc/self/mountinfo"))
    }
}

fn is_empty(directory: &OwnedFd) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    for entry in rustix::fs::Dir::new(fd)? {
        if ![c".", c".."].contains(&entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A source inside the mountpoint, or the reverse, would be served through itself and deadlock.
/// Directories are compared by identity, so that a bind mount does not hide it.
fn check_apart(source: &Path, held: &OwnedFd, mountpoint: &Path) -> Result<(), Error> {
    let of_source = source_and_above(source).map_err(|err| Error::new(source, err))?;
    let of_mountpoint = and_above(held).map_err(|err| Error::new(mountpoint, err))?;
    let (source_id, mountpoint_id) = (of_source.first(), of_mountpoint.first());
    if source_id == mountpoint_id {
        let why = "the source and the mountpoint are the same; mount on another directory";
        return Err(Error::new(mountpoint, why));
    }
    if mountpoint_id.is_some_and(|id| of_source.contains(id)) {
        return Err(Error::new(mountpoint, "the source lies inside the mountpoint"));
    }
    if source_id.is_some_and(|id| of_mountpoint.contains(id)) {
        return Err(Error::new(mountpoint, "the mountpoint lies inside the source"));
    }
    Ok(())
}

fn source_and_above(source: &Path) -> io::Result<Vec<FileId>> {
    let real = source.canonicalize()?;
    if real.is_dir() {
        return and_above(&open(rustix::fs::CWD, &*real)?);
    }
    let parent = open(rustix::fs::CWD, real.parent().unwrap_or(Path::new("/")))?;
    let mut ids = vec![Meta::of_path(&real)?.id];
    ids.extend(and_above(&parent)?);
    Ok(ids)
}

/// The identity of a directory and of all directories above it, up to the root.
fn and_above(directory: &OwnedFd) -> io::Result<Vec<FileId>> {
    let mut ids = vec![Meta::of(directory)?.id];
    let mut above = open(directory, "..")?;
    loop {
        let id = Meta::of(&above)?.id;
        if ids.last() == Some(&id) {
            return Ok(ids);
        }
        ids.push(id);
        above = open(&above, "..")?;
    }
}
