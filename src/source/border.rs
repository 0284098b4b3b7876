//! The border: every open of something in the source.
//!
//! The kernel resolves a path below a descriptor of the source (`openat2` with `RESOLVE_BENEATH`) and without
//! symlinks; the module `links` follows those. That gives a place (`O_PATH`). Only when the place has turned
//! out to be the regular file that was looked up is it opened.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::links::Way;
use super::{Entry, Source};
use crate::error::Error;
use crate::meta::{FileId, Kind, Meta};
use crate::storage::LocalFile;

/// A directory of the source, open for looking up what is in it.
pub(super) struct Directory<'a> {
    pub(super) fd: DirectoryFd<'a>,
    pub(super) path: Arc<Path>,
    /// How a caller has come to it, once that is needed.
    pub(super) way: OnceCell<Way>,
}

pub(super) enum DirectoryFd<'a> {
    Held(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl<'a> Directory<'a> {
    fn new(fd: DirectoryFd<'a>, path: Arc<Path>) -> Directory<'a> {
        Directory { fd, path, way: OnceCell::new() }
    }
}

impl AsFd for DirectoryFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            DirectoryFd::Held(fd) => *fd,
            DirectoryFd::Opened(fd) => fd.as_fd(),
        }
    }
}

/// The longest path that the kernel takes in one call, in bytes, not counting the zero at its end.
const PATH_MAX: usize = 4095;

/// How often an open is tried again when something got in its way.
const RETRIES: usize = 16;

/// About how long an open for writing waits for somebody's lease on the file.
const LEASE_PATIENCE: Duration = Duration::from_millis(50);

impl Source {
    /// What stands at a path, or what a symlink there leads to. [`Error::Stale`] if it no longer leads where
    /// it may.
    pub(super) fn resolve(&self, path: &Path) -> Result<OwnedFd, Error> {
        let found = match self.beneath(path, OFlags::PATH) {
            Err(Errno::LOOP) => match self.walk(path) {
                Err(Errno::XDEV | Errno::ACCESS | Errno::STALE) => return Err(Error::Stale),
                walked => walked.map(|target| target.fd),
            },
            found => found,
        };
        found.map_err(|err| Error::io(path, err))
    }

