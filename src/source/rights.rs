//! What a caller may open: the kernel is asked, in the caller's name.
//!
//! On a root's mount for others, npyfs opens with the caller's rights, and closes again, what it then uses
//! with its own. So the kernel's answer is the caller's: it counts mode bits, access lists, directories on
//! the way, symlinks and the file's flags. Root may open everything, and an owner has been let in by the mode
//! bits, which is all that counts for an owner.
//!
//! A daemon that is not root lends only its own user's rights, and has no others.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::border::path_of_descriptor;
use super::{Entry, OpenFile, OpenStorage, Source, Which};
use crate::caller::Caller;
use crate::credentials;
use crate::error::Error;
use crate::meta::FileId;
use crate::storage::{LocalFile, Writer};

/// What to do with a file that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    fn flags(self) -> OFlags {
        match self {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::WRONLY,
            Access::ReadWrite => OFlags::RDWR,
        }
    }
}

impl Source {
    /// The caller with whose rights a file or directory must be opened first; none if ours count.
    pub fn lent_by(&self, caller: Caller) -> Option<Caller> {
        (self.asks_kernel && caller.user != 0).then_some(caller)
    }

    /// An error if a caller may not read a file of the source.
    pub fn admit_to_file(&self, file: &Entry, caller: Caller, which: Which) -> Result<(), Error> {
        match which {
            Which::AtPath => {
                let owner = self.entry_meta(file)?.uid;
                self.admit_reader(&file.path, file.id, owner, caller)
            }
            Which::LookedUp => self.admit_to_looked_up(&file.path, file.id, caller),
        }
    }

    /// An error if a caller may not read a file to which the kernel has just let them come by its path.
    pub(super) fn admit_to_looked_up(
        &self,
        path: &Path,
        id: FileId,
        caller: Caller,
    ) -> Result<(), Error> {
        let (open, _) = self.open_file(path, id)?;
        self.admit_to_open(&open, caller)
    }

    /// An error if a caller may not read the file at a path, which has this owner.
    pub(super) fn admit_reader(
        &self,
        path: &Path,
        id: FileId,
        owner: u32,
        caller: Caller,
    ) -> Result<(), Error> {
        match self.lent_by(caller).filter(|caller| caller.user != owner) {
            Some(caller) => self.open_by(caller, path, id, Access::Read).map(drop),
            None => Ok(()),
        }
    }

    /// An error if a caller may not read a file that is open, whatever has its path by now.
    fn admit_to_open(&self, open: &OpenFile, caller: Caller) -> Result<(), Error> {
        let Some(caller) = self.lent_by(caller) else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let again = path_of_descriptor(open.local());
        let reopen = || self.persistently(|| rustix::fs::open(&again, flags, Mode::empty()));
        match credentials::with_rights_of(caller, reopen) {
            Ok(reopened) => {
                reopened.map(drop).map_err(|err| to_caller(Error::io(open.name(), err)))
            }
            Err(err) => Err(Error::io(open.name(), err)),
        }
    }

    /// An error if a caller may not read one of many files that are served as one.
    pub(super) fn admit_array(&self, file: &Entry, caller: Caller) -> Result<(), Error> {
        let Some(caller) = self.lent_by(caller) else { return Ok(()) };
        self.open_by(caller, &file.path, file.id, Access::Read).map(drop)
    }

    /// An error if a caller may not list a directory.
    pub fn admit_to_directory(&self, directory: &Entry, caller: Caller) -> Result<(), Error> {
        let Some(caller) = self.lent_by(caller) else { return Ok(()) };
        let open = || self.open_looked_up(directory, OFlags::RDONLY);
        match credentials::with_rights_of(caller, open) {
            Ok(opened) => opened.map(drop).map_err(to_caller),
            Err(err) => Err(Error::io(&*directory.path, err)),
        }
    }

    /// The file at this path open for writing: once for all writers, but checked for each of them, since what
    /// they may write can change.
    pub fn writer(
        &self,
        path: &Path,
        open: &OpenFile,
        id: FileId,
        access: Access,
        caller: Caller,
    ) -> Result<Arc<Writer>, Error> {
        open.writer(|| {
            let place = match self.lent_by(caller) {
                Some(caller) => self.patiently(|| self.open_by(caller, path, id, access))?,
                None => self.place_of(path, id)?,
            };
            let file = self.patiently(|| self.open_place(path, &place, OFlags::RDWR))?;
            if open.may_be_a_copy() {
                self.follow_copy(path, open, id, &place)?;
            }
            Ok(Writer::new(file))
        })
    }

    /// Makes readers use the copy that the filesystem made when the file was opened for writing.
    fn follow_copy(
        &self,
        path: &Path,
        open: &OpenFile,
        id: FileId,
        place: &OwnedFd,
    ) -> Result<(), Error> {
        let about = |err| Error::io(path, err);
        let copy = LocalFile::new(self.open_place(path, place, OFlags::RDONLY)?).map_err(about)?;
        let is = copy.meta().map_err(about)?.id;
        open.read_from(copy);
        if is != id {
            self.files.has_become(open, id, is);
        }
        Ok(())
    }

    /// Opens a file with a caller's rights, and closes it again. Returns its place.
    fn open_by(
        &self,
        caller: Caller,
        path: &Path,
        id: FileId,
        access: Access,
    ) -> Result<OwnedFd, Error> {
        // If the source is one file, nothing is served of the directory that it lies in.
        let place = self.single.is_some().then(|| self.place_of(path, id)).transpose()?;
        let opened = credentials::with_rights_of(caller, || {
            let place = place.map_or_else(|| self.place_of(path, id), Ok)?;
            self.open_place(path, &place, access.flags())?;
            Ok(place)
        });
        match opened {
            Ok(opened) => opened.map_err(to_caller),
            Err(err) => Err(Error::io(path, err)),
        }
    }
}

/// What the kernel refuses to a caller is no fault of ours.
fn to_caller(err: Error) -> Error {
    match err {
        Error::Io { file, source } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Error::Denied { file, source }
        }
        other => other,
    }
}
