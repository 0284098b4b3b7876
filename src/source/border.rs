//! The border: every open of something in the source.
//!
//! A path is resolved by the kernel beneath a descriptor of the source (`openat2` with
//! `RESOLVE_BENEATH`), whatever it becomes meanwhile, and without symlinks; where there is one, the
//! module `links` follows it. That gives a place (`O_PATH`), and only when it has turned out to be
//! the regular file that was looked up is it opened.

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
use super::{Source, SourceDirectory};
use crate::backing::Backing;
use crate::error::Error;
use crate::meta::{FileId, Kind, Meta};

/// A directory of the source, open for looking up what is in it.
pub(super) struct Directory<'a> {
    pub(super) fd: DirectoryFd<'a>,
    pub(super) path: Arc<Path>,
    /// How a caller has come to it, once that is asked for.
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

/// The longest path that the kernel takes at once, in bytes, without the zero at its end.
const PATH_MAX: usize = 4095;

/// How often an open is tried again that something got in the way of.
const RETRIES: usize = 16;

/// How long, about, somebody's lease on a file is waited for that is to be written.
const LEASE_PATIENCE: Duration = Duration::from_millis(50);

impl Source {
    /// What stands at a path; what a symlink leads to, where it is one. [`Error::Stale`] if it no
    /// longer leads where it may.
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
    /// A path that is too long for one call is gone in pieces, each beneath the one before: with no
    /// symlinks and no `..` in them they lead where the whole would.
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

    /// Opens something, again if a rename got in the way, or if there was no descriptor left and
    /// files are only kept open for those who may yet come.
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

    /// Opens the directory that was looked up. The root is held, and so needs no look.
    pub(super) fn directory(
        &self,
        directory: &SourceDirectory,
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

    /// The directory that was looked up, open, and its attributes; [`Error::Stale`] if another has
    /// its path now. It is what is held that is compared, so that it stays the same one.
    pub(super) fn open_looked_up(
        &self,
        directory: &SourceDirectory,
        flags: OFlags,
    ) -> Result<(OwnedFd, Meta), Error> {
        let fd = self.open_directory(&directory.path, flags)?;
        let meta = Meta::of(&fd).map_err(|err| Error::io(&*directory.path, err))?;
        if meta.id == directory.id { Ok((fd, meta)) } else { Err(Error::Stale) }
    }

    /// The directory in which an entry stands by its path now, for those who know by the entry's own
    /// identity whether it is the one that they mean; and the entry's name.
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
            // It was a directory when it was looked up, and there was a way to it.
            Errno::NOTDIR | Errno::LOOP | Errno::STALE => Error::Stale,
            err => Error::io(path, err),
        })
    }

    pub(super) fn open_backing(&self, path: &Path, id: FileId) -> Result<Backing, Error> {
        let file = self.open_regular(path, id, OFlags::RDONLY)?;
        Backing::new(file).map_err(|err| Error::io(path, err))
    }

    /// Opens something for writing, again where somebody has a lease on it.
    pub(super) fn patiently<T>(&self, open: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        // Who asks by a lease whether anybody writes, as we do ourselves, has it for a moment only.
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

    /// Opens a file only once it has turned out to be the one that was looked up: to open what has
    /// taken its place, a FIFO or a device, could have an effect of its own.
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
        // Without waiting until somebody gives up a lease on it: a worker would wait with it.
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let again = path_of_descriptor(place);
        let file = self
            .persistently(|| rustix::fs::open(&again, flags, Mode::empty()))
            .map_err(|err| Error::io(path, err))?;
        Ok(File::from(file))
    }
}

/// A path by which this process opens the file again that a descriptor stands for, whatever has
/// its name by now.
pub(super) fn path_of_descriptor(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
