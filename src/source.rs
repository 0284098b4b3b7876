//! The source directory, and its border.
//!
//! All files are opened here, and nothing outside of the source is ever opened, except through symlinks if
//! the owner has allowed that (see the module `border`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, StatVfs};
use rustix::io::Errno;

use crate::error::Error;
use crate::meta::{FileId, Kind, Meta};

mod access_lists;
mod archive_cache;
mod border;
mod extent;
mod files;
mod group_members;
mod in_archive;
mod join;
mod links;
mod listing;
mod lookup;
mod names;
mod origin;
mod rights;
mod version;

pub use archive_cache::ArchiveOrWhy;
use archive_cache::Archives;
use border::Directory;
pub use extent::Extent;
pub use files::{Files, OpenFile};
pub use in_archive::{InArchive, MemberEntry, entry_at, entry_of, member_of_stem, places_of};
use join::Joins;
pub use join::{How, Join, Shards};
use links::Target;
pub use listing::{DirectoryVersion, Listing};
pub use names::Holds;
pub use origin::{ArrayFile, OpenStorage, Origin, Which};
pub use rights::Access;
pub use version::{Unreadable, Version, VersionOrWhy};

/// A directory, or a single file, whose arrays are served.
#[derive(Debug)]
pub struct Source {
    root: OwnedFd,
    root_id: FileId,
    /// It was reported that the root is gone.
    is_removal_reported: AtomicBool,
    path: PathBuf,
    single: Option<OsString>,
    follow_symlinks: bool,
    /// The mount that serves this source: its device, and where it is.
    left_out: OnceLock<(String, PathBuf)>,
    /// Users other than the owner see the mount.
    for_others: bool,
    /// The kernel is asked what they may open.
    asks_kernel: bool,
    files: Files,
    joins: Joins,
    archives: Archives,
}

/// How to treat a source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Serve the targets of symlinks as plain entries, wherever they are.
    pub follow_symlinks: bool,
    /// Users other than the owner see the mount.
    pub for_others: bool,
}

/// An entry of the source: the one that was looked up, whatever has its path by now. Otherwise a user who may
/// rename could put a directory there that its owner has closed to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path beneath the source.
    pub path: Arc<Path>,
    /// Which file or directory it is.
    pub id: FileId,
}

/// What stands at a name in a directory.
#[derive(Debug)]
pub enum Found {
    /// An entry of the source.
    Entry(Meta),
    /// The directory beside a file.
    Beside(ArrayFile, Meta),
}

