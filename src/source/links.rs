//! Where symlinks lead.
//!
//! We follow them, not the kernel: one name at a time, each in a directory that is held, so that nothing can
//! take the place of what was checked. The kernel's walk would keep to the border (`RESOLVE_BENEATH`), but
//! would use our rights, which may exceed the caller's. So on a mount for others, every directory in which a
//! link's text has something looked up must be open to everybody, or must be one that the caller has come
//! through on the way to the link: there the kernel has let them in.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Source;
use super::border::{Directory, DirectoryFd, path_of_descriptor};
use crate::meta::{FileId, Kind, Meta};

/// How many links a name may lead through, as in the kernel.
const MAX_LINKS: u32 = 40;

/// The filesystem type of procfs in `statfs(2)`.
const PROCFS: u32 = 0x9FA0;

/// What a path leads to, held by an `O_PATH` descriptor.
pub(super) struct Target {
    pub(super) fd: OwnedFd,
    pub(super) meta: Meta,
}

/// How a caller has come to a directory.
pub(super) struct Way {
    directory: Meta,
    /// The directories above it, from the root down, and itself.
    above: Vec<FileId>,
    /// The directories that its path names, itself among them.
    passed: HashSet<FileId>,
}

impl Way {
    /// Whether it leads through a directory, or to it.
    pub(super) fn passes(&self, directory: FileId) -> bool {
        self.passed.contains(&directory)
    }
}

impl Source {
    /// What a symlink in a directory leads to. `XDEV` if that is out of the source and must not be, `ACCESS`
    /// if the way there is closed.
    pub(super) fn target(&self, directory: &Directory<'_>, link: &OsStr) -> Result<Target, Errno> {
        let way = self.way(directory)?;
        let mut walk = Walk::from(self, directory.fd.as_fd(), way);
        walk.go(link, true)?;
        walk.end()
    }

    /// What stands at a path, or what a symlink there leads to. The errors are those of [`Source::target`],
    /// and `STALE` if a directory on the path has become a link.
    pub(super) fn walk(&self, path: &Path) -> Result<Target, Errno> {
        let mut walk = Walk::from_root(self)?;
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            walk.go(name, self.follow_symlinks || names.peek().is_none())?;
        }
        walk.end()
    }

    /// How a caller has come to a directory that is held.
    pub(super) fn way<'d>(&self, directory: &'d Directory<'_>) -> Result<&'d Way, Errno> {
        if let Some(way) = directory.way.get() {
            return Ok(way);
        }
        let mut walk = Walk::from_root(self)?;
        for name in directory.path.iter() {
            walk.go(name, self.follow_symlinks)?;
        }
        if walk.meta.id != meta_of(&directory.fd)?.id {
            return Err(Errno::STALE);
        }
        let way = Way { directory: walk.meta, above: walk.below, passed: walk.passed };
        Ok(directory.way.get_or_init(|| way))
    }
}

/// A walk from a directory, by names of a caller's path and by links among them.
struct Walk<'a> {
    source: &'a Source,
    /// Where it is.
    fd: DirectoryFd<'a>,
    meta: Meta,
    /// The directories from the root down to here: those of the start that are left, and those below it. With
    /// the border, `..` goes back only along these.
    above: &'a [FileId],
    below: Vec<FileId>,
    /// How the caller came to the start, and the directories that the path has named since.
    way: Option<&'a Way>,
    passed: HashSet<FileId>,
}