    /// Opens what stands at a path. `LOOP` if there is a symlink on it, or at its end.
    ///
    /// A path that is too long for one call is walked in pieces, each below the one before. Without symlinks
    /// and `..` they lead where the whole path would.
    fn beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let border = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |from: BorrowedFd<'_>, path: &[u8], flags: OFlags| {
            let flags = flags | OFlags::CLOEXEC;
            self.persistently(|| rustix::fs::openat2(from, path, flags, Mode::empty(), border))
        };
        let mut rest = path.as_os_str().as_bytes();
        let mut held = DirectoryFd::Held(self.root.as_fd());
        while rest.len() > PATH_MAX {
            let end = rest[..=PATH_MAX].iter().rposition(|&byte| byte == b'/');
            let (piece, others) = rest.split_at(end.ok_or(Errno::NAMETOOLONG)?);
            let fd = open(held.as_fd(), piece, OFlags::PATH | OFlags::DIRECTORY)?;
            (held, rest) = (DirectoryFd::Opened(fd), &others[1..]);
        }
        open(held.as_fd(), if rest.is_empty() { b"." } else { rest }, flags)
    }

    /// Opens something, and tries again if a rename got in the way, or if there was no descriptor left and
    /// some are held only for future readers.
    pub(super) fn persistently(
        &self,
        open: impl Fn() -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Errno> {
        for _ in 0..RETRIES {
            match open() {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::MFILE | Errno::NFILE) if self.files.close_unused() => {}
                result => return result,
            }
        }
        open()
    }

    /// Opens the directory that was looked up. The root is held open already.
    pub(super) fn directory(
        &self,
        directory: &Entry,
        flags: OFlags,
    ) -> Result<Directory<'_>, Error> {
        let path = directory.path.clone();
        if path.as_os_str().is_empty() && flags == OFlags::PATH {
            return Ok(Directory::new(DirectoryFd::Held(self.root.as_fd()), path));
        }
        if directory.id == self.root_id {
            self.check_root()?;
        }
        let (fd, _) = self.open_looked_up(directory, flags)?;
        Ok(Directory::new(DirectoryFd::Opened(fd), path))
    }

    /// The directory that was looked up, opened, and its attributes. [`Error::Stale`] if another is at its
    /// path. The descriptor is compared, so it stays the same directory.
    pub(super) fn open_looked_up(
        &self,
        directory: &Entry,
        flags: OFlags,
    ) -> Result<(OwnedFd, Meta), Error> {
        let fd = self.open_directory(&directory.path, flags)?;
        let meta = Meta::of(&fd).map_err(|err| Error::io(&*directory.path, err))?;
        if meta.id == directory.id { Ok((fd, meta)) } else { Err(Error::Stale) }
    }

    /// The directory that an entry's path names now, and the entry's name, for callers that check the entry's
    /// own identity.
    pub(super) fn parent<'a>(&self, path: &'a Path) -> Result<(Directory<'_>, &'a OsStr), Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::io(path, Errno::INVAL));
        };
        let fd = match parent.as_os_str().is_empty() {
            true => DirectoryFd::Held(self.root.as_fd()),
            false => DirectoryFd::Opened(self.open_directory(parent, OFlags::PATH)?),
        };
        Ok((Directory::new(fd, parent.into()), name))
    }

    fn open_directory(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Error> {
        let flags = flags | OFlags::DIRECTORY;
        let opened = match self.beneath(path, flags) {
            Err(Errno::LOOP) if self.follow_symlinks => self.walk(path).and_then(|target| {
                let flags = flags | OFlags::CLOEXEC;
                self.persistently(|| rustix::fs::openat(&target.fd, ".", flags, Mode::empty()))
            }),
            opened => opened,
        };
        opened.map_err(|err| match err {
            // It was a directory when it was looked up, and could be reached.
            Errno::NOTDIR | Errno::LOOP | Errno::STALE => Error::Stale,
            err => Error::io(path, err),
        })
    }

    pub(super) fn open_backing(&self, path: &Path, id: FileId) -> Result<LocalFile, Error> {
        let file = self.open_regular(path, id, OFlags::RDONLY)?;
        LocalFile::new(file).map_err(|err| Error::io(path, err))
    }

    /// Opens something for writing, and tries again while somebody has a lease on it.
    pub(super) fn patiently<T>(&self, open: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        // A lease that only asks whether anybody writes, as ours does, is held for a moment only.
        let mut pause = Duration::from_millis(1);
        loop {
            match open() {
                Err(Error::Io { source, .. })
                    if source.kind() == io::ErrorKind::WouldBlock && pause < LEASE_PATIENCE =>
                {
                    thread::sleep(pause);
                    pause *= 2;
                }
                opened => return opened,
            }
        }
    }

    /// Opens a file only once it has turned out to be the one that was looked up: opening a FIFO or device in
    /// its place could have an effect.
    fn open_regular(&self, path: &Path, id: FileId, access: OFlags) -> Result<File, Error> {
        self.open_place(path, &self.place_of(path, id)?, access)
    }

    /// The place at a path, if it is still that of the regular file that was looked up.
    pub(super) fn place_of(&self, path: &Path, id: FileId) -> Result<OwnedFd, Error> {
        let about = |err: io::Error| Error::io(path, err);
        let place = self.resolve(path)?;
        let meta = Meta::of(&place).map_err(about)?;
        if meta.id != id || meta.kind != Some(Kind::File) {
            return Err(Error::Stale);
        }
        Ok(place)
    }

    pub(super) fn open_place(
        &self,
        path: &Path,
        place: &OwnedFd,
        access: OFlags,
    ) -> Result<File, Error> {
        // Do not wait until somebody gives up a lease: a worker would wait too.
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let again = path_of_descriptor(place);
        let file = self
            .persistently(|| rustix::fs::open(&again, flags, Mode::empty()))
            .map_err(|err| Error::io(path, err))?;
        Ok(File::from(file))
    }
}

/// A path by which this process can open a descriptor's file again, whatever has its name by now.
pub(super) fn path_of_descriptor(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