impl Source {
    /// Opens a directory or a file as a source.
    pub fn open(path: &Path, options: Options) -> Result<Source, Error> {
        let Options { follow_symlinks, for_others } = options;
        let about = |err: Errno| Error::io(path, err);
        // A symlink to a file stands for that file, which may lie in another directory.
        let real = path.canonicalize().map_err(|err| Error::io(path, err))?;
        let (directory, single) = if real.is_dir() {
            (&*real, None)
        } else if real.is_file() {
            let name = real.file_name().ok_or_else(|| about(Errno::INVAL))?;
            (real.parent().unwrap_or(Path::new("/")), Some(name.to_owned()))
        } else {
            let why = io::Error::other("neither a directory nor a regular file");
            return Err(Error::io(path, why));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(about)?;
        let root_id = Meta::of(&root).map_err(|err| Error::io(path, err))?.id;
        Ok(Source {
            root,
            root_id,
            is_removal_reported: AtomicBool::new(false),
            path: real,
            single,
            follow_symlinks,
            left_out: OnceLock::new(),
            for_others,
            asks_kernel: for_others && rustix::process::geteuid().is_root(),
            files: Files::default(),
            joins: Joins::default(),
            archives: Archives::default(),
        })
    }

    /// Fails if the source directory was removed: its inode stays empty for ever, whatever is made at its
    /// path. It is reported in full once, since it cannot change.
    fn check_root(&self) -> Result<(), Error> {
        let is_removed = match Meta::of(&self.root) {
            Ok(meta) => meta.nlink == 0,
            // What a network filesystem says of it.
            Err(err) => err.raw_os_error() == Some(Errno::STALE.raw_os_error()),
        };
        if !is_removed {
            return Ok(());
        }
        let why =
            "the source directory was removed; unmount, and mount the new one if there is one";
        let err = Error::io(&*self.path, io::Error::other(why));
        match self.is_removal_reported.swap(true, Ordering::Relaxed) {
            false => Err(err),
            true => Err(Error::Reported(err.errno())),
        }
    }

    /// The source directory itself.
    pub fn root(&self) -> Entry {
        Entry { path: Path::new("").into(), id: self.root_id }
    }

    /// Fails if this process may not list the source directory, or search it.
    pub fn check_readable(&self) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.root, ".", flags, Mode::empty());
        opened.map(drop).map_err(|err| Error::io(&self.path, err))
    }

    /// The file that the source is, if it is one.
    pub fn single(&self) -> Option<Result<ArrayFile, Error>> {
        let name = self.single.as_ref()?;
        let path: Arc<Path> = Path::new(name).into();
        let found = self.array_target(&path).or_else(|err| self.check_root().and(Err(err)));
        Some(found.map(|meta| ArrayFile { path, id: meta.id, is_refused: false }))
    }

    /// Whether it is one file, with this path.
    pub fn is_single(&self, path: &Path) -> bool {
        self.single.as_ref().is_some_and(|name| path == Path::new(name))
    }

    /// Leaves out the mount that serves this source, given its device (`major:minor`) and path. Followed
    /// symlinks may lead there, and a look into it would wait for itself. (A link to such a link stays a
    /// link.)
    pub fn leave_out(&self, device: &str, mountpoint: &Path) {
        // Set once: a source has one mount.
        let _ = self.left_out.set((device.to_owned(), mountpoint.to_owned()));
    }

    /// Whether an entry is the mount itself, or a symlink into it.
    fn is_left_out(&self, directory: &Directory<'_>, name: &OsStr) -> bool {
        let Some((device, mountpoint)) = self.left_out.get().filter(|_| self.follow_symlinks)
        else {
            return false;
        };
        let Ok(meta) = Meta::of_entry_unasked(&directory.fd, name) else { return false };
        if meta.kind != Some(Kind::Symlink) {
            return meta.id.device() == *device;
        }
        let text = rustix::fs::readlinkat(&directory.fd, name, Vec::new());
        let text = text.map(|text| OsString::from_vec(text.into_bytes())).unwrap_or_default();
        // The link's own text: to resolve it would be to look into the mount.
        let mut path = self.path.join(&directory.path);
        for component in Path::new(&text).components() {
            match component {
                Component::ParentDir => drop(path.pop()),
                other => path.push(other),
            }
        }
        path.starts_with(mountpoint)
    }

    /// Whether a descriptor is of something in that mount.
    fn is_own_mount(&self, fd: impl AsFd) -> bool {
        let mount = self.left_out.get().filter(|_| self.follow_symlinks);
        mount.is_some_and(|(device, _)| {
            Meta::of_unasked(fd).is_ok_and(|meta| meta.id.device() == *device)
        })
    }

    /// The files that are open.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Closes files that nobody reads, and forgets archives that nobody looks into.
    pub fn tidy(&self) {
        self.files.close_idle();
        self.archives.forget_idle(Instant::now());
    }

    /// The absolute path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The filesystem that the source is on.
    pub fn statvfs(&self) -> Result<StatVfs, Error> {
        rustix::fs::fstatvfs(&self.root).map_err(|err| Error::io("the source", err))
    }

    /// The attributes of a directory.
    pub fn directory_meta(&self, directory: &Entry) -> Result<Meta, Error> {
        if directory.path.as_os_str().is_empty() {
            return Meta::of(&self.root).map_err(|err| Error::io("the source", err));
        }
        self.open_looked_up(directory, OFlags::PATH).map(|(_, meta)| meta)
    }

    /// The attributes of an entry by its path, as [`Source::find`] would give them.
    fn meta(&self, path: &Path) -> Result<Meta, Error> {
        let (parent, name) = self.parent(path)?;
        self.entry(&parent, name).map_err(|err| Error::io(path, err))
    }

    /// The attributes of an entry that is no directory, if it is still the one that it was.
    pub fn entry_meta(&self, entry: &Entry) -> Result<Meta, Error> {
        let meta = self.meta(&entry.path)?;
        if meta.id == entry.id { Ok(meta) } else { Err(Error::Stale) }
    }

    fn entry_itself(&self, path: &Path) -> Result<Meta, Error> {
        let (parent, name) = self.parent(path)?;
        Meta::of_entry(&parent.fd, name).map_err(|err| Error::io(path, err))
    }

    fn array_target(&self, path: &Path) -> Result<Meta, Error> {
        let about = |err: io::Error| Error::io(path, err);
        // A name in the source directory that is no symlink leads nowhere else: one system call is enough,
        // not three.
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && parent.as_os_str().is_empty()
        {
            let meta = Meta::of_entry(&self.root, name).map_err(about)?;
            if meta.kind != Some(Kind::Symlink) {
                return Ok(meta);
            }
        }
        Meta::of(self.resolve(path)?).map_err(about)
    }

    /// The attributes of an entry. With `follow_symlinks` they are those of a link's target, unless there is
    /// none, or none for everybody, or it is a directory above the link, which would have no end.
    fn entry(&self, directory: &Directory<'_>, name: &OsStr) -> io::Result<Meta> {
        let meta = Meta::of_entry(&directory.fd, name)?;
        if !self.follow_symlinks || meta.kind != Some(Kind::Symlink) {
            return Ok(meta);
        }
        let Ok(Target { meta: target, .. }) = self.target(directory, name) else {
            return Ok(meta);
        };
        let is_endless =
            target.kind == Some(Kind::Directory) && self.way(directory)?.passes(target.id);
        Ok(if is_endless { meta } else { target })
    }

    /// The text of a symlink, if it is still the same one.
    pub fn read_link(&self, link: &Entry) -> Result<OsString, Error> {
        let Entry { path, id } = link;
        let about = |err: io::Error| Error::io(&**path, err);
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = rustix::fs::openat(&parent.fd, name, flags, Mode::empty())
            .map_err(|err| about(err.into()))?;
        let meta = Meta::of(&link).map_err(about)?;
        if meta.id != *id || meta.kind != Some(Kind::Symlink) {
            return Err(Error::Stale);
        }
        let text =
            rustix::fs::readlinkat(&link, "", Vec::new()).map_err(|err| about(err.into()))?;
        Ok(OsString::from_vec(text.into_bytes()))
    }

    /// The open file of this identity, and its attributes. [`Error::Stale`] if it is not open yet and another
    /// is at its path.
    pub fn open_file(&self, path: &Path, id: FileId) -> Result<(Arc<OpenFile>, Meta), Error> {
        self.files.get(id, path, None, || self.open_backing(path, id))
    }

    /// The open file that was seen at a path just now with these attributes.
    pub fn open_seen(&self, path: &Path, seen: &Meta) -> Result<Arc<OpenFile>, Error> {
        let open = || self.open_backing(path, seen.id);
        self.files.get(seen.id, path, Some(seen), open).map(|(file, _)| file)
    }

    /// Why a symlink is not followed.
    fn why_refused(&self, path: &Path) -> Result<Arc<Unreadable>, Error> {
        let why = match self.walk(path).map(|_| ()) {
            Err(Errno::XDEV) => "the symlink is absolute, or leads out of the source",
            Err(Errno::ACCESS) if self.for_others => {
                "the symlink leads through a directory that not everybody may search"
            }
            Err(Errno::ACCESS) => "the symlink leads through a directory that may not be searched",
            // It leads elsewhere by now.
            _ => return Err(Error::Stale),
        };
        Ok(Unreadable::new(why, None))
    }

    /// The path of an entry of a directory.
    pub fn path_of(directory: &Path, name: &OsStr) -> Arc<Path> {
        PathBuf::from(directory).join(name).into()
    }
}
