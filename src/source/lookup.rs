//! What a name in a directory is: an entry, or the directory beside one.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::border::Directory;
use super::links::Target;
use super::names::{self, Holds};
use super::{ArrayFile, Entry, Found, Source};
use crate::error::Error;
use crate::meta::{Kind, Meta};

impl Source {
    /// What `name` is in a directory: an entry of the source first, then the directory beside one.
    pub fn find(&self, directory: &Entry, name: &OsStr) -> Result<Found, Error> {
        let found = self.find_in(directory, name);
        if matches!(found, Err(Error::NotFound(_))) && directory.id == self.root_id {
            self.check_root()?;
        }
        found
    }

    fn find_in(&self, directory: &Entry, name: &OsStr) -> Result<Found, Error> {
        let dir = self.directory(directory, OFlags::PATH)?;
        if self.is_left_out(&dir, name) {
            return Err(Error::not_found("it is the mount itself, or leads into it"));
        }
        match self.entry(&dir, name) {
            Ok(meta) if meta.kind.is_some() => return Ok(Found::Entry(meta)),
            Ok(_) => {
                return Err(Error::not_found("sockets, FIFOs and devices are left out"));
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(Error::io(directory.path.join(name), err)),
        }
        for file in names::files_of(name) {
            let is_taken = |name: &OsStr| Meta::of_entry_unasked(&dir.fd, name).is_ok();
            if names::directory_of(&file, is_taken).as_deref() != Some(name) {
                continue;
            }
            if let Some((file, meta)) = self.array_file_at(&dir, &file) {
                return Ok(Found::Beside(file, meta));
            }
        }
        Err(Error::not_found("no such file or directory"))
    }

    /// The array of `<stem>.npy` in a directory, for encodings beside it. The caller must have found out by
    /// [`Source::find`] that the name is not an entry of the source.
    pub fn array_of_stem(&self, directory: &Entry, stem: &str) -> Result<ArrayFile, Error> {
        let dir = self.directory(directory, OFlags::PATH)?;
        self.array_file_at(&dir, &names::file_of_stem(stem))
            .map(|(file, _)| file)
            .ok_or_else(|| Error::not_found("no such file or directory"))
    }

    /// The file or symlink at a path, if it holds an array or members, and the name of the directory beside
    /// it if it has one.
    pub fn array_file(&self, path: &Path) -> Result<Option<(ArrayFile, Option<OsString>)>, Error> {
        let (dir, name) = self.parent(path)?;
        let is_taken = |name: &OsStr| Meta::of_entry(&dir.fd, name).is_ok();
        let found = self.array_file_at(&dir, name);
        Ok(found.map(|(file, _)| (file, names::directory_of(name, is_taken))))
    }

    /// The file or symlink of a name, if there is a directory beside it.
    pub(super) fn array_file_at(
        &self,
        directory: &Directory<'_>,
        name: &OsStr,
    ) -> Option<(ArrayFile, Meta)> {
        Holds::of(name)?;
        if self.is_left_out(directory, name) {
            return None;
        }
        let meta = self.entry(directory, name).ok()?;
        let path: Arc<Path> = directory.path.join(name).into();
        match meta.kind? {
            Kind::File => Some((ArrayFile { path, id: meta.id, is_refused: false }, meta)),
            Kind::Directory => None,
            Kind::Symlink => match self.target(directory, name) {
                Ok(Target { meta, .. }) => (meta.kind == Some(Kind::File))
                    .then_some((ArrayFile { path, id: meta.id, is_refused: false }, meta)),
                Err(Errno::XDEV | Errno::ACCESS) => {
                    Some((ArrayFile { path, id: meta.id, is_refused: true }, meta))
                }
                Err(_) => None,
            },
        }
    }
}