impl<'a> Walk<'a> {
    fn from_root(source: &'a Source) -> Result<Walk<'a>, Errno> {
        let meta = meta_of(&source.root)?;
        let (fd, id) = (DirectoryFd::Held(source.root.as_fd()), meta.id);
        let (below, passed) = (vec![id], HashSet::from([id]));
        Ok(Walk { source, fd, meta, above: &[], below, way: None, passed })
    }

    fn from(source: &'a Source, fd: BorrowedFd<'a>, way: &'a Way) -> Walk<'a> {
        let (fd, meta, above) = (DirectoryFd::Held(fd), way.directory, &*way.above);
        let (below, passed) = (Vec::new(), HashSet::new());
        Walk { source, fd, meta, above, below, way: Some(way), passed }
    }

    /// Goes on by a name of the caller's path, through a symlink if that may be one.
    fn go(&mut self, name: &OsStr, may_be_link: bool) -> Result<(), Errno> {
        let mut links = 0;
        // The names from links' texts that are still to be looked up, the last one first.
        let mut rest = Vec::new();
        let mut link = self.look_up(name)?;
        loop {
            if let Some(fd) = link.take() {
                if !may_be_link {
                    return Err(Errno::STALE);
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let text = self.text_of(&fd)?;
                if text.starts_with(b"/") {
                    self.go_to_top()?;
                }
                rest.extend(text.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
            }
            let Some(name) = rest.pop() else { break };
            self.check_searchable()?;
            match &*name {
                b"" | b"." => {}
                b".." => self.go_up()?,
                name => link = self.look_up(OsStr::from_bytes(name))?,
            }
        }
        self.passed.insert(self.meta.id);
        Ok(())
    }

    /// Goes on to an entry. If it is a symlink, stays and returns it.
    fn look_up(&mut self, name: &OsStr) -> Result<Option<OwnedFd>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        // An automount happens only for a caller that wants a directory.
        let fd = match self.open(name, flags | OFlags::DIRECTORY) {
            Err(Errno::NOTDIR | Errno::LOOP) => self.open(name, flags)?,
            fd => fd?,
        };
        if self.source.is_own_mount(&fd) {
            return Err(Errno::LOOP);
        }
        let meta = meta_of(&fd)?;
        if meta.kind == Some(Kind::Symlink) {
            return Ok(Some(fd));
        }
        if meta.kind == Some(Kind::Directory) {
            self.below.push(meta.id);
        }
        (self.fd, self.meta) = (DirectoryFd::Opened(fd), meta);
        Ok(None)
    }

    /// Goes to the directory above: the one that this was found in, unless links may lead out.
    fn go_up(&mut self) -> Result<(), Errno> {
        let mut above = None;
        if !self.source.follow_symlinks {
            if self.below.pop().is_none() {
                self.above = self.above.split_last().map_or(&[], |(_, above)| above);
            }
            above = Some(*self.below.last().or(self.above.last()).ok_or(Errno::XDEV)?);
        }
        let fd = self.open(OsStr::new(".."), OFlags::PATH | OFlags::DIRECTORY)?;
        let meta = meta_of(&fd)?;
        if above.is_some_and(|above| above != meta.id) {
            // It has been moved meanwhile, perhaps out of the source.
            return Err(Errno::STALE);
        }
        (self.fd, self.meta) = (DirectoryFd::Opened(fd), meta);
        Ok(())
    }

    fn go_to_top(&mut self) -> Result<(), Errno> {
        if !self.source.follow_symlinks {
            return Err(Errno::XDEV);
        }
        let fd = self.open(OsStr::new("/"), OFlags::PATH | OFlags::DIRECTORY)?;
        (self.meta, self.fd) = (meta_of(&fd)?, DirectoryFd::Opened(fd));
        Ok(())
    }

    fn open(&self, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        self.source.persistently(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))
    }

    /// The text of a symlink. Those of procfs may be magic, and lead past the directories that they name.
    fn text_of(&self, link: &OwnedFd) -> Result<Vec<u8>, Errno> {
        if rustix::fs::fstatfs(link)?.f_type as u32 == PROCFS {
            return Err(Errno::LOOP);
        }
        Ok(rustix::fs::readlinkat(link, "", Vec::new())?.into_bytes())
    }

    /// Whether a link may have something looked up here.
    fn check_searchable(&self) -> Result<(), Errno> {
        if self.meta.kind != Some(Kind::Directory) {
            return Err(Errno::NOTDIR);
        }
        let is_passed = || {
            self.passed.contains(&self.meta.id)
                || self.way.is_some_and(|way| way.passes(self.meta.id))
        };
        let is_closed = self.source.for_others
            && (self.meta.mode & 0o111 != 0o111 || has_access_list(&self.fd))
            && !is_passed();
        if is_closed { Err(Errno::ACCESS) } else { Ok(()) }
    }

    fn end(self) -> Result<Target, Errno> {
        let fd = match self.fd {
            DirectoryFd::Held(fd) => rustix::io::fcntl_dupfd_cloexec(fd, 0)?,
            DirectoryFd::Opened(fd) => fd,
        };
        Ok(Target { fd, meta: self.meta })
    }
}

/// Whether a POSIX access list may close what the mode bits open. If that cannot be found out, it may.
fn has_access_list(fd: impl AsFd) -> bool {
    let list = rustix::fs::getxattr(path_of_descriptor(fd), "system.posix_acl_access", &mut [0; 1]);
    !matches!(list, Err(Errno::NODATA | Errno::NOTSUP))
}

fn meta_of(fd: impl AsFd) -> Result<Meta, Errno> {
    Meta::of(fd).map_err(|err: io::Error| Errno::from_io_error(&err).unwrap_or(Errno::IO))
}
